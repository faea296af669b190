"""The watch flow: when rows have come to the sample sheet, or files have changed, run the campaign."""

from typing import Any

from prefect import flow

from flows.campaign import campaign
from stxmdist.planning.execute import CampaignRun, Request


@flow(name="watch", persist_result=False)
def watch(path: str) -> dict[str, Any]:
    """Look for work that has come up since the last run, and do it."""
    missing = CampaignRun(Request(path)).pending()
    if missing:
        campaign(path)
    return {"missing": missing, "ran": bool(missing)}
