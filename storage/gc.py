"""Removing what nothing refers to: outputs of old options, what killed writers left half done."""

import os
import shutil
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from storage.atomic import PARTIAL, partial_name
from storage.store import LIVE, LIVE_PASS, Store
from storage.tables import LINKS


def referenced(store: Store) -> set[Path]:
    """The digest folders that publications and current links refer to.

    Raises
    ------
    StoreError
        when a publication cannot be read: nothing is removed while it is not known what is needed.
    """
    keep = set()
    for stage in store.published_stages():
        publication = store.publication(stage)
        if publication is not None:
            keep |= {store.output(stage, name, scan.digest).path for name, scan in publication.scans.items()}
    stages = store.stages_path.resolve()
    for name in LINKS:
        target = (store.root / name).resolve()
        if target.is_relative_to(stages) and len(target.relative_to(stages).parts) >= 3:
            keep.add(store.stages_path.joinpath(*target.relative_to(stages).parts[:3]))
    return keep


def unreferenced(store: Store) -> tuple[list[Path], int]:
    """(paths, bytes) of what may go: digest folders without reference, and temporary files and folders anywhere.

    Outputs that an interrupted run has not yet published count as unreferenced; the next run would have used them.
    """
    keep = referenced(store)
    outputs = [path for path in sorted(store.stages_path.glob("*/*/*")) if path.is_dir() and not path.is_symlink()]
    garbage = [path for path in outputs if path not in keep]
    doomed = set(garbage)
    for base, folders, files in os.walk(store.root):
        found = [Path(base, name) for name in sorted(folders + files) if name.endswith(PARTIAL)]
        garbage += [path for path in found if path not in doomed]
        folders[:] = [name for name in folders if not name.endswith(PARTIAL) and Path(base, name) not in doomed]
    return garbage, sum(map(_size, garbage))


def _size(path: Path) -> int:
    if path.is_symlink() or path.is_file():
        return path.lstat().st_size
    return sum(inner.lstat().st_size for inner in path.rglob("*") if not inner.is_dir())


def collect(store: Store, dry_run: bool = False) -> tuple[list[Path], int]:
    """Remove what nothing refers to (or, with ``dry_run``, only name it); return its paths and bytes.

    Raises
    ------
    StoreError
        while a run holds the store, and when a publication cannot be read.
    """
    with store.open().lock("gc"), _no_live_pass(store):
        garbage, n_bytes = unreferenced(store)
        if not dry_run:
            for path in garbage:
                _remove(path)
            for folder in sorted(store.stages_path.glob("**/"), reverse=True):
                if folder.parent in (store.stages_path, *store.stages_path.glob("*")) and not any(folder.iterdir()):
                    folder.rmdir()
        return garbage, n_bytes


def _no_live_pass(store: Store) -> AbstractContextManager[None]:
    return store.lock("gc", LIVE_PASS) if (store.root / LIVE).is_dir() else nullcontext()


def forget_superseded(store: Store, stage: str, scan_id: str, keep: Collection[str]) -> None:
    """Remove the outputs of a stage for a scan but those of the digests in ``keep`` and the one that is published.

    For whoever alone computes the scan, again and again while it grows: nobody else refers to what it left before.
    """
    publication = store.publication(stage)
    published = None if publication is None else publication.scans.get(scan_id)
    kept = {*keep, *([] if published is None else [published.digest])}
    folder = store.stages_path / stage / scan_id
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir() and path.name not in kept and not path.name.startswith("."):
            _remove(path)


def _remove(path: Path) -> None:
    """Remove a file or folder; a folder is renamed first: a half-removed output never passes for a whole one."""
    if path.is_symlink() or path.is_file():
        path.unlink()
        return
    if not path.name.endswith(PARTIAL):
        path = path.rename(partial_name(path))
    shutil.rmtree(path)
