"""A few bytes that stand for more numbers than fit into memory are refused when a header is read."""

import tracemalloc
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import InputError
from stxmdist.readers.hdf5 import MOST_PARTS
from stxmdist.readers.hdf5_heaps import MOST_TEXT_BYTES
from tests.readers.examples import cxi, ptyd, pystxmcontrol
from tests.readers.examples.nxstxm import write

MOST_BYTES = 50e6
"""A refusal wants some metadata, no array of the file's making."""


def refusal(path: Path) -> str:
    """What is said of a file, with little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as caught:
            readers.read(path)
        # What is not even known as a beamline file is refused by both.
        with suppress(InputError):
            assert not readers.describe(path).usable
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    return caught.value.sentence


def replaced(path: Path, place: str, shape: tuple[int, ...], chunks: tuple[int, ...] | None = None) -> None:
    """Another dataset of zeros in its place, of which nothing was written."""
    with h5py.File(path, "a") as file:
        attributes = dict(file[place].attrs)
        del file[place]
        dataset = file.create_dataset(place, shape, "u2", chunks=chunks, compression="gzip" if chunks else None)
        dataset.attrs.update(attributes)
        if chunks:
            dataset[(0,) * len(shape)] = 1


def test_images_larger_than_any(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.hdf5", y=np.arange(30_000.0), x=np.arange(30_000.0))
    replaced(path, "entry1/counter0/data", (5, 30_000, 30_000), (1, 8, 8))
    assert "no plausible size" in refusal(path)


def test_a_line_longer_than_any(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.hdf5", scan_type="sample line spectrum")
    replaced(path, "entry1/counter0/data", (5, 10**12), (1, 8))
    with h5py.File(path, "a") as file:
        file["entry1/counter0"].attrs["axes"] = [np.bytes_("energy"), np.bytes_("line_position")]
    assert "no plausible size" in refusal(path)


def test_pieces_that_unpack_to_more_than_fits(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.hdf5")
    with h5py.File(path, "a") as file:
        group = file["entry1/counter0"]
        del group["data"]
        packed = group.create_dataset("data", (5, 7, 11), "f8", maxshape=(None,) * 3, chunks=(500, 700, 511))
        assert packed.chunks == (500, 700, 511)
    assert "no plausible size" in refusal(path)


def test_a_string_as_long_as_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.hdf5")
    with h5py.File(path, "a") as file:
        del file["entry1/definition"]
        file["entry1"].create_dataset("definition", (1,), dtype="S2000000000")
    with pytest.raises(InputError, match="no plausible size"):
        readers.read(path)


@pytest.mark.parametrize(
    ("example", "place", "shape"),
    [
        (cxi, "entry_1/instrument_1/detector_1/data", (13, 10**6, 10**6)),
        (ptyd, "chunks/0/data", (5, 10**6, 10**6)),
        (pystxmcontrol, "entry0/ccd0/exp/0", (10**6, 10**6)),
    ],
)
def test_camera_frames_larger_than_any(example: ModuleType, place: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    path = example.write_example(tmp_path)
    replaced(path, place, shape, (1, 8, 8)[-len(shape) :])
    assert "no plausible size" in refusal(path)


def test_more_dark_frames_than_any_scan_has(tmp_path: Path) -> None:
    path = cxi.write_example(tmp_path)
    with h5py.File(path, "a") as file:
        file.create_dataset("entry_1/instrument_1/detector_1/data_dark", (10**9, 16, 16), "u2", chunks=(1, 16, 16))
    assert "more dark frames than any scan has" in refusal(path)


def test_a_string_of_varying_length_as_long_as_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.hdf5")
    with h5py.File(path, "a") as file:
        del file["entry1/definition"]
        file["entry1/definition"] = "x" * (MOST_TEXT_BYTES + 1)
    assert f"more than {MOST_TEXT_BYTES >> 20} MiB" in refusal(path)


@pytest.mark.parametrize("place", ["/", "entry1"])
def test_more_groups_than_a_scan_has_parts(place: str, tmp_path: Path) -> None:
    path = write(tmp_path / "scan.hdf5")
    with h5py.File(path, "a") as file:
        for number in range(MOST_PARTS + 1):
            file.create_group(f"{place}/g{number}")
    assert "the group has no plausible size" in refusal(path)
