"""Places a ptychography image on an STXM image: resolution is matched, the shift searched, a similarity refined."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F64, Mask, Real
from stxmdist.crossmodal.correlation import Peak, best_placement, masked_correlation
from stxmdist.crossmodal.psf import blur_optical_density
from stxmdist.errors import InputError
from stxmdist.pixel_pitch import pitch_yx_um

Axes = tuple[F64, F64]
"""(y_um (Y,), x_um (X,)): coordinates of pixel centres, ascending, evenly spaced"""


LEAST_ERROR_PX = 0.05
"""No position is known better than this fraction of a pixel of the fixed image, because the point spread function and
the sampling are not modelled better.
"""


@dataclass(frozen=True)
class RegisterOptions:
    """How far to search, how much to believe the stages, and when to refuse."""

    search_um: float = 2.0
    """Radius of the search around the stage coordinates."""
    maximum_rotation_deg: float = 5.0
    """A placement that is rotated by more is refused."""
    maximum_scale_error: float = 0.05
    """A placement whose scale differs by more than this share is refused."""
    rotation_sd_deg: float = 2.0
    """Standard deviation of the rotation between the two stages: a weak prior, for fields with one particle."""
    scale_sd: float = 0.02
    """Standard deviation of the scale of one stage over that of the other, as a prior."""
    least_overlap: float = 0.5
    """Fraction of the moving image that must fall on known pixels of the fixed one."""
    least_score: float = 0.6
    """A placement whose images correlate less is refused."""
    least_lead: float = 0.05
    """The best placement must score this much more than any other more than a micrometre away."""
    least_contrast: float = 0.05
    """Standard deviation of optical density in the overlap below which there is nothing to register."""
    maximum_error_px: float = 1.0
    """A placement whose expected error is more than so many pixels of the fixed image is refused."""


@dataclass(frozen=True)
class Registration:
    """A similarity transform from the moving image's coordinates to the fixed one's, and whether to believe it."""

    matrix: F64
    """(2, 3) float64, um: (y, x) fixed = matrix[:, :2] @ (y, x) moving + matrix[:, 2]"""
    shift_um: tuple[float, float]
    """(y, x) by which the centre of the moving field moves"""
    rotation_deg: float
    """From the y axis towards the x axis"""
    scale: float
    error_um: float
    """Expected root mean square error of position over the moving field, one standard deviation"""
    score: float
    """Normalised cross-correlation in the overlap"""
    accepted: bool
    reason: str
    """Why it was refused, or ``registered``"""

    def __call__(self, y_um: Real, x_um: Real) -> tuple[F64, F64]:
        """Moving coordinates to fixed coordinates, um."""
        a, t = self.matrix[:, :2], self.matrix[:, 2]
        return np.asarray(a[0, 0] * y_um + a[0, 1] * x_um + t[0]), np.asarray(a[1, 0] * y_um + a[1, 1] * x_um + t[1])

    def inverse(self, y_um: Real, x_um: Real) -> tuple[F64, F64]:
        """Fixed coordinates to moving coordinates, um."""
        a = np.linalg.inv(self.matrix[:, :2])
        y, x = y_um - self.matrix[0, 2], x_um - self.matrix[1, 2]
        return np.asarray(a[0, 0] * y + a[0, 1] * x), np.asarray(a[1, 0] * y + a[1, 1] * x)


def register(
    fixed: Real,
    fixed_axes: Axes,
    moving: Real,
    moving_axes: Axes,
    options: RegisterOptions | None = None,
    *,
    blur_nm: float = 0.0,
    od_per_unit: float = 1.0,
) -> Registration:
    """Place a ptychography image on an STXM image of the same quantity.

    The moving image is blurred to the fixed one's PSF in transmission, placed by masked normalised cross-correlation
    within the search radius, and refined by Gauss-Newton on shift, rotation and scale with free gain and offset, which
    maximises the correlation. Where the images do not determine the placement, it is refused with a reason; then the
    transform still says what was found.

    Parameters
    ----------
    fixed, fixed_axes
        (Y, X) floating, NaN where not known; (Y,), (X,) um
    moving, moving_axes
        (V, U) floating on its own, usually finer, grid
    blur_nm
        sigma in nm of the Gaussian that gives the moving image the resolution of the fixed one
        (``psf.MicroscopePsf.matching_blur_nm``); 0: both are equally sharp
    od_per_unit
        optical density per unit of the images: 1 if they are optical densities; nm thicknesses want about 0.01

    Raises
    ------
    InputError
        where axes do not fit their image or do not ascend evenly.

    Source: Padfield 2012 (search); Evangelidis, Psarakis, IEEE Trans. Pattern Anal. Mach. Intell. 30, 1858 (2008).
    """
    options = options or RegisterOptions()
    fixed_px, moving_px = _pitch("fixed", fixed, fixed_axes), _pitch("moving", moving, moving_axes)
    target = np.asarray(fixed, dtype=np.float64) * od_per_unit
    blurred = blur_optical_density(np.asarray(moving) * od_per_unit, blur_nm * 1e-3 / moving_px)
    centre = np.array([(axis[0] + axis[-1]) / 2.0 for axis in moving_axes])
    if not np.isfinite(target).any() or not np.isfinite(blurred).any():
        return _refused(centre, "an image has no known pixels")
    for name, image in (("fixed", target), ("moving", blurred)):
        if np.nanstd(image) < options.least_contrast:
            return _refused(centre, f"no structure in the {name} image")
    peak, shift = _search(target, fixed_axes, fixed_px, blurred, moving_axes, moving_px, options)
    if not np.isfinite(peak.score):
        return _refused(centre, "the images do not overlap enough within the search radius")
    fit = _Fit(target, fixed_axes, blurred, moving_axes, centre, fixed_px)
    parameters, covariance, score = fit.refine(np.array([*shift, 0.0, 0.0]), options)
    error_um = fit.position_error_um(covariance, moving_axes)
    reason = _refusal(parameters, score, peak, error_um, fixed_px, fit.contrast(parameters), options)
    return Registration(
        matrix=_matrix(parameters, centre),
        shift_um=(float(parameters[0]), float(parameters[1])),
        rotation_deg=float(np.degrees(parameters[2])),
        scale=float(np.exp(parameters[3])),
        error_um=error_um,
        score=score,
        accepted=not reason,
        reason=reason or "registered",
    )


def _refusal(
    parameters: F64,
    score: float,
    peak: Peak,
    error_um: float,
    fixed_px: float,
    contrast: float,
    options: RegisterOptions,
) -> str:
    """Why the registration is not to be believed; empty if it is."""
    if not np.isfinite(score):
        return "the refinement left the overlap"
    if contrast < options.least_contrast:
        return "no structure in the overlap"
    if score < options.least_score:
        return f"the images correlate by {score:.2f} only"
    if peak.rival > peak.score - options.least_lead:
        return f"another place fits as well (correlation {peak.rival:.2f} and {peak.score:.2f})"
    if np.hypot(parameters[0], parameters[1]) > 1.2 * options.search_um:
        return "the shift left the search radius"
    if abs(np.degrees(parameters[2])) > options.maximum_rotation_deg:
        return f"a rotation of {np.degrees(parameters[2]):.1f} degrees is not credible"
    if abs(np.expm1(parameters[3])) > options.maximum_scale_error:
        return f"a scale of {np.exp(parameters[3]):.3f} is not credible"
    if not error_um <= options.maximum_error_px * fixed_px:
        return f"the position is known to {error_um:.3f} um only"
    return ""


def _search(
    target: F64,
    fixed_axes: Axes,
    fixed_px: float,
    blurred: F64,
    moving_axes: Axes,
    moving_px: float,
    options: RegisterOptions,
) -> tuple[Peak, tuple[float, float]]:
    """Whole-pixel shift (y, x) in um: moving brought to the fixed pitch, correlated within the search radius."""
    y_um, x_um = (np.arange(axis[0], axis[-1] + 0.5 * moving_px, fixed_px) for axis in moving_axes)
    coarse = sample(blurred, moving_axes, *np.meshgrid(y_um, x_um, indexing="ij"))
    near = tuple(float((start[0] - axis[0]) / fixed_px) for start, axis in zip((y_um, x_um), fixed_axes, strict=True))
    known_fixed, known_moving = np.isfinite(target), np.isfinite(coarse)
    if not known_moving.any():
        return Peak(0, 0, float("nan"), float("nan")), (0.0, 0.0)
    correlation = masked_correlation(target, known_fixed, coarse, known_moving, options.least_overlap)
    peak = best_placement(
        correlation,
        (coarse.shape[0], coarse.shape[1]),
        (near[0], near[1]),
        options.search_um / fixed_px,
        1.0 / fixed_px,
    )
    return peak, ((peak.row - near[0]) * fixed_px, (peak.column - near[1]) * fixed_px)


@dataclass(frozen=True)
class _Fit:
    """Least squares of ``fixed = offset + gain * moving(transformed)``: shift y, x (um), rotation (rad), log scale."""

    target: F64
    fixed_axes: Axes
    moving: F64
    moving_axes: Axes
    centre: F64
    fixed_px: float

    def compared(self, parameters: F64) -> tuple[Mask, F64, Real, Real]:
        """Which fixed pixels (Y, X) lie in the overlap, moving there, and their centred moving coordinates."""
        y, x = np.meshgrid(*self.fixed_axes, indexing="ij")
        v, u = _unmoved(parameters, self.centre, y, x)
        values = sample(self.moving, self.moving_axes, v, u)
        known = np.isfinite(values) & np.isfinite(self.target)
        return known, values, v - self.centre[0], u - self.centre[1]

    def contrast(self, parameters: F64) -> float:
        """The smaller of both standard deviations of optical density in the overlap."""
        known, values, _, _ = self.compared(parameters)
        return float(min(self.target[known].std(), values[known].std())) if known.sum() > 1 else 0.0

    def residual(self, parameters: F64) -> tuple[F64, F64, Mask, float] | None:
        """(PIXEL,) residual, (PIXEL, 4) Jacobian with gain and offset projected out, overlap, correlation."""
        known, values, v, u = self.compared(parameters)
        if known.sum() < 16 or values[known].std() == 0 or self.target[known].std() == 0:
            return None
        flat, wanted = values[known] - values[known].mean(), self.target[known] - self.target[known].mean()
        gain = float(flat @ wanted / (flat @ flat))
        step = 0.1 * self.fixed_px
        y, x = np.meshgrid(*self.fixed_axes, indexing="ij")
        rows, columns = _unmoved(parameters, self.centre, y[known], x[known])
        along_v = sample(self.moving, self.moving_axes, rows + step, columns)
        along_v -= sample(self.moving, self.moving_axes, rows - step, columns)
        along_u = sample(self.moving, self.moving_axes, rows, columns + step)
        along_u -= sample(self.moving, self.moving_axes, rows, columns - step)
        along_v, along_u = (np.nan_to_num(part) * gain / (2.0 * step) for part in (along_v, along_u))
        cosine, sine, shrink = np.cos(parameters[2]), np.sin(parameters[2]), np.exp(-parameters[3])
        v, u = v[known], u[known]
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
        return wanted - gain * flat, jacobian, known, score

    def refine(self, start: F64, options: RegisterOptions) -> tuple[F64, F64, float]:
        """Parameters, covariance (4, 4) and correlation after Levenberg-Marquardt steps that never lower the latter."""
        best, state = start, self.residual(start)
        prior = np.array([0.0, 0.0, np.radians(options.rotation_sd_deg) ** -2, options.scale_sd**-2])
        damping = 1e-3
        for _ in range(60):
            if state is None:
                break
            residual, jacobian, known, score = state
            variance = max(float(residual @ residual) / residual.size, 1e-12) * self._correlation_area(residual, known)
            curvature = jacobian.T @ jacobian / variance
            gradient = jacobian.T @ residual / variance - prior * best
            damped = curvature + np.diag(prior + damping * np.diag(curvature) + 1e-12)
            step = np.linalg.solve(damped, gradient)
            trial_state = self.residual(best + step)
            if trial_state is not None and trial_state[3] >= score - 1e-12:
                best, state, damping = best + step, trial_state, damping / 5.0
                if np.hypot(step[0], step[1]) < 1e-5 * self.fixed_px and np.abs(step[2:]).max() < 1e-7:
                    break
            else:
                damping *= 8.0
                if damping > 1e6:
                    break
        if state is None:
            return best, np.full((4, 4), np.nan), float("nan")
        residual, jacobian, known, score = state
        variance = max(float(residual @ residual) / residual.size, 1e-12) * self._correlation_area(residual, known)
        information = jacobian.T @ jacobian / variance + np.diag(prior) + 1e-9 * np.eye(4)
        return best, np.asarray(np.linalg.inv(information), dtype=np.float64), score

    def _correlation_area(self, residual: F64, known: Mask) -> float:
        """Pixels over which the residual is alike, at least 1: misfit at outlines is no white noise."""
        image = np.zeros(known.shape)
        image[known] = residual
        power = float(residual @ residual)
        lags = [(0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0)]
        area = 1.0
        for row, column in lags:
            area += 2.0 * float((image * np.roll(image, (row, column), axis=(0, 1))).sum()) / max(power, 1e-300)
        return max(1.0, area)

    def position_error_um(self, covariance: F64, moving_axes: Axes) -> float:
        """Root mean square position error over the field that the parameters' covariance implies."""
        # Mean squares of the centred coordinates of a full rectangle; the centre itself carries the shift's error.
        spread = sum(float(axis.var()) for axis in moving_axes)
        variance = float(covariance[0, 0] + covariance[1, 1] + spread * (covariance[2, 2] + covariance[3, 3]))
        return float(np.hypot(np.sqrt(variance), LEAST_ERROR_PX * self.fixed_px))


def sample(values: Real, axes: Axes, y_um: Real, x_um: Real) -> F64:
    """Cubic spline value of an image at coordinates in um; NaN outside its pixel centres or beside unknown pixels."""
    known = np.isfinite(values)
    row = (y_um - axes[0][0]) / (axes[0][1] - axes[0][0])
    column = (x_um - axes[1][0]) / (axes[1][1] - axes[1][0])
    filled = np.where(known, values, np.mean(values[known]) if known.any() else 0.0)
    out = ndimage.map_coordinates(filled, [row, column], order=3, mode="nearest")
    last_row, last_column = values.shape[0] - 1, values.shape[1] - 1
    # Rounding must not push the outermost pixel centres out.
    inside = (row >= -1e-6) & (row <= last_row + 1e-6) & (column >= -1e-6) & (column <= last_column + 1e-6)
    if not known.all():
        whole = ndimage.map_coordinates(known.astype(np.float64), [row, column], order=1, mode="nearest")
        inside &= whole > 0.999
    return np.asarray(np.where(inside, out, np.nan))


def _matrix(parameters: F64, centre: F64) -> F64:
    """(2, 3): rotation and scale about the centre of the moving field, then the shift."""
    scale = float(np.exp(parameters[3]))
    cosine, sine = scale * float(np.cos(parameters[2])), scale * float(np.sin(parameters[2]))
    linear = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([linear, centre + parameters[:2] - linear @ centre])


def _unmoved(parameters: F64, centre: F64, y: Real, x: Real) -> tuple[F64, F64]:
    """Moving coordinates of fixed ones."""
    shrink = np.exp(-parameters[3])
    cosine, sine = shrink * np.cos(parameters[2]), shrink * np.sin(parameters[2])
    dy, dx = y - centre[0] - parameters[0], x - centre[1] - parameters[1]
    return np.asarray(cosine * dy + sine * dx + centre[0]), np.asarray(-sine * dy + cosine * dx + centre[1])


def _refused(centre: F64, reason: str) -> Registration:
    return Registration(
        matrix=_matrix(np.zeros(4), centre),
        shift_um=(0.0, 0.0),
        rotation_deg=0.0,
        scale=1.0,
        error_um=float("nan"),
        score=float("nan"),
        accepted=False,
        reason=reason,
    )


def _pitch(name: str, image: Real, axes: Axes) -> float:
    """The one pixel pitch of an image, um."""
    steps = [np.diff(axis) for axis in axes]
    sizes_fit = image.ndim == 2 and image.shape == (len(axes[0]), len(axes[1])) and min(image.shape, default=0) > 1
    even = sizes_fit and all(step[0] > 0 and np.allclose(step, step[0], rtol=1e-3) for step in steps)
    if not even:
        raise InputError(
            where="crossmodal.register",
            problem=f"the axes of the {name} image are not an even ascending grid of its shape",
            got=f"shape {image.shape}, {len(axes[0])} rows and {len(axes[1])} columns",
            wanted="ascending, evenly spaced y_um and x_um, one per row and column, at least two",
            mend="Take the coordinates that were stored with the map",
        )
    return float(np.mean(pitch_yx_um(*axes)))
