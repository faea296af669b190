"""NXcxi_ptycho: rasters, the energy of the beam, transformations of the sample, units, centre; older drafts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import InputError
from stxmdist.readers import PtychographyRecording

RASTER = (3, 4)
Y_MM = 1e-4 * np.arange(3)
X_MM = 2.0 - 1.5e-4 * np.arange(4)
Write = Callable[..., Path]


def read(path: Path) -> PtychographyRecording:
    (recording,) = readers.read(path)
    assert isinstance(recording, PtychographyRecording)
    assert recording.format == "cxi"
    return recording


def planted_positions_um() -> np.ndarray:
    """(POSITION, 2) of the beam, against the sample's motors, row by row."""
    y, x = np.meshgrid(Y_MM * 1e3, X_MM * 1e3, indexing="ij")
    return -np.stack([y.ravel(), x.ravel()], 1)


def motor(group: Any, name: str, values: Any, unit: str = "mm", **attributes: Any) -> None:
    group[name] = values
    group[name].attrs["units"] = unit
    for key, value in attributes.items():
        group[name].attrs[key] = value


@pytest.fixture
def frames(diffraction: np.ndarray) -> np.ndarray:
    return diffraction[:12]


@pytest.fixture
def write() -> Write:
    def write(path: Path, frames: np.ndarray, *, positions: str = "grid", suffix: str = "_1", **extra: Any) -> Path:
        """A raster as Diamond writes it: frames (3, 4, rows, columns), the machine's energy beside the beam's."""
        with h5py.File(path, "w") as file:
            entry = file.create_group(f"entry{suffix}")
            entry["definition"] = extra.get("definition", "NXcxi_ptycho")
            instrument = entry.create_group(f"instrument{suffix}")
            motor(instrument, f"source{suffix}/energy", 3.0, "GeV")
            energy, unit = extra.get("energy", (0.71, "keV"))
            motor(instrument, extra.get("beam", f"beam{suffix}/incident_beam_energy"), energy, unit)
            detector = instrument.create_group(f"detector{suffix}")
            detector["data"] = frames.reshape(*RASTER, *frames.shape[1:])
            motor(detector, "distance", 100.0)
            motor(detector, "x_pixel_size", 30.0, "um")
            motor(detector, "y_pixel_size", 30.0, "µm")
            detector["basis_vectors"] = [[0, 3e-5], [3e-5, 0], [0, 0]]
            if positions == "translation":
                motor(detector, "translation", np.insert(-planted_positions_um()[:, ::-1], 2, 0, axis=1), "um")
            elif positions == "data":
                motor(entry, "data/x", np.tile(X_MM, (3, 1))[..., None, None])
                motor(entry, "data/y", np.repeat(Y_MM, 4).reshape(3, 4, 1, 1))
            else:
                group = entry.create_group(f"sample{suffix}/transformations")
                grid = positions == "grid"
                motor(group, "x", np.tile(X_MM, (3, 1)) if grid else X_MM, vector=[1, 0, 0], depends_on="y")
                motor(group, "y", np.repeat(Y_MM, 4).reshape(3, 4) if grid else Y_MM, vector=[0, 1, 0], depends_on=".")
        return path

    return write


@pytest.mark.parametrize(
    ("positions", "suffix"),
    [(positions, "_1") for positions in ("grid", "sides", "translation", "data")] + [("grid", ""), ("data", "")],
)
def test_raster_is_read_row_by_row(
    positions: str, suffix: str, write: Write, frames: np.ndarray, tmp_path: Path
) -> None:
    path = write(tmp_path / "scan.nxs", frames, positions=positions, suffix=suffix)
    assert readers.detect(path) == "cxi"
    recording = read(path)
    np.testing.assert_allclose(recording.positions_um[0], planted_positions_um(), atol=1e-9)
    for part in (slice(None), slice(3, 5), slice(4, 8), slice(1, 12, 3), slice(11, 12), slice(0, 0)):
        np.testing.assert_array_equal(recording.read(0, part), frames[part])
    np.testing.assert_allclose(recording.energy_ev, 710.0)
    assert recording.distance_m == pytest.approx(0.1)
    np.testing.assert_allclose(recording.detector_pixel_um, 30.0)
    assert any("raster of 3 x 4" in note for note in recording.notes)


@pytest.mark.parametrize(
    ("beam", "energy"),
    [
        ("beam_1/energy", (710.0, "eV")),
        ("beam_1/incident_energy", (np.full(12, 0.71), "keV")),
        ("beam_1/incident_beam_energy", (710 * 1.602176634e-19, "J")),
        ("beam_1/energy", (710 * 1.602176634e-19, "")),
    ],
)
def test_energy_is_that_of_the_beam_in_its_unit(
    beam: str, energy: tuple[Any, str], write: Write, frames: np.ndarray, tmp_path: Path
) -> None:
    path = write(tmp_path / "scan.nxs", frames, beam=beam, energy=energy)
    np.testing.assert_allclose(read(path).energy_ev, 710.0)


@pytest.mark.parametrize(
    ("energy", "said"),
    [
        ((7e6, ""), "not in joule"),
        ((1.1375e-16, "eV"), "looks like J"),
        ((710.0, "keV"), "looks like eV"),
        ((0.71, "eV"), "looks like keV"),
        ((3.0, "GeV"), "unit is not known"),
        ((np.array([700.0, 710.0]), "eV"), "several photon energies"),
    ],
)
def test_energy_in_the_wrong_unit_is_refused_with_the_right_one(
    energy: tuple[Any, str], said: str, write: Write, frames: np.ndarray, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        readers.read(write(tmp_path / "scan.nxs", frames, energy=energy))
    assert "beam_1" in caught.value.where


def test_motors_stand_on_one_another(write: Write, frames: np.ndarray, tmp_path: Path) -> None:
    """A fine motor on a coarse one, on a stage turned by 180 degrees about y: x runs the other way, y as before."""
    path = write(tmp_path / "scan.nxs", frames)
    with h5py.File(path, "a") as file:
        group = file["entry_1/sample_1/transformations"]
        group["y"].attrs["depends_on"] = "coarse"
        motor(group, "coarse", 5.0, "um", vector=[0, 0, 2.0], transformation_type="translation", depends_on="turn")
        motor(group, "turn", 180.0, "degree", vector=[0, 1, 0], transformation_type="rotation", depends_on=".")
        file["entry_1/sample_1/depends_on"] = "transformations/x"
    np.testing.assert_allclose(read(path).positions_um[0], planted_positions_um() * [1, -1], atol=1e-9)


def test_motors_side_by_side(write: Write, frames: np.ndarray, tmp_path: Path) -> None:
    """As the drafts write them: each on the ground, coarse and fine."""
    path = write(tmp_path / "scan.nxs", frames)
    with h5py.File(path, "a") as file:
        group = file["entry_1/sample_1/transformations"]
        group["x"].attrs["depends_on"] = "."
        motor(group, "x_coarse", 7.0, "um", vector=[1, 0, 0], depends_on=".")
        motor(group, "alpha", 0.0, "deg", vector=[1, 0, 0], transformation_type="rotation", depends_on=".")
    np.testing.assert_allclose(read(path).positions_um[0], planted_positions_um() - [0, 7.0], atol=1e-9)


@pytest.mark.parametrize(
    ("name", "attribute", "value", "said"),
    [
        ("y", "depends_on", "x", "in a circle"),
        ("x", "vector", [0, 0, 0], "direction of the motor"),
        ("x", "units", "furlong", "unit is not known"),
    ],
)
def test_transformations_that_say_nothing(
    name: str, attribute: str, value: object, said: str, write: Write, frames: np.ndarray, tmp_path: Path
) -> None:
    path = write(tmp_path / "scan.nxs", frames)
    with h5py.File(path, "a") as file:
        group = file["entry_1/sample_1/transformations"]
        group[name].attrs[attribute] = value
        group.parent["depends_on"] = "transformations/x"
    with pytest.raises(InputError, match=said) as caught:
        readers.read(path)
    assert "transformations" in caught.value.where


def test_positions_that_do_not_fit_the_raster(write: Write, frames: np.ndarray, tmp_path: Path) -> None:
    path = write(tmp_path / "scan.nxs", frames)
    with h5py.File(path, "a") as file:
        del file["entry_1/sample_1/transformations/x"]
        motor(file["entry_1/sample_1/transformations"], "x", np.arange(5.0))
    with pytest.raises(InputError, match="5 positions and 3 x 4 frames"):
        readers.read(path)


def test_square_raster_has_its_columns_along_x(write: Write, diffraction: np.ndarray, tmp_path: Path) -> None:
    path = write(tmp_path / "scan.nxs", diffraction[:12], positions="sides")
    with h5py.File(path, "a") as file:
        del file["entry_1/instrument_1/detector_1/data"]
        file["entry_1/instrument_1/detector_1/data"] = diffraction[:9].reshape(3, 3, 16, 16)
        del file["entry_1/sample_1/transformations/x"]
        motor(file["entry_1/sample_1/transformations"], "x", X_MM[:3], vector=[1, 0, 0], depends_on="y")
    recording = read(path)
    np.testing.assert_allclose(recording.positions_um[0, :3, 1], -X_MM[:3] * 1e3)
    np.testing.assert_allclose(recording.positions_um[0, ::3, 0], -Y_MM * 1e3)


@pytest.mark.parametrize("unit", ["pixel", "um"])
def test_beam_centre_comes_to_the_middle(unit: str, write: Write, frames: np.ndarray, tmp_path: Path) -> None:
    moved = np.roll(frames, (1, -3), (1, 2))
    path = write(tmp_path / "scan.nxs", moved)
    with h5py.File(path, "a") as file:
        detector = file["entry_1/instrument_1/detector_1"]
        for name, pixel in (("beam_center_x", 5.0), ("beam_center_y", 9.0)):
            motor(detector, name, pixel * (30 if unit == "um" else 1), unit)
    recording = read(path)
    assert recording.good.sum() == 13 * 15
    np.testing.assert_array_equal(recording.read(0, slice(None))[:, recording.good], frames[:, recording.good])


def test_mask_of_the_opposite_polarity(write: Write, frames: np.ndarray, tmp_path: Path) -> None:
    path = write(tmp_path / "scan.nxs", frames)
    with h5py.File(path, "a") as file:
        mask = np.ones((16, 16), np.uint32)
        mask[4, 5] = mask[12, 2] = 0
        file["entry_1/instrument_1/detector_1/mask"] = mask
    recording = read(path)
    assert np.argwhere(~recording.good).tolist() == [[4, 5], [12, 2]]
    assert any("turned round" in note for note in recording.notes)
    # With more bad pixels among the good ones it may be either.
    with h5py.File(path, "a") as file:
        mask[:2] = 0
        file["entry_1/instrument_1/detector_1/mask"][...] = mask
    with pytest.raises(InputError, match="opposite polarity"):
        readers.read(path)


def test_older_draft_by_its_name(write: Write, frames: np.ndarray, tmp_path: Path) -> None:
    path = write(tmp_path / "scan.nxs", frames, definition="NXptycho")
    np.testing.assert_array_equal(read(path).read(0, slice(None)), frames)
