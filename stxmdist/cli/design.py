"""The command that plans the next beamtime from a finished campaign: design."""

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from stxmdist.cli.app import DONE, IN_PART, CampaignFile, Json, app
from stxmdist.cli.energies import DEFAULT_PHOTONS, Sample, chosen
from stxmdist.cli.screen import Screen

if TYPE_CHECKING:
    from stxmdist.heterogeneity.design import Costs, Design
    from stxmdist.heterogeneity.pilot import PilotSpread
    from stxmdist.planning.next_beamtime import Case, NextBeamtime, Wish
    from stxmdist.planning.pilot import PilotScans

MOST_ROWS = 9
"""Of designs that are shown, about the one that is proposed"""
USUAL = Sample(thickness_nm=150.0, pixel_nm=30.0, particle_um=0.5)
"""Where the pilot does not say"""
USUAL_SOC_ERROR = 0.03
MOST_FIXED = 3
"""Energies with which the shift of the energy scale cannot be fitted beside the two thicknesses"""


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
    from storage.store import Store
    from stxmdist.campaign.manifest import load
    from stxmdist.heterogeneity.design import Limits
    from stxmdist.heterogeneity.pilot import pilot_spread
    from stxmdist.planning.next_beamtime import Wish, next_beamtime
    from stxmdist.planning.pilot import pilot_scans, published_table
    from stxmdist.planning.published import PublishedCampaign

    times = (electrode_minutes, region_minutes, particle_minutes)
    wish = Wish(half_width, effect, power, paired, soc_error, *times, electrode_sd).checked()
    loaded = load(campaign, lenient=True)
    published = PublishedCampaign(Store(loaded.store).open())
    scans = pilot_scans(published, loaded)
    pilot = pilot_spread(published_table(published, loaded, "variance"), endpoint, wish.electrode_sd)
    plan = next_beamtime(pilot, scans, wish, Limits(electrodes=most_electrodes))
    screen = Screen(as_json=as_json)
    document = _print_plan(screen, pilot, scans, wish, plan)
    document |= _print_light(screen, loaded.chemistry, energies, scans, wish)
    screen.document({"endpoint": endpoint, **document})
    raise typer.Exit(DONE if plan.reached else IN_PART)


def _print_plan(
    screen: Screen, pilot: "PilotSpread", scans: "PilotScans", wish: "Wish", plan: "NextBeamtime"
) -> dict[str, object]:
    screen.say(
        f"Pilot: {scans.n_scans} scans, {scans.n_particles} particles with a state of charge"
        + (f", {scans.particles_per_scan:.0f} in each" if math.isfinite(scans.particles_per_scan) else "")
    )
    for sentence in pilot.unknown:
        screen.say(f"not known: {sentence}")
    for sentence in plan.assumed:
        screen.say(f"assumed: {sentence}")
    for case in plan.cases:
        screen.say()
        _print_case(screen, case, wish, plan.costs)
    if wish.effect is not None:
        _print_power(screen, wish, plan)
    return {
        "half_width": wish.half_width,
        "effect": wish.effect,
        "power": wish.power,
        "paired": wish.paired,
        "pilot": asdict(scans),
        "unknown": pilot.unknown,
        "assumed": plan.assumed,
        "costs_min": asdict(plan.costs),
        "reached": plan.reached,
        "cases": [_case_document(case, plan.costs) for case in plan.cases],
        "power_at": {"regions": plan.regions, "particles": plan.particles},
    }


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
    from stxmdist.planning.next_beamtime import shown_designs

    rows = [_design_row(case, one, costs) for one in shown_designs(case, MOST_ROWS)]
    screen.table(rows, title=f"Designs that give the mean over electrodes to +- {wish.half_width:g}, 95 %")
    proposed = case.proposed
    regions = "one region" if proposed.regions == 1 else f"{proposed.regions} regions"
    screen.say(
        f"Least beamtime: {proposed.electrodes} electrodes with {regions} of {proposed.particles} particles each; "
        f"so many electrodes alone leave +- {case.floor:.3f}."
    )


def _title(case: "Case") -> str:
    return {"pilot": "By the pilot", "at best": "At best", "at worst": "At worst"}[case.name]


def _design_row(case: "Case", one: "Design", costs: "Costs") -> dict[str, float]:
    from stxmdist.heterogeneity.design import floor, half_width

    return {
        "electrodes": one.electrodes,
        "regions": one.regions,
        "particles": one.particles,
        "in_all": one.n_particles,
        "hours": round(one.minutes(costs) / 60.0, 1),
        "half_width": half_width(case.spread, one),
        "floor": floor(case.spread, one.electrodes),
    }


def _case_document(case: "Case", costs: "Costs") -> dict[str, object]:
    from stxmdist.planning.next_beamtime import CURVE_ELECTRODES

    return {
        "name": case.name,
        "variance": asdict(case.spread),
        "optimal_particles": case.optimal_particles,
        "floor": case.floor,
        "proposed": None if case.proposed is None else _design_row(case, case.proposed, costs),
        "designs": [_design_row(case, one, costs) for one in case.designs],
        "electrodes_for_power": case.electrodes_for_power,
        "power_curve": [
            {"electrodes": n, "power": value} for n, value in zip(CURVE_ELECTRODES, case.power, strict=False)
        ],
    }


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


def _print_light(screen: Screen, chemistry: str, n: int, scans: "PilotScans", wish: "Wish") -> dict[str, object]:
    """Energies, and the photons that bring a particle of the pilot's to the wanted error."""
    from stxmdist.heterogeneity.design import photons_for
    from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
    from stxmdist.spectra.end_members.energy_choice import Unknowns

    screen.say()
    if chemistry not in CHEMISTRIES:
        why = f"Energies and photons are not planned: the library has no spectra of chemistry {chemistry}."
        screen.say(why)
        return {"energies": [], "light": why}
    sample = Sample(
        _or(scans.thickness_nm, USUAL.thickness_nm),
        _or(scans.pixel_nm, USUAL.pixel_nm),
        _or(scans.particle_um, USUAL.particle_um),
    )
    pixels = _or(scans.pixels_of_particle, sample.pixels_of_particle)
    wanted = wish.soc_error or _or(scans.soc_se, USUAL_SOC_ERROR)
    edge, members, choice = chosen(chemistry, None, n, sample, Unknowns(shift=n > MOST_FIXED), DEFAULT_PHOTONS)
    pixel_error = math.sqrt(float((choice.soc_sigma**2).mean()))
    photons = photons_for(pixel_error / math.sqrt(pixels), DEFAULT_PHOTONS, wanted)
    dose = choice.dose_mgy * photons / DEFAULT_PHOTONS
    rows = [
        {"energy_ev": float(energy), "share": float(share), "photons": float(photons * share)}
        for energy, share in zip(choice.energy_ev, choice.share, strict=True)
    ]
    screen.say(
        f"Light: a particle of {pixels:.0f} pixels of {sample.pixel_nm:.0f} nm and {sample.thickness_nm:.0f} nm to "
        f"+- {wanted:.3g} by noise takes {photons:.3g} photons per pixel, {dose:.2g} MGy"
    )
    screen.table(
        [row | {"energy_ev": f"{row['energy_ev']:.1f}", "share": f"{100 * row['share']:.0f} %"} for row in rows],
        title=f"{chemistry}, {edge}: energies, and their share of the dwell time where the beam is constant",
    )
    screen.say(f"References: {members.source}")
    return {
        "edge": edge,
        "energies": rows,
        "photons_per_pixel": photons,
        "dose_mgy": dose,
        "soc_error": wanted,
        "sample": asdict(sample) | {"pixels_of_particle": pixels},
    }


def _or(value: float, usual: float) -> float:
    return value if math.isfinite(value) and value > 0 else usual
