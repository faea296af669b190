"""What nothing refers to goes, everything else stays."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from storage import gc
from storage.errors import StoreError
from storage.store import Store
from storage.tables import publish_folder
from storage.verify import verify


def content(store: Store) -> dict[str, bytes]:
    """Every file of the store."""
    return {
        path.relative_to(store.root).as_posix(): path.read_bytes()
        for path in store.root.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_store_without_orphans_is_left_as_it_is(published: Store) -> None:
    before = content(published)
    assert gc.collect(published) == ([], 0)
    assert content(published) == before


def test_orphans_go_and_nothing_else(published: Store, sample: SimpleNamespace) -> None:
    tables = published.output("infer", "campaign", "t1").path
    tables.mkdir(parents=True)
    (tables / "particles.csv").write_text("kept, because the link refers to it")
    publish_folder(published, "tables", tables)
    before = content(published)
    old = sample.fill(published.output("fit", "s1", "d0"))
    old.quarantine("rows-9", {"error": "stale"})
    gone = sample.fill(published.output("align", "s9", "d1"))
    part = published.output("fit", "s1", "d1").group_path / "soc" / "c" / "0" / ".0.abc.partial"
    part.write_bytes(b"left by a killed writer")
    half = published.output("fit", "s2", "d1").path / ".data.zarr.abc.partial"
    half.mkdir()
    (half / "zarr.json").write_text("{}")
    orphans = {old.path, gone.path, part, half}
    n_bytes = size_of(old.path) + size_of(gone.path) + part.stat().st_size + size_of(half)

    everything = content(published)
    paths, would_free = gc.collect(published, dry_run=True)
    assert content(published) == everything
    assert (set(paths), len(paths), would_free) == (orphans, len(orphans), n_bytes)
    assert gc.collect(published) == (paths, would_free)
    assert content(published) == before
    assert not (published.stages_path / "align").exists()
    assert verify(published) == []
    assert gc.collect(published) == ([], 0)


def test_an_output_replaced_by_another_publication_goes(published: Store, sample: SimpleNamespace) -> None:
    new = sample.fill(published.output("fit", "s1", "d2"), seed=5)
    before = published.publication("fit")
    scan = replace(before.scans["s1"], digest="d2", files=new.inventory())
    published.publish(replace(before, scans={**before.scans, "s1": scan}))
    paths, _ = gc.collect(published)
    assert paths == [published.output("fit", "s1", "d1").path]
    assert verify(published) == []


@pytest.mark.faults
def test_gc_refuses_while_a_run_holds_the_store(published: Store, sample: SimpleNamespace) -> None:
    running = sample.fill(published.output("fit", "s1", "d7"))
    with published.lock("run"), pytest.raises(StoreError, match="another process is using this store"):
        gc.collect(published)
    assert running.path.exists()


@pytest.mark.parametrize("record", ["fit.json", "align.json"])
def test_gc_removes_nothing_while_a_publication_cannot_be_read(
    published: Store, sample: SimpleNamespace, record: str
) -> None:
    orphan = sample.fill(published.output("fit", "s1", "d0"))
    (published.published_path / record).write_text('{"stage": ')
    with pytest.raises(StoreError, match=record):
        gc.collect(published)
    assert orphan.path.exists()


@pytest.mark.faults
def test_a_killed_gc_leaves_no_output_that_passes_for_a_whole_one(
    published: Store, sample: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    orphan = sample.fill(published.output("fit", "s1", "d0"))

    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        gc.collect(published)
    monkeypatch.undo()
    assert orphan.done() == frozenset()
    paths, _ = gc.collect(published)
    assert len(paths) == 1
    assert paths[0].name.endswith(".partial")
    assert not list(published.root.rglob("*.partial"))


def test_gc_does_not_follow_links_out_of_the_store(published: Store, tmp_path: Path) -> None:
    outside = tmp_path / "home"
    outside.mkdir()
    (outside / "thesis.tex.partial").write_text("years of work")
    (published.stages_path / "fit" / "s1" / "d3").symlink_to(outside)
    (published.stages_path / "fit" / "s3").symlink_to(outside)
    gc.collect(published)
    assert (outside / "thesis.tex.partial").exists()


def test_gc_wants_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store here"):
        gc.collect(Store(tmp_path / "typo"))
    assert not (tmp_path / "typo").exists()
