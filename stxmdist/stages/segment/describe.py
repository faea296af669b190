"""From the maps of one scan to the rows of its particles: knows only arrays.

It stands beside its stage, because it needs spectra, particles and the point spread function at once, and those rooms
do not know one another. It is longer than 400 lines because particles are found and described from the same maps.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import pandas as pd

from stxmdist.arrays import F64, I32, I64, U8, Mask, MaskClass, Real
from stxmdist.particles.across import part_across
from stxmdist.particles.chemistry import PointSpread, reach_of
from stxmdist.particles.cracked import join_cracked
from stxmdist.particles.inside import ChemicalMaps, counted_classes
from stxmdist.particles.metrics.engine import N_TWINS, MeasuredField
from stxmdist.particles.psf_bias import PsfBias, psf_bias
from stxmdist.particles.segment import segment, without_gaps
from stxmdist.particles.sharp_sizes import SharpSizes
from stxmdist.particles.size_doubts import third_phase_share
from stxmdist.particles.table import particle_table, with_flag
from stxmdist.pixel_pitch import pixel_pitch_nm
from stxmdist.spectra.align.aligned_stack import whole_energies
from stxmdist.spectra.checks.classes import (
    ClassOptions,
    edge_zone,
    judged_by_particle,
    most_chi2,
    od_range,
    without_blurred,
)
from stxmdist.spectra.checks.component_count import ComponentCount, CountOptions, ReadPixels, count_components
from stxmdist.spectra.checks.misfit import MisfitError, expected_misfit_chi2
from stxmdist.spectra.checks.systematics import (
    SocSensitivity,
    shared_od_variance,
    soc_sensitivity,
)
from stxmdist.spectra.checks.third_phase import ThirdPhaseBound
from stxmdist.spectra.fitting.model import SpectralModel
from stxmdist.spectra.fitting.patterns import model_at
from stxmdist.stages.segment.amplitudes import blur_of
from stxmdist.stages.segment.film import steady_thickness
from stxmdist.stages.segment.means import mean_of_particles, mean_thickness, sum_of_particles
from stxmdist.stages.segment.metrics import Description, left_over_of, plates_of, trusted_pixels, with_metrics
from stxmdist.stages.segment.misfits import misfit_of, own_of, third_phase_of
from stxmdist.stages.segment.nominal import nominal_nm
from stxmdist.stages.segment.options import MisfitOptions, Options
from stxmdist.stages.segment.sizes import sharp_sizes_of, sized, with_outlines
from stxmdist.stages.segment.systematic import imaging_doubt, systematic_errors

ReadFor: TypeAlias = Callable[[SpectralModel], ReadPixels]
"""Gives what reads the fitted pixels of a stack at the energies of a model"""

NOT_IN_NM = ("thickness_nm", "thickness_nm_se", "mass_um2_nm", "mass_um2_nm_se")
"""Columns that nobody knows where thickness counts reference samples."""
MISSING_COMPONENT = "missing component"
"""Flag of a particle whose pixels hold more than the end-members."""
MISFIT = "misfit"
"""Flag of a particle of which the end-members leave much over."""
GROSS_MISFIT = "gross misfit"
"""Flag of a particle that the end-members do not describe."""

ALONE = (MaskClass.valid, MaskClass.edge, MaskClass.background, MaskClass.low_count, MaskClass.poor_fit)
"""Classes of pixels that would say something were they of one plate"""
THIRD_PHASE = "third phase not excluded"
"""Flag of the particles of a scan whose energies would not show most third phases."""


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
    chi2_reduced: Real
    """(Y, X)"""
    mask_class: U8
    """(Y, X), edges not yet"""
    noise_correlation_px2: float
    i0_relative_variance: F64
    """(ENERGY used,) Var(I0)/I0^2"""
    modality: str
    background: Real | None = None
    """(Y, X) optical density of the constant background; None: none is known"""
    unfitted_film: Real | None = None
    """(Y, X) optical density of a film where none was fitted; None: one was fitted, or it cannot be told"""
    scan_id: str = ""
    """It decides the noise of homogeneous twins"""
    phase_rad: F64 | None = None
    """(Y, X) unwrapped phase of the transmission; None where only counts were measured"""
    n_twins: int = N_TWINS
    """Homogeneous twins of each particle; without any there are no errors and bands of metrics"""

    @property
    def pixel_nm(self) -> float:
        """Pitch of the pixels, the mean of both axes; of a line scan the one that it has."""
        return pixel_pitch_nm(self.y_um, self.x_um)


@dataclass(frozen=True, eq=False)
class Outlines:
    """The particles of one scan, and which of their pixels may be used."""

    labels: I32
    """(Y, X), -1 where nothing is known"""
    reach: I32
    """(Y, X) particles with what blur throws over their outlines"""
    mask_class: U8
    """(Y, X) with edges, pixels judged by their particle"""
    known: Mask
    """(Y, X)"""
    thickness_nm: Real
    """(COMPONENT, Y, X); nominal where thickness counts reference samples"""
    psf_sigma_nm: float
    other: I32
    """(Y, X) where two plates lie that were parted, the one that ``labels`` does not say; 0 elsewhere"""


def outlined(scan: FittedScan, model: SpectralModel, options: Options, classes: ClassOptions) -> Outlines:
    """Find the particles of a scan's maps, and judge their pixels; ``classes`` are those of the fit."""
    fitted, pixel_nm = scan.mask_class, scan.pixel_nm
    known = ~np.isin(fitted, (MaskClass.missing, MaskClass.outside)) & np.isfinite(scan.thickness_nm).all(axis=0)
    psf_nm = options.sigma_nm(scan.modality)
    nominal, total = nominal_nm(model, classes), scan.thickness_nm.sum(axis=0)
    total = steady_thickness(total, scan.background, scan.unfitted_film, known, model)
    thickness_nm, total_nm = scan.thickness_nm * np.float32(nominal), np.where(known, nominal * total, np.nan)
    labels = segment(total_nm, known, pixel_nm, options.segment)
    labels = join_cracked(labels, total_nm, pixel_nm, psf_nm, options.join)
    across = part_across(labels, total_nm, known, pixel_nm, psf_nm, options.across)
    labels, other = across.labels, across.other
    at_edge = edge_zone(labels > 0, pixel_nm, options.edge_sigmas * psf_nm)
    strongest = od_range(model.design[:, :2], scan.thickness_nm)[0]
    tolerated = expected_misfit_chi2(
        strongest,
        np.zeros(len(model.design)),
        model.mean_od,
        model.design,
        model.effective_counts,
        classes.tolerated_misfit,
    )
    limit = most_chi2(classes, model.design.shape[0] - model.design.shape[1])
    judged = judged_by_particle(fitted, scan.chi2_reduced, labels, ~at_edge, limit, tolerated)
    mask = np.where(at_edge & (judged == MaskClass.valid), np.uint8(MaskClass.edge), judged)
    mask = np.where((other > 0) & np.isin(mask, ALONE), np.uint8(MaskClass.overlap), mask)
    if options.edge_policy == "shrink":
        # Drawn-in outlines lie where nothing is lost over them: no skirt is to be added.
        drawn_in = np.where(at_edge, 0, labels)
        labels, other = without_gaps(np.stack([drawn_in, np.where(np.isin(other, drawn_in), other, 0)]))
        reach = labels
    else:
        reach = reach_of(np.where(known, labels, 0), psf_nm / pixel_nm)
    return Outlines(np.where(known, labels, np.int32(-1)), reach, mask, known, thickness_nm, psf_nm, other)


def described(
    scan: FittedScan,
    found: Outlines,
    model: SpectralModel,
    options: Options,
    classes: ClassOptions,
    count: ComponentCount | None = None,
) -> Description:
    """One row for each particle that was found, without the scan's conditions; ``count`` None: it was not counted."""
    labels, mask, pixel_nm = np.maximum(found.labels, 0), found.mask_class, scan.pixel_nm
    nominal, shrunk = nominal_nm(model, classes), options.edge_policy == "shrink"
    means, sensitivity = mean_thickness(scan.thickness_nm, labels), _sensitivity(scan, labels, model)
    third = third_phase_of(means, np.unique(labels[labels > 0], return_counts=True)[1], model, sensitivity)
    imaging, bias, misfit = PointSpread(found.psf_sigma_nm / pixel_nm), None, misfit_of(means, model, count)
    per_nm, freedom = model.design.copy(), model.design.shape[0] - model.design.shape[1]
    per_nm[:, :2] /= nominal
    kernel, phase = blur_of(scan.modality, pixel_nm, model, options)
    summed = counted_classes(mask, found.thickness_nm, classes.least_counts)
    covariance_nm2, sizes = scan.thickness_covariance * np.float32(nominal**2), None
    optics = (per_nm, model.effective_counts, scan.modality, pixel_nm)
    if options.correct_psf_bias and not shrunk and (labels > 0).any():
        sizes, bias = _through_blur(scan, found, optics, covariance_nm2, (kernel, phase), options)
        film_od = sum_of_particles(scan.background, found.reach, bias.particle_id)
        own = own_of(count, bias.left_over_od, means, model, sensitivity, film_od, imaging_doubt(scan.modality))
        misfit = replace(misfit, soc_sd=np.fmax(misfit.soc_sd, own))
        imaging = PointSpread(imaging.sigma_px, bias.soc, bias.gain, bias.variance)
        summed = without_blurred(summed, scan.chi2_reduced, bias.chi2, most_chi2(classes, freedom))
    maps = ChemicalMaps(
        found.thickness_nm,
        covariance_nm2,
        scan.soc,
        scan.soc_se,
        summed,
        scan.noise_correlation_px2,
    )
    errors = systematic_errors(
        means,
        model,
        sensitivity,
        misfit,
        leak_sd=options.leak_sd if scan.modality == "stxm" else 0.0,
        end_member_sd=options.end_member_sd,
        imaging=imaging,
        imaging_doubt=imaging_doubt(scan.modality),
        background_od=mean_of_particles(scan.background, labels),
    )
    table = particle_table(
        labels,
        scan.y_um,
        scan.x_um,
        maps,
        known=found.known,
        reach=found.reach,
        soc_se_sys=errors.total,
        psf=imaging,
        options=options.chemistry,
    )
    table["soc_per_ev"], table["soc_per_leak"] = sensitivity.energy_per_ev, sensitivity.leak
    table = table.assign(
        soc_per_i0=sensitivity.i0, misfit_share=misfit.share, soc_third_bound=third.soc, **errors.columns()
    )
    if sizes is not None:
        table = sized(table, sizes, labels, maps, found.known, optics, options, found.other)
    field = _field(scan, found, model, per_nm, maps, bias, kernel, table, None if count is None else count.noise_excess)
    left_over = left_over_of(count, labels, mask == MaskClass.valid, scan.thickness_nm)
    whole = with_metrics(table, with_outlines(field, sizes), options.chemistry, left_over)
    table = whole.particles
    if model.end_members.thickness_unit == "reference":
        table["thickness_reference"] = table["thickness_nm"] / nominal
        for name in NOT_IN_NM:
            table[name] = np.nan
    return replace(whole, particles=_doubted(table, count, misfit, third, options.misfit), third=third)


def _through_blur(
    scan: FittedScan,
    found: Outlines,
    optics: tuple[F64, F64, str, float],
    covariance_nm2: Real,
    blur: tuple[F64, F64 | None],
    options: Options,
) -> tuple[SharpSizes | None, PsfBias]:
    """The particles as plates with sharp rims, and what imaging through the point spread function adds to them."""
    labels, thickness_nm, known = np.maximum(found.labels, 0), found.thickness_nm, found.known
    correlation_px2 = scan.noise_correlation_px2
    sizes = sharp_sizes_of(labels, thickness_nm, covariance_nm2, known, optics, correlation_px2, options, blur[1])
    bias = psf_bias(
        labels,
        thickness_nm,
        psf=blur[0],
        design_per_nm=optics[0],
        phase_per_nm=blur[1],
        weights=optics[1],
        known=known,
        reach=found.reach,
        interior=found.mask_class == MaskClass.valid,
        sharp_thickness_nm=None if sizes is None else sizes.thickness_nm,
    )
    return sizes, bias


def _doubted(
    table: pd.DataFrame,
    count: ComponentCount | None,
    misfit: MisfitError,
    third: ThirdPhaseBound,
    options: MisfitOptions,
) -> pd.DataFrame:
    """The table with flags of what the end-members leave over, and of what they would not leave over.

    Thicknesses and masses carry the doubt of phases beside the end-members.
    """
    missing = np.zeros(len(table), dtype=np.bool_) if count is None else count.components > 2.0
    unseen = third_phase_share(misfit.share, third.soc, missing)
    for name in ("thickness_nm", "mass_um2_nm"):
        if f"{name}_se" in table:
            table[f"{name}_se"] = np.hypot(table[f"{name}_se"], unseen * table[name])
    if count is not None:
        table = with_flag(table.assign(**count.columns()), MISSING_COMPONENT, missing)
    with np.errstate(invalid="ignore"):
        gross = misfit.share > options.gross_share
        table = with_flag(table, MISFIT, (misfit.share > options.least_share) & ~gross)
    table = with_flag(table, GROSS_MISFIT, gross)
    return with_flag(table, THIRD_PHASE, np.full(len(table), third.not_excluded))


def _field(
    scan: FittedScan,
    found: Outlines,
    model: SpectralModel,
    per_nm: F64,
    maps: ChemicalMaps,
    bias: PsfBias | None,
    kernel: F64,
    table: pd.DataFrame,
    noise_excess: F64 | None,
) -> MeasuredField:
    """What the metrics of the particles are measured on; their twins have the states of charge of the table."""
    mass_nm, homogeneous_nm, response = plates_of(bias, maps, found.reach, table)
    return MeasuredField(
        labels=np.maximum(found.labels, 0),
        reach=found.reach,
        interior=found.mask_class == MaskClass.valid,
        known=found.known,
        trusted=trusted_pixels(maps),
        thickness_nm=found.thickness_nm,
        covariance=maps.covariance,
        soc=scan.soc,
        mass_nm=mass_nm,
        homogeneous_nm=homogeneous_nm,
        response=response,
        particle_id=table["particle_id"].to_numpy(dtype=np.int64),
        level=table["soc_mean"].to_numpy(dtype=np.float64),
        design_per_nm=per_nm,
        effective_counts=model.effective_counts,
        psf=kernel,
        noise_correlation_px2=scan.noise_correlation_px2,
        pixel_nm=scan.pixel_nm,
        psf_sigma_nm=found.psf_sigma_nm,
        modality=scan.modality,
        scan_id=scan.scan_id,
        phase_rad=scan.phase_rad,
        n_twins=scan.n_twins,
        noise_excess=noise_excess,
    )


def _sensitivity(scan: FittedScan, labels: I32, model: SpectralModel) -> SocSensitivity:
    """What each error that the stack shares does to each particle, at its mean thicknesses."""
    return soc_sensitivity(
        mean_thickness(scan.thickness_nm, labels),
        model.end_members,
        model.energy_ev,
        model.effective_counts,
        shift_ev=model.shift_ev,
        background=model.fitted_background,
        i0_relative_variance=scan.i0_relative_variance,
    )


def counted(
    scan: FittedScan,
    found: Outlines,
    model: SpectralModel,
    read: ReadFor,
    options: CountOptions,
    known_share: F64 | None = None,
) -> ComponentCount:
    """Whether the particles hold more than the end-members; only pixels of class valid take part.

    ``read`` gives, for a model, the fitted pixels of some rows of the stack. Residuals are compared at the same
    energies in all pixels: those that ``known_share`` (ENERGY,), the share of the field with numbers, shows to be
    whole.
    """
    whole = whole_energies(model.used, known_share)[model.used]
    if not whole.all() and whole.sum() >= model.design.shape[1]:
        at_whole = replace(scan, i0_relative_variance=scan.i0_relative_variance[whole])
        count = counted(at_whole, found, model_at(model, whole), read, options)
        return replace(
            count,
            missing_od=_with_gaps(count.missing_od, whole),
            residual_od=_with_gaps(count.residual_od, whole),
            residual_variance=_with_gaps(count.residual_variance, whole),
            whole=None if count.whole is None else count.whole.at(whole),
        )
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
        chi2_reduced=scan.chi2_reduced,
        noise_correlation_px2=scan.noise_correlation_px2,
        reach=_numbers(np.where(found.known, found.reach, 0), found.labels),
        options=options,
    )


def _with_gaps(spectrum: F64 | None, known: Mask) -> F64 | None:
    """Spectra (..., ENERGY) of the ``known`` energies at all of them, NaN elsewhere; no spectrum stays none."""
    if spectrum is None or spectrum.ndim == 0:
        return spectrum
    filled = np.full((*spectrum.shape[:-1], known.size), np.nan)
    filled[..., known] = spectrum
    return filled


def particle_numbers(labels: I32, mask_class: U8) -> tuple[I64, int]:
    """Number (Y, X) of each pixel's particle from 0, -1 for pixels that are not valid ones of a particle; how many
    there are.
    """
    valid = (labels > 0) & (mask_class == MaskClass.valid)
    return np.where(valid, _numbers(labels, labels), -1), int(np.unique(labels[labels > 0]).size)


def _numbers(of: I32, labels: I32) -> I64:
    """Number (Y, X) from 0 of the particles of a map (Y, X) among all ``labels`` (Y, X); -1 where there is none."""
    present = np.unique(labels[labels > 0])
    return np.where(of > 0, np.searchsorted(present, of), -1).astype(np.int64)
