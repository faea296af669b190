"""An incident beam that is not of the field itself: from an empty field or a file, at other dwell and ring current."""

import csv
import json
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest

from storage.store import Store
from stxmdist import readers
from stxmdist.arrays import MaskClass
from stxmdist.planning.execute import CampaignRun, RunRequest
from stxmdist.readers.recording import StxmRecording
from stxmdist.writers import sdf
from tests.stages import variants
from tests.stages.tiny import STXM, TINY

SCAN, EMPTY = STXM[0], "empty"
N = len(TINY.stxm.energy_ev)
EMPTY_PX = (47, 43)
RING_MA, EMPTY_RING_MA = np.linspace(500.0, 410.0, N), np.linspace(300.0, 330.0, N)
"""Decaying in the scan, rising in the empty field, and far from one another"""
EMPTY_DWELL = 3.0
"""Times the scan's"""
FEW_SIGMA = 4.5
"""Of eight energies chance takes none so far"""
TAILS = 0.006
"""Share of the beam: so close to particles its tails still reach them, most where they absorb most"""
LESS_THAN_NOISE = 0.3
"""Counts are the same, the beam is known far better than a pixel: soc may move by so much of its error"""


def relative(current_ma: np.ndarray) -> np.ndarray:
    """A ring current over its median."""
    return current_ma / np.median(current_ma)


@pytest.fixture(scope="module")
def beamtime(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny campaign with another ring current said of one scan, an empty field beside it and files of its beam."""
    folder = tmp_path_factory.mktemp("beam") / "campaign"
    for part in (f"beamline/{SCAN}", "truth/scans"):
        copytree(simulated.parent / part, folder / part)
    (folder / "campaign.yaml").write_text(simulated.read_text())
    header = folder / "beamline" / SCAN / f"{SCAN}.hdr"
    (scan,) = readers.read(header)
    assert isinstance(scan, StxmRecording)
    counts = np.stack([np.asarray(scan.read(k)) for k in range(N)]).round().astype(np.int64)
    sdf.write_stack(header, counts.__getitem__, scan.energy_ev, scan.y_um, scan.x_um, scan.dwell_ms, RING_MA)
    beam = true_beam(folder)
    # The beam at the current and dwell of the empty field: counts of the scan are as its own current makes them.
    elsewhere = beam / RING_MA * EMPTY_RING_MA * EMPTY_DWELL
    drawn = np.random.default_rng(7).poisson(elsewhere[:, None, None], (N, *EMPTY_PX))
    y_um, x_um = (0.1 * np.arange(n) for n in EMPTY_PX)
    sdf.write_stack(
        folder / "beamline" / f"{EMPTY}.hdr",
        drawn.__getitem__,
        scan.energy_ev,
        y_um,
        x_um,
        EMPTY_DWELL * scan.dwell_ms,
        EMPTY_RING_MA,
    )
    with (simulated.parent / "samples.csv").open(newline="") as file:
        (row,) = (row for row in csv.DictReader(file) if row["scan_id"] == SCAN)
    own = {"scan_id": EMPTY, "file": f"beamline/{EMPTY}.hdr", "region_id": EMPTY, "electrode_id": EMPTY, "pair_id": ""}
    with (folder / "samples.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerows([row | {"pair_id": ""}, row | own])
    return folder


def true_beam(folder: Path) -> np.ndarray:
    """Incident counts (ENERGY,) that the scan was simulated with."""
    truth: dict[str, Any] = json.loads((folder / "truth" / "scans" / f"{SCAN}.json").read_text())
    return np.array(truth["nuisance"]["i0_counts"])


def _campaign(folder: Path, name: str, i0: str, beam: np.ndarray | None = None, **detector: Any) -> Path:
    """A campaign file whose incident beam is from elsewhere; ``beam`` (ENERGY,) goes into the file that it names."""
    options = {"i0": i0, "detector": detector} | ({"i0_scan": EMPTY} if i0 == "scan" else {})
    path = variants.variant(folder, name, {"absorbance": options, "fit": {"fit_energy_shift": False}})
    if beam is not None:
        np.savetxt(folder / f"{name}.txt", np.c_[TINY.stxm.energy_ev, beam])
        written = json.loads(path.read_text())
        path.write_text(json.dumps(written | {"references": {"i0": f"{name}.txt"}}))
    return path


def _outputs(path: Path, *stages: str) -> list[dict[str, np.ndarray]]:
    """Arrays that stages leave for the scan, one dictionary for each of them."""
    variants.processed(RunRequest(str(path), stages=("ingest",), cluster="inline"))
    store = variants.processed(RunRequest(str(path), stages=("ingest", *stages), scans=(SCAN,), cluster="inline"))
    found = [store.published_output(stage, SCAN) for stage in stages]
    return [{name: output.read(name) for name in output.arrays()} for output in found if output is not None]


def _refused(path: Path) -> str:
    """Why the beam of a campaign is refused."""
    with CampaignRun(RunRequest(str(path), stages=("ingest", "absorbance"), scans=(SCAN,), cluster="inline")) as run:
        for name in run.stages:
            run.stage(name)
        (refusal,) = run.refusals
    assert refusal.scan_id == SCAN
    assert not refusal.traceback
    return refusal.sentence


@pytest.fixture(scope="module")
def own(beamtime: Path) -> list[dict[str, np.ndarray]]:
    """Absorbance, align and fit with the beam beside the particles."""
    return _outputs(_campaign(beamtime, "field", "field"), "absorbance", "align", "fit")


def test_an_empty_field_at_another_dwell_and_current_gives_the_same_soc(
    beamtime: Path, own: list[dict[str, np.ndarray]]
) -> None:
    absorbance, _, fit = _outputs(_campaign(beamtime, "scan", "scan"), "absorbance", "align", "fit")
    field, _, fit_of_field = own
    # Counts are divided by the ring current here; the field's own beam goes down with it.
    beam, error = (absorbance[name] for name in ("i0_counts", "i0_variance"))
    off = beam - true_beam(beamtime) / relative(RING_MA)
    assert (np.abs(off) < FEW_SIGMA * np.sqrt(error)).all()
    np.testing.assert_allclose(beam * relative(RING_MA), field["i0_counts"], rtol=TAILS)
    both = (fit["mask_class"] == MaskClass.valid) & (fit_of_field["mask_class"] == MaskClass.valid)
    assert both.sum() > 0.9 * (fit_of_field["mask_class"] == MaskClass.valid).sum() > 100
    moved = np.abs(fit["soc"] - fit_of_field["soc"])[both] / fit_of_field["soc_se"][both]
    assert np.median(moved) < LESS_THAN_NOISE


def test_counts_follow_the_ring_current_where_the_beam_is_from_a_file(
    beamtime: Path, own: list[dict[str, np.ndarray]]
) -> None:
    beam = true_beam(beamtime) / relative(RING_MA)
    (with_current,) = _outputs(_campaign(beamtime, "file", "file", beam), "absorbance")
    field = own[0]

    def difference(other: dict[str, np.ndarray]) -> np.ndarray:
        return np.asarray(np.nanmedian(other["optical_density"] - field["optical_density"], axis=(1, 2)))

    assert np.abs(difference(with_current)).max() < TAILS
    # Not followed, a decaying ring is a beam that fits the free pixels at some energies alone.
    constant = _campaign(beamtime, "constant", "file", beam, ring_current=False)
    assert "times the incident beam in the free pixels" in _refused(constant)


def test_a_beam_of_another_dwell_is_refused_before_it_does_harm(beamtime: Path) -> None:
    path = _campaign(beamtime, "faint", "file", true_beam(beamtime) / EMPTY_DWELL)
    said = _refused(path)
    for words in ("weaker than what came through the sample", "times the incident beam", "references: i0", "i0: field"):
        assert words in said
    assert Store(path.parent / "store-faint").published_output("absorbance", SCAN) is None
