"""The linear model of optical density with which a stack is fitted: its end-members, energies and energy shift."""

from dataclasses import dataclass, field

import numpy as np

from stxmdist.arrays import F32, F64, U8, Mask
from stxmdist.errors import InputError
from stxmdist.spectra.checks.classes import ClassOptions
from stxmdist.spectra.edges import in_words
from stxmdist.spectra.end_members.design_matrix import Background, background_columns, design_matrix, design_slope
from stxmdist.spectra.end_members.energy_shift import EnergyShift, energy_shift
from stxmdist.spectra.end_members.references import EndMembers

_LEAST_MEAN_OD = -0.05
"""In a field without particles, noise alone keeps the mean optical density above this"""


@dataclass(frozen=True)
class ModelOptions:
    """What the spectral model of a stack holds, and how its energy scale is corrected."""

    background: Background = "none"
    """The shape over energy of what absorbs beside the end-members"""
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
    def takes_up_constant(self) -> bool:
        """Whether what absorbs alike at all energies does not disturb the end-members."""
        return self.background != "none" or self.pre_edge_below_ev is not None


@dataclass(frozen=True)
class FitChoices(ModelOptions):
    """The options of a fit on which the description of its particles rests, too."""

    classes: ClassOptions = field(default_factory=ClassOptions)
    """The limits beyond which a pixel is not used"""


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
    before_edge: Mask | None = None
    """(ENERGY used,) energies whose mean is taken off every pixel; None: nothing is"""


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
    )
    shift_ev = shift.shift_ev if options.fit_energy_shift else 0.0
    design = design_matrix(members, energy_ev[used], shift_ev, options.background)
    slope = design_slope(members, energy_ev[used], shift_ev, options.background)
    before = pre_edge(scan_id, energy_ev[used], options.pre_edge_below_ev)
    if before is not None:
        design[:, :2] -= design[before, :2].mean(axis=0)
        slope[:, :2] -= slope[before, :2].mean(axis=0)
        mean_od = mean_od - mean_od[before].mean()
    return SpectralModel(
        end_members=members,
        used=used,
        energy_ev=energy_ev[used],
        effective_counts=stack.effective_counts[used],
        mean_od=mean_od,
        design=design,
        slope=slope,
        shift_ev=shift_ev,
        shift=shift,
        before_edge=before,
    )


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
    least = 2 + background_columns(energy_ev[:1], options.background).shape[1]
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
    design_matrix(members, energy_ev[used], 0.0, options.background)


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
