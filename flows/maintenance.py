"""The maintenance flow: verify what is published, and remove what nothing refers to."""

from prefect import flow
from prefect.artifacts import create_table_artifact

from flows.notify import note
from flows.shown import key_of, run_name
from storage.gc import collect
from storage.store import Store
from storage.verify import verify
from stxmdist.campaign.manifest import load


@flow(name="maintenance", flow_run_name=run_name, persist_result=False, on_completion=[note])
def maintenance(path: str, dry_run: bool = True) -> dict[str, object]:
    """Recompute the digests of what is published, then collect garbage; by default only say what would go."""
    campaign = load(path, lenient=True)
    store = Store(campaign.store)
    findings = verify(store)
    removed, n_bytes = collect(store, dry_run=dry_run)
    if findings:
        create_table_artifact(
            key=key_of(campaign.name, "findings"),
            table=[vars(finding) for finding in findings],
            description=f"{campaign.name}: not as it was published",
        )
    return {"findings": [str(finding) for finding in findings], "removed": list(map(str, removed)), "bytes": n_bytes}
