"""One chemical map from two: ptychography's structure with what the wide-field scan adds to its chemistry."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage, sparse

from stxmdist.arrays import F32, F64, U8, Mask, MaskClass, Real
from stxmdist.crossmodal.transform import Axes, Registration

MOST_STEPS = 60
"""Of conjugate gradients"""

TOLERANCE = 3e-4
"""Of the residual's norm, at which conjugate gradients end"""

ROUGH_SHARE = 0.05
"""Of the variance of white noise, about what a blur of two pixels leaves; it enters where nothing hangs on it"""

LEAST_DETAIL = 0.01
"""Variance of what is finer than the wide field shows, over ptychography's noise, below which there is none"""

WINDOW_SIGMAS, NEAR_SIGMAS = 4.0, 1.0
"""Sigmas of the blur over which that is averaged, of ptychography's map and of one that is freed of noise"""

REFINED = 1
"""Times that the second is taken"""

MOST_EXTRAPOLATED = 4.0
"""Variance of what was lost of the truth over that of what is lost of the best map, at most: where more than half of a
detail is lost at a time, what is left does not tell how much there was"""

REACH_SIGMAS = 3.0
"""Wide-field pixels whose point spread function reaches over what ptychography knows say nothing"""

LEAST_THICKNESS = 1e-6
"""Total thickness below which there is no state of charge, in the maps' unit"""


@dataclass(frozen=True, eq=False)
class ThicknessMaps:
    """Thicknesses of (discharged, charged) material of one scan and what is known of their errors."""

    thickness: Real
    """(2, Y, X), nm or reference samples, NaN where not known"""
    covariance: Real
    """(3, Y, X): 00, 01, 11, the square of that unit"""
    axes: Axes


@dataclass(frozen=True, eq=False)
class Fused:
    """The map of both scans on ptychography's grid."""

    soc: F32
    """(V, U) state of charge; NaN where nothing is known or nothing lies"""
    soc_se: F32
    """(V, U) its standard error: noise of both, and detail that is lost"""
    chi2: float
    """Mean square of the difference of both scans' maps over its variance; NaN where they share no pixel"""


def interior_thickness(thickness: Real, mask_class: U8) -> Real:
    """Thicknesses (2, Y, X) of the pixels that no outline reaches; NaN elsewhere.

    Transmission is averaged over an outline, not thickness: what a wide-field fit says there is diluted.
    """
    return np.asarray(np.where(mask_class == MaskClass.valid, thickness, np.nan))


def fuse(
    wide: ThicknessMaps,
    fine: ThicknessMaps,
    registration: Registration,
    blur_nm: float,
    rng: np.random.Generator,
    *,
    least_thickness: float = LEAST_THICKNESS,
    probes: int = 6,
) -> Fused:
    """Thicknesses h with least ``|wide - B h|^2 / W + |fine - h|^2 / V + |h - G h|^2 / D``, as a state of charge.

    G blurs to the wide-field resolution, and B samples its pixels there too. D is how much ptychography shows beyond
    that, around each pixel, its noise taken off: where there is nothing, its noise is not taken for structure. B goes
    through the registration, whose error counts as error of
    the wide-field thickness where that changes from pixel to pixel. Where both disagree by more than their errors, the
    wide-field scan's are enlarged until they do not: then little of it is taken over.

    Parameters
    ----------
    blur_nm
        sigma in nm of the Gaussian that gives the fine maps the resolution of the wide ones
    least_thickness
        total thickness below which there is no state of charge
    probes
        drawn maps from which the variance is estimated

    Source: Rodgers, Inverse Methods for Atmospheric Sounding (2000), equation 2.30 (optimal estimation); variance of
    noise by perturbed observations: Papandreou, Yuille, Adv. Neural Inf. Process. Syst. 23 (2010).
    """
    problem = _problem(wide, fine, registration, blur_nm)
    if problem is None:
        known = np.isfinite(fine.thickness).all(axis=0)
        soc, se = _chemistry(np.where(known, fine.thickness, np.nan), np.asarray(fine.covariance), least_thickness)
        return Fused(soc.astype(np.float32), se.astype(np.float32), float("nan"))
    difference = problem.seen - problem.blurred(problem.fine)
    chi2 = float(np.mean(_squares(difference, problem.difference_covariance())))
    if chi2 > 1.0:
        problem = replace(problem, seen_covariance=problem.seen_covariance * chi2)
    # Freed of noise, structure shows where it is: boundaries are narrower than the window of the first estimate.
    for _ in range(REFINED):
        freed = problem.solved(problem.fine, problem.seen)
        nearby = _detail(problem, freed, np.zeros_like(problem.fine_covariance), NEAR_SIGMAS)
        problem = replace(problem, detail=nearby)
    best = problem.solved(problem.fine, problem.seen)
    soc, fine_se = _chemistry(problem.image(best), problem.covariance_maps(), least_thickness)
    se = _standard_error(problem, best, soc, fine_se, probes, rng)
    return Fused(soc.astype(np.float32), se.astype(np.float32), chi2)


@dataclass(frozen=True, eq=False)
class _Problem:
    """Least squares over ptychography's known pixels."""

    known: Mask
    """(V, U)"""
    fine: F64
    """(2, KNOWN)"""
    fine_covariance: F64
    """(2, 2, KNOWN)"""
    seen: F64
    """(2, SEEN) of the wide-field pixels that tell something"""
    seen_covariance: F64
    """(2, 2, SEEN)"""
    detail: F64
    """(2, 2, KNOWN) covariance of what is finer than the wide field's resolution, as it is thereabouts"""
    sampling: sparse.csr_array
    """(SEEN, V * U) bilinear"""
    sigma_px: float

    def image(self, values: F64) -> F64:
        """(2, V, U), NaN where not known."""
        out = np.full((2, *self.known.shape), np.nan)
        out[:, self.known] = values
        return out

    def covariance_maps(self) -> F64:
        """(3, V, U): 00, 01, 11 of ptychography."""
        out = np.full((3, *self.known.shape), np.nan)
        for place, (i, j) in enumerate(((0, 0), (0, 1), (1, 1))):
            out[place][self.known] = self.fine_covariance[i, j]
        return out

    def blurred(self, values: F64) -> F64:
        """B h: (2, SEEN) of (2, KNOWN)."""
        return np.stack([self.sampling @ self._blur(plane).ravel() for plane in self._planes(values)])

    def spread(self, values: F64) -> F64:
        """B' h: (2, KNOWN) of (2, SEEN)."""
        planes = [self._blur((self.sampling.T @ row).reshape(self.known.shape)) for row in values]
        return np.stack([plane[self.known] for plane in planes])

    def solved(self, own: F64, other: F64) -> F64:
        """(2, KNOWN) best of ptychography's (2, KNOWN) and the wide field's (2, SEEN), by conjugate gradients."""
        fine, seen, detail = (_inverse(part) for part in (self.fine_covariance, self.seen_covariance, self.detail))

        def curved(values: F64) -> F64:
            rough = self.roughened(_times(detail, self.roughened(values)))
            return np.asarray(_times(fine, values) + self.spread(_times(seen, self.blurred(values))) + rough)

        wanted = _times(fine, own) + self.spread(_times(seen, other))
        scale = _inverse(fine + ROUGH_SHARE * detail)
        best = own.copy()
        residual = wanted - curved(best)
        z = _times(scale, residual)
        direction, power = z, float((residual * z).sum())
        target = TOLERANCE**2 * float((wanted * _times(scale, wanted)).sum())
        for _ in range(MOST_STEPS):
            if power <= target or power <= 0.0:
                break
            applied = curved(direction)
            step = power / float((direction * applied).sum())
            best, residual = best + step * direction, residual - step * applied
            z = _times(scale, residual)
            before, power = power, float((residual * z).sum())
            direction = z + power / before * direction
        return np.asarray(best)

    def roughened(self, values: F64) -> F64:
        """(2, KNOWN) less what is left of it at the wide field's resolution: its own transpose."""
        return np.stack([(plane - self._blur(plane))[self.known] for plane in self._planes(values)])

    def difference_covariance(self) -> F64:
        """(2, 2, SEEN) of the wide-field maps less those of ptychography brought over."""
        # White noise blurred by a Gaussian: its variance averaged with the squared weights.
        sigma = max(self.sigma_px, 0.3)
        share = 1.0 / (4.0 * np.pi * sigma**2)
        parts = np.empty_like(self.seen_covariance)
        for i, j in ((0, 0), (0, 1), (1, 1)):
            plane = np.zeros(self.known.shape)
            plane[self.known] = self.fine_covariance[i, j]
            smooth = ndimage.gaussian_filter(plane, sigma / np.sqrt(2.0), mode="constant")
            parts[i, j] = parts[j, i] = share * (self.sampling @ smooth.ravel())
        return np.asarray(self.seen_covariance + parts)

    def _planes(self, values: F64) -> F64:
        out = np.zeros((2, *self.known.shape))
        out[:, self.known] = values
        return out

    def _blur(self, plane: F64) -> F64:
        # With nothing beyond the border the Gaussian is its own transpose.
        return np.asarray(ndimage.gaussian_filter(plane, self.sigma_px, mode="constant"))


def _problem(wide: ThicknessMaps, fine: ThicknessMaps, registration: Registration, blur_nm: float) -> _Problem | None:
    """None where the wide-field scan has no pixel that tells something."""
    known = np.isfinite(fine.thickness).all(axis=0) & np.isfinite(fine.covariance).all(axis=0)
    pitch = float(fine.axes[0][1] - fine.axes[0][0])
    sigma_px = 1e-3 * blur_nm / (pitch * registration.scale)
    # The wide-field pixel averages over itself too.
    wide_pitch = float(wide.axes[0][1] - wide.axes[0][0])
    sigma_px = float(np.hypot(sigma_px, wide_pitch / (pitch * registration.scale) / np.sqrt(12.0)))
    y, x = registration.inverse(*np.meshgrid(*wide.axes, indexing="ij"))
    row, column = (y - fine.axes[0][0]) / pitch, (x - fine.axes[1][0]) / float(fine.axes[1][1] - fine.axes[1][0])
    whole = ndimage.distance_transform_edt(np.pad(known, 1))[1:-1, 1:-1] >= REACH_SIGMAS * sigma_px
    near = (row >= 0) & (row <= known.shape[0] - 2) & (column >= 0) & (column <= known.shape[1] - 2)
    near &= np.isfinite(wide.thickness).all(axis=0) & np.isfinite(wide.covariance).all(axis=0)
    near[near] = whole[np.round(row[near]).astype(int), np.round(column[near]).astype(int)]
    covariance = _matrices(np.asarray(wide.covariance, dtype=np.float64))
    slope = np.array(np.gradient(np.asarray(wide.thickness, dtype=np.float64), wide_pitch, axis=(1, 2)))
    # An error of place is one of thickness where that changes; half of its square falls on either direction.
    moved = 0.5 * registration.error_um**2 * np.einsum("diyx,djyx->ijyx", slope, slope)
    covariance = covariance + np.where(np.isfinite(moved), moved, 0.0)
    positive = (covariance[0, 0] > 0) & (covariance[1, 1] > 0)
    near &= positive & (covariance[0, 0] * covariance[1, 1] > covariance[0, 1] ** 2)
    if not near.any():
        return None
    own = _matrices(np.asarray(fine.covariance, dtype=np.float64))[:, :, known]
    problem = _Problem(
        known=np.asarray(known),
        fine=np.asarray(fine.thickness, dtype=np.float64)[:, known],
        fine_covariance=own,
        detail=own,
        seen=np.asarray(wide.thickness, dtype=np.float64)[:, near],
        seen_covariance=covariance[:, :, near],
        sampling=_bilinear(row[near], column[near], (known.shape[0], known.shape[1])),
        sigma_px=sigma_px,
    )
    noise = problem.fine_covariance * (1.0 - ROUGH_SHARE)
    return replace(problem, detail=_detail(problem, problem.fine, noise, WINDOW_SIGMAS))


def _detail(problem: _Problem, values: F64, noise: F64, sigmas: float) -> F64:
    """Covariance of what is finer than the wide field shows, around each pixel, counting noise taken off."""
    rough = problem.roughened(values)
    known = problem.known.astype(np.float64)
    sigma = sigmas * problem.sigma_px
    weight = ndimage.gaussian_filter(known, sigma, mode="constant")[problem.known]

    def local(values: F64) -> F64:
        plane = np.zeros(known.shape)
        plane[problem.known] = values
        return np.asarray(ndimage.gaussian_filter(plane, sigma, mode="constant")[problem.known] / weight)

    a, b, c = (local(rough[i] * rough[j] - noise[i, j]) for i, j in ((0, 0), (0, 1), (1, 1)))
    # Of a difference of variances either direction may come out below nothing: none is taken as less than a floor.
    middle, half = (a + c) / 2.0, np.hypot((a - c) / 2.0, b)
    least = LEAST_DETAIL * (problem.fine_covariance[0, 0] + problem.fine_covariance[1, 1]) / 2.0
    high, low = np.maximum(middle + half, least), np.maximum(middle - half, least)
    angle = 0.5 * np.arctan2(2.0 * b, a - c)
    cosine, sine = np.cos(angle), np.sin(angle)
    a, b, c = high * cosine**2 + low * sine**2, (high - low) * cosine * sine, high * sine**2 + low * cosine**2
    return np.stack([np.stack([a, b]), np.stack([b, c])])


def _standard_error(problem: _Problem, best: F64, soc: F64, fine_se: F64, probes: int, rng: np.random.Generator) -> F64:
    """(V, U) what noise leaves in the best map, and what detail is lost of it, as error of a state of charge.

    What would be lost of the best map, were it the truth, and of what is left of it then: from one to the other what
    was lost of the truth itself is extrapolated. Most is lost at boundaries.
    """
    total = problem.image(best).sum(axis=0)
    again = problem.solved(best, problem.blurred(best))
    twice = problem.solved(again, problem.blurred(again))
    lost, less = (_shift_of_soc(problem.image(part), soc, total) ** 2 for part in (again - best, twice - again))
    noise = np.zeros(soc.shape)
    for _ in range(probes):
        own, other = _drawn(problem.fine_covariance, rng), _drawn(problem.seen_covariance, rng)
        with np.errstate(divide="ignore", invalid="ignore"):
            noise += (_shift_of_soc(problem.image(problem.solved(own, other)), soc, total) / fine_se) ** 2 / probes
    # Both change slowly; of each pixel alone few probes say little, and what is lost passes through zero.
    counted = np.isfinite(noise) & np.isfinite(lost)
    sigma = max(problem.sigma_px, 2.0)

    def nearby(values: F64) -> F64:
        return np.asarray(ndimage.gaussian_filter(np.where(counted, values, 0.0), sigma, mode="constant"))

    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip(nearby(noise) / nearby(counted.astype(np.float64)), 0.0, 1.0)
        more = min(float(np.sum(lost[counted])) / max(float(np.sum(less[counted])), 1e-300), MOST_EXTRAPOLATED)
        variance = fine_se**2 * share + more * nearby(lost) / nearby(counted.astype(np.float64))
    return np.where(counted, np.sqrt(variance), np.nan)


def _bilinear(row: F64, column: F64, shape: tuple[int, int]) -> sparse.csr_array:
    top, left = np.floor(row).astype(np.int64), np.floor(column).astype(np.int64)
    down, right = row - top, column - left
    weights = [(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right]
    places = [(top + i) * shape[1] + left + j for i in range(2) for j in range(2)]
    n = row.size
    data = (np.concatenate(weights), (np.tile(np.arange(n), 4), np.concatenate(places)))
    return sparse.csr_array(data, shape=(n, shape[0] * shape[1]))


def _matrices(covariance: F64) -> F64:
    """(2, 2, ...) of (3, ...): 00, 01, 11."""
    return np.stack([np.stack([covariance[0], covariance[1]]), np.stack([covariance[1], covariance[2]])])


def _times(matrices: F64, values: F64) -> F64:
    return np.asarray((matrices * values[None]).sum(axis=1))


def _inverse(matrices: F64) -> F64:
    determinant = matrices[0, 0] * matrices[1, 1] - matrices[0, 1] ** 2
    swapped = np.array([[matrices[1, 1], -matrices[0, 1]], [-matrices[0, 1], matrices[0, 0]]])
    return np.asarray(swapped / determinant)


def _squares(values: F64, covariance: F64) -> F64:
    """Half of the squared length of each vector in its own covariance: 1 is expected."""
    return np.asarray(0.5 * (values * _times(_inverse(covariance), values)).sum(axis=0))


def _drawn(covariance: F64, rng: np.random.Generator) -> F64:
    """(2, N) of zero mean and covariance (2, 2, N)."""
    z = rng.normal(size=(2, covariance.shape[2]))
    first = np.sqrt(covariance[0, 0])
    slope = covariance[0, 1] / first
    rest = np.sqrt(np.maximum(covariance[1, 1] - slope**2, 0.0))
    return np.stack([first * z[0], slope * z[0] + rest * z[1]])


def _shift_of_soc(change: F64, soc: F64, total: F64) -> F64:
    """(V, U) by which changes (2, V, U) of thickness move a state of charge, to first order."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((change[1] - soc * change.sum(axis=0)) / total)


def _chemistry(thickness: F64, covariance: F64, least: float) -> tuple[F64, F64]:
    """State of charge (V, U) and its standard error to first order."""
    total = thickness.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        soc = np.where(total > least, thickness[1] / total, np.nan)
        variance = soc**2 * covariance[0] - 2 * soc * (1 - soc) * covariance[1] + (1 - soc) ** 2 * covariance[2]
        return soc, np.where(np.isfinite(soc), np.sqrt(np.maximum(variance, 0.0)) / total, np.nan)
