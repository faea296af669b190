"""End-member spectra: absorption of the discharged and the charged cathode, from the library or from files."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from stxmdist.arrays import F64, Mask
from stxmdist.errors import InputError
from stxmdist.spectra.end_members.edge_model import NM_PER_CM, atoms_of, molar_mass
from stxmdist.spectra.end_members.mass_scale import TABLES_SD, scale_to_mass
from stxmdist.spectra.end_members.reference_errors import ReferenceErrors, relative_position_error
from stxmdist.spectra.end_members.spectrum_file import read_spectrum_with_error

_COUNTS_NOT_OD = 10.0
"""No reference sample has an optical density above this: such values are counts, or an absorption coefficient"""
_MOST_PER_NM = 0.15
"""No solid absorbs more per nm, white lines included: such values are optical densities of a sample"""
_RISEN = 0.05
"""Share of its height by which a spectrum has risen where its edge begins"""
_LEAST_BEFORE = 5
"""Fewest energies before the edge from which noise is estimated"""
_SAME_INSTRUMENT_SD_EV = 0.05
"""Difference of the energy scales of two references of one beamtime; a common error is the energy shift of a stack"""
_SOFT_X_RAYS_EV = (40.0, 20000.0)


@dataclass(frozen=True, eq=False)
class EndMembers:
    """Absorption of the two end states of a cathode, always in the order (discharged, charged)."""

    energy_ev: F64
    """(ENERGY,) float64, ascending"""
    mu_per_nm: F64
    """(COMPONENT, ENERGY) float64: natural-log absorption per nm, or optical density per reference sample"""
    names: tuple[str, str]
    """(discharged, charged)"""
    source: str
    """Where the numbers come from; it contains ``modelled`` if they were not measured"""
    thickness_unit: Literal["nm", "reference"] = "nm"
    """``nm``: of the discharged phase with the same metal; ``reference``: 1.0 is as thick as the reference sample"""
    errors: ReferenceErrors | None = None
    """Errors of ``mu_per_nm``; None if they are not known"""
    control: str = ""
    """The expected result at an edge that does not follow the charge; empty at an edge that does"""
    flags: tuple[str, ...] = field(default=())
    """Warnings for the readers of results, e.g. that spectra look normalised"""
    density_g_cm3: tuple[float, float] | None = None
    """Mass of each state per volume of the discharged phase with the same metal; None if it is not known"""

    def at(self, energy_ev: F64, shift_ev: float = 0.0) -> F64:
        """Absorption (COMPONENT, ENERGY) float64 at the energies of a scan whose energy scale is off by ``shift_ev``.

        Where the monochromator reads E, the true energy is E + shift. Interpolation is cubic and monotone (PCHIP),
        which is smooth enough to differentiate along energy and does not overshoot in noisy references.

        Raises
        ------
        InputError
            if the shifted energies leave the range of the end-members
        """
        wanted = np.atleast_1d(np.asarray(energy_ev, dtype=np.float64)) + shift_ev
        # A tolerance of a thousandth of an eV, because energies in files are rounded.
        if wanted.size and (wanted.min() < self.energy_ev[0] - 1e-3 or wanted.max() > self.energy_ev[-1] + 1e-3):
            raise InputError(
                where=f"references ({self.source})",
                problem="the energies of the scan are outside the references",
                got=f"{wanted.min():.2f} to {wanted.max():.2f} eV (energy shift {shift_ev:+.2f} eV included)",
                wanted=f"within {self.energy_ev[0]:.2f} to {self.energy_ev[-1]:.2f} eV",
                mend="Give references that span the scan, or restrict the fit to the energies they share",
            )
        within = np.clip(wanted, self.energy_ev[0], self.energy_ev[-1])
        return np.asarray(self._interpolant(within), dtype=np.float64)

    def mass_absorption(self, energy_ev: F64) -> F64 | None:
        """Mass absorption mu/rho (COMPONENT, ENERGY) float64 in cm2/g; None if the density is not known.

        Raises
        ------
        InputError
            if the energies leave the range of the end-members
        """
        if self.density_g_cm3 is None:
            return None
        density = np.array(self.density_g_cm3)[:, None]
        return np.asarray(self.at(energy_ev) * NM_PER_CM / density, dtype=np.float64)

    @property
    def mu_sd_per_nm(self) -> F64 | None:
        """Standard deviation (COMPONENT, ENERGY) float64 of ``mu_per_nm``; None if it is not known."""
        return None if self.errors is None else self.errors.sd

    @cached_property
    def _interpolant(self) -> Callable[[F64], F64]:
        from scipy.interpolate import PchipInterpolator

        return PchipInterpolator(self.energy_ev, self.mu_per_nm, axis=1)  # type: ignore[no-any-return]

    def held_at(self, energy_ev: F64, shift_ev: float) -> F64:
        """As ``at`` with a shift (COMPONENT, ENERGY); beyond their ends the references are held, not refused.

        For shifts that might be and are not: where a scan reaches to the very ends of its references, any other shift
        looks beyond them.
        """
        return self.at(np.clip(np.asarray(energy_ev, dtype=np.float64) + shift_ev, *self.energy_ev[[0, -1]]))

    def spans(self, energy_ev: F64, margin_ev: float = 0.0) -> Mask:
        """Which energies (ENERGY,) lie within the references with a margin, which leaves room for an energy shift."""
        energy = np.asarray(energy_ev, dtype=np.float64)
        low, high = self.energy_ev[0] + margin_ev - 1e-3, self.energy_ev[-1] - margin_ev + 1e-3
        return np.asarray((energy >= low) & (energy <= high), dtype=np.bool_)


@dataclass(frozen=True)
class Compounds:
    """The compounds of two reference samples, with which their spectra are scaled to absorption per nm."""

    formulas: tuple[str, str]
    """(discharged, charged), e.g. LiFePO4 and FePO4"""
    density_g_cm3: float
    """Density of the discharged compound"""


def from_files(
    discharged: str | Path,
    charged: str | Path,
    names: tuple[str, str] = ("discharged", "charged"),
    thickness_unit: Literal["nm", "reference"] = "reference",
    compounds: Compounds | None = None,
) -> EndMembers:
    """End-members from two files of optical density against photon energy in eV, as measured on reference samples.

    Thickness then is in units of the reference sample: 1.0 absorbs as much as the reference. With
    ``thickness_unit="nm"`` the files are absorption per nm instead. With ``compounds`` each file is scaled to tabulated
    mass absorption outside its edge (``mass_scale``), so that thickness is in nm of the discharged compound with the
    same amount of metal. The files need not have the same energies; the range that they have in common is used. A third
    column is the standard deviation of the second; without it, this is estimated from repeated energies or from the
    scatter before the edge.

    Raises
    ------
    InputError
        for files that cannot be read, energies in other units than eV, values that are counts, transmissions or
        absorption coefficients, optical densities that are declared to be per nm, ranges without overlap, two files
        with proportional spectra, and spectra that cannot be scaled to tables
    """
    from scipy.interpolate import PchipInterpolator

    spectra = [_checked_reference(Path(path)) for path in (discharged, charged)]
    density = None
    flags: tuple[str, ...] = ()
    if compounds is not None:
        spectra, density, flags = _scaled(spectra, compounds, (str(discharged), str(charged)))
        thickness_unit = "nm"
    elif thickness_unit == "nm":
        _refuse_more_than_per_nm(max(float(each.mu.max()) for each in spectra), f"{discharged} and {charged}")
    low = max(each.energy_ev[0] for each in spectra)
    high = min(each.energy_ev[-1] for each in spectra)
    if not low < high:
        raise InputError(
            where=f"{discharged} and {charged}",
            problem="the two references have no energies in common",
            got=" and ".join(f"{each.energy_ev[0]:.2f} to {each.energy_ev[-1]:.2f} eV" for each in spectra),
            wanted="ranges that overlap",
            mend="Give references of the same edge",
        )
    union = np.unique(np.concatenate([each.energy_ev for each in spectra]))
    energy_ev = union[(union >= low) & (union <= high)]
    mu = np.stack([PchipInterpolator(each.energy_ev, each.mu)(energy_ev) for each in spectra])
    _refuse_collinear(mu, f"{discharged} and {charged}")
    if thickness_unit == "reference" and _looks_normalised(mu):
        flags = ("references are normalised: thickness has no unit",)
    return EndMembers(
        energy_ev=energy_ev,
        mu_per_nm=mu,
        names=names,
        source=f"files {Path(discharged).name}, {Path(charged).name}",
        thickness_unit=thickness_unit,
        errors=_errors_of(spectra, energy_ev, mu),
        flags=flags,
        density_g_cm3=density,
    )


@dataclass(frozen=True, eq=False)
class _Measured:
    """The spectrum of one end-member as it is in its file."""

    energy_ev: F64
    mu: F64
    sd: F64 | None
    strength_sd: float = 0.0
    """Relative standard deviation of the whole spectrum"""


def _scaled(
    spectra: list[_Measured], compounds: Compounds, where: tuple[str, str]
) -> tuple[list[_Measured], tuple[float, float], tuple[str, ...]]:
    """The two spectra per nm of the discharged compound, the density of each state in that volume, and flags."""
    scales = [
        scale_to_mass(each.energy_ev, each.mu, formula, path)
        for each, formula, path in zip(spectra, compounds.formulas, where, strict=True)
    ]
    per_metal = [
        molar_mass(atoms_of(formula)) / atoms_of(formula)[scale.metal]
        for formula, scale in zip(compounds.formulas, scales, strict=True)
    ]
    density = (compounds.density_g_cm3, compounds.density_g_cm3 * per_metal[1] / per_metal[0])
    per_nm = [rho / NM_PER_CM for rho in density]
    scaled = [
        _Measured(
            each.energy_ev,
            scale.mass_absorption_cm2_g * factor,
            None if each.sd is None else each.sd / scale.areal_density_g_cm2 * factor,
            scale.relative_sd,
        )
        for each, scale, factor in zip(spectra, scales, per_nm, strict=True)
    ]
    sure = 100.0 * np.hypot(TABLES_SD, max(scale.relative_sd for scale in scales))
    flag = f"references end where tables are not yet reliable: thickness is known to {sure:.0f} %"
    return scaled, density, (flag,) if any(scale.near for scale in scales) else ()


def _errors_of(spectra: list[_Measured], energy_ev: F64, mu: F64) -> ReferenceErrors | None:
    """Errors of measured end-members; None if the noise of a file is not known."""
    noise = []
    for each in spectra:
        if each.sd is None:
            return None
        # The common axis has more nodes than the file, and interpolated values do not have independent noise.
        inside = (each.energy_ev >= energy_ev[0]) & (each.energy_ev <= energy_ev[-1])
        denser = np.sqrt(max(1.0, energy_ev.size / max(1, int(inside.sum()))))
        noise.append(np.interp(energy_ev, each.energy_ev, each.sd) * denser)
    shapes, causes = (
        [relative_position_error(energy_ev, mu, _SAME_INSTRUMENT_SD_EV)],
        ["position of one state against the other"],
    )
    for component, each in enumerate(spectra):
        if each.strength_sd:
            strength = np.zeros_like(mu)
            strength[component] = each.strength_sd * mu[component]
            shapes.append(strength)
            causes.append(f"strength of the {'charged' if component else 'discharged'} reference")
    return ReferenceErrors(energy_ev, np.stack(shapes), tuple(causes), np.stack(noise))


def _noise_before_edge(energy_ev: F64, value: F64) -> F64 | None:
    """Standard deviation (ENERGY,) from the scatter before the edge; None for fewer than five energies there.

    Shot noise of the optical density grows with the optical density, as exp(OD/2).
    """
    from scipy.ndimage import median_filter

    start = float(np.median(value[: max(3, value.size // 20)]))
    # The median filter keeps a single outlier from being taken for the edge.
    risen = np.flatnonzero(median_filter(value, 5, mode="nearest") > start + _RISEN * (value.max() - start))
    before = int(risen[0]) if risen.size else value.size
    if before < _LEAST_BEFORE:
        return None
    line = np.polyfit(energy_ev[:before] - energy_ev[0], value[:before], 1)
    scatter = value[:before] - np.polyval(line, energy_ev[:before] - energy_ev[0])
    # The scatter is that about a line, not between neighbours: smoothed spectra have correlated neighbours.
    sd = np.sqrt(np.sum(scatter**2) / (before - 2))
    return np.asarray(sd * np.exp(0.5 * (value - start)), dtype=np.float64)


def _checked_reference(path: Path) -> _Measured:
    energy, value, sd = read_spectrum_with_error(path)
    if energy[0] < _SOFT_X_RAYS_EV[0] or energy[-1] > _SOFT_X_RAYS_EV[1]:
        raise InputError(
            where=path,
            problem="the first column is not photon energy in eV",
            got=f"{energy[0]:g} to {energy[-1]:g}" + (", which looks like keV or nm" if energy[-1] < 30.0 else ""),
            wanted=f"{_SOFT_X_RAYS_EV[0]:g} to {_SOFT_X_RAYS_EV[1]:g} eV",
            mend="Convert the first column to eV (multiply keV by 1000; divide 1239.842 by nm)",
        )
    if value.max() > _COUNTS_NOT_OD:
        raise InputError(
            where=path,
            problem="the reference is in other units than optical density",
            got=f"values up to {value.max():g}, which are counts or an absorption coefficient",
            wanted=f"natural-log optical density, below {_COUNTS_NOT_OD:g}",
            mend="Give ln(I0/I), or scale the spectrum to the optical density of one reference sample",
        )
    # A transmission dips where an optical density peaks.
    start = float(np.median(value[: max(3, value.size // 20)]))
    if start - value.min() > value.max() - start:
        raise InputError(
            where=path,
            problem="the reference decreases through its edge, as a transmission does",
            got=f"{start:.3g} below the edge, down to {value.min():.3g} and up to {value.max():.3g}",
            wanted="optical density, which rises through the edge",
            mend="Give ln(I0/I) instead of I or I/I0",
        )
    return _Measured(energy, value, _noise_before_edge(energy, value) if sd is None else sd)


def _refuse_more_than_per_nm(largest: float, where: str) -> None:
    if largest > _MOST_PER_NM:
        raise InputError(
            where=where,
            problem="the references are not absorption per nm",
            got=f"values up to {largest:.3g}",
            wanted=f"below {_MOST_PER_NM:g} per nm, with which thickness would be in nm",
            mend="Set thickness_unit: reference in campaign.yaml, or divide by the thickness of the reference samples",
        )


def _refuse_collinear(mu: F64, where: str) -> None:
    unit = mu / np.linalg.norm(mu, axis=1, keepdims=True)
    condition = float(np.linalg.cond(unit.T))
    if condition > 500.0:
        raise InputError(
            where=where,
            problem="the two references are nearly proportional, so no state of charge follows from them",
            got=f"condition number {condition:.3g}",
            wanted="below 500",
            mend="Give two different spectra: discharged and charged",
        )


def _looks_normalised(mu: F64) -> bool:
    last = np.median(mu[:, -max(3, mu.shape[1] // 10) :], axis=1)
    first = np.median(mu[:, : max(3, mu.shape[1] // 20)], axis=1)
    return bool(np.all(np.abs(last - 1.0) < 0.02) and np.all(np.abs(first) < 0.02))
