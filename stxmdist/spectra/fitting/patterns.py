"""The fit of pixels that were not measured at every energy: each with the energies that it has."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from stxmdist.arrays import F32, I64, Index, Mask
from stxmdist.errors import InputError
from stxmdist.spectra.fitters.contract import Fit, FitContext, FitOptions, FitterEntry
from stxmdist.spectra.fitting.model import SpectralModel, without_pre_edge


@dataclass(frozen=True, eq=False)
class PixelsFitted:
    """The fit of some pixels, and what it rests on."""

    fit: Fit
    transmission: F32
    """(ENERGY used, PIXEL) as it was fitted, less its pre-edge where that is taken off; NaN where not measured"""
    level: F32
    """(PIXEL,) mean transmission before the edge by which it was divided; 1 where it was not"""
    degrees_of_freedom: int | I64
    """Energies less terms, one number or (PIXEL,)"""
    too_few_energies: Mask
    """(PIXEL,) measured at fewer energies than can tell the terms apart"""


def fit_known_energies(
    entry: FitterEntry,
    transmission: F32,
    model: SpectralModel,
    options: FitOptions,
    context: FitContext,
    left_out: Mask,
) -> PixelsFitted:
    """Fit pixels of transmission (ENERGY used, PIXEL), NaN where not measured, with a fitter and a stack's model.

    All are fitted together first. Those that lack an energy, apart from the ``left_out`` (PIXEL,), are then fitted in
    groups that have the same energies, so that a whole stack costs nothing more. ``context`` is that of all energies.
    A fitter of two energies needs these two.
    """
    fitter = entry.load()
    ratio, level = without_pre_edge(transmission, model.before_edge)
    fit = fitter(ratio, model.effective_counts, model.design, options, context)
    terms = model.design.shape[1]
    freedom = len(model.design) - terms
    unfitted = np.flatnonzero(~np.isfinite(fit.coefficients).all(axis=0) & ~left_out)
    lacking = unfitted[~np.isfinite(transmission[:, unfitted]).all(axis=0)]
    too_few = np.zeros(transmission.shape[1], dtype=np.bool_)
    if not lacking.size:
        return PixelsFitted(fit, ratio, level, freedom, too_few)
    if entry.two_energies:
        too_few[lacking] = True
        return PixelsFitted(fit, ratio, level, freedom, too_few)
    per_pixel = np.full(transmission.shape[1], freedom, dtype=np.int64)
    # What the fitter returned may be read-only or shared with it.
    fit, level = _copied(fit), level.copy()
    if model.before_edge is not None:
        ratio = ratio.copy()
    for known, pixels in patterns(transmission[:, lacking]):
        here = lacking[pixels]
        per_pixel[here] = int(known.sum()) - terms
        part = transmission[np.ix_(known, here)]
        try:
            mine = model_at(model, known)
            part, level[here] = without_pre_edge(part, mine.before_edge)
            found = fitter(part, mine.effective_counts, mine.design, options, _part_of(context, known, here))
        except InputError:
            too_few[here] = True
            continue
        if model.before_edge is not None:
            ratio[:, here] = transmission[:, here] / level[here]
        _put(found, into=fit, at=here)
    return PixelsFitted(fit, ratio, level, per_pixel, too_few)


def patterns(transmission: F32) -> Iterator[tuple[Mask, Index]]:
    """Which energies (ENERGY,) are known, and the indices of all pixels that know just these, one group at a time.

    ``transmission`` is (ENERGY, PIXEL), NaN where not measured.
    """
    known = np.isfinite(transmission)
    _, first, group = np.unique(np.packbits(known, axis=0), axis=1, return_index=True, return_inverse=True)
    order = np.argsort(group.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(group.ravel()))
    for one, pixels in zip(first, np.split(order, ends[:-1]), strict=True):
        yield known[:, one], pixels


def model_at(model: SpectralModel, known: Mask) -> SpectralModel:
    """The model at some of its energies (ENERGY used,).

    Raises
    ------
    InputError
        with fewer energies than terms, or none before the edge where it is taken off
    """
    before = None if model.before_edge is None else model.before_edge[known]
    if known.sum() < model.design.shape[1] or (before is not None and not before.any()):
        raise InputError(
            where="fit",
            problem="too few energies were measured in these pixels",
            got=f"{int(known.sum())} energies",
            wanted=f"at least {model.design.shape[1]}",
            mend="Exclude the scan, or measure it again",
        )
    design, slope = model.design[known], model.slope[known]
    if before is not None:
        # The end-members' mean over all energies before the edge was taken off; here it is that of the known ones.
        design, slope = design.copy(), slope.copy()
        design[:, :2] -= design[before, :2].mean(axis=0)
        slope[:, :2] -= slope[before, :2].mean(axis=0)
    used = model.used.copy()
    used[model.used] = known
    return replace(
        model,
        used=used,
        energy_ev=model.energy_ev[known],
        effective_counts=model.effective_counts[known],
        mean_od=model.mean_od[known],
        design=design,
        slope=slope,
        before_edge=before,
    )


def _part_of(context: FitContext, known: Mask, pixels: Index) -> FitContext:
    return replace(
        context,
        energy_ev=None if context.energy_ev is None else context.energy_ev[known],
        mean_od=None if context.mean_od is None else context.mean_od[known],
        slope=None if context.slope is None else context.slope[known],
        phase=None if context.phase is None else context.phase[np.ix_(known, pixels)],
        phase_design=None if context.phase_design is None else context.phase_design[known],
    )


def _copied(fit: Fit) -> Fit:
    return Fit(
        fit.coefficients.copy(),
        fit.covariance.copy(),
        fit.chi2_reduced.copy(),
        {name: values.copy() for name, values in fit.maps.items()},
        None if fit.covered is None else fit.covered.copy(),
    )


def _put(found: Fit, *, into: Fit, at: Index) -> None:
    """Write the fit of some pixels into that of all."""
    into.coefficients[:, at] = found.coefficients
    into.covariance[:, :, at] = found.covariance
    into.chi2_reduced[at] = found.chi2_reduced
    for name, values in found.maps.items():
        into.maps[name][at] = values
    if into.covered is not None and found.covered is not None:
        into.covered[at] = found.covered
