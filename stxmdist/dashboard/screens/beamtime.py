"""The home of a campaign: is the newest scan any good, is it enough, and what is to be done next."""

from dataclasses import dataclass

from stxmdist.campaign.exclude import exclude, include, state_of_sheet
from stxmdist.commands import run_process
from stxmdist.dashboard.conditions import Condition, condition_of_scan
from stxmdist.dashboard.newest import UNKNOWN, newest_first
from stxmdist.dashboard.progress import ElectrodeMean, electrode_means, spread_of, still_to_measure
from stxmdist.dashboard.refused import Unclear
from stxmdist.dashboard.screen import SCREENS, Page, Screen
from stxmdist.dashboard.snapshot import Snapshot
from stxmdist.dashboard.standing import WORDS, Light, Standing, failed_units, standing_of
from stxmdist.dashboard.thumbnails import Thumbnail, thumbnail
from stxmdist.dashboard.visit import Visit
from stxmdist.dashboard.words import plural
from stxmdist.planning.next_beamtime import Wish
from stxmdist.planning.published import TABLES_STAGE, sources_of
from stxmdist.planning.verdict import MODALITIES
from stxmdist.runner import CAMPAIGN

SHOWN = 20
"""Scans on the page; a link shows more"""
MOST_JUDGED = 200
"""Scans of which it is worked out how they stand, the newest ones"""
LIGHTS: tuple[Light, ...] = ("bad", "doubt", "good", "wait")
"""What wants attention first"""


@dataclass(frozen=True)
class ScanRow:
    """One scan."""

    scan_id: str
    address: str
    electrode: str
    condition: Condition
    modality: str
    when: str
    """When it was measured; empty where nothing says it"""
    picture: Thumbnail | None
    standing: Standing
    excluded: bool


@dataclass(frozen=True)
class LightCount:
    """How many scans have one light."""

    light: Light
    words: str
    n: int
    address: str
    """Of the page with these alone, or of that with all where these are shown"""
    current: bool


@dataclass(frozen=True)
class ElectrodeRow:
    """An electrode in one condition."""

    mean: ElectrodeMean
    address: str
    more: str
    enough: bool
    newest: bool
    """Whether the newest scan is of it"""


@dataclass(frozen=True)
class RunPanel:
    """What runs, and what can be started."""

    last: run_process.LeftRun | None
    failed: int
    """Units"""
    screen: str | None
    """Address of the screen of runs; None where there is none"""


@dataclass(frozen=True, kw_only=True)
class BeamtimePage(Page):
    """What the template of the screen shows."""

    rows: tuple[ScanRow, ...]
    n_rows: int
    """Before those that are not shown were left away"""
    n_judged: int
    """Of which lights are counted: the newest, where there are very many"""
    more: str | None
    """Address of the page with more of them"""
    lights: tuple[LightCount, ...]
    electrode: str
    """Whose scans alone are shown; empty for all"""
    all_scans: str
    electrodes: tuple[ElectrodeRow, ...]
    wanted: float
    notes: tuple[str, ...]
    """What must be known about the table of electrodes"""
    run: RunPanel
    sheet: str
    """State of the sample sheet that this page was made from"""


def page(visit: Visit) -> BeamtimePage:
    """Scans, the newest first; electrodes; and the run.

    The address may ask for ``light``, ``electrode``, ``shown`` (how many scans) and ``wanted`` (half-width).
    """
    now = visit.now
    # Read before the scans are looked at: what is written meanwhile is found out when a form comes back.
    sheet = state_of_sheet(now.campaign.sheet_path)
    wanted = visit.number("wanted", Wish().half_width)
    if not 0.0 < wanted < 0.5:
        raise Unclear(f"The address asks for an interval of ±{wanted:g}; a number between 0 and 0.5 is wanted.")
    timed = newest_first(now)
    newest = timed[0][0] if timed else None
    electrode, light = visit.text("electrode"), visit.text("light")
    shown = max(1, visit.integer("shown", SHOWN) or SHOWN)
    of_electrode = [each for each in timed if electrode in ("", each[0].electrode_id)]
    chosen = of_electrode[: max(shown, MOST_JUDGED)]
    standings = {scan.scan_id: standing_of(now, scan) for scan, _ in chosen}
    lights = tuple(
        LightCount(
            each,
            WORDS[each],
            sum(standing.light == each for standing in standings.values()),
            visit.here("", light=None if each == light else each),
            each == light,
        )
        for each in LIGHTS
    )
    chosen = [each for each in chosen if light in ("", standings[each[0].scan_id].light)]
    rows = tuple(
        ScanRow(
            scan.scan_id,
            visit.link("scan", scan=scan.scan_id),
            scan.electrode_id,
            condition_of_scan(scan),
            MODALITIES[scan.modality],
            "" if when == UNKNOWN else f"{when:%d %B, %H:%M}".lstrip("0"),
            thumbnail(visit, scan.scan_id),
            standings[scan.scan_id],
            scan.exclude,
        )
        for scan, when in chosen[:shown]
    )
    return BeamtimePage(
        title="Beamtime",
        rows=rows,
        n_rows=len(of_electrode) if not light else len(chosen),
        n_judged=len(standings),
        more=visit.here("", shown=3 * shown) if max(len(chosen), len(of_electrode)) > shown else None,
        lights=lights,
        electrode=electrode,
        all_scans=visit.here("", electrode=None),
        electrodes=_electrodes(
            visit, wanted, None if newest is None else (newest.electrode_id, condition_of_scan(newest))
        ),
        wanted=wanted,
        notes=tuple(_notes(now)),
        run=_run(visit),
        sheet=sheet,
    )


def _electrodes(visit: Visit, wanted: float, newest: tuple[str, Condition] | None) -> tuple[ElectrodeRow, ...]:
    """The electrode that is measured now first, then those of the widest intervals."""
    spread = spread_of(visit.now)
    rows = []
    for mean in electrode_means(visit.now):
        enough = mean.half_width <= wanted
        address = visit.here("", electrode=mean.electrode, shown=None)
        more = "Enough." if enough else still_to_measure(mean, spread, wanted)
        rows.append(ElectrodeRow(mean, address, more, enough, (mean.electrode, mean.condition) == newest))
    return tuple(sorted(rows, key=lambda row: (not row.newest, row.mean.electrode, row.mean.condition)))


def _notes(now: Snapshot) -> list[str]:
    """What the table of electrodes does not yet know."""
    inferred = now.published.named(TABLES_STAGE, CAMPAIGN)
    if inferred is None:
        return []
    counted = {scan_id for stage, scan_id, _ in sources_of(inferred) if stage == "segment"}
    segmented = [name for name, scan in now.scans.items() if now.published.has("segment", name)]
    waiting = sum(name not in counted for name in segmented)
    left_out = sum(scan.scan_id in counted for scan in now.campaign.excluded)
    said = []
    if waiting:
        said.append(f"{plural(waiting, 'scan')} with particles {'is' if waiting == 1 else 'are'} not in it yet.")
    if left_out:
        said.append(
            f"{plural(left_out, 'scan')} that the sheet leaves out {'is' if left_out == 1 else 'are'} still in."
        )
    return [*said, "A run renews it."] if said else []


def _run(visit: Visit) -> RunPanel:
    now = visit.now
    screen = visit.link(SCREENS["run"].address) if "run" in SCREENS else None
    return RunPanel(run_process.last_run(now.campaign), failed_units(now), screen)


def _exclude(visit: Visit) -> str:
    """Leave the scan of a form out."""
    exclude(
        visit.now.campaign.sheet_path,
        visit.now.scan(visit.form.get("scan", "")).scan_id,
        visit.form.get("reason", ""),
        seen=visit.form.get("sheet", ""),
    )
    return visit.here("")


def _include(visit: Visit) -> str:
    """Take the scan of a form in again."""
    scan_id = visit.now.scan(visit.form.get("scan", "")).scan_id
    include(visit.now.campaign.sheet_path, scan_id, seen=visit.form.get("sheet", ""))
    return visit.here("campaign" if visit.form.get("back") == "campaign" else "")


def _start(visit: Visit) -> str:
    """Start a run of what is missing, in a process of its own."""
    run_process.start(visit.now.campaign, run_process.Wanted())
    return visit.here("")


def _retry(visit: Visit) -> str:
    """Start a run of the units that failed."""
    run_process.start(visit.now.campaign, run_process.Wanted(retry=True))
    return visit.here("")


def _warm(now: Snapshot) -> None:
    """When scans were measured stands in a file for each; how the newest stand rests on many figures."""
    for scan, _ in newest_first(now)[:MOST_JUDGED]:
        standing_of(now, scan)
    _ = now.simulated


SCREEN = Screen(page, actions={"exclude": _exclude, "include": _include, "start": _start, "retry": _retry}, warm=_warm)
