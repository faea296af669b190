"""CXI read by h5py at the paths that other codes read, and described by the reader of beamline files."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import UnsupportedError
from stxmdist.export.cxi_parts import best_tile
from stxmdist.readers.cxi.orientation import orientation_of

JOULE_PER_EV = 1.602176634e-19


@pytest.fixture(scope="module")
def path(whole: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cxi")
    whole.export("cxi", folder)
    return folder / "fine-1.cxi"


def test_one_entry_for_each_energy_in_joule(path: Path, bench: SimpleNamespace) -> None:
    with h5py.File(path) as file:
        assert file["cxi_version"][()] == 160
        assert file["number_of_entries"][()] == 3
        for number, energy_ev in enumerate(bench.ENERGY_EV, start=1):
            light = file[f"entry_{number}/instrument_1/source_1"]
            assert light["energy"][()] == pytest.approx(energy_ev * JOULE_PER_EV, rel=1e-12)
            # hc = 1239.84 eV nm
            assert light["wavelength"][()] == pytest.approx(1.239842e-6 / energy_ev, rel=1e-6)


def test_objects_probes_and_convergence_come_back(path: Path, bench: SimpleNamespace) -> None:
    reconstruct = bench.arrays_of("reconstruct", bench.FINE)
    objects = bench.arrays_of("stitch", bench.FINE)["object"]
    with h5py.File(path) as file:
        for energy in range(3):
            entry = file[f"entry_{energy + 1}"]
            np.testing.assert_array_equal(entry["image_1/data"][()], objects[energy])
            np.testing.assert_array_equal(entry["data_2/data"][()], objects[energy])
            invalid = (entry["image_1/mask"][()] & 1).astype(bool)
            np.testing.assert_array_equal(invalid, np.isnan(objects[energy]))
            assert invalid.any()
            # The second tile ended with the smaller residual.
            illumination = entry["instrument_1/source_1/illumination"]
            np.testing.assert_array_equal(illumination[()], reconstruct["probe"][energy, 1])
            results = [entry[f"result_{number}/data"] for number in (1, 2, 3)]
            for result in results:
                np.testing.assert_array_equal(result[()], reconstruct[result.attrs["name"]][energy])


def test_geometry_is_in_metres_and_the_sample_moves_against_the_beam(path: Path, bench: SimpleNamespace) -> None:
    beam_um = bench.arrays_of("ingest", bench.FINE)["positions_um"]
    with h5py.File(path) as file:
        for energy in range(3):
            entry = file[f"entry_{energy + 1}"]
            translation = entry["data_1/translation"][()]
            np.testing.assert_allclose(-translation[:, :2] * 1e6, beam_um[energy][:, ::-1], rtol=1e-12)
            assert (translation[:, 2] == 0).all()
            np.testing.assert_array_equal(entry["sample_1/geometry_1/translation"][()], translation)
            detector = entry["instrument_1/detector_1"]
            assert detector["distance"][()] == pytest.approx(0.0528)
            sizes = (detector["y_pixel_size"][()], detector["x_pixel_size"][()])
            assert sizes == pytest.approx((120e-6, 100e-6))
            np.testing.assert_array_equal(detector["mask"][()], np.eye(7, dtype=np.uint32))
            image = entry["image_1"]
            pixels = [image["y_pixel_size"][()], image["x_pixel_size"][()]]
            assert pixels == pytest.approx([12.2e-9, 12.2e-9])
            assert image["image_size"][()] == pytest.approx([bench.NX * 12.2e-9, bench.NY * 12.2e-9, 0])
            assert image["first_pixel"][()] == pytest.approx([-1e-6, 3e-6, 0])
            for dataset in (entry["data_1/translation"], detector["distance"], image["x_pixel_size"]):
                assert dataset.attrs["units"] == "m"
            assert entry["instrument_1/source_1/energy"].attrs["units"] == "J"


def test_refined_positions_are_where_the_sample_was_in_metres(path: Path, bench: SimpleNamespace) -> None:
    beam_um, tiles = bench.arrays_of("ingest", bench.FINE)["positions_um"], bench.tiling()
    planted = 0
    for energy in range(3):
        pixel_m = np.array(tiles.placements[energy].pixel_nm) * 1e-9
        with h5py.File(path) as file:
            measured = file[f"entry_{energy + 1}/sample_1/geometry_1/translation"][()]
            refined = file[f"entry_{energy + 1}/result_4/data"]
            assert refined.attrs["units"] == "m"
            assert refined.attrs["axes"] == "translation:coordinate"
            values = refined[()]
        assert values.shape == measured.shape
        for position, place in enumerate(beam_um[0]):
            if (energy, position) == bench.UNUSABLE:
                assert np.isnan(values[position, :2]).all()
                continue
            cores = [
                number
                for number, window in enumerate(tiles.windows[energy])
                for y0, y1, x0, x1 in [window.tile.core_um]
                if y0 <= place[0] <= y1 and x0 <= place[1] <= x1
            ]
            assert len(cores) == 1
            planted += sum(position in window.tile.positions for window in tiles.windows[energy]) > 1
            # The beam moved by so much along (y, x); the sample by as much the other way along (x, y).
            beam_m = bench.moves_px()[energy, cores[0], position] * pixel_m
            np.testing.assert_allclose(values[position, :2] - measured[position, :2], -beam_m[::-1], atol=1e-15)
            assert values[position, 2] == 0
    assert planted, "no position was in two tiles"


def test_what_an_older_version_reconstructed_lacks_refined_positions(torn: Any, tmp_path: Path) -> None:
    (metadata,) = (torn.folder / "store/stages/reconstruct").rglob("tile_positions_px/zarr.json")
    written = json.loads(metadata.read_text())
    del written["attributes"]["positions_per_tile"]
    metadata.write_text(json.dumps(written))
    done = torn.export("cxi", tmp_path)
    assert "refined positions" in [lack.what for lack in done.lacks]
    with h5py.File(tmp_path / "fine-1.cxi") as file:
        assert "result_3" in file["entry_1"]
        assert "result_4" not in file["entry_1"]


def test_basis_vectors_say_the_orientation_that_our_reader_calls_upright(path: Path) -> None:
    with h5py.File(path) as file:
        for name in ("instrument_1/detector_1", "image_1"):
            basis = file[f"entry_1/{name}/basis_vectors"][()]
            way = orientation_of(basis)
            assert way is not None
            frame = np.arange(35).reshape(5, 7)
            np.testing.assert_array_equal(way.canonical(frame), frame)


def test_our_reader_describes_it_and_does_not_take_it_for_frames(path: Path, bench: SimpleNamespace) -> None:
    described = readers.describe(path)
    assert (described.format, described.kind) == ("cxi", "reconstruction")
    assert described.facts["energy_ev"] == pytest.approx(703.0)
    assert described.facts["shape"] == [bench.NY, bench.NX]
    with pytest.raises(UnsupportedError, match="reconstruction"):
        readers.read(path)


def test_provenance(path: Path, bench: SimpleNamespace) -> None:
    with h5py.File(path) as file:
        process = file["entry_2/image_1/process_1"]
        assert process["program"][()] == b"stxmdist"
        found = json.loads(process["note_1/data"][()])
    assert found["energy_ev"] == 708.2
    assert set(found["stages"]) == {"ingest", "reconstruct", "stitch"}
    assert found["stages"]["stitch"]["outputs"][bench.FINE]["digest"] == bench.digest_of("stitch", bench.FINE)


def test_an_energy_that_was_not_reconstructed_is_left_out_and_said(torn: Any, tmp_path: Path) -> None:
    done = torn.export("cxi", tmp_path)
    assert not done.complete
    assert [lack.what for lack in done.lacks] == ["object at 708.20 eV"]
    with h5py.File(tmp_path / "fine-1.cxi") as file:
        titles = [file[f"entry_{number}/title"][()].decode() for number in (1, 2)]
        assert file["number_of_entries"][()] == 2
    assert [title.split(", ")[-1] for title in titles] == ["703.00 eV", "710.20 eV"]


def test_wide_field_scans_lack_a_reconstruction_only_where_they_are_named(
    whole: Any, bench: SimpleNamespace, tmp_path: Path
) -> None:
    assert whole.export("cxi", tmp_path / "all").complete
    named = whole.export("cxi", tmp_path / "named", scans=(bench.WIDE, bench.FINE))
    assert [lack.scan_id for lack in named.lacks] == [bench.WIDE]
    assert [item.scan_id for item in named.written] == [bench.FINE]


def test_the_best_tile_is_found_among_unknown_ones() -> None:
    nan = np.nan
    assert best_tile(np.array([[0.3, nan], [0.2, 0.1], [nan, nan]])) == 1
    assert best_tile(np.full((2, 3), nan)) == 0
