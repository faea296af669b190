"""The library of end-members: the edges of each chemistry, and for each edge its source and its uncertainty.

These spectra are not published as numbers, so all of them are modelled, which their source states. Reference files that
a campaign names are used instead.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.spectra.end_members.edge_model import AVOGADRO_PER_MOL, Edge, Peak, Step, atoms_of, edge_parts, molar_mass
from stxmdist.spectra.end_members.reference_errors import ReferenceErrors, relative_position_error
from stxmdist.spectra.end_members.references import EndMembers

T = TypeVar("T")
Pair = tuple[T, T]

MODEL_STEP_EV = 0.05
_BELOW_EV, _ABOVE_EV = 28.0, 62.0
"""How far the energies of a modelled edge extend below its first and above its last step"""
_LINES_EV = (-4.0, 10.0)
"""Energies that belong to a scan of an edge: from below the first white line to above the last step, in eV"""


@dataclass(frozen=True)
class State:
    """The discharged or the charged state of a cathode at one edge."""

    name: str
    formula: str
    lines: tuple[Peak, ...]


@dataclass(frozen=True)
class ModelErrors:
    """Standard deviations of the assumptions of a modelled spectrum."""

    line_height: float = 0.10
    """Relative error of the height of each white line"""
    position_ev: float = 0.2
    """Error of the energy scale of each state: the calibrations of beamlines differ by 0.2 to 0.3 eV"""
    continuum: float = 0.05
    """Relative error of the absorption before the edge, relative to the edge: the tables differ by 2 to 5 %"""


@dataclass(frozen=True)
class ModelledEdge:
    """The two end-members of a cathode at one of its edges, as they are modelled, and what is known of them."""

    edge: Edge
    discharged: State
    charged: State
    density_g_cm3: float
    """Density of the discharged state"""
    source: str
    model_errors: ModelErrors
    control: str = ""
    """The expected result at an edge that does not follow the charge; empty at an edge that does"""
    above_ev: float = _ABOVE_EV
    """How far the model extends above its last step: it must not contain the next edge of the compound"""

    @property
    def lines_ev(self) -> tuple[float, float]:
        """Lowest and highest energy in eV that belong to a scan of this edge."""
        first = min(line.energy_ev for state in (self.discharged, self.charged) for line in state.lines)
        return first + _LINES_EV[0], self.edge.steps[-1].energy_ev + _LINES_EV[1]


@dataclass(frozen=True)
class Chemistry:
    """A cathode and the absorption edges at which the library models its two end-members."""

    edges: tuple[ModelledEdge, ...]
    """The edge that is used unless another is named comes first; edges that do not follow the charge come last"""

    def end_members(self, edge: str | None = None) -> EndMembers:
        """End-members at an edge such as ``Ni L`` or ``O K``; at the first edge if none is named.

        Raises
        ------
        InputError
            for an edge that the library does not have
        """
        return _modelled(self.at_edge(edge))

    def at_edge(self, edge: str | None = None) -> ModelledEdge:
        """The modelled edge of this name; the first one if none is named.

        Raises
        ------
        InputError
            for an edge that the library does not have
        """
        for modelled in self.edges:
            if edge in (None, modelled.edge.name):
                return modelled
        raise InputError(
            where=f"references of {self.edges[0].discharged.name}",
            problem="the library does not have this edge of the chemistry",
            got=repr(edge),
            wanted=self.edges_in_words,
            mend="Choose one of those, or give measured references",
        )

    def edge_covered_by(self, energy_ev: F64) -> str | None:
        """Name of the edge whose white lines lie among a scan's energies (ENERGY,); None if there is no such edge.

        An edge with two energies at its white lines is preferred to one with a single energy there, and among equals
        the edge that comes first.
        """
        energy = np.asarray(energy_ev, dtype=np.float64)
        counts = {}
        for modelled in self.edges:
            low, high = modelled.lines_ev
            counts[modelled.edge.name] = int(((energy >= low) & (energy <= high)).sum())
        for least in (2, 1):
            for name, count in counts.items():
                if count >= least:
                    return name
        return None

    @property
    def edges_in_words(self) -> str:
        """Names of the edges with the photon energies of their white lines."""
        return ", ".join("{} ({:.0f} to {:.0f} eV)".format(each.edge.name, *each.lines_ev) for each in self.edges)


@lru_cache(maxsize=32)
def _modelled(modelled: ModelledEdge) -> EndMembers:
    edge, states = modelled.edge, (modelled.discharged, modelled.charged)
    energy = np.arange(edge.steps[0].energy_ev - _BELOW_EV, edge.steps[-1].energy_ev + modelled.above_ev, MODEL_STEP_EV)
    atoms = [atoms_of(state.formula) for state in states]
    per_mole = [molar_mass(each) for each in atoms]
    units = modelled.density_g_cm3 / per_mole[0] * AVOGADRO_PER_MOL
    parts = [edge_parts(edge, each, state.lines, units, energy) for each, state in zip(atoms, states, strict=True)]
    mu = np.stack([part.total for part in parts])
    shapes: list[F64] = []
    causes: list[str] = []
    for component, (state, part) in enumerate(zip(states, parts, strict=True)):
        for line, absorption in zip(state.lines, part.lines, strict=True):
            shape = np.zeros_like(mu)
            shape[component] = modelled.model_errors.line_height * absorption
            shapes.append(shape)
            causes.append(f"height of the line of {state.name} at {line.energy_ev:g} eV")
    shapes.append(relative_position_error(energy, mu, modelled.model_errors.position_ev))
    causes.append("position of one state against the other")
    shapes.append(modelled.model_errors.continuum * np.stack([part.continuum for part in parts]))
    causes.append("continuum against the edge")
    errors = ReferenceErrors(energy, np.stack(shapes), tuple(causes), np.zeros_like(mu))
    for array in (energy, mu, errors.shapes, errors.noise_sd):
        array.flags.writeable = False
    return EndMembers(
        energy_ev=energy,
        mu_per_nm=mu,
        names=(modelled.discharged.name, modelled.charged.name),
        source=modelled.source,
        errors=errors,
        control=modelled.control,
        flags=(f"{edge.name}: {modelled.control}",) if modelled.control else (),
        density_g_cm3=(modelled.density_g_cm3, modelled.density_g_cm3 * per_mole[1] / per_mole[0]),
    )


def _lines(*triples: tuple[float, float, float]) -> tuple[Peak, ...]:
    return tuple(Peak(*triple) for triple in triples)


def _l_edge(element: str, onset_ev: float, l3: tuple[float, float], l2: tuple[float, float]) -> Edge:
    """An L edge with two steps whose heights are two to one, as the numbers of electrons in 2p3/2 and 2p1/2."""
    return Edge(f"{element} L", element, (Step(*l3, 2.0 / 3.0), Step(*l2, 1.0 / 3.0)), onset_ev)


FE_L = _l_edge("Fe", 706.8, (708.5, 1.2), (721.5, 1.5))
NI_L = _l_edge("Ni", 852.7, (854.0, 1.4), (871.3, 1.8))
CO_L = _l_edge("Co", 778.1, (780.2, 1.3), (795.2, 1.7))
MN_L = _l_edge("Mn", 638.7, (641.5, 1.2), (652.7, 1.6))
O_K = Edge("O K", "O", (Step(537.0, 4.0),), 543.1)

NI_2 = _lines((853.1, 0.65, 3.40), (855.1, 0.85, 1.50), (870.4, 1.10, 0.90), (872.2, 1.20, 0.70))
NI_4 = _lines((853.3, 0.65, 1.20), (855.2, 0.90, 3.70), (870.6, 1.10, 0.50), (872.6, 1.30, 1.20))
CO_3 = _lines((780.5, 0.75, 4.20), (782.4, 1.00, 0.80), (794.8, 1.10, 1.60))
CO_4 = _lines((780.5, 0.75, 1.50), (781.5, 0.90, 3.30), (783.4, 1.10, 0.90), (795.7, 1.30, 1.60))
MN_3 = _lines((640.4, 0.70, 0.90), (641.7, 0.80, 3.20), (643.1, 0.85, 1.10), (652.9, 1.30, 1.40))
MN_3_AND_4 = _lines(
    (640.6, 0.60, 0.90), (641.8, 0.80, 2.60), (643.2, 0.80, 1.90), (652.8, 1.20, 1.00), (654.2, 1.1, 0.7)
)
MN_4 = _lines((641.0, 0.60, 1.60), (643.2, 0.85, 3.80), (644.6, 1.00, 0.70), (653.2, 1.20, 0.80), (654.6, 1.1, 1.1))
LINES = {("Co", 3): CO_3, ("Co", 4): CO_4, ("Mn", 3): MN_3, ("Mn", 4): MN_4}
"""White lines of a metal by its valence"""
O_DISCHARGED = _lines((529.2, 0.70, 0.30), (531.6, 1.00, 0.25), (537.6, 1.60, 0.35), (541.8, 2.50, 0.50))
O_CHARGED = _lines((528.6, 0.70, 0.80), (530.9, 1.10, 0.45), (537.2, 1.60, 0.30), (541.2, 2.50, 0.45))

_NOT_MEASURED = "modelled: Gaussians at the usual {} positions, not measured; continuum Chantler (xraydb)"
_OXYGEN = (
    "modelled: pre-edge of states that oxygen and metal share, growing with charge, not measured; "
    "continuum Chantler (xraydb)"
)


def _follows(
    edge: Edge, formulas: Pair[str], lines: Pair[tuple[Peak, ...]], density_g_cm3: float, source: str
) -> ModelledEdge:
    discharged, charged = (State(formula, formula, each) for formula, each in zip(formulas, lines, strict=True))
    return ModelledEdge(edge, discharged, charged, density_g_cm3, source, ModelErrors())


def _stays(edge: Edge, formula: str, stays: int, density_g_cm3: float, above_ev: float = _ABOVE_EV) -> ModelledEdge:
    """Edge of a metal whose valence does not change: the end-members are 3+ and 4+, and it stays at one of them."""
    metal = edge.element
    lower, upper = (State(f"{metal}{v}+ in {formula}", formula, LINES[metal, v]) for v in (3, 4))
    control = (
        f"{metal} stays {stays}+ through the charge, so that the share of {metal}4+ should be {stays - 3} everywhere"
    )
    source = _NOT_MEASURED.format(f"{metal}3+ and {metal}4+")
    return ModelledEdge(edge, lower, upper, density_g_cm3, source, ModelErrors(), control, above_ev)


lithium_iron_phosphate = Chemistry(
    (
        # Two heights are chosen so that the polar angle atan(OD(710.2 eV)/OD(708.2 eV)) is 27.48 degrees at Li0.93FePO4
        # and 65.00 degrees at Li0.02FePO4, as measured by Yu et al., Nat. Commun. 9, 921 (2018), figure 2. Shapes and
        # the absolute height of the white lines are plausible, not measured. Both positions are from one experiment.
        ModelledEdge(
            FE_L,
            State(
                "LiFePO4",
                "LiFePO4",
                _lines(
                    (706.6, 0.50, 0.70),
                    (708.2, 0.75, 4.40),
                    (709.8, 0.90, 0.7313466),
                    (711.5, 1.00, 0.35),
                    (720.6, 1.00, 1.00),
                    (722.6, 1.10, 0.90),
                ),
            ),
            State(
                "FePO4",
                "FePO4",
                _lines(
                    (708.5, 0.60, 1.6428158),
                    (710.2, 0.75, 4.60),
                    (711.6, 0.80, 1.20),
                    (713.2, 1.00, 0.40),
                    (721.8, 1.10, 0.90),
                    (723.6, 1.10, 1.20),
                ),
            ),
            3.6,
            "modelled after the two-energy ratios of Yu et al. 2018; continuum Chantler (xraydb)",
            ModelErrors(position_ev=0.1),
        ),
    ),
)
"""LiFePO4 and FePO4, per nm of LiFePO4 of density 3.6 g/cm3; modelled."""

_NMC = ("LiNi0.8Mn0.1Co0.1O2", "Ni0.8Mn0.1Co0.1O2")
# The model of Co L must end before Ni L begins.
nickel_manganese_cobalt = Chemistry(
    (
        _follows(NI_L, _NMC, (NI_2, NI_4), 4.78, _NOT_MEASURED.format("Ni2+ and Ni4+")),
        _follows(O_K, _NMC, (O_DISCHARGED, O_CHARGED), 4.78, _OXYGEN),
        _stays(CO_L, _NMC[0], 3, 4.78, above_ev=47.0),
        _stays(MN_L, _NMC[0], 4, 4.78),
    ),
)
"""LiNi0.8Mn0.1Co0.1O2 and its delithiated form, per nm at 4.78 g/cm3; modelled. Co and Mn are internal controls: Shin
et al. (2020) found Co near 3+ and Mn near 4+ in all states."""

_NCA = ("LiNi0.8Co0.15Al0.05O2", "Ni0.8Co0.15Al0.05O2")
nickel_cobalt_aluminium = Chemistry(
    (
        _follows(NI_L, _NCA, (NI_2, NI_4), 4.75, _NOT_MEASURED.format("Ni2+ and Ni4+")),
        _follows(O_K, _NCA, (O_DISCHARGED, O_CHARGED), 4.75, _OXYGEN),
        _stays(CO_L, _NCA[0], 3, 4.75, above_ev=47.0),
    ),
)
"""LiNi0.8Co0.15Al0.05O2 and its delithiated form, per nm at 4.75 g/cm3; modelled."""

_LCO = ("LiCoO2", "CoO2")
lithium_cobalt_oxide = Chemistry(
    (
        _follows(CO_L, _LCO, (CO_3, CO_4), 5.06, _NOT_MEASURED.format("Co3+ and Co4+")),
        _follows(O_K, _LCO, (O_DISCHARGED, O_CHARGED), 5.06, _OXYGEN),
    ),
)
"""LiCoO2 and CoO2, per nm at 5.06 g/cm3; modelled."""

_LMO = ("LiMn2O4", "Mn2O4")
lithium_manganese_oxide = Chemistry(
    (
        _follows(MN_L, _LMO, (MN_3_AND_4, MN_4), 4.28, _NOT_MEASURED.format("Mn3+ and Mn4+")),
        _follows(O_K, _LMO, (O_DISCHARGED, O_CHARGED), 4.28, _OXYGEN),
    ),
)
"""LiMn2O4 and Mn2O4, per nm at 4.28 g/cm3; modelled."""
