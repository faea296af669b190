"""The command that plans the next beamtime: energies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from stxmdist.cli.app import Json, app
from stxmdist.cli.screen import Screen

if TYPE_CHECKING:
    from stxmdist.spectra.end_members.energy_choice import EnergyChoice, Unknowns
    from stxmdist.spectra.end_members.references import EndMembers

STEP_EV = 0.1
"""Energies are proposed on this grid: it is finer than the lines are wide, and coarser than monochromators move."""
TENTH_EV = 0.1
DEFAULT_PHOTONS = 1e4


@dataclass(frozen=True)
class Sample:
    """What is to be measured."""

    thickness_nm: float
    pixel_nm: float
    particle_um: float

    @property
    def pixels_of_particle(self) -> float:
        """Pixels that a round particle covers, at least one."""
        return max(1.0, float(np.pi) / 4.0 * (self.particle_um * 1e3 / self.pixel_nm) ** 2)


@app.command()
def energies(
    chemistry: Annotated[str, typer.Argument(metavar="CHEMISTRY", help="LFP, NMC, NCA, LCO or LMO.")],
    n: Annotated[int, typer.Option("--n", help="Number of energies.")] = 5,
    edge: Annotated[
        str | None, typer.Option(help="Absorption edge, such as `O K`; the first one of the chemistry if not given.")
    ] = None,
    thickness_nm: Annotated[float, typer.Option(help="Thickness of the particles, in nm.")] = 150.0,
    photons: Annotated[
        float | None, typer.Option(help="Photons per pixel, summed over the energies; 10,000 if not given.")
    ] = None,
    dose_mgy: Annotated[
        float | None, typer.Option(help="Dose in MGy, summed over the energies, instead of photons.")
    ] = None,
    pixel_nm: Annotated[float, typer.Option(help="Pixel size, in nm.")] = 30.0,
    particle_um: Annotated[float, typer.Option(help="Diameter of a particle, in um.")] = 0.5,
    background: Annotated[bool, typer.Option("--background", help="The fit includes a constant background.")] = False,
    shift: Annotated[bool, typer.Option("--shift", help="The fit includes a shift of the energy scale.")] = False,
    as_json: Json = False,
) -> None:
    """Choose photon energies for the next beamtime, with their shares of the dwell time and the expected errors."""
    from stxmdist.spectra.end_members.energy_choice import Unknowns

    unknowns = Unknowns("constant" if background else "none", shift)
    sample = Sample(thickness_nm, pixel_nm, particle_um)
    photons = DEFAULT_PHOTONS if photons is None and dose_mgy is None else photons
    edge, members, choice = chosen(chemistry, edge, n, sample, unknowns, photons, dose_mgy)
    _print(Screen(as_json=as_json), (chemistry, edge), sample, choice, members, unknowns)


def chosen(
    chemistry: str,
    edge: str | None,
    n: int,
    sample: Sample,
    unknowns: "Unknowns",
    photons: float | None,
    dose_mgy: float | None = None,
) -> tuple[str, "EndMembers", "EnergyChoice"]:
    """The edge, its end-members, and the best energies of a chemistry that the library knows.

    Raises
    ------
    InputError
        for what the library does not know, and what cannot be chosen.
    """
    from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
    from stxmdist.spectra.end_members.energy_choice import choose_energies

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
    return entry.edge.name, members, choice


def _print(
    screen: Screen,
    named: tuple[str, str],
    sample: Sample,
    choice: "EnergyChoice",
    members: "EndMembers",
    unknowns: "Unknowns",
) -> None:
    from stxmdist.spectra.end_members.energy_choice import limitations

    chemistry, edge = named
    expected = _expected_errors(sample, choice, members, unknowns)
    rows = [
        {"energy_ev": float(energy), "share": float(share), "photons": float(choice.photons * share)}
        for energy, share in zip(choice.energy_ev, choice.share, strict=True)
    ]
    blind = limitations(choice, members, unknowns, sample.thickness_nm)
    screen.say(f"{chemistry}, {edge}: {members.names[0]} to {members.names[1]}, {sample.thickness_nm:g} nm")
    screen.say(f"{choice.photons:.4g} photons per pixel of {sample.pixel_nm:g} nm, {choice.dose_mgy:.3g} MGy")
    screen.say()
    screen.table(
        [row | {"energy_ev": f"{row['energy_ev']:.1f}", "share": f"{100 * row['share']:.0f} %"} for row in rows],
        title="Energies, and their share of the dwell time where the beam is constant",
    )
    screen.say()
    of_particle = f"particle: {sample.particle_um:g} um, {sample.pixels_of_particle:.0f} pixels"
    screen.table(expected, title=f"Smallest standard error of the state of charge (soc); {of_particle}")
    screen.say("The last two columns do not become smaller by averaging over pixels: they come from errors of the")
    screen.say("reference spectra, and from each 0.1 eV by which the energy scale is wrong.")
    screen.say()
    screen.say("These energies cannot see:" if blind else "These energies can see background, shift and misfit.")
    for sentence in blind:
        screen.say(f"  {sentence}")
    screen.say(f"References: {members.source}")
    screen.document(
        {
            "chemistry": chemistry,
            "edge": edge,
            "names": members.names,
            "source": members.source,
            "thickness_nm": sample.thickness_nm,
            "pixel_nm": sample.pixel_nm,
            "particle_um": sample.particle_um,
            "photons": choice.photons,
            "dose_mgy": choice.dose_mgy,
            "energies": rows,
            "expected": expected,
            "unseen": blind,
        }
    )


def _expected_errors(
    sample: Sample, choice: "EnergyChoice", members: "EndMembers", unknowns: "Unknowns"
) -> Sequence[Mapping[str, float]]:
    from stxmdist.spectra.checks.systematics import soc_sensitivity
    from stxmdist.spectra.end_members.energy_choice import SOCS

    particles = sample.thickness_nm * np.array([[1.0 - soc for soc in SOCS], SOCS])
    shared = soc_sensitivity(
        particles, members, choice.energy_ev, choice.photons * choice.share, background=unknowns.background
    )
    return [
        {
            "soc": soc,
            "pixel_sigma": float(sigma),
            "particle_sigma": float(sigma / np.sqrt(sample.pixels_of_particle)),
            "references_sigma": float(references),
            "bias_per_tenth_ev": float(TENTH_EV * bias),
        }
        for soc, sigma, references, bias in zip(
            SOCS, choice.soc_sigma, shared.end_members, shared.energy_per_ev, strict=True
        )
    ]
