"""What the end-members leave over of a spectrum beyond its noise, and what that can do to a state of charge.

With many counts a misfit of a hundredth is visible in every pixel. It does not average down, and it is no reason to
leave the pixel out: it is an error of the model, and goes into the error of the result.
"""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64, Real
from stxmdist.spectra.end_members.mean_errors import HIDDEN

_LEAST_FREEDOM = 2
"""Degrees of freedom that must remain to see a misfit by"""
SIGNIFICANT_SD = 2.0
"""What is left over counts as misfit where it exceeds what noise leaves by so many standard deviations of that"""
TOLERATED_SHARE = 0.0025
"""So much the blur of edges and the beam's drift leave over where references are right"""
_STEPS = 10
_LEAST_VARIANCE = 1e-18
_SCALES = np.concatenate([[0.0], np.geomspace(0.01, 100.0, 161)])
"""Optical densities at which the expected misfit is computed; pixels lie between"""


@dataclass(frozen=True, eq=False)
class MisfitError:
    """Of some spectra (PARTICLE,)."""

    share: F64
    """Length of what is left over, noise taken off, relative to that of the end-members' optical density; 0 where noise
    may have left it, NaN where nothing is left over to see a misfit by"""
    soc_sd: F64
    """Standard deviation of the state of charge due to it; 0 where nothing is left over to see one by: what is assumed
    of end-members, incident beam and background has errors of its own"""


def mean_misfit_od(mean_od: F64, design: F64, effective_counts: F64) -> tuple[F64, F64]:
    """What a model leaves over (ENERGY,) of a mean spectrum that is fitted as pixels are, and its background (ENERGY,).

    NaN where it is not known. ``design`` is (ENERGY, TERM), end-members first; weights are those of counted photons,
    N T.
    """
    left, beside = np.full(mean_od.shape, np.nan), np.full(mean_od.shape, np.nan)
    known = np.isfinite(mean_od) & np.isfinite(effective_counts) & (effective_counts > 0.0)
    if known.sum() >= design.shape[1]:
        root = np.sqrt(effective_counts[known] * np.exp(-mean_od[known]))
        length = np.linalg.norm(design[known], axis=0)
        found = np.linalg.lstsq(design[known] / length * root[:, None], mean_od[known] * root, rcond=None)[0] / length
        left[known] = mean_od[known] - design[known] @ found
        beside[known] = design[known, 2:] @ found[2:]
    return left, beside


def expected_misfit_chi2(
    strongest_od: Real, misfit_od: F64, cathode_od: F64, design: F64, effective_counts: F64, tolerated_share: float
) -> F64:
    """What a misfit adds to the reduced chi-square of pixels, in the shape of ``strongest_od``.

    The misfit is that of the stack's mean spectrum, in proportion to a pixel's optical density, and a share of the
    optical density by which end-members and incident beam may always be wrong.

    Parameters
    ----------
    strongest_od
        fitted optical density of the end-members in each pixel, at the energy where they absorb most together
    misfit_od, cathode_od
        (ENERGY,) what the model leaves over of the mean spectrum, and what the end-members explain of it
    design
        (ENERGY, TERM)
    effective_counts
        (ENERGY,) photons per pixel at full transmission
    tolerated_share
        of the optical density
    """
    freedom = len(design) - design.shape[1]
    if freedom < 1:
        return np.zeros(strongest_od.shape)
    together = design[:, :2].sum(axis=1)
    steepest = int(np.argmax(together))
    shape = together / together[steepest]
    top = float(cathode_od[steepest])
    own = np.nan_to_num(misfit_od) / top if np.isfinite(top) and top > 0.0 else np.zeros(len(design))
    squares = own**2 + (tolerated_share * shape) ** 2
    light = np.exp(-np.outer(_SCALES, shape)) * effective_counts
    expected = _SCALES**2 * (light @ squares) / freedom
    return np.asarray(np.interp(np.nan_to_num(np.asarray(strongest_od, np.float64)), _SCALES, expected), np.float64)


def misfit_error(
    thickness: F64,
    residual_od: F64,
    residual_variance: F64,
    design: F64,
    beside_od: F64 | None = None,
    shift_od: F64 | None = None,
) -> MisfitError:
    """What the misfit of the mean spectrum of each particle can do to its state of charge.

    What has an error of its own is not counted twice: the shapes of a background that is not fitted (``beside_od``) and
    of saturation by leak and blur (the squared optical density) are taken off what is left over, where enough energies
    remain to see more.

    Parameters
    ----------
    thickness
        (2, PARTICLE) of discharged and charged material
    residual_od, residual_variance
        (PARTICLE, ENERGY) measured less fitted, and the variance that noise gives it
    design
        (ENERGY, TERM)
    beside_od
        (ENERGY,) what may absorb beside the terms of the fit
    shift_od
        (SHIFT, PARTICLE, ENERGY) what equally likely errors of the energy scale change: as much of what is left over
        is no misfit
    """
    cathode = thickness.T @ design[:, :2].T
    known = np.isfinite(residual_od).all(axis=1) & (thickness.sum(axis=0) > 0.0)
    share, believed = np.full(len(cathode), np.nan), np.zeros(len(cathode))
    n_energy, n_terms = design.shape
    if n_energy > n_terms and known.any():
        od = cathode[known]
        left, freedom = residual_od[known], n_energy - n_terms
        shapes = [od**2]
        if beside_od is not None and beside_od.any():
            shapes.append(np.broadcast_to(beside_od, od.shape))
        if freedom - len(shapes) >= _LEAST_FREEDOM:
            terms = np.broadcast_to(design / np.linalg.norm(design, axis=0), (len(od), *design.shape))
            basis = np.linalg.qr(np.concatenate([terms, np.stack(shapes, axis=2)], axis=2))[0]
            left = left - np.einsum("pek,pfk,pf->pe", basis, basis, left)
            freedom -= len(shapes)
        squares, noise = (left**2).sum(axis=1) * n_energy / freedom, residual_variance[known].sum(axis=1)
        if shift_od is not None:
            across = np.linalg.qr(design / np.linalg.norm(design, axis=0))[0]
            moved = shift_od[:, known] - shift_od[:, known] @ across @ across.T
            noise = noise + (moved**2).sum(axis=2).mean(axis=0) * n_energy / (n_energy - n_terms)
        length2, chance = (od**2).sum(axis=1), noise * np.sqrt(2.0 / freedom)
        # The root of a difference that is noise about zero would not be zero in the mean.
        seen = squares - noise > SIGNIFICANT_SD * chance
        share[known] = np.sqrt(np.where(seen, squares - noise, 0.0) / length2)
        believed[known] = shrunk((squares - noise) / length2 - TOLERATED_SHARE**2, chance / length2)
    return MisfitError(share, HIDDEN * np.sqrt(believed))


def shrunk(squared_share: F64, chance: F64) -> F64:
    """Squared shares (PARTICLE,), none below zero, that are believed of estimates with their standard deviations.

    What most particles of a scan leave over, noise taken off, is expected of each: one in which chance hides a misfit
    has it all the same, and where all of them scatter about zero nothing is believed of the few that lie high
    (empirical Bayes: normal noise, and a spread between particles as large as their mean).
    """
    mean = max(0.0, float(np.mean(squared_share)))
    for _ in range(_STEPS):
        weight = 1.0 / np.maximum(chance**2 + mean**2, _LEAST_VARIANCE)
        mean = max(0.0, float(weight @ squared_share / weight.sum()))
    trust = mean**2 / np.maximum(mean**2 + chance**2, _LEAST_VARIANCE)
    return np.asarray(np.maximum(trust * squared_share + (1.0 - trust) * mean, 0.0), dtype=np.float64)
