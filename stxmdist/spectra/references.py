"""End-member spectra: what discharged and charged cathodes absorb, built in for five chemistries or from files."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stxmdist.errors import InputError
from stxmdist.registry import Table
from stxmdist.spectra.edge_model import (
    AVOGADRO_PER_MOL,
    NM_PER_CM,
    Edge,
    EdgeShape,
    Peak,
    linear_absorption,
    molar_mass,
)
from stxmdist.spectra.spectrum_file import read_spectrum

Floats = NDArray[np.float64]

MODEL_STEP_EV = 0.05
_COUNTS_NOT_OD = 10.0
"""No reference has an optical density above this: such values are counts, or an absorption coefficient"""
_MOST_PER_NM = 0.15
"""No solid absorbs more per nm, white lines included: such values are optical densities of a sample"""
_SOFT_X_RAYS_EV = (40.0, 20000.0)


@dataclass(frozen=True, eq=False)
class EndMembers:
    """Absorption of the two states between which a cathode is charged, always in the order (discharged, charged)."""

    energy_ev: Floats
    """(ENERGY,) float64, ascending"""
    mu_per_nm: Floats
    """(COMPONENT, ENERGY) float64: natural-log absorption per nm, or optical density per reference sample"""
    names: tuple[str, str]
    """(discharged, charged)"""
    source: str
    """Where the numbers come from; ``modelled`` is said where nobody measured them"""
    thickness_unit: Literal["nm", "reference"] = "nm"
    """``nm``: of the same metal as discharged phase; ``reference``: 1.0 is as thick as the reference sample"""
    mu_sd_per_nm: Floats | None = None
    """(COMPONENT, ENERGY) float64 standard deviation of ``mu_per_nm`` where it is known"""
    flags: tuple[str, ...] = field(default=())
    """What a reader of results should know, e.g. that spectra look normalised"""
    density_g_cm3: tuple[float, float] | None = None
    """Grams of each state in the volume that ``mu_per_nm`` counts, which holds the same metal; None where not known"""

    def at(self, energy_ev: Floats, shift_ev: float = 0.0) -> Floats:
        """Absorption (COMPONENT, ENERGY) float64 at the energies of a scan whose scale is off by ``shift_ev``.

        A stack whose monochromator reads E sees what the end-members have at E + shift. Interpolation is monotone and
        cubic (PCHIP): smooth enough to differentiate along energy, and without overshoot in noisy references.

        Raises
        ------
        InputError
            where the shifted energies leave the range of the end-members
        """
        wanted = np.atleast_1d(np.asarray(energy_ev, dtype=np.float64)) + shift_ev
        # A thousandth of an eV: energies in files are rounded.
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

    def mass_absorption(self, energy_ev: Floats) -> Floats | None:
        """mu/rho (COMPONENT, ENERGY) float64 in cm2/g; None where nobody knows what the references weigh.

        Raises
        ------
        InputError
            where the energies leave the range of the end-members
        """
        if self.density_g_cm3 is None:
            return None
        density = np.array(self.density_g_cm3)[:, None]
        return np.asarray(self.at(energy_ev) * NM_PER_CM / density, dtype=np.float64)

    @cached_property
    def _interpolant(self) -> Callable[[Floats], Floats]:
        from scipy.interpolate import PchipInterpolator

        return PchipInterpolator(self.energy_ev, self.mu_per_nm, axis=1)  # type: ignore[no-any-return]

    def spans(self, energy_ev: Floats, margin_ev: float = 0.0) -> NDArray[np.bool_]:
        """Which energies lie within the references, keeping a margin for an energy shift; bool (ENERGY,)."""
        energy = np.asarray(energy_ev, dtype=np.float64)
        low, high = self.energy_ev[0] + margin_ev - 1e-3, self.energy_ev[-1] - margin_ev + 1e-3
        return np.asarray((energy >= low) & (energy <= high), dtype=np.bool_)


def _modelled(
    edge: Edge, discharged: EdgeShape, charged: EdgeShape, density_g_cm3: float, names: tuple[str, str], source: str
) -> EndMembers:
    energy = np.arange(edge.l3_ev - 28.0, edge.l2_ev + 62.0, MODEL_STEP_EV)
    per_mole = [molar_mass(shape.formula) for shape in (discharged, charged)]
    units = density_g_cm3 / per_mole[0] * AVOGADRO_PER_MOL
    mu = np.stack([linear_absorption(edge, shape, units, energy) for shape in (discharged, charged)])
    mu.flags.writeable = False
    energy.flags.writeable = False
    return EndMembers(
        energy_ev=energy,
        mu_per_nm=mu,
        names=names,
        source=source,
        density_g_cm3=(density_g_cm3, density_g_cm3 * per_mole[1] / per_mole[0]),
    )


def _peaks(*triples: tuple[float, float, float]) -> tuple[Peak, ...]:
    return tuple(Peak(*triple) for triple in triples)


@lru_cache(maxsize=1)
def lithium_iron_phosphate() -> EndMembers:
    """LiFePO4 and FePO4 at the Fe L2,3 edge, per nm of LiFePO4 of density 3.6 g/cm3.

    Modelled. Two peak heights are set so that the polar angle atan(OD(710.2 eV)/OD(708.2 eV)) is 27.48 degrees at
    Li0.93FePO4 and 65.00 degrees at Li0.02FePO4, as measured by Yu et al., Nat. Commun. 9, 921 (2018), figure 2. Shapes
    and the absolute height of the white lines are plausible, not measured.
    """
    edge = Edge("Fe", l3_ev=708.5, l2_ev=721.5, l3_width_ev=1.2, l2_width_ev=1.5, onset_ev=706.8)
    discharged = _peaks(
        (706.6, 0.50, 0.70),
        (708.2, 0.75, 4.40),
        (709.8, 0.90, 0.7313466),
        (711.5, 1.00, 0.35),
        (720.6, 1.00, 1.00),
        (722.6, 1.10, 0.90),
    )
    charged = _peaks(
        (708.5, 0.60, 1.6428158),
        (710.2, 0.75, 4.60),
        (711.6, 0.80, 1.20),
        (713.2, 1.00, 0.40),
        (721.8, 1.10, 0.90),
        (723.6, 1.10, 1.20),
    )
    return _modelled(
        edge,
        EdgeShape({"Li": 1, "Fe": 1, "P": 1, "O": 4}, discharged),
        EdgeShape({"Fe": 1, "P": 1, "O": 4}, charged),
        3.6,
        ("LiFePO4", "FePO4"),
        "modelled after the two-energy ratios of Yu et al. 2018; continuum Chantler (xraydb)",
    )


def _nickel(formula: dict[str, float], density_g_cm3: float, names: tuple[str, str]) -> EndMembers:
    edge = Edge("Ni", l3_ev=854.0, l2_ev=871.3, l3_width_ev=1.4, l2_width_ev=1.8, onset_ev=852.7)
    discharged = _peaks((853.1, 0.65, 3.40), (855.1, 0.85, 1.50), (870.4, 1.10, 0.90), (872.2, 1.20, 0.70))
    charged = _peaks((853.3, 0.65, 1.20), (855.2, 0.90, 3.70), (870.6, 1.10, 0.50), (872.6, 1.30, 1.20))
    delithiated = {element: number for element, number in formula.items() if element != "Li"}
    source = "modelled: Gaussians at the usual Ni2+ and Ni4+ positions, not measured; continuum Chantler (xraydb)"
    return _modelled(
        edge, EdgeShape(formula, discharged), EdgeShape(delithiated, charged), density_g_cm3, names, source
    )


@lru_cache(maxsize=1)
def nickel_manganese_cobalt() -> EndMembers:
    """LiNi0.8Mn0.1Co0.1O2 and its delithiated form at the Ni L2,3 edge, per nm at 4.78 g/cm3; modelled."""
    formula = {"Li": 1.0, "Ni": 0.8, "Mn": 0.1, "Co": 0.1, "O": 2.0}
    return _nickel(formula, 4.78, ("LiNi0.8Mn0.1Co0.1O2", "Ni0.8Mn0.1Co0.1O2"))


@lru_cache(maxsize=1)
def nickel_cobalt_aluminium() -> EndMembers:
    """LiNi0.8Co0.15Al0.05O2 and its delithiated form at the Ni L2,3 edge, per nm at 4.75 g/cm3; modelled."""
    formula = {"Li": 1.0, "Ni": 0.8, "Co": 0.15, "Al": 0.05, "O": 2.0}
    return _nickel(formula, 4.75, ("LiNi0.8Co0.15Al0.05O2", "Ni0.8Co0.15Al0.05O2"))


@lru_cache(maxsize=1)
def lithium_cobalt_oxide() -> EndMembers:
    """LiCoO2 and CoO2 at the Co L2,3 edge, per nm at 5.06 g/cm3; modelled."""
    edge = Edge("Co", l3_ev=780.2, l2_ev=795.2, l3_width_ev=1.3, l2_width_ev=1.7, onset_ev=778.1)
    discharged = _peaks((780.5, 0.75, 4.20), (782.4, 1.00, 0.80), (794.8, 1.10, 1.60))
    charged = _peaks((780.5, 0.75, 1.50), (781.5, 0.90, 3.30), (783.4, 1.10, 0.90), (795.7, 1.30, 1.60))
    source = "modelled: Gaussians at the usual Co3+ and Co4+ positions, not measured; continuum Chantler (xraydb)"
    shapes = (EdgeShape({"Li": 1, "Co": 1, "O": 2}, discharged), EdgeShape({"Co": 1, "O": 2}, charged))
    return _modelled(edge, *shapes, 5.06, ("LiCoO2", "CoO2"), source)


@lru_cache(maxsize=1)
def lithium_manganese_oxide() -> EndMembers:
    """LiMn2O4 and Mn2O4 at the Mn L2,3 edge, per nm at 4.28 g/cm3; modelled."""
    edge = Edge("Mn", l3_ev=641.5, l2_ev=652.7, l3_width_ev=1.2, l2_width_ev=1.6, onset_ev=638.7)
    discharged = _peaks(
        (640.6, 0.60, 0.90), (641.8, 0.80, 2.60), (643.2, 0.80, 1.90), (652.8, 1.20, 1.00), (654.2, 1.1, 0.7)
    )
    charged = _peaks(
        (641.0, 0.60, 1.60), (643.2, 0.85, 3.80), (644.6, 1.00, 0.70), (653.2, 1.20, 0.80), (654.6, 1.1, 1.1)
    )
    source = "modelled: Gaussians at the usual Mn3+ and Mn4+ positions, not measured; continuum Chantler (xraydb)"
    shapes = (EdgeShape({"Li": 1, "Mn": 2, "O": 4}, discharged), EdgeShape({"Mn": 2, "O": 4}, charged))
    return _modelled(edge, *shapes, 4.28, ("LiMn2O4", "Mn2O4"), source)


CHEMISTRIES = Table(
    "chemistry",
    {
        "LFP": f"{__name__}:lithium_iron_phosphate",
        "NMC": f"{__name__}:nickel_manganese_cobalt",
        "NCA": f"{__name__}:nickel_cobalt_aluminium",
        "LCO": f"{__name__}:lithium_cobalt_oxide",
        "LMO": f"{__name__}:lithium_manganese_oxide",
    },
)
"""Name of a chemistry to a function () -> EndMembers"""


def from_files(
    discharged: str | Path,
    charged: str | Path,
    names: tuple[str, str] = ("discharged", "charged"),
    thickness_unit: Literal["nm", "reference"] = "reference",
) -> EndMembers:
    """End-members from two files of optical density against photon energy in eV, as measured on reference samples.

    Thickness then counts reference samples: 1.0 absorbs what the reference does. With ``thickness_unit="nm"`` the files
    are absorption per nm instead. The files need not share their energies; what counts is the range they share.

    Raises
    ------
    InputError
        for files that cannot be read, energies in other units than eV, values that are counts, transmissions or
        absorption coefficients, optical densities that are said to be per nm, ranges without overlap, or two files that
        say the same
    """
    from scipy.interpolate import PchipInterpolator

    spectra = [_checked_reference(Path(path)) for path in (discharged, charged)]
    if thickness_unit == "nm":
        _refuse_more_than_per_nm(max(float(value.max()) for _, value in spectra), f"{discharged} and {charged}")
    low = max(energy[0] for energy, _ in spectra)
    high = min(energy[-1] for energy, _ in spectra)
    if not low < high:
        raise InputError(
            where=f"{discharged} and {charged}",
            problem="the two references share no energies",
            got=" and ".join(f"{energy[0]:.2f} to {energy[-1]:.2f} eV" for energy, _ in spectra),
            wanted="ranges that overlap",
            mend="Give references of the same edge",
        )
    union = np.unique(np.concatenate([energy for energy, _ in spectra]))
    energy_ev = union[(union >= low) & (union <= high)]
    mu = np.stack([PchipInterpolator(energy, value)(energy_ev) for energy, value in spectra])
    _refuse_collinear(mu, f"{discharged} and {charged}")
    normalised = thickness_unit == "reference" and _looks_normalised(mu)
    flags = ("references are normalised: thickness has no unit",) if normalised else ()
    return EndMembers(
        energy_ev=energy_ev,
        mu_per_nm=mu,
        names=names,
        source=f"files {Path(discharged).name}, {Path(charged).name}",
        thickness_unit=thickness_unit,
        flags=flags,
    )


def _checked_reference(path: Path) -> tuple[Floats, Floats]:
    energy, value = read_spectrum(path)
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
    return energy, value


def _refuse_more_than_per_nm(largest: float, where: str) -> None:
    if largest > _MOST_PER_NM:
        raise InputError(
            where=where,
            problem="the references are not absorption per nm",
            got=f"values up to {largest:.3g}",
            wanted=f"below {_MOST_PER_NM:g} per nm, with which thickness would be in nm",
            mend="Say thickness_unit: reference in campaign.yaml, or divide by the thickness of the reference samples",
        )


def _refuse_collinear(mu: Floats, where: str) -> None:
    unit = mu / np.linalg.norm(mu, axis=1, keepdims=True)
    condition = float(np.linalg.cond(unit.T))
    if condition > 500.0:
        raise InputError(
            where=where,
            problem="the two references say the same, so no state of charge follows from them",
            got=f"condition number {condition:.3g}",
            wanted="below 500",
            mend="Give two different spectra: discharged and charged",
        )


def _looks_normalised(mu: Floats) -> bool:
    last = np.median(mu[:, -max(3, mu.shape[1] // 10) :], axis=1)
    first = np.median(mu[:, : max(3, mu.shape[1] // 20)], axis=1)
    return bool(np.all(np.abs(last - 1.0) < 0.02) and np.all(np.abs(first) < 0.02))


__all__ = [
    "CHEMISTRIES",
    "EndMembers",
    "from_files",
    "lithium_cobalt_oxide",
    "lithium_iron_phosphate",
    "lithium_manganese_oxide",
    "nickel_cobalt_aluminium",
    "nickel_manganese_cobalt",
    "read_spectrum",
]
