"""Faults planted in the counts of a scan are taken out on the way to soc, and are not if switched off."""

from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest

from storage.store import Store
from stxmdist import readers
from stxmdist.arrays import MaskClass
from stxmdist.planning.execute import RunRequest
from tests.stages import variants
from tests.stages.tiny import TINY

SCAN = "stxm-E01-c001-r1"
STAGES = ("ingest", "absorbance", "align", "fit", "segment")
DARK, BUSY, LEAK, FURTHER_LEAK = 200.0, 0.15, 0.01, 0.12
"""Counts, open-beam photons per dead time, what the simulation plants anyway, and what comes on top"""
SPIKES = 8
"""In each frame; two side by side, or one on the border of the field, may be missed"""
COMMON = {"fit": {"fit_energy_shift": False}}
WITHIN_SIGMA = 3.0
"""Difference of two measurements of one mean, over the error of both"""
FEW_SIGMA = 10.0
"""What is not corrected lies further away than any chance: it draws the two phases together, and leaves their mean"""


def _spoil(folder: Path) -> dict[str, float]:
    """Plant faults in the scan's files as a beamline would make them; what a user measures of them."""
    rng = np.random.default_rng(11)
    frames = sorted((folder / "beamline" / SCAN).glob("*.xim"))
    (recording,) = readers.read(folder / "beamline" / SCAN / f"{SCAN}.hdr")
    assert isinstance(recording, readers.recording.StxmRecording)
    open_beam = float(np.median([np.percentile(np.loadtxt(path), 95.0) for path in frames]))
    dead_ms = BUSY * float(recording.dwell_ms[0]) / open_beam
    for k, path in enumerate(frames):
        photons = np.loadtxt(path)
        photons += rng.poisson(FURTHER_LEAK * np.median(photons[photons > np.median(photons)]), photons.shape)
        if k in (2, 5):
            photons[20:27] *= 1.25  # the ring was filled
        counted = photons / (1.0 + photons * dead_ms / float(recording.dwell_ms[k]))
        counted += rng.poisson(DARK, counted.shape)
        counted[rng.integers(0, 61, SPIKES), rng.integers(0, 61, SPIKES)] += 6.0 * open_beam
        np.savetxt(path, np.round(counted), fmt="%d", delimiter="\t")
    return {"dark_counts": DARK, "dead_time_us": dead_ms * 1e3}


def _soc(folder: Path, name: str, absorbance: dict[str, Any]) -> tuple[Store, np.ndarray, np.ndarray]:
    path = variants.variant(folder, name, {**COMMON, "absorbance": absorbance})
    store = variants.processed(RunRequest(str(path), stages=STAGES, scans=(SCAN,), cluster="inline"))
    fit = store.published_output("fit", SCAN)
    assert fit is not None
    # A scan with its faults left in may have no valid pixel at all: that is looked at too.
    valid = fit.read("mask_class") == MaskClass.valid if name == "clean" else True
    return store, np.where(valid, fit.read("soc"), np.nan), fit.read("soc_se")


@pytest.mark.slow
def test_what_was_planted_is_taken_out_and_its_effect_on_soc_is_said(
    simulated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean_folder = copytree(simulated.parent, tmp_path / "clean")
    folder = copytree(simulated.parent, tmp_path / "spoiled")
    measured = _spoil(folder)
    leak = LEAK + FURTHER_LEAK * (1.0 + LEAK)
    _, clean, clean_se = _soc(clean_folder, "clean", {"leak_fraction": LEAK})
    on, corrected, se = _soc(folder, "on", {"leak_fraction": leak, "detector": measured})
    _, left, left_se = _soc(folder, "off", {"leak_fraction": 0.0, "detector": {"spikes": False, "glitches": False}})

    def difference(other: np.ndarray, other_se: np.ndarray) -> tuple[float, float, float]:
        """Mean over pixels of the difference of soc to the clean scan's, its error, and by how many errors of its slope
        a line through all pixels, from phase to phase, is steeper.
        """
        both = np.isfinite(clean + other + clean_se + other_se)
        off = (other - clean)[both]
        weight = 1.0 / (clean_se[both] ** 2 + other_se[both] ** 2)
        mean = float(np.sum(weight * off) / weight.sum())
        across = clean[both] - np.average(clean[both], weights=weight)
        steeper = np.sum(weight * across * (off - mean)) / np.sqrt(np.sum(weight * across**2))
        return mean, float(weight.sum() ** -0.5), float(steeper)

    mean, error, steeper = difference(corrected, se)
    _, _, steeper_left = difference(left, left_se)
    output = on.published_output("absorbance", SCAN)
    assert output is not None
    measures = output.receipts()["scan"]["measures"]
    described = on.published_output("segment", SCAN)
    assert described is not None
    effects = described.receipts()["scan"]["measures"]["soc_effect"]
    with capsys.disabled():
        print(
            f"\n  soc off by {mean:+.4f} +- {error:.4f}; slope by {steeper:.1f} sigma, {steeper_left:.1f} uncorrected"
        )
        print(f"  {measures['spikes']} spikes, {measures['lines_scaled']} lines; effects on soc {effects}")
    assert abs(mean) < WITHIN_SIGMA * error
    assert abs(steeper) < WITHIN_SIGMA
    assert abs(steeper_left) > FEW_SIGMA
    assert measures["lines_scaled"] == 14
    assert measures["spikes"] > 0.8 * len(TINY.stxm.energy_ev) * SPIKES
    assert set(effects) == {"dark_counts", "dead_time_us", "spikes", "glitches", "leak_fraction"}
    assert all(effect > 0.0 for effect in effects.values())
