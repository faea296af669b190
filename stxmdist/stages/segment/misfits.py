"""What the end-members leave over of each particle, and what of a third phase they would not leave over."""

import numpy as np

from stxmdist.arrays import F64, I64
from stxmdist.spectra.checks.component_count import ComponentCount
from stxmdist.spectra.checks.misfit import MisfitError, left_of_film, misfit_error, own_error
from stxmdist.spectra.checks.systematics import SocSensitivity
from stxmdist.spectra.checks.third_phase import (
    ThirdPhaseBound,
    displaced_phases,
    feigned_shift_ev,
    third_phase_bound,
)
from stxmdist.spectra.end_members.energy_shift import shift_covariance
from stxmdist.spectra.end_members.mean_errors import LIGHT_BESIDE_PARTICLES
from stxmdist.spectra.fitting.model import SpectralModel
from stxmdist.stages.segment.systematic import IMAGING_DOUBT


def misfit_of(means: F64, model: SpectralModel, count: ComponentCount | None) -> MisfitError:
    """What the misfit of each particle can do to it; that of the stack's mean spectrum where its own is not known.

    ``means`` (COMPONENT, PARTICLE) are mean thicknesses in the end-members' unit. What blur leaves over stays in: where
    it is large, other things are hidden by it.
    """
    left_over = np.nan_to_num(model.misfit_od)
    steepest = int(np.argmax(model.design[:, :2].sum(axis=1)))
    top = float(model.cathode_od[steepest])
    of_stack = np.outer(model.design[steepest, :2] @ means / top if top > 0.0 else np.zeros(means.shape[1]), left_over)
    left, variance = of_stack, np.zeros_like(of_stack)
    if count is not None and count.residual_od is not None and count.residual_variance is not None:
        own = np.isfinite(count.residual_od)
        left = np.where(own, count.residual_od, of_stack)
        variance = np.where(own, count.residual_variance, 0.0)
    return misfit_error(means, left, variance, model.design, model.background.doubt_od, _shift_od(means, model))


def own_of(
    count: ComponentCount | None,
    imaged_od: F64,
    means: F64,
    model: SpectralModel,
    sensitivity: SocSensitivity,
    film_od: F64 | None = None,
    imaging_doubt: float = IMAGING_DOUBT,
) -> F64:
    """Error (PARTICLE,) by what single images do to each particle; NaN where its pixels were not looked at.

    ``imaged_od`` (PARTICLE, ENERGY) is what blur alone leaves over of each, known to a share ``imaging_doubt``,
    ``means`` (COMPONENT, PARTICLE) are mean thicknesses in the end-members' unit, and ``film_od`` (PARTICLE,) is the
    constant that was fitted, as a sum over all of each: the film that makes it falls with energy as carbon does, and
    what a fit leaves of that is no jump.
    """
    if count is None or count.whole is None or model.fitted_background == "power_law":
        return np.full(means.shape[1], np.nan)
    whole = count.whole
    seen = np.isfinite(whole.residual_od).any(axis=0)
    expected = imaged_od
    if film_od is not None and model.fitted_background == "constant":
        expected = expected + np.outer(film_od, left_of_film(model.design, model.energy_ev))
    return own_error(
        (whole.residual_od - expected)[:, seen],
        (whole.variance + (imaging_doubt * imaged_od) ** 2)[:, seen],
        whole.od[:, seen],
        model.design[seen],
        sensitivity.response[:, seen],
        means.T @ model.design[seen, :2].T,
    )


def third_phase_of(means: F64, n_pixels: I64, model: SpectralModel, sensitivity: SocSensitivity) -> ThirdPhaseBound:
    """What of a third phase would go unnoticed in particles of ``n_pixels`` (PARTICLE,) with mean thicknesses."""
    phases = displaced_phases(model.end_members, model.energy_ev, model.shift_ev)
    if model.before_edge is not None:
        phases -= phases[:, model.before_edge].mean(axis=1, keepdims=True)
    od = means.T @ model.design[:, :2].T
    with np.errstate(over="ignore", divide="ignore"):
        variance = np.exp(od) / model.effective_counts / n_pixels[:, None]
    feigned = np.zeros(len(phases))
    known = np.isfinite(means).all(axis=0)
    mean = means[:, known] @ n_pixels[known] / max(n_pixels[known].sum(), 1)
    if model.shift.determined and mean.sum() > 0.0:
        mean_od, slope_od = model.design[:, :2] @ mean, model.slope[:, :2] @ mean
        noise = np.exp(mean_od) / model.effective_counts / n_pixels[known].sum()
        covariance = shift_covariance(mean_od, noise, model.energy_ev, LIGHT_BESIDE_PARTICLES)
        design = model.design[:, :2]
        feigned = feigned_shift_ev(phases * mean.sum(), slope_od, design, covariance, model.shift.prior_sd_ev)
    return third_phase_bound(
        phases,
        means,
        model.design,
        variance,
        _shift_od(means, model),
        sensitivity.response,
        sensitivity.energy_per_ev,
        feigned,
        model.shift.prior_sd_ev,
        model.background.doubt_od,
    )


def _shift_od(means: F64, model: SpectralModel) -> F64:
    """What equally likely errors of the energy scale change of each particle's optical density."""
    moved = np.stack([model.end_members.held_at(model.energy_ev, float(at)) for at in model.shift.nodes_ev])
    return np.asarray(np.einsum("sce,cp->spe", moved - model.end_members.at(model.energy_ev, model.shift_ev), means))
