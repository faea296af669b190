"""The maintenance flow: prove what is published, remove what nothing refers to."""

from typing import Any

from prefect import flow

from storage.gc import collect
from storage.store import Store
from storage.verify import verify
from stxmdist.campaign.manifest import load


@flow(name="maintenance", persist_result=False)
def maintenance(path: str, dry_run: bool = True) -> dict[str, Any]:
    """Recompute the digests of what is published, then collect garbage."""
    store = Store(load(path, lenient=True).store)
    findings = verify(store)
    removed = collect(store, dry_run=dry_run)
    return {"findings": [str(finding) for finding in findings], "removed": [str(folder) for folder in removed]}
