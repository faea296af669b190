"""NeXus read by h5py, by silx and nexusformat, by the reader of beamline files, and judged by two validators."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
import silx.io
from nexusformat.nexus import nxload
from silx.io import nxdata

from stxmdist import readers
from stxmdist.errors import InputError
from stxmdist.readers.recording import StxmRecording
from tests.export.peers import beside, clean, python_with


@pytest.fixture(scope="module")
def folder(whole: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nexus")
    whole.export("nexus", folder)
    return folder


def text(dataset: Any) -> str:
    return str(dataset[()].decode())


@pytest.mark.parametrize("scan", ["WIDE", "DOWNWARD", "FINE"])
def test_our_reader_gets_the_same_numbers(scan: str, folder: Path, bench: SimpleNamespace) -> None:
    scan_id = getattr(bench, scan)
    (recording,) = readers.read(folder / f"{scan_id}.nxs")
    assert isinstance(recording, StxmRecording)
    np.testing.assert_array_equal(recording.energy_ev, bench.ENERGY_EV)
    expected = bench.upright(scan_id, bench.arrays_of("align", scan_id)["transmission"])
    found = np.stack([recording.read(energy) for energy in range(len(expected))])
    np.testing.assert_array_equal(found, expected)
    pitch_y, pitch_x = bench.PIXEL_UM[scan_id]
    assert np.diff(recording.y_um) == pytest.approx(pitch_y)
    assert np.diff(recording.x_um) == pytest.approx(pitch_x)
    assert (recording.y_um[0], recording.x_um[0]) == pytest.approx(bench.FIRST_UM)
    if scan_id != bench.FINE:
        assert recording.dwell_ms == pytest.approx(2.0)


def test_required_fields_of_the_definition_are_there(folder: Path, bench: SimpleNamespace) -> None:
    with h5py.File(folder / "wide-1.nxs") as file:
        entry = file["entry1"]
        assert text(entry["definition"]) == "NXstxm"
        # The header names no time zone.
        assert text(entry["start_time"]) == "2026-10-12T08:00:00+00:00"
        assert "taken for UTC" in text(entry["notes/description"])
        # Three energies of 13 x 17 pixels, 2 ms each.
        assert text(entry["end_time"]) == "2026-10-12T08:00:01.326000+00:00"
        for name in ("title", "instrument/source/type", "instrument/source/name", "instrument/source/probe"):
            assert text(entry[name])
        assert text(entry["instrument/source/name"]) == "BT-7"
        assert "rotation_angle" in entry["sample"]
        points = bench.arrays_of("align", bench.WIDE)["transmission"]
        np.testing.assert_array_equal(entry["instrument/detector/data"][()], points.ravel())
        energy_ev = np.repeat(bench.ENERGY_EV, points[0].size)
        np.testing.assert_array_equal(entry["instrument/monochromator/energy"][()], energy_ev)
        # In the entry of an application every NXdata has to be of its form.
        channels = [group for group in entry.values() if group.attrs.get("NX_class") == "NXdata"]
        assert len(channels) == 2
        for channel in channels:
            assert {"stxm_scan_type", "data", "energy", "sample_y", "sample_x"} <= set(channel)
            assert text(channel["stxm_scan_type"]) == "sample image stack"


@pytest.mark.parametrize("scan", ["WIDE", "DOWNWARD", "FINE"])
def test_other_programs_show_the_map_with_y_upward(scan: str, folder: Path, bench: SimpleNamespace) -> None:
    """What silx view (and h5web, by the same rules) and NeXpy plot when the file is opened: value, error, place."""
    scan_id = getattr(bench, scan)
    fit = bench.arrays_of("fit", scan_id)
    soc = bench.upright(scan_id, fit["soc"])
    path = folder / f"{scan_id}.nxs"
    with silx.io.open(str(path)) as file:
        plot = nxdata.get_default(file)
        assert plot is not None
        assert (plot.is_valid, plot.is_image) == (True, True)
        np.testing.assert_array_equal(plot.signal, soc)
        np.testing.assert_array_equal(plot.errors, fit["soc_se"])
        # silx draws axes where their numbers are: rows ascend with y of the stage, so that y is upward.
        for axis, first, pitch in zip(plot.axes, bench.FIRST_UM, bench.PIXEL_UM[scan_id], strict=True):
            np.testing.assert_allclose(axis, first + pitch * np.arange(len(axis)))
        assert plot.axes_names == ["sample_y (um)", "sample_x (um)"]
    plotted = nxload(path).plottable_data
    assert plotted.nxpath == "/entry1/maps/state_of_charge"
    np.testing.assert_array_equal(plotted.nxsignal.nxdata, soc)
    np.testing.assert_array_equal(plotted.nxerrors.nxdata, fit["soc_se"])
    assert [axis.nxname for axis in plotted.nxaxes] == ["sample_y", "sample_x"]


def test_without_maps_the_stack_is_shown(torn: Any, bench: SimpleNamespace, tmp_path: Path) -> None:
    torn.change("segment", bench.WIDE)
    torn.change("fit", bench.WIDE)
    torn.export("nexus", tmp_path, scans=(bench.WIDE,))
    with silx.io.open(str(tmp_path / "wide-1.nxs")) as file:
        plot = nxdata.get_default(file)
        assert plot is not None
        np.testing.assert_array_equal(plot.signal, bench.arrays_of("align", bench.WIDE)["transmission"])


@pytest.mark.parametrize("scan_id", ["wide-1", "fine-1"])
def test_nexusformat_finds_it_valid(scan_id: str, folder: Path) -> None:
    judged = subprocess.run(
        [Path(sys.executable).parent / "nxvalidate", "-w", folder / f"{scan_id}.nxs"], capture_output=True, text=True
    )
    assert "Application Definition: NXstxm" in judged.stdout
    assert re.findall(r"Total number of (\w+): (\d+)", judged.stdout) == [("warnings", "0"), ("errors", "0")]


@pytest.mark.parametrize("scan_id", ["wide-1", "wide-2", "fine-1"])
def test_pynxtools_finds_it_valid_where_the_recording_says_its_time(scan_id: str, folder: Path) -> None:
    """It exits with 0 in either case, and says which."""
    pynx = beside(python_with("pynxtools"), "pynx")
    judged = subprocess.run([pynx, "validate", folder / f"{scan_id}.nxs"], capture_output=True, text=True, env=clean())
    said = judged.stdout + judged.stderr
    lacks = re.findall(r"required field (\S+) hasn't been supplied", said)
    if scan_id == "wide-2":
        assert sorted(lacks) == ["/entry1/end_time", "/entry1/start_time"]
    else:
        assert f"`{folder / scan_id}.nxs` is valid according to the `NXstxm` application definition" in said
        assert not lacks


def test_a_time_zone_can_be_named(whole: Any, bench: SimpleNamespace, tmp_path: Path) -> None:
    done = whole.export("nexus", tmp_path, scans=(bench.WIDE, bench.FINE), timezone="America/Los_Angeles")
    assert not done.notes
    with h5py.File(tmp_path / "wide-1.nxs") as file:
        assert text(file["entry1/start_time"]) == "2026-10-12T08:00:00-07:00"
    with h5py.File(tmp_path / "fine-1.nxs") as file:
        # The recording's own, and no dwell time.
        assert text(file["entry1/start_time"]) == text(file["entry1/end_time"]) == "2026-10-12T09:15:00+02:00"
        assert text(file["entry1/notes/description"]) == "end_time: not recorded: the earliest possible, the start"
    with pytest.raises(InputError, match="no such time zone"):
        whole.export("nexus", tmp_path, timezone="Europe/Berln")


@pytest.mark.parametrize("scan_id", ["wide-1", "wide-2", "fine-1"])
def test_every_data_group_can_be_plotted_with_units(scan_id: str, folder: Path) -> None:
    groups: list[str] = []
    with h5py.File(folder / f"{scan_id}.nxs") as file:

        def look(name: str, item: Any) -> None:
            assert isinstance(item, h5py.Dataset) or "NX_class" in item.attrs, name
            if item.attrs.get("NX_class") == "NXdata":
                signal = item[item.attrs["signal"]]
                axes = list(item.attrs["axes"])
                assert signal.shape == tuple(len(item[axis]) for axis in axes)
                assert [item.attrs[f"{axis}_indices"] for axis in axes] == list(range(len(axes)))
                assert {item[axis].attrs["units"] for axis in axes} <= {"eV", "um"}
                errors = f"{item.attrs['signal']}_errors"
                assert errors not in item or item[errors].shape == signal.shape
                groups.append(name.removeprefix("entry1/"))

        file.visititems(look)
    maps = ("particles", "state_of_charge", "thickness_charged", "thickness_discharged")
    assert set(groups) == {"transmission", "optical_density", *(f"maps/{name}" for name in maps)}


def test_maps_and_their_errors(folder: Path, bench: SimpleNamespace) -> None:
    fit = bench.arrays_of("fit", bench.DOWNWARD)
    with h5py.File(folder / "wide-2.nxs") as file:
        maps = file["entry1/maps"]
        soc = maps["state_of_charge"]
        np.testing.assert_array_equal(soc["state_of_charge"][()], bench.upright(bench.DOWNWARD, fit["soc"]))
        np.testing.assert_array_equal(soc["state_of_charge_errors"][()], fit["soc_se"])
        np.testing.assert_array_equal(soc["mask_class"][()], bench.upright(bench.DOWNWARD, fit["mask_class"]))
        for number, (word, error) in enumerate((("discharged", 2.0), ("charged", 3.0))):
            group = maps[f"thickness_{word}"]
            signal = group[f"thickness_{word}"]
            assert signal.attrs["units"] == "nm"
            np.testing.assert_array_equal(signal[()], bench.upright(bench.DOWNWARD, fit["thickness_nm"][number]))
            assert (group[f"thickness_{word}_errors"][()] == error).all()


def test_errors_of_the_stack_follow_from_counting(folder: Path, bench: SimpleNamespace) -> None:
    """Var T = T / N; through the logarithm Var OD = 1 / (T N)."""
    align = bench.arrays_of("align", bench.WIDE)
    transmission = np.where(align["transmission"] > 0, align["transmission"], np.nan).astype(np.float64)
    counts = align["effective_counts"][:, None, None]
    known = np.isfinite(transmission)
    with h5py.File(folder / "wide-1.nxs") as file:
        error = file["entry1/transmission/data_errors"][()]
        error_od = file["entry1/optical_density/data_errors"][()]
    # float32
    np.testing.assert_allclose(error[known], np.sqrt(transmission / counts)[known], rtol=1e-6)
    np.testing.assert_allclose(error_od, np.sqrt(1.0 / (transmission * counts)), rtol=1e-6)


def test_conditions_and_provenance(folder: Path, bench: SimpleNamespace) -> None:
    with h5py.File(folder / "fine-1.nxs") as file:
        condition = file["entry1/sample/condition"]
        assert (condition["cycle"][()], text(condition["electrode_id"])) == (1.0, "E1")
        assert condition["c_rate"].attrs["units"] == "1/h"
        found = json.loads(file["entry1/process/provenance/data"][()])
    assert set(found["stages"]) == {"ingest", "absorbance", "align", "fit", "segment"}
    assert found["stages"]["segment"]["outputs"][bench.FINE]["digest"] == bench.digest_of("segment", bench.FINE)


def test_unknown_times_are_left_out_and_said(whole: Any, bench: SimpleNamespace, tmp_path: Path) -> None:
    done = whole.export("nexus", tmp_path, scans=(bench.DOWNWARD,))
    assert any("start_time and end_time" in note for note in done.notes)
    with h5py.File(tmp_path / "wide-2.nxs") as file:
        assert not {"start_time", "end_time"} & set(file["entry1"])
