"""Prepared data of ptypy: pieces joined, centre and weights applied, energy in keV; what is elsewhere is refused."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import InputError
from stxmdist.readers import PtychographyRecording

Write = Callable[..., Path]


def read(path: Path) -> PtychographyRecording:
    (recording,) = readers.read(path)
    assert isinstance(recording, PtychographyRecording)
    assert recording.format == "ptyd"
    return recording


def test_pieces_are_one_scan(write_ptyd: Write, diffraction: np.ndarray, tmp_path: Path) -> None:
    places = np.random.default_rng(8).uniform((1.0, -8.0), (3.0, -6.0), (13, 2))
    recording = read(write_ptyd(tmp_path / "a.ptyd", frames=diffraction, positions_um=places))
    np.testing.assert_allclose(recording.positions_um[0], places)
    for part in (slice(None), slice(3, 11), slice(5, 9), slice(1, 13, 4), slice(0, 0), slice(12, 40)):
        np.testing.assert_array_equal(recording.read(0, part), diffraction[part])
    np.testing.assert_allclose(recording.energy_ev, 710.0)
    assert recording.distance_m == 0.1
    np.testing.assert_allclose(recording.detector_pixel_um, 30.0)
    assert recording.good.all()


def test_more_than_nine_pieces_stay_in_order(write_ptyd: Write, diffraction: np.ndarray, tmp_path: Path) -> None:
    recording = read(write_ptyd(tmp_path / "a.ptyd", frames=diffraction, splits=tuple(range(1, 13))))
    np.testing.assert_array_equal(recording.read(0, slice(None)), diffraction)


@pytest.mark.parametrize("centre", [(9, 6), (8.4, 7.2), (0, 0)])
def test_centre_comes_to_the_middle(
    centre: tuple[float, float], write_ptyd: Write, diffraction: np.ndarray, tmp_path: Path
) -> None:
    row, column = (round(at) for at in centre)
    wanted = np.roll(diffraction, (row - 8, column - 8), (1, 2))
    recording = read(write_ptyd(tmp_path / "a.ptyd", frames=wanted, center=np.array(centre)))
    counts = recording.read(0, slice(None))
    np.testing.assert_array_equal(counts[:, recording.good], diffraction[:, recording.good])
    lost = abs(row - 8) * 16 + abs(column - 8) * 16 - abs(row - 8) * abs(column - 8)
    assert np.count_nonzero(~recording.good) == (0 if centre == (0, 0) else lost)
    assert any("brought to the middle" in note for note in recording.notes)


def test_weights_of_zero_are_bad(write_ptyd: Write, diffraction: np.ndarray, tmp_path: Path) -> None:
    weights = np.ones(diffraction.shape, np.float32)
    weights[:, 3, 4] = 0
    weights[7, 5, 6] = 0
    recording = read(write_ptyd(tmp_path / "a.ptyd", frames=diffraction, weights=weights))
    assert np.argwhere(~recording.good).tolist() == [[3, 4], [5, 6]]
    assert any("differ" in note for note in recording.notes)


def test_weights_of_the_opposite_polarity_are_refused(
    write_ptyd: Write, diffraction: np.ndarray, tmp_path: Path
) -> None:
    weights = np.zeros(diffraction.shape, bool)
    weights[:, 3, 4] = weights[:, 9] = True
    frames = np.where(weights, 0, diffraction).astype(np.uint16)
    with pytest.raises(InputError, match="opposite polarity"):
        readers.read(write_ptyd(tmp_path / "a.ptyd", frames=frames, weights=weights))
    with pytest.raises(InputError, match="leaves no pixel"):
        readers.read(write_ptyd(tmp_path / "b.ptyd", frames=frames, weights=weights & False))


def test_what_meta_leaves_out_is_in_info(write_ptyd: Write, diffraction: np.ndarray, tmp_path: Path) -> None:
    path = write_ptyd(tmp_path / "a.ptyd", frames=diffraction, energy=None, psize=3e-5, center="fftshift")
    with h5py.File(path, "a") as file:
        file["info/energy"] = 0.8
        file["info/orientation"] = np.array([True, False, True])
        places = [file[f"chunks/{number}/positions"][()] for number in range(3)]
        for number in range(3):
            del file[f"chunks/{number}/positions"]
        file["info/positions_scan"] = np.concatenate(places)
    recording = read(path)
    np.testing.assert_allclose(recording.energy_ev, 800.0)
    np.testing.assert_allclose(recording.positions_um[0], np.concatenate(places) * 1e6)
    assert "[1, 0, 1]" in recording.orientation


def edit(path: Path, name: str, value: object) -> Path:
    with h5py.File(path, "a") as file:
        if name in file:
            del file[name]
        if value is not None:
            file[name] = value
    return path


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("meta/energy", 710.0, "looks like eV"),
        ("meta/energy", 1.1e-16, "looks like J"),
        ("meta/energy", None, "does not say the photon energy"),
        ("meta/distance", None, "distance"),
        ("meta/distance", -0.1, "distance"),
        ("meta/psize", 30.0, "size of the detector's pixels"),
        ("meta/center", np.array([40.0, 8.0]), "outside the frames"),
        ("chunks/1/positions", np.zeros((3, 2)), "do not match"),
        ("chunks/1/positions", np.full((4, 2), np.nan), "NaN"),
        ("chunks/1/positions", np.full((4, 2), 3.0), "not in metres"),
        ("chunks/1/data", np.zeros((4, 16, 15), np.uint16), "not a list of images"),
        ("chunks/1/data", None, "not a list of images"),
        ("chunks/1/weights", np.ones((3, 3)), "does not fit"),
        ("chunks/1", h5py.ExternalLink("part.h5", "/"), "not followed"),
        ("chunks/1/data", h5py.ExternalLink("part.h5", "/data"), "not followed"),
    ],
)
def test_what_a_reconstruction_cannot_use_is_refused(
    name: str, value: object, said: str, write_ptyd: Write, diffraction: np.ndarray, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "part.h5", "w") as file:
        file["data"] = diffraction[5:9]
    path = edit(write_ptyd(tmp_path / "a.ptyd", frames=diffraction), name, value)
    with pytest.raises(InputError, match=said) as caught:
        readers.read(path)
    assert "a.ptyd" in caught.value.where
    assert caught.value.mend
    assert not readers.describe(path).usable


def test_file_without_pieces(write_ptyd: Write, diffraction: np.ndarray, tmp_path: Path) -> None:
    path = edit(write_ptyd(tmp_path / "a.ptyd", frames=diffraction), "chunks", None)
    with h5py.File(path, "a") as file:
        file.create_group("chunks")
    with pytest.raises(InputError, match="diffraction frames"):
        readers.read(path)
