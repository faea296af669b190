"""Energies reconstructed together on simulated scans with a known truth, through all stages up to the fit."""

import re
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import zarr
from scipy.ndimage import binary_erosion, gaussian_filter, map_coordinates

from storage.output import Output
from storage.store import Store
from stxmdist.arrays import F64, Mask
from stxmdist.planning.end_members import EndMemberSource
from stxmdist.planning.execute import RunRequest, campaign_and_options
from stxmdist.planning.headers import survey_of
from stxmdist.simulation.design import Design
from stxmdist.simulation.diffraction import Detector
from stxmdist.simulation.folder import simulate_size
from stxmdist.simulation.powder import Powder
from stxmdist.simulation.sizes import CampaignSize, PtychographySetup, StxmSetup
from stxmdist.spectra.end_members.library import lithium_iron_phosphate
from stxmdist.stages.reconstruct import stage as reconstruct
from stxmdist.stages.reconstruct.together import SHIFTS_EV, references_at
from tests.stages import tiny, variants

SCAN = "ptycho-E01-c001-r1"
STAGES = ("ingest", "reconstruct", "stitch", "absorbance", "align", "fit")
PHOTONS = (2e3, 1e4, 1e5)
STEPS_UM = (0.12, 0.18, 0.27)
GAIN = 1.3
"""By this factor the error of the state of charge is smaller at the lowest dose"""
THICK_NM = 40.0
"""Pixels of plates: the rim has no state of charge worth comparing"""
INSIDE_PX = 2
LEAST_PX = 100


def scan_of(photons: float, step_um: float, field_um: float = 1.4, **design: Any) -> CampaignSize:
    """Few large plates at six energies of the iron L edge."""
    return CampaignSize(
        "joint",
        n_electrodes=1,
        cycles=(1,),
        stxm=StxmSetup(energy_ev=(700.0, 706.6, 708.2, 710.2), n_px=61, oversample=2),
        ptychography=PtychographySetup(
            field_um=field_um, step_um=step_um, photons=photons, detector=Detector(64, 120.0, 0.0528)
        ),
        powder=Powder(median_um=0.6, sigma_log=0.3, cover=0.35),
        design=Design(**design),
    )


class Processed(NamedTuple):
    fit: Output
    quality: dict[str, Any]
    seconds: float
    foretold_mb: float


def processed(folder: Path, name: str, **joint: Any) -> Processed:
    """The scan of a folder through all stages up to the fit; the seconds are those of ``reconstruct``."""
    campaign = variants.variant(folder, name, {"reconstruct": {"joint": joint}})
    variants.processed(RunRequest(str(campaign), stages=STAGES[:1], scans=(SCAN,), cluster="inline"))
    survey = survey_of(*campaign_and_options(campaign), forecast=True)
    units = reconstruct.plan(survey, survey.options["reconstruct"]).units
    begun = time.perf_counter()
    variants.processed(RunRequest(str(campaign), stages=STAGES[1:2], scans=(SCAN,), cluster="inline"))
    seconds = time.perf_counter() - begun
    store: Store = variants.processed(RunRequest(str(campaign), stages=STAGES[2:], scans=(SCAN,), cluster="inline"))
    publication, fit = store.publication("reconstruct"), store.published_output("fit", SCAN)
    assert publication is not None
    assert fit is not None
    foretold = max(unit.estimate.peak_bytes for unit in units) / 1e6
    return Processed(fit, dict(publication.scans[SCAN].quality), seconds, foretold)


class Truth(NamedTuple):
    thickness: F64
    """(2, Y, X) of the end-members, nm"""
    others: F64
    """(Y, X) of all else, nm"""
    labels: F64
    inside: Mask


def truth_on(folder: Path, fit: Output) -> Truth:
    """The planted maps on the grid of the fit, where that matches the planted thickness best within 30 nm."""
    group = zarr.open_group(str(next((folder / "truth" / "maps").glob(f"{SCAN}*"))), mode="r")
    y, x = np.asarray(group["y"][:]), np.asarray(group["x"][:])
    # Sharper than this no pixel of 12 nm can be.
    planted = [gaussian_filter(plane, 0.6) for plane in np.asarray(group["thickness_nm"][:], np.float64)]
    found = fit.read("thickness_nm").sum(axis=0)
    best, chosen = -np.inf, None
    for shift in np.stack(np.meshgrid(*[np.arange(-0.03, 0.031, 0.01)] * 2, indexing="ij"), axis=-1).reshape(-1, 2):
        axes = (
            (fit.read("y_um") + shift[0] - y[0]) / (y[1] - y[0]),
            (fit.read("x_um") + shift[1] - x[0]) / (x[1] - x[0]),
        )
        at = np.meshgrid(*axes, indexing="ij")
        maps = np.stack([map_coordinates(plane, at, order=1, cval=np.nan) for plane in planted])
        known = np.isfinite(maps[0]) & np.isfinite(found)
        match = np.corrcoef(maps[:2].sum(axis=0)[known], np.clip(found[known], -50.0, 300.0))[0, 1]
        if match > best:
            best, chosen = match, (maps, map_coordinates(np.asarray(group["labels"][:]), at, order=0))
    assert chosen is not None
    maps, labels = chosen
    inside = binary_erosion(np.nan_to_num(maps[:2].sum(axis=0)) > THICK_NM, iterations=INSIDE_PX)
    return Truth(maps[:2], maps[2:].sum(axis=0), labels, inside)


class Errors(NamedTuple):
    pixels: float
    """Rms error of the state of charge of single pixels"""
    particles: float
    """Rms error of whole plates, the parts of them that were seen"""
    pull: float
    """Spread of the pixels' errors over what the fit says of them"""


def errors(fit: Output, truth: Truth) -> Errors:
    """Of the state of charge, of all pixels inside of plates alike: what was masked as poor counts, too."""
    thickness = fit.read("thickness_nm").astype(np.float64)
    use = truth.inside & np.isfinite(thickness).all(axis=0)
    planted = truth.thickness[1] / np.maximum(truth.thickness.sum(axis=0), 1e-6)
    left = np.clip(thickness[1] / thickness.sum(axis=0) - planted, -1.0, 1.0)
    plates = []
    for label in np.unique(truth.labels[use]):
        here = use & (truth.labels == label)
        if here.sum() >= LEAST_PX:
            (_, charged), whole = thickness[:, here].sum(axis=1), thickness[:, here].sum()
            plates.append(charged / whole - truth.thickness[1][here].sum() / truth.thickness[:, here].sum())
    pulls = ((fit.read("soc") - planted) / fit.read("soc_se"))[use]
    pulls = pulls[np.isfinite(pulls)]
    return Errors(
        float(np.sqrt(np.mean(left[use] ** 2))),
        float(np.sqrt(np.mean(np.square(plates)))),
        float(1.4826 * np.median(np.abs(pulls - np.median(pulls)))),
    )


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("photons", PHOTONS)
def test_the_error_of_the_state_of_charge_beside_that_of_two_steps(
    tmp_path: Path, photons: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three doses and three steps, simulated: each energy alone and then fitted, against all of them together."""
    found: dict[tuple[str, float], Errors] = {}
    with capsys.disabled():
        print("\n  photons  step  way          rms of pixels  of plates  pull  reconstruct  foretold")
    for step in STEPS_UM:
        folder = tmp_path / f"{step:g}"
        simulate_size(folder, scan_of(photons, step), 11, workers=1, report=lambda line: None)
        # Without references at one step, where light is shortest.
        low = ("low_rank",) if (photons, step) == (PHOTONS[0], STEPS_UM[1]) else ()
        for way in ("off", "references", *low):
            done = processed(folder, way, spectra=way)
            one = found[way, step] = errors(done.fit, truth_on(folder, done.fit))
            with capsys.disabled():
                print(
                    f"  {photons:7.0f}  {step:.2f}  {way:10s}  {one.pixels:13.4f}  {one.particles:9.4f}  "
                    f"{one.pull:4.2f}  {done.seconds:9.1f} s  {done.foretold_mb:5.0f} MB",
                    flush=True,
                )
    alone = np.array([found["off", step].pixels for step in STEPS_UM])
    together = np.array([found["references", step].pixels for step in STEPS_UM])
    equal = np.interp(alone, together, STEPS_UM, right=np.inf)
    with capsys.disabled():
        print(
            f"  {photons:7.0f} photons: together {np.round(alone / together, 2)} times smaller at steps of {STEPS_UM}"
            f" um, and as large as alone at steps of {np.round(equal, 2)} um (inf: at none of these)"
        )
    if photons == PHOTONS[0]:
        assert (alone > GAIN * together).all()
        assert found["low_rank", STEPS_UM[1]].pixels < found["off", STEPS_UM[1]].pixels
    assert (together < 1.1 * alone).all()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("planted", "said"),
    [
        ({"film_od": 0.25}, "found beside them"),
        (
            {"third_particles": 1.0, "third_mass": 0.4},
            "left as it was alone, because the end-members fit best at the limit",
        ),
    ],
    ids=["film", "third phase"],
)
def test_what_the_references_lack_is_found_and_not_forced_on_them(
    tmp_path: Path, planted: dict[str, float], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Simulated: a film of carbon, or plates that hold a third phase, of which the dictionary knows nothing."""
    simulate_size(tmp_path, scan_of(1e5, 0.18, **planted), 11, workers=1, report=lambda line: None)
    done = {way: processed(tmp_path, way, spectra=way) for way in ("off", "references")}
    found = {way: errors(one.fit, truth_on(tmp_path, one.fit)) for way, one in done.items()}
    misfit = {
        way: float(np.nanmedian(one.fit.read("chi2_reduced")[truth_on(tmp_path, one.fit).inside]))
        for way, one in done.items()
    }
    (note,) = [note for note in done["references"].quality["notes"] if "together" in note]
    with capsys.disabled():
        print(f"\n  {planted}: {note}")
        for way, one in found.items():
            print(f"  {way:10s}  rms of pixels {one.pixels:.4f}, chi-square of those inside {misfit[way]:.2f}")
    assert said in note
    assert found["references"].pixels < 1.05 * found["off"].pixels
    if misfit["off"] > 2.0:
        # What single energies show to be no mixture is still seen.
        assert misfit["references"] > 2.0


QUICK = {
    "schedule": [{"engine": "lsqml", "iterations": 6}],
    "next_energy": [{"engine": "lsqml", "iterations": 4}],
    "model": {"n_modes": 1},
}
FEW_ROUNDS = {"rounds": 3, "release": 2}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return variants.simulated(tmp_path_factory.mktemp("together"), tiny.TINY)


def quick(folder: Path, name: str, **options: Any) -> tuple[dict[str, Any], Output]:
    campaign = variants.variant(folder, name, {"reconstruct": QUICK | options})
    store = variants.processed(RunRequest(str(campaign), stages=STAGES[:2], scans=(SCAN,), cluster="inline"))
    publication, output = store.publication("reconstruct"), store.published_output("reconstruct", SCAN)
    assert publication is not None
    assert output is not None
    return dict(publication.scans[SCAN].quality), output


@pytest.mark.parametrize(
    ("spectra", "said"), [("references", "the end-members, energies moved by"), ("low_rank", "found from the data")]
)
def test_a_scan_says_what_its_energies_were_made_of_together(small: Path, spectra: str, said: str) -> None:
    alone, before = quick(small, "alone")
    quality, output = quick(small, spectra, joint={"spectra": spectra} | FEW_ROUNDS)
    assert not any("together" in note for note in alone["notes"])
    (note,) = [note for note in quality["notes"] if "together" in note]
    assert said in note
    changed = (output.read("object_tile") != before.read("object_tile"))[np.isfinite(before.read("object_tile"))]
    # Either it predicted frames held out better and took the place of each energy alone, or nothing changed.
    assert changed.any() != ("left as it was alone" in note)
    for name in ("object_half_a", "object_half_b", "probe"):
        np.testing.assert_array_equal(np.isfinite(output.read(name)), np.isfinite(before.read(name)))


def shifts_of(quality: dict[str, Any]) -> dict[str, str]:
    """What each tile of a scan says of its energy scale."""
    notes = (note for note in quality["notes"] if "moved by" in note)
    return {re.findall(r"tile (\d+):", note)[0]: re.findall(r"moved by (\S+) eV", note)[0] for note in notes}


def test_tiles_of_a_scan_agree_in_its_energy_scale_and_say_which_they_are(small: Path) -> None:
    cut = {"positions_per_tile": 30, "halo_um": 0.1, "seed_positions": 20}
    quality, output = quick(small, "tiles", joint={"spectra": "references"} | FEW_ROUNDS, **cut)
    shifts = shifts_of(quality)
    assert list(shifts) == [str(tile) for tile in range(quality["tiles"])]
    assert quality["tiles"] > 1
    assert len(set(shifts.values())) == 1
    assert np.isfinite(output.read("object_tile")).any(axis=(2, 3)).all()


def test_a_unit_holds_all_energies_that_are_reconstructed_together(small: Path) -> None:
    for spectra, chain, wanted in (("off", False, 1), ("low_rank", False, 3), ("off", True, 3)):
        options = {"joint": {"spectra": spectra}, "chain": chain}
        campaign = variants.variant(small, f"units-{spectra}-{chain}", {"reconstruct": options})
        survey = survey_of(*campaign_and_options(campaign), forecast=True)
        units = reconstruct.plan(survey, survey.options["reconstruct"]).units
        assert {len(unit.part.energies) for unit in units} == {wanted}


def test_energies_that_the_references_do_not_reach_take_no_part() -> None:
    energy_ev = np.array([520.0, 700.0, 706.6, 708.2, 710.2])
    chosen, references = references_at(EndMemberSource("LFP"), energy_ev, (0, 1, 3, 4))
    assert chosen == (1, 3, 4)
    assert references.logs_per_nm.shape == (len(SHIFTS_EV), 2, 3)
    # Matter absorbs and retards.
    assert (references.logs_per_nm.real < 0.0).all()
    assert (references.logs_per_nm.imag[:, :, 0] < 0.0).all()
    at_rest = references.logs_per_nm[len(SHIFTS_EV) // 2]
    np.testing.assert_allclose(
        at_rest.real, -0.5 * lithium_iron_phosphate.end_members().at(energy_ev[[1, 3, 4]]), rtol=1e-6
    )
