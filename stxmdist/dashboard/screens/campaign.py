"""All electrodes beside one another: a plate to click, distributions, size dependence, effects, what was left out."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import Mask
from stxmdist.campaign.exclude import state_of_sheet
from stxmdist.campaign.scan import Scan
from stxmdist.dashboard.conditions import Condition, condition_of_scan
from stxmdist.dashboard.crowd import Shape, counts_in_bins, spread_over, thinned, trend
from stxmdist.dashboard.effect_words import Effect, effects_of
from stxmdist.dashboard.figures.crowd import ridges, sizes, spectra
from stxmdist.dashboard.figures.plot import Drawn, as_drawn
from stxmdist.dashboard.images import LAYERS
from stxmdist.dashboard.population import Population, population
from stxmdist.dashboard.progress import ElectrodeMean, electrode_means
from stxmdist.dashboard.refused import NotHere, Unclear
from stxmdist.dashboard.screen import Crumb, Page, Screen
from stxmdist.dashboard.spectra import spectrum_of_particle
from stxmdist.dashboard.thumbnails import Thumbnail, thumbnail
from stxmdist.dashboard.tiles import gradient
from stxmdist.dashboard.visit import Visit
from stxmdist.dashboard.words import plural
from stxmdist.planning.columns import column, rows_of, words
from stxmdist.report.tables import EffectRow

MOST_RIDGES = 24
MOST_POINTS = 4000
"""Of the figure of sizes; the line through them is of all particles"""
MOST_ROWS = 50
MOST_SPECTRA = 6
MOST_EXCLUSIONS = 200
EDGES = np.linspace(-0.06, 1.06, 29)
"""Of bins of the state of charge; two of them have the ends 0 and 1"""
TREND_BINS = 12
BOX = ("size_low", "size_high", "soc_low", "soc_high")
"""Of the address: diameters in um and states of charge between which particles are chosen"""


@dataclass(frozen=True)
class Cell:
    """An electrode in one condition, on the plate."""

    address: str
    words: str
    """For who does not see it"""
    picture: Thumbnail | None
    mean: ElectrodeMean | None
    n_scans: int
    current: bool


@dataclass(frozen=True)
class Exclusion:
    """What was left out, where and why."""

    what: str
    scan_id: str
    address: str | None
    stage: str
    why: str
    n: int
    in_sheet: bool
    """Whether a person left it out, and can take it in again"""


@dataclass(frozen=True)
class ChosenRow:
    """A particle that was chosen."""

    scan_id: str
    number: int
    address: str
    electrode: str
    condition: Condition
    d_eq_um: float
    soc: float
    soc_se: float
    soc_sd: float
    phase_class: str


@dataclass(frozen=True)
class Chosen:
    """The particles that lie in a shape."""

    asked: bool
    n: int
    of: int
    facts: tuple[tuple[str, str], ...]
    drawn: Drawn | str
    rows: tuple[ChosenRow, ...]
    clear: str
    """Address without the choice"""


@dataclass(frozen=True, kw_only=True)
class CampaignPage(Page):
    """What the template of the screen shows."""

    conditions: tuple[tuple[str, str], ...]
    """Of the columns: words, and the address that chooses it alone"""
    plate: tuple[tuple[str, str, tuple[Cell | None, ...]], ...]
    """Electrode, the address that chooses it alone, and its cells"""
    colours: tuple[str, ...]
    n_particles: int
    said: str
    """What the figures rest on"""
    where: str
    """Electrode and condition that were chosen, in words; empty for all"""
    everywhere: str
    scans: tuple[tuple[str, str], ...]
    """Of what was chosen: name and address"""
    ridges: Drawn | str
    sizes: Drawn | str
    box: tuple[float, ...]
    """What the fields of the form show; NaN for none"""
    chosen: Chosen
    effects: tuple[Effect, ...]
    exclusions: tuple[Exclusion, ...]
    n_exclusions: int
    sheet: str
    """State of the sample sheet that this page was made from"""


def page(visit: Visit) -> CampaignPage:
    """The whole campaign, or what the address chooses of it with ``electrode``, ``condition``, and a shape."""
    now = visit.now
    sheet = state_of_sheet(now.campaign.sheet_path)
    electrode, condition = visit.text("electrode"), visit.text("condition")
    by_cell: dict[tuple[str, Condition], list[Scan]] = {}
    for scan in now.campaign.scans:
        by_cell.setdefault((scan.electrode_id, condition_of_scan(scan)), []).append(scan)
    electrodes = sorted({key[0] for key in by_cell})
    conditions = sorted({key[1] for key in by_cell})
    means = {(mean.electrode, mean.condition): mean for mean in electrode_means(now)}
    here = [
        scan
        for (name, state), scans in by_cell.items()
        if electrode in ("", name) and condition in ("", state.key)
        for scan in scans
    ]
    if (electrode or condition) and not here:
        raise NotHere("No scan of this campaign is of this electrode in this condition.")
    state = next((each.words for each in conditions if each.key == condition), "")
    where = ", ".join(part for part in (electrode, state) if part)
    crowd = population(now)
    inside = None if crowd is None else crowd.of(electrode, condition)
    exclusions = tuple(_exclusions(visit))
    return CampaignPage(
        title="Campaign",
        crumbs=(Crumb("All electrodes", visit.here("campaign", electrode=None, condition=None)), Crumb(where))
        if where
        else (),
        conditions=tuple(
            (each.words, visit.here("campaign", condition=None if each.key == condition else each.key))
            for each in conditions
        ),
        plate=tuple(
            (
                name,
                visit.here("campaign", electrode=None if name == electrode else name),
                tuple(
                    _cell(visit, name, each, by_cell[name, each], means.get((name, each)))
                    if (name, each) in by_cell
                    else None
                    for each in conditions
                ),
            )
            for name in electrodes
        ),
        colours=gradient(LAYERS["soc"].palette),
        n_particles=0 if inside is None else int(inside.sum()),
        said="" if crowd is None else _said(crowd),
        where=where,
        everywhere=visit.here("campaign", electrode=None, condition=None),
        scans=tuple((scan.scan_id, visit.link("scan", scan=scan.scan_id)) for scan in here[:MOST_ROWS]),
        ridges=_ridges(crowd, inside, means),
        sizes=_sizes(visit, crowd, inside),
        box=tuple(visit.number(name) for name in BOX),
        chosen=chosen(visit),
        effects=_effects(visit),
        exclusions=exclusions[:MOST_EXCLUSIONS],
        n_exclusions=len(exclusions),
        sheet=sheet,
    )


def _cell(visit: Visit, electrode: str, condition: Condition, scans: list[Scan], mean: ElectrodeMean | None) -> Cell:
    """The newest wide-field map stands for the cell; of scans without any, none does."""
    wide = [scan for scan in scans if scan.modality == "stxm"] or scans
    picture = next((found for scan in wide[::-1] if (found := thumbnail(visit, scan.scan_id, fitted=True))), None)
    current = visit.text("electrode") == electrode and visit.text("condition") == condition.key
    address = visit.here(
        "campaign",
        electrode=None if current else electrode,
        condition=None if current else condition.key,
        shape=None,
        **dict.fromkeys(BOX),
    )
    said = f"Electrode {electrode}, {condition.words}: {plural(len(scans), 'scan')}"
    return Cell(address, said, picture, mean, len(scans), current)


def _said(crowd: Population) -> str:
    left = (
        f"; {plural(crowd.n_left_out, 'other')} lack a number, or are cut by the edge of the field"
        if crowd.n_left_out
        else ""
    )
    return f"{plural(len(crowd), 'particle')}{left}"


NOTHING = "No particle has a state of charge in the published tables: the stage infer has published none."


def _ridges(
    crowd: Population | None, inside: Mask | None, means: dict[tuple[str, Condition], ElectrodeMean]
) -> Drawn | str:
    if crowd is None or inside is None or not inside.any():
        return NOTHING
    present = [int(i) for i in np.unique(crowd.place[inside])]
    shown = present[:MOST_RIDGES]
    counts = counts_in_bins(crowd.soc[inside], crowd.place[inside], len(crowd.places), EDGES)[shown]
    places = [crowd.places[i] for i in shown]
    names = [
        f"{place.electrode} {place.condition.words.split(' · ')[0]} ({crowd.counts[i]})"
        for place, i in zip(places, shown, strict=True)
    ]
    nan = (math.nan,) * 3
    ends = [
        nan if (mean := means.get((place.electrode, place.condition))) is None else (mean.mean, mean.low, mean.high)
        for place in places
    ]
    left = "" if len(shown) == len(present) else f" The first {len(shown)} of {len(present)}: choose an electrode."
    caption = f"Share of particles in bins of {EDGES[1] - EDGES[0]:.2f}; ◆ mean by mass with its 95 % interval.{left}"
    return as_drawn(
        ridges(EDGES, counts, names, ends),
        caption,
        f"Distributions of the state of charge of {plural(len(shown), 'electrode')} in their conditions.",
        height=max(170, 70 + 46 * len(shown)),
    )


def _sizes(visit: Visit, crowd: Population | None, inside: Mask | None) -> Drawn | str:
    if crowd is None or inside is None or not inside.any():
        return NOTHING
    places = np.flatnonzero(inside & (crowd.d_eq_um > 0))
    shape = shape_of(visit)
    drawn = places[thinned(len(places), MOST_POINTS)]
    picked = np.zeros(len(drawn), bool) if shape is None else shape.holds(crowd.d_eq_um[drawn], crowd.soc[drawn])
    found = trend(crowd.d_eq_um[places], crowd.soc[places], TREND_BINS)
    all_of_them = f"all {plural(len(places), 'particle')}"
    points = (
        all_of_them
        if len(drawn) == len(places)
        else f"{plural(len(drawn), 'point')} drawn, evenly taken from {plural(len(places), 'particle')}"
    )
    caption = f"{points[0].upper()}{points[1:]}; line and band: median and quartiles of {all_of_them}."
    return as_drawn(
        sizes(crowd.d_eq_um[drawn], crowd.soc[drawn], picked, found, shape),
        caption,
        "State of charge over the diameter of particles. The fields below choose particles as box and lasso do.",
        height=340,
        selects="campaign.chosen chosen shape",
    )


def shape_of(visit: Visit) -> Shape | None:
    """The shape in the address: a closed line ``shape``, or a box of four numbers of which some may be missing.

    Raises
    ------
    Unclear
        for a line that is none.
    """
    if text := visit.text("shape"):
        found = Shape.parse(text)
        if found is None:
            raise Unclear("The address gives a shape that is none; x,y,x,y,... of three corners or more is wanted.")
        return found
    if not any(visit.query.get(name) for name in BOX):
        return None
    ends = [visit.number(name, otherwise) for name, otherwise in zip(BOX, (1e-3, 1e3, -1e3, 1e3), strict=True)]
    if ends[0] <= 0 or ends[1] <= 0:
        raise Unclear("The address gives a diameter that is none; a number above 0 is wanted.")
    return Shape.box(*ends)


def chosen(visit: Visit) -> Chosen:
    """The particles in the shape that the address gives, drawn or not: their spectra and their table."""
    clear = visit.here("campaign", shape=None, **dict.fromkeys(BOX))
    crowd, shape = population(visit.now), shape_of(visit)
    if crowd is None or shape is None:
        return Chosen(False, 0, 0, (), "", (), clear)
    inside = crowd.of(visit.text("electrode"), visit.text("condition"))
    found = np.flatnonzero(inside & shape.holds(crowd.d_eq_um, crowd.soc))
    soc = crowd.soc[found]
    shown = [int(found[i]) for i in spread_over(soc, MOST_ROWS)]
    facts = (
        ("particles", f"{plural(len(found), 'particle')} of {plural(int(inside.sum()), 'particle')}"),
        ("electrodes", str(len({crowd.places[i].electrode for i in np.unique(crowd.place[found])}))),
        ("median state of charge", f"{np.median(soc):.3f}" if found.size else "–"),
        ("median diameter", f"{np.median(crowd.d_eq_um[found]):.3g} µm" if found.size else "–"),
    )
    rows = tuple(
        ChosenRow(
            str(crowd.scan_id[i]),
            int(crowd.particle_id[i]),
            visit.link("particle", scan=crowd.scan_id[i], particle=crowd.particle_id[i]),
            crowd.places[crowd.place[i]].electrode,
            crowd.places[crowd.place[i]].condition,
            float(crowd.d_eq_um[i]),
            float(crowd.soc[i]),
            float(crowd.soc_se[i]),
            float(crowd.soc_sd[i]),
            str(crowd.phase_class[i]),
        )
        for i in shown
    )
    return Chosen(True, len(found), int(inside.sum()), facts, _spectra(visit, rows), rows, clear)


def _spectra(visit: Visit, rows: tuple[ChosenRow, ...]) -> Drawn | str:
    """Of a few particles, from the lowest to the highest state of charge."""
    if not rows:
        return "No particle lies there."
    lines = []
    for row in (rows[i] for i in thinned(len(rows), MOST_SPECTRA)):
        align, labels = (visit.now.output(stage, row.scan_id) for stage in ("align", "segment"))
        scan = visit.now.scans.get(row.scan_id)
        if align is None or labels is None or scan is None:
            continue
        try:
            spectrum = spectrum_of_particle(visit.now, scan, align, labels, row.number)
        except NotHere:
            # The table is older than what is published of this scan.
            continue
        largest = np.nanmax(spectrum.od) if np.isfinite(spectrum.od).any() else math.nan
        if largest > 0:
            lines.append((f"{row.soc:.2f}", spectrum.energy_ev, spectrum.od / largest))
    if not lines:
        return "No spectrum of these particles is published as the table has them: a run renews it."
    caption = (
        f"{plural(len(lines), 'spectrum', 'spectra')}, from the lowest to the highest state of charge (in the legend)."
    )
    return as_drawn(spectra(lines), caption, f"Spectra of {plural(len(lines), 'chosen particle')}.", height=260)


def _effects(visit: Visit) -> tuple[Effect, ...]:
    table = visit.now.table("effects")
    return () if table is None else effects_of(rows_of(EffectRow, table))


def _exclusions(visit: Visit) -> Iterator[Exclusion]:
    """What the sheet leaves out now, and what the statistics left out when they were made."""
    now = visit.now
    for scan in now.campaign.excluded:
        address = visit.link("scan", scan=scan.scan_id)
        yield Exclusion("scan", scan.scan_id, address, "sample sheet", scan.reason or "no reason is given", 1, True)
    table = now.table("exclusions")
    if table is None:
        return
    names = [words(table, name).tolist() for name in ("what", "scan_id", "stage", "why")]
    for what, scan_id, stage, why, n in zip(*names, column(table, "n").tolist(), strict=True):
        if stage == "sample sheet" and what == "scan":
            continue
        known = scan_id in now.scans
        where = visit.link("scan", scan=scan_id) if known else None
        yield Exclusion(what, scan_id, where, stage, why, int(n) if math.isfinite(n) else 1, False)


SCREEN = Screen(page, parts={"chosen": chosen})
