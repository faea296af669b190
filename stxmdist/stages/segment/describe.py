"""From the maps of one scan to the rows of its particles: knows only arrays.

It stands beside its stage, because it needs spectra, particles and the point spread function at once, and those rooms
do not know one another.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy import ndimage

from stxmdist.arrays import F64, I32, I64, U8, Mask, MaskClass, Real
from stxmdist.particles.chemistry import PointSpread, reach_of
from stxmdist.particles.inside import ChemicalMaps, counted_classes
from stxmdist.particles.psf_bias import psf_bias
from stxmdist.particles.segment import segment, without_gaps
from stxmdist.particles.table import particle_table, with_flag
from stxmdist.pixel_pitch import pixel_pitch_nm
from stxmdist.spectra.align.aligned_stack import whole_energies
from stxmdist.spectra.checks.classes import ClassOptions, edge_zone
from stxmdist.spectra.checks.component_count import ComponentCount, CountOptions, ReadPixels, count_components
from stxmdist.spectra.checks.systematics import (
    SocSensitivity,
    shared_od_variance,
    soc_sensitivity,
    systematic_soc_error,
)
from stxmdist.spectra.density.mean_spectrum import soc_effects
from stxmdist.spectra.end_members.design_matrix import Background
from stxmdist.spectra.fitting.model import SpectralModel
from stxmdist.spectra.fitting.patterns import model_at
from stxmdist.stages.segment.options import Options

ReadFor: TypeAlias = Callable[[SpectralModel], ReadPixels]
"""Gives what reads the fitted pixels of a stack at the energies of a model"""

MISSING_COMPONENT = "missing component"
"""Flag of a particle whose pixels hold more than the end-members."""


@dataclass(frozen=True, eq=False)
class FittedScan:
    """The maps of one scan as the fit leaves them, and what their errors rest on."""

    y_um: F64
    """(Y,)"""
    x_um: F64
    """(X,)"""
    thickness_nm: Real
    """(COMPONENT, Y, X) in the end-members' unit"""
    thickness_covariance: Real
    """(3, Y, X): 00, 01, 11"""
    soc: Real
    """(Y, X)"""
    soc_se: Real
    """(Y, X)"""
    mask_class: U8
    """(Y, X), edges not yet"""
    noise_correlation_px2: float
    i0_relative_variance: F64
    """(ENERGY used,) Var(I0)/I0^2"""
    modality: str

    @property
    def pixel_nm(self) -> float:
        """Pitch of the pixels, the mean of both axes; of a line scan the one that it has."""
        return pixel_pitch_nm(self.y_um, self.x_um)


@dataclass(frozen=True, eq=False)
class DescribedScan:
    """The particles of one scan."""

    table: pd.DataFrame
    """One row per PARTICLE, without the scan's conditions"""
    labels: I32
    """(Y, X), -1 where nothing is known"""
    mask_class: U8
    """(Y, X) with edges"""
    psf_sigma_nm: float


def described(
    scan: FittedScan, model: SpectralModel, options: Options, background: Background, classes: ClassOptions
) -> DescribedScan:
    """Find the particles of a scan's maps and describe each; ``background`` and ``classes`` are those of the fit."""
    fitted, pixel_nm = scan.mask_class, scan.pixel_nm
    known = ~np.isin(fitted, (MaskClass.missing, MaskClass.outside)) & np.isfinite(scan.thickness_nm).all(axis=0)
    psf_nm = options.sigma_nm(scan.modality)
    nominal = nominal_nm(model, classes)
    thickness_nm = scan.thickness_nm * np.float32(nominal)
    labels = segment(np.where(known, thickness_nm.sum(axis=0), np.nan), known, pixel_nm, options.segment)
    at_edge = edge_zone(labels > 0, pixel_nm, options.edge_sigmas * psf_nm)
    mask = np.where(at_edge & (fitted == MaskClass.valid), np.uint8(MaskClass.edge), fitted)
    shrunk = options.edge_policy == "shrink"
    if shrunk:
        labels = without_gaps(np.where(at_edge, 0, labels))
    sensitivity = _sensitivity(scan, labels, model, background)
    # Drawn-in outlines lie where nothing is lost over them: no skirt is to be added, and no rim to be modelled.
    reach = labels if shrunk else reach_of(labels, psf_nm / pixel_nm)
    imaging = PointSpread(psf_nm / pixel_nm)
    if options.correct_psf_bias and not shrunk and (labels > 0).any():
        per_nm = model.design.copy()
        per_nm[:, :2] /= nominal
        bias = psf_bias(
            labels,
            thickness_nm,
            psf=options.kernel(scan.modality, pixel_nm),
            design_per_nm=per_nm,
            weights=model.effective_counts,
            known=known,
            reach=reach,
            interior=mask == MaskClass.valid,
        )
        imaging = replace(imaging, soc_bias=bias.soc, gain=bias.gain, variance=bias.variance)
    maps = ChemicalMaps(
        thickness_nm,
        scan.thickness_covariance * np.float32(nominal**2),
        scan.soc,
        scan.soc_se,
        counted_classes(mask, thickness_nm, classes.least_counts),
        scan.noise_correlation_px2,
    )
    systematic = systematic_soc_error(
        sensitivity,
        shift_se_ev=model.shift.se_ev,
        leak_sd=options.leak_sd if scan.modality == "stxm" else 0.0,
        end_member_sd=sensitivity.end_members if options.end_member_sd is None else options.end_member_sd,
    )
    table = particle_table(
        labels,
        scan.y_um,
        scan.x_um,
        maps,
        known=known,
        reach=reach,
        soc_se_sys=systematic,
        psf=imaging,
        options=options.chemistry,
    )
    table["soc_per_ev"] = sensitivity.energy_per_ev
    table["soc_per_leak"] = sensitivity.leak
    table["soc_per_i0"] = sensitivity.i0
    if model.end_members.thickness_unit == "reference":
        table["thickness_reference"] = table["thickness_nm"] / nominal
        table["thickness_nm"] = np.nan
    return DescribedScan(table, np.where(known, labels, np.int32(-1)), mask, psf_nm)


def nominal_nm(model: SpectralModel, classes: ClassOptions) -> float:
    """By what thickness is multiplied so that limits in nm can be applied to it: 1 where it is in nm.

    Where it counts reference samples, nobody knows their thickness. Limits in nm stand for steps of optical density at
    the edge then: the least thickness of the fit's classes for the least step of the same.
    """
    if model.end_members.thickness_unit == "nm":
        return 1.0
    step = float(np.ptp(model.design[:, :2], axis=0).mean())
    return step * classes.least_thickness_nm / classes.least_od_jump


def _sensitivity(scan: FittedScan, labels: I32, model: SpectralModel, background: Background) -> SocSensitivity:
    """What each error that the stack shares does to each particle, at its mean thicknesses."""
    ids = np.unique(labels[labels > 0])
    means = np.empty((2, 0))
    if ids.size:
        means = np.stack([ndimage.mean(np.nan_to_num(part), labels, ids) for part in scan.thickness_nm])
    return soc_sensitivity(
        means,
        model.end_members,
        model.energy_ev,
        model.effective_counts,
        shift_ev=model.shift_ev,
        background=background,
        i0_relative_variance=scan.i0_relative_variance,
    )


def counted(
    scan: FittedScan,
    found: DescribedScan,
    model: SpectralModel,
    read: ReadFor,
    chi2_reduced: Real,
    options: CountOptions,
    known_share: F64 | None = None,
) -> ComponentCount:
    """Whether the described particles hold more than the end-members; only pixels of class valid take part.

    ``read`` gives, for a model, the fitted pixels of some rows of the stack, ``chi2_reduced`` (Y, X) is that of the
    fit. Residuals are compared at the same energies in all pixels: those that ``known_share`` (ENERGY,), the share of
    the field with numbers, shows to be whole.
    """
    whole = whole_energies(model.used, known_share)[model.used]
    if not whole.all() and whole.sum() >= model.design.shape[1]:
        at_whole = replace(scan, i0_relative_variance=scan.i0_relative_variance[whole])
        count = counted(at_whole, found, model_at(model, whole), read, chi2_reduced, options)
        return replace(count, missing_od=_with_gaps(count.missing_od, whole))
    particle, n_particles = particle_numbers(found.labels, found.mask_class)
    thickness = scan.thickness_nm[:, particle >= 0]
    shared_variance = shared_od_variance(
        thickness.mean(axis=1) if thickness.size else np.zeros(2),
        model.end_members,
        model.energy_ev,
        shift_ev=model.shift_ev,
        shift_se_ev=model.shift.se_ev,
        i0_relative_variance=scan.i0_relative_variance,
    )
    return count_components(
        read(model),
        particle,
        n_particles,
        design=model.design,
        energy_ev=model.energy_ev,
        effective_counts=model.effective_counts,
        shared_variance=shared_variance,
        chi2_reduced=chi2_reduced,
        noise_correlation_px2=scan.noise_correlation_px2,
        options=options,
    )


def _with_gaps(spectrum: F64 | None, known: Mask) -> F64 | None:
    """A spectrum of the ``known`` energies (ENERGY,) at all of them, NaN elsewhere; no spectrum stays none."""
    if spectrum is None or spectrum.ndim == 0:
        return spectrum
    filled = np.full(known.shape, np.nan)
    filled[known] = spectrum
    return filled


def particle_numbers(labels: I32, mask_class: U8) -> tuple[I64, int]:
    """Number (Y, X) of each pixel's particle from 0, -1 for pixels that are not valid ones of a particle; how many
    there are.
    """
    present = np.unique(labels[labels > 0])
    valid = (labels > 0) & (mask_class == MaskClass.valid)
    return np.where(valid, np.searchsorted(present, labels), -1).astype(np.int64), int(present.size)


def with_count(table: pd.DataFrame, count: ComponentCount) -> pd.DataFrame:
    """The particle table with the columns of the component count, and a flag where a component is missing."""
    return with_flag(table.assign(**count.columns()), MISSING_COMPONENT, count.components > 2.0)


def soc_effect_of_corrections(
    mean_od: F64 | None, without: Mapping[str, F64] | None, model: SpectralModel
) -> dict[str, float | None]:
    """By how much each correction in counts changes the state of charge of the scan's mean spectrum.

    ``mean_od`` (ENERGY,) has all corrections, ``without`` lacks one each; None where nothing was corrected.
    """
    if mean_od is None or not without:
        return {}
    absorption = np.full((2, len(model.used)), np.nan)
    absorption[:, model.used] = model.design[:, :2].T
    return soc_effects(mean_od, without, absorption)
