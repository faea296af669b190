"""Layouts and units in which other programs write CXI: read and said, or refused with what is missing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.readers import PtychographyRecording
from stxmdist.readers.choices import ReadChoices

N, COUNT = 16, 12
ENERGY_J = 710 * 1.602176634e-19
DISTANCE_M = 0.05
PIXEL_M = 1.7462e-9 * DISTANCE_M / (N * 20e-9)
"""Object pixels of 20 nm, steps of 60 nm"""
Y, X = np.stack(np.meshgrid(np.arange(3), np.arange(4), indexing="ij"), -1).reshape(-1, 2).T * 60e-9
MOTION = -np.stack([X, Y, 0 * X], axis=1)
"""(POSITION, 3) of the sample, (x, y, z)"""
BASIS = np.array([[0, -PIXEL_M], [-PIXEL_M, 0], [0, 0]])
DETECTOR = "entry_1/instrument_1/detector_1"
TRANSLATION = "entry_1/sample_1/geometry_1/translation"


def frames() -> np.ndarray:
    q = np.indices((N, N)) - N // 2
    spot = np.broadcast_to(200 * np.exp(-(q**2).sum(axis=0) / 30) + 3, (COUNT, N, N))
    return np.random.default_rng(0).poisson(spot).astype(np.uint16)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def written(**changes: Any) -> Path:
        """A plain file; datasets by their path, None for none."""
        path = tmp_path / f"scan-{len(list(tmp_path.iterdir()))}.cxi"
        said = {
            "cxi_version": 160,
            "entry_1/instrument_1/source_1/energy": ENERGY_J,
            f"{DETECTOR}/distance": DISTANCE_M,
            f"{DETECTOR}/x_pixel_size": PIXEL_M,
            f"{DETECTOR}/y_pixel_size": PIXEL_M,
            f"{DETECTOR}/basis_vectors": BASIS,
            f"{DETECTOR}/data": frames(),
            TRANSLATION: MOTION,
        } | {name.replace("__", "/"): value for name, value in changes.items()}
        with h5py.File(path, "w") as file:
            for name, value in said.items():
                if value is not None:
                    file[name] = value
        return path

    return written


def read(path: Path, **choices: Any) -> PtychographyRecording:
    (recording,) = readers.read(path, ReadChoices(**choices))
    assert isinstance(recording, PtychographyRecording)
    return recording


def as_plain(recording: PtychographyRecording) -> bool:
    """Whether geometry and positions are those of the plain file."""
    np.testing.assert_allclose(recording.positions_um[0] * 1e-6, np.stack([Y, X], axis=1), atol=1e-12)
    assert recording.energy_ev == pytest.approx([710.0])
    assert recording.distance_m == pytest.approx(DISTANCE_M)
    assert recording.detector_pixel_um == pytest.approx((1e6 * PIXEL_M, 1e6 * PIXEL_M))
    return True


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({TRANSLATION: MOTION.T.astype(np.float32)}, "one row for each axis"),
        ({TRANSLATION: MOTION[:, :2]}, "two columns are taken for (x, y)"),
        ({TRANSLATION: None, "entry_1/sample_1/geometry/translation": MOTION}, ""),
        ({f"{DETECTOR}/basis_vectors": np.tile(BASIS.T, (COUNT, 1, 1))}, ""),
        ({TRANSLATION: MOTION * 1e3}, "taken for mm"),
        ({TRANSLATION: MOTION * 1e6}, "taken for um"),
        ({TRANSLATION: MOTION * 1e9}, "taken for nm"),
        ({"entry_1/instrument_1/source_1/energy": 710.0}, "710 is taken for eV"),
        ({"entry_1/instrument_1/source_1/energy": 0.71}, "0.71 is taken for keV"),
        ({f"{DETECTOR}/distance": -DISTANCE_M}, "taken as 0.05 m"),
        ({f"{DETECTOR}/distance": DISTANCE_M * 1e3}, "50 is taken for mm"),
        (
            {
                f"{DETECTOR}/distance": DISTANCE_M * 1e3,
                f"{DETECTOR}/x_pixel_size": PIXEL_M * 1e3,
                f"{DETECTOR}/y_pixel_size": PIXEL_M * 1e3,
                f"{DETECTOR}/basis_vectors": None,
            },
            "detector pixels have no unit",
        ),
        ({f"{DETECTOR}/mask": np.ones((N, N), bool)}, "all pixels are taken as good"),
        ({f"{DETECTOR}/dark": np.full((N, N), 3.0)}, "the dark frame is subtracted"),
        ({f"{DETECTOR}/data": frames().reshape(COUNT, 1, 1, N, N)}, ""),
        ({f"{DETECTOR}/data": frames().reshape(3, 1, 4, N, N)}, "a raster of 3 x 4 frames"),
    ],
)
def test_other_layouts_are_read_and_said(changes: dict[str, Any], said: str, write: Callable[..., Path]) -> None:
    recording = read(write(**changes))
    assert as_plain(recording)
    assert any(said in note for note in recording.notes) or not said
    plain = read(write())
    dark = 3.0 if f"{DETECTOR}/dark" in changes else 0.0
    np.testing.assert_array_equal(recording.read(0, slice(2, 7)), plain.read(0, slice(2, 7)) - dark)


def test_units_that_are_chosen_hold(write: Callable[..., Path]) -> None:
    assert as_plain(read(write(**{TRANSLATION: MOTION * 1e6}), position_unit="um"))
    with pytest.raises((InputError, UnsupportedError)):
        read(write(**{TRANSLATION: MOTION * 1e6}), position_unit="mm")


def test_units_that_are_said_hold(write: Callable[..., Path]) -> None:
    path = write(**{TRANSLATION: MOTION * 1e6})
    with h5py.File(path, "a") as file:
        file[TRANSLATION].attrs["units"] = "m"
    with pytest.raises(InputError, match="not in metres"):
        read(path)


def test_positions_in_pixels_are_refused(write: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="not in metres"):
        read(write(**{TRANSLATION: MOTION / 20e-9}))


def test_frames_without_a_position_are_left_out(write: Callable[..., Path]) -> None:
    motion = MOTION.copy()
    motion[[4, 9]] = np.nan
    recording = read(write(**{TRANSLATION: motion}))
    assert recording.positions_um.shape == (1, COUNT - 2, 2)
    assert "2 of 12 frames have no position and are left out" in recording.notes
    kept = np.delete(np.arange(COUNT), [4, 9])
    whole = read(write())
    np.testing.assert_array_equal(recording.positions_um[0], whole.positions_um[0][kept])
    for part in (slice(None), slice(3, 8), slice(1, 9, 3), slice(5, 5)):
        np.testing.assert_array_equal(recording.read(0, part), whole.read(0, slice(None))[kept][part])


def test_a_frame_without_a_position_that_nobody_can_tell_is_refused(write: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="positions and frames do not match"):
        read(write(**{TRANSLATION: np.vstack([MOTION, MOTION[-1:] + 60e-9])}))


def test_masks_of_single_frames_hold_for_these_alone(write: Callable[..., Path]) -> None:
    mask = np.zeros((COUNT, N, N), np.uint32)
    mask[:, 3, 4] = 1
    mask[5, 8, 9] = 2
    recording = read(write(**{f"{DETECTOR}/mask": mask}))
    assert np.count_nonzero(~recording.good) == 1
    plain = read(write()).read(0, slice(None))
    found = recording.read(0, slice(None))
    assert recording.frame_dtype == found.dtype == np.float32
    marked = np.isnan(found)
    assert marked.sum() == COUNT + 1
    assert np.flatnonzero(marked[:, recording.good].any(axis=1)).tolist() == [5]
    np.testing.assert_array_equal(found[~marked], plain[~marked])


@pytest.mark.parametrize("definition", ["NXptycho", None])
def test_frames_of_cosmic_are_read(definition: str | None, tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        if definition is not None:
            file["entry/definition"] = definition
        file["entry/instrument/beam/incident_beam_energy"] = ENERGY_J
        detector = file.create_group("entry/instrument/detector")
        detector["data"] = frames().astype(np.float32)
        detector["distance"] = DISTANCE_M
        detector["x_pixel_size"] = detector["y_pixel_size"] = PIXEL_M
        for axis, values in zip("xyz", MOTION.T, strict=True):
            file[f"entry/instrument/sample/transformations/{axis}_coarse_translation"] = values
    assert as_plain(read(path))


def test_raw_frames_of_cosmic_are_refused_by_what_they_lack(tmp_path: Path) -> None:
    path = tmp_path / "raw.h5"
    with h5py.File(path, "w") as file:
        file["entry_1/data_1/exp_frames"] = frames()
        file["entry_1/data_1/dark_frames"] = frames()[:3]
    with pytest.raises(UnsupportedError, match="neither positions, energy, distance nor pixel size"):
        readers.read(path)


@pytest.mark.parametrize("shape", [(15, 16), (16, 20), (17, 17)])
def test_frames_need_be_neither_square_nor_even(shape: tuple[int, int], write: Callable[..., Path]) -> None:
    data = np.random.default_rng(1).poisson(20.0, (COUNT, *shape)).astype(np.uint16)
    recording = read(write(**{f"{DETECTOR}/data": data}))
    assert recording.frame_shape == recording.read(0, slice(1)).shape[1:] == shape
