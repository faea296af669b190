"""The nightly flow: statistics and report are renewed, so that the report of the morning includes the day's scans."""

from prefect import flow

from flows.campaign import campaign
from flows.shown import run_name


@flow(name="nightly", flow_run_name=run_name, persist_result=False)
def nightly(path: str) -> object:
    """Bring statistics and report up to date."""
    return campaign(path, stages=["infer", "report"])
