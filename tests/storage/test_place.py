"""What a store promises, over both members of the table of places: a folder, and a bucket of a real server."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from storage.atomic import read_json_object, replace_file, replace_json
from storage.errors import Overtaken, StoreError
from storage.gc import collect
from storage.layout import ArrayPlan
from storage.levels import level_of, write_levels
from storage.place import PLACES, Place, fetched, kind_of, matching, place_of
from storage.publication import Publication, PublishedScan
from storage.store import Store
from storage.tables import publish_folder, read_table, write_table
from storage.verify import verify


@pytest.fixture(params=sorted(PLACES))
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place of each kind."""
    return place_of(request.getfixturevalue("bucket") if request.param == "bucket" else str(tmp_path / "store"))


@pytest.fixture
def placed(root: Place, sample: SimpleNamespace) -> Store:
    """A store with a published stage."""
    store = Store(root).create()
    store.publish(sample.publication_of("fit", {"s1": sample.fill(store.output("fit", "s1", "d1"))}))
    return store


def test_files_are_replaced_listed_and_removed_alike(root: Place) -> None:
    for name in ("a/b.txt", "a/c/d.json", "e.json"):
        replace_file(root / name, [b"old", b""])
        replace_file(root / name, [name.encode(), b"!"])
    assert (root / "a/b.txt").read_bytes() == b"a/b.txt!"
    assert list(kind_of(root).files(root)) == [("a/b.txt", 8), ("a/c/d.json", 11), ("e.json", 7)]
    assert [path.name for path in matching(root, "*.json")] == ["e.json"]
    assert [path.name for path in matching(root, "a/*")] == ["b.txt", "c"]
    assert (root / "a").is_dir()
    assert not (root / "a").is_file()
    assert not (root / "f").exists()
    assert (root / "e.json").stat().st_size == 7
    kind_of(root).remove(root / "a")
    kind_of(root).remove(root / "a")
    assert [name for name, _ in kind_of(root).files(root)] == ["e.json"]
    with pytest.raises(FileNotFoundError):
        (root / "f").read_bytes()
    with pytest.raises(StoreError, match="the store's own record cannot be read"):
        read_json_object(root / "a")


def test_what_a_block_makes_takes_its_place_whole_or_not_at_all(root: Place) -> None:
    with kind_of(root).replacing(root / "made") as partial:
        (partial / "inner").mkdir(parents=True)
        (partial / "inner" / "x").write_text("1")
        (partial / "zarr.json").write_text("2")
        assert not (root / "made").exists()
    assert (root / "made/inner/x").read_text() == "1"

    def fails() -> None:
        with kind_of(root).replacing(root / "other") as partial:
            partial.write_text("never seen")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert [name for name, _ in kind_of(root).files(root)] == ["made/inner/x", "made/zarr.json"]


def test_arrays_come_back_as_they_were_written(placed: Store, sample: SimpleNamespace) -> None:
    output = placed.published_output("fit", "s1")
    assert output is not None
    for plan in sample.plans():
        np.testing.assert_array_equal(output.read(plan.name), sample.values(plan.name))
        np.testing.assert_array_equal(output.dataset()[plan.name].to_numpy(), sample.values(plan.name))
    np.testing.assert_array_equal(output.read("soc", (slice(3, 9), 2)), sample.values("soc")[3:9, 2])
    assert output.coordinates().keys() == sample.COORDS.keys()
    assert output.absent("soc") == []
    assert output.written_attrs("soc")["units"] == "1"


def test_a_second_plan_under_one_digest_is_refused(root: Place, sample: SimpleNamespace) -> None:
    output = Store(root).create().output("fit", "s1", "d1")
    output.declare(sample.plans())
    output.declare(sample.plans())
    with pytest.raises(StoreError, match="declared before with another plan"):
        output.declare(sample.plans()[:1])


def test_shards_are_written_by_their_owner_and_known_by_their_digest(root: Place, sample: SimpleNamespace) -> None:
    output = Store(root).create().output("fit", "s1", "d1")
    output.declare(sample.plans())
    sample.write_block(output, 1)
    assert (0, 1, 0) not in output.absent("transmission")
    assert (0, 0, 0) in output.absent("transmission")
    assert np.isnan(output.read("transmission")[:, : sample.SHARDS[1]]).all()
    assert output.done() == {"rows-1"}
    receipt = output.receipt("rows-1")
    assert receipt is not None
    assert output.receipt("rows-2") is None
    assert {**output.inventory({}), **receipt["files"]} == output.inventory({})
    with pytest.raises(StoreError, match="its shards are not written again"):
        sample.write_block(output, 1)
    with pytest.raises(StoreError, match="belongs to another unit"):
        output.write("rows-0", {}, "soc", (0, 0), sample.values("soc")[:4])


def test_units_are_set_aside_released_and_forgotten(root: Place) -> None:
    output = Store(root).create().output("fit", "s 1", "d1")
    output.quarantine("a/b", {"problem": "no light"})
    assert output.quarantined() == {"a/b": {"problem": "no light"}}
    output.mark("a/b", {"format": 1})
    assert output.quarantined() == {}
    assert output.receipts() == {"a/b": {"format": 1}}
    output.forget("a/b")
    output.forget("a/b")
    assert output.receipts() == {}


def test_a_store_of_another_version_and_other_files_are_refused(root: Place) -> None:
    with pytest.raises(StoreError, match="there is no store here"):
        Store(root).open()
    replace_file(root / "notes.txt", [b"mine"])
    with pytest.raises(StoreError, match=r"holds files and is not a store; got notes\.txt"):
        Store(root).create()
    replace_json(root / "store.json", {"format": "stxmdist-store", "version": 0})
    with pytest.raises(StoreError, match="another version"):
        Store(root).create()


def test_nothing_is_visible_before_it_is_published_whole(root: Place, sample: SimpleNamespace) -> None:
    store = Store(root).create()
    output = sample.fill(store.output("fit", "s1", "d1"))
    assert store.published_output("fit", "s1") is None
    publication = sample.publication_of("fit", {"s1": output})
    scan = replace(publication.scans["s1"], files={**publication.scans["s1"].files, "lost.csv": "0"})
    with pytest.raises(StoreError, match="its output is not whole"):
        store.publish(replace(publication, scans={"s1": scan}))
    assert store.publication("fit") is None
    store.publish(publication)
    assert store.publication("fit") == publication
    assert store.published_stages() == ("fit",)
    assert verify(store) == []


def test_what_changed_or_is_lost_after_publication_is_named(placed: Store) -> None:
    output = placed.published_output("fit", "s1")
    assert output is not None
    (lost, *_, changed) = [name for name in output.inventory() if "/c/" in name]
    kind_of(output.path).remove(output.path / lost)
    replace_file(output.path / changed, [b"noise"])
    assert {(finding.kind, finding.path) for finding in verify(placed)} == {
        ("missing", f"stages/fit/s1/d1/{lost}"),
        ("changed", f"stages/fit/s1/d1/{changed}"),
    }


def test_garbage_goes_and_no_reader_notices(placed: Store, sample: SimpleNamespace) -> None:
    sample.fill(placed.output("fit", "s1", "d2"), seed=2)
    before = placed.published_output("fit", "s1")
    assert before is not None
    values = before.read("soc")
    named, n_bytes = collect(placed, dry_run=True)
    assert [str(path) for path in named] == [str(placed.output("fit", "s1", "d2").path)]
    assert placed.output("fit", "s1", "d2").path.exists()
    assert collect(placed) == (named, n_bytes)
    assert n_bytes > sum(sample.values(plan.name).nbytes for plan in sample.plans()) / 2
    assert not placed.output("fit", "s1", "d2").path.exists()
    np.testing.assert_array_equal(before.read("soc"), values)
    assert verify(placed) == []
    with placed.lock("run"), pytest.raises(StoreError, match="another process is using this store"):
        collect(placed)


def test_tables_switch_from_one_folder_to_the_next(root: Place) -> None:
    store = Store(root).create()
    for digest in ("d1", "d2"):
        folder = store.output("infer", "campaign", digest).path / "tables"
        rows = {"what": "scan", "scan_id": digest, "stage": "fit", "where": "", "why": "µ", "n": 3}
        paths = write_table(pd.DataFrame([rows]), folder / "exclusions.parquet", "exclusions")
        assert [path.name for path in paths] == ["exclusions.parquet", "exclusions.csv"]
        publish_folder(store, "tables", folder)
        table = read_table(store.tables_path / "exclusions.parquet", ["scan_id", "n"])
        assert table.to_dict("list") == {"scan_id": [digest], "n": [3]}
        copied = fetched(store.tables_path) / "exclusions.csv"
        assert copied.read_text() == f"what,scan_id,stage,where,why,n\nscan,{digest},fit,,µ,3\n"
    assert verify(store) == []
    assert [path.name for path in collect(store)[0]] == ["d1"]
    with pytest.raises(StoreError, match="the link cannot be switched"):
        publish_folder(store, "tables", store.published_path)


def test_large_images_have_levels(root: Place) -> None:
    output = Store(root).create().output("stitch", "s1", "d1")
    output.declare([ArrayPlan("soc", (1100, 3))])
    values = np.random.default_rng(0).random((1100, 3), np.float32)
    for index in output.layout("soc").indices():
        output.write("u", {"soc": [index]}, "soc", index, values[output.layout("soc").region(index)])
    assert level_of(output, "soc", 1) is None
    assert write_levels(output) == ("soc",)
    level = level_of(output, "soc", 1)
    assert level is not None
    np.testing.assert_allclose(np.asarray(level[0, 0]), values[:2, :2].mean(), rtol=1e-6)


def test_one_holds_a_store_and_the_other_is_told_who(root: Place, start_python: Callable[..., object]) -> None:
    store = Store(root).create()
    code = """
import sys, time
from storage.store import Store
with Store(sys.argv[1]).lock("run of campaign x"):
    print("held", flush=True)
    time.sleep(60)
"""
    holder = start_python(code, store.root)
    assert holder.stdout.readline().strip() == "held"
    assert store.held()
    with pytest.raises(StoreError, match=rf"run of campaign x, process {holder.pid} on "), store.lock():
        pass
    holder.kill()
    holder.communicate()
    with store.lock(), pytest.raises(StoreError, match="one run at a time"), store.lock():
        pass
    with store.lock("another", "live/.pass"), store.lock():
        pass
    assert not store.held()


N_WRITERS, N_EACH = 3, 3


@pytest.mark.faults
def test_of_runs_that_publish_at_once_none_loses_what_it_published(root: Place) -> None:
    store = Store(root).create()
    empty = Publication("fit", 1, {}, 0, "", {}, {})

    def publish(writer: int) -> None:
        for n in range(N_EACH):
            name = f"s{writer}-{n}"
            replace_file(store.output("fit", name, "d").path / "x", [b"x"])
            while True:
                try:
                    with store.publishing():
                        before = store.publication("fit")
                        scans = {} if before is None else before.scans
                        store.publish(
                            replace(before or empty, scans={**scans, name: PublishedScan("d", "done")}), before
                        )
                    break
                except Overtaken:
                    continue

    with ThreadPoolExecutor(N_WRITERS) as pool:
        list(pool.map(publish, range(N_WRITERS)))
    found = store.publication("fit")
    assert found is not None
    assert len(found.scans) == N_WRITERS * N_EACH
    assert "tag" not in json.loads((store.published_path / "fit.json").read_bytes())
