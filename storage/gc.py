"""Removing what nothing refers to: outputs of old options, what killed writers left half done."""

import os
import shutil
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from storage.atomic import PARTIAL, partial_name, remove
from storage.place import Place, kind_of, matching
from storage.publication import RECORDS, record_places
from storage.store import LIVE, LIVE_PASS, Store
from storage.tables import LINKS


def referenced(store: Store) -> set[Place]:
    """The digest folders that publications and current links refer to, and the records of publications.

    Raises
    ------
    StoreError
        when a publication cannot be read: nothing is removed while it is not known what is needed.
    """
    keep: set[Place] = set()
    for stage in store.published_stages():
        publication = store.publication(stage)
        if publication is not None:
            keep |= {store.output(stage, name, scan.digest).path for name, scan in publication.scans.items()}
            keep |= set(record_places(store.publication_path(stage), publication))
    stages = store.stages_path.resolve()
    for name in LINKS:
        target = store.shown(name).resolve()
        if not target.is_relative_to(stages):  # type: ignore[arg-type]
            continue
        inside = target.relative_to(stages)  # type: ignore[arg-type]
        if len(inside.parts) >= 3:
            keep.add(store.stages_path.joinpath(*inside.parts[:3]))
    return keep


def unreferenced(store: Store) -> tuple[list[Place], int]:
    """(paths, bytes) of what may go: digest folders and records without reference, temporary files and folders.

    Outputs that an interrupted run has not yet published count as unreferenced; the next run would have used them.
    """
    keep = referenced(store)
    outputs = [path for path in matching(store.stages_path, "*/*/*") if path.is_dir() and not path.is_symlink()]
    records = matching(store.published_path / RECORDS, "*/*.json")
    garbage: list[Place] = [path for path in (*outputs, *records) if path not in keep]
    if isinstance(store.root, Path):
        garbage += _unfinished(store.root, set(garbage))
    return garbage, sum(map(_size, garbage))


def _unfinished(root: Path, doomed: set[Place]) -> list[Path]:
    """Temporary files and folders of a folder: a bucket has none."""
    found: list[Path] = []
    for base, folders, files in os.walk(root):
        partial = [Path(base, name) for name in sorted(folders + files) if name.endswith(PARTIAL)]
        found += [path for path in partial if path not in doomed]
        folders[:] = [name for name in folders if not name.endswith(PARTIAL) and Path(base, name) not in doomed]
    return found


def _size(path: Place) -> int:
    if path.is_symlink() or path.is_file():
        return path.lstat().st_size if isinstance(path, Path) else path.stat().st_size
    return sum(size for _, size in kind_of(path).files(path))


def collect(store: Store, dry_run: bool = False) -> tuple[list[Place], int]:
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
            if isinstance(store.stages_path, Path):
                _remove_empty(store.stages_path)
        return garbage, n_bytes


def _remove_empty(stages: Path) -> None:
    for folder in sorted(stages.glob("**/"), reverse=True):
        if folder.parent in (stages, *stages.glob("*")) and not any(folder.iterdir()):
            folder.rmdir()


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
    for path in matching(folder, "*"):
        if path.is_dir() and path.name not in kept and not path.name.startswith("."):
            _remove(path)


def _remove(path: Place) -> None:
    """Remove a file or folder; a folder is renamed first: a half-removed output never passes for a whole one."""
    if not isinstance(path, Path):
        # Receipts go first there, to the same end.
        remove(path)
        return
    if path.is_symlink() or path.is_file():
        path.unlink()
        return
    if not path.name.endswith(PARTIAL):
        path = path.rename(partial_name(path))
    shutil.rmtree(path)
