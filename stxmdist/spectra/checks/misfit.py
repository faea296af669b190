"""What the end-members leave over of a spectrum beyond its noise, and what that can do to a state of charge.

With many counts a misfit of a hundredth is visible in every pixel. It does not average down, and it is no reason to
leave the pixel out: it is an error of the model, and goes into the error of the result.
"""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64, Real
from stxmdist.spectra.end_members.design_matrix import background_columns
from stxmdist.spectra.end_members.excess import believed_excess
from stxmdist.spectra.end_members.mean_errors import HIDDEN, light_beside_od

SIGNIFICANT_SD = 2.0
"""What is left over counts as misfit where it exceeds what noise leaves by so many standard deviations of that"""
TOLERATED_SHARE = 0.0025
"""So much the blur of edges and the beam's drift leave over where references are right"""
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

    What has an error of its own is not counted twice: the shapes of the energy shift, of saturation by leak and blur,
    and of a background that is not fitted (``beside_od``) are taken off what is left over, the first of them always,
    the others where an energy remains to see more.

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
    od, left = cathode[known], residual_od[known]
    shapes = shapes_with_errors(od, beside_od, None if shift_od is None else shift_od[:, known])
    shapes = shapes[: max(n_energy - n_terms - 1, int(shift_od is not None))]
    freedom = n_energy - n_terms - len(shapes)
    if freedom > 0 and known.any():
        terms = np.broadcast_to(design / np.linalg.norm(design, axis=0), (len(od), *design.shape))
        basis = np.linalg.qr(np.concatenate([terms, *(one[:, :, None] for one in shapes)], axis=2))[0]
        left = left - np.einsum("pek,pfk,pf->pe", basis, basis, left)
        per_energy = residual_variance[known]
        if shift_od is not None:
            moved = shift_od[:, known]
            moved = moved - np.einsum("pek,pfk,spf->spe", basis, basis, moved)
            per_energy = per_energy + (moved**2).mean(axis=0) * n_energy / freedom
        noise, length2 = per_energy.sum(axis=1), (od**2).sum(axis=1)
        squares = (left**2).sum(axis=1) * n_energy / freedom
        # The root of a difference that is noise about zero would not be zero in the mean.
        seen = squares - noise > SIGNIFICANT_SD * noise * np.sqrt(2.0 / freedom)
        share[known] = np.sqrt(np.where(seen, squares - noise, 0.0) / length2)
        # Noise of unlike energies leaves a chi-square of fewer degrees (Satterthwaite).
        per_energy = per_energy + TOLERATED_SHARE**2 * length2[:, None] / n_energy
        tolerated = per_energy.sum(axis=1) / length2
        degrees = freedom * per_energy.sum(axis=1) ** 2 / (n_energy * (per_energy**2).sum(axis=1))
        believed[known] = believed_excess(degrees * squares / length2 / tolerated, degrees, tolerated)
    return MisfitError(share, HIDDEN * np.sqrt(believed))


def own_error(
    residual_od: F64,
    variance: F64,
    cathode_od: F64,
    design: F64,
    response: F64,
    mean_od: F64,
) -> F64:
    """Error (PARTICLE,) of states of charge by what single images do to a particle: rows that jump, a rim that moves.

    Such an error is another at each energy, in proportion to the optical density of the particle as a whole, rims
    included. How large it is shows in what the fit leaves over of all of it. NaN where nothing is left over to see it.

    Parameters
    ----------
    residual_od, variance
        (PARTICLE, ENERGY) measured less fitted, less what blur leaves over, and its variance by noise
    cathode_od
        (PARTICLE, ENERGY) what the end-members explain; these three are sums over all pixels of a particle
    design
        (ENERGY, TERM)
    response
        (PARTICLE, ENERGY) change of the state of charge with the mean optical density
    mean_od
        (PARTICLE, ENERGY) that of the end-members
    """
    freedom = len(design) - design.shape[1]
    found = np.full(len(residual_od), np.nan)
    known = np.isfinite(residual_od).all(axis=1) & (variance > 0.0).all(axis=1) & (cathode_od > 0.0).all(axis=1)
    if freedom > 0 and known.any():
        noise = len(design) / (cathode_od[known] ** 2 / variance[known]).sum(axis=1)
        chi2 = (residual_od[known] ** 2 / variance[known]).sum(axis=1)
        share2 = believed_excess(chi2, np.full(len(chi2), float(freedom)), noise)
        # What images do, they do to all particles: one in which few energies show little of it has it all the same.
        share2 = np.maximum(share2, np.median(share2))
        found[known] = np.sqrt(share2 * ((response[known] * mean_od[known]) ** 2).sum(axis=1))
    return found


def left_of_film(design: F64, energy_ev: F64) -> F64:
    """What a fit with terms (ENERGY, TERM) leaves over (ENERGY,) of a film of carbon whose mean optical density is 1.

    Carbon absorbs with the photon energy to minus 3 above its edge; the fit has a constant for it.
    """
    film = background_columns(energy_ev, "power_law") @ np.ones(2)
    return np.asarray(film - design @ np.linalg.lstsq(design, film, rcond=None)[0], dtype=np.float64)


def shapes_with_errors(od: F64, beside_od: F64 | None, shift_od: F64 | None) -> list[F64]:
    """Shapes (PARTICLE, ENERGY) that are no misfit, what errors are largest first: shift, saturation, background."""
    shapes = [] if shift_od is None else [shift_od[-1] - shift_od[0]]
    shapes.append(light_beside_od(od))
    if beside_od is not None and beside_od.any():
        shapes.append(np.broadcast_to(beside_od, od.shape))
    return shapes
