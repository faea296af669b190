"""Of a scan that is being measured, only what cannot change any more counts as complete."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from stxmdist import readers
from stxmdist.readers.growing import energy_keys, look_at, of_energies, sha256_of
from stxmdist.readers.recording import StxmRecording
from stxmdist.simulation.replay import replay
from stxmdist.writers import sdf
from stxmdist.writers.nxstxm import writer as nxstxm

ENERGY_EV = (700.0, 705.0, 708.0, 710.0)
SHAPE = (len(ENERGY_EV), 6, 5)
AXES = (np.arange(6) * 0.05, np.arange(5) * 0.05, 3.0, 500.0)
FORMATS = ("sdf", "pollux", "pystxmcontrol")


def counts() -> np.ndarray:
    return np.random.default_rng(0).poisson(200.0, SHAPE) + 1


def whole(folder: Path, kind: str) -> Path:
    if kind == "sdf":
        return sdf.write_stack(folder / "scan.hdr", counts().__getitem__, ENERGY_EV, *AXES)[0]
    return nxstxm.write_stack(folder / "scan.hdf5", counts().__getitem__, ENERGY_EV, *AXES, dialect=kind)[0]


def opened(path: Path) -> StxmRecording:
    recording = readers.read_scan((path,))
    assert isinstance(recording, StxmRecording)
    return recording


@pytest.mark.parametrize("kind", FORMATS)
def test_after_each_row_those_energies_are_whole_whose_last_row_is_there(tmp_path: Path, kind: str) -> None:
    source = whole(tmp_path / "whole", kind)
    target = tmp_path / "grows" / source.name
    rows = 0
    for written in replay(source, target, order=(2, 0, 3, 1)):
        rows += 1
        if rows < 2:
            continue
        seen = look_at(opened(target))
        complete = [frame for frame in seen if frame.whole and frame.certain]
        assert len(complete) == rows // SHAPE[1], written
    grown, finished = opened(target), opened(source)
    np.testing.assert_array_equal(grown.energy_ev, finished.energy_ev)
    for place in range(len(ENERGY_EV)):
        np.testing.assert_array_equal(grown.read(place), finished.read(place))


def test_half_a_row_of_zeros_is_whole_and_not_certain(tmp_path: Path) -> None:
    source = whole(tmp_path, "pollux")
    with h5py.File(source, "r+") as file:
        names: list[str] = []
        file.visititems(lambda name, node: names.append(name) if getattr(node, "shape", ()) == SHAPE else None)
        for name in names:
            file[name][1, 5, 2:] = 0
    first, torn, *others = look_at(opened(source))
    assert (torn.whole, torn.certain) == (True, False)
    assert all(frame.whole and frame.certain for frame in (first, *others))


def test_a_scan_of_some_energies_holds_those_and_says_how_many(tmp_path: Path) -> None:
    recording = opened(whole(tmp_path, "sdf"))
    keys = energy_keys(recording)
    part = of_energies(recording, (keys[3], keys[1]), planned=4)
    assert list(part.energy_ev) == [705.0, 710.0]
    np.testing.assert_array_equal(part.read(1), recording.read(3))
    assert part.notes[0].startswith("2 of 4 energies so far")


def test_keys_of_repeated_energies_differ(tmp_path: Path) -> None:
    path, *_ = sdf.write_stack(tmp_path / "scan.hdr", counts().__getitem__, (700.0, 705.0, 705.0, 710.0), *AXES)
    assert len(set(energy_keys(opened(path)))) == 4


def test_a_digest_knows_shape_type_and_every_number() -> None:
    image = np.zeros((2, 3), np.float32)
    other = image.copy()
    other[1, 2] = 1
    assert len({sha256_of(one) for one in (image, other, image.T, image.astype(np.float64))}) == 4
