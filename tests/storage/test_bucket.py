"""Buckets: who may come in, who wins, and what is said when nobody answers."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage import lease
from storage.bucket import BucketPath, bucket_path
from storage.bucket_access import PATIENCE, client_of
from storage.errors import StoreError
from storage.place import place_of
from storage.store import Store
from tests.seaweed import Seaweed, seaweed


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://key:hush@bucket/prefix", "credentials and options do not belong"),
        ("s3://bucket/prefix?secret_access_key=hush", "credentials and options do not belong"),
        ("s3://bucket/prefix#hush", "credentials and options do not belong"),
        ("ftp://bucket/hush", "stores of this kind are not known"),
        ("s3://bucket", "names no place in a bucket"),
        ("s3://bucket/../other", "names no place in a bucket"),
        ("s3://[hush", "cannot be read"),
    ],
)
def test_addresses_that_are_none_or_hold_credentials_are_refused(address: str, words: str) -> None:
    with pytest.raises(StoreError, match=words) as caught:
        bucket_path(address)
    assert "hush" not in str(caught.value)


def test_an_address_names_a_place_and_its_parts() -> None:
    place = place_of("s3://bucket/a/b/")
    assert isinstance(place, BucketPath)
    inner = place / "c" / "d.json"
    assert str(inner) == "s3://bucket/a/b/c/d.json"
    assert (inner.name, inner.stem, inner.suffix, str(inner.parent)) == ("d.json", "d", ".json", "s3://bucket/a/b/c")
    assert str(inner.relative_to(place)) == "c/d.json"
    assert inner.is_relative_to(place)
    assert not place_of("s3://bucket/a/bc").is_relative_to(place)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="is not below"):
        place.relative_to(inner)


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home folder without a profile, and an environment without credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    client_of.cache_clear()
    return tmp_path / ".aws"


def test_without_credentials_it_is_said_where_they_belong(no_credentials: Path) -> None:
    with pytest.raises(StoreError, match=r"nothing says who asks this bucket.*never in a campaign file"):
        Store("s3://tests/prefix").create()


def test_credentials_go_in_the_clear_to_no_other_machine(no_credentials: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (no_credentials / "credentials").write_text("[default]\naws_access_key_id = k\naws_secret_access_key = hu%sh\n")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://192.0.2.1:9000")
    with pytest.raises(StoreError, match="not encrypted") as caught:
        Store("s3://tests/prefix").create()
    assert "hu%sh" not in str(caught.value)


def test_a_profile_opens_the_bucket_and_a_wrong_secret_does_not(
    seaweed_server: Seaweed, no_credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = seaweed_server
    monkeypatch.setenv("AWS_PROFILE", "lab")
    (no_credentials / "config").write_text(
        f"[profile lab]\nendpoint_url = {server.environment['AWS_ENDPOINT_URL']}\nregion = us-east-1\n"
    )
    keys = f"[lab]\naws_access_key_id = {server.key}\naws_secret_access_key = "
    (no_credentials / "credentials").write_text(f"{keys}{server.secret}\n")
    place = place_of("s3://tests/profile")
    assert isinstance(place, BucketPath)
    (place / "x").put(b"1")
    (no_credentials / "credentials").write_text(f"{keys}hush-hush\n")
    client_of.cache_clear()
    with pytest.raises(OSError, match="does not let these credentials") as caught:
        (place / "x").read_bytes()
    assert "hush" not in str(caught.value)
    client_of.cache_clear()


def test_a_bucket_that_is_not_there_is_said_to_be_so(bucket: str) -> None:
    with pytest.raises(StoreError, match=r"there is no such bucket.*Make it with the tools of its server"):
        Store("s3://nobodys/prefix").create()


@pytest.mark.parametrize(
    ("n_racers", "n_races"), [(4, 3), pytest.param(8, 10, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_of_many_that_put_at_once_exactly_one_wins(bucket: str, n_racers: int, n_races: int) -> None:
    place = place_of(bucket)
    assert isinstance(place, BucketPath)
    with ThreadPoolExecutor(n_racers) as pool:
        for n in range(n_races):
            one = place / f"new-{n}"
            put = pool.map(one.put_new, [b"%d" % i for i in range(n_racers)])
            won = [i for i, tag in enumerate(put) if tag is not None]
            assert [one.read_bytes()] == [b"%d" % i for i in won]
    head = place / "head"
    head.put(b"0")

    def count(_: int) -> None:
        for _ in range(n_races):
            while True:
                content, tag = head.read_tagged()
                # The writer stands in it: otherwise two that write the same number could not be told apart.
                mine = b"%d %s" % (int(content.split()[0]) + 1, str(threading.get_ident()).encode())
                if head.put_instead(mine, tag) is not None:
                    break

    with ThreadPoolExecutor(n_racers) as pool:
        list(pool.map(count, range(n_racers)))
    assert head.read_bytes().split()[0] == b"%d" % (n_racers * n_races)


def test_a_lock_that_nobody_writes_any_more_is_taken_over_and_a_living_one_is_not(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_S", 0.2)
    monkeypatch.setattr(lease, "BEAT_S", 0.5)
    store = Store(bucket).create()
    with store.lock("alive"):
        time.sleep(1.2)
        with pytest.raises(StoreError, match="got alive, process"), store.lock():
            pass
    left = {"holder": "run, process 1 on elsewhere", "machine": "elsewhere", "process": 1, "token": "t"}
    (store.root / ".lock").put(json.dumps(left).encode())  # type: ignore[union-attr]
    time.sleep(1.2)
    with store.lock("taken over"):
        assert json.loads((store.root / ".lock").read_bytes())["holder"].startswith("taken over")


def test_a_recent_lock_of_another_machine_refuses_at_once(bucket: str) -> None:
    store = Store(bucket).create()
    left = {"holder": "run, process 1 on elsewhere", "machine": "elsewhere", "process": 1, "token": "t"}
    (store.root / ".lock").put(json.dumps(left).encode())  # type: ignore[union-attr]
    with pytest.raises(StoreError, match="got run, process 1 on elsewhere"), store.lock():
        pass


@pytest.mark.faults
@pytest.mark.slow
def test_a_server_that_was_killed_is_waited_for_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with seaweed(tmp_path / "own") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        client_of.cache_clear()
        place = place_of("s3://tests/killed")
        assert isinstance(place, BucketPath)
        for n in range(5):
            (place / f"before-{n}").put(b"%d" % n * 1000)
        server.kill()
        again = threading.Timer(1.0, server.start)
        again.start()
        # Waits for the server, and asks again.
        (place / "after").put(b"there")
        again.join()
        assert (place / "after").read_bytes() == b"there"
        assert [(place / f"before-{n}").read_bytes() for n in range(5)] == [b"%d" % n * 1000 for n in range(5)]
        server.kill()
        monkeypatch.setenv(PATIENCE, "0.5")
        client_of.cache_clear()
        with pytest.raises(StoreError, match=r"the bucket does not do what it was asked.*finished units are kept"):
            Store("s3://tests/killed/store").create()
    client_of.cache_clear()


N_RACES = 50

RACER = """
import sys
from storage.errors import StoreError
from storage.publication import Publication, PublishedScan
from storage.atomic import replace_file
from storage.store import Store
for line in sys.stdin:
    store = Store(f"{sys.argv[1]}/{line.strip()}")
    try:
        with store.create().lock(f"run {sys.argv[2]}"):
            replace_file(store.output("fit", sys.argv[2], "d").path / "x", [b"x"])
            before = store.publication("fit")
            scans = {**({} if before is None else before.scans), sys.argv[2]: PublishedScan("d", "done")}
            store.publish(Publication("fit", 1, {}, 0, "", {}, scans), before)
            print("won", flush=True)
            sys.stdin.readline()
    except StoreError as error:
        print(error.problem if "another process" in error.problem else error.sentence, flush=True)
        sys.stdin.readline()
"""


@pytest.mark.faults
@pytest.mark.slow
def test_of_two_runs_that_start_at_once_one_wins_every_time(bucket: str, start_python: Callable[..., object]) -> None:
    racers = [start_python(RACER, bucket, name) for name in ("one", "two")]
    for n in range(N_RACES):
        for racer in racers:
            racer.stdin.write(f"race-{n}\n")
            racer.stdin.flush()
        said = [racer.stdout.readline().strip() for racer in racers]
        assert sorted(said) == ["another process is using this store", "won"], said
        published = Store(f"{bucket}/race-{n}").publication("fit")
        assert published is not None
        assert list(published.scans) == [("one", "two")[said.index("won")]]
        for racer in racers:
            racer.stdin.write("\n")
            racer.stdin.flush()
    for racer in racers:
        racer.communicate()
