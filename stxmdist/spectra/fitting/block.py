"""The fit of a block of pixels: thicknesses, state of charge, mask classes, and how well the end-members explain it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stxmdist.arrays import F32, F64, U8, Mask, MaskClass
from stxmdist.measures import FitMeasures
from stxmdist.spectra.checks.classes import ClassOptions, classify, od_range
from stxmdist.spectra.end_members.dispersion import phase_per_nm
from stxmdist.spectra.fitters.contract import (
    FITTERS,
    Fit,
    FitContext,
    FitOptions,
    mean_residual,
    r_factor,
    state_of_charge,
)
from stxmdist.spectra.fitters.fill_factor import as_if_covered
from stxmdist.spectra.fitting.model import SpectralModel
from stxmdist.spectra.fitting.patterns import PixelsFitted, fit_known_energies

LEAST_COUNTS = -5.0
"""A pixel with fewer counts than this in any image is below what noise about zero gives: its dark level is wrong"""

LEAST_COUNTED = 0.5
"""For fitters that take logarithms, fewer counts than this are none"""


@dataclass(frozen=True, eq=False)
class StackBlock:
    """Some rows of an aligned stack, at all of its energies."""

    transmission: F32
    """(ENERGY, Y, X) float32, NaN where not known"""
    aligned_class: U8
    """(Y, X) mask class of each pixel after alignment"""
    phase: F32 | None = None
    """(ENERGY, Y, X) float32 in radians, 0 in vacuum; only for fitters that want it"""


@dataclass(frozen=True, eq=False)
class FittedBlock:
    """Maps of a block of pixels, (Y, X) float32 each unless said otherwise; NaN where not known."""

    thickness: F32
    """(COMPONENT, Y, X) of discharged and charged material, in the end-members' unit of thickness"""
    covariance: F32
    """(3, Y, X) of the two thicknesses: 00, 01, 11"""
    background: F32
    """Optical density of the constant background; 0 where none is fitted"""
    soc: F32
    """State of charge, not clipped"""
    soc_se: F32
    chi2_reduced: F32
    maps: Mapping[str, F32]
    """What the fitter found beside the coefficients, by the name of the array in the store"""
    mask_class: U8
    """Why a pixel carries no number. Pixels at edges are not marked yet: the outlines of particles are not known"""
    measures: FitMeasures
    """How well the end-members explain the block"""


def fit_block(
    block: StackBlock,
    model: SpectralModel,
    fitter: str,
    options: FitOptions | None = None,
    classes: ClassOptions | None = None,
    threads: int = 1,
) -> FittedBlock:
    """Fit every pixel of a block with a fitter of the table, and give each pixel its mask class.

    Where there is no particle the state of charge would be a ratio of noise to noise: it is NaN there, not zero.

    Raises
    ------
    InputError
        where the fitter cannot fit the stack: energies, terms or phase are missing
    """
    options, classes = options or FitOptions(), classes or ClassOptions()
    entry = FITTERS[fitter]
    shape = block.transmission.shape[1:]
    found = fit_known_energies(
        entry,
        _pixels(block.transmission, model.used),
        model,
        options,
        _context(block, model, threads),
        left_out=block.aligned_class.ravel() == MaskClass.outside,
    )
    fitted, transmission, level = found.fit, found.transmission, found.level
    # The fitter knows one number of photons for each energy; a pixel has fewer by its level before the edge.
    pairs = np.stack([fitted.covariance[0, 0], fitted.covariance[0, 1], fitted.covariance[1, 1]])
    covariance: F32 = np.asarray(pairs / level, dtype=np.float32)
    fitted = replace(fitted, chi2_reduced=fitted.chi2_reduced * level)
    found = replace(found, fit=fitted)
    thickness = fitted.coefficients[:2]
    soc, variance = state_of_charge(thickness, covariance)
    soc_se = np.sqrt(variance)
    mask_class = _classes(model, found, soc_se, block.aligned_class, classes)
    dark = has_fewer_counts(transmission, model.effective_counts, LEAST_COUNTS)
    if entry.takes_logarithms:
        dark |= has_fewer_counts(transmission, model.effective_counts, LEAST_COUNTED)
    mask_class[dark & np.isin(mask_class, (MaskClass.valid, MaskClass.poor_fit, MaskClass.thick))] = MaskClass.low_count
    unknown = np.isin(mask_class, (MaskClass.background, MaskClass.missing, MaskClass.outside))
    soc[unknown] = np.nan
    soc_se[unknown] = np.nan
    background = fitted.coefficients[2] if len(fitted.coefficients) > 2 else np.zeros(soc.shape, np.float32)
    return FittedBlock(
        thickness=thickness.reshape(2, *shape),
        covariance=covariance.reshape(3, *shape),
        background=background.reshape(shape),
        soc=soc.reshape(shape),
        soc_se=soc_se.reshape(shape),
        chi2_reduced=fitted.chi2_reduced.reshape(shape),
        maps={name: values.reshape(shape) for name, values in fitted.maps.items()},
        mask_class=mask_class.reshape(shape),
        measures=_measures(transmission, model, fitted, mask_class),
    )


def _pixels(stack: F32, used: Mask) -> F32:
    """Images (ENERGY, Y, X) as pixels (ENERGY used, PIXEL)."""
    pixels = stack.reshape(len(stack), -1)
    return pixels if used.all() else pixels[used]


def _context(block: StackBlock, model: SpectralModel, threads: int) -> FitContext:
    """What fitters want beside transmission, counts and design."""
    phase = phase_design = None
    if block.phase is not None:
        phase = _pixels(block.phase, model.used)
        phase_design = np.zeros(model.design.shape)
        phase_design[:, :2] = phase_per_nm(model.end_members, model.energy_ev, model.shift_ev).T
    # Where the mean spectrum has gaps, peaks are looked for in the end-members.
    mean_od = model.mean_od if np.isfinite(model.mean_od).all() else None
    return FitContext(model.energy_ev, mean_od, model.slope, phase, phase_design, threads=threads)


def has_fewer_counts(transmission: F32, effective_counts: F64, least: float) -> Mask:
    """Pixels (PIXEL,) in which fewer than ``least`` photons were counted in any image.

    ``transmission`` is (ENERGY, PIXEL) float32, ``effective_counts`` (ENERGY,) photons at full transmission.
    """
    return np.asarray((transmission < (least / effective_counts[:, None]).astype(np.float32)).any(axis=0))


def _classes(model: SpectralModel, found: PixelsFitted, soc_se: F32, aligned_class: U8, options: ClassOptions) -> U8:
    """Classes (PIXEL,) of a block."""
    fitted, level = found.fit, found.level
    thickness = fitted.coefficients[:2]
    strongest, jump, steepest = od_range(model.design[:, :2], thickness)
    # The light that is left depends on everything that absorbs, not on the cathode alone.
    od_max = strongest - np.log(level)
    aligned = aligned_class.ravel()
    return classify(
        jump,
        thickness_nm=thickness.sum(axis=0) if model.end_members.thickness_unit == "nm" else None,
        soc_se=soc_se,
        od_max=od_max,
        least_counts=model.effective_counts[steepest] * np.exp(-od_max),
        chi2_reduced=fitted.chi2_reduced,
        degrees_of_freedom=found.degrees_of_freedom,
        missing=(aligned == MaskClass.missing) | found.too_few_energies,
        outside=aligned == MaskClass.outside,
        options=options,
    )


def _measures(transmission: F32, model: SpectralModel, fitted: Fit, mask_class: U8) -> FitMeasures:
    """How well the end-members explain the valid pixels of a block."""
    good = mask_class == MaskClass.valid
    if fitted.covered is not None:
        transmission = as_if_covered(transmission, fitted.covered)
    residual, residual_se = mean_residual(transmission, fitted.coefficients, model.design, good)
    shares = r_factor(transmission[:, good], fitted.coefficients[:, good], model.design)
    return FitMeasures(
        energy_shift_ev=model.shift_ev,
        energy_shift_se_ev=model.shift.se_ev,
        energy_shift_note=model.shift.why,
        end_members=model.end_members.source,
        thickness_unit=model.end_members.thickness_unit,
        energies_used=int(model.used.sum()),
        energy_ev=model.energy_ev,
        pixels_valid=int(good.sum()),
        pixels={MaskClass(one).name: int((mask_class == one).sum()) for one in np.unique(mask_class)},
        chi2_reduced=_median(fitted.chi2_reduced[good]),
        r_factor=_median(shares),
        residual=residual,
        residual_se=residual_se,
    )


def _median(values: F32) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else None


def merged_measures(blocks: Sequence[FitMeasures]) -> FitMeasures:
    """The measures of a stack from those of its blocks, weighted by their valid pixels.

    What all blocks share (the energy shift, the end-members) is taken from the first, and so is the standard error of
    the residual: what is common to all pixels dominates it.
    """
    classes = dict.fromkeys(name for block in blocks for name in block.pixels)
    chi2 = [(one.chi2_reduced, one.pixels_valid) for one in blocks if one.chi2_reduced is not None]
    shares = [(one.r_factor, one.pixels_valid) for one in blocks if one.r_factor is not None]
    residuals = [(one.residual, one.pixels_valid) for one in blocks if one.residual is not None]
    residual = _weighted_mean(residuals)
    return replace(
        blocks[0],
        pixels={name: sum(block.pixels.get(name, 0) for block in blocks) for name in classes},
        pixels_valid=sum(block.pixels_valid for block in blocks),
        chi2_reduced=_number(_weighted_mean(chi2)),
        r_factor=_number(_weighted_mean(shares)),
        residual=residual,
    )


def _weighted_mean(found: Sequence[tuple[float | F64, int]]) -> F64 | None:
    """Mean of values, each with its number of valid pixels; None where there is no such pixel."""
    known = [(np.asarray(value, dtype=np.float64), float(pixels)) for value, pixels in found if pixels > 0]
    if not known:
        return None
    values, weights = zip(*known, strict=True)
    return np.asarray(np.average(np.stack(values), axis=0, weights=np.array(weights)))


def _number(value: F64 | None) -> float | None:
    return None if value is None else float(value)
