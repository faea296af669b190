"""The watch flow: when rows have come to the sample sheet, or files have changed, run the campaign."""

from typing import Any

from prefect import flow

from flows.campaign import campaign
from stxmdist.stages.execute import Request, pending


@flow(name="watch", persist_result=False)
def watch(path: str, cluster: str | None = None) -> dict[str, Any]:
    """Look for work that has come up since the last run, and do it."""
    missing = pending(Request(path))
    if not missing:
        return {"missing": {}, "ran": False}
    campaign(path, cluster=cluster)
    return {"missing": missing, "ran": True}
