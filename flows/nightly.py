"""The nightly flow: statistics and report anew, so that the morning's page holds what the day has brought."""

from prefect import flow

from flows.campaign import campaign


@flow(name="nightly", persist_result=False)
def nightly(path: str) -> object:
    """Bring statistics and report up to date."""
    return campaign(path, stages=["infer", "report"])
