"""The nightly flow: statistics and report are renewed, so that the report of the morning includes the day's scans."""

from prefect import flow
from prefect.states import Completed

from flows.campaign import campaign
from flows.notify import note
from flows.shown import run_name


@flow(name="nightly", flow_run_name=run_name, persist_result=False, on_completion=[note])
def nightly(path: str) -> object:
    """Bring statistics and report up to date."""
    ended = campaign(path, stages=["infer", "report"], return_state=True)
    # What the campaign left undone, the night left undone: of a state that it knows, Prefect takes only the type.
    return Completed(name=ended.name, message=ended.message) if ended.is_completed() else ended
