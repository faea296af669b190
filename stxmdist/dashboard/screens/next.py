"""Next: energies for the particles that were found, and what the time that is left in the shift can reach."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from stxmdist.commands.design import BeamtimeDesign, design_row, sample_of, without_light
from stxmdist.commands.energies import ProposedEnergies, Sample, energies
from stxmdist.dashboard.figures.next_beamtime import energies_figure, shift_figure
from stxmdist.dashboard.figures.plot import Drawn, as_drawn
from stxmdist.dashboard.screen import Page, Screen
from stxmdist.dashboard.snapshot import Snapshot
from stxmdist.dashboard.visit import Visit
from stxmdist.dashboard.words import duration, figure, plural
from stxmdist.errors import Explained
from stxmdist.heterogeneity.design import Costs, designs_within, half_width
from stxmdist.planning.next_beamtime import Wish
from stxmdist.planning.pilot import MODALITY, PilotScans, photons_per_pixel, pilot_scans

HOURS_LEFT = 8.0
"""A shift, where the address says nothing else"""
USUAL_SCAN_MINUTES = 30.0
USUAL_PARTICLES = 30
USUAL_ENERGIES = 5.0
USUAL_PHOTONS = 1e4
MOST_SHOWN = 8
SHIFT, WISH, LIGHT = "The shift", "The wish", "The light"


@dataclass(frozen=True)
class Field:
    """One input."""

    name: str
    label: str
    unit: str
    group: str
    usual: float | None
    """What counts where nothing is written; None: nothing does"""
    where_from: str
    """Where that comes from, in a few words"""
    text: str
    """As the address has it"""
    value: float | None
    problem: str = ""
    choices: tuple[str, ...] = ()

    @property
    def placeholder(self) -> str:
        """What counts where nothing is written."""
        if self.usual is None:
            return "none"
        return f"{self.usual:.0f}" if self.usual >= 1000 else f"{self.usual:.4g}"


@dataclass(frozen=True)
class ShiftRow:
    """What a number of electrodes gives in the time that is left."""

    electrodes: int
    regions: int
    particles: int
    in_all: int
    hours: float
    half_width: float
    enough: bool
    best: bool


@dataclass(frozen=True)
class ShiftCase:
    """The time that is left, for one set of variances."""

    title: str
    rows: tuple[ShiftRow, ...]
    sentence: str
    least: Mapping[str, float] | None
    """The design that reaches the wish with least beamtime"""

    @property
    def shown(self) -> tuple[ShiftRow, ...]:
        """Some of the rows, about the best."""
        best = next((at for at, row in enumerate(self.rows) if row.best), 0)
        first = max(0, min(best - MOST_SHOWN // 2, len(self.rows) - MOST_SHOWN))
        return self.rows[first : first + MOST_SHOWN]


@dataclass(frozen=True, kw_only=True)
class NextPage(Page):
    """What the template of the screen shows."""

    fields: tuple[Field, ...]
    pilot: tuple[tuple[str, str], ...]
    cases: tuple[ShiftCase, ...]
    shift_figure: Drawn | None
    said: tuple[str, ...]
    """What is assumed, and what is not known"""
    no_design: str
    power: str
    light: ProposedEnergies | None
    light_figure: Drawn | None
    light_facts: tuple[tuple[str, str], ...]
    no_light: str
    commands: str

    @property
    def groups(self) -> dict[str, list[Field]]:
        """The inputs as they belong together."""
        return {group: [each for each in self.fields if each.group == group] for group in (SHIFT, WISH, LIGHT)}


def page(visit: Visit) -> NextPage:
    """Plans for the inputs of the address; what it leaves out is as the campaign has measured it."""
    now = visit.now
    scans = _pilot(now)
    fields = {field.name: field for field in _fields(visit, scans)}
    values = {name: field.value for name, field in fields.items()}
    mistaken = any(field.problem for field in fields.values())
    found = "Correct what is marked." if mistaken else _design(now, scans, values)
    cases: tuple[ShiftCase, ...] = ()
    if isinstance(found, BeamtimeDesign):
        cases = _cases(found, values)
    light = "Correct what is marked." if mistaken else _light(now, scans, values)
    known = isinstance(light, ProposedEnergies)
    return NextPage(
        title="Next",
        fields=tuple(fields.values()),
        pilot=_pilot_facts(scans),
        cases=cases,
        shift_figure=_shift_drawn(cases, values["half_width"] or 0.03) if cases else None,
        said=(*found.pilot.unknown, *found.plan.assumed) if isinstance(found, BeamtimeDesign) else (),
        no_design=found if isinstance(found, str) else "",
        power=_power(found) if isinstance(found, BeamtimeDesign) else "",
        light=light if isinstance(light, ProposedEnergies) else None,
        light_figure=_light_drawn(light) if isinstance(light, ProposedEnergies) else None,
        light_facts=_light_facts(light) if isinstance(light, ProposedEnergies) else (),
        no_light="" if known else str(light),
        commands=_commands(now, scans, values),
    )


def _pilot(now: Snapshot) -> PilotScans | None:
    """What was measured; None where nothing is published."""

    def measured() -> PilotScans | None:
        try:
            return pilot_scans(now.published, now.campaign)
        except Explained:
            return None

    return now.once("pilot", measured)


def _photons(now: Snapshot) -> float:
    scans = [scan.scan_id for scan in now.campaign.scans if scan.modality == MODALITY]
    return now.once("photons", lambda: photons_per_pixel(now.published, scans))


def _fields(visit: Visit, scans: PilotScans | None) -> list[Field]:
    sample = Sample() if scans is None else sample_of(scans)
    photons = _photons(visit.now)
    of_pilot, usual = "measured, median", "usual"
    measured = usual if scans is None else of_pilot
    minutes = math.nan if scans is None else scans.minutes_per_scan
    particles = math.nan if scans is None else scans.particles_per_scan
    dwell = "dwell times of the files, median" if math.isfinite(minutes) else "assumed: the files do not say"
    held = "in each scan, median" if math.isfinite(particles) else "assumed"
    from_counts = "incident counts, median" if math.isfinite(photons) else usual
    rows: list[tuple[str, str, str, str, float | None, str]] = [
        ("hours", "Time left", "h", SHIFT, HOURS_LEFT, "a shift"),
        ("scan_minutes", "A scan takes", "min", SHIFT, _known(minutes, USUAL_SCAN_MINUTES), dwell),
        ("particles", "Particles in a scan", "", SHIFT, _known(particles, USUAL_PARTICLES), held),
        ("region_minutes", "To find a region", "min", SHIFT, Costs.region, usual),
        ("electrode_minutes", "To mount an electrode", "min", SHIFT, Costs.electrode, usual),
        ("half_width", "Wanted half-width", "", WISH, Wish.half_width, "of the 95 % interval of the mean"),
        ("effect", "Difference to find", "", WISH, None, "between two conditions"),
        ("power", "With a power of", "", WISH, Wish.power, usual),
        ("electrode_sd", "SD between electrodes", "", WISH, None, "as the pilot says if empty"),
        ("n", "Energies", "", LIGHT, USUAL_ENERGIES, usual),
        ("photons", "Photons per pixel", "", LIGHT, _known(photons, USUAL_PHOTONS), from_counts),
        ("thickness_nm", "Thickness", "nm", LIGHT, sample.thickness_nm, measured),
        ("pixel_nm", "Pixel", "nm", LIGHT, sample.pixel_nm, measured),
        ("particle_um", "Particle", "µm", LIGHT, sample.particle_um, measured),
    ]
    return [_field(visit, *row) for row in rows]


def _field(visit: Visit, name: str, label: str, unit: str, group: str, usual: float | None, where_from: str) -> Field:
    text = visit.text(name).strip()
    field = Field(name, label, unit, group, usual, where_from, text, usual)
    if not text:
        return field
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    least = 0.0 if name in ("electrode_sd", "electrode_minutes") else math.ulp(0.0)
    if not (math.isfinite(value) and value >= least):
        wanted = "0 or more" if least == 0.0 else "above 0"
        return replace(field, value=None, problem=f"got {text!r}, wanted a number {wanted}")
    if name == "n" and (value != int(value) or value > 60):
        return replace(field, value=None, problem=f"got {text!r}, wanted a whole number up to 60")
    return replace(field, value=value)


def _known(value: float, usual: float) -> float:
    return value if math.isfinite(value) and value > 0 else usual


def _design(now: Snapshot, scans: PilotScans | None, values: Mapping[str, float | None]) -> BeamtimeDesign | str:
    """The same as ``stxmdist design`` with these wishes; a sentence where there is none."""
    wish = Wish(
        half_width=values["half_width"] or Wish.half_width,
        effect=values["effect"],
        power=values["power"] or Wish.power,
        electrode_minutes=values["electrode_minutes"] or 0.0,
        region_minutes=values["region_minutes"] or Costs.region,
        particle_minutes=(values["scan_minutes"] or USUAL_SCAN_MINUTES) / (values["particles"] or USUAL_PARTICLES),
        electrode_sd=values["electrode_sd"],
    )

    def planned() -> BeamtimeDesign | str:
        try:
            # Where nothing is published, this says what is to be done.
            measured = scans or pilot_scans(now.published, now.campaign)
            return without_light(now.published, now.campaign, measured, wish)
        except Explained as error:
            return error.sentence

    return now.once(("design", wish), planned)


def _cases(found: BeamtimeDesign, values: Mapping[str, float | None]) -> tuple[ShiftCase, ...]:
    minutes = 60.0 * (values["hours"] or 0.0)
    particles = max(1, round(values["particles"] or USUAL_PARTICLES))
    costs, wanted = found.plan.costs, found.wish.half_width
    cases = []
    for case in found.plan.cases:
        designs = designs_within(minutes, costs, particles)
        widths = [half_width(case.spread, one) for one in designs]
        least = min(widths, default=math.inf)
        rows = tuple(
            ShiftRow(
                one.electrodes,
                one.regions,
                one.particles,
                one.n_particles,
                one.minutes(costs) / 60.0,
                width,
                width <= wanted,
                width == least and math.isfinite(width),
            )
            for one, width in zip(designs, widths, strict=True)
        )
        proposed = None if case.proposed is None else design_row(case, case.proposed, costs)
        title = {"pilot": "By the pilot", "at best": "At best", "at worst": "At worst"}[case.name]
        cases.append(ShiftCase(title, rows, _sentence(rows, wanted, minutes, proposed), proposed))
    return tuple(cases)


def _sentence(rows: tuple[ShiftRow, ...], wanted: float, minutes: float, least: Mapping[str, float] | None) -> str:
    best = next((row for row in rows if row.best), None)
    if not rows:
        first = f"Not one electrode fits into {duration(60.0 * minutes)}."
    elif best is None:
        first = "One electrode fits: of one there is no interval."
    else:
        regions = "one region" if best.regions == 1 else f"{best.regions} regions"
        reach = "which is enough" if best.enough else f"which is short of ± {figure(wanted)}"
        first = (
            f"The time that is left gives ± {figure(best.half_width)} at best: {plural(best.electrodes, 'electrode')} "
            f"with {regions} of {plural(best.particles, 'particle')} each, {reach}."
        )
    if least is None:
        return f"{first} ± {figure(wanted)} is out of reach with up to 40 electrodes: what electrodes differ by stays."
    return (
        f"{first} ± {figure(wanted)} takes {least['hours']:.1f} h: {least['electrodes']:.0f} electrodes, "
        f"{least['regions']:.0f} {'region' if least['regions'] == 1 else 'regions'} of {least['particles']:.0f} "
        "particles each."
    )


def _shift_drawn(cases: tuple[ShiftCase, ...], wanted: float) -> Drawn | None:
    series = [
        (
            case.title,
            [row.electrodes for row in case.rows if math.isfinite(row.half_width)],
            [row.half_width for row in case.rows if math.isfinite(row.half_width)],
        )
        for case in cases
    ]
    if not any(electrodes for _, electrodes, _ in series):
        return None
    words = "Half-width over the number of electrodes; the table says the same in numbers."
    return as_drawn(shift_figure(series, wanted), "What the time that is left gives", words, height=230)


def _power(found: BeamtimeDesign) -> str:
    if found.wish.effect is None:
        return ""
    said = []
    for case in found.plan.cases:
        n = case.electrodes_for_power
        enough = f"{n} electrodes in each condition" if n else "not even 200 electrodes in each condition"
        said.append(f"{case.name}: {enough}")
    return (
        f"To find a difference of {figure(found.wish.effect)} with a power of {figure(found.wish.power)}: "
        + "; ".join(said)
        + "."
    )


def _light(now: Snapshot, scans: PilotScans | None, values: Mapping[str, float | None]) -> ProposedEnergies | str:
    """The same as ``stxmdist energies`` with this sample; a sentence where there are none."""
    sample = Sample(values["thickness_nm"] or 150.0, values["pixel_nm"] or 30.0, values["particle_um"] or 0.5)
    n, photons = int(values["n"] or 5), values["photons"]

    def chosen() -> ProposedEnergies | str:
        try:
            return energies(now.campaign.chemistry, n, sample=sample, photons=photons, shift=n > 3)
        except Explained as error:
            return error.sentence
        except KeyError:
            return f"The library has no spectra of chemistry {now.campaign.chemistry}."

    return now.once(("light", n, photons, sample), chosen)


def _light_drawn(light: ProposedEnergies) -> Drawn:
    drawn = energies_figure(light.members, light.sample.thickness_nm, light.choice.energy_ev, light.choice.share)
    words = "Spectra of both end states with the proposed energies; the table says the energies in numbers."
    return as_drawn(drawn, f"{light.chemistry}, {light.edge}, {light.sample.thickness_nm:.0f} nm", words, height=250)


def _light_facts(light: ProposedEnergies) -> tuple[tuple[str, str], ...]:
    middle = light.expected[1]
    return (
        ("photons per pixel", figure(light.choice.photons)),
        ("dose", figure(light.choice.dose_mgy, 3, "MGy")),
        ("error of a pixel", figure(middle["pixel_sigma"], 2)),
        ("of a particle, by noise", figure(middle["particle_sigma"], 2)),
        ("by the references", figure(middle["references_sigma"], 2)),
        ("by 0.1 eV of the energy scale", figure(middle["bias_per_tenth_ev"], 2)),
    )


def _pilot_facts(scans: PilotScans | None) -> tuple[tuple[str, str], ...]:
    if scans is None:
        return ()
    return (
        ("scans", str(scans.n_scans)),
        ("particles with a state of charge", str(scans.n_particles)),
        ("thickness", figure(scans.thickness_nm, 3, "nm")),
        ("diameter", figure(scans.particle_um, 3, "µm")),
        ("a scan took", duration(60.0 * scans.minutes_per_scan)),
        ("energies", figure(scans.energies, 2)),
        ("error of a particle", figure(scans.soc_se, 2)),
    )


def _commands(now: Snapshot, scans: PilotScans | None, values: Mapping[str, float | None]) -> str:
    """The same in a terminal."""
    given = {name: value for name, value in values.items() if value is not None}
    light = [
        f"--{name.replace('_', '-')} {given[name]:.4g}"
        for name in ("thickness_nm", "photons", "pixel_nm", "particle_um")
        if name in given
    ]
    shift = " --shift" if given.get("n", 5) > 3 else ""
    first = f"stxmdist energies {now.campaign.chemistry} --n {given.get('n', 5):.0f} {' '.join(light)}{shift}"
    if scans is None:
        return first
    names = ("half_width", "effect", "power", "electrode_sd", "electrode_minutes", "region_minutes")
    wish = [f"--{name.replace('_', '-')} {given[name]:.4g}" for name in names if name in given]
    per = (given.get("scan_minutes", USUAL_SCAN_MINUTES)) / given.get("particles", USUAL_PARTICLES)
    return f"{first}\nstxmdist design {now.campaign.path.name} {' '.join(wish)} --particle-minutes {per:.4g}"


def _warm(now: Snapshot) -> None:
    """What was measured, and the energies that a page without a wish proposes."""
    scans = _pilot(now)
    sample = Sample() if scans is None else sample_of(scans)
    photons = _known(_photons(now), USUAL_PHOTONS)
    _light(now, scans, {**asdict(sample), "n": USUAL_ENERGIES, "photons": photons})


SCREEN = Screen(page, warm=_warm)
