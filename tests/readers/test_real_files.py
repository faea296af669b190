"""Real measurements: what is known of them comes out."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from stxmdist import readers
from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.readers import PtychographyRecording, StxmRecording
from stxmdist.spectra.end_members.spectrum_file import read_spectrum
from stxmdist.units import wavelength_nm

pytestmark = pytest.mark.long

# Amplitude residual of the first 200 positions of the Siemens star after three passes of ePIE: 0.156 as read, 0.251
# and more with any axis turned or swapped. Of all of them after ten passes: 0.121, and 0.207 and more.
RIGHT_EARLY, WRONG_EARLY = 0.18, 0.22
RIGHT_LATE, WRONG_LATE = 0.13, 0.19
WRONG_WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "y turned": lambda y_x: y_x * [-1, 1],
    "x turned": lambda y_x: y_x * [1, -1],
    "both turned": lambda y_x: -y_x,
    "swapped": lambda y_x: y_x[:, ::-1],
}


def stxm(path: Path) -> StxmRecording:
    (recording,) = readers.read(path)
    assert isinstance(recording, StxmRecording)
    return recording


def test_als_iron_stack(shared_data: Path) -> None:
    recording = stxm(shared_data / "als-11.0.2-fe-stack" / "71214078.hdr")
    assert recording.energy_ev.shape == (123,)
    assert (recording.frame_class == MaskClass.valid).all()
    assert len(recording.files) == 124
    np.testing.assert_allclose(np.diff(recording.x_um), 0.08, atol=1e-6)
    np.testing.assert_allclose(recording.dwell_ms, 0.433)
    assert recording.ring_current_ma[0] == 333.4
    assert recording.ring_current_ma[-1] == 306.38
    assert (np.diff(recording.ring_current_ma) < 0).all()
    frames = np.stack([recording.read(index) for index in range(123)])
    assert frames.shape == (123, 125, 125)
    assert (frames > 0).all()
    # Mean of all values, taken from the files with numpy.loadtxt.
    assert frames.mean(dtype=np.float64) == pytest.approx(337.506, abs=0.001)
    assert (frames % 1 != 0).any()


@pytest.mark.parametrize(
    ("folder", "header"), [("als-11.0.2-fe-stack", "71214078.hdr"), ("cosmic-ni", "stxm-scan.hdr")]
)
def test_sdf_is_what_numpy_reads(
    folder: str, header: str, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = stxm(shared_data / folder / header)
    frames = [path for path in recording.files if path.suffix == ".xim"]
    present = np.flatnonzero(recording.frame_class == MaskClass.valid)
    for path, index in zip(frames, present, strict=True):
        counts = recording.read(int(index))
        by_hand = np.array(path.read_bytes().split(), float).reshape(counts.shape)
        np.testing.assert_array_equal(counts, by_hand.astype(np.float32))
    text = recording.source.read_text()
    for axis, values in (("PAxis", recording.x_um), ("QAxis", recording.y_um)):
        listed = re.search(rf"{axis} = .*?Points = \(([^)]*)\)", text, re.DOTALL)
        assert listed is not None
        by_hand = np.array(listed[1].split(","), float)[1:]
        np.testing.assert_array_equal(values, np.sort(by_hand))
    with capsys.disabled():
        print(f"\n{header}: {len(frames)} of {len(frames)} frames as numpy reads them")


@pytest.mark.parametrize("name", ["Sample_Stack_2021-03-16_128", "Sample_Image_2021-03-16_095"])
def test_pollux_is_what_h5py_reads(name: str, shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = stxm(shared_data / "pollux-nxstxm" / f"{name}.hdf5")
    n_energies = len(recording.energy_ev)
    with h5py.File(recording.source) as file:
        channel = file["entry1/counter0"]
        by_hand = channel["data"][()].reshape(n_energies, len(recording.y_um), len(recording.x_um))
        for values, axis in (
            (recording.energy_ev, "energy"),
            (recording.y_um, "sample_y"),
            (recording.x_um, "sample_x"),
        ):
            np.testing.assert_array_equal(values, np.sort(channel[axis][()]))
        turn = [-1 if np.any(np.diff(channel[axis][()]) < 0) else 1 for axis in ("sample_y", "sample_x")]
        np.testing.assert_allclose(recording.dwell_ms, channel["count_time"][()] * 1e3)
    for index in range(n_energies):
        np.testing.assert_array_equal(recording.read(index), by_hand[index, :: turn[0], :: turn[1]])
    with capsys.disabled():
        print(f"\n{name}: {n_energies} of {n_energies} frames as h5py reads them")


def test_siemens_star_is_what_h5py_reads(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (recording,) = readers.read(shared_data / "ptychography" / "aps-siemens-star.cxi")
    assert isinstance(recording, PtychographyRecording)
    with h5py.File(recording.source) as file:
        entry = file["entry_1"]
        data = entry["data_1/data"]
        translation_um = entry["sample_1/geometry_1/translation"][()] * 1e6
        assert len(data) == recording.positions_um.shape[1]
        for start in (0, 257, 513):
            ours = recording.read(0, slice(start, start + 3))
            by_hand = data[start : start + 3]
            for frame, raw in zip(ours, by_hand, strict=True):
                # Turned into the one orientation: the same numbers, none lost.
                assert np.array_equal(np.sort(frame, axis=None), np.sort(raw, axis=None))
                assert frame.any()
        spans = np.ptp(translation_um[:, :2], axis=0)
        np.testing.assert_allclose(sorted(np.ptp(recording.positions_um[0], axis=0)), sorted(spans), rtol=1e-6)
    with capsys.disabled():
        print("\naps-siemens-star.cxi: 9 of 9 frames hold the numbers that h5py reads")


@pytest.mark.parametrize("name", ["i0.xsp", "oxidized.r", "oxidized.t", "reduced.r", "reduced.t"])
def test_spectra_are_what_numpy_reads(name: str, shared_data: Path) -> None:
    path = shared_data / "als-11.0.2-fe-stack" / name
    energy, value = read_spectrum(path)
    by_hand = np.loadtxt(path)
    order = np.argsort(by_hand[:, 0], kind="stable")
    np.testing.assert_array_equal(energy, by_hand[order, 0])
    np.testing.assert_array_equal(value, by_hand[order, 1])


def test_cosmic_aborted_stack(shared_data: Path) -> None:
    path = shared_data / "cosmic-ni" / "stxm-scan.hdr"
    recording = stxm(path)
    present = np.flatnonzero(recording.frame_class == MaskClass.valid)
    assert present.tolist() == [3, 19]
    np.testing.assert_allclose(recording.energy_ev[present], [853.0, 857.75])
    assert (recording.frame_class[np.setdiff1d(np.arange(34), present)] == MaskClass.missing).all()
    assert np.isnan(recording.read(0)).all()
    by_hand = np.loadtxt(path.with_name("stxm-scan_a003.xim"))
    np.testing.assert_array_equal(recording.read(3), by_hand)
    assert "ring current" in recording.lacks


def test_cosmic_header_without_frames(shared_data: Path) -> None:
    path = shared_data / "cosmic-ni" / "NS_181111148.hdr"
    assert readers.describe(path).facts["n_energies"] == 46
    with pytest.raises(InputError, match="no frames beside the header"):
        readers.read(path)


def test_cosmic_reconstruction_has_six_nanometre_pixels(shared_data: Path) -> None:
    path = shared_data / "cosmic-ni" / "ptycho-scan-856eV.cxi"
    description = readers.describe(path)
    assert description.kind == "reconstruction"
    assert description.facts["energy_ev"] == pytest.approx(855.906, abs=1e-3)
    assert description.facts["object_pixel_nm"] == pytest.approx(6.00, abs=0.005)
    with pytest.raises(UnsupportedError, match="reconstruction"):
        readers.read(path)


def test_pollux_stack(shared_data: Path) -> None:
    path = shared_data / "pollux-nxstxm" / "Sample_Stack_2021-03-16_128.hdf5"
    recording = stxm(path)
    with h5py.File(path) as file:
        by_hand = file["entry1/counter0/data"][()]
        np.testing.assert_array_equal(recording.y_um, file["entry1/counter0/sample_y"][()])
        np.testing.assert_allclose(recording.ring_current_ma, file["entry1/control/data"][()].mean((1, 2)), rtol=1e-9)
    assert by_hand.shape == (4, 50, 50)
    for index in range(4):
        np.testing.assert_array_equal(recording.read(index), by_hand[index])
    np.testing.assert_allclose(recording.energy_ev, [280, 284.5, 285, 320])
    np.testing.assert_allclose(recording.dwell_ms, 10.0)


def test_pollux_image(shared_data: Path) -> None:
    recording = stxm(shared_data / "pollux-nxstxm" / "Sample_Image_2021-03-16_095.hdf5")
    assert recording.energy_ev.tolist() == [350.0]
    assert recording.read(0).shape == (50, 50)


def test_pollux_line_is_one_row(shared_data: Path) -> None:
    path = shared_data / "pollux-nxstxm" / "Sample_Line_2021-03-16_096.hdf5"
    assert readers.describe(path).kind == "line scan"
    recording = stxm(path)
    with h5py.File(path) as file:
        by_hand = file["entry1/counter0/data"][()]
        np.testing.assert_array_equal(recording.energy_ev, file["entry1/counter0/energy"][()])
        np.testing.assert_allclose(recording.x_um, file["entry1/counter0/line_position"][()], atol=1e-9)
        np.testing.assert_allclose(recording.ring_current_ma, file["entry1/control/data"][()].mean(1), rtol=1e-4)
    assert by_hand.shape == (81, 50)
    np.testing.assert_array_equal([recording.read(index)[0] for index in range(81)], by_hand)


def test_pollux_focus_is_refused_by_name(shared_data: Path) -> None:
    path = shared_data / "pollux-nxstxm" / "Focus_2021-03-16_051.hdf5"
    assert readers.describe(path).kind == "focus scan"
    with pytest.raises(UnsupportedError, match="focus scan"):
        readers.read(path)


def test_near_field_file_is_refused_by_name_under_any_name(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "ptychography" / "PETRAIII_P25_Near_Field_Ptycho.cxi"
    shutil.copyfile(path, tmp_path / "scan.h5")
    for file in (path, tmp_path / "scan.h5"):
        with pytest.raises(UnsupportedError, match="near-field"):
            readers.read(file)
        assert readers.describe(file).kind == "ptychography"


def test_siemens_star(shared_data: Path) -> None:
    (recording,) = readers.read(shared_data / "ptychography" / "aps-siemens-star.cxi")
    assert isinstance(recording, PtychographyRecording)
    assert recording.positions_um.shape == (1, 516, 2)
    assert recording.frame_shape == (128, 128)
    assert recording.frame_dtype == np.uint16
    assert object_pixel_nm(recording) == pytest.approx(29.35, abs=0.01)
    assert recording.illumination is not None
    assert recording.illumination.shape == (1, 128, 128)


def test_siemens_star_reconstructs_only_in_its_orientation(shared_data: Path) -> None:
    (recording,) = readers.read(shared_data / "ptychography" / "aps-siemens-star.cxi")
    assert isinstance(recording, PtychographyRecording)
    assert epie_residual(recording, lambda y_x: y_x, 200, 3) < RIGHT_EARLY
    for way, turned in WRONG_WAYS.items():
        assert epie_residual(recording, turned, 200, 3) > WRONG_EARLY, way


@pytest.mark.slow
def test_siemens_star_reaches_the_known_residual(shared_data: Path) -> None:
    (recording,) = readers.read(shared_data / "ptychography" / "aps-siemens-star.cxi")
    assert isinstance(recording, PtychographyRecording)
    assert epie_residual(recording, lambda y_x: y_x, 516, 10) < RIGHT_LATE
    assert epie_residual(recording, WRONG_WAYS["swapped"], 516, 10) > WRONG_LATE


def object_pixel_nm(recording: PtychographyRecording) -> float:
    extent_um = recording.frame_shape[0] * recording.detector_pixel_um[0]
    return wavelength_nm(float(recording.energy_ev[0])) * recording.distance_m * 1e6 / extent_um


def epie_residual(
    recording: PtychographyRecording, turned: Callable[[np.ndarray], np.ndarray], n_positions: int, passes: int
) -> float:
    """sqrt(sum (|F| - sqrt I)^2 / sum I) in the last pass of ePIE (Maiden and Rodenburg 2009), positions turned."""
    assert recording.illumination is not None
    n = recording.frame_shape[0]
    frames = recording.read(0, slice(0, n_positions))
    amplitude = np.sqrt(np.fft.ifftshift(frames, axes=(1, 2)).astype(np.float32))
    probe = recording.illumination[0].copy()
    probe *= np.sqrt((amplitude**2).sum() / len(amplitude) / n**2 / (np.abs(probe) ** 2).sum())
    positions = turned(recording.positions_um[0, :n_positions])
    corners = np.round((positions - positions.min(0)) / (object_pixel_nm(recording) * 1e-3)).astype(int)
    whole = np.ones(corners.max(0) + n, np.complex64)
    rng = np.random.default_rng(0)
    for each in range(passes):
        residual = 0.0
        for j in rng.permutation(len(corners)):
            window = whole[corners[j, 0] : corners[j, 0] + n, corners[j, 1] : corners[j, 1] + n]
            before = window.copy()
            exit_wave = probe * before
            far = np.fft.fft2(exit_wave)
            modulus = np.abs(far)
            residual += float(((modulus - amplitude[j]) ** 2).sum())
            change = (np.fft.ifft2(far * (amplitude[j] / (modulus + 1e-6))) - exit_wave).astype(np.complex64)
            window += 0.9 * probe.conj() * change / (np.abs(probe) ** 2).max()
            if each:
                probe += 0.3 * before.conj() * change / (np.abs(before) ** 2).max()
            window /= np.maximum(np.abs(window) / 1.3, 1)
    return float(np.sqrt(residual / (amplitude**2).sum()))
