"""Bad input: every fault is named with its mend, the other scans go on, what was published stays, nothing is zeroed."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from storage.output import Output
from storage.store import Store
from storage.tables import read_table
from storage.verify import verify
from stxmdist.arrays import Array, MaskClass
from stxmdist.errors import StoreError
from stxmdist.measures import ReconstructMeasures
from stxmdist.planning.execute import CampaignRun, RunRequest
from stxmdist.records import from_json
from stxmdist.runner.unit import Refusal, receipts_of
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.spectra.fitters.contract import FITTERS
from tests.stages import full_disk
from tests.stages.beamtime import CXI, ENERGY_EV, NEXUS, SDF, Beamtime, replace, simulated

TO_INFER = ("ingest", "reconstruct", "stitch", "absorbance", "align", "fit", "segment", "register", "infer")
DATA, TRANSLATION, MASK = (
    "instrument_1/detector_1/data",
    "sample_1/geometry_1/translation",
    "instrument_1/detector_1/mask",
)
FRAME = 3
"""The frame that is spoiled where one is: 707.7 eV."""


def run(beamtime: Beamtime, **how: Any) -> tuple[Refusal, ...]:
    """Bring a campaign up to date in this process; everything that could not be done."""
    with CampaignRun(RunRequest(str(beamtime.campaign), cluster="inline", **({"stages": TO_INFER} | how))) as running:
        for name in running.stages:
            running.stage(name)
        return running.refusals


def identities(beamtime: Beamtime) -> dict[str, str]:
    """Digests of what looks at the whole campaign, as a run would have them now."""
    survey = CampaignRun(RunRequest(str(beamtime.campaign), cluster="inline")).survey
    return {stage: survey.digest(stage, "campaign") for stage in ("infer", "report")}


def output(beamtime: Beamtime, stage: str, scan_id: str = SDF) -> Output:
    found = Store(beamtime.store).published_output(stage, scan_id)
    assert found is not None, f"{stage} of {scan_id} is not published"
    return found


def table(beamtime: Beamtime, name: str) -> Any:
    return read_table(Store(beamtime.store).tables_path / f"{name}.parquet")


def published(beamtime: Beamtime) -> dict[str, bytes]:
    """Everything that says what is visible."""
    links = {name: os.readlink(beamtime.store / name).encode() for name in ("tables",)}
    return links | {path.name: path.read_bytes() for path in (beamtime.store / "published").glob("*.json")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Beamtime:
    """The beamtime as it should be, not yet processed."""
    return simulated(tmp_path_factory.mktemp("beamtime") / "whole")


@pytest.fixture(scope="module")
def processed(whole: Beamtime) -> Beamtime:
    """Its two wide-field scans, processed up to the tables."""
    beamtime = copy_of(whole, whole.folder.with_name("processed"))
    beamtime.keep(SDF, NEXUS)
    assert run(beamtime) == ()
    return beamtime


@pytest.fixture
def again(processed: Beamtime, tmp_path: Path) -> Beamtime:
    """A copy of the processed beamtime, for a test to spoil."""
    return copy_of(processed, tmp_path / "again")


def copy_of(beamtime: Beamtime, folder: Path) -> Beamtime:
    shutil.copytree(beamtime.folder, folder, symlinks=True)
    return Beamtime(folder)


# --- scans that cannot be processed -----------------------------------------------------------------------------------


def _renamed_header(b: Beamtime) -> None:
    path = b.write_sdf("unpaired", b.frames())
    b.add("renamed", path.rename(path.with_name("renamed.hdr")))


def _cut_frame(b: Beamtime) -> None:
    path = b.write_sdf("cut-frame", b.frames())
    frame = path.with_name("cut-frame_a003.xim")
    frame.write_bytes(frame.read_bytes()[:5000] + b" the beam was lost at four\n" + frame.read_bytes()[5000:])
    b.add("cut-frame", path)


def _prose(b: Beamtime) -> None:
    path = b.folder / "spoiled" / "prose.hdf5"
    path.parent.mkdir(exist_ok=True)
    path.write_text("the beam was lost at four\n")
    b.add("prose", path)


def _cxi(name: str, path: str, change: Callable[[Any], Any]) -> Callable[[Beamtime], None]:
    def spoil(b: Beamtime) -> None:
        b.add(name, b.change_cxi(name, lambda file: replace(file, path, change)), like=CXI)

    return spoil


def _first(n: int, value: float) -> Callable[[Any], Any]:
    """Frames of which the first n hold one value."""
    return lambda frames: np.where(np.arange(len(frames))[:, None, None] < n, value, frames)


UNUSABLE: dict[str, tuple[Callable[[Beamtime], None], tuple[str, ...]]] = {
    # Name of the scan: what is done to it, and words that its message must hold.
    "missing": (
        lambda b: b.add("missing", "beamline/nowhere.hdf5"),
        ("samples.csv:", "missing, file", "no such file", "Correct the path"),
    ),
    "misspelt": (
        lambda b: b.add("misspelt", "beamline/stxm-E02-c001-r2.hdf5"),
        ("misspelt, file", "Did you mean 'stxm-E02-c001-r1.hdf5'"),
    ),
    "chemistry": (
        lambda b: b.add("chemistry", b.file(NEXUS), chemistry="LFPO"),
        ("chemistry, chemistry", "'LFPO'", "one of LFP, NMC", "Did you mean 'LFP'"),
    ),
    "twice": (
        lambda b: [b.add("twice", b.file(NEXUS)) for _ in range(2)] and None,
        ("samples.csv:", "another row has the same scan_id", "one row per scan_id"),
    ),
    "copied": (
        lambda b: b.add("copied", b.copy(NEXUS, "copied.hdf5"), like=NEXUS),
        ("samples.csv:", "copied, file", "the file is a copy of another row's", NEXUS, "would count twice"),
    ),
    "empty": (lambda b: b.add("empty", b.copy(NEXUS, "empty.hdf5", 0.0)), ("empty.hdf5", "0 bytes", "Copy it again")),
    "truncated": (
        lambda b: b.add("truncated", b.copy(NEXUS, "truncated.hdf5", 0.6)),
        ("truncated.hdf5", "damaged or incomplete", "Copy it again"),
    ),
    "cut-cxi": (lambda b: b.add("cut-cxi", b.copy(CXI, "cut.cxi", 0.7), like=CXI), ("cut.cxi", "damaged")),
    "cut-frame": (_cut_frame, ("cut-frame_a003.xim", "rows of 64 numbers", "Copy it again")),
    "renamed": (_renamed_header, ("renamed.hdr", "no file renamed_a*.xim", "rename none of them")),
    "prose": (_prose, ("prose.hdf5", "text that begins 'the beam was lost", "SDF header")),
    "swapped": (lambda b: b.add("swapped", b.file(CXI)), ("a ptychography scan, wanted stxm", "column modality")),
    "zeros": (
        lambda b: b.add("zeros", b.write_sdf("zeros", 0 * b.frames())),
        ("zeros.hdr", "none of the frames can be used", "8 frames missing", "exclude the scan"),
    ),
    "nan": (
        lambda b: b.add("nan", b.write_nexus("nan", np.nan * b.frames())),
        ("nan.hdf5", "not one frame was measured", "at least one frame with counts"),
    ),
    "saturated": (
        lambda b: b.add("saturated", b.write_nexus("saturated", np.full_like(b.frames(), 65535, dtype=np.uint16))),
        ("saturated.hdf5", "8 frames saturated", "below the detector's ceiling"),
    ),
    "negative": (
        lambda b: b.add("negative", b.write_sdf("negative", -b.frames())),
        ("negative.hdr", "are negative, and counts are not", "Choose another channel"),
    ),
    "elsewhere": (
        lambda b: b.add("elsewhere", b.write_sdf("elsewhere", b.frames(), np.array(ENERGY_EV) + 110.0)),
        ("samples.csv:", "elsewhere, file", "0 of 8 (810.0 to 826.0 eV)", "between 680.5 and 783.4 eV", "references"),
    ),
    "cobalt": (
        lambda b: b.add("cobalt", b.file(NEXUS), like=NEXUS, chemistry="LCO"),
        ("cobalt, file", "0 of 8 (700.0 to 716.0 eV, Fe L)", "Give the references of this edge"),
    ),
    "one-energy": (
        lambda b: b.add("one-energy", b.write_nexus("one-energy", b.frames()[:1], ENERGY_EV[:1])),
        ("one-energy, file", "one photon energy alone", "Join images of one field"),
    ),
    "same-energy": (
        lambda b: b.add("same-energy", b.write_sdf("same-energy", b.frames(), np.full(8, 710.0))),
        ("cannot tell the terms of the fit apart", "add energies across the edge"),
    ),
    "fewer-positions": (
        _cxi("fewer-positions", TRANSLATION, lambda positions: positions[:-3]),
        ("fewer-positions.cxi:entry_1", "46 positions and 49 frames", "one position per frame"),
    ),
    "one-place": (_cxi("one-place", TRANSLATION, lambda positions: 0 * positions), ("all positions are equal",)),
    "nowhere": (_cxi("nowhere", TRANSLATION, lambda positions: np.nan * positions), ("NaN or infinity", "finite")),
    "in-pm": (_cxi("in-pm", TRANSLATION, lambda positions: 1e12 * positions), ("not in metres", "Multiply them by")),
    "all-masked": (_cxi("all-masked", MASK, lambda mask: mask | 1), ("all-masked.cxi:entry_1", "every pixel bad")),
    "dark": (_cxi("dark", DATA, lambda frames: 0 * frames), ("dark.cxi", "98 frames missing")),
    "glare": (
        _cxi("glare", DATA, lambda frames: np.full_like(frames, np.iinfo(frames.dtype).max)),
        ("glare.cxi", "98 frames saturated"),
    ),
    "nan-frames": (_cxi("nan-frames", DATA, lambda frames: np.nan * frames), ("nan-frames.cxi", "98 frames missing")),
    "shutter": (
        _cxi("shutter", DATA, _first(46, 0)),
        ("reconstruct of shutter, tile-0000", "3 of 49", "at least 4"),
    ),
}  # fmt: skip


def _part(frames: Array, value: float) -> Array:
    spoiled = frames.copy()
    spoiled[FRAME] = value
    return spoiled


def _clipped(frames: Array) -> Array:
    spoiled = frames.copy()
    spoiled[FRAME] = np.minimum(spoiled[FRAME], 1500)
    return spoiled


def _spotted(frames: Array, value: float) -> Array:
    spoiled = frames.copy()
    spoiled[:, 30:33, 30:33] = value
    return spoiled


def _marked(path: Path) -> Path:
    """A scan with other bytes and the same numbers: a copy byte by byte would be refused."""
    with h5py.File(path, "r+") as file:
        file.attrs["saved_by"] = "somebody else"
    return path


ORDER = np.array([3, 1, 0, 2, 7, 6, 5, 4])
BLANK = np.random.default_rng(4).poisson(1000, (8, 64, 64))
"""A field without a particle."""


@pytest.fixture(scope="module")
def spoiled(whole: Beamtime) -> tuple[Beamtime, tuple[Refusal, ...]]:
    """One campaign with every fault at once beside whole scans, processed; and what it had to say."""
    b = copy_of(whole, whole.folder.with_name("spoiled-beamtime"))
    frames, energy = b.frames(), np.array(ENERGY_EV)
    for spoil, _ in UNUSABLE.values():
        spoil(b)
    b.add("straight", b.write_sdf("straight", frames))
    b.add("unsorted", b.write_sdf("unsorted", frames[ORDER], energy[ORDER]))
    twice = np.sort(np.r_[:8, FRAME])
    b.add("repeated", b.write_sdf("repeated", frames[twice], energy[twice]))
    b.add("disguised", _marked(b.copy(NEXUS, "disguised.hdr")), like=NEXUS)
    b.add("zero-frame", b.write_nexus("zero-frame", _part(frames, 0)))
    b.add("nan-frame", b.write_nexus("nan-frame", _part(frames, np.nan)))
    b.add("clipped-frame", b.write_sdf("clipped-frame", _clipped(frames)))
    b.add("dead-pixels", b.write_nexus("dead-pixels", _spotted(frames, 0)))
    b.add("nan-pixels", b.write_nexus("nan-pixels", _spotted(frames, np.nan)))
    b.add("blank", b.write_sdf("blank", BLANK))
    _cxi("some-nan", DATA, _first(7, np.nan))(b)
    return b, run(b)


@pytest.mark.parametrize("scan_id", UNUSABLE)
def test_a_fault_is_named_with_what_was_got_wanted_and_to_do(spoiled: Any, scan_id: str) -> None:
    beamtime, refusals = spoiled
    mine = [refusal for refusal in refusals if refusal.scan_id == scan_id]
    assert mine, f"nothing was said of {scan_id}"
    for refusal in mine:
        assert all((refusal.where, refusal.problem, refusal.got, refusal.wanted, refusal.mend))
        assert not refusal.traceback
    for words in UNUSABLE[scan_id][1]:
        assert words in mine[0].sentence
    kept = table(beamtime, "exclusions")
    assert scan_id in set(kept["scan_id"])
    assert scan_id not in set(table(beamtime, "particles")["scan_id"])


def test_nothing_else_is_refused_and_every_other_scan_goes_on(spoiled: Any) -> None:
    beamtime, refusals = spoiled
    assert {refusal.scan_id for refusal in refusals} == set(UNUSABLE)
    publication = Store(beamtime.store).publication("segment")
    assert publication is not None
    rows = {row["scan_id"] for row in beamtime.rows}
    assert {name for name, scan in publication.scans.items() if scan.state == "done"} == rows - set(UNUSABLE)
    assert {SDF, NEXUS, "straight"} <= set(table(beamtime, "particles")["scan_id"])
    assert verify(Store(beamtime.store)) == []


def test_what_failed_is_named_in_the_publication_and_not_visible(spoiled: Any) -> None:
    store = Store(spoiled[0].store)
    publication = store.publication("ingest")
    assert publication is not None
    assert publication.scans["cut-frame"].state == "failed"
    assert store.published_output("ingest", "cut-frame") is None


def test_the_same_again_says_the_same_and_runs_nothing(spoiled: Any) -> None:
    beamtime, refusals = spoiled
    before = published(beamtime)
    with CampaignRun(RunRequest(str(beamtime.campaign), cluster="inline", stages=TO_INFER)) as running:
        assert sum(running.stage(name).units_run for name in running.stages) == 0
        assert set(running.refusals) == set(refusals)
    assert published(beamtime) == before


# --- faults that leave something to process ---------------------------------------------------------------------------


def test_unsorted_energies_give_the_very_same_maps(spoiled: Any) -> None:
    beamtime, _ = spoiled
    for name in ("soc", "thickness_nm"):
        straight, sorted_ = (output(beamtime, "fit", scan).read(name) for scan in ("straight", "unsorted"))
        np.testing.assert_array_equal(sorted_, straight)
    assert "did not ascend" in output(beamtime, "ingest", "unsorted").attrs("counts")["notes"][0]


def test_repeated_energies_are_each_kept_and_fitted(spoiled: Any) -> None:
    beamtime, _ = spoiled
    energies = output(beamtime, "fit", "repeated")
    measured = output(beamtime, "align", "repeated").read("energy_ev")
    assert len(measured) == 9
    assert (measured == ENERGY_EV[FRAME]).sum() == 2
    (receipt,) = energies.receipts().values()
    assert receipt["measures"]["energies_used"] == 9
    (note,) = output(beamtime, "ingest", "repeated").receipts()["scan"]["measures"]["notes"]
    assert note == "repeated energies, every frame of them is kept and fitted: 707.7 eV"
    # The same frame counted twice weighs more; it does not move the result beyond what its noise could.
    straight, twice = (output(beamtime, "fit", scan) for scan in ("straight", "repeated"))
    both = (straight.read("mask_class") == MaskClass.valid) & (twice.read("mask_class") == MaskClass.valid)
    assert both.sum() > 300
    moved = (twice.read("soc") - straight.read("soc"))[both] / straight.read("soc_se")[both]
    assert np.median(np.abs(moved)) < 1.0


@pytest.mark.parametrize("scan_id", ["zero-frame", "nan-frame", "clipped-frame"])
def test_a_frame_without_a_measurement_is_masked_and_left_out(spoiled: Any, scan_id: str) -> None:
    beamtime, _ = spoiled
    ingest, align, fit = (output(beamtime, stage, scan_id) for stage in ("ingest", "align", "fit"))
    wanted = MaskClass.saturated if scan_id == "clipped-frame" else MaskClass.missing
    classes = ingest.read("frame_class")
    assert classes[FRAME] == wanted
    assert (np.delete(classes, FRAME) == MaskClass.valid).all()
    assert np.isnan(ingest.read("counts")[FRAME]).all()
    assert np.isnan(align.read("transmission")[FRAME]).all()
    assert align.read("energy_used").tolist() == [1, 1, 1, 0, 1, 1, 1, 1]
    (receipt,) = fit.receipts().values()
    assert receipt["measures"]["energies_used"] == 7
    straight = output(beamtime, "fit", "straight")
    both = (straight.read("mask_class") == MaskClass.valid) & (fit.read("mask_class") == MaskClass.valid)
    moved = (fit.read("soc") - straight.read("soc"))[both] / fit.read("soc_se")[both]
    # The white line of one end-member is gone, so the shift of the energy scale is less sure: a few standard errors.
    assert np.median(np.abs(moved)) < 2.0


@pytest.mark.parametrize("scan_id", ["dead-pixels", "nan-pixels"])
def test_pixels_without_a_measurement_have_no_state_of_charge_to_be_believed(spoiled: Any, scan_id: str) -> None:
    beamtime, _ = spoiled
    od = output(beamtime, "absorbance", scan_id).read("optical_density")
    assert np.isnan(od[:, 30:33, 30:33]).all()
    fit = output(beamtime, "fit", scan_id)
    there = fit.read("mask_class")[31, 31], fit.read("soc")[31, 31]
    assert there[0] not in (MaskClass.valid, MaskClass.background)
    assert np.isnan(there[1]) or scan_id == "dead-pixels"


def test_a_format_is_told_by_its_content_not_by_its_name(spoiled: Any) -> None:
    beamtime, _ = spoiled
    soc = [output(beamtime, "fit", scan).read("soc") for scan in (NEXUS, "disguised")]
    np.testing.assert_array_equal(*soc)


def test_a_field_without_particles_gives_none_and_no_zeros(spoiled: Any) -> None:
    beamtime, _ = spoiled
    assert output(beamtime, "segment", "blank").receipts()["scan"]["measures"]["particles"] == 0
    assert np.isnan(output(beamtime, "fit", "blank").read("soc")).all()


def test_frames_that_are_no_whole_counts_are_kept_and_those_with_nan_masked(spoiled: Any) -> None:
    beamtime, _ = spoiled
    ingest = output(beamtime, "ingest", "some-nan")
    assert ingest.layout("frames").dtype == np.float32
    assert (ingest.read("frame_class")[0] == MaskClass.missing).tolist() == [True] * 7 + [False] * 42
    receipts = receipts_of(output(beamtime, "reconstruct", "some-nan")).values()
    tiles = [tile for receipt in receipts for tile in from_json(ReconstructMeasures, receipt.measures).found]
    assert {tile.frames_left_out for tile in tiles} == {7}
    assert all(tile.residual is not None and np.isfinite(tile.residual) for tile in tiles)


# --- faults of the campaign: what was published stays -----------------------------------------------------------------

SPECTRA: dict[str, tuple[Callable[[Array, Array], str], tuple[str, ...]]] = {
    "keV": (lambda e, mu: _columns(e / 1000, 100 * mu), ("discharged.txt", "not photon energy in eV", "multiply keV")),
    "transmission": (lambda e, mu: _columns(e, np.exp(-100 * mu)), ("decreases through its edge", "Give ln(I0/I)")),
    "counts": (lambda e, mu: _columns(e, 1e5 * mu), ("other units than optical density", "values up to")),
    "garbage": (
        lambda e, mu: _columns(e, 100 * mu).replace("\n", "\nhello world\n", 4),
        ("discharged.txt, line 2", "'hello world'", "two finite numbers"),
    ),
    "nothing": (lambda e, mu: "", ("discharged.txt", "no spectrum in the file")),
}


def _columns(first: Array, second: Array) -> str:
    return "".join(f"{a:.5f} {b:.6g}\n" for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("fault", SPECTRA)
def test_references_in_other_units_are_refused_and_the_tables_stay(again: Beamtime, fault: str) -> None:
    members = CHEMISTRIES["LFP"].load().end_members()
    spectrum, words = SPECTRA[fault]
    texts = [spectrum(members.energy_ev, mu) for mu in members.mu_per_nm]
    for name, text in zip(("discharged", "charged"), texts, strict=True):
        (again.folder / f"{name}.txt").write_text(text)
    again.set_key("references", "{discharged: discharged.txt, charged: charged.txt}")
    before = published(again)
    refusals = run(again)
    assert {SDF, NEXUS, "campaign"} == {refusal.scan_id for refusal in refusals}
    for refusal in refusals:
        if refusal.scan_id != "campaign":
            assert all(word in refusal.sentence for word in words), refusal.sentence
    # The tables are still there, and whole; nothing says that those of other references are these.
    assert published(again) == before
    assert len(table(again, "particles")) > 0
    assert verify(Store(again.store)) == []


def _collinear(b: Beamtime) -> None:
    members = CHEMISTRIES["LFP"].load().end_members()
    other = members.mu_per_nm[0] * (1.0 + 1e-4 * np.linspace(-1.0, 1.0, members.energy_ev.size))
    for name, mu in (("discharged", members.mu_per_nm[0]), ("charged", other)):
        (b.folder / f"{name}.txt").write_text(_columns(members.energy_ev, 100 * mu))
    b.set_key("references", "{discharged: discharged.txt, charged: charged.txt}")


def _dim(b: Beamtime) -> None:
    energy = np.array(ENERGY_EV)
    (b.folder / "i0.txt").write_text(_columns(energy, np.full(energy.size, 40.0)))
    b.set_key("references", "{i0: i0.txt}")
    b.set("absorbance i0: file")


UNFIT: dict[str, tuple[Callable[[Beamtime], None], tuple[str, ...]]] = {
    # What is done to the campaign, and words that the message must hold.
    "no-phase": (
        lambda b: b.set("fit fitter: complex"),
        ("fits a phase, which a wide-field scan has not", "Name another fitter"),
    ),
    "no-l2": (lambda b: b.set("fit fitter: l3_l2"), ("do not reach the L2 line", "white_line")),
    "two-and-background": (
        lambda b: b.set("fit fitter: two_energy", "fit background: constant"),
        ("has no room for a background", "background: none"),
    ),
    "one-energy-twice": (
        lambda b: b.set("fit fitter: two_energy", "fit fit: {energies_ev: [708.0, 708.1]}"),
        ("both energies are the same", "Ask for energies_ev that were measured"),
    ),
    "collinear": (
        _collinear,
        ("the two references are nearly proportional", "condition number", "Give two different spectra"),
    ),
    "dim-i0": (_dim, ("the incident beam is weaker than what came through", "references: i0")),
}


@pytest.mark.parametrize("fault", UNFIT)
def test_what_cannot_be_fitted_is_named_and_what_was_published_stays(again: Beamtime, fault: str) -> None:
    spoil, words = UNFIT[fault]
    before = published(again)["fit.json"]
    spoil(again)
    refusals = run(again, stages=("ingest", "absorbance", "align", "fit"))
    assert {SDF, NEXUS} == {refusal.scan_id for refusal in refusals}
    for refusal in refusals:
        assert all(word in refusal.sentence for word in words), refusal.sentence
        assert not refusal.traceback
    assert published(again)["fit.json"] == before


@pytest.mark.parametrize(
    "fitter",
    ["two_energy", "fill_factor", "nnls"]
    + [
        pytest.param(name, marks=pytest.mark.slow)
        for name, entry in FITTERS.items()
        if not entry.wants_phase and not entry.needs_l2_line
    ],
)
def test_no_fitter_leaves_a_number_without_a_class_or_zeros_for_what_is_unknown(again: Beamtime, fitter: str) -> None:
    frames = again.frames(NEXUS).astype(np.float64)
    # No light in one corner, too much taken off in another, and one dark energy; the rest is as it was.
    dark, negative, dark_once = np.s_[30:38, 30:38], np.s_[16:24, 40:48], np.s_[40:48, 16:24]
    frames[:, *dark] = 0.0
    frames[FRAME, *negative] = -60.0
    frames[FRAME, *dark_once] = 0.0
    again.add("spotted", again.write_nexus("spotted", frames), like=NEXUS)
    again.keep(SDF, "spotted")
    again.set(f"fit fitter: {fitter}")
    assert run(again, stages=("ingest", "absorbance", "align", "fit")) == ()
    for scan_id in (SDF, "spotted"):
        fit = output(again, "fit", scan_id)
        soc, error, classes = fit.read("soc"), fit.read("soc_se"), fit.read("mask_class")
        believed = (classes == MaskClass.valid) | (classes == MaskClass.edge) | (classes == MaskClass.poor_fit)
        assert (classes == MaskClass.valid).sum() > 100
        assert np.isfinite(soc[believed]).all()
        assert np.isfinite(error[believed]).all()
        for one in FITTERS[fitter].maps:
            assert np.isfinite(fit.read(one.name)[believed]).all()
            assert fit.array(one.name).metadata.dimension_names == ("y", "x")
            assert np.isnan(fit.layout(one.name).fill)
            about = fit.attrs(one.name)
            assert (about["units"], about["long_name"]) == (one.unit, one.meaning)
    # The stack was registered: spots moved by less than three pixels.
    for spot in (dark, negative, *([dark_once] if FITTERS[fitter].takes_logarithms else ())):
        assert not believed[tuple(slice(part.start + 3, part.stop - 3) for part in spot)].any()


@pytest.mark.parametrize("region", ["[500, 600, 0, 64]", "[0, 65, 0, 64]"])
def test_a_region_for_i0_outside_the_image_is_refused(again: Beamtime, region: str) -> None:
    again.set(f"absorbance region: {region}")
    before = published(again)
    refusals = run(again, stages=("absorbance",))
    assert {refusal.scan_id for refusal in refusals} == {SDF, NEXUS}
    words = ("reaches outside the image", "64 x 64 pixels", "absorbance: region in campaign.yaml")
    for refusal in refusals:
        assert all(word in refusal.sentence for word in words)
    assert published(again) == before


def test_a_changed_file_is_processed_again_and_the_others_are_not(again: Beamtime) -> None:
    old = output(again, "fit", NEXUS).digest
    path = again.write_nexus("new", again.frames(NEXUS) * 2)
    os.replace(path, again.file(NEXUS))
    with CampaignRun(RunRequest(str(again.campaign), cluster="inline", stages=TO_INFER)) as running:
        # Asked before, as the command line does: what the tables rest on is told anew when their turn comes.
        assert set(running.pending()) == {"ingest", "infer"}
        ran = {name: running.stage(name).units_run for name in running.stages}
        assert running.refusals == ()
    assert {name: n for name, n in ran.items() if n} == dict.fromkeys(
        ("ingest", "absorbance", "align", "fit", "segment", "infer"), 1
    )
    assert output(again, "fit", NEXUS).digest != old
    assert output(again, "infer", "campaign").digest == identities(again)["infer"]
    assert set(table(again, "particles")["scan_id"]) == {SDF, NEXUS}
    counts = [output(again, "ingest", NEXUS).read("counts"), again.frames(NEXUS)]
    np.testing.assert_array_equal(*counts)


def test_a_scan_that_breaks_later_leaves_the_others_published(again: Beamtime) -> None:
    before = output(again, "fit", SDF).digest
    again.file(NEXUS).write_bytes(again.file(NEXUS).read_bytes()[:9000])
    (refusal,) = run(again)
    assert (refusal.scan_id, refusal.unit) == (NEXUS, "header")
    assert output(again, "fit", SDF).digest == before
    assert set(table(again, "particles")["scan_id"]) == {SDF}
    assert NEXUS in set(table(again, "exclusions")["scan_id"])


def test_a_file_that_changes_while_it_is_read_is_refused(again: Beamtime, monkeypatch: pytest.MonkeyPatch) -> None:
    from stxmdist.stages import ingest

    measured = ingest._ingest_stxm

    def written(by: int) -> None:
        content = bytearray(again.file(NEXUS).read_bytes())
        content[-1] = (content[-1] + by) % 256
        again.file(NEXUS).write_bytes(content)

    def still_written(*given: Any) -> Any:
        found = measured(*given)
        written(1)
        return found

    written(1)

    monkeypatch.setattr(ingest, "_ingest_stxm", still_written)
    (refusal,) = run(again, stages=("ingest",))
    assert refusal.where == str(again.file(NEXUS))
    assert refusal.problem == "the file changed while it was read"
    assert "Wait until the scan is written" in refusal.mend


def test_a_single_scan_can_be_asked_for_and_the_tables_keep_the_others(again: Beamtime) -> None:
    again.add("late", again.write_sdf("late", again.frames()))
    again.add("later", again.file("late"))
    again.add("nowhere", "beamline/nowhere.hdf5")
    assert run(again, scans=("late",)) == ()
    publication = Store(again.store).publication("fit")
    assert publication is not None
    assert set(publication.scans) == {SDF, NEXUS, "late"}
    assert set(table(again, "particles")["scan_id"]) == {SDF, NEXUS, "late"}


def test_a_unit_that_succeeds_later_renews_what_was_computed_without_it(
    again: Beamtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stxmdist.stages.segment import stage as segment

    again.add("late", again.write_sdf("late", again.frames()))
    right = segment.STAGE

    def breaks(unit: Any) -> Any:
        if unit.scan_id == "late":
            raise MemoryError("no room")
        return right.work(unit)

    monkeypatch.setattr(segment, "STAGE", dataclasses.replace(right, work=breaks))
    (refusal,) = run(again)
    assert (refusal.scan_id, refusal.problem) == ("late", "the computation failed")
    assert "MemoryError: no room" in refusal.got
    assert "MemoryError" in refusal.traceback
    without = identities(again)
    assert without["infer"] == output(again, "infer", "campaign").digest
    assert "late" not in set(table(again, "particles")["scan_id"])
    # Without `retry` it stays set aside.
    assert run(again) == (refusal,)
    assert identities(again) == without

    monkeypatch.setattr(segment, "STAGE", right)
    assert run(again, retry=True) == ()
    assert "late" in set(table(again, "particles")["scan_id"])
    assert "late" not in set(table(again, "exclusions").query("what != 'particle'")["scan_id"])
    renewed = identities(again)
    assert renewed["infer"] == output(again, "infer", "campaign").digest
    assert all(renewed[stage] != without[stage] for stage in without)


# --- the store --------------------------------------------------------------------------------------------------------


def test_a_store_of_another_version_is_refused_and_not_touched(again: Beamtime) -> None:
    identity = again.store / "store.json"
    identity.write_text(json.dumps({"format": "stxmdist-store", "version": 99}))
    before = {path: path.stat().st_mtime_ns for path in again.store.rglob("*")}
    with pytest.raises(StoreError) as caught:
        run(again)
    assert caught.value.where == str(identity)
    assert '"version": 99' in caught.value.got
    assert "Name a new folder" in caught.value.mend
    assert {path: path.stat().st_mtime_ns for path in again.store.rglob("*")} == before


@pytest.mark.faults
def test_of_two_runs_at_once_the_second_says_who_holds_the_store(again: Beamtime) -> None:
    held = f"with Store({str(again.store)!r}).lock(): print('held', flush=True); input()"
    command = [sys.executable, "-c", f"from storage.store import Store\n{held}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreError) as caught:
            run(again)
        assert f"process {holder.pid}" in caught.value.got
        assert "one run at a time" in caught.value.wanted
        holder.communicate("\n")
    assert run(again) == ()


@pytest.mark.faults
@pytest.mark.parametrize("room", [0, 30_000, 300_000])
def test_a_full_disk_stops_units_not_the_run_and_retry_goes_on(
    again: Beamtime, processed: Beamtime, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    # Other options for the fit: everything from there on is written anew.
    again.set("fit rows_per_unit: 23")
    before = published(again)
    with monkeypatch.context() as patch:
        full_disk.leave(patch, again.store, room)
        refusals = run(again)
    assert refusals
    assert all(refusal.sentence for refusal in refusals)
    full = [refusal for refusal in refusals if "the disk is full" in refusal.problem]
    assert full
    for refusal in full:
        assert str(again.store) in refusal.where
        assert "room for" in refusal.wanted
        assert "Free space" in refusal.mend
    assert not any(refusal.traceback for refusal in refusals)
    assert verify(Store(again.store)) == []
    if room == 0:
        assert published(again) == before
    assert run(again, retry=True) == ()
    mended, right = (table(b, "particles") for b in (again, processed))
    for column in ("scan_id", "particle_id", "soc_mean"):
        assert mended[column].tolist() == right[column].tolist()


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.skipif(not full_disk.can_mount(), reason="no small file system can be mounted here (needs unshare, tmpfs)")
def test_a_file_system_that_really_is_full(whole: Beamtime, tmp_path: Path) -> None:
    beamtime = copy_of(whole, tmp_path / "small")
    beamtime.keep(SDF, NEXUS)
    said = full_disk.in_small_file_system(beamtime, ("ingest", "absorbance"), size_kb=200, then_kb=40_000)
    assert any("the disk is full" in sentence for sentence in said["full"])
    assert not any("Traceback" in sentence for sentence in said["full"])
    assert said["findings"] == 0
    assert said["retried"] == []
    assert said["published"] == [SDF, NEXUS]
