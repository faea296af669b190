"""The command that plans the next beamtime from a finished campaign: design."""

import math
from typing import TYPE_CHECKING, Annotated

import typer

from stxmdist.cli.app import DONE, IN_PART, CampaignFile, Json, app
from stxmdist.cli.screen import Screen

if TYPE_CHECKING:
    from stxmdist.commands.design import BeamtimeDesign
    from stxmdist.heterogeneity.design import Costs
    from stxmdist.planning.next_beamtime import Case, NextBeamtime, Wish

MOST_ROWS = 9
"""Of designs that are shown, about the one that is proposed"""


@app.command()
def design(
    campaign: CampaignFile,
    half_width: Annotated[
        float, typer.Option(help="Wanted half-width of the 95 % interval of the mean over electrodes.")
    ] = 0.03,
    effect: Annotated[float | None, typer.Option(help="Difference between two conditions that is to be found.")] = None,
    power: Annotated[float, typer.Option(help="Wanted probability of finding the effect.")] = 0.8,
    paired: Annotated[bool, typer.Option("--paired", help="The same electrodes are seen in both conditions.")] = False,
    endpoint: Annotated[str, typer.Option(help="Endpoint of the table `variance`.")] = "soc_mean",
    soc_error: Annotated[
        float | None, typer.Option(help="Wanted standard error of a particle; the pilot's if not given.")
    ] = None,
    energies: Annotated[int, typer.Option(help="Number of energies.")] = 5,
    electrode_sd: Annotated[
        float | None, typer.Option(help="SD between electrodes to expect, instead of the pilot's.")
    ] = None,
    electrode_minutes: Annotated[float, typer.Option(help="Beamtime to mount an electrode, in minutes.")] = 60.0,
    region_minutes: Annotated[float, typer.Option(help="Beamtime to find a region and to focus, in minutes.")] = 20.0,
    particle_minutes: Annotated[
        float | None, typer.Option(help="Beamtime of a particle, in minutes; by the dwell times if not given.")
    ] = None,
    most_electrodes: Annotated[int, typer.Option(help="No design with more electrodes is sought.")] = 40,
    as_json: Json = False,
) -> None:
    """Plan particles, regions, electrodes, energies and photons from the variances of a finished campaign."""
    from stxmdist.commands.design import design as design_beamtime
    from stxmdist.planning.next_beamtime import Wish

    times = (electrode_minutes, region_minutes, particle_minutes)
    wish = Wish(half_width, effect, power, paired, soc_error, *times, electrode_sd)
    found = design_beamtime(campaign, wish, endpoint=endpoint, n=energies, most_electrodes=most_electrodes)
    screen = Screen(as_json=as_json)
    _print_plan(screen, found)
    _print_light(screen, found)
    screen.document(found.as_dict())
    raise typer.Exit(DONE if found.reached else IN_PART)


def _print_plan(screen: Screen, found: "BeamtimeDesign") -> None:
    scans = found.scans
    screen.say(
        f"Pilot: {scans.n_scans} scans, {scans.n_particles} particles with a state of charge"
        + (f", {scans.particles_per_scan:.0f} in each" if math.isfinite(scans.particles_per_scan) else "")
    )
    for sentence in found.pilot.unknown:
        screen.say(f"not known: {sentence}")
    for sentence in found.plan.assumed:
        screen.say(f"assumed: {sentence}")
    for case in found.plan.cases:
        screen.say()
        _print_case(screen, case, found.wish, found.plan.costs)
    if found.wish.effect is not None:
        _print_power(screen, found.wish, found.plan)


def _print_case(screen: Screen, case: "Case", wish: "Wish", costs: "Costs") -> None:
    spread = case.spread
    screen.say(
        f"{_title(case)}: SD {math.sqrt(spread.electrode):.3f} between electrodes, {math.sqrt(spread.region):.3f} "
        f"between regions, {math.sqrt(spread.particle):.3f} between particles, "
        f"{math.sqrt(spread.noise):.3f} of the measurement"
    )
    if math.isfinite(case.optimal_particles):
        screen.say(f"Beamtime gives most with {case.optimal_particles:.0f} particles in each region.")
    else:
        screen.say("Regions do not differ: one region with many particles gives most.")
    if case.proposed is None:
        screen.say(
            f"An interval of +- {wish.half_width:g} is out of reach: electrodes alone leave +- {case.floor:.3f}, "
            "however many regions and particles are measured."
        )
        return
    from stxmdist.commands.design import design_row
    from stxmdist.planning.next_beamtime import shown_designs

    rows = [design_row(case, one, costs) for one in shown_designs(case, MOST_ROWS)]
    screen.table(rows, title=f"Designs that give the mean over electrodes to +- {wish.half_width:g}, 95 %")
    proposed = case.proposed
    regions = "one region" if proposed.regions == 1 else f"{proposed.regions} regions"
    screen.say(
        f"Least beamtime: {proposed.electrodes} electrodes with {regions} of {proposed.particles} particles each; "
        f"so many electrodes alone leave +- {case.floor:.3f}."
    )


def _title(case: "Case") -> str:
    return {"pilot": "By the pilot", "at best": "At best", "at worst": "At worst"}[case.name]


def _print_power(screen: Screen, wish: "Wish", plan: "NextBeamtime") -> None:
    from stxmdist.planning.next_beamtime import CURVE_ELECTRODES

    how = "the same electrodes in both" if wish.paired else "other electrodes in each"
    rows: list[dict[str, object]] = [
        {"electrodes": n} | {_title(case): f"{case.power[at]:.2f}" for case in plan.cases}
        for at, n in enumerate(CURVE_ELECTRODES)
    ]
    screen.say()
    screen.table(
        rows,
        title=f"Power to find a difference of {wish.effect:g} between two conditions ({how}), "
        f"{plan.regions} regions of {plan.particles} particles of each electrode",
    )
    for case in plan.cases:
        found = case.electrodes_for_power
        enough = f"{found} electrodes in each condition" if found else "not even 200 electrodes in each condition"
        screen.say(f"{_title(case)}: {enough} give a power of {wish.power:g}.")


def _print_light(screen: Screen, found: "BeamtimeDesign") -> None:
    screen.say()
    light = found.light
    if light is None:
        screen.say(found.why_no_light)
        return
    sample = light.proposed.sample
    screen.say(
        f"Light: a particle of {light.pixels_of_particle:.0f} pixels of {sample.pixel_nm:.0f} nm and "
        f"{sample.thickness_nm:.0f} nm to +- {light.soc_error:.3g} by noise takes {light.photons:.3g} photons per "
        f"pixel, {light.dose_mgy:.2g} MGy"
    )
    screen.table(
        [row | {"energy_ev": f"{row['energy_ev']:.1f}", "share": f"{100 * row['share']:.0f} %"} for row in light.rows],
        title=f"{light.proposed.chemistry}, {light.proposed.edge}: energies, and their share of the dwell time where "
        "the beam is constant",
    )
    screen.say(f"References: {light.proposed.members.source}")
