"""Whether what is published is what was written: every file's sha256 computed again."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from storage.bucket import BucketError
from storage.digests import sha256_of_file
from storage.errors import Overtaken, StoreError
from storage.publication import published_files
from storage.store import Store
from storage.tables import LINKS


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it was published."""

    kind: str
    """``missing``, ``changed`` or ``unreadable``."""
    path: str
    """Relative to the store."""
    stage: str = ""
    scan_id: str = ""
    wanted: str = ""
    got: str = ""
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.kind}; got {self.got}, wanted {self.wanted}. {self.mend}."


def verify(store: Store, progress: Callable[[int, int], None] = lambda done, total: None) -> list[Finding]:
    """Everything published that is missing, changed or unreadable, in the order of stages and scans; empty if whole.

    ``progress`` is called with the number of files that were checked, and of all files.
    """
    findings: list[Finding] = []
    files: list[tuple[str, str, str, str, str]] = []
    for stage in store.published_stages():
        try:
            files += _files_of(store, stage)
        except BucketError:
            raise
        except StoreError as error:
            record = f"published/{stage}.json"
            findings.append(Finding("unreadable", record, stage, wanted=error.wanted, got=error.got, mend=error.mend))
    for count, (stage, scan_id, digest, name, wanted) in enumerate(files, 1):
        path = store.output(stage, scan_id, digest).path / name
        relative = f"stages/{stage}/{scan_id}/{digest}/{name}"
        mend = f"Delete stages/{stage}/{scan_id}/{digest} and run again: it is computed anew"
        try:
            got = sha256_of_file(path)
            if got != wanted:
                findings.append(Finding("changed", relative, stage, scan_id, f"sha256 {wanted}", f"sha256 {got}", mend))
        except BucketError:
            raise
        except FileNotFoundError:
            findings.append(Finding("missing", relative, stage, scan_id, f"sha256 {wanted}", "no such file", mend))
        except OSError as error:
            findings.append(Finding("unreadable", relative, stage, scan_id, f"sha256 {wanted}", str(error), mend))
        progress(count, len(files))
    for name in LINKS:
        link, shown = store.root / name, store.shown(name)
        if (link.is_symlink() or shown != link) and not shown.exists():
            mend = "Run the campaign again: it switches the link"
            findings.append(
                Finding("missing", name, wanted="a folder of an output", got="a link to nothing", mend=mend)
            )
    return findings


def _files_of(store: Store, stage: str) -> list[tuple[str, str, str, str, str]]:
    """(stage, scan, digest, path, sha256) of all that is published of a stage; read again where a run publishes."""
    while True:
        with suppress(Overtaken):
            publication = store.publication(stage)
            entries = () if publication is None else published_files(publication)
            return [(stage, scan_id, digest, name, sha256) for (scan_id, digest, name), sha256 in entries]
