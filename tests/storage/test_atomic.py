"""A file is there whole or not at all, and a full disk is said in words."""

import ctypes
import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import pytest

from storage.atomic import plain_json, read_json_object, replace_file, replace_json, replace_link, replacing
from storage.errors import StoreError
from storage.output import ArrayPlan
from storage.store import Store
from storage.tables import write_data_dictionary

DISK_BYTES = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte, where this process may make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    mounted = hasattr(libc, "mount") and not libc.mount(
        b"tmpfs", bytes(folder), b"tmpfs", 0, f"size={DISK_BYTES}".encode()
    )
    if not mounted:
        pytest.skip("this process may not mount a small file system")
    yield folder
    libc.umount2(bytes(folder), 2)


def leftovers(folder: Path) -> list[Path]:
    return list(folder.rglob("*.partial"))


@pytest.mark.faults
def test_a_full_disk_says_how_much_was_wanted_and_publishes_nothing(small_disk: Path) -> None:
    store = Store(small_disk / "store").create()
    output = store.output("fit", "s1", "d1")
    output.declare([ArrayPlan("soc", (1000, 1000), shards=(500, 1000))])
    noise = np.random.default_rng(0).random((500, 1000), np.float32)
    with pytest.raises(StoreError, match=r"disk is full, nothing was published; .*room for \d{7} bytes.*stxmdist gc"):
        output.write("u", {"soc": [(0, 0)]}, "soc", (0, 0), noise)
    assert leftovers(small_disk) == []
    assert output.absent("soc") == [(0, 0), (1, 0)]
    assert store.published_stages() == ()


def no_space(*_: object, **__: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    path = tmp_path / "published" / "fit.json"
    replace_json(path, {"old": 1})
    monkeypatch.setattr(os, call, no_space)
    with pytest.raises(StoreError, match=r"disk is full, nothing was published.*room for 11 bytes"):
        replace_file(path, [b"hello ", b"world"])
    monkeypatch.undo()
    assert path.read_text() == '{\n "old": 1\n}\n'
    assert leftovers(tmp_path) == []


@pytest.mark.faults
def test_a_full_disk_at_declaration_and_marking(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    output = store.output("fit", "s1", "d1")
    monkeypatch.setattr(os, "write", no_space)
    with pytest.raises(StoreError, match="disk is full"):
        output.declare([ArrayPlan("soc", (13, 7))])
    with pytest.raises(StoreError, match="disk is full"):
        output.mark("u", {})
    with pytest.raises(StoreError, match="disk is full"):
        write_data_dictionary(store.root)
    monkeypatch.undo()
    assert leftovers(store.root) == []
    assert not output.group_path.exists()
    assert output.done() == frozenset()


def test_another_refusal_is_not_called_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match=r"cannot be written.*Check permissions"):
        replace_file(tmp_path / "file" / "x", [b"1"])


def test_parts_are_joined_and_hashed(tmp_path: Path) -> None:
    parts = [b"ab", memoryview(np.arange(3, dtype="<u2")), b""]
    sha256 = replace_file(tmp_path / "f", parts)
    content = b"ab\x00\x00\x01\x00\x02\x00"
    assert (tmp_path / "f").read_bytes() == content
    assert sha256 == hashlib.sha256(content).hexdigest()


def test_a_link_is_switched_and_never_covers_a_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        replace_link(tmp_path / "link", tmp_path / name)
        assert (tmp_path / "link").resolve() == (tmp_path / name).resolve()
        assert not os.path.isabs(os.readlink(tmp_path / "link"))
    with pytest.raises(StoreError, match="stands where the store keeps a link"):
        replace_link(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_block_makes_takes_its_place_whole(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "deep" / "target"

    def make(partial: Path, text: str) -> None:
        if kind == "folder":
            partial.mkdir()
            partial = partial / "inside"
        partial.write_text(text)

    def found() -> str:
        return (target / "inside" if kind == "folder" else target).read_text()

    with replacing(target) as partial:
        make(partial, "first")
        assert not target.exists()
        assert partial.parent == target.parent
    assert found() == "first"

    def broken() -> None:
        with replacing(target) as partial:
            make(partial, "second")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert found() == "first"
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_that_holds_something_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "kept").touch()

    def replace() -> None:
        with replacing(tmp_path / "a") as partial:
            partial.mkdir()

    with pytest.raises(OSError, match="not empty"):
        replace()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["a", "a/kept"]


class Code(IntEnum):
    EDGE = 2


@dataclass(frozen=True)
class Record:
    width_um: float
    shape: tuple[int, int]
    detector: str | None
    leak: float | None = None


def test_json_says_records_arrays_and_what_is_not_known() -> None:
    said = plain_json({"a": np.float32(0.5), 3: np.array([1.0, np.nan]), "path": Path("x") / "y", "code": Code.EDGE})
    assert said == {"a": 0.5, "3": [1.0, None], "path": "x/y", "code": 2}
    # What does not apply is left out; what is not known is null.
    assert plain_json(Record(float("inf"), (2, 3), None)) == {"width_um": None, "shape": [2, 3], "detector": None}
    assert plain_json(Record(1.0, (2, 3), "ccd", leak=0.1))["leak"] == 0.1
    with pytest.raises(TypeError, match="set has no form in JSON"):
        plain_json({"a": {1, 2}})


@pytest.mark.parametrize("text", ["[1, 2]", "{", ""])
def test_a_record_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "store.json").write_text(text)
    with pytest.raises(StoreError, match="the store's own record cannot be read"):
        read_json_object(tmp_path / "store.json")
