"""CXI scans in every orientation and both path families, read back with h5py."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from stxmdist.errors import InputError
from stxmdist.simulation import cxi
from stxmdist.simulation.diffraction import Detector

N_FRAMES = 11
JOULE_PER_EV = 1.602176634e-19
ENERGIES_EV = (708.2, 710.2)


def frames_of(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).poisson(40, (N_FRAMES, n, n)).astype(np.uint16)


def batches(frames: np.ndarray, size: int = 3) -> Iterator[np.ndarray]:
    for first in range(0, len(frames), size):
        yield frames[first : first + size]


def positions(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-5, 5, (N_FRAMES, 2))


def illumination(n: int) -> np.ndarray:
    rng = np.random.default_rng(77)
    return rng.normal(size=(n, n)) + 1j * rng.normal(size=(n, n))


def entries(n: int) -> Iterator[cxi.CxiEntry]:
    for seed, energy_ev in enumerate(ENERGIES_EV):
        yield cxi.CxiEntry(energy_ev, batches(frames_of(n, seed)), N_FRAMES, positions(seed), illumination(n))


def write(folder: Path, n: int = 16, **options) -> Path:
    return cxi.write_scan(folder / "scan.cxi", entries(n), Detector(n, 60.0, 0.042), **options)


def seen(frame: np.ndarray, basis: np.ndarray) -> dict[tuple[int, int], float]:
    """Laboratory place (y, x) in pixels from the zero frequency, to counts: what a detector of this basis means."""
    rows, columns = frame.shape
    step = np.round(basis / np.abs(basis).max()).astype(int)
    places = {}
    for row in range(rows):
        for column in range(columns):
            x, y, _ = step @ np.array([row - rows // 2, column - columns // 2])
            places[int(y), int(x)] = float(frame[row, column])
    return places


def test_paths_and_units(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path, title="a scan")) as file:
        assert file["cxi_version"][()] == 160
        assert file["number_of_entries"][()] == 2
        for number, energy_ev in enumerate(ENERGIES_EV, start=1):
            entry = file[f"entry_{number}"]
            assert entry["instrument_1/source_1/energy"][()] == pytest.approx(energy_ev * JOULE_PER_EV, rel=1e-12)
            assert entry["instrument_1/source_1/wavelength"][()] == pytest.approx(1.239842e-6 / energy_ev, rel=1e-6)
            detector = entry["instrument_1/detector_1"]
            assert detector["distance"][()] == 0.042
            assert detector["x_pixel_size"][()] == detector["y_pixel_size"][()] == pytest.approx(60e-6)
            assert detector["mask"].dtype == np.uint32
            assert not detector["mask"][...].any()
            data = detector["data"]
            assert data.dtype == np.uint16
            assert (data.compression, data.compression_opts, data.shuffle) == ("gzip", 1, True)
            assert entry["data_1/data"] == data
            assert isinstance(entry.get("data_1/data", getlink=True), h5py.SoftLink)


def test_translation_is_the_motion_of_the_sample(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path)) as file:
        for number in (1, 2):
            translation = file[f"entry_{number}/sample_1/geometry_1/translation"][...]
            beam_um = positions(number - 1)
            np.testing.assert_allclose(translation[:, 0], -beam_um[:, 1] * 1e-6)
            np.testing.assert_allclose(translation[:, 1], -beam_um[:, 0] * 1e-6)
            assert not translation[:, 2].any()


def test_other_family_has_data_and_translation_in_data_1(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path, family="data_1")) as file:
        entry = file["entry_1"]
        assert isinstance(entry.get("data_1/data", getlink=True), h5py.HardLink)
        assert "data" not in entry["instrument_1/detector_1"]
        assert "geometry_1" not in entry["sample_1"]
        np.testing.assert_allclose(entry["data_1/translation"][:, 1], -positions(0)[:, 0] * 1e-6)


@pytest.mark.parametrize("n", [16, 17])
@pytest.mark.parametrize("basis", cxi.ORIENTATIONS)
def test_light_is_where_the_basis_vectors_say(tmp_path: Path, basis: str, n: int) -> None:
    with h5py.File(write(tmp_path, n, basis=basis)) as file:
        detector = file["entry_1/instrument_1/detector_1"]
        written = seen(detector["data"][0], detector["basis_vectors"][...])
    ours = seen(frames_of(n, 0)[0], np.array([[0, 1.0], [1.0, 0], [0, 0]]))
    common = [place for place in written if place in ours]
    # On an even detector the row at -n/2 has no partner at +n/2.
    assert len(common) >= (n - 1) ** 2
    assert all(written[place] == ours[place] for place in common)


@pytest.mark.parametrize("n", [16, 17])
@pytest.mark.parametrize("basis", cxi.ORIENTATIONS)
def test_orientation_commutes_with_the_fourier_transform(basis: str, n: int) -> None:
    """So a probe that is turned like the frames makes, in the file's own indices, the frames of the file."""
    wave = illumination(n)

    def far_field(image: np.ndarray) -> np.ndarray:
        return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image)))

    np.testing.assert_allclose(far_field(cxi.oriented(wave, basis)), cxi.oriented(far_field(wave), basis), atol=1e-10)


def test_standard_orientation_is_the_real_files(tmp_path: Path, shared_data: Path) -> None:
    with h5py.File(shared_data / "ptychography" / "PETRAIII_P25_Near_Field_Ptycho.cxi") as real:
        theirs = real["entry_1/instrument_1/detector_1/basis_vectors"][...]
    with h5py.File(write(tmp_path)) as file:
        ours = file["entry_1/instrument_1/detector_1/basis_vectors"][...]
    np.testing.assert_allclose(ours / 60e-6, theirs / 5.5e-5, atol=1e-6)


def test_mask_and_illumination_are_turned_like_the_frames(tmp_path: Path) -> None:
    mask = np.zeros((16, 16), bool)
    mask[3, 9] = True
    with h5py.File(write(tmp_path, mask=mask, basis="-x+y")) as file:
        bad = file["entry_1/instrument_1/detector_1/mask"][...]
        probe = file["entry_1/instrument_1/source_1/illumination"][...]
    assert bad.sum() == 1
    # Rows run along -x, columns along +y: column 9 lies at x = +1, hence one row before the middle.
    assert bad[7, 3] == 1
    np.testing.assert_allclose(probe[7, 3], illumination(16)[3, 9], rtol=1e-6)


def test_uint32_frames_stay_so(tmp_path: Path) -> None:
    frames = frames_of(16, 0).astype(np.uint32) * 100_000
    entry = cxi.CxiEntry(708.2, batches(frames, 4), N_FRAMES, positions(0))
    path = cxi.write_scan(tmp_path / "bright.cxi", [entry], Detector(16, 60.0, 0.042), basis="+y+x")
    with h5py.File(path) as file:
        data = file["entry_1/data_1/data"]
        assert data.dtype == np.uint32
        np.testing.assert_array_equal(data[...], frames)
        assert "illumination" not in file["entry_1/instrument_1/source_1"]


def test_frames_are_never_all_in_memory(tmp_path: Path) -> None:
    """More frames than a chunk holds, given one at a time: what waits to be written stays below two chunks."""
    n, count = 64, 200
    alive: list[int] = []

    class Watched(np.ndarray):
        def __array_finalize__(self, source: object) -> None:
            alive.append(1)

        def __del__(self) -> None:
            alive.pop()

    most = 0

    def one_by_one() -> Iterator[np.ndarray]:
        nonlocal most
        for index in range(count):
            most = max(most, len(alive))
            yield np.full((1, n, n), index, np.uint16).view(Watched)

    entry = cxi.CxiEntry(708.2, one_by_one(), count, np.zeros((count, 2)))
    path = cxi.write_scan(tmp_path / "long.cxi", [entry], Detector(n, 60.0, 0.042))
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["entry_1/data_1/data"][:, 5, 7], np.arange(count))
        assert file["entry_1/data_1/data"].chunks[0] < count / 4
    assert 1 < most < count / 2


@pytest.mark.parametrize(
    "entry",
    [
        cxi.CxiEntry(708.2, batches(frames_of(16, 0)), N_FRAMES, positions(0)[:-1]),
        cxi.CxiEntry(708.2, batches(frames_of(16, 0)[:-1]), N_FRAMES, positions(0)),
        cxi.CxiEntry(708.2, batches(frames_of(16, 0)), N_FRAMES - 1, positions(0)[:-1]),
        cxi.CxiEntry(708.2, batches(frames_of(17, 0)), N_FRAMES, positions(0)),
        cxi.CxiEntry(708.2, iter([]), N_FRAMES, positions(0)),
    ],
    ids=["a position short", "a frame short", "a frame too many", "other frames", "no frames"],
)
def test_misfits_are_refused_and_leave_nothing(tmp_path: Path, entry: cxi.CxiEntry) -> None:
    with pytest.raises(InputError, match="entry_1"):
        cxi.write_scan(tmp_path / "scan.cxi", [entry], Detector(16, 60.0, 0.042))
    assert list(tmp_path.iterdir()) == []


def test_unknown_orientation_and_family_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="orientation"):
        write(tmp_path, basis="+y+y")
    with pytest.raises(InputError, match="family"):
        write(tmp_path, family="entry")
    assert list(tmp_path.iterdir()) == []
