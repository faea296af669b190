"""Records of publications: a change costs what has changed, whatever is published, in a folder and in a bucket."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from storage import gc
from storage.atomic import replace_json
from storage.errors import Overtaken, StoreError
from storage.publication import FORM, SCANS, Publication, PublishedScan, published_files, records_of
from storage.store import Store
from storage.verify import verify

MANY = 3 * SCANS + 7
"""Scans: three whole records and the beginning of another"""


@pytest.fixture(params=["folder", "bucket"])
def many(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store in which a stage is published for many scans."""
    where = tmp_path / "store" if request.param == "folder" else request.getfixturevalue("bucket")
    store = Store(where).create()
    store.publish(published(store, {f"s{n:05d}": "d" for n in range(MANY)}))
    return store


def published(store: Store, digests: dict[str, str], before: Publication | None = None) -> Publication:
    """A publication of outputs of a file each, which are there, and of those of before."""
    there = {} if before is None else before.scans
    # Read now: once another publication has come, nobody can.
    scans = {name: replace(scan, files=dict(scan.files)) for name, scan in there.items()}
    for scan_id, digest in digests.items():
        output = store.output("fit", scan_id, digest)
        output.put("table.csv", f"{scan_id} {digest}".encode())
        scans[scan_id] = PublishedScan(digest, "done", {"n": 1.5}, 3, inputs={"align/x": "a"}, files=output.inventory())
    return Publication("fit", 1, {"damping": 0.1}, 7, "2026-01-01T00:00:00+00:00", {"numpy": "2"}, scans)


def without(publication: Publication, scan_id: str) -> Publication:
    scans = {name: scan for name, scan in publication.scans.items() if name != scan_id}
    return replace(publication, scans=scans)


def records(store: Store) -> set[str]:
    return {str(path) for path in records_of(store.publication_path("fit")).glob("*.json")}


def test_what_is_read_is_what_was_published(many: Store) -> None:
    found = many.publication("fit")
    assert found is not None
    assert len(found.scans) == MANY
    assert list(found.scans) == sorted(found.scans)
    assert found == published(many, dict.fromkeys(found.scans, "d"))
    assert len(list(published_files(found))) == MANY
    assert verify(many) == []


@pytest.mark.parametrize("change", ["one more", "one other", "one less", "nothing"])
def test_a_change_of_one_scan_writes_its_record_and_the_last_again(many: Store, change: str) -> None:
    before, there = many.publication("fit"), records(many)
    assert before is not None
    after = {
        "one more": lambda: published(many, {"s99999": "d"}, before),
        "one other": lambda: published(many, {"s00100": "other"}, before),
        "one less": lambda: without(published(many, {}, before), "s00100"),
        "nothing": lambda: replace(published(many, {}, before), time="2026-01-02T00:00:00+00:00"),
    }[change]()
    many.publish(after, before)
    assert many.publication("fit") == after
    now = records(many)
    # Two of them for each: what counts, and files.
    assert len(now - there) <= 2 * 2
    assert len(now) == 2 * -(-len(after.scans) // SCANS)
    outputs = [path for path in gc.collect(many)[0] if "records" in str(path)]
    assert outputs == []


def test_what_counts_of_few_scans_stands_in_the_file_itself(tmp_path: Path) -> None:
    store = Store(tmp_path / "store").create()
    few = published(store, {f"s{n:05d}": "d" for n in range(SCANS)})
    store.publish(few)
    said = json.loads((store.published_path / "fit.json").read_text())
    assert {name: scan["digest"] for name, scan in said["scans"].items()} == dict.fromkeys(few.scans, "d")
    assert len(records(store)) == 1
    before = store.publication("fit")
    assert before == few
    one_more = published(store, {"s99999": "d"}, before)
    store.publish(one_more, before)
    assert "scans" not in json.loads((store.published_path / "fit.json").read_text())
    before = store.publication("fit")
    assert before == one_more
    assert len(records(store)) == 2 * 2
    one_less = without(published(store, {}, before), "s99999")
    store.publish(one_less, before)
    assert store.publication("fit") == one_less
    assert len(records(store)) == 1
    assert verify(store) == []


def test_the_file_of_a_publication_stays_small(many: Store) -> None:
    said = many.publication_path("fit").read_bytes()
    assert len(said) < 400 + 200 * (MANY / SCANS + 1)


def test_records_of_a_publication_that_never_came_are_collected(many: Store) -> None:
    lost = records_of(many.publication_path("fit")) / f"{'0' * 64}.json"
    replace_json(lost, {})
    assert gc.collect(many)[0] == [lost]
    assert verify(many) == []
    assert len(many.publication("fit").scans) == MANY  # type: ignore[union-attr]


def test_files_that_are_asked_for_after_another_has_published_are_not_mistaken(many: Store) -> None:
    before = many.publication("fit")
    assert before is not None
    many.publish(published(many, dict.fromkeys(before.scans, "other")), before)
    with pytest.raises(Overtaken):
        len(before.scans["s00100"].files)
    assert verify(many) == []


@pytest.mark.parametrize("kind", ["scans", "files"])
@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_record_that_is_lost_or_changed_is_named(tmp_path: Path, kind: str, damage: str) -> None:
    store = Store(tmp_path / "store").create()
    store.publish(published(store, {f"s{n:05d}": "d" for n in range(SCANS + 1)}))
    named, _ = json.loads((store.published_path / "fit.json").read_text())["records"]
    record = store.published_path / "records" / "fit" / f"{named[kind]}.json"
    if damage == "gone":
        record.unlink()  # type: ignore[union-attr]
    else:
        record.write_text("{}")  # type: ignore[union-attr]
    with pytest.raises(StoreError, match=r"record .*(missing|cannot be read)"):
        list(published_files(store.publication("fit")))  # type: ignore[arg-type]
    (finding,) = verify(store)
    assert finding.kind == "unreadable"
    assert finding.stage == "fit"


def test_a_publication_of_the_first_form_is_read_and_put_in_the_new_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "store").create()
    new = published(store, {"one": "d", "two": "d"})
    old = {name: value for name, value in asdict(new).items() if name not in ("tag", "records")}
    path = store.published_path / "fit.json"
    path.parent.mkdir()  # type: ignore[union-attr]
    path.write_text(json.dumps(old))  # type: ignore[union-attr]
    before = store.publication("fit")
    assert before == new
    assert verify(store) == []
    after = published(store, {"three": "d"}, before)
    store.publish(after, before)
    assert json.loads(path.read_text())["format"] == FORM
    assert store.publication("fit") == after
    assert verify(store) == []


def test_a_form_that_comes_later_is_refused_by_name(tmp_path: Path) -> None:
    store = Store(tmp_path / "store").create()
    store.publish(published(store, {"one": "d"}))
    path = store.published_path / "fit.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 3}))  # type: ignore[union-attr]
    with pytest.raises(StoreError, match="format 3"):
        store.publication("fit")
