"""The watch flow: run the campaign when the sample sheet has new rows, or files have changed."""

from prefect import flow

from flows.campaign import campaign
from flows.notify import note
from flows.shown import run_name
from stxmdist.planning.execute import CampaignRun, RunRequest


@flow(name="watch", flow_run_name=run_name, persist_result=False, on_completion=[note])
def watch(path: str) -> dict[str, object]:
    """Look for work that is new since the last run, and do it."""
    missing = CampaignRun(RunRequest(path)).pending()
    if missing:
        campaign(path)
    return {"missing": missing, "ran": bool(missing)}
