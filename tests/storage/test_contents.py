"""A file's content decides whether it is the same; what was read once is not read again, in a copy either."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from storage import contents
from storage.contents import RECORD, SAMPLE_BYTES, Contents, content_of, still_holds
from storage.errors import StoreError
from storage.store import Store

LONG = bytes(range(251)) * 1200


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A campaign's folder with a store and two files."""
    Store(tmp_path / "campaign" / "store").create()
    (tmp_path / "campaign" / "one.hdf5").write_bytes(LONG)
    (tmp_path / "campaign" / "two.hdf5").write_bytes(b"")
    return tmp_path / "campaign"


@pytest.fixture
def read_whole(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read whole from now on."""
    names: list[str] = []
    measured = contents.sha256_of_file

    def counted(path: Path) -> str:
        names.append(path.name)
        return measured(path)

    monkeypatch.setattr(contents, "sha256_of_file", counted)
    return names


def known(folder: Path) -> Contents:
    """What a process that begins now knows."""
    return Contents(folder / "store")


def put(path: Path, at: int, byte: bytes) -> None:
    """Change one byte and leave the size and the time of the file as they were."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        file.write(byte)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_file_is_read_whole_once_in_the_life_of_a_store(folder: Path, read_whole: list[str]) -> None:
    for _ in range(3):
        known(folder).learn([folder / "one.hdf5", folder / "two.hdf5", folder / "none.hdf5"])
    assert sorted(read_whole) == ["one.hdf5", "two.hdf5"]
    found = known(folder).of(folder / "one.hdf5")
    assert (found.bytes, found.sha256) == (len(LONG), hashlib.sha256(LONG).hexdigest())
    assert len(read_whole) == 2


def test_a_copy_knows_what_the_original_knew_and_times_alone_change_nothing(
    folder: Path, read_whole: list[str]
) -> None:
    before = known(folder).of(folder / "one.hdf5")
    moved = folder.with_name("moved")
    shutil.copytree(folder, moved)
    assert known(moved).of(moved / "one.hdf5") == before
    assert read_whole == ["one.hdf5"]
    os.utime(moved / "one.hdf5", ns=(0, 0))
    assert known(moved).of(moved / "one.hdf5").sha256 == before.sha256
    assert read_whole == ["one.hdf5"] * 2
    assert known(moved).of(moved / "one.hdf5").mtime_ns == 0
    assert read_whole == ["one.hdf5"] * 2


@pytest.mark.parametrize("at", [0, SAMPLE_BYTES - 1, len(LONG) // 3, 2 * len(LONG) // 3 + 7, len(LONG) - 1])
def test_another_content_of_the_same_size_and_time_is_seen_in_the_sample(folder: Path, at: int) -> None:
    before = known(folder).of(folder / "one.hdf5")
    put(folder / "one.hdf5", at, b"\xff")
    assert (
        known(folder).of(folder / "one.hdf5").sha256 == hashlib.sha256((folder / "one.hdf5").read_bytes()).hexdigest()
    )
    assert not still_holds(folder / "one.hdf5", before)


def test_what_the_sample_does_not_see_is_found_by_reading_all(folder: Path) -> None:
    path = folder / "one.hdf5"
    before = known(folder).of(path)
    known(folder).of(folder / "two.hdf5")
    assert known(folder).recheck() == (2, [])
    put(path, len(LONG) // 6, b"\xff")
    assert known(folder).of(path) == before
    assert known(folder).recheck() == (2, [path])
    # Now it is known, and the next run takes the file as new.
    assert known(folder).of(path).sha256 == content_of(path).sha256 != before.sha256
    path.unlink()
    assert known(folder).recheck() == (1, [])


def test_a_file_that_is_gone_is_said_and_no_longer_holds_what_it_held(folder: Path) -> None:
    path = folder / "one.hdf5"
    before = known(folder).of(path)
    os.utime(path, ns=(0, 0))
    assert still_holds(path, before)
    path.unlink()
    assert not still_holds(path, before)
    with pytest.raises(StoreError, match="cannot be found"):
        known(folder).of(path)


@pytest.mark.parametrize("text", ["{", "[]", '{"../one.hdf5": [1, 2]}', '{"../one.hdf5": null}'])
def test_a_damaged_record_is_forgotten(folder: Path, text: str) -> None:
    before = known(folder).of(folder / "one.hdf5")
    (folder / "store" / RECORD).write_text(text)
    assert known(folder).of(folder / "one.hdf5") == before


def test_nothing_is_written_before_there_is_a_store(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(LONG)
    Contents(tmp_path / "store").of(tmp_path / "one")
    assert not (tmp_path / "store").exists()
