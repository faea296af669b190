"""The command about the next beamtime: energies."""

from typing import Annotated, Any

import numpy as np
import typer

from stxmdist.cli.app import Json, app
from stxmdist.cli.screen import Screen

STEP_EV = 0.1
"""Energies are proposed on this grid: finer than lines are wide, coarser than monochromators move"""
TENTH_EV = 0.1


@app.command()
def energies(
    chemistry: Annotated[str, typer.Argument(metavar="CHEMISTRY", help="LFP, NMC, NCA, LCO or LMO.")],
    n: Annotated[int, typer.Option("--n", help="How many energies.")] = 5,
    edge: Annotated[str | None, typer.Option(help="An edge such as `O K`; the chemistry's first if not given.")] = None,
    thickness_nm: Annotated[float, typer.Option(help="Of the particles, in nm.")] = 150.0,
    photons: Annotated[float | None, typer.Option(help="Per pixel, all energies together; 10,000 unless said.")] = None,
    dose_mgy: Annotated[float | None, typer.Option(help="Dose of all energies together, in place of photons.")] = None,
    pixel_nm: Annotated[float, typer.Option(help="Width of a pixel, in nm.")] = 30.0,
    particle_um: Annotated[float, typer.Option(help="Diameter of a particle, in um.")] = 0.5,
    background: Annotated[bool, typer.Option("--background", help="A constant background is fitted, too.")] = False,
    shift: Annotated[bool, typer.Option("--shift", help="The energy scale is fitted, too.")] = False,
    as_json: Json = False,
) -> None:
    """Name the energies to take next time, with shares of the dwell time and the errors to expect."""
    from stxmdist.spectra.checks.systematics import soc_sensitivity
    from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
    from stxmdist.spectra.end_members.energy_choice import SOCS, Unknowns, choose_energies, limitations

    screen = Screen(as_json=as_json)
    library = CHEMISTRIES[chemistry].load()
    entry = library.at_edge(edge)
    members = library.end_members(entry.edge.name)
    unknowns = Unknowns("constant" if background else "none", shift)
    low, high = entry.lines_ev
    candidates = np.round(np.arange(np.ceil(low / STEP_EV), np.floor(high / STEP_EV) + 1) * STEP_EV, 6)
    if photons is None and dose_mgy is None:
        photons = 1e4
    choice = choose_energies(
        members,
        candidates,
        n,
        thickness_nm=thickness_nm,
        pixel_nm=pixel_nm,
        photons=photons,
        dose_mgy=dose_mgy,
        unknowns=unknowns,
    )
    particles = thickness_nm * np.array([[1.0 - soc for soc in SOCS], SOCS])
    counts = choice.photons * choice.share
    shared = soc_sensitivity(
        particles, members, choice.energy_ev, counts, background="constant" if background else "none"
    )
    pixels = max(1.0, np.pi / 4.0 * (particle_um * 1e3 / pixel_nm) ** 2)
    expected = [
        {
            "soc": soc,
            "pixel_sigma": float(sigma),
            "particle_sigma": float(sigma / np.sqrt(pixels)),
            "references_sigma": float(references),
            "bias_per_tenth_ev": float(TENTH_EV * bias),
        }
        for soc, sigma, references, bias in zip(
            SOCS, choice.soc_sigma, shared.end_members, shared.energy_per_ev, strict=True
        )
    ]
    rows: list[dict[str, Any]] = [
        {"energy_ev": float(energy), "share": float(share), "photons": float(count)}
        for energy, share, count in zip(choice.energy_ev, choice.share, counts, strict=True)
    ]
    blind = limitations(choice, members, unknowns, thickness_nm)
    screen.say(f"{chemistry}, {entry.edge.name}: {members.names[0]} to {members.names[1]}, {thickness_nm:g} nm")
    screen.say(f"{choice.photons:.4g} photons per pixel of {pixel_nm:g} nm, {choice.dose_mgy:.3g} MGy")
    screen.say()
    screen.table(
        [row | {"energy_ev": f"{row['energy_ev']:.1f}", "share": f"{100 * row['share']:.0f} %"} for row in rows],
        title="Energies, and their share of the dwell time where the beam is constant",
    )
    screen.say()
    screen.table(expected, title=f"Least error of soc; particle: {particle_um:g} um, {pixels:.0f} pixels")
    screen.say("The last two do not average: references in error, and each tenth of an eV that is not known.")
    screen.say()
    screen.say("What these energies cannot see:" if blind else "These energies see background, shift and misfit.")
    for sentence in blind:
        screen.say(f"  {sentence}")
    screen.say(f"References: {members.source}")
    screen.document(
        {
            "chemistry": chemistry,
            "edge": entry.edge.name,
            "names": members.names,
            "source": members.source,
            "thickness_nm": thickness_nm,
            "pixel_nm": pixel_nm,
            "particle_um": particle_um,
            "photons": choice.photons,
            "dose_mgy": choice.dose_mgy,
            "energies": rows,
            "expected": expected,
            "unseen": blind,
        }
    )
