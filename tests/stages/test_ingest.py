"""What ingest leaves of ptychography frames: cut, summed, faults and beamstop masked, and said; plan and work agree."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import h5py
import numpy as np
import pytest

from storage.output import Output
from storage.store import Store
from stxmdist import readers
from stxmdist.arrays import MaskClass
from stxmdist.measures import ReconstructMeasures
from stxmdist.planning.execute import CampaignRun, RunRequest, campaign_and_options
from stxmdist.planning.forecast import forecast_of
from stxmdist.planning.headers import survey_of
from stxmdist.ptychography.geometry import object_pixel_nm
from stxmdist.readers import PtychographyRecording
from stxmdist.readers.frames.beamstop import radii_px
from stxmdist.readers.frames.windowing import middle_of, summed, zero_frequency_px
from stxmdist.records import from_json
from stxmdist.runner.unit import receipts_of
from stxmdist.simulation.folder import simulate_size
from tests.stages.tiny import OPTIONS, PTYCHOGRAPHY, TINY, with_options

SCAN = PTYCHOGRAPHY[0]
N = 32
"""Detector pixels of the tiny campaign."""
HALF_PERIOD_PX = 2.2
NEAR_NOISE = 1.5
"""Twenty iterations on large pixels end at 1.6 pixels and at the noise; a sum damps what is far from the beam."""


@pytest.fixture
def campaign(simulated: Path, tmp_path: Path) -> Path:
    return copytree(simulated.parent, tmp_path / "campaign") / simulated.name


def file_of(campaign: Path) -> Path:
    return survey_of(*campaign_and_options(campaign)).recordings[SCAN].source


def of_file(campaign: Path) -> PtychographyRecording:
    (recording,) = readers.read(file_of(campaign))
    assert isinstance(recording, PtychographyRecording)
    return recording


def ingested(campaign: Path, stages: tuple[str, ...] = ("ingest",), **options: Any) -> tuple[Output, dict[str, Any]]:
    """What is published of the scan, and its quality figures."""
    with_options(campaign, {"ingest": options})
    with CampaignRun(RunRequest(str(campaign), stages, scans=(SCAN,), cluster="inline")) as run:
        for stage in run.stages:
            run.stage(stage)
        # That one energy gives no state of charge is said of the header; what is asked for here is the image.
        failed = [refusal for refusal in run.refusals if refusal.unit != "header"]
        assert not failed, failed[0].sentence
        store = Store(run.campaign.store)
    publication = store.publication("ingest")
    output = store.published_output("ingest", SCAN)
    assert publication is not None
    assert output is not None
    return output, dict(publication.scans[SCAN].quality)


def change_frames(campaign: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Of every entry, as they lie in the file."""
    with h5py.File(file_of(campaign), "r+") as file:
        for entry in (name for name in file if name.startswith("entry")):
            place = f"{entry}/instrument_1/detector_1/data"
            values = change(file[place][()])
            del file[place]
            file[place] = values


def test_by_default_frames_are_those_of_the_file(campaign: Path) -> None:
    recording = of_file(campaign)
    output, quality = ingested(campaign)
    for energy in range(len(recording.energy_ev)):
        np.testing.assert_array_equal(output.read("frames")[energy], recording.read(energy, slice(None)))
    about = output.attrs("frames")
    assert (about["crop_px"], about["bin_px"], about["beamstop_px"], about["mask_faults"]) == (0, 1, 0.0, True)
    assert about["zero_frequency_px"] == [N // 2, N // 2]
    assert quality["pixels"] == N * N
    assert quality["pixels_masked"] == np.count_nonzero(~recording.good)
    assert quality["pixels_hot"] == quality["pixels_saturated"] == quality["pixels_dead"] == 0


@pytest.mark.parametrize(("crop_px", "bin_px"), [(24, 1), (0, 2), (0, 3), (29, 3), (20, 2)])
def test_plan_and_work_agree_on_what_is_kept(crop_px: int, bin_px: int, campaign: Path) -> None:
    recording = of_file(campaign)
    output, quality = ingested(campaign, crop_px=crop_px, bin_px=bin_px)
    survey = survey_of(*campaign_and_options(campaign))
    planned = survey.ptychography(SCAN)
    kept = crop_px or N
    expected = summed(middle_of(recording.read(1, slice(None)), (kept, kept)), bin_px)
    frames = output.read("frames", (1,))
    np.testing.assert_array_equal(frames, expected)
    assert planned.frame_shape == frames.shape[1:] == output.read("detector_mask").shape
    np.testing.assert_array_equal(planned.read(1, slice(None)), expected)
    about = output.attrs("frames")
    assert tuple(about["detector_pixel_um"]) == planned.detector_pixel_um
    assert about["detector_pixel_um"] == pytest.approx([bin_px * pixel for pixel in recording.detector_pixel_um])
    assert (about["crop_px"], about["bin_px"]) == (crop_px, bin_px)
    assert (quality["crop_px"], quality["bin_px"]) == (crop_px, bin_px)
    assert about["zero_frequency_px"] == list(zero_frequency_px(planned.frame_shape, bin_px))
    assert set(about["notes"]) <= set(quality["notes"])
    if planned.illumination is not None:
        np.testing.assert_array_equal(output.read("illumination"), planned.illumination)
    np.testing.assert_array_equal(output.read("positions_um"), recording.positions_um)


@pytest.mark.parametrize(("upsample", "crop_px", "bin_px"), [(2, 0, 1), (3, 29, 1), (2, 29, 2)])
def test_frames_are_laid_in_larger_ones(upsample: int, crop_px: int, bin_px: int, campaign: Path) -> None:
    plain, before = ingested(campaign, crop_px=crop_px, bin_px=bin_px)
    plain_frames, plain_mask = plain.read("frames"), plain.read("detector_mask")
    counts, pixel_um = plain.read("frame_counts"), plain.attrs("frames")["detector_pixel_um"]
    output, after = ingested(campaign, crop_px=crop_px, bin_px=bin_px, upsample=upsample)
    frames, mask = output.read("frames"), output.read("detector_mask")
    n = plain_mask.shape[0]
    assert frames.shape[2:] == mask.shape == (upsample * n, upsample * n)
    np.testing.assert_array_equal(middle_of(frames, (n, n)), plain_frames)
    np.testing.assert_array_equal(middle_of(mask, (n, n)), plain_mask)
    assert frames.sum() == plain_frames.sum()
    assert (mask == 0).sum() == (plain_mask == 0).sum()
    np.testing.assert_array_equal(output.read("frame_counts"), counts)
    about = output.attrs("frames")
    assert about["detector_pixel_um"] == pixel_um
    zero = [upsample * n // 2 - n // 2 + at for at in plain.attrs("frames")["zero_frequency_px"]]
    assert about["zero_frequency_px"] == zero
    # What is said of the detector's pixels is said of those that measure.
    assert (after["pixels"], after["pixels_masked"]) == (before["pixels"], before["pixels_masked"])
    planned = survey_of(*campaign_and_options(campaign)).ptychography(SCAN)
    np.testing.assert_array_equal(planned.read(1, slice(None)), frames[1])
    np.testing.assert_array_equal(output.read("illumination"), planned.illumination)
    light = plain.read("illumination")
    assert (np.abs(planned.illumination) ** 2).sum() == pytest.approx((np.abs(light) ** 2).sum(), rel=1e-5)


def test_reconstruct_has_the_pixels_of_what_is_kept(campaign: Path) -> None:
    output, _ = ingested(campaign, ("ingest", "reconstruct"), crop_px=28)
    store = Store(campaign.parent / "store")
    publication = store.publication("reconstruct")
    reconstruct = store.published_output("reconstruct", SCAN)
    assert publication is not None
    assert reconstruct is not None
    about = output.attrs("frames")
    energy_ev = float(output.read("energy_ev")[0])
    wanted = object_pixel_nm(energy_ev, about["distance_m"], about["detector_pixel_um"][0], 28)
    (first, *_) = receipts_of(reconstruct).values()
    (tile, *_) = tiles = from_json(ReconstructMeasures, first.measures).found
    assert tile.pixel_nm == pytest.approx([wanted, wanted])
    assert reconstruct.layout("probe").shape[3:] == (28, 28)
    assert {tile.verdict for tile in tiles} == {"good"}


@pytest.mark.parametrize("bin_px", [2, 3])
def test_summed_pixels_reconstruct_as_large_ones_do(bin_px: int, tmp_path: Path) -> None:
    """The tiny campaign on a detector of finer pixels, summed to those it has: as good, begun with the file's beam."""
    detector = replace(TINY.ptychography.detector, n=N * bin_px, pixel_um=TINY.ptychography.detector.pixel_um / bin_px)
    optics = replace(TINY.ptychography, energy_ev=(708.2,), detector=detector)
    simulate_size(tmp_path, replace(TINY, n_electrodes=1, ptychography=optics), 5, workers=1, report=lambda line: None)
    campaign = with_options(tmp_path / "campaign.yaml", OPTIONS)
    ingested(campaign, ("ingest", "reconstruct"), bin_px=bin_px)
    output = Store(tmp_path / "store").published_output("reconstruct", SCAN)
    assert output is not None
    for receipt in receipts_of(output).values():
        (tile,) = from_json(ReconstructMeasures, receipt.measures).found
        assert tile.verdict == "good"
        assert tile.half_bit_half_period_px is not None
        assert tile.half_bit_half_period_px < HALF_PERIOD_PX
        assert tile.residual is not None
        assert tile.shot_noise_residual is not None
        assert tile.residual < NEAR_NOISE * tile.shot_noise_residual


def test_a_plan_says_what_fewer_pixels_take(campaign: Path) -> None:
    whole = {stage.stage: stage for stage in forecast_of(*campaign_and_options(campaign)).stages}
    with_options(campaign, {"ingest": {"crop_px": 16}})
    part = {stage.stage: stage for stage in forecast_of(*campaign_and_options(campaign)).stages}
    for stage in ("ingest", "reconstruct"):
        assert part[stage].bytes_out < whole[stage].bytes_out
        assert part[stage].core_seconds < whole[stage].core_seconds
    assert part["reconstruct"].peak_worker_bytes < whole["reconstruct"].peak_worker_bytes


def test_faulty_pixels_are_masked_and_counted(campaign: Path) -> None:
    def spoiled(frames: np.ndarray) -> np.ndarray:
        frames[:, 3, 5] += 5000
        frames[:, 17] = 0
        return frames

    good = of_file(campaign).good
    change_frames(campaign, spoiled)
    output, quality = ingested(campaign)
    masked = output.read("detector_mask") != 0
    assert np.count_nonzero(masked & good) == N + 1
    assert (quality["pixels_hot"], quality["pixels_dead"], quality["pixels_saturated"]) == (1, N, 0)
    assert quality["pixels_masked"] == np.count_nonzero(masked)
    assert any("1 hot, 32 dead" in note for note in quality["notes"])
    output, quality = ingested(campaign, mask_faults=False)
    np.testing.assert_array_equal(output.read("detector_mask") == 0, good)
    assert "pixels_hot" not in quality


def test_faults_are_found_before_pixels_are_summed(campaign: Path) -> None:
    def spoiled(frames: np.ndarray) -> np.ndarray:
        frames[:, 4, 5] += 5000
        return frames

    with_options(campaign, {"ingest": {"bin_px": 2}})
    before = np.count_nonzero(~survey_of(*campaign_and_options(campaign)).ptychography(SCAN).good)
    change_frames(campaign, spoiled)
    _, quality = ingested(campaign, bin_px=2)
    assert quality["pixels_hot"] == 1
    assert quality["pixels_masked"] == before + 1


def test_frames_are_judged_before_pixels_are_summed(campaign: Path) -> None:
    """A ceiling shows in the file's own pixels; frames of nothing but ceiling say nothing about any pixel."""

    def glare(frames: np.ndarray) -> np.ndarray:
        frames[3:6] = np.iinfo(frames.dtype).max
        return frames

    change_frames(campaign, glare)
    output, quality = ingested(campaign, bin_px=2)
    classes = output.read("frame_class")
    assert (classes[:, 3:6] == MaskClass.saturated).all()
    assert quality["frames_saturated"] == 3 * len(classes)
    assert quality["pixels_saturated"] == 0


def test_a_beamstop_is_masked_where_it_is_said(campaign: Path) -> None:
    good = of_file(campaign).good
    output, quality = ingested(campaign, beamstop_px=3.5)
    np.testing.assert_array_equal(output.read("detector_mask") == 0, good & (radii_px((N, N)) >= 3.5))
    assert output.attrs("frames")["beamstop_px"] == quality["beamstop_px"] == 3.5
    assert any("masked as a beamstop" in note for note in quality["notes"])


def test_a_beamstop_is_noticed_and_nothing_is_changed(campaign: Path) -> None:
    recording = of_file(campaign)
    shadow = radii_px((N, N)) < 4

    def stopped(frames: np.ndarray) -> np.ndarray:
        light = np.random.default_rng(3).poisson(200.0 * (radii_px((N, N)) < 11), frames.shape)
        return np.where(shadow, 0, light).astype(frames.dtype)

    change_frames(campaign, stopped)
    output, quality = ingested(campaign)
    assert any("no light within 4 pixels" in note for note in quality["notes"])
    np.testing.assert_array_equal(output.read("detector_mask") == 0, recording.good)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"crop_px": 33}, "at most 32"),
        ({"bin_px": 5}, "at least 8 whole sums"),
        ({"crop_px": 16, "bin_px": 3}, "at least 8 whole sums"),
        ({"beamstop_px": 40.0}, "a radius that leaves light"),
    ],
)
def test_options_that_leave_nothing_refuse_the_scan_before_anything_runs(
    options: dict[str, Any], said: str, campaign: Path
) -> None:
    with_options(campaign, {"ingest": options})
    survey = survey_of(*campaign_and_options(campaign))
    refused = {refusal.scan_id: refusal for refusal in survey.refusals}
    assert set(refused) == set(PTYCHOGRAPHY)
    assert said in refused[SCAN].wanted
    assert "ingest" in refused[SCAN].mend
    # Wide-field scans have no such pixels.
    assert set(survey.scans) == {scan.scan_id for scan in survey.campaign.scans} - set(PTYCHOGRAPHY)
