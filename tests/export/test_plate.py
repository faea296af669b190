"""The plate, read by zarr, judged by ome-zarr-models, and read by ome-zarr, napari's plugin and ngio.

Where the last three come from: ``tests/export/peers.py``.
"""

import csv
import json
import re
import shutil
import subprocess
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from ome_zarr_models.v05.hcs import HCS

from stxmdist.campaign.scan import Scan
from stxmdist.export.ome_parts import Raster
from stxmdist.export.plate import CHANNELS, plate_of
from stxmdist.export.plate_names import natural, plain_names
from tests.export.peers import clean, python_with

READ_OME = Path(__file__).parents[1] / "bench/peers/read_ome.py"
ODD = {"wide-1": ("NMC-811", "0.5", "r1"), "wide-2": ("NMC 811", "", "r1")}
"""Scan to electrode, cycle and region: names that are equal without their signs, half a cycle, none"""
TOGETHER = {"wide-1": ("E1", "1", "r2"), "wide-2": ("E1", "1", "r1")}
"""Two regions of one electrode at one cycle"""


def with_sheet(whole: Any, folder: Path, cells: dict[str, tuple[str, str, str]]) -> Any:
    """The campaign with other electrodes, cycles and regions in its sample sheet."""
    copy = type(whole)(shutil.copytree(whole.folder, folder))
    sheet = copy.folder / "samples.csv"
    with sheet.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["scan_id"] in cells:
            row["electrode_id"], row["cycle"], row["region_id"] = cells[row["scan_id"]]
    with sheet.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return copy


@pytest.fixture(scope="module")
def folder(whole: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plate")
    whole.export("ome-zarr-plate", folder)
    return folder


@pytest.fixture(scope="module")
def odd(whole: Any, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("odd")
    done = with_sheet(whole, folder / "campaign", ODD).export("ome-zarr-plate", folder / "out")
    return SimpleNamespace(path=folder / "out/wide-field.ome.zarr", done=done)


@pytest.fixture(scope="module")
def together(whole: Any, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("together")
    done = with_sheet(whole, folder / "campaign", TOGETHER).export("ome-zarr-plate", folder / "out")
    return SimpleNamespace(path=folder / "out/wide-field.ome.zarr", done=done)


def expected(bench: SimpleNamespace, scan_id: str) -> np.ndarray:
    """The channels (C, Y, X) of a scan as they are seen, from the top."""
    fit = bench.arrays_of("fit", scan_id)
    maps = [fit["thickness_nm"].sum(axis=0) if name == "thickness_nm" else fit[name] for name in CHANNELS]
    return bench.upright(scan_id, np.stack(maps))[:, ::-1]


def check_on_disk(path: Path) -> None:
    """What validators do not look at: names, indices and paths agree, every field is there, labels have its levels."""

    def ome(part: str) -> dict[str, Any]:
        about: dict[str, Any] = json.loads((path / part / "zarr.json").read_text())["attributes"]["ome"]
        assert about["version"] == "0.5"
        return about

    plate = ome("")["plate"]
    rows, columns = ([item["name"] for item in plate[axis]] for axis in ("rows", "columns"))
    for names in (rows, columns):
        assert all(re.fullmatch("[A-Za-z0-9]+", name) for name in names)
        assert len({name.casefold() for name in names}) == len(names)
    paths = [well["path"] for well in plate["wells"]]
    assert paths == [f"{rows[well['rowIndex']]}/{columns[well['columnIndex']]}" for well in plate["wells"]]
    assert len(set(paths)) == len(paths)
    acquisitions = {item["id"] for item in plate["acquisitions"]}
    shapes = set()
    for well in paths:
        images = ome(well)["well"]["images"]
        assert [image["path"] for image in images] == [str(number) for number in range(len(images))]
        assert {image["acquisition"] for image in images} <= acquisitions
        assert len(images) <= plate["field_count"]
        for image in images:
            group = zarr.open_group(path / well / image["path"], mode="r")
            levels = [item["path"] for item in ome(f"{well}/{image['path']}")["multiscales"][0]["datasets"]]
            labels = [
                item["path"] for item in ome(f"{well}/{image['path']}/labels/particles")["multiscales"][0]["datasets"]
            ]
            assert levels == labels
            assert all(group[f"labels/particles/{level}"].shape == group[level].shape[1:] for level in levels)
            shapes.add(group["0"].shape)
    assert len(shapes) == 1, "viewers lay wells side by side"


@pytest.mark.parametrize("name", ["wide-field", "ptychography"])
def test_a_validator_finds_it_valid(name: str, folder: Path) -> None:
    path = folder / f"{name}.ome.zarr"
    with warnings.catch_warnings():
        # It warns of what should be there and is not.
        warnings.simplefilter("error")
        plate = HCS.from_zarr(zarr.open_group(path, mode="r"))
    assert plate.n_wells == (2 if name == "wide-field" else 1)
    check_on_disk(path)


@pytest.mark.parametrize("case", ["odd", "together"])
def test_odd_sheets_are_valid_too(case: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(case).path
    HCS.from_zarr(zarr.open_group(path, mode="r"))
    check_on_disk(path)


@pytest.mark.parametrize(("scan", "place"), [("WIDE", "E1/1/0"), ("DOWNWARD", "E2/50/0"), ("FINE", "E1/1/0")])
def test_maps_and_particles_lie_as_in_the_report(scan: str, place: str, folder: Path, bench: SimpleNamespace) -> None:
    """As images of single scans do, whose place beside the report's pictures ``test_orientation.py`` compares."""
    scan_id = getattr(bench, scan)
    name = "ptychography" if scan == "FINE" else "wide-field"
    image = zarr.open_group(folder / f"{name}.ome.zarr" / place, mode="r")
    # float32 sums of two
    np.testing.assert_allclose(image["0"][...], expected(bench, scan_id), rtol=1e-6)
    labels = bench.upright(scan_id, bench.arrays_of("segment", scan_id)["labels"])[::-1]
    np.testing.assert_array_equal(image["labels/particles/0"][...], np.maximum(labels, 0))
    scale, translation = image.attrs["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    y_um, x_um = (np.sort(bench.axes(scan_id)[axis][0]) for axis in "yx")
    row, column = 3, 5
    found = np.array(translation["translation"]) + np.array(scale["scale"]) * (0, row, column)
    assert (-found[1], found[2]) == pytest.approx((y_um[::-1][row], x_um[column]))


def test_only_the_state_of_charge_is_shown_at_first_and_alike_everywhere(folder: Path) -> None:
    path = folder / "wide-field.ome.zarr"
    one, other = (zarr.open_group(path / place, mode="r").attrs["ome"]["omero"] for place in ("E1/1/0", "E2/50/0"))
    assert one == other
    assert [channel["active"] for channel in one["channels"]] == [True, False, False, False]
    soc, *others = (channel["window"] for channel in one["channels"])
    assert (soc["start"], soc["end"]) == (0.0, 1.0)
    for window in (soc, *others):
        assert window["min"] <= window["start"] < window["end"] <= window["max"]


def test_the_condition_of_each_field_is_keyed_by_row_and_column(odd: SimpleNamespace) -> None:
    conditions = pd.read_csv(odd.path / "tables/condition/table.csv", dtype={"row": str, "column": str})
    assert conditions[["row", "column", "field", "scan_id"]].to_numpy().tolist() == [
        ["NMC811", "unknown", 0, "wide-2"],
        ["NMC811n2", "0p5", 0, "wide-1"],
    ]
    assert conditions["electrode_id"].to_list() == ["NMC 811", "NMC-811"]
    assert conditions["cycle"].isna().to_list() == [True, False]
    about = json.loads((odd.path / "zarr.json").read_text())["attributes"]["stxmdist"]
    assert {plain: row["electrode_id"] for plain, row in about["rows"].items()} == {
        "NMC811": "NMC 811",
        "NMC811n2": "NMC-811",
    }
    assert {plain: column["cycle"] for plain, column in about["columns"].items()} == {
        "0p5": "0.5",
        "unknown": "unknown",
    }


def test_what_is_odd_is_said(odd: SimpleNamespace, together: SimpleNamespace) -> None:
    notes = "\n".join(odd.done.notes)
    assert "NMC-811 is NMC811n2" in notes
    assert "0.5 is 0p5" in notes
    assert "scans whose cycle the sample sheet does not say stand in the column unknown" in notes
    assert "2 wells are empty" in notes
    assert "1 wells hold several scans (E1/1 holds 2)" in "\n".join(together.done.notes)


def test_regions_of_a_well_are_its_fields_in_order(together: SimpleNamespace, bench: SimpleNamespace) -> None:
    for number, scan_id in enumerate(("wide-2", "wide-1")):
        image = zarr.open_group(together.path / f"E1/1/{number}", mode="r")
        np.testing.assert_allclose(image["0"][...], expected(bench, scan_id), rtol=1e-6)
        assert image.attrs["stxmdist"]["condition"]["scan_id"] == scan_id


def test_a_scan_without_maps_is_said_and_one_without_particles_has_no_labels(
    torn: Any, bench: SimpleNamespace, tmp_path: Path
) -> None:
    torn.change("segment", bench.WIDE, state="failed")
    torn.change("fit", bench.DOWNWARD, state="failed")
    done = torn.export("ome-zarr-plate", tmp_path)
    assert {(lack.scan_id, lack.what) for lack in done.lacks} == {
        (bench.WIDE, "labels of the particles"),
        (bench.DOWNWARD, "map of state of charge"),
    }
    plate = zarr.open_group(tmp_path / "wide-field.ome.zarr", mode="r")
    assert [well["path"] for well in plate.attrs["ome"]["plate"]["wells"]] == ["E1/1"]
    assert "labels" not in plate["E1/1/0"]


def test_smaller_images_are_padded_with_what_is_not_known() -> None:
    """Viewers lay images side by side as if all had as many pixels."""
    raster = Raster.of(np.arange(3.0), np.arange(4.0), shape=(5, 7))
    padded = raster.padded(np.ones((3, 4), np.float32), np.nan)
    assert padded.shape == (5, 7)
    assert np.isnan(padded).sum() == 5 * 7 - 3 * 4
    assert (padded[:3, :4] == 1).all()
    assert raster.first_um == (-2.0, 0.0), "the first pixel stays where it is"


words = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    ["NMC-811", "NMC 811", "nmc811", "NMC811n2"]
)


@given(st.lists(words, unique=True, max_size=8))
def test_plain_names_are_plain_and_of_one_each(displayed: list[str]) -> None:
    plain = plain_names(displayed, "row")
    assert list(plain) == displayed
    assert all(re.fullmatch("[A-Za-z0-9]+", name) for name in plain.values())
    assert len({name.casefold() for name in plain.values()}) == len(displayed)


def test_electrodes_and_cycles_stand_in_their_order() -> None:
    cells = [("E10", 100.0), ("E2", 9.0), ("E2", None), ("E10", 9.0)]
    scans = [Scan(f"s{n}", (Path("a"),), "stxm", electrode, cycle=cycle) for n, (electrode, cycle) in enumerate(cells)]
    plate = plate_of("p", scans, frozenset())
    assert list(plate.rows) == ["E2", "E10"]
    assert list(plate.columns) == ["9", "100", "unknown"]
    assert [field.scan.scan_id for field in plate.fields] == ["s1", "s2", "s3", "s0"]
    assert sorted(["b", "E10", "E2", "1"], key=natural) == ["1", "E2", "E10", "b"]


def read_by(peer: str, path: Path, out: Path, *more: str) -> Any:
    python = python_with(peer)
    subprocess.run([python, str(READ_OME), peer, str(path), str(out), *more], check=True, env=clean())
    return np.load(out)


def test_the_reference_reader_lays_the_wells_side_by_side(folder: Path, bench: SimpleNamespace, tmp_path: Path) -> None:
    found = read_by("ome_zarr", folder / "wide-field.ome.zarr", tmp_path / "found.npz")
    assert found["kind"].tolist() == ["Plate"]
    ny, nx = bench.NY, bench.NX
    wanted = np.zeros((len(CHANNELS), 2 * ny, 2 * nx), np.float32)
    wanted[:, :ny, :nx], wanted[:, ny:, nx:] = expected(bench, bench.WIDE), expected(bench, bench.DOWNWARD)
    np.testing.assert_allclose(found["image"], wanted, rtol=1e-6)
    assert found["visible"].tolist() == [True, False, False, False]
    assert found["channels"].tolist() == list(CHANNELS.values())


def test_napari_shows_it_upright_and_to_scale(folder: Path, bench: SimpleNamespace, tmp_path: Path) -> None:
    """napari draws rows downward: the first one must be that of the highest y, as in the report's pictures."""
    found = read_by("napari_ome_zarr", folder / "wide-field.ome.zarr/E2/50/0", tmp_path / "found.npz")
    np.testing.assert_allclose(found["image"], expected(bench, bench.DOWNWARD), rtol=1e-6)
    labels = bench.upright(bench.DOWNWARD, bench.arrays_of("segment", bench.DOWNWARD)["labels"])[::-1]
    np.testing.assert_array_equal(found["labels"], np.maximum(labels, 0))
    assert found["levels"] == found["levels_of_labels"]
    assert found["visible"].tolist() == [True, False, False, False]
    assert found["limits"][0].tolist() == [0.0, 1.0]
    assert found["units"].tolist() == ["micrometer"] * 2
    # The plugin leaves the place of the first pixel aside: both layers begin at the origin.
    assert found["scale"] == pytest.approx(bench.PIXEL_UM[bench.DOWNWARD])
    assert found["scale_of_labels"].tolist() == found["scale"].tolist()
    assert found["particles"].tolist() == [1, 2]
    assert found["soc_mean"] == pytest.approx([0.1, 0.2])


def test_ngio_reads_fields_particles_and_conditions(
    together: SimpleNamespace, bench: SimpleNamespace, tmp_path: Path
) -> None:
    found = read_by("ngio", together.path, tmp_path / "found.npz", "E1/1/1")
    assert (found["rows"].tolist(), found["columns"].tolist()) == (["E1"], ["1"])
    assert found["images"].tolist() == ["E1/1/0", "E1/1/1"]
    np.testing.assert_allclose(found["image"], expected(bench, bench.WIDE), rtol=1e-6)
    labels = bench.arrays_of("segment", bench.WIDE)["labels"][::-1]
    np.testing.assert_array_equal(found["labels"], np.maximum(labels, 0))
    assert found["pixel_um"] == pytest.approx(bench.PIXEL_UM[bench.WIDE])
    assert str(found["unit"]) == "micrometer"
    assert found["condition_keys"].tolist() == ["E1/1/0", "E1/1/1"]
    assert found["condition_scans"].tolist() == ["wide-2", "wide-1"]
    assert found["particles"].tolist() == [1, 2]
    assert found["soc_mean"] == pytest.approx([0.1, 0.2])
