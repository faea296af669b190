"""A small made-up measurement: a structured object under a defocused zone plate, frames by plain double FFT."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from stxmdist.arrays import C128, F64, Array
from stxmdist.ptychography import gauge
from stxmdist.ptychography.probe import zone_plate_probe
from stxmdist.ptychography.problem import Problem, Reconstruction
from stxmdist.ptychography.reconstruct import Recipe, Step, reconstruct
from stxmdist.ptychography.refinement import PositionOptions
from stxmdist.ptychography.state import ModelOptions

FIXED = PositionOptions(refine=False)
"""Positions are left where they are; what else is unknown is looked for as by default"""


@dataclass(frozen=True)
class Measurement:
    problem: Problem
    object_: C128
    probe: C128
    """(MODE, QY, QX), sum of squares = counts of a frame"""

    def object_error(self, found: Reconstruction, inset: int = 0) -> float:
        """Rms of the complex difference where the light is, after scale, phase offset and ramp; 1 is vacuum."""
        light = found.illumination
        weight = (light > 0.5 * np.median(light[light > 0])).astype(float)
        same = gauge.remove_ramp(found.object_, self.object_, weight)
        return float(np.sqrt(np.mean(np.abs(same - self.object_)[weight > 0] ** 2)))

    def again(
        self,
        *,
        object_: Array | None = None,
        probes: Array | None = None,
        intensity: F64 | float = 1.0,
        background: F64 | float = 0.0,
        seed: int = 1,
    ) -> "Measurement":
        """The same scan with Poisson noise of another object, a probe (POSITION, MODE, QY, QX) for each position,
        light of other intensity (POSITION,) or a background (QY, QX).
        """
        places = self.problem.positions_px
        object_ = self.object_ if object_ is None else object_
        lights = [self.probe] * len(places) if probes is None else probes
        frames = np.stack([frame_of(object_, light, place) for light, place in zip(lights, places, strict=True)])
        level = np.broadcast_to(intensity, (len(places),))[:, None, None]
        counts = np.random.default_rng(seed).poisson(frames * level + background)
        return replace(self, problem=replace(self.problem, frames=counts.astype(np.uint32)), object_=object_)


def structured_object(shape: tuple[int, int], seed: int = 3) -> C128:
    """Blots of absorption and phase on vacuum, smooth over two pixels."""
    rng = np.random.default_rng(seed)
    blots = gaussian_filter(rng.normal(size=shape), 2.5)
    blots = np.clip(blots / blots.std(), 0.0, 2.0)
    return np.exp(-(0.25 + 0.4j) * gaussian_filter(blots, 1.0))


def measure(
    *,
    n: int = 32,
    defocus_um: float = 3.0,
    outer_zone_nm: float = 60.0,
    side: int = 9,
    step: float = 4.0,
    modes: int = 1,
    second_power: float = 0.2,
    counts: float | None = None,
    whole: bool = True,
    defocus_error: float = 0.0,
    hooded: bool = False,
    seed: int = 0,
) -> Measurement:
    """Frames of ``side`` x ``side`` jittered positions; Poisson noise if counts are given, else noiseless."""
    rng = np.random.default_rng(seed)
    places = np.indices((side, side)).reshape(2, -1).T * step + rng.uniform(-1.3, 1.3, (side * side, 2)) + 2.0
    if whole:
        places = np.round(places)
    shape = (int(side * step) + n + 3, int(side * step) + n + 5)
    object_ = structured_object(shape)

    def beam(distance_um: float) -> C128:
        return (
            zone_plate_probe(
                (n, n), 10.0, 700.0, outer_zone_nm=outer_zone_nm, central_stop_fraction=0.3, defocus_um=distance_um
            ).astype(np.complex128)
            * hood
        )

    # Without a hood the tails of so small a window run out on one side and, in a discrete transform, in on the other.
    # Whole positions do not mind.
    hood = np.exp(-0.5 * (np.hypot(*(np.indices((n, n)) - n // 2)) / (0.27 * n)) ** 4) if hooded else 1.0
    first = beam(defocus_um)
    first /= np.linalg.norm(first)
    probe = first[None]
    if modes == 2:
        second = np.gradient(first, axis=1)
        second -= np.vdot(first, second) * first
        second /= np.linalg.norm(second)
        probe = np.stack([np.sqrt(1 - second_power) * first, np.sqrt(second_power) * second])
    level = 1e6 if counts is None else counts
    probe = probe * np.sqrt(level)
    frames = np.stack([frame_of(object_, probe, place) for place in places])
    taken = frames.astype(np.float32) if counts is None else rng.poisson(frames).astype(np.uint32)
    start = beam(defocus_um * (1.0 + defocus_error))[None]
    problem = Problem(taken, np.ones((n, n), bool), places, start.astype(np.complex64), shape)
    return Measurement(problem, object_, probe)


def frame_of(object_: C128, probe: C128, place: F64) -> F64:
    """One frame, zero frequency at the centre; the probe moves by fractions through the phase of its spectrum."""
    n = probe.shape[-1]
    corner = np.floor(place).astype(int)
    fy, fx = np.meshgrid(np.fft.fftfreq(n), np.fft.fftfreq(n), indexing="ij")
    ramp = np.exp(-2j * np.pi * (fy * (place[0] - corner[0]) + fx * (place[1] - corner[1])))
    moved = np.fft.ifft2(np.fft.fft2(probe) * ramp)
    window = object_[corner[0] : corner[0] + n, corner[1] : corner[1] + n]
    field = np.fft.fft2(moved * window, norm="ortho")
    return np.fft.fftshift((np.abs(field) ** 2).sum(axis=0))


def run(
    problem: Problem, *steps: Step, seed: int = 0, positions: PositionOptions = FIXED, n_modes: int = 1,
    threads: int = 1, **model: Any,
) -> Reconstruction:  # fmt: skip
    """Reconstruct by some engines in a row, one mode and positions as they are unless told; no steps: the defaults."""
    recipe = Recipe(steps or Recipe().schedule, ModelOptions(n_modes=n_modes, **model), positions)
    return reconstruct(problem, recipe, np.random.default_rng(seed), threads=threads)


@pytest.fixture(scope="session")
def measurement() -> Callable[..., Measurement]:
    return measure


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    # Plans found in tests are no business of the user's.
    patch = pytest.MonkeyPatch()
    patch.setenv("STXMDIST_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture
def siemens(shared_data: Path) -> Path:
    path = shared_data / "ptychography" / "aps-siemens-star.cxi"
    if not path.exists():
        pytest.skip("the Siemens star is not in ../shared/data")
    return path
