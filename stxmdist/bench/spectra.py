"""How fast this machine fits spectra, compared with the loop over pixels that beamlines run today."""

import time
from dataclasses import dataclass, replace

import numpy as np

from stxmdist.arrays import F32, F64
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.spectra.end_members.design_matrix import design_matrix, design_slope
from stxmdist.spectra.end_members.dispersion import phase_per_nm
from stxmdist.spectra.fitters.contract import FITTERS, FitContext, FitOptions

COUNTS = 100.0


@dataclass(frozen=True)
class FitTiming:
    """One way of fitting one stack, timed."""

    name: str
    seconds: float
    """Time for the whole stack, the shortest of all rounds"""
    core_seconds: float
    """CPU time of all threads, the shortest of all rounds; ``seconds`` also contains delays by other programs"""
    threads: int
    measured_pixels: int
    pixels: int
    """Pixels of the stack; if fewer were measured, seconds are extrapolated"""
    largest_difference: float
    """From the exact non-negative fit of this package, in optical density; NaN for other estimators"""

    @property
    def spectra_per_second(self) -> float:
        """Pixels fitted in a second."""
        return self.pixels / self.seconds


def fit_timings(
    rng: np.random.Generator,
    n_energies: int = 100,
    side_px: int = 512,
    loop_pixels: int | None = 4000,
    threads: tuple[int, ...] = (1,),
    rounds: int = 1,
) -> tuple[FitTiming, ...]:
    """Seconds to fit an LFP stack (n_energies, side, side) with each fitter and number of threads, and in a scipy loop.

    The fitters give coefficients, covariance and chi-square; the loop with scipy's nnls gives only the coefficients of
    the same weighted problem. It is timed over the whole stack if ``loop_pixels`` is None, and otherwise extrapolated
    from so many evenly spread pixels. Compilation is not included.
    """
    made = simulated_stack(rng, n_energies, side_px * side_px)
    transmission, counts, design = made.transmission, made.counts, made.design
    timings = []
    exact: F32 | None = None
    for name in FITTERS:
        fit = FITTERS[name].load()
        few = replace(made.context, phase=made.context.phase[:, :256])  # type: ignore[index]
        fit(transmission[:, :256], counts, design, FitOptions(), few)
        least = dict.fromkeys(threads, (float("inf"), float("inf")))
        for _ in range(rounds):
            for number in threads:
                context = replace(made.context, threads=number)
                start, core_start = time.perf_counter(), time.process_time()
                result = fit(transmission, counts, design, FitOptions(), context)
                took = time.perf_counter() - start, time.process_time() - core_start
                least[number] = min(least[number][0], took[0]), min(least[number][1], took[1])
        if name == "nnls":
            exact = result.coefficients
        timings += [FitTiming(name, *s, number, side_px**2, side_px**2, float("nan")) for number, s in least.items()]
    assert exact is not None
    timings.append(_scipy_loop(transmission, design, exact, loop_pixels))
    return tuple(timings)


@dataclass(frozen=True, eq=False)
class SimulatedStack:
    """A simulated stack in the form that all fitters take."""

    transmission: F32
    """(ENERGY, PIXEL) float32 with Var(T) = T / counts"""
    counts: F64
    """(ENERGY,) effective counts at T = 1"""
    design: F64
    """(ENERGY, TERM) optical density per nm"""
    context: FitContext


def simulated_stack(rng: np.random.Generator, n_energies: int, n_pixels: int, counts: float = COUNTS) -> SimulatedStack:
    """Transmission and phase of LFP with shot noise; half of the pixels are background, as on a sparse grid."""
    end_members = CHEMISTRIES["LFP"].load().end_members()
    energy = np.linspace(700.0, 735.0, n_energies)
    design, phase_design = design_matrix(end_members, energy), phase_per_nm(end_members, energy).T
    total = np.where(rng.random(n_pixels) < 0.5, 0.0, rng.uniform(50.0, 200.0, n_pixels))
    soc = rng.random(n_pixels)
    thickness = np.stack([total * (1.0 - soc), total * soc]).astype(np.float32)
    transmission = np.empty((len(design), n_pixels), np.float32)
    phase = np.empty_like(transmission)
    for k, row in enumerate(design.astype(np.float32)):
        mean = np.exp(-row @ thickness)
        transmission[k] = rng.poisson(counts * mean) / counts
        phase[k] = phase_design[k].astype(np.float32) @ thickness
        phase[k] += rng.standard_normal(n_pixels, np.float32) / np.sqrt(4.0 * counts * mean)
    context = FitContext(energy, None, design_slope(end_members, energy), phase, phase_design)
    return SimulatedStack(transmission, np.full(n_energies, counts), design, context)


def _scipy_loop(transmission: F32, design: F64, exact: F32, loop_pixels: int | None) -> FitTiming:
    from scipy.optimize import nnls

    n_pixels = transmission.shape[1]
    n_sampled = n_pixels if loop_pixels is None else min(loop_pixels, n_pixels)
    chosen = np.linspace(0, n_pixels - 1, n_sampled).astype(np.int64)
    found = np.empty((n_sampled, design.shape[1]))
    start, core_start = time.perf_counter(), time.process_time()
    for k, p in enumerate(chosen):
        seen = transmission[:, p].astype(np.float64)
        weight = np.sqrt(COUNTS * seen)
        od = -np.log(np.maximum(seen, 1e-30))
        found[k], _ = nnls(design * weight[:, None], od * weight)
    seconds = (time.perf_counter() - start) * n_pixels / n_sampled
    core_seconds = (time.process_time() - core_start) * n_pixels / n_sampled
    difference = np.abs((found.T - exact[:, chosen]) * np.abs(design).max(axis=0)[:, None])
    return FitTiming("scipy nnls, loop", seconds, core_seconds, 1, n_sampled, n_pixels, float(difference.max()))
