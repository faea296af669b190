"""Unknowns found between iterations, object and probe held fixed: positions, intensities, background, variation."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter

from stxmdist.arrays import C64, F32, F64, Mask, Real, namespace_of, numpy_of
from stxmdist.ptychography.correlation import SIGNIFICANCE
from stxmdist.ptychography.kernels.fourier import inside
from stxmdist.ptychography.kernels.sweep import Observations, Sweep
from stxmdist.ptychography.light import in_other_light
from stxmdist.ptychography.probe import VACUUM, power_with
from stxmdist.ptychography.state import ModelOptions, State, refuse_unless

WORSE = 1.1
"""Positions are taken back to those of the smallest error once the error exceeds it by this factor."""

COARSE = 0.3
"""Share of the refinement that uses correlation, where that is asked for"""

SETTLED = 0.5
"""Share of all iterations after which the model tells whether the light of frames is unsteady"""
SHARED_MOMENTUM = 0.8
"""Momentum of the linear map that all corrections have in common."""


@dataclass(frozen=True)
class PositionOptions:
    """How the positions of the file are corrected."""

    refine: bool = True
    """Whether they are corrected"""
    method: Literal["gradient", "correlation"] = "gradient"
    """By slopes (gradient); or first by correlation, which also finds errors wider than the details of the object, and
    then by slopes, which are finer
    """
    start: float = 0.2
    """Share of all iterations after which they are corrected"""
    every: int = 2
    """Iterations from one correction to the next"""
    step_limit_px: float = 1.0
    """Largest move of a position in one correction"""
    limit_px: float = 10.0
    """Largest distance of a position from where the file has it"""
    momentum: float = 0.5
    """Share of the last correction that is added to each correction"""
    linear: Literal["remove", "keep"] = "keep"
    """Whether a scale, rotation or shear that all corrections have in common is removed or kept"""
    trusted_px: float = 0.5
    """How exact the positions of the file are, about. Corrections that are small beside it are drawn back most. Where
    frames determine a position they win; where they do not (object and positions can drift together where particles
    stand apart), the file does
    """
    jitter_px: float = 0.0
    """Rms of random moves of all positions before the first iteration, against the periodic patterns that a raster
    favours; refinement brings them back
    """

    def __post_init__(self) -> None:
        refuse_unless(
            self,
            method=(self.method in ("gradient", "correlation"), "gradient or correlation"),
            start=(0.0 <= self.start < 1.0, "0 or more, below 1"),
            every=(self.every >= 1, "at least 1"),
            step_limit_px=(self.step_limit_px > 0.0, "above 0"),
            limit_px=(0.0 < self.limit_px <= 100.0, "above 0, at most 100"),
            linear=(self.linear in ("remove", "keep"), "remove or keep"),
            trusted_px=(self.trusted_px >= 0.0, "0 or more"),
            momentum=(0.0 <= self.momentum < 1.0, "0 or more, below 1"),
            jitter_px=(
                self.jitter_px == 0.0 or (self.refine and 0.0 < self.jitter_px <= self.limit_px / 4.0),
                "0, or with refinement at most a quarter of limit_px",
            ),
        )

    @property
    def margin_px(self) -> int:
        """Margin of the object on every side: positions may move, and slopes use one pixel beyond the window."""
        return int(np.ceil(self.limit_px)) + 2 if self.refine else 0


class Refinement:
    """Finds the unknowns beside object and probe, from the first iteration of a reconstruction to its last."""

    def __init__(
        self,
        state: State,
        model: ModelOptions,
        positions: PositionOptions,
        rng: np.random.Generator,
        *,
        limits: bool = False,
    ) -> None:
        self.model, self.positions, self.limits = model, positions, limits
        self._vacuum_counts: float | None = None
        self._looked = False
        self.lit_anew = np.full(len(state.intensity), model.intensities is True) | (state.intensity != 1.0)
        self.start_px = state.positions_px.copy()
        self.affine = np.zeros((2, 2))
        self._run, self._common = np.zeros_like(self.start_px), np.zeros_like(self.start_px)
        self._best: tuple[F64, float] = (self.start_px, np.inf)
        self.gave_up = False
        self._sketch = rng.normal(size=(len(self.start_px), model.n_variations)).astype(np.float32)
        if positions.jitter_px:
            jitter = rng.normal(0.0, positions.jitter_px / np.sqrt(2.0), self.start_px.shape)
            state.place(self.start_px + limited(jitter, positions.limit_px))

    def due(self, iteration: int, progress: float) -> bool:
        """Whether unknowns are found after this iteration (counted from 0), at this share of all iterations."""
        model, positions = self.model, self.positions
        wanted = (
            (positions.refine and not self.gave_up)
            or self.lit_anew.any()
            or (self.model.intensities is None and not self._looked and progress >= SETTLED)
            or model.background
            or model.n_variations > 0
            or self.limits
        )
        return wanted and progress >= positions.start and iteration % positions.every == 0

    def review(self, state: State) -> None:
        """Take positions back, and leave them alone from here on, if frames fit worse since they are corrected.

        This happens where the probe is cut off by its window: moved by a fraction of a pixel it is not quite the same.
        """
        if state.error <= self._best[1]:
            self._best = (state.positions_px.copy(), state.error)
        elif self.positions.refine and not self.gave_up and state.error > WORSE * self._best[1]:
            state.place(self._best[0])
            self.gave_up = True

    def resume(self, state: State, gave_up: bool, affine: F64) -> None:
        """Go on from a state that was kept in a file."""
        self._best, self.gave_up, self.affine = (state.positions_px.copy(), state.error), gave_up, affine

    def forget(self) -> None:
        """Errors from here on cannot be compared with those before, because the model has changed."""
        self._best = (self._best[0], np.inf)

    def apply(self, sweep: Sweep, state: State, progress: float) -> None:
        """Look at all frames and correct the unknowns, at this share of all iterations."""
        seen = sweep.observe(state, state.shares if state.shares.any() else self._sketch)
        if self.limits:
            # The sums of frames do not tell, where saturated pixels are only known as limits.
            self._vacuum_counts = float(np.quantile(seen.expected_counts, VACUUM))
        if self.model.intensities is None and progress >= SETTLED:
            self.lit_anew |= in_other_light(seen.measured_counts, seen.expected_counts * state.intensity)
            self._looked = True
        if self.lit_anew.any():
            ratio = seen.measured_counts / np.maximum(seen.expected_counts, 1e-9)
            # Frames in even light keep it: the others are measured against theirs.
            even = np.ones_like(ratio) if self.lit_anew.all() else ~self.lit_anew
            ratio = (ratio / np.average(ratio, weights=even)).clip(0.02, 50.0)
            state.intensity = np.where(self.lit_anew, ratio, 1.0).astype(np.float32)
        if self.model.background:
            found = np.maximum(numpy_of(state.background) + seen.surplus, 0.0)
            even = smoothed(found, seen.certainty * sweep.good, self.model.background_smooth_px) * sweep.good
            state.background = namespace_of(state.background).asarray(even)
        if self.model.n_variations and not self.model.freeze_probe:
            self._vary(state, seen)
        if self.positions.refine and not self.gave_up:
            options = self.positions
            coarse = options.method == "correlation" and progress < options.start + COARSE * (1.0 - options.start)
            step = sweep.correlate(state, options.limit_px) if coarse else shifts(seen.normal, sweep.good.size)
            self._move(state, step)

    def power_of(self, state: State, good: Mask, by_sums: float) -> float:
        """Power that the probe is to have: as the frames' sums say, or the model where these are but limits."""
        if self._vacuum_counts is None:
            return by_sums
        return power_with(self._vacuum_counts, good, inside(numpy_of(state.probe)))

    def _move(self, state: State, step: F64) -> None:
        options = self.positions
        # Of a scale, rotation or shear common to all, each correction finds only a part: momentum adds them up.
        places = self.start_px - self.start_px.mean(axis=0)
        common = places @ linear_part(self.start_px, step)[1].T
        self._common = SHARED_MOMENTUM * self._common + common
        self._run = options.momentum * self._run + step - common
        move = limited(self._run + self._common, options.step_limit_px)
        moved = state.positions_px - self.start_px
        moved = limited((1.0 - drawn_back(moved, options.trusted_px)) * moved + move, options.limit_px)
        shift, self.affine = linear_part(self.start_px, moved)
        centred = self.start_px - self.start_px.mean(axis=0)
        moved = moved - shift - (centred @ self.affine.T if options.linear == "remove" else 0.0)
        state.place(self.start_px + moved)

    def _vary(self, state: State, seen: Observations) -> None:
        xp = namespace_of(state.probe)
        variations, shares, count = inside(numpy_of(state.variations)), state.shares, len(state.shares)
        brightness = np.maximum(seen.brightness, 0.01 * seen.brightness.max())
        if not variations.any():
            # Random combinations of what all positions ask of the probe span its largest variations.
            found = inside(seen.gathered) / (count * brightness)
        else:
            along, norm = seen.variation[:, 0::2], seen.variation[:, 1::2]
            found = np.asarray(variations)
            if shares.any():
                power = np.maximum((shares.astype(np.float64) ** 2).mean(axis=0), 1e-12)[:, None, None]
                found = variations + 0.5 * inside(seen.gathered) / (count * brightness * power)
            shares = np.asarray(shares + 0.5 * along / np.maximum(norm, 1e-12), np.float32)
        first = inside(numpy_of(state.probe))[0]
        turn = 1j * first / np.linalg.norm(first)  # a phase common to a whole frame cannot be seen
        found = found - turn * np.array([np.vdot(turn, one).real for one in found])[:, None, None]
        found_shares, found, mean = principal(shares, found)
        inside(state.probe)[0] += xp.asarray(mean)
        inside(state.variations)[...] = xp.asarray(found)
        state.shares = found_shares.astype(np.float32)
        state.place(state.positions_px)


def shifts(normal: F64, n_pixels: int, significance: float = SIGNIFICANCE) -> F64:
    """Shifts (POSITION, 2) in pixels by which windows should move, shrunk by the share that chance could explain.

    A shift lessens the sum of squares by g; by chance it would by about 2 tt / n. It is multiplied by 1 - s tt / (n g),
    or set to zero if that is negative: in empty places noise would move positions, and the object would follow.

    Parameters
    ----------
    normal
        (POSITION, 6) normal equations of each position: yy, yx, xx, ty, tx, and the remaining sum of squares, tt
    n_pixels
        of a window
    """
    yy, yx, xx, ty, tx, tt = normal.T
    floor = 1e-3 * (yy + xx) + 1e-12
    a, c = yy + floor, xx + floor
    determinant = a * c - yx * yx
    found = np.stack([(c * ty - yx * tx) / determinant, (a * tx - yx * ty) / determinant], axis=1)
    gain = np.maximum(found[:, 0] * ty + found[:, 1] * tx, 1e-30)
    share = np.maximum(0.0, 1.0 - significance * tt / (n_pixels * gain))
    return np.asarray(found * share[:, None])


def limited(moves: F64, limit: float) -> F64:
    """Moves (POSITION, 2), those longer than the limit shortened to it."""
    length = np.hypot(moves[:, 0], moves[:, 1])[:, None]
    return np.asarray(moves * np.minimum(1.0, limit / np.maximum(length, 1e-12)))


def drawn_back(moves: F64, trusted_px: float) -> float:
    """Share by which moves (POSITION, 2) in pixels are drawn back: 0.1 where they are as large as is trusted, at most
    0.3.
    """
    square = float((moves**2).sum(axis=1).mean())
    return min(0.3, 0.1 * trusted_px**2 / max(square, 1e-12))


def smoothed(values: F32, weight: F32, width_px: float) -> F32:
    """Values (QY, QX), zero frequency at [0, 0], averaged by a Gaussian with the weights that each has."""
    if width_px == 0.0:
        return values
    top, bottom = (gaussian_filter(part, width_px, mode="wrap") for part in (values * weight, weight))
    return np.asarray(top / np.maximum(bottom, 1e-12), np.float32)


def linear_part(places: F64, moves: F64) -> tuple[F64, F64]:
    """Shift (2,) and matrix (2, 2) that moves (POSITION, 2) have in common, about the centre of their places."""
    terms = np.column_stack([np.ones(len(places)), places - places.mean(axis=0)])
    found = np.linalg.lstsq(terms, moves, rcond=None)[0]
    return found[0], found[1:].T


def principal(shares: Real, variations: C64) -> tuple[F64, C64, C64]:
    """The same variation of the probe by orthogonal patterns, strongest first, and its mean, subtracted.

    Parameters
    ----------
    shares : (POSITION, VARIATION) real; variations : (VARIATION, QY, QX) complex

    Returns
    -------
    shares (POSITION, VARIATION), mean square 1 or 0; variations; the mean (QY, QX)
    """
    count, shape = len(variations), variations.shape[1:]
    flat = np.ascontiguousarray(variations, np.complex64).reshape(count, -1).view(np.float32).astype(np.float64)
    mean = shares.mean(axis=0)
    patterns, mixing = np.linalg.qr(flat.T)  # flat.T = patterns @ mixing
    left, size, right = np.linalg.svd((shares - mean) @ mixing.T, full_matrices=False)
    used = size > 1e-9 * max(size.max(), 1e-30)
    root = np.sqrt(len(shares))
    if not used.any():  # not yet: patterns of one size, to begin with
        return np.zeros_like(shares, np.float64), _complex(patterns.T, shape), _complex(mean @ flat, shape)
    rotated = (patterns @ right.T).T * np.where(used, size / root, 1e-6)[:, None]
    return left * root * used, _complex(rotated, shape), _complex(mean @ flat, shape)


def _complex(flat: F64, shape: tuple[int, ...]) -> C64:
    return np.ascontiguousarray(flat, np.float32).view(np.complex64).reshape(*flat.shape[:-1], *shape)
