"""Packed datasets: unpacked where the filter can be had, named where it cannot, and never called damaged."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import InputError
from tests.readers.examples import nxstxm
from tests.readers.examples.planted import planted_counts

hdf5plugin = pytest.importorskip("hdf5plugin")

WITHOUT = """
import sys
sys.modules["hdf5plugin"] = None
from stxmdist import readers
from stxmdist.errors import InputError
for path in sys.argv[1:]:
    try:
        readers.read(path)[0].read(0)
    except InputError as error:
        print(error.sentence)
    else:
        print("read")
"""
"""In a process of its own: a filter that was brought in once stays."""


def packed(path: Path, filter: object, group: str = "counter0") -> Path:
    """A scan whose counts, or those of another detector beside them, are packed by a filter."""
    nxstxm.write(path)
    with h5py.File(path, "a") as file:
        entry = file["entry1"]
        if group not in entry:
            file.copy("entry1/counter0", f"entry1/{group}")
        del entry[group]["data"]
        entry[group].create_dataset("data", data=planted_counts(), chunks=(1, 7, 11), compression=filter)
    return path


FILTERS = {
    "bitshuffle/LZ4 (32008)": lambda: hdf5plugin.Bitshuffle(),
    "bitshuffle/Zstandard (32008)": lambda: hdf5plugin.Bitshuffle(cname="zstd"),
    "LZ4 (32004)": lambda: hdf5plugin.LZ4(),
    "Blosc (32001)": lambda: hdf5plugin.Blosc(),
    "Zstandard (32015)": lambda: hdf5plugin.Zstd(),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("packed")
    named = {name: packed(folder / f"{number}.h5", FILTERS[name]()) for number, name in enumerate(FILTERS)}
    return named | {"beside": packed(folder / "beside.h5", hdf5plugin.LZ4(), "adc")}


@pytest.fixture(scope="module")
def said_without(files: dict[str, Path]) -> dict[str, str]:
    """What is said of each file where hdf5plugin is not installed."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *map(str, files.values())], capture_output=True, text=True, check=True
    )
    return dict(zip(files, done.stdout.splitlines(), strict=True))


@pytest.mark.parametrize("name", FILTERS)
def test_numbers_are_read_where_the_plugin_is_installed(name: str, files: dict[str, Path]) -> None:
    (recording,) = readers.read(files[name])
    np.testing.assert_array_equal(recording.read(2), planted_counts()[2])


@pytest.mark.parametrize("name", FILTERS)
def test_the_filter_is_named_where_it_is_not(name: str, said_without: dict[str, str]) -> None:
    assert f"compressed by the filter {name}, and hdf5plugin is not installed" in said_without[name]
    assert "pip install stxmdist[hdf5plugin]" in said_without[name]
    assert "damaged" not in said_without[name]


def test_a_packed_detector_beside_the_one_that_is_read_does_no_harm(said_without: dict[str, str]) -> None:
    assert said_without["beside"] == "read"


def test_a_damaged_packed_file_is_called_damaged(files: dict[str, Path], tmp_path: Path) -> None:
    content = bytearray(files["LZ4 (32004)"].read_bytes())
    with h5py.File(files["LZ4 (32004)"]) as file:
        piece = file["entry1/counter0/data"].id.get_chunk_info(2)
    content[piece.byte_offset : piece.byte_offset + piece.size] = b"\xff" * piece.size
    path = tmp_path / "hurt.h5"
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        readers.read(path)[0].read(2)


def test_importing_the_readers_brings_in_no_filter() -> None:
    said = "import sys, stxmdist.readers; print('hdf5plugin' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
