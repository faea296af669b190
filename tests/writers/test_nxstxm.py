"""NXstxm stacks in every dialect, read back with h5py by the rules that other programs read them by."""

from datetime import datetime
from pathlib import Path

import h5py
import numpy as np
import pytest

from stxmdist.errors import InputError
from stxmdist.writers.nxstxm import writer as nxstxm
from stxmdist.writers.nxstxm.table import DIALECTS

START = datetime(2026, 3, 4, 23, 58, 9)
ENERGY_EV = np.array([700.0, 706.5, 708.2, 710.2])
Y_UM = 3.0 + 0.05 * np.arange(7)
X_UM = -2.0 + 0.05 * np.arange(5)
CURRENT_MA = np.array([401.0, 400.5, 400.25, 400.0])
DWELL_MS = 4.0
SPECIFIED = ("pollux", "softimax", "cls")


def counts(index: int) -> np.ndarray:
    return np.random.default_rng(index).poisson(1000, (7, 5))


def write(folder: Path, dialect: str, frame_of=counts, **options) -> Path:
    (path,) = nxstxm.write_stack(
        folder / f"{dialect}.hdf5", frame_of, ENERGY_EV, Y_UM, X_UM, DWELL_MS, CURRENT_MA, start_time=START,
        dialect=dialect, **options,
    )  # fmt: skip
    return path


def channel_of(file: h5py.File) -> h5py.Group:
    """Any group two levels down that holds counts and axes, whatever its class says."""
    found = [
        group
        for entry in file.values()
        for group in entry.values()
        if isinstance(group, h5py.Group) and "sample_x" in group and "data" in group and "count_time" in group
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_counts_and_axes_come_back(tmp_path: Path, dialect: str) -> None:
    with h5py.File(write(tmp_path, dialect)) as file:
        channel = channel_of(file)
        np.testing.assert_array_equal(channel["data"][...], [counts(i) for i in range(4)])
        energy = channel["photon_energy" if dialect == "diamond" else "energy"]
        np.testing.assert_array_equal(energy[...], ENERGY_EV)
        np.testing.assert_array_equal(channel["sample_y"][...], Y_UM)
        np.testing.assert_array_equal(channel["sample_x"][...], X_UM)
        seconds = channel["count_time"][...] * (1e-3 if dialect == "pystxmcontrol" else 1.0)
        np.testing.assert_allclose(seconds, DWELL_MS * 1e-3)
        assert channel.parent["definition"][...].ravel()[0] == b"NXstxm"
    assert [path.name for path in tmp_path.iterdir()] == [f"{dialect}.hdf5"]


@pytest.mark.parametrize("dialect", SPECIFIED)
def test_what_the_definition_requires_is_there(tmp_path: Path, dialect: str) -> None:
    with h5py.File(write(tmp_path, dialect)) as file:
        entry = file["entry1"]
        for path, nx_class in {
            "": b"NXentry", "instrument": b"NXinstrument", "instrument/source": b"NXsource",
            "instrument/monochromator": b"NXmonochromator", "instrument/counter0": b"NXdetector",
            "sample": b"NXsample", "counter0": b"NXdata", "control": b"NXmonitor",
        }.items():  # fmt: skip
            assert (entry[path] if path else entry).attrs["NX_class"] == nx_class
        for path in ("title", "start_time", "end_time", "instrument/source/type", "instrument/source/name"):
            assert path in entry
        for path in ("instrument/source/probe", "instrument/monochromator/energy", "sample/rotation_angle"):
            assert path in entry
        channel = entry["counter0"]
        assert list(channel.attrs["axes"]) == [b"energy", b"sample_y", b"sample_x"]
        assert channel.attrs["signal"] == b"data"
        assert channel["stxm_scan_type"][0] == b"sample image stack"
        np.testing.assert_array_equal(entry["instrument/counter0/data"][...], channel["data"][...].ravel())
        control = entry["control"]
        assert control["data"].shape == channel["data"].shape
        np.testing.assert_array_equal(control["data"][:, 3, 2], CURRENT_MA)
        assert control["data"].attrs["units"] == b"mA"
        assert control["energy"] == channel["energy"]
        assert channel["data"].chunks == (1, 7, 5)


def test_every_dataset_of_pollux_stands_where_the_real_file_has_it(tmp_path: Path, shared_data: Path) -> None:
    with (
        h5py.File(shared_data / "pollux-nxstxm" / "Sample_Stack_2021-03-16_128.hdf5") as real,
        h5py.File(write(tmp_path, "pollux")) as ours,
    ):
        for name in ("counter0", "control", "definition", "start_time", "title", "sample/rotation_angle",
                     "instrument/source/name", "instrument/counter0/data"):  # fmt: skip
            mine, theirs = ours["entry1"][name], real["entry1"][name]
            assert type(mine) is type(theirs)
            assert mine.attrs.get("NX_class") == theirs.attrs.get("NX_class")
        for name in ("counter0", "control"):
            mine, theirs = ours["entry1"][name], real["entry1"][name]
            assert set(mine) <= set(theirs)
            assert set(mine.attrs) == set(theirs.attrs)
            for axis in ("energy", "sample_x", "sample_y"):
                assert mine[axis].attrs["target"] == theirs[axis].attrs["target"]
        assert ours["entry1/definition"].shape == real["entry1/definition"].shape == (1,)


def test_each_dialect_has_its_marks(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path, "diamond")) as file:
        channel = file["entry1/Counter1"]
        assert "axes" not in channel.attrs
        assert [channel[a].attrs["axis"] for a in ("photon_energy", "sample_y", "sample_x")] == [1, 2, 3]
    with h5py.File(write(tmp_path, "hermes")) as file:
        assert "NX_class" not in file["entry1"].attrs
        assert file["entry1/collection/beamline"][0] == b"Hermes"
    with h5py.File(write(tmp_path, "softimax")) as file:
        assert b"Softimax" in file["entry1/collection/beamline"][0]
    with h5py.File(write(tmp_path, "cls")) as file:
        assert file["entry1/counter0/data"].dtype == np.float32
        assert file["entry1/counter0/data"].attrs["signal"] == "1"
    with h5py.File(write(tmp_path, "pystxmcontrol")) as file:
        assert file["entry0/version"][()] == 3.0
        assert file["entry0/instrument/default"].attrs["type"] == b"photon"
        assert file["entry0/instrument/default/data"].shape == (4, 35)
        assert file["entry0/default/data"].chunks is None
        assert file["entry0/sample/rotation_angle"][()] == b""


@pytest.mark.parametrize("dialect", DIALECTS)
def test_frames_of_an_aborted_scan_are_left_as_the_program_leaves_them(tmp_path: Path, dialect: str) -> None:
    with h5py.File(write(tmp_path, dialect, frames=[0, 1])) as file:
        data = channel_of(file)["data"]
        np.testing.assert_array_equal(data[:2], [counts(0), counts(1)])
        assert np.all(data[2:] == 0) if dialect == "pystxmcontrol" else np.all(np.isnan(data[2:]))


def test_type_of_counts_may_be_chosen(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path, "pollux")) as file:
        assert file["entry1/counter0/data"].dtype == np.uint32
    with h5py.File(write(tmp_path, "pollux", dtype=np.float32)) as file:
        assert file["entry1/counter0/data"].dtype == np.float32
    with pytest.raises(InputError, match="NaN"):
        write(tmp_path, "pollux", dtype=np.uint32, frames=[0])


def test_bad_input_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="dialect"):
        write(tmp_path, "bessy")
    with pytest.raises(InputError, match="does not fit"):
        write(tmp_path, "pollux", lambda index: counts(index).T)
    assert list(tmp_path.iterdir()) == []
