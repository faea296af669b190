"""TIFF read by tifffile, with what ImageJ reads of scale and units."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from stxmdist.export.tiff import MAPS


@pytest.fixture(scope="module")
def folder(whole: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiff")
    whole.export("tiff", folder)
    return folder


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("scan", ["WIDE", "DOWNWARD", "FINE"])
def test_maps_come_back_as_they_are(name: str, scan: str, folder: Path, bench: SimpleNamespace) -> None:
    scan_id = getattr(bench, scan)
    values = tifffile.imread(folder / f"{scan_id}_{MAPS[name]}.tif")
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values[..., ::-1, :], bench.upright(scan_id, bench.arrays_of("fit", scan_id)[name]))


@pytest.mark.parametrize("scan", ["WIDE", "DOWNWARD", "FINE"])
def test_particles_come_back_with_their_numbers_and_scale(scan: str, folder: Path, bench: SimpleNamespace) -> None:
    scan_id = getattr(bench, scan)
    with tifffile.TiffFile(folder / f"{scan_id}_particles.tif") as file:
        labels, tags = file.asarray(), file.pages[0].tags
        assert file.imagej_metadata is not None
        assert file.imagej_metadata["unit"] == "um"
        pitches = [tags[f"{axis}Resolution"].value[1] / tags[f"{axis}Resolution"].value[0] for axis in "YX"]
    assert labels.dtype == np.uint16
    planted = bench.upright(scan_id, bench.arrays_of("segment", scan_id)["labels"])
    np.testing.assert_array_equal(labels[::-1], np.maximum(planted, 0))
    # TIFF writes resolutions as fractions of 32-bit integers.
    assert pitches == pytest.approx(bench.PIXEL_UM[scan_id], rel=1e-6)


def test_particles_beyond_16_bits_keep_their_numbers(torn: Any, bench: SimpleNamespace, tmp_path: Path) -> None:
    output = torn.store.output("segment", bench.WIDE, bench.digest_of("segment", bench.WIDE))
    zarr.open_group(output.path / "data.zarr", mode="r+")["labels"][5, 3] = 70_001
    torn.export("tiff", tmp_path, scans=(bench.WIDE,))
    assert tifffile.imread(tmp_path / "wide-1_particles.tif")[bench.NY - 1 - 5, 3] == 70_001


def test_the_phase_is_that_of_ptychography(folder: Path, bench: SimpleNamespace) -> None:
    assert [path.name for path in folder.glob("*_phase.tif")] == ["fine-1_phase.tif"]
    phase = bench.arrays_of("align", bench.FINE)["phase"]
    with tifffile.TiffFile(folder / "fine-1_phase.tif") as file:
        np.testing.assert_array_equal(file.asarray()[:, ::-1], phase)
        assert file.imagej_metadata is not None
        assert json.loads(file.imagej_metadata["Info"])["unit"] == "rad"


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
