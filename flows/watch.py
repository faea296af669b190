"""The watch flow: when rows have come to the sample sheet, or files have changed, run the campaign."""

from prefect import flow

from flows.campaign import campaign
from stxmdist.planning.execute import CampaignRun, RunRequest


@flow(name="watch", persist_result=False)
def watch(path: str) -> dict[str, object]:
    """Look for work that has come up since the last run, and do it."""
    missing = CampaignRun(RunRequest(path)).pending()
    if missing:
        campaign(path)
    return {"missing": missing, "ran": bool(missing)}
