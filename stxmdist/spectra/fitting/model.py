"""The linear model of optical density with which a stack is fitted: its end-members, energies and energy shift."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from stxmdist.arrays import F32, F64, U8, Mask
from stxmdist.errors import InputError
from stxmdist.spectra.checks.classes import ClassOptions
from stxmdist.spectra.checks.misfit import mean_misfit_od
from stxmdist.spectra.edges import in_words
from stxmdist.spectra.end_members.design_matrix import (
    Background,
    background_columns,
    check_design,
    design_matrix,
    design_slope,
)
from stxmdist.spectra.end_members.energy_shift import EnergyShift, energy_shift
from stxmdist.spectra.end_members.mean_errors import AROUND_PARTICLES, LightBeside
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.end_members.shift_of_particles import ParticleSpectra
from stxmdist.spectra.fitters.contract import FITTERS
from stxmdist.spectra.fitting.background_choice import (
    BackgroundChoice,
    BackgroundOption,
    MeanSpectrum,
    choose_background,
)
from stxmdist.spectra.fitting.film_scatter import FilmScatter, film_scatter

_LEAST_MEAN_OD = -0.05
"""In a field without particles, noise alone keeps the mean optical density above this"""


@dataclass(frozen=True)
class ModelOptions:
    """What the spectral model of a stack holds, and how its energy scale is corrected."""

    background: BackgroundOption = "auto"
    """What is fitted beside the end-members: ``none``, ``constant``, ``power_law`` (a constant and a power law), or
    ``auto``: what the stack's mean spectrum needs, above all before the edge, and a constant where a film shows between
    the particles
    """
    fit_energy_shift: bool = True
    """Whether the energy scale of each stack may be off; its shift is found from the stack's mean spectrum"""
    largest_energy_shift_ev: float = 0.6
    """A larger energy shift, up or down, is not looked for"""
    energy_shift_sd_ev: float = 0.2
    """How far monochromators are usually off: the standard deviation of the prior, which decides where energies are few
    """
    pre_edge_below_ev: float | None = None
    """Each pixel's mean optical density before this energy is subtracted first, and that of the end-members too; None:
    it is not. This removes films and binders from scans of one edge with energies before it; a ``constant`` background
    is found from all energies instead
    """

    @property
    def least_background(self) -> Background:
        """What is fitted beside the end-members at least: nothing where the data decide."""
        return "none" if self.background == "auto" else self.background

    @property
    def takes_up_constant(self) -> bool:
        """Whether what absorbs alike at all energies does not disturb the end-members."""
        return self.background != "none" or self.pre_edge_below_ev is not None


@dataclass(frozen=True)
class FitChoices(ModelOptions):
    """The options of a fit on which the description of its particles rests, too."""

    classes: ClassOptions = field(default_factory=ClassOptions)
    """The limits beyond which a pixel is not used"""
    fitter: str = "poisson"
    """Maximum likelihood of counted photons (``poisson``; with thicknesses not below zero, ``poisson_non_negative``;
    with an energy shift or a covered share of every pixel's own, ``poisson_shift`` and ``fill_factor``); least squares
    of optical density (``least_squares``, ``nnls``, ``sum_to_one``, with the phase ``complex``); two energies
    (``two_energy``, ``polar_angle``); peaks (``white_line``, ``l3_l2``)
    """
    fitter_ptychography: str | None = None
    """Another fitter for ptychography scans, such as ``complex``; None: the same one"""

    def __post_init__(self) -> None:
        FITTERS.require(self.fitter, where="fitter")
        if self.fitter_ptychography is not None:
            FITTERS.require(self.fitter_ptychography, where="fitter_ptychography")

    def fitter_of(self, modality: str) -> str:
        """Name of the fitter for scans of a modality."""
        other = self.fitter_ptychography if modality == "ptychography" else None
        return other or self.fitter

    def model_options(self, modality: str) -> ModelOptions:
        """What the model of a scan holds: where the fitter has no room for a background, none is chosen for it."""
        if self.background == "auto" and FITTERS[self.fitter_of(modality)].two_energies:
            return replace(self, background="none")
        return self


@dataclass(frozen=True, eq=False)
class StackSummary:
    """What alignment knows of a stack as a whole; every array is (ENERGY,)."""

    energy_ev: F64
    mean_od: F64
    """Of the inside of particles"""
    mean_od_variance: F64
    effective_counts: F64
    """Photons per pixel at full transmission"""
    energy_used: U8
    """1 where the energy was measured"""
    particles: ParticleSpectra | None = None
    """Spectra of single particles; None: the energy scale rests on their mean"""
    light: LightBeside = AROUND_PARTICLES
    """What passes beside particles"""
    field_transmission: Callable[[], F32] | None = None
    """Reads the transmission (ENERGY, Y, X) of a part of the field; None: whether a film is there is not looked at"""


@dataclass(frozen=True, eq=False)
class SpectralModel:
    """The linear model of optical density that one stack is fitted with."""

    end_members: EndMembers
    used: Mask
    """(ENERGY,) energies that take part"""
    energy_ev: F64
    """(ENERGY used,)"""
    effective_counts: F64
    """(ENERGY used,) photons per pixel at full transmission"""
    mean_od: F64
    """(ENERGY used,) optical density of the inside of particles, less its mean before the edge where that is taken off
    """
    design: F64
    """(ENERGY used, TERM) optical density per nm"""
    slope: F64
    """(ENERGY used, TERM) its derivative by energy, per eV"""
    shift_ev: float
    """This was added to the stack's energies"""
    shift: EnergyShift
    """The shift that the mean spectrum suggests, whether or not it was used"""
    background: BackgroundChoice
    """What is fitted beside the end-members, why, and what is not known of it"""
    misfit_od: F64
    """(ENERGY used,) what this model leaves over of the mean spectrum; NaN where not known"""
    beside_od: F64
    """(ENERGY used,) what it finds there beside the end-members"""
    before_edge: Mask | None = None
    """(ENERGY used,) energies whose mean is taken off every pixel; None: nothing is"""

    @property
    def cathode_od(self) -> F64:
        """(ENERGY used,) what the end-members explain of the mean spectrum."""
        return self.mean_od - self.misfit_od - self.beside_od

    @property
    def fitted_background(self) -> Background:
        """The shape over energy of what is fitted beside the end-members."""
        return self.background.background


def model_of_stack(
    scan_id: str, stack: StackSummary, members: EndMembers, options: ModelOptions, also_there: str = ""
) -> SpectralModel:
    """The model of a stack with its end-members; ``also_there`` ends the advice where they do not span its energies.

    Energies that the end-members do not span (with room for the energy shift) are left out. Where the pre-edge is taken
    off the pixels (``without_pre_edge``) it is taken off the end-members too.

    Raises
    ------
    InputError
        when too few energies are left, none of them lies before the edge, or the incident beam cannot be right
    """
    energy_ev = stack.energy_ev
    measured = (stack.energy_used == 1) & np.isfinite(stack.effective_counts)
    used = energies_to_fit(scan_id, energy_ev, measured, members, options, also_there)
    mean_od = stack.mean_od[used]
    _refuse_bright(scan_id, mean_od)
    shift = energy_shift(
        stack.mean_od,
        stack.mean_od_variance,
        energy_ev,
        members,
        used,
        largest_energy_shift_ev=options.largest_energy_shift_ev,
        energy_shift_sd_ev=options.energy_shift_sd_ev,
        particles=stack.particles,
        light=stack.light,
    )
    shift_ev = shift.shift_ev if options.fit_energy_shift else 0.0
    # Where the shift is not fitted, what is possible lies around the one that is taken.
    shift = replace(shift, nodes_ev=shift.nodes_ev - shift.shift_ev + shift_ev)
    before = pre_edge(scan_id, energy_ev[used], options.pre_edge_below_ev)
    columns, slope = design_matrix(members, energy_ev[used], shift_ev), design_slope(members, energy_ev[used], shift_ev)
    shifted = np.stack([members.held_at(energy_ev[used], float(at)).T for at in shift.nodes_ev])
    if before is not None:
        columns -= columns[before].mean(axis=0)
        shifted -= shifted[:, before].mean(axis=1, keepdims=True)
        slope -= slope[before].mean(axis=0)
        mean_od = mean_od - mean_od[before].mean()
    spectrum = MeanSpectrum(energy_ev[used], mean_od, stack.mean_od_variance[used], columns, shifted, stack.light)
    film = _film_between(stack, used, columns) if options.background == "auto" and before is None else None
    background = choose_background(spectrum, options.background, film)
    extra = background_columns(energy_ev[used], background.background)
    design = np.concatenate([columns, extra], axis=1)
    check_design(design, where=f"fit of {scan_id}")
    left, beside = mean_misfit_od(mean_od, design, stack.effective_counts[used])
    return SpectralModel(
        end_members=members,
        used=used,
        energy_ev=energy_ev[used],
        effective_counts=stack.effective_counts[used],
        mean_od=mean_od,
        design=design,
        slope=np.concatenate([slope, np.zeros_like(extra)], axis=1),
        shift_ev=shift_ev,
        shift=shift,
        background=background,
        misfit_od=left,
        beside_od=beside,
        before_edge=before,
    )


def _film_between(stack: StackSummary, used: Mask, end_members: F64) -> FilmScatter | None:
    """The film between the particles of a stack, where its pixels can be read."""
    if stack.field_transmission is None:
        return None
    transmission = stack.field_transmission()[used]
    return film_scatter(transmission, stack.effective_counts[used], end_members, stack.mean_od[used])


def film_covariance(model: SpectralModel) -> tuple[float, float]:
    """Of the noise of one pixel like the stack's mean: covariance of total thickness with the constant that is fitted
    beside it, and variance of the latter; 0 and 0 where none is fitted.

    Source: inverse of the Fisher matrix of counted photons, design^T diag(N T) design.
    """
    if model.design.shape[1] < 3:
        return 0.0, 0.0
    counts = model.effective_counts * np.exp(-np.nan_to_num(model.mean_od))
    covariance = np.linalg.inv(model.design.T @ (counts[:, None] * model.design))
    return float(covariance[0, 2] + covariance[1, 2]), float(covariance[2, 2])


def energies_to_fit(
    scan_id: str, energy_ev: F64, measured: Mask, members: EndMembers, options: ModelOptions, also_there: str = ""
) -> Mask:
    """Which energies (ENERGY,) of a scan take part in its fit: measured, and spanned by the end-members.

    Raises
    ------
    InputError
        when they are fewer than the terms of the model
    """
    margin_ev = options.largest_energy_shift_ev if options.fit_energy_shift else 0.0
    used = np.asarray(measured & members.spans(energy_ev, margin_ev), dtype=np.bool_)
    least = 2 + background_columns(energy_ev[:1], options.least_background).shape[1]
    if used.sum() < least:
        low, high = members.energy_ev[[0, -1]]
        raise InputError(
            where=f"fit of {scan_id}",
            problem="too few energies lie inside the references",
            got=f"{int(used.sum())} of {len(energy_ev)} ({in_words(energy_ev)})",
            wanted=f"at least {least} between {low:.1f} and {high:.1f} eV ({members.source})",
            mend="Give the references of this edge in campaign.yaml (chemistry, references), or exclude the scan"
            + also_there,
        )
    return used


def refuse_unfittable(
    scan_id: str, energy_ev: F64, measured: Mask, members: EndMembers, options: ModelOptions, also_there: str = ""
) -> None:
    """Go as far as a fit does before it looks at a pixel: what would stop it is known from headers alone.

    Raises
    ------
    InputError
        as ``model_of_stack``, but for the incident beam
    """
    used = energies_to_fit(scan_id, energy_ev, measured, members, options, also_there)
    pre_edge(scan_id, energy_ev[used], options.pre_edge_below_ev)
    design_matrix(members, energy_ev[used], 0.0, options.least_background)


def _refuse_bright(scan_id: str, mean_od: F64) -> None:
    """Refuse a stack in which more light comes through the particles than falls on them: the incident beam is wrong."""
    known = mean_od[np.isfinite(mean_od)]
    if known.size and known.max() < _LEAST_MEAN_OD:
        raise InputError(
            where=f"fit of {scan_id}",
            problem="the incident beam is weaker than what came through the sample",
            got=f"mean optical density of the particles {known.min():.2f} to {known.max():.2f}",
            wanted="optical densities above 0",
            mend="Correct the spectrum of the incident beam (stages: absorbance: i0, references: i0)",
        )


def pre_edge(scan_id: str, energy_ev: F64, below_ev: float | None) -> Mask | None:
    """Which energies (ENERGY used,) lie before the edge; None where nothing is to be taken off.

    Raises
    ------
    InputError
        when none does.
    """
    if below_ev is None:
        return None
    before = np.asarray(energy_ev < below_ev, dtype=np.bool_)
    if not before.any():
        raise InputError(
            where=f"fit of {scan_id}",
            problem="no energy lies before the edge, where the pre-edge would be taken from",
            got=f"{len(energy_ev)} energies from {energy_ev.min():.1f} to {energy_ev.max():.1f} eV",
            wanted=f"at least one below {below_ev:g} eV",
            mend="Correct stages: fit: pre_edge_below_ev in campaign.yaml, or run scans of other edges as a campaign "
            "of their own",
        )
    return before


def without_pre_edge(transmission: F32, before_edge: Mask | None) -> tuple[F32, F32]:
    """Transmission (ENERGY, PIXEL) over its mean before the edge, and that mean (PIXEL,); 1 where nothing is taken off.

    What absorbs alike on both sides of the edge (a film, a binder) is gone then. The photons per pixel fall by the
    factor that is divided by.
    """
    if before_edge is None:
        return transmission, np.ones(transmission.shape[1], np.float32)
    mean = transmission[before_edge].mean(axis=0)
    level = np.where(mean > 0.0, mean, np.nan).astype(np.float32)
    return transmission / level, level
