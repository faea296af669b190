"""Reconstruct: what it says of the dose, and of the device it ran on; without a GPU the CPU does it and says so."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.store import Store
from stxmdist.campaign.clusters import GPU
from stxmdist.planning.execute import CampaignRun, RunRequest, campaign_and_options
from stxmdist.planning.headers import survey_of
from stxmdist.ptychography import tile
from stxmdist.ptychography.dose import absorbed_dose_mgy
from stxmdist.spectra.end_members.library import lithium_iron_phosphate
from stxmdist.stages.reconstruct import stage as reconstruct
from stxmdist.stages.reconstruct import tile_problem
from tests.ptychography.foreign import FOREIGN
from tests.stages import tiny, variants

SCAN = tiny.PTYCHOGRAPHY[0]
SHORT = {
    "schedule": [{"engine": "lsqml", "iterations": 3}],
    "next_energy": [{"engine": "lsqml", "iterations": 2}],
    "adaptation": {"adapt": False},
    "model": {"n_modes": 1},
}
SAME = 2e-4
"""Share of the largest number: what float32 comes to after as many iterations by two libraries, see tests/ptychography
/test_array_sweep.
"""
ARRAYS = ("object_tile", "object_half_a", "object_half_b", "probe")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return variants.simulated(tmp_path_factory.mktemp("device"), tiny.TINY)


def processed(folder: Path, name: str, cluster: str = "inline", **options: Any) -> tuple[dict[str, Any], Any]:
    """What is published of the scan's quality, and its output."""
    campaign = variants.variant(folder, name, {"reconstruct": SHORT | options})
    stages = ("ingest", "reconstruct")
    store: Store = variants.processed(RunRequest(str(campaign), stages=stages, scans=(SCAN,), cluster=cluster))
    publication, output = store.publication("reconstruct"), store.published_output("reconstruct", SCAN)
    assert publication is not None
    return dict(publication.scans[SCAN].quality), output


@pytest.fixture(scope="module")
def on_cpu(folder: Path) -> tuple[dict[str, Any], Any]:
    return processed(folder, "cpu")


def test_the_cpu_is_named_where_nothing_else_is_asked_for(on_cpu: tuple[dict[str, Any], Any]) -> None:
    quality, _ = on_cpu
    assert quality["device"] == ["cpu"] * len(tiny.TINY.ptychography.energy_ev)


def test_the_dose_is_what_the_fluence_brings_into_the_chemistry(on_cpu: tuple[dict[str, Any], Any]) -> None:
    quality, output = on_cpu
    energy_ev = output.read("energy_ev")
    absorption = lithium_iron_phosphate.end_members().mass_absorption(energy_ev)
    assert absorption is not None
    assert len(quality["dose_mgy"]) == len(energy_ev)
    for energy, dose_mgy in enumerate(quality["dose_mgy"]):
        fluence = quality["photons_per_um2"][energy]
        wanted = absorbed_dose_mgy(fluence, energy_ev[energy], absorption[:, energy].max())
        assert dose_mgy == pytest.approx(wanted)


def test_another_chemistry_is_another_dose_and_nothing_is_computed_again(
    folder: Path, on_cpu: tuple[dict[str, Any], Any]
) -> None:
    campaign = folder / "campaign-cpu.yaml"
    before = campaign.read_text()
    energy_ev = np.arange(690.0, 740.0)
    for name, centre in (("discharged", 708.2), ("charged", 710.2)):
        absorbed = 0.2 + np.exp(-((energy_ev - centre) ** 2))
        np.savetxt(folder / f"{name}.txt", np.stack([energy_ev, absorbed], axis=1))
    files = {"discharged": "discharged.txt", "charged": "charged.txt"}
    campaign.write_text(json.dumps(json.loads(before) | {"references": files}))
    with CampaignRun(RunRequest(str(campaign), stages=("reconstruct",), scans=(SCAN,), cluster="inline")) as run:
        report = run.stage("reconstruct")
        assert (report.units_run, report.units_skipped) == (0, report.units_total)
        publication = Store(run.campaign.store).publication("reconstruct")
    campaign.write_text(before)
    assert publication is not None
    # Files say what a sample absorbs, not what it weighs.
    assert publication.scans[SCAN].quality["dose_mgy"] == [None] * len(tiny.TINY.ptychography.energy_ev)


def test_without_cupy_the_cpu_does_it_and_says_why(
    folder: Path, on_cpu: tuple[dict[str, Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    quality, output = processed(folder, "absent", device="gpu")
    assert {word.partition(" (")[0] for word in quality["device"]} == {"cpu"}
    assert all("cupy" in word for word in quality["device"])
    for name in ARRAYS:
        np.testing.assert_array_equal(output.read(name), on_cpu[1].read(name))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="cupy is there")
def test_workers_without_a_gpu_run_the_units_and_say_why(folder: Path) -> None:
    quality, _ = processed(folder, "workers", cluster="2", device="gpu")
    assert all(word.startswith("cpu (") for word in quality["device"])


def test_the_whole_and_the_halves_run_in_the_array_library(
    folder: Path, on_cpu: tuple[dict[str, Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tile_problem, "found_cupy", lambda: (FOREIGN, ""))
    ran: list[Any] = []
    original = tile.reconstruct

    def watched(*values: Any, **options: Any) -> Any:
        ran.append(options["namespace"])
        return original(*values, **options)

    monkeypatch.setattr(tile, "reconstruct", watched)
    quality, output = processed(folder, "foreign", device="gpu")
    assert set(quality["device"]) == {"gpu"}
    assert ran == [FOREIGN] * 3 * len(quality["device"])
    for name in ARRAYS:
        found, wanted = output.read(name), on_cpu[1].read(name)
        known = np.isfinite(wanted)
        np.testing.assert_array_equal(np.isfinite(found), known)
        assert np.abs(found - wanted)[known].max() < SAME * np.abs(wanted[known]).max()


def test_units_ask_for_a_gpu_only_where_the_option_does(folder: Path) -> None:
    for device, wanted in (("cpu", {}), ("gpu", {GPU: 1.0})):
        campaign = variants.variant(folder, f"asks-{device}", {"reconstruct": {"device": device}})
        survey = survey_of(*campaign_and_options(campaign), forecast=True)
        units = reconstruct.plan(survey, survey.options["reconstruct"]).units
        assert units
        assert all(unit.resources == wanted for unit in units)
