"""What is visible changes all at once or not at all; one run holds the store; other versions' stores are refused."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from storage.errors import StoreError
from storage.publication import Publication, PublishedScan
from storage.store import FORMAT, VERSION, Store


def test_create_open_and_create_again(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "a" / "store"))
    with pytest.raises(StoreError, match="there is no store here"):
        store.open()
    assert store.create() == store
    assert Store(store.root).open() == store.create() == store
    assert json.loads((store.root / "store.json").read_text()) == {"format": FORMAT, "version": VERSION}


@pytest.mark.parametrize("identity", [{"format": FORMAT, "version": 2}, {"format": "other", "version": 1}, [], 3])
def test_a_store_that_another_version_wrote_is_refused(store: Store, identity: object) -> None:
    (store.root / "store.json").write_text(json.dumps(identity))
    for attempt in (store.open, store.create):
        with pytest.raises(StoreError, match=r"another version of stxmdist wrote this store.*Name a new folder"):
            attempt()
    assert json.loads((store.root / "store.json").read_text()) == identity


def test_a_folder_with_other_files_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match=r"is not a store; got thesis\.tex"):
        Store(tmp_path).create()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../../etc", ".hidden", "a\nb", "x" * 300])
def test_names_cannot_lead_out_of_the_store(store: Store, name: str) -> None:
    for arguments in ((name, "s", "d"), ("fit", name, "d"), ("fit", "s", name)):
        with pytest.raises(StoreError, match="cannot name a folder"):
            store.output(*arguments)
    with pytest.raises(StoreError, match="cannot name a folder"):
        store.publication(name)


def test_nothing_is_visible_before_publication_and_all_of_it_after(store: Store, sample: SimpleNamespace) -> None:
    output = sample.fill(store.output("fit", "s1", "d1"))
    assert store.publication("fit") is None
    assert store.published_output("fit", "s1") is None
    publication = sample.publication_of("fit", {"s1": output})
    store.publish(publication)
    assert store.publication("fit") == publication
    assert store.published_output("fit", "s1") == output
    assert store.published_output("fit", "s2") is None
    assert store.published_stages() == ("fit",)


def test_a_publication_names_inputs_options_versions_seed_and_time(published: Store) -> None:
    head = json.loads((published.published_path / "fit.json").read_text())
    assert {"format", "stage", "version", "options", "seed", "time", "software", "scans", "records"} == set(head)
    (named,) = head["records"]
    files = json.loads((published.published_path / "records" / "fit" / f"{named['files']}.json").read_text())
    fields = "digest state quality units_done units_failed seconds core_seconds bytes inputs options"
    assert all(set(scan) == set(fields.split()) for scan in head["scans"].values())
    assert files == {name: dict(scan.files) for name, scan in published.publication("fit").scans.items()}


def test_an_output_that_is_not_whole_is_not_published(published: Store) -> None:
    before = published.publication("fit")
    scans = {"s3": PublishedScan("d9", "done")}
    with pytest.raises(StoreError, match=r"scan s3 cannot be published.*no such folder"):
        published.publish(replace(before, scans=scans))
    (published.output("fit", "s2", "d1").group_path / "soc" / "c" / "1" / "0").unlink()
    with pytest.raises(StoreError, match=r"soc/c/1/0: scan s2 cannot be published.*no such file"):
        published.publish(before)
    assert published.publication("fit") == before


@pytest.mark.parametrize("content", ['{"stage": "fit"', "[]", '{"stage": "fit"}', '{"scans": {"s1": {"digits": 1}}}'])
def test_a_publication_of_another_form_is_refused(published: Store, content: str) -> None:
    (published.published_path / "fit.json").write_text(content)
    with pytest.raises(StoreError, match=r"fit\.json"):
        published.publication("fit")


PUBLISHER = """
import sys
from dataclasses import replace
from storage.store import Store

store = Store(sys.argv[1])
old = store.publication("fit")
n = 0
while True:
    n += 1
    scans = {name: replace(scan, quality={"n": [n] * 500}) for name, scan in old.scans.items()}
    store.publish(replace(old, options={"n": n}, scans=scans))
    if n == 1:
        print("publishing", flush=True)
"""


def consistent(publication: Publication) -> int:
    """The number of a publication, after checking that all its parts are of one publishing."""
    n = publication.options["n"]
    assert all(scan.quality == {"n": [n] * 500} for scan in publication.scans.values())
    return n


@pytest.mark.faults
@pytest.mark.long
def test_readers_see_whole_publications_only_also_after_kill(
    published: Store, start_python: Callable[..., object]
) -> None:
    publisher = start_python(PUBLISHER, published.root)
    publisher.stdout.readline()
    seen = []
    try:
        while len(set(seen)) < 5 and publisher.poll() is None:
            seen.append(consistent(published.publication("fit")))
    finally:
        publisher.kill()
        publisher.communicate()
    assert seen == sorted(seen)
    assert consistent(published.publication("fit")) >= seen[-1]


@pytest.mark.long
def test_a_second_run_is_refused_and_told_who_holds_the_store(
    store: Store, start_python: Callable[..., object]
) -> None:
    code = """
import sys, time
from storage.store import Store
with Store(sys.argv[1]).lock("run of campaign x"):
    print("held", flush=True)
    time.sleep(60)
"""
    holder = start_python(code, store.root)
    assert holder.stdout.readline().strip() == "held"
    with (
        pytest.raises(StoreError, match=rf"run of campaign x, process {holder.pid} on .*one run at a time"),
        store.lock(),
    ):
        pass
    holder.kill()
    holder.communicate()
    with store.lock():
        pass


def test_the_lock_counts_between_threads_and_ends_with_an_error(store: Store) -> None:
    refused: list[str] = []

    def second() -> None:
        try:
            with store.lock():
                refused.append("no")
        except StoreError as error:
            refused.append(error.problem)

    def failing() -> None:
        with store.lock():
            thread = threading.Thread(target=second)
            thread.start()
            thread.join()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert refused == ["another process is using this store"]
    with store.lock():
        pass
