"""Images of Xradia's microscopes, in OLE containers."""

import struct
from pathlib import Path

import numpy as np
import pytest

from stxmdist import readers
from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.readers import StxmRecording
from tests.readers.examples import xradia
from tests.readers.examples.planted import ENERGY_EV

SINGLE = 1e-6
"""Relative: conditions are in float32."""


def reals(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


def read(path: Path) -> StxmRecording:
    (recording,) = readers.read(path)
    assert isinstance(recording, StxmRecording)
    return recording


def frames(recording: StxmRecording) -> np.ndarray:
    return np.stack([recording.read(index) for index in range(len(recording.energy_ev))])


@pytest.mark.parametrize("shift", [0.0, 0.25])
def test_counts_axes_and_conditions(shift: float, planted: np.ndarray, tmp_path: Path) -> None:
    """Whole numbers are stored as uint16, others as float32."""
    recording = read(xradia.write(tmp_path / "scan.txrm", counts=planted + shift))
    np.testing.assert_array_equal(frames(recording), planted + shift)
    np.testing.assert_allclose(recording.energy_ev, ENERGY_EV, rtol=SINGLE)
    np.testing.assert_allclose(recording.y_um, -2.7 + 0.1 * np.arange(-3, 4), rtol=SINGLE)
    np.testing.assert_allclose(recording.x_um, 21.0 + 0.1 * np.arange(-5, 6), rtol=SINGLE)
    assert recording.dwell_ms.tolist() == [2000.0] * 5
    assert recording.start_time == "2015-11-09T18:19:21"
    assert recording.lacks == ("ring current",)
    assert recording.notes == ()


def test_images_of_many_sectors(tmp_path: Path) -> None:
    counts = np.random.default_rng(1).poisson(500, (3, 120, 150)).astype(float)
    np.testing.assert_array_equal(frames(read(xradia.write(tmp_path / "scan.txrm", counts=counts))), counts)


def test_more_than_a_hundred_images(tmp_path: Path) -> None:
    counts = np.arange(104.0 * 6).reshape(104, 2, 3)
    energies = np.linspace(700, 720, 104)
    recording = read(xradia.write(tmp_path / "scan.txrm", counts=counts, Energy=reals(*energies)))
    np.testing.assert_array_equal(frames(recording), counts)


def test_images_that_were_not_taken_are_missing(planted: np.ndarray, tmp_path: Path) -> None:
    recording = read(xradia.write(tmp_path / "scan.txrm", taken=3))
    assert recording.frame_class.tolist() == [0, 0, 0, MaskClass.missing, MaskClass.missing]
    np.testing.assert_array_equal(frames(recording)[:3], planted[:3])
    with pytest.raises(InputError, match="holds no image; got 0 of 5"):
        readers.read(xradia.write(tmp_path / "scan.txrm", taken=0))


def test_the_energy_of_a_single_image_may_be_in_its_name(planted: np.ndarray, tmp_path: Path) -> None:
    path = xradia.write(tmp_path / "fov1_00707.2_eV_001of003.xrm", counts=planted[:1], Energy=reals(0.0))
    recording = read(path)
    assert recording.energy_ev.tolist() == [707.2]
    assert any("707.2 eV, is that of the file's name" in note for note in recording.notes)
    assert readers.describe(path).kind == "image"
    with pytest.raises(InputError, match="one photon energy for each image; got 1 images, 0 energies"):
        readers.read(path.rename(tmp_path / "scan.xrm"))


def test_tomography_and_series_are_refused(tmp_path: Path) -> None:
    one = reals(710.0, *[0.0] * 7)
    for changes, said in (
        ({"Energy": one, "Angles": reals(-45, -20, 0, 20, 45)}, "tomography.*angles of -45 to 45"),
        ({"Energy": one}, "series of images"),
    ):
        with pytest.raises(UnsupportedError, match=said):
            readers.read(xradia.write(tmp_path / "scan.txrm", **changes))
        assert not readers.describe(tmp_path / "scan.txrm").usable


def test_images_divided_by_their_reference_are_transmission(planted: np.ndarray, tmp_path: Path) -> None:
    path = xradia.write(tmp_path / "scan.txrm", counts=planted / 4096, OriginalDataRefCorrected=struct.pack("<i", 1))
    recording = read(path)
    assert any("transmission, not counts" in note for note in recording.notes)
    np.testing.assert_allclose(frames(recording), planted / 4096, rtol=SINGLE)


def test_a_mosaic_is_one_image(planted: np.ndarray, tmp_path: Path) -> None:
    four = {
        "NoOfImages": struct.pack("<i", 4),
        "MosiacRows": struct.pack("<i", 2),
        "MosiacColumns": struct.pack("<i", 2),
    }
    places = {"XPosition": reals(20, 22, 20, 22), "Energy": reals(*[710.0] * 4)}
    recording = read(xradia.write(tmp_path / "mosaic.xrm", counts=planted[:1], **four, **places))
    assert recording.energy_ev.tolist() == [710.0]
    assert recording.x_um.mean() == pytest.approx(21.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ImageWidth": struct.pack("<i", 12)}, "Image1 of 154 bytes, where an image has 168"),
        ({"ImageWidth": struct.pack("<i", 2**30)}, "damaged"),
        ({"ImageHeight": None}, "ImageHeight"),
        ({"NoOfImages": struct.pack("<i", -5)}, "-5 images"),
        ({"DataType": struct.pack("<i", 11)}, "type 11"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, bytes | None], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"scan\.txrm.*{said}"):
        read(xradia.write(tmp_path / "scan.txrm", **changes)).read(0)


def test_other_containers_are_not_of_it(tmp_path: Path) -> None:
    path = tmp_path / "letter.doc"
    path.write_bytes(xradia.container({"WordDocument": b"Dear all" * 700}))
    with pytest.raises(InputError, match="no beamline file that stxmdist knows"):
        readers.read(path)


def test_what_another_program_reads(planted: np.ndarray, tmp_path: Path) -> None:
    txrm2tiff = pytest.importorskip("txrm2tiff", reason="txrm2tiff is not installed")
    path = xradia.write(tmp_path / "scan.txrm")
    with txrm2tiff.open_txrm(path) as file:
        np.testing.assert_array_equal(file.get_images(), planted)
        np.testing.assert_allclose(file.energies[: len(ENERGY_EV)], read(path).energy_ev)
