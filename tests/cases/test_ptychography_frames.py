"""Diffraction frames as they are in other people's files end as the same object, with what was done to them said."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.store import Store
from stxmdist.ptychography import gauge
from tests.cases.campaigns import Case, command, document
from tests.ptychography.conftest import Measurement, measure
from tests.readers.examples import cxi

pytestmark = pytest.mark.long

N, SIDE = 32, 8
PIXEL_UM = 1.2398419843320026 / 710.0 * 0.1 / (N * 3e-5)
"""Of the object, by the geometry of the example"""
ERROR = 0.05
"""Rms of the complex difference from the truth; sound frames end at .03"""
WORSE = 1.5
"""Of a spoilt scan's error against that of sound frames"""

Frames = np.ndarray


def dim(frames: Frames) -> Frames:
    """A shutter that closes early on every twentieth frame, and light that was all but lost on one."""
    rng = np.random.default_rng(1)
    share = np.where(np.arange(len(frames)) % 20 == 7, 0.05, 1.0)
    share[30] = 0.001
    return rng.binomial(frames.astype(np.int64), share[:, None, None]).astype(np.uint16)


def with_offset(frames: Frames) -> Frames:
    """A dark level that nobody took off."""
    return (frames + 20).astype(np.uint16)


def gaps(value: float, dtype: type) -> Callable[[Frames], Frames]:
    """Two rows and two columns between the modules of a detector."""

    def spoil(frames: Frames) -> Frames:
        spoilt = frames.astype(dtype)
        spoilt[:, 10:12] = spoilt[:, :, 19:21] = value
        return spoilt

    return spoil


def saturated(frames: Frames) -> Frames:
    """A direct beam beyond what the detector can count."""
    return np.minimum(frames, int(0.7 * frames.mean(axis=0).max())).astype(np.uint16)


def adu(frames: Frames) -> Frames:
    """A camera that makes 50 counts of a photon, with read-out noise, its dark taken off."""
    return np.round(50.0 * frames + 10.0 * np.random.default_rng(2).normal(size=frames.shape)).astype(np.int32)


def brightest_is_one(frames: Frames) -> Frames:
    """Frames that somebody has normalised."""
    return (frames / frames.max()).astype(np.float32)


SPOILT: dict[str, tuple[Callable[[Frames], Frames], str]] = {
    "sound": (lambda frames: frames.astype(np.uint16), ""),
    "dim": (dim, "times the light of their neighbours"),
    "offset": (with_offset, "20 counts that pixels have without light"),
    "minus-one": (gaps(-1, np.int32), "124 unread"),
    "nan": (gaps(np.nan, np.float32), "124 unread"),
    "saturated": (saturated, "the least that there was"),
    "adu": (adu, "a photon makes"),
    "normalised": (brightest_is_one, "a photon makes"),
}


@pytest.fixture(scope="module")
def measured() -> Measurement:
    return measure(n=N, side=SIDE, step=2.5, counts=1e6, whole=False, hooded=True)


@pytest.fixture(scope="module")
def run(measured: Measurement, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """All scans, ingested and reconstructed."""
    folder: Path = tmp_path_factory.mktemp("frames")
    positions_um = measured.problem.positions_px * PIXEL_UM
    for name, (spoil, _) in SPOILT.items():
        frames = spoil(measured.problem.frames)
        cxi.write(folder / f"{name}.cxi", frames=frames, positions_um=positions_um, illumination=measured.problem.probe)
    command("init", folder)
    case = Case(folder)
    case.fill()
    case.set(chemistry="LFP", stages={"ingest": {}, "reconstruct": {}})
    case.run("--stage", "ingest", "--stage", "reconstruct")
    return case


def quality(run: Case, stage: str, name: str) -> dict[str, Any]:
    publication = Store(run.folder / "store").publication(stage)
    assert publication is not None
    return dict(publication.scans[name].quality)


def object_error(run: Case, name: str, measured: Measurement) -> float:
    output = Store(run.folder / "store").published_output("reconstruct", name)
    assert output is not None
    found = output.read("object_tile")[0, 0]
    light = np.nan_to_num(output.read("tile_illumination")[0, 0])
    start = output.read("tile_start_positions_px")[0, 0]
    # Whole pixels from the made object to the one that was found; a fraction of one is no error of the object.
    offset = np.round(np.nanmin(start, axis=0) - measured.problem.positions_px.min(axis=0)).astype(int)
    ahead, behind = np.maximum(offset, 0), np.maximum(-offset, 0)
    rows, columns = np.minimum(np.array(found.shape) - ahead, np.array(measured.object_.shape) - behind)
    part = np.s_[ahead[0] : ahead[0] + rows, ahead[1] : ahead[1] + columns]
    truth = measured.object_[behind[0] : behind[0] + rows, behind[1] : behind[1] + columns]
    found, light = found[part], light[part]
    weight = ((light > 0.5 * np.median(light[light > 0])) & np.isfinite(found)).astype(float)
    same = gauge.remove_ramp(np.where(weight > 0, found, 1), truth, weight)
    return float(np.sqrt(np.mean(np.abs(same - truth)[weight > 0] ** 2)))


@pytest.mark.parametrize("name", SPOILT)
def test_the_object_is_found_and_what_was_done_is_said(name: str, run: Case, measured: Measurement) -> None:
    found, judged = quality(run, "ingest", name), quality(run, "reconstruct", name)
    error = object_error(run, name, measured)
    print(f"{name}: {judged['verdict'][0]}, residual {judged['residual'][0]:.4f} over "
          f"{judged['shot_noise_residual'][0]:.4f}, object error {error:.4f}")  # fmt: skip
    assert judged["verdict"] == ["good"]
    assert error < WORSE * max(object_error(run, "sound", measured), ERROR / WORSE)
    said = SPOILT[name][1]
    assert any(said in note for note in [*found["notes"], *judged["notes"]]) or not said
    assert judged["frames_left_out"] == [1 if name == "dim" else 0]


def test_dose_and_expected_residual_do_not_hang_on_the_unit_of_counts(run: Case) -> None:
    sound = quality(run, "reconstruct", "sound")
    for name, exact in (("normalised", 1e-3), ("adu", 0.2)):
        other = quality(run, "reconstruct", name)
        for key in ("shot_noise_residual", "photons_per_um2", "counts_per_frame"):
            assert other[key][0] == pytest.approx(sound[key][0], rel=exact), (name, key)


def test_status_says_it(run: Case) -> None:
    notes = document("status", run.campaign, "--notes")["notes"]
    assert any("a photon makes" in note for note in notes["adu"])
