"""Which of several detectors is the scan, and what a stack runs over that is no stack of energies."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import UnsupportedError
from stxmdist.readers.recording import StxmRecording
from stxmdist.writers.nxstxm import writer

Write = Callable[..., Path]


def read(path: Path) -> StxmRecording:
    (recording,) = readers.read(path)
    assert isinstance(recording, StxmRecording)
    return recording


@pytest.fixture
def control(planted: np.ndarray, tmp_path: Path) -> Path:
    """A stack of pystxmcontrol with one detector."""
    made = tmp_path / "scan.stxm"
    axes = (np.arange(700.0, 705.0), np.arange(7.0), np.arange(11.0))
    when = datetime(2026, 1, 2)
    writer.write_stack(made, lambda index: planted[index], *axes, 2.5, 399.0, start_time=when, dialect="pystxmcontrol")
    return made


def add(path: Path, like: str, name: str, data: np.ndarray) -> None:
    """Another detector on the same axes."""
    with h5py.File(path, "a") as file:
        entry = file[like].parent
        file.copy(like, entry, name)
        del entry[name]["data"]
        entry[name]["data"] = data


def renamed(path: Path, old: str, new: str) -> None:
    with h5py.File(path, "a") as file:
        file.move(old, new)


def test_what_the_control_program_takes_for_the_scan(control: Path, planted: np.ndarray) -> None:
    for name in ("adc", "Counter1"):
        add(control, "entry0/default", name, np.full_like(planted, 2.5))
    recording = read(control)
    np.testing.assert_array_equal(recording.read(1), planted[1])
    assert "channel default is read, not Counter1, adc" in recording.notes


@pytest.mark.parametrize(
    ("right", "wrong"), [("Counter1", "Analog0"), ("PMT", "Io"), ("diode", "adc"), ("xyz", "adc"), ("xyz", "abc")]
)
def test_counters_before_voltages(
    right: str, wrong: str, write_nxstxm: Write, planted: np.ndarray, tmp_path: Path
) -> None:
    """By their names, or, where these say nothing, by their numbers."""
    path = write_nxstxm(tmp_path / "scan.hdf5")
    add(path, "entry1/counter0", wrong, planted * 1e-3)
    renamed(path, "entry1/counter0", f"entry1/{right}")
    recording = read(path)
    assert f"channel {right} is read, not {wrong}" in recording.notes
    np.testing.assert_array_equal(recording.read(1), planted[1])


def test_what_the_entry_takes_for_the_scan(write_nxstxm: Write, planted: np.ndarray, tmp_path: Path) -> None:
    path = write_nxstxm(tmp_path / "scan.hdf5")
    add(path, "entry1/counter0", "phosphor", planted + 7)
    with h5py.File(path, "a") as file:
        file["entry1"].attrs["default"] = "phosphor"
    np.testing.assert_array_equal(read(path).read(1), planted[1] + 7)


@pytest.mark.parametrize("named", [True, False])
def test_a_spectrum_at_each_pixel_does_not_hide_the_scan(named: bool, control: Path, planted: np.ndarray) -> None:
    add(control, "entry0/default", "Counter_mca", np.ones((*planted.shape, 4)))
    with h5py.File(control, "a") as file:
        axes = [np.bytes_(name) for name in ("energy", "sample_y", "sample_x", "mca")]
        file["entry0/Counter_mca"].attrs["axes"] = axes if named else []
        file.move("entry0/default", "entry0/z")
    np.testing.assert_array_equal(read(control).read(1), planted[1])


def test_the_spectrum_alone_is_refused_with_its_axis(write_nxstxm: Write, planted: np.ndarray, tmp_path: Path) -> None:
    path = write_nxstxm(tmp_path / "scan.hdf5", scan_type="")
    with h5py.File(path, "a") as file:
        del file["entry1/counter0/data"]
        file["entry1/counter0/data"] = np.ones((*planted.shape, 4))
    with pytest.raises(UnsupportedError, match="a scan of 4 axes is not processed"):
        readers.read(path)
    with h5py.File(path, "a") as file:
        file["entry1/counter0"].attrs["axes"] = [b"energy", b"sample_y", b"sample_x", b"mca"]
    with pytest.raises(UnsupportedError, match="a stack over mca is not processed"):
        readers.read(path)


def test_detectors_without_energies_of_their_own(control: Path, planted: np.ndarray) -> None:
    """pystxmcontrol gives them to its first detector; another may have those of a spectrum."""
    add(control, "entry0/default", "Counter1", planted + 7)
    add(control, "entry0/default", "amptek", planted + 9)
    with h5py.File(control, "a") as file:
        for name, energies in (("Counter1", np.empty(0)), ("amptek", np.arange(2048.0))):
            del file[f"entry0/{name}/energy"]
            file[f"entry0/{name}/energy"] = energies
        del file["entry0/default"]
    recording = read(control)
    assert recording.energy_ev.tolist() == [700.0, 701.0, 702.0, 703.0, 704.0]
    np.testing.assert_array_equal(recording.read(1), planted[1] + 7)
    with h5py.File(control, "a") as file:
        del file["entry0/Counter1"]
    assert read(control).energy_ev.tolist() == [700.0, 701.0, 702.0, 703.0, 704.0]


@pytest.mark.parametrize("over", ["magnetic_field", "time", "polarization", "rotation_angle"])
@pytest.mark.parametrize("said", [True, False])
def test_a_stack_over_something_else(over: str, said: bool, write_nxstxm: Write, tmp_path: Path) -> None:
    """Whether the attribute axes says it, or a list of as many values as there are images."""
    path = write_nxstxm(tmp_path / "scan.hdf5")
    with h5py.File(path, "a") as file:
        group = file["entry1/counter0"]
        del group["energy"]
        group["energy"], group[over] = np.array([707.0]), np.arange(5.0)
        del group.attrs["axes"]
        if said:
            group.attrs["axes"] = [np.bytes_(name) for name in (over, "sample_y", "sample_x")]
    with pytest.raises(UnsupportedError, match=f"a stack over {over} is not processed"):
        readers.read(path)
    assert readers.describe(path).kind == f"stack over {over}"


def test_axes_of_which_the_first_has_no_name(write_nxstxm: Write, planted: np.ndarray, tmp_path: Path) -> None:
    path = write_nxstxm(tmp_path / "scan.hdf5")
    with h5py.File(path, "a") as file:
        file["entry1/counter0"].attrs["axes"] = [b".", b"sample_y", b"sample_x"]
    np.testing.assert_array_equal(read(path).read(3), planted[3])
