"""Photon energies for the next beamtime, with their shares of the dwell time and the errors to expect."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from stxmdist.markup import list_html, paragraph_html, table_html
from stxmdist.spectra.checks.systematics import soc_sensitivity
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.spectra.end_members.energy_choice import (
    SOCS,
    EnergyChoice,
    Unknowns,
    choose_energies,
    limitations,
)
from stxmdist.spectra.end_members.references import EndMembers

STEP_EV = 0.1
"""Energies are proposed on this grid: it is finer than the lines are wide, and coarser than monochromators move."""
TENTH_EV = 0.1
DEFAULT_PHOTONS = 1e4


@dataclass(frozen=True)
class Sample:
    """What is to be measured.

    Examples
    --------
    >>> round(Sample(pixel_nm=25.0, particle_um=0.5).pixels_of_particle)
    314
    """

    thickness_nm: float = 150.0
    pixel_nm: float = 30.0
    particle_um: float = 0.5

    @property
    def pixels_of_particle(self) -> float:
        """Pixels that a round particle covers, at least one."""
        return max(1.0, float(np.pi) / 4.0 * (self.particle_um * 1e3 / self.pixel_nm) ** 2)


@dataclass(frozen=True, eq=False)
class ProposedEnergies:
    """Energies that give the state of charge with least error, and what they cannot see."""

    chemistry: str
    edge: str
    sample: Sample
    choice: EnergyChoice
    members: EndMembers
    unknowns: Unknowns
    """What the fit finds beside the two thicknesses"""

    @property
    def rows(self) -> list[dict[str, float]]:
        """A row for each energy: eV, share of the dwell time where the beam is constant, photons per pixel."""
        return [
            {"energy_ev": float(energy), "share": float(share), "photons": float(self.choice.photons * share)}
            for energy, share in zip(self.choice.energy_ev, self.choice.share, strict=True)
        ]

    @property
    def expected(self) -> list[dict[str, float]]:
        """Smallest standard error of the state of charge, at some states of charge.

        ``pixel_sigma`` and ``particle_sigma`` are of noise; ``references_sigma`` (errors of the references) and
        ``bias_per_tenth_ev`` (of the energy scale) do not become smaller by averaging.
        """
        choice = self.choice
        particles = self.sample.thickness_nm * np.array([[1.0 - soc for soc in SOCS], SOCS])
        shared = soc_sensitivity(
            particles,
            self.members,
            choice.energy_ev,
            choice.photons * choice.share,
            background=self.unknowns.background,
        )
        return [
            {
                "soc": soc,
                "pixel_sigma": float(sigma),
                "particle_sigma": float(sigma / np.sqrt(self.sample.pixels_of_particle)),
                "references_sigma": float(references),
                "bias_per_tenth_ev": float(TENTH_EV * bias),
            }
            for soc, sigma, references, bias in zip(
                SOCS, choice.soc_sigma, shared.end_members, shared.energy_per_ev, strict=True
            )
        ]

    @property
    def unseen(self) -> tuple[str, ...]:
        """What these energies cannot see, in sentences."""
        return tuple(limitations(self.choice, self.members, self.unknowns, self.sample.thickness_nm))

    def table(self) -> pd.DataFrame:
        """``rows`` as a table."""
        return pd.DataFrame(self.rows)

    def as_dict(self) -> Mapping[str, object]:
        """All of it in lists and mappings, for JSON."""
        return {
            "chemistry": self.chemistry,
            "edge": self.edge,
            "names": self.members.names,
            "source": self.members.source,
            **asdict(self.sample),
            "photons": self.choice.photons,
            "dose_mgy": self.choice.dose_mgy,
            "energies": self.rows,
            "expected": self.expected,
            "unseen": self.unseen,
        }

    def _repr_html_(self) -> str:
        first = f"{self.chemistry}, {self.edge}: {self.choice.photons:.4g} photons per pixel, "
        first += f"{self.choice.dose_mgy:.3g} MGy"
        return paragraph_html(first) + table_html(self.rows) + table_html(self.expected) + list_html(self.unseen)


def energies(
    chemistry: str,
    n: int = 5,
    *,
    edge: str | None = None,
    sample: Sample | None = None,
    photons: float | None = None,
    dose_mgy: float | None = None,
    background: bool = False,
    shift: bool = False,
) -> ProposedEnergies:
    """Choose photon energies with which the state of charge of a chemistry of the library has least error.

    Parameters
    ----------
    chemistry
        ``LFP``, ``NMC``, ``NCA``, ``LCO`` or ``LMO``
    n
        number of energies
    edge
        such as ``O K``; the first of the chemistry if None
    photons, dose_mgy
        per pixel and summed over the energies, one of the two; 10,000 photons if neither is given
    background, shift
        whether the fit finds a constant background, and a shift of the energy scale

    Raises
    ------
    InputError
        for what the library does not know, and what cannot be chosen.

    Examples
    --------
    >>> proposed = energies("LFP", n=3, photons=1000.0)
    >>> len(proposed.table())
    3
    """
    photons = DEFAULT_PHOTONS if photons is None and dose_mgy is None else photons
    sample, unknowns = sample or Sample(), Unknowns("constant" if background else "none", shift)
    library = CHEMISTRIES[chemistry].load()
    entry = library.at_edge(edge)
    members = library.end_members(entry.edge.name)
    low, high = entry.lines_ev
    candidates = np.round(np.arange(np.ceil(low / STEP_EV), np.floor(high / STEP_EV) + 1) * STEP_EV, 6)
    choice = choose_energies(
        members,
        candidates,
        n,
        thickness_nm=sample.thickness_nm,
        pixel_nm=sample.pixel_nm,
        photons=photons,
        dose_mgy=dose_mgy,
        unknowns=unknowns,
    )
    return ProposedEnergies(chemistry, entry.edge.name, sample, choice, members, unknowns)
