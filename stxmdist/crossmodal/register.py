"""Places a ptychography image on an STXM image: searches the place, then fits a linear map and the drift of rows."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F64, I32, Mask, Real
from stxmdist.crossmodal.distortion import Distortion, LinearPrior, fit_distortion
from stxmdist.crossmodal.landmarks import (
    LEAST_PIXELS,
    Displacements,
    displacements,
    landmarks,
    level_of,
    whole_pixel_displacements,
)
from stxmdist.crossmodal.psf import blur_optical_density
from stxmdist.crossmodal.search import Candidate, SearchLimits, candidates
from stxmdist.crossmodal.similarity import Believed
from stxmdist.crossmodal.transform import (
    Axes,
    Registration,
    rotation_and_scale,
    sample,
    similarity_matrix,
)
from stxmdist.errors import InputError
from stxmdist.pixel_pitch import pitch_yx_um

LEAST_ERROR_PX = 0.05
"""No position is known better than this fraction of a pixel of the fixed image, because the point spread function and
the sampling are not modelled better.
"""

ROUNDS = 5
"""Rounds of measuring landmarks and fitting the distortion; the first measures in whole pixels"""

REACH_UM = 0.4
"""How far a landmark may lie from where the similarity wants it"""

CONVINCING = 0.9
"""A correlation above which constellations of particles are not asked"""

LEAST_SCORE_ELSEWHERE = 0.85
"""Correlation without which no placement beyond the search radius is believed: there are many more of them"""

ASKED = 9
"""Places along either side of the moving field at which the error is asked for"""

TALLEST_UM, WIDEST_UM = 0.5, 1.6
"""Particles that spread much further are cut into landmarks of about this height and width: rows drift one by one"""

LEAST_ROWS = 3
"""Of a landmark, however rough the drift is"""

NU = 4.0
"""Degrees of freedom of the t distribution that displacements of landmarks follow: some particles were overlaid"""


@dataclass(frozen=True)
class RegisterOptions:
    """How far to search, how much to believe the stages, and when to refuse."""

    search_um: float = 2.0
    """Radius of the search around the stage coordinates; the whole field is searched as well."""
    maximum_rotation_deg: float = 5.0
    """A placement that is rotated by more is refused."""
    maximum_scale_error: float = 0.05
    """A placement whose scale differs by more than this share is refused."""
    rotation_sd_deg: float = 2.0
    """Standard deviation of the rotation between the two stages: a weak prior, for fields with one particle."""
    scale_sd: float = 0.02
    """Standard deviation of the scale of one stage over that of the other, as a prior."""
    shear_sd: float = 0.02
    """Standard deviation of the shear between the two scans, as a prior."""
    row_drift: bool = True
    """Let the rows of the wide-field scan drift, as far as the particles say that they did."""
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
    least_particles: int = 3
    """Particles that must coincide: fewer do not tell one place from another. Large ones count as several."""


@dataclass(frozen=True, eq=False)
class _Images:
    """Both images at the resolution of the fixed one."""

    fixed: F64
    fixed_axes: Axes
    moving: F64
    moving_axes: Axes
    centre: F64
    pitch_um: float

    def warped(self, found: Registration) -> F64:
        """The moving image on the fixed grid, (Y, X), NaN beyond it."""
        grid = np.meshgrid(*self.fixed_axes, indexing="ij")
        return sample(self.moving, self.moving_axes, *found.inverse(*grid))


@dataclass(frozen=True, eq=False)
class _Agreement:
    """How well landmarks and images agree with a transform."""

    score: float
    contrast: float
    consistent: float
    """Share of the pixels of landmarks that lie where all others say"""
    n_landmarks: int
    """Landmarks that do"""
    coincide: float
    """Of what either image covers in the overlap, the share that both cover"""
    proof: float
    """Particles that coincide; a large one counts as so many as its area holds of ``WIDEST_UM`` squared"""


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

    The moving image is blurred to the fixed one's PSF in transmission and placed by masked normalised
    cross-correlation: beside the stage coordinates, and in the whole field, where constellations of particles help.
    The best place is refined as a similarity. Then the displacements of particles give a linear map with shear and the
    drift of the fixed image's rows. Where the images do not determine the placement, it is refused with a reason; then
    the transform still says what was found.

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

    Source: Padfield 2012 (search); Lucas, Kanade 1981 (displacements); ``distortion.fit_distortion`` (the model).
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
    images = _Images(target, fixed_axes, *_thinned(blurred, moving_axes, moving_px, fixed_px), centre, fixed_px)
    limits = SearchLimits(
        options.search_um,
        options.least_overlap,
        options.maximum_rotation_deg,
        options.maximum_scale_error,
        Believed(options.rotation_sd_deg, options.scale_sd),
    )
    places = candidates(target, fixed_axes, images.moving, images.moving_axes, fixed_px, centre, limits, CONVINCING)
    if not places:
        return _refused(centre, "the images do not overlap enough")
    found, agreement = _distorted(images, places[0], options)
    rival = places[1].score if len(places) > 1 else float("nan")
    reason = _refusal(found, agreement, rival, fixed_px, options)
    return replace(found, accepted=not reason, reason=reason or "registered")


def _distorted(images: _Images, place: Candidate, options: RegisterOptions) -> tuple[Registration, _Agreement]:
    """The placement with shear and drift, and how far landmarks agree with it."""
    found = _similarity(images, place)
    warped = images.warped(found)
    labels = _landmarks(images, warped)
    reach = int(np.ceil(REACH_UM / images.pitch_um))
    origin = np.array([images.fixed_axes[0][0], images.fixed_axes[1][0]])
    seen = whole_pixel_displacements(labels, warped, images.fixed, origin, images.pitch_um, min(reach, 10))
    used, distortion = _fitted(images, found, seen, options)
    for _ in range(ROUNDS - 1):
        if distortion is None:
            break
        found = _transform(images, place, distortion)
        warped = images.warped(found)
        labels = _landmarks(images, warped, distortion.wander_um)
        seen = displacements(labels, warped, images.fixed, origin, images.pitch_um)
        used, distortion = _fitted(images, found, seen, options)
    if distortion is not None:
        found = _transform(images, place, distortion)
        warped = images.warped(found)
    agreement = _agreement(images, warped, seen, used, distortion)
    return replace(found, score=agreement.score, n_landmarks=agreement.n_landmarks), agreement


def _landmarks(images: _Images, warped: F64, wander_um: float = 0.0) -> I32:
    """Landmarks whose rows do not wander apart by more than a quarter of a pixel, as far as there are rows."""
    both = np.where(np.isfinite(images.fixed), warped, np.nan)
    tallest_um = min(TALLEST_UM, (0.25 * images.pitch_um / max(wander_um, 1e-6)) ** 2)
    return landmarks(both, max(tallest_um / images.pitch_um, LEAST_ROWS), WIDEST_UM / images.pitch_um)


def _fitted(
    images: _Images, found: Registration, seen: Displacements, options: RegisterOptions
) -> tuple[Mask, Distortion | None]:
    """Which landmarks were used, and the distortion that they tell of."""
    used = np.isfinite(seen.displacement_um).all(axis=1) & (seen.score > 0.4)
    used &= np.hypot(*np.nan_to_num(seen.displacement_um).T) < 2.0 * REACH_UM
    if not used.any():
        return used, None
    y, x = seen.centre_um[used].T
    moving = np.stack(found.inverse(y, x), axis=1)
    arrived = seen.centre_um[used] + seen.displacement_um[used]
    v, u = (part.ravel() for part in np.meshgrid(*(np.linspace(a[0], a[-1], ASKED) for a in images.moving_axes)))
    asked_y, asked_x = found(v, u)
    inside = np.ones(asked_y.size, dtype=bool)
    for where, axis in ((asked_y, images.fixed_axes[0]), (asked_x, images.fixed_axes[1])):
        inside &= (where >= axis[0]) & (where <= axis[-1])
    inside = inside if inside.any() else ~inside
    prior = LinearPrior(np.radians(options.rotation_sd_deg), options.scale_sd, options.shear_sd)
    weight = np.ones(len(moving))
    for _ in range(2):
        distortion = fit_distortion(
            moving - images.centre,
            arrived[:, 0],
            arrived - moving,
            seen.covariance_um2[used] / weight[:, None, None],
            np.stack([v, u], axis=1)[inside] - images.centre,
            asked_y[inside],
            images.pitch_um,
            prior,
            options.row_drift,
        )
        off = arrived - moving - distortion.predicted_um
        inverse = np.linalg.inv(distortion.predicted_covariance_um2)
        weight = np.minimum(weight, (NU + 2.0) / (NU + np.einsum("li,lij,lj->l", off, inverse, off)))
    return used, distortion


def _transform(images: _Images, place: Candidate, distortion: Distortion) -> Registration:
    linear = np.eye(2) + distortion.linear
    matrix = np.column_stack([linear, images.centre + distortion.shift_um - linear @ images.centre])
    rotation_deg, scale = rotation_and_scale(matrix)
    found = Registration(
        matrix=matrix,
        shift_um=(0.0, 0.0),
        rotation_deg=rotation_deg,
        scale=scale,
        error_um=float(np.hypot(distortion.error_um, LEAST_ERROR_PX * images.pitch_um)),
        score=place.score,
        accepted=False,
        reason="",
        drift_rows_um=distortion.rows_um,
        drift_um=distortion.drift_um,
        found_by=place.found_by,
    )
    y, x = found(images.centre[:1], images.centre[1:])
    return replace(found, shift_um=(float(y[0] - images.centre[0]), float(x[0] - images.centre[1])))


def _similarity(images: _Images, place: Candidate) -> Registration:
    matrix = similarity_matrix(place.parameters, images.centre)
    shift = (float(place.parameters[0]), float(place.parameters[1]))
    rotation_deg, scale = rotation_and_scale(matrix)
    return Registration(
        matrix, shift, rotation_deg, scale, float("nan"), place.score, False, "", found_by=place.found_by
    )


def _agreement(
    images: _Images, warped: F64, seen: Displacements, used: Mask, distortion: Distortion | None
) -> _Agreement:
    both = np.isfinite(warped) & np.isfinite(images.fixed)
    if both.sum() < LEAST_PIXELS:
        return _Agreement(float("nan"), 0.0, 0.0, 0, 0.0, 0.0)
    one, other = images.fixed[both], warped[both]
    score = float(np.corrcoef(one, other)[0, 1]) if one.std() > 0 and other.std() > 0 else float("nan")
    covered = [both & (image > level_of(np.where(both, image, np.nan))) for image in (images.fixed, warped)]
    coincide = float((covered[0] & covered[1]).sum() / max(1, (covered[0] | covered[1]).sum()))
    enough = seen.pixels >= LEAST_PIXELS
    agrees = np.zeros(used.size, dtype=bool)
    if distortion is not None:
        where = np.flatnonzero(used)
        reach = np.maximum(1.0 * images.pitch_um, 3.0 * np.sqrt(np.trace(seen.covariance_um2[used], axis1=1, axis2=2)))
        agrees[where] = (np.hypot(*seen.displacement_um[used].T) < reach) & (seen.score[used] > 0.6)
    share = float(seen.pixels[agrees].sum() / max(1, seen.pixels[enough].sum()))
    proof = _coinciding(covered[0], covered[1], (WIDEST_UM / images.pitch_um) ** 2)
    return _Agreement(score, float(min(one.std(), other.std())), share, int(agrees.sum()), coincide, proof)


def _coinciding(one: Mask, other: Mask, large: float) -> float:
    """How many particles of the second image the first covers for the most part; large ones count as several."""
    labels, n = ndimage.label(other)
    area = np.bincount(labels.ravel(), minlength=n + 1)[1:].astype(np.float64)
    shared = np.bincount(labels[one], minlength=n + 1)[1:]
    whole = (area >= LEAST_PIXELS) & (shared > 0.6 * area)
    return float(np.maximum(1.0, area[whole] / large).sum())


def _refusal(
    found: Registration, agreement: _Agreement, rival: float, fixed_px: float, options: RegisterOptions
) -> str:
    """Why the registration is not to be believed; empty if it is."""
    if not np.isfinite(agreement.score):
        return "the refinement left the overlap"
    if agreement.contrast < options.least_contrast:
        return "no structure in the overlap"
    if agreement.score < options.least_score:
        return f"the images correlate by {agreement.score:.2f} only"
    if rival > agreement.score - options.least_lead:
        return f"another place fits as well (correlation {rival:.2f} and {agreement.score:.2f})"
    if agreement.coincide < 0.5:
        return f"only {agreement.coincide:.0%} of what either image covers is covered in both"
    if agreement.consistent < 0.6:
        return f"only {agreement.consistent:.0%} of the particles lie where the others say"
    if found.found_by != "stage" and (
        agreement.score < LEAST_SCORE_ELSEWHERE or 1.0 - agreement.score > 0.5 * (1.0 - max(rival, 0.0))
    ):
        return (
            f"the place lies {np.hypot(*found.shift_um):.1f} um from the stage coordinates, and its correlation of "
            f"{agreement.score:.2f} (elsewhere {rival:.2f}) does not prove it"
        )
    if agreement.proof < options.least_particles + (found.found_by != "stage"):
        return f"{agreement.proof:.3g} particles that coincide do not tell one place from another"
    if abs(found.rotation_deg) > options.maximum_rotation_deg:
        return f"a rotation of {found.rotation_deg:.1f} degrees is not credible"
    if abs(found.scale - 1.0) > options.maximum_scale_error:
        return f"a scale of {found.scale:.3f} is not credible"
    if not found.error_um <= options.maximum_error_px * fixed_px:
        return f"the position is known to {found.error_um:.3f} um only"
    return ""


def _thinned(image: F64, axes: Axes, pitch_um: float, fixed_px: float) -> tuple[F64, Axes]:
    """An image blurred to the fixed one's resolution, on half of its pitch: more pixels would say the same again."""
    wanted = 0.5 * fixed_px
    if pitch_um > 0.75 * wanted:
        return image, axes
    y_um, x_um = (np.arange(axis[0], axis[-1] + 1e-9, wanted) for axis in axes)
    return sample(image, axes, *np.meshgrid(y_um, x_um, indexing="ij")), (y_um, x_um)


def _refused(centre: F64, reason: str) -> Registration:
    return Registration(
        matrix=similarity_matrix(np.zeros(4), centre),
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
