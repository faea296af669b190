"""CXI: one scan in eight orientations, two families of paths, several energies; contradictions are refused."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.readers.ptychography_checks import far_field_coverage
from stxmdist.readers.recording import PtychographyRecording
from stxmdist.simulation import cxi as writer
from stxmdist.simulation.diffraction import Detector

Write = Callable[..., Path]


def read(path: Path) -> PtychographyRecording:
    (recording,) = readers.read(path)
    assert isinstance(recording, PtychographyRecording)
    return recording


@pytest.fixture
def positions_um() -> np.ndarray:
    angle = 2.4 * np.arange(13)
    return np.sqrt(np.arange(13))[:, None] * np.stack([0.11 * np.sin(angle), 0.1 * np.cos(angle)], 1) + [0.3, -1.2]


def test_positions_are_those_of_the_beam(
    write_cxi: Write, diffraction: np.ndarray, positions_um: np.ndarray, tmp_path: Path
) -> None:
    recording = read(write_cxi(tmp_path / "scan.cxi", frames=diffraction, positions_um=positions_um))
    np.testing.assert_allclose(recording.positions_um[0], positions_um, atol=1e-9)
    np.testing.assert_array_equal(recording.read(0, slice(3, 5)), diffraction[3:5])
    assert recording.frame_dtype == np.uint16
    np.testing.assert_allclose(recording.energy_ev, 710.0)
    np.testing.assert_allclose(recording.detector_pixel_um, 30.0)
    assert any("mask" in lack for lack in recording.lacks)


@pytest.mark.parametrize("family", ["geometry_1", "data_1"])
@pytest.mark.parametrize("basis", writer.ORIENTATIONS)
def test_every_orientation_and_family_gives_the_same(
    basis: str, family: str, diffraction: np.ndarray, positions_um: np.ndarray, tmp_path: Path
) -> None:
    mask = np.zeros((16, 16), np.uint32)
    mask[2, 11:] = 1
    illumination = np.random.default_rng(5).normal(size=(2, 16, 16)) + 1j * np.arange(16)
    entry = writer.CxiEntry(710.0, [diffraction[:4], diffraction[4:]], 13, positions_um, illumination)
    path = writer.write_scan(tmp_path / "s.cxi", [entry], Detector(16, 30.0, 0.1), mask, family=family, basis=basis)
    recording = read(path)
    np.testing.assert_array_equal(recording.read(0, slice(None)), diffraction)
    np.testing.assert_array_equal(recording.good, mask == 0)
    np.testing.assert_allclose(recording.illumination, illumination.astype(np.complex64))
    np.testing.assert_allclose(recording.positions_um[0], positions_um, atol=1e-9)
    rows, columns = basis[:2], basis[2:]
    assert recording.orientation == f"rows of the file along {rows}, columns along {columns}"


def test_missing_basis_is_the_default_and_said(write_cxi: Write, diffraction: np.ndarray, tmp_path: Path) -> None:
    recording = read(write_cxi(tmp_path / "scan.cxi", frames=diffraction, basis=None))
    assert any("basis_vectors" in lack for lack in recording.lacks)
    np.testing.assert_array_equal(recording.read(0, slice(0, 1))[0, 1:, 1:], diffraction[0, :0:-1, :0:-1])


def test_oblong_frames_and_pixels_turn_together(write_cxi: Write, diffraction: np.ndarray, tmp_path: Path) -> None:
    path = write_cxi(tmp_path / "scan.cxi", frames=diffraction[:, :, :10], basis=((3e-5, 0), (0, 2e-5), (0, 0)))
    with h5py.File(path, "a") as file:
        del file["entry_1/instrument_1/detector_1/x_pixel_size"]
        file["entry_1/instrument_1/detector_1/x_pixel_size"] = 2e-5
    recording = read(path)
    assert recording.frame_shape == (10, 16)
    np.testing.assert_allclose(recording.detector_pixel_um, (20.0, 30.0))
    np.testing.assert_array_equal(recording.read(0, slice(None)), diffraction[:, :, :10].swapaxes(1, 2))


def test_several_entries_are_energies_in_ascending_order(
    write_cxi: Write, diffraction: np.ndarray, tmp_path: Path
) -> None:
    recording = read(write_cxi(tmp_path / "scan.cxi", frames=diffraction, energies_ev=(712.0, 706.0, 709.0)))
    np.testing.assert_allclose(recording.energy_ev, [706, 709, 712])
    for energy, number in enumerate((1, 2, 0)):
        np.testing.assert_array_equal(recording.read(energy, slice(None)), diffraction + number)


def test_entries_beyond_the_ninth_stay_in_order(write_cxi: Write, diffraction: np.ndarray, tmp_path: Path) -> None:
    recording = read(write_cxi(tmp_path / "scan.cxi", frames=diffraction, energies_ev=tuple(700.0 + np.arange(12))))
    np.testing.assert_array_equal(recording.read(10, slice(0, 1)), diffraction[:1] + 10)


@pytest.mark.parametrize(
    ("value", "good"), [(0, True), (0x1000, True), (1, False), (2, False), (0x1001, False), (0x80000000, False)]
)
def test_mask_bits(value: int, good: bool, write_cxi: Write, diffraction: np.ndarray, tmp_path: Path) -> None:
    mask = np.zeros((16, 16), np.uint32)
    mask[3, 4] = value
    recording = read(write_cxi(tmp_path / "scan.cxi", frames=diffraction, mask=mask))
    assert recording.good[3, 4] == good
    assert recording.good.sum() == 255 + good


def edit(path: Path, name: str, value: object) -> Path:
    with h5py.File(path, "a") as file:
        if name in file:
            del file[name]
        if value is not None:
            file[name] = value
    return path


SOURCE, DETECTOR = "entry_1/instrument_1/source_1", "entry_1/instrument_1/detector_1"
TRANSLATION = "entry_1/sample_1/geometry_1/translation"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (f"{SOURCE}/energy", 0.0, "not in joule"),
        (f"{SOURCE}/energy", np.nan, "not in joule"),
        (f"{SOURCE}/energy", None, "does not say the photon energy"),
        (f"{SOURCE}/wavelength", 2e-9, "contradict"),
        (f"{DETECTOR}/distance", None, "distance"),
        (f"{DETECTOR}/distance", -1000.0, "distance"),
        (f"{DETECTOR}/y_pixel_size", 55e-6, "contradict"),
        (f"{DETECTOR}/y_pixel_size", 0.0, "contradict"),
        (f"{DETECTOR}/basis_vectors", np.array([[0.7, -0.7], [0.7, 0.7], [0, 0]]), "do not lie along"),
        (f"{DETECTOR}/mask", np.zeros((3, 3), np.uint32), "does not fit"),
        (f"{DETECTOR}/mask", np.ones((16, 16), np.uint32), "leaves no pixel"),
        (TRANSLATION, np.zeros((13, 3)), "all positions are equal"),
        (TRANSLATION, np.full((13, 3), np.nan), "NaN"),
        (TRANSLATION, np.arange(36.0).reshape(12, 3) * 1e-7, "12 positions and 13 frames"),
        (TRANSLATION, np.arange(39.0).reshape(13, 3), "not in metres"),
        (TRANSLATION, None, "positions"),
        (f"{DETECTOR}/data", np.zeros((13, 16), np.uint16), "not a list of images"),
    ],
)
def test_what_a_reconstruction_cannot_use_is_refused(
    name: str, value: object, said: str, write_cxi: Write, diffraction: np.ndarray, tmp_path: Path
) -> None:
    path = edit(write_cxi(tmp_path / "scan.cxi", frames=diffraction), name, value)
    with pytest.raises(InputError, match=said) as caught:
        readers.read(path)
    assert "scan.cxi" in caught.value.where
    assert caught.value.mend
    assert not readers.describe(path).usable


def test_entries_that_are_not_one_scan(write_cxi: Write, diffraction: np.ndarray, tmp_path: Path) -> None:
    path = write_cxi(tmp_path / "scan.cxi", frames=diffraction, energies_ev=(700.0, 710.0))
    edit(path, "entry_2/instrument_1/detector_1/distance", 0.11)
    with pytest.raises(InputError, match="distance"):
        readers.read(path)


def test_frames_that_are_empty_nan_or_saturated_are_read_as_they_are(
    write_cxi: Write, diffraction: np.ndarray, tmp_path: Path
) -> None:
    frames = diffraction.astype(np.float32)
    frames[1], frames[2], frames[3] = 0, np.nan, 65535
    recording = read(write_cxi(tmp_path / "scan.cxi", frames=frames))
    np.testing.assert_array_equal(recording.read(0, slice(None)), frames)
    assert any("float32" in note for note in recording.notes)


def test_links(write_cxi: Write, diffraction: np.ndarray, positions_um: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    path = write_cxi(folder / "scan.cxi", frames=diffraction)
    for place in (folder, tmp_path):
        with h5py.File(place / "raw.h5", "w") as file:
            file["frames"] = h5py.SoftLink("/deep/frames")
            file["deep/frames"] = diffraction + 5
    edit(path, f"{DETECTOR}/data", h5py.ExternalLink("raw.h5", "/frames"))
    recording = read(path)
    assert folder / "raw.h5" in recording.files
    np.testing.assert_array_equal(recording.read(0, slice(None)), diffraction + 5)
    for target in ("../raw.h5", str(tmp_path / "raw.h5")):
        edit(path, f"{DETECTOR}/data", h5py.ExternalLink(target, "/frames"))
        assert readers.detect(path) == "cxi"
        with pytest.raises(InputError, match="leads out of the file's folder"):
            readers.read(path)
    edit(path, f"{DETECTOR}/data", h5py.ExternalLink("gone.h5", "/frames"))
    with pytest.raises(InputError, match="is not there"):
        readers.read(path)
    edit(path, f"{DETECTOR}/data", h5py.SoftLink("/entry_1/data_1/data"))
    with pytest.raises(InputError, match="circle"):
        readers.read(path)


def test_data_stored_outside_the_folder_is_refused(write_cxi: Write, diffraction: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    path = write_cxi(folder / "scan.cxi", frames=diffraction)
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["frames"] = diffraction
    layout = h5py.VirtualLayout(diffraction.shape, np.uint16)
    layout[:] = h5py.VirtualSource(str(tmp_path / "raw.h5"), "frames", diffraction.shape)
    with h5py.File(path, "a") as file:
        del file[f"{DETECTOR}/data"]
        file.create_virtual_dataset(f"{DETECTOR}/data", layout)
    with pytest.raises(InputError, match="leads out of the file's folder"):
        readers.read(path)
    (tmp_path / "raw.bin").write_bytes(diffraction.tobytes())
    with h5py.File(path, "a") as file:
        del file[f"{DETECTOR}/data"]
        external = [(str(tmp_path / "raw.bin"), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset(f"{DETECTOR}/data", diffraction.shape, np.uint16, external=external)
    with pytest.raises(InputError, match="stored in a file that is not HDF5"):
        readers.read(path)


def test_reconstruction_is_described_and_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "image.cxi", "w") as file:
        file["entry_1/image_1/data"] = np.ones((5, 7), np.complex64)
        file["entry_1/instrument_1/source_1/energy"] = 1.371312e-16
        file["entry_1/instrument_1/detector_1/corner_position"] = [0.01461, 0.01461, 0.121]
    description = readers.describe(tmp_path / "image.cxi")
    assert description.kind == "reconstruction"
    with pytest.raises(UnsupportedError, match="reconstruction"):
        readers.read(tmp_path / "image.cxi")


class TestNearField:
    def test_coverage_of_a_raster(self) -> None:
        """A square raster of step s and window W is lit (W / 2 s)^2 times, but for its border."""
        y, x = np.mgrid[:40, :40] * 0.25
        raster = np.stack([y.ravel(), x.ravel()], 1)
        assert far_field_coverage(raster, (2.0, 2.0)) == pytest.approx(16.0, rel=0.15)
        assert far_field_coverage(raster, (2.0, 1.0)) == pytest.approx(8.0, rel=0.15)

    def test_positions_too_far_apart_for_far_field(
        self, write_cxi: Write, diffraction: np.ndarray, positions_um: np.ndarray, tmp_path: Path
    ) -> None:
        # The window of this detector is 5.8 um.
        read(write_cxi(tmp_path / "a.cxi", frames=diffraction, positions_um=positions_um * 5))
        path = write_cxi(tmp_path / "b.cxi", frames=diffraction, positions_um=positions_um * 50)
        with pytest.raises(UnsupportedError, match="near-field"):
            readers.read(path)

    def test_title_that_says_so(self, write_cxi: Write, diffraction: np.ndarray, tmp_path: Path) -> None:
        with pytest.raises(UnsupportedError, match="near-field"):
            readers.read(write_cxi(tmp_path / "a.cxi", frames=diffraction, title="Near field of a star"))


@pytest.mark.parametrize(("unit", "dwell_ms"), [("milliseconds", 20.0), ("s", 20e3), ("fortnights", np.nan)])
def test_unit_of_the_exposure(
    unit: str, dwell_ms: float, write_cxi: Callable[..., Path], diffraction: np.ndarray, tmp_path: Path
) -> None:
    path = write_cxi(tmp_path / "scan.cxi", frames=diffraction)
    with h5py.File(path, "a") as file:
        file["entry_1/instrument_1/detector_1/count_time"] = 20.0
        file["entry_1/instrument_1/detector_1/count_time"].attrs["units"] = unit
    (recording,) = readers.read(path)
    np.testing.assert_equal(recording.dwell_ms, dwell_ms)
    assert ("dwell time (its unit 'fortnights' is not known)" in recording.lacks) == (unit == "fortnights")
