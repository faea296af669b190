"""ENVI: a header and a raw file, in every order of bytes and bands."""

from pathlib import Path

import numpy as np
import pytest

from stxmdist import readers
from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.readers import StxmRecording
from tests.readers.examples import envi, sdf
from tests.readers.examples.planted import ENERGY_EV, NX, NY, X_UM, Y_UM


def read(path: Path) -> StxmRecording:
    (recording,) = readers.read(path)
    assert isinstance(recording, StxmRecording)
    return recording


def frames(recording: StxmRecording) -> np.ndarray:
    return np.stack([recording.read(index) for index in range(len(recording.energy_ev))])


def changed(header: Path, old: str, new: str) -> Path:
    text = header.read_text()
    assert old in text
    header.write_text(text.replace(old, new))
    return header


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
@pytest.mark.parametrize(("dtype", "offset", "ending"), [("<f4", 0, ".img"), (">u2", 32, ""), ("<i4", 8, ".DAT")])
def test_counts_and_axes(
    interleave: str, dtype: str, offset: int, ending: str, planted: np.ndarray, tmp_path: Path
) -> None:
    header = envi.write(tmp_path / "scan", interleave=interleave, dtype=dtype, offset=offset, ending=ending)
    recording = read(header)
    np.testing.assert_array_equal(frames(recording), planted)
    np.testing.assert_array_equal(recording.energy_ev, ENERGY_EV)
    np.testing.assert_allclose(recording.y_um, Y_UM)
    np.testing.assert_allclose(recording.x_um, X_UM)
    assert recording.files == (header, header.with_suffix(ending))


def test_an_sdf_header_is_none_of_it(tmp_path: Path) -> None:
    """Both end in .hdr: the first word tells them apart, whatever a description says of the other."""
    assert readers.detect(sdf.write_example(tmp_path / "sdf")) == "sdf"
    header = changed(envi.write(tmp_path / "scan"), "{ iron,", "{ ScanDefinition = iron,")
    assert readers.detect(header) == "envi"


@pytest.mark.parametrize(
    ("unit", "energies"),
    [("keV", ENERGY_EV / 1e3), ("Nanometers", 1239.841984 / ENERGY_EV), ("Micrometers", 1.239841984 / ENERGY_EV)],
)
def test_wavelengths_in_any_unit(unit: str, energies: np.ndarray, planted: np.ndarray, tmp_path: Path) -> None:
    header = envi.write(tmp_path / "scan")
    said = ", ".join(f"{energy:.2f}" for energy in ENERGY_EV)
    changed(header, said, ", ".join(f"{energy:.12f}" for energy in energies))
    recording = read(changed(header, "wavelength units = eV", f"wavelength units = {unit}"))
    np.testing.assert_allclose(recording.energy_ev, ENERGY_EV, rtol=1e-9)
    np.testing.assert_array_equal(frames(recording), planted)


def test_a_unit_that_the_header_does_not_say_may_be_chosen(tmp_path: Path) -> None:
    header = changed(envi.write(tmp_path / "scan"), "wavelength units = eV", "wavelength units = Unknown")
    with pytest.raises(InputError, match="energy_unit"):
        readers.read(header)
    (recording,) = readers.read(header, readers.ReadChoices(energy_unit="eV"))
    np.testing.assert_array_equal(recording.energy_ev, ENERGY_EV)


def test_energies_in_the_names_of_bands(tmp_path: Path) -> None:
    names = ", ".join(f"image {n} {energy:.2f} eV" for n, energy in enumerate(ENERGY_EV))
    header = envi.write(tmp_path / "scan", lines=(envi.MAP, f"band names = {{ {names} }}"))
    text = [line for line in header.read_text().splitlines() if not line.startswith("wavelength")]
    header.write_text("\n".join(text) + "\n")
    np.testing.assert_array_equal(read(header).energy_ev, ENERGY_EV)


def test_pixels_and_their_absence(tmp_path: Path) -> None:
    header = envi.write(tmp_path / "scan", lines=("pixel size = { 0.2, 0.1, units = micrometers }",))
    np.testing.assert_allclose(np.diff(read(header).x_um), 0.2)
    np.testing.assert_allclose(np.diff(read(header).y_um), 0.1)
    assert any("pixel size" in lack for lack in read(envi.write(tmp_path / "scan", lines=())).lacks)


def test_numbers_that_stand_for_nothing_are_missing(planted: np.ndarray, tmp_path: Path) -> None:
    planted[3] = -1
    planted[1, 2] = -1
    lines = (envi.MAP, "data ignore value = -1", "reflectance scale factor = 2")
    recording = read(envi.write(tmp_path / "scan", counts=planted, lines=lines))
    assert recording.frame_class.tolist() == [0, 0, 0, MaskClass.missing, 0]
    wanted = np.where(planted < 0, np.nan, planted / 2)
    np.testing.assert_array_equal(frames(recording), wanted)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("lines   = 7", "lines   = 7.5", "whole number"),
        ("lines   = 7", "lines   = 70000000", "positive sizes"),
        ("bands   = 5", "bands   = 4", "size"),
        ("bands   = 5", "remark", "bands = not said"),
        ("data type = 4", "data type = 7", "data type"),
        ("interleave = bsq", "interleave = bxq", "interleave"),
        ("units = eV", "units = Index", "wavelength units = eV"),
        ("wavelength units = eV", "remark", "wavelength units = eV"),
        ("700.00", "7_00", "finite numbers"),
        ("units = um", "units = furlongs", "unit"),
    ],
)
def test_broken_headers_are_refused(old: str, new: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"scan\..*{said}"):
        readers.read(changed(envi.write(tmp_path / "scan"), old, new))


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    header = envi.write(tmp_path / "scan")
    for old, new in (("ENVI Standard", "ENVI Spectral Library"), ("data type = 4", "data type = 6")):
        with pytest.raises(UnsupportedError, match="no images of real numbers"):
            readers.read(changed(header, old, new))
    header = envi.write(tmp_path / "alone")
    header.with_suffix(".img").unlink()
    with pytest.raises(InputError, match=r"not beside it; got no file alone or alone\.img"):
        readers.read(header)


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
def test_what_spectral_python_writes(interleave: str, planted: np.ndarray, tmp_path: Path) -> None:
    spectral = pytest.importorskip("spectral.io.envi", reason="Spectral Python is not installed")
    metadata = {"wavelength": [str(energy) for energy in ENERGY_EV], "wavelength units": "eV"}
    metadata["map info"] = ["Arbitrary", "1", "1", "19.9", "-2.35", "0.2", "0.1", "units=um"]
    header = tmp_path / "scan.hdr"
    image = planted[:, ::-1].transpose(1, 2, 0).astype(np.uint16)
    spectral.save_image(str(header), image, interleave=interleave, byteorder="big", metadata=metadata)
    recording = read(header)
    assert frames(recording).shape == (len(ENERGY_EV), NY, NX)
    np.testing.assert_array_equal(frames(recording), planted)
    np.testing.assert_array_equal(recording.energy_ev, ENERGY_EV)
    np.testing.assert_allclose(recording.y_um, Y_UM)
    np.testing.assert_allclose(recording.x_um, X_UM)
