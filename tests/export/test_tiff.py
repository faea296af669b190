"""TIFF read by tifffile, with what ImageJ reads of scale and units."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile


@pytest.fixture(scope="module")
def folder(whole: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiff")
    whole.export("tiff", folder)
    return folder


@pytest.mark.parametrize("name", ["soc", "soc_se", "thickness_nm"])
@pytest.mark.parametrize("scan", ["WIDE", "DOWNWARD", "FINE"])
def test_maps_come_back_as_they_are(name: str, scan: str, folder: Path, bench: SimpleNamespace) -> None:
    scan_id = getattr(bench, scan)
    values = tifffile.imread(folder / f"{scan_id}_{name.removesuffix('_nm')}.tif")
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values[..., ::-1, :], bench.upright(scan_id, bench.arrays_of("fit", scan_id)[name]))


def test_optical_density_is_minus_the_logarithm_of_the_aligned_transmission(
    folder: Path, bench: SimpleNamespace
) -> None:
    transmission = bench.arrays_of("align", bench.WIDE)["transmission"].astype(np.float64)
    expected = -np.log(np.where(transmission > 0, transmission, np.nan))
    found = tifffile.imread(folder / "wide-1_od.tif")[:, ::-1]
    # float32 logarithms
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_scale_unit_and_origin_are_imagejs(folder: Path, bench: SimpleNamespace) -> None:
    with tifffile.TiffFile(folder / "wide-1_od.tif") as file:
        about, tags = file.imagej_metadata, file.pages[0].tags
        assert about is not None
        assert about["unit"] == "um"
        assert list(about["Labels"]) == ["703.00 eV", "708.20 eV", "710.20 eV"]
        pitches = {}
        for axis, tag in (("x", "XResolution"), ("y", "YResolution")):
            pixels, units = tags[tag].value
            pitches[axis] = units / pixels
        # TIFF writes resolutions as fractions of 32-bit integers.
        assert (pitches["y"], pitches["x"]) == pytest.approx(bench.PIXEL_UM[bench.WIDE], rel=1e-6)
        # ImageJ: coordinate = (position - origin) times pitch, the first pixel's centre at 0.5.
        first = [(0.5 - float(about[f"{axis}origin"])) * pitches[axis] for axis in ("y", "x")]
        # Its y runs downward from the highest row of the field.
        highest = bench.FIRST_UM[0] + (bench.NY - 1) * pitches["y"]
        assert first == pytest.approx([-highest, bench.FIRST_UM[1]], rel=1e-6)
        assert json.loads(about["Info"])["first_pixel_um"]["y"] == pytest.approx(highest)


def test_provenance_stands_in_the_file(folder: Path, bench: SimpleNamespace) -> None:
    with tifffile.TiffFile(folder / "fine-1_thickness.tif") as file:
        assert file.imagej_metadata is not None
        about = json.loads(file.imagej_metadata["Info"])
    assert about["unit"] == "nm"
    assert about["stages"]["fit"]["outputs"][bench.FINE]["digest"] == bench.digest_of("fit", bench.FINE)
    assert about["condition"]["electrode_id"] == "E1"
