"""A similarity between two images refined on their pixels: shift, rotation and scale with free gain and offset."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F64, Mask, Real
from stxmdist.crossmodal.transform import Axes

MOST_STEPS = 25
"""Of Levenberg and Marquardt: what has not converged then has nothing to converge to"""

LEAST_PIXELS = 16
"""Pixels that must be known in both images"""


@dataclass(frozen=True)
class Believed:
    """What is thought likely of the transform before the images are seen."""

    rotation_sd_deg: float
    scale_sd: float


class SimilarityFit:
    """Least squares of ``fixed = offset + gain * moving(transformed)``: shift y, x (um), rotation (rad), log scale."""

    def __init__(
        self, fixed: Real, fixed_axes: Axes, moving: Real, moving_axes: Axes, centre: F64, pitch_um: float
    ) -> None:
        self._fixed_axes, self._moving_axes, self._centre, self._pitch_um = fixed_axes, moving_axes, centre, pitch_um
        self._fixed = np.asarray(fixed, dtype=np.float64)
        known = np.isfinite(moving)
        filled = np.where(known, moving, moving[known].mean())
        self._spline = np.asarray(ndimage.spline_filter(filled, order=3, mode="nearest"))
        self._known = None if known.all() else known.astype(np.float64)
        self._grid = np.meshgrid(*fixed_axes, indexing="ij")

    def refine(self, start: F64, believed: Believed) -> tuple[F64, float]:
        """Parameters and correlation after Levenberg-Marquardt steps that never lower the latter.

        The correlation is NaN where the images do not overlap.
        """
        best, state = np.asarray(start, dtype=np.float64), self._residual(start)
        prior = np.array([0.0, 0.0, np.radians(believed.rotation_sd_deg) ** -2, believed.scale_sd**-2])
        damping = 1e-3
        for _ in range(MOST_STEPS):
            if state is None:
                return best, float("nan")
            residual, jacobian, score = state
            variance = max(float(residual @ residual) / residual.size, 1e-12)
            curvature = jacobian.T @ jacobian / variance
            gradient = jacobian.T @ residual / variance - prior * best
            step = np.linalg.solve(curvature + np.diag(prior + damping * np.diag(curvature) + 1e-12), gradient)
            trial = self._residual(best + step)
            if trial is not None and trial[2] >= score - 1e-12:
                best, state, damping = best + step, trial, damping / 5.0
                if np.hypot(step[0], step[1]) < 1e-3 * self._pitch_um and np.abs(step[2:]).max() < 1e-5:
                    break
            else:
                damping *= 8.0
                if damping > 1e6:
                    break
        return best, float("nan") if state is None else state[2]

    def _moving(self, y_um: F64, x_um: F64) -> F64:
        row = (y_um - self._moving_axes[0][0]) / (self._moving_axes[0][1] - self._moving_axes[0][0])
        column = (x_um - self._moving_axes[1][0]) / (self._moving_axes[1][1] - self._moving_axes[1][0])
        out = ndimage.map_coordinates(self._spline, [row, column], order=3, mode="nearest", prefilter=False)
        return np.asarray(np.where(self._inside(row, column), out, np.nan))

    def _inside(self, row: F64, column: F64) -> Mask:
        last_row, last_column = self._spline.shape[0] - 1, self._spline.shape[1] - 1
        inside = (row >= 0) & (row <= last_row) & (column >= 0) & (column <= last_column)
        if self._known is not None:
            inside &= ndimage.map_coordinates(self._known, [row, column], order=1, mode="nearest") > 0.999
        return np.asarray(inside)

    def _residual(self, parameters: F64) -> tuple[F64, F64, float] | None:
        """(PIXEL,) residual, (PIXEL, 4) Jacobian with gain and offset projected out, and correlation."""
        v, u = _unmoved(parameters, self._centre, *self._grid)
        # Most of a wide field lies far from the moving one.
        edges = [(axis[0] - self._pitch_um, axis[-1] + self._pitch_um) for axis in self._moving_axes]
        near = (v >= edges[0][0]) & (v <= edges[0][1]) & (u >= edges[1][0]) & (u <= edges[1][1])
        near &= np.isfinite(self._fixed)
        v, u, wanted = v[near], u[near], self._fixed[near]
        values = self._moving(v, u)
        known = np.isfinite(values)
        v, u, wanted, values = v[known], u[known], wanted[known], values[known]
        if values.size < LEAST_PIXELS or values.std() == 0 or wanted.std() == 0:
            return None
        flat, wanted = values - values.mean(), wanted - wanted.mean()
        gain = float(flat @ wanted / (flat @ flat))
        step = 0.1 * self._pitch_um
        along_v = (self._moving(v + step, u) - self._moving(v - step, u)) / (2.0 * step)
        along_u = (self._moving(v, u + step) - self._moving(v, u - step)) / (2.0 * step)
        along_v, along_u = (np.nan_to_num(part) * gain for part in (along_v, along_u))
        cosine, sine, shrink = np.cos(parameters[2]), np.sin(parameters[2]), np.exp(-parameters[3])
        v, u = v - self._centre[0], u - self._centre[1]
        # The point that lands on a fixed pixel moves against the transform.
        jacobian = np.stack(
            [
                -shrink * (cosine * along_v - sine * along_u),
                -shrink * (sine * along_v + cosine * along_u),
                u * along_v - v * along_u,
                -(v * along_v + u * along_u),
            ],
            axis=1,
        )
        basis = np.linalg.qr(np.stack([np.ones(flat.size), flat], axis=1))[0]
        jacobian -= basis @ (basis.T @ jacobian)
        score = float(flat @ wanted / np.sqrt((flat @ flat) * (wanted @ wanted)))
        return wanted - gain * flat, jacobian, score


def _unmoved(parameters: F64, centre: F64, y: Real, x: Real) -> tuple[F64, F64]:
    """Moving coordinates of fixed ones."""
    shrink = np.exp(-parameters[3])
    cosine, sine = shrink * np.cos(parameters[2]), shrink * np.sin(parameters[2])
    dy, dx = y - centre[0] - parameters[0], x - centre[1] - parameters[1]
    return np.asarray(cosine * dy + sine * dx + centre[0]), np.asarray(-sine * dy + cosine * dx + centre[1])
