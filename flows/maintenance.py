"""The maintenance flow: verify what is published, and remove what nothing refers to."""

from prefect import flow
from prefect.artifacts import create_table_artifact

from storage.gc import collect
from storage.store import Store
from storage.verify import verify
from stxmdist.campaign.manifest import load


@flow(name="maintenance", persist_result=False)
def maintenance(path: str, dry_run: bool = True) -> dict[str, object]:
    """Recompute the digests of what is published, then collect garbage; by default only say what would go."""
    store = Store(load(path, lenient=True).store)
    findings = verify(store)
    removed, n_bytes = collect(store, dry_run=dry_run)
    if findings:
        create_table_artifact(key="findings", table=[vars(f) for f in findings], description="Not as it was published")
    return {"findings": [str(finding) for finding in findings], "removed": list(map(str, removed)), "bytes": n_bytes}
