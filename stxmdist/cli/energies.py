"""The command that plans the next beamtime: energies."""

from typing import TYPE_CHECKING, Annotated

import typer

from stxmdist.cli.app import Json, app
from stxmdist.cli.screen import Screen

if TYPE_CHECKING:
    from stxmdist.commands.energies import ProposedEnergies


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
    from stxmdist.commands.energies import Sample
    from stxmdist.commands.energies import energies as choose

    found = choose(
        chemistry,
        n,
        edge=edge,
        sample=Sample(thickness_nm, pixel_nm, particle_um),
        photons=photons,
        dose_mgy=dose_mgy,
        background=background,
        shift=shift,
    )
    _print(Screen(as_json=as_json), found)


def _print(screen: Screen, found: "ProposedEnergies") -> None:
    choice, members, sample = found.choice, found.members, found.sample
    screen.say(f"{found.chemistry}, {found.edge}: {members.names[0]} to {members.names[1]}, {sample.thickness_nm:g} nm")
    screen.say(f"{choice.photons:.4g} photons per pixel of {sample.pixel_nm:g} nm, {choice.dose_mgy:.3g} MGy")
    screen.say()
    screen.table(
        [row | {"energy_ev": f"{row['energy_ev']:.1f}", "share": f"{100 * row['share']:.0f} %"} for row in found.rows],
        title="Energies, and their share of the dwell time where the beam is constant",
    )
    screen.say()
    of_particle = f"particle: {sample.particle_um:g} um, {sample.pixels_of_particle:.0f} pixels"
    screen.table(found.expected, title=f"Smallest standard error of the state of charge (soc); {of_particle}")
    screen.say("The last two columns do not become smaller by averaging over pixels: they come from errors of the")
    screen.say("reference spectra, and from each 0.1 eV by which the energy scale is wrong.")
    screen.say()
    screen.say("These energies cannot see:" if found.unseen else "These energies can see background, shift and misfit.")
    for sentence in found.unseen:
        screen.say(f"  {sentence}")
    screen.say(f"References: {members.source}")
    screen.document(found.as_dict())
