"""Values never come from outside the file's folder, over however many files a virtual dataset leads."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import InputError
from tests.readers.examples.nxstxm import write
from tests.readers.examples.planted import Y_UM, planted_counts

DATA = "entry1/counter0/data"
Lead = Callable[[Path, str], None]


def virtual(path: Path, place: str, source: str, name: str) -> None:
    """A dataset at a place, of which all values come from another."""
    counts = planted_counts()
    layout = h5py.VirtualLayout(counts.shape, counts.dtype)
    layout[:] = h5py.VirtualSource(source, name, counts.shape)
    with h5py.File(path, "a") as file:
        if place in file:
            attributes = dict(file[place].attrs)
            del file[place]
        else:
            attributes = {}
        file.create_virtual_dataset(place, layout).attrs.update(attributes)


def by_virtual(path: Path, source: str) -> None:
    virtual(path, "frames", source, "frames")


def by_link(path: Path, source: str) -> None:
    with h5py.File(path, "a") as file:
        file["frames"] = h5py.ExternalLink(source, "frames")


def by_storage(path: Path, source: str) -> None:
    counts = planted_counts()
    with h5py.File(path, "a") as file:
        file.create_dataset("frames", counts.shape, counts.dtype, external=[(source, 0, h5py.h5f.UNLIMITED)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a scan, with files that hold frames in it and beside it."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for place in (folder, tmp_path):
        with h5py.File(place / "raw.h5", "w") as file:
            file["frames"] = planted_counts() + 1
        (place / "raw.bin").write_bytes((planted_counts() + 1).tobytes())
    write(folder / "scan.hdf5")
    return folder


@pytest.mark.parametrize(("lead", "end"), [(by_virtual, "raw.h5"), (by_link, "raw.h5"), (by_storage, "raw.bin")])
@pytest.mark.parametrize("n_between", [1, 2])
@pytest.mark.parametrize("outside", [False, True])
def test_what_a_virtual_dataset_leads_to(lead: Lead, end: str, n_between: int, outside: bool, folder: Path) -> None:
    last = folder / f"hop{n_between - 1}.h5"
    lead(last, str(folder.parent / end) if outside else end)
    for number in range(n_between - 1):
        virtual(folder / f"hop{number}.h5", "frames", f"hop{number + 1}.h5", "frames")
    virtual(folder / "scan.hdf5", DATA, "hop0.h5", "frames")
    if outside or lead is by_storage:
        with pytest.raises(InputError, match="not followed"):
            readers.read(folder / "scan.hdf5")
        return
    (recording,) = readers.read(folder / "scan.hdf5")
    np.testing.assert_array_equal(recording.read(1), planted_counts()[1] + 1)
    assert last in recording.files


def test_a_virtual_dataset_of_its_own_file_that_is_a_link(folder: Path) -> None:
    by_link(folder / "scan.hdf5", str(folder.parent / "raw.h5"))
    virtual(folder / "scan.hdf5", DATA, ".", "frames")
    with pytest.raises(InputError, match="leads out of the file's folder"):
        readers.read(folder / "scan.hdf5")


def test_virtual_datasets_in_a_circle(folder: Path) -> None:
    virtual(folder / "one.h5", "frames", "two.h5", "frames")
    virtual(folder / "two.h5", "frames", "one.h5", "frames")
    virtual(folder / "scan.hdf5", DATA, "one.h5", "frames")
    with pytest.raises(InputError, match="circle"):
        readers.read(folder / "scan.hdf5")


def test_an_axis_stored_outside(folder: Path) -> None:
    (folder.parent / "y.bin").write_bytes(Y_UM.astype("f8").tobytes())
    with h5py.File(folder / "scan.hdf5", "a") as file:
        group = file["entry1/counter0"]
        del group["sample_y"]
        external = [(str(folder.parent / "y.bin"), 0, h5py.h5f.UNLIMITED)]
        group.create_dataset("sample_y", Y_UM.shape, "f8", external=external).attrs["units"] = np.bytes_("um")
    with pytest.raises(InputError, match="stored in a file that is not HDF5"):
        readers.read(folder / "scan.hdf5")
