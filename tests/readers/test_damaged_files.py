"""Truncated files and flipped bytes: an InputError that names the file, or a recording; never another exception."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import InputError
from stxmdist.readers import PtychographyRecording
from tests.readers.contract import write_example

pytestmark = pytest.mark.long

TRIES = 30


def read_all(path: Path) -> list[np.ndarray] | None:
    """All frames of a file; None where it is refused in so many words."""
    frames = []
    refused = None
    try:
        readers.describe(path)
        for recording in readers.read(path):
            for energy in range(len(recording.energy_ev)):
                many = isinstance(recording, PtychographyRecording)
                frames.append(recording.read(energy, slice(None)) if many else recording.read(energy))
    except InputError as error:
        refused = error
    if refused is None:
        return frames
    assert path.stem in refused.where, refused
    assert refused.mend
    return None


@pytest.fixture(params=[*readers.READERS, "nxstxm compressed"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    import h5py

    name, _, compressed = request.param.partition(" ")
    made = write_example(name, tmp_path, small=True)
    if compressed:
        with h5py.File(made, "a") as file:
            counts = file["entry1/counter0/data"][()]
            del file["entry1/counter0/data"]
            file["entry1/counter0"].create_dataset(
                "data", data=counts, chunks=(1, 7, 11), compression="gzip", fletcher32=True
            )
    return made


def test_truncated_gives_an_error_or_the_right_numbers(path: Path) -> None:
    right = read_all(path)
    assert right is not None
    whole = path.read_bytes()
    refused = 0
    for length in np.linspace(1, len(whole) - 1, TRIES).astype(int):
        path.write_bytes(whole[:length])
        frames = read_all(path)
        refused += frames is None
        if frames is not None:
            assert len(frames) == len(right)
            for one, other in zip(frames, right, strict=True):
                np.testing.assert_array_equal(one, other)
    assert refused > TRIES / 2


def test_flipped_bytes_never_raise_anything_else(path: Path) -> None:
    rng = np.random.default_rng(20261122)
    whole = path.read_bytes()
    for _ in range(TRIES):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            damaged[at] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        read_all(path)


def test_real_files_damaged(shared_data: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for source in (
        shared_data / "pollux-nxstxm" / "Sample_Image_2021-03-16_095.hdf5",
        shared_data / "cosmic-ni" / "ptycho-scan-856eV.cxi",
        shared_data / "cosmic-ni" / "stxm-scan.hdr",
    ):
        copy = tmp_path / source.name
        shutil.copyfile(source, copy)
        whole = copy.read_bytes()
        for length in (8, len(whole) // 3, len(whole) - 1):
            copy.write_bytes(whole[:length])
            assert read_all(copy) is None
        for _ in range(8):
            damaged = bytearray(whole)
            for at in rng.integers(0, min(len(whole), 60_000), 4):
                damaged[at] ^= 0xFF
            copy.write_bytes(damaged)
            read_all(copy)
