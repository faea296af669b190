"""Short reconstructions on a few frames: they score starts, and find the defocus and how frames must be turned."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from stxmdist.arrays import C64, F64, Array
from stxmdist.ptychography.geometry import LEAST_OVERLAP, probe_diameter_px, step_px
from stxmdist.ptychography.held_out import predicted_residual, static_residual
from stxmdist.ptychography.probe import probe_from_mean_pattern, propagate
from stxmdist.ptychography.problem import Problem, Reconstruction
from stxmdist.ptychography.reconstruct import Recipe, Step, reconstruct
from stxmdist.ptychography.refinement import PositionOptions
from stxmdist.ptychography.state import ModelOptions, refuse_unless
from stxmdist.ptychography.verdict import shot_noise_residual
from stxmdist.units import wavelength_nm

ORIENTATIONS = ("as read", "y flipped", "x flipped", "both flipped", "swapped", "swapped, y flipped",
                "swapped, x flipped", "swapped, both flipped")  # fmt: skip
"""Ways in which frames may have to be turned, in the order of :func:`turned`."""

HELD_OUT = 8
"""One frame in so many is held out of a trial"""
PROMISING = 3
"""So many defoci go from rough trials to full ones: rough ones rank the best first, or second by a hair"""
FINER = (0.5, 0.25)
"""Shares of the step of the defocus by which the neighbourhood of the best trial is searched, on both sides"""
_TIE = 1.03
"""Residuals within this factor are those of an object and its conjugate."""


@dataclass(frozen=True)
class TrialOptions:
    """How many trials of a start there are, and how long they are."""

    positions: int = 100
    """Number of frames of a trial: those nearest to the middle of the scan"""
    iterations: int = 12
    """Iterations of rPIE in a trial; the probe changes from a third of them on"""
    phase_step_rad: float = 2.5
    """Difference of neighbouring trials, as the phase by defocus at the rim of the aperture"""
    widest: float = 0.8
    """Width of the widest beam that is tried, as share of the window"""

    @property
    def rough(self) -> "TrialOptions":
        """Trials that only rank what is to be tried: half the iterations on half the frames."""
        return replace(self, positions=max(9, self.positions // 2), iterations=max(3, self.iterations // 2))

    def __post_init__(self) -> None:
        refuse_unless(
            self,
            positions=(self.positions >= 9, "at least 9"),
            iterations=(self.iterations >= 3, "at least 3"),
            phase_step_rad=(self.phase_step_rad > 0.0, "above 0"),
            widest=(0.1 <= self.widest <= 1.0, "0.1 to 1"),
        )


@dataclass(frozen=True)
class DefocusScan:
    """Result of the trials of a defocus."""

    defocus_um: float
    """Of the best trial"""
    probe: C64
    """(1, QY, QX) with which the best trial started"""
    tried_um: F64
    """(TRIAL,) ascending, of those that rough trials left"""
    residual: F64
    """(TRIAL,)"""


def find_defocus(
    problem: Problem, focused: C64, pixel_nm: tuple[float, float], energy_ev: float, options: TrialOptions
) -> DefocusScan:
    """The defocus, on either side of the focus, with which a short reconstruction explains the frames best.

    ``focused`` (QY, QX) is the probe in focus: of a zone plate, or of the aperture that the mean frame shows. Trials
    cover every defocus with which the beam still fits its window, so closely that the phases of neighbours differ
    little over the aperture: rough ones first where they are many, then full ones of the best. The neighbourhood of the
    best trial is then searched more finely.
    """
    step_um, most = _steps(focused, pixel_nm, energy_ev, options)
    sample, few = middle(problem, options.positions), middle(problem, options.rough.positions)

    def score(defocus_um: float, of: Problem, options: TrialOptions, least_px: float) -> float:
        wave = propagate(focused, pixel_nm, energy_ev, defocus_um)[None]
        if probe_diameter_px(wave) < least_px:
            return np.inf
        return short_residual(replace(of, probe=wave), options, np.random.default_rng(0))

    places = [number * step_um for number in range(-most, most + 1)]
    # A beam that leaves gaps between neighbours is no start: the scan would be refused by a guess.
    least_px = step_px(sample.positions_px) / (1.0 - LEAST_OVERLAP)
    tried = _tried(places, few, sample, score, options, least_px)
    if np.isinf(min(tried.values())):  # no beam that fits the window closes the gaps
        least_px = 0.0
        tried = _tried(places, few, sample, score, options, least_px)
    for share in FINER:
        middle_um = min(tried, key=lambda place: tried[place])
        for side in (-1.0, 1.0):
            place = middle_um + side * share * step_um
            if place not in tried:
                tried[place] = score(place, sample, options, least_px)
    best = min(tried, key=lambda place: tried[place])
    order = sorted(tried)
    return DefocusScan(
        defocus_um=best,
        probe=propagate(focused, pixel_nm, energy_ev, best)[None],
        tried_um=np.array(order),
        residual=np.array([tried[one] for one in order]),
    )


def _tried(
    places: list[float],
    few: Problem,
    sample: Problem,
    score: Callable[[float, Problem, TrialOptions, float], float],
    options: TrialOptions,
    least_px: float,
) -> dict[float, float]:
    """Full trials of the places that rough ones rank first; of all where they are few."""
    if len(places) > 2 * PROMISING:
        places = sorted(places, key=lambda place: score(place, few, options.rough, least_px))[:PROMISING]
    return {place: score(place, sample, options, least_px) for place in places}


@dataclass(frozen=True)
class OrientationScan:
    """Result of trials of all eight orientations."""

    orientation: int
    """Place in ``ORIENTATIONS`` of the one that explains the frames best"""
    residual: F64
    """(8,)"""

    @property
    def alike(self) -> list[int]:
        """Those that explain the frames as well: the best, and its twin, with the conjugate object."""
        return [int(one) for one in np.flatnonzero(self.residual <= _TIE * self.residual.min())]


def find_orientation(
    problem: Problem, pixel_nm: tuple[float, float], energy_ev: float, options: TrialOptions
) -> OrientationScan:
    """How frames must be turned so that their axes are those of the positions.

    The defocus is searched for every orientation. Frames flipped along both axes are explained as well by the conjugate
    object with the opposite defocus: of such a pair the one nearer to how the frames were read is taken.
    """
    residual = np.zeros(8)
    for orientation in range(8):
        here = with_turned_frames(problem, orientation)
        if here.frames.shape != problem.frames.shape:  # swapped frames that are not square do not fit these positions
            residual[orientation] = np.inf
            continue
        focused = probe_from_mean_pattern(here.frames.mean(axis=0, dtype=np.float64) * here.good)
        residual[orientation] = find_defocus(here, focused, pixel_nm, energy_ev, options).residual.min()
    return OrientationScan(int(np.flatnonzero(residual <= _TIE * residual.min())[0]), residual)


def _steps(focused: C64, pixel_nm: tuple[float, float], energy_ev: float, options: TrialOptions) -> tuple[float, int]:
    """Distance of neighbouring trials in um, and how many there are on each side of the focus."""
    n = min(focused.shape)
    pixel = max(pixel_nm)
    power = np.abs(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(focused)))) ** 2
    rows, columns = np.indices(power.shape)
    radius = np.hypot(rows - power.shape[0] // 2, columns - power.shape[1] // 2)
    order = np.argsort(radius, axis=None)
    reached = np.cumsum(power.ravel()[order]) / power.sum()
    rim = radius.ravel()[order][int(np.searchsorted(reached, 0.9))] / (n * pixel)  # spatial frequency, 1 / nm
    wavelength = wavelength_nm(energy_ev)
    step_nm = options.phase_step_rad / (np.pi * wavelength * rim**2)
    return step_nm * 1e-3, defoci_on_a_side(rim * n * pixel, options)


def defocus_passes(rim_px: float, positions: int, options: TrialOptions) -> int:
    """Passes over single frames that :func:`find_defocus` makes, for an aperture of a radius in detector pixels."""
    places = 1 + 2 * defoci_on_a_side(rim_px, options)
    rough, full = (0, places) if places <= 2 * PROMISING else (places, PROMISING)
    return sum(
        count * min(trials.positions, positions) * trials.iterations
        for count, trials in ((rough, options.rough), (full + 2 * len(FINER), options))
    )


def defoci_on_a_side(rim_px: float, options: TrialOptions) -> int:
    """How many defoci are tried on each side of the focus, for an aperture of a radius in detector pixels."""
    # A beam at a defocus is as wide as the defocus times twice the rim's angle: the widest one fills its window.
    return max(1, int(options.widest * np.pi * rim_px / (2.0 * options.phase_step_rad)))


def middle(problem: Problem, count: int) -> Problem:
    """The positions nearest to the middle of the scan, on the smallest object that holds their windows."""
    return middle_with_corner(problem, count)[0]


def middle_with_corner(problem: Problem, count: int) -> tuple[Problem, tuple[int, int]]:
    """As ``middle``, and where the first pixel (row, column) of its object lies on that of the problem."""
    places = problem.positions_px
    distance = np.hypot(*(places - np.median(places, axis=0)).T)
    index = np.sort(np.argsort(distance, kind="stable")[:count])
    chosen = problem.subset(index)
    corner = np.floor(chosen.positions_px.min(axis=0))
    last = np.ceil(chosen.positions_px.max(axis=0)) + np.array(problem.frames.shape[1:]) + 1
    shape = (last - corner).astype(int)
    part = replace(
        chosen, positions_px=chosen.positions_px - corner, object_shape=(int(shape[0]), int(shape[1])), object0=None
    )
    return part, (int(corner[0]), int(corner[1]))


def short_residual(problem: Problem, options: TrialOptions, rng: np.random.Generator) -> float:
    """Amplitude residual after a short reconstruction."""
    return short_reconstruction(problem, options, rng).residual


def short_reconstruction(
    problem: Problem, options: TrialOptions, rng: np.random.Generator, n_modes: int = 1
) -> Reconstruction:
    """Some iterations with the first modes of the start, and positions as they are."""
    recipe = Recipe(
        (Step("rpie", options.iterations),),
        ModelOptions(n_modes=n_modes, modes_from=0.0, probe_from=0.3),
        PositionOptions(refine=False),
    )
    return reconstruct(problem, recipe, rng)


def with_turned_frames(problem: Problem, orientation: int) -> Problem:
    """The problem with its frames, and what is known of their pixels, turned in one of the ways of ``ORIENTATIONS``."""
    least = problem.at_least
    return replace(
        problem,
        frames=turned(problem.frames, orientation),
        good=turned(problem.good, orientation),
        at_least=None if least is None else turned(least, orientation),
    )


def turned(frames: Array, orientation: int) -> Array:
    """Frames (..., QY, QX), zero frequency at the centre, turned in one of the eight ways of ``ORIENTATIONS``."""
    if orientation & 4:
        frames = np.swapaxes(frames, -1, -2)
    for bit, axis in ((1, -2), (2, -1)):
        if orientation & bit:
            # With an even number of pixels, the centre n // 2 is not the middle: the roll leaves it where it is.
            frames = np.flip(frames, axis)
            if frames.shape[axis] % 2 == 0:
                frames = np.roll(frames, 1, axis)
    return frames


def trial_score(problem: Problem, options: TrialOptions) -> float:
    """Share of the frames' own variation that a short reconstruction does not predict in frames held out of it.

    Right starts leave .05 to .3, wrong ones, and right ones of frames that do not belong to their positions, .4 to 1.5.
    Where no frame can be held out, it is the share that the frames leave which took part.
    """
    sample = middle(problem, options.positions)
    numbers = np.arange(len(sample.frames))
    out = numbers % HELD_OUT == HELD_OUT // 2
    found = short_reconstruction(sample.subset(numbers[~out]), options, np.random.default_rng(0))
    residual = predicted_residual(sample.subset(numbers[out]), found)
    noise = shot_noise_residual(sample.frames, sample.good, sample.readings.readout, sample.at_least)
    varied = static_residual(sample.frames, sample.good, sample.at_least) ** 2 - noise**2
    left = (residual if np.isfinite(residual) else found.residual) ** 2 - noise**2
    return left / varied if varied > 0.0 else 0.0
