"""F1: which electrodes were seen in which conditions, and how many scans and particles reached the statistics."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from stxmdist.campaign.scan import Scan
from stxmdist.planning.columns import column, number, text_of, words
from stxmdist.report.canvas import INK, Absent, Picture, blank
from stxmdist.report.evidence import Evidence, not_drawn

MOST_ROWS, MOST_COLUMNS = 40, 10


@dataclass(frozen=True)
class Condition:
    """How an electrode was cycled; None where not known, because NaN is not equal to itself."""

    cycle: float | None
    c_rate: float | None
    direction: str

    @property
    def order(self) -> tuple[bool, float, bool, float, str]:
        """Sorts numbers as numbers, and the unknown last."""
        return self.cycle is None, self.cycle or 0.0, self.c_rate is None, self.c_rate or 0.0, self.direction

    @property
    def text(self) -> str:
        """In words, on two lines at most."""
        first = f"cycle {self.cycle:g}" if self.cycle is not None else "cycle not known"
        rate = f"{self.c_rate:g} C" if self.c_rate is not None else ""
        second = ", ".join(part for part in (rate, self.direction) if part)
        return f"{first}\n{second}" if second else first


def design(evidence: Evidence) -> Picture | Absent:
    """Matrix of electrodes and conditions with numbers of scans, regions and particles."""
    title = "Study design"
    if not evidence.scans:
        return Absent("F1", title, "The sample sheet has no usable rows.")
    electrodes = sorted({scan.electrode_id for scan in evidence.scans})
    conditions = sorted({condition_of_scan(scan) for scan in evidence.scans}, key=lambda condition: condition.order)
    shown, columns = electrodes[:MOST_ROWS], conditions[:MOST_COLUMNS]
    figure = blank(1.6 + 1.55 * max(3, len(columns)), 0.9 + 0.62 * len(shown))
    axes = figure.subplots()
    counts = _particles(evidence)
    largest = max([1, *counts.values()])
    for i, electrode in enumerate(shown):
        for j, condition in enumerate(columns):
            here = [s for s in evidence.scans if s.electrode_id == electrode and condition_of_scan(s) == condition]
            _cell(axes, j, i, here, counts.get((electrode, condition), 0), largest)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xticks(range(len(columns)), [condition.text for condition in columns])
    axes.set_yticks(range(len(shown)), shown)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_ylabel("electrode")
    for spine in axes.spines.values():
        spine.set_visible(False)
    more = not_drawn(electrodes, shown, "electrode", "electrodes")
    more += not_drawn(conditions, columns, "condition", "conditions")
    text = f"{len(electrodes)} electrodes in {len(conditions)} conditions"
    return Picture(
        "F1-design",
        title,
        "Scans, fields of view and particles for each electrode and condition; darker cells hold more particles. "
        "The electrode is the unit of statistics." + more,
        f"Matrix of {text}; each cell states its wide-field scans, ptychography scans, regions and particles.",
        figure,
        ("particles", "electrodes"),
    )


def condition_of(cycle: object, rate: object, direction: object) -> Condition:
    """A condition that can be compared with others."""
    known = [value if np.isfinite(value) else None for value in (number(cycle), number(rate))]
    return Condition(known[0], known[1], text_of(direction))


def condition_of_scan(scan: Scan) -> Condition:
    """The condition in which a scan's electrode was."""
    return condition_of(scan.cycle, scan.c_rate, scan.direction)


def _particles(evidence: Evidence) -> dict[tuple[str, Condition], int]:
    table = evidence.table("particles")
    counts: dict[tuple[str, Condition], int] = {}
    places = zip(
        words(table, "modality"),
        words(table, "electrode_id"),
        column(table, "cycle"),
        column(table, "c_rate"),
        words(table, "direction"),
        strict=True,
    )
    for modality, electrode, *condition in places:
        if modality == "stxm":
            key = str(electrode), condition_of(*condition)
            counts[key] = counts.get(key, 0) + 1
    return counts


def _cell(axes: Axes, x: int, y: int, scans: list[Scan], particles: int, largest: int) -> None:
    if not scans:
        axes.text(x, y, "not measured", ha="center", va="center", fontsize=7.5, color="#777777", style="italic")
        return
    shade = 0.96 - 0.22 * particles / largest
    axes.add_patch(_box(x - 0.47, y - 0.46, 0.94, 0.92, (shade, shade, min(1.0, shade + 0.04))))
    stxm = sum(scan.modality == "stxm" for scan in scans)
    regions = len({scan.region_id or scan.scan_id for scan in scans})
    lines = f"{stxm} STXM, {len(scans) - stxm} ptycho.\n{regions} {_plural('region', regions)}\n"
    axes.text(x, y, f"{lines}{particles} {_plural('particle', particles)}", ha="center", va="center", fontsize=7.5)


def _box(x: float, y: float, width: float, height: float, colour: str | tuple[float, float, float]) -> Rectangle:
    return Rectangle((x, y), width, height, facecolor=colour, edgecolor="#888888", linewidth=0.6)


def _plural(noun: str, n: int) -> str:
    return noun if n == 1 else f"{noun}s"


def flow(evidence: Evidence) -> Picture | Absent:
    """How many scans and particles were left after each step, and what was lost on the way."""
    steps = _steps(evidence)
    figure = blank(7.6, 0.62 * len(steps) + 0.2)
    axes = figure.subplots()
    axes.axis("off")
    axes.set_xlim(0, 10)
    axes.set_ylim(len(steps) - 0.45, -0.55)
    for i, (kept, lost) in enumerate(steps):
        axes.add_patch(_box(0.1, i - 0.3, 5.2, 0.6, "#f2f2f2"))
        axes.text(2.7, i, kept, ha="center", va="center", color=INK)
        if i:
            axes.annotate(
                "", (2.7, i - 0.31), (2.7, i - 0.69), arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 0.8}
            )
        if lost:
            axes.annotate(
                "", (5.85, i - 0.5), (2.7, i - 0.5), arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 0.6}
            )
            axes.add_patch(_box(5.9, i - 0.74, 4.0, 0.48, "white"))
            axes.text(7.9, i - 0.5, lost, ha="center", va="center", fontsize=7.5, color=INK)
    said = "; ".join(kept + (f" ({lost})" if lost else "") for kept, lost in steps)
    return Picture(
        "F1-flow",
        "From scans to statistics",
        "What was left at each step, and what was lost on the way to it. Each reason is given in the table under "
        "‘What was left out’.",
        f"Flow chart: {said}.",
        figure,
        ("scans", "exclusions"),
    )


def _steps(evidence: Evidence) -> list[tuple[str, str]]:
    """(what is left, what was lost before it) of each step."""
    excluded = evidence.campaign.excluded
    listed = len(evidence.scans) + len(excluded)
    rejected = {row.scan_id for row in evidence.campaign.exclusions if row.stage == "sample sheet"} - {
        scan.scan_id for scan in (*evidence.scans, *excluded)
    }
    steps = [
        (f"{listed + len(rejected)} rows in the sample sheet", ""),
        (
            _both(evidence.scans),
            _joined((len(excluded), "excluded by the sheet"), (len(rejected), "with a mistake in the sheet")),
        ),
    ]
    before = list(evidence.scans)
    for stage, what, loss in (
        ("ingest", "read", "whose file could not be used"),
        ("absorbance", "with optical densities", "without optical density"),
        ("fit", "fitted", "not fitted"),
        ("segment", "searched for particles", "not searched"),
    ):
        left = [scan for scan in before if evidence.has(stage, scan.scan_id)]
        steps.append((f"{_both(left)} {what}", _joined((len(before) - len(left), loss))))
        before = left
    table = evidence.table("particles")
    wide = table[words(table, "modality") == "stxm"] if len(table) else table
    steps.append((f"{len(wide)} particles in wide-field scans, {len(table) - len(wide)} in ptychography", ""))
    if len(wide):
        border = column(wide, "touches_border") == 1.0
        unknown = ~np.isfinite(column(wide, "soc_mean")) & ~border
        left_n = len(wide) - int(border.sum()) - int(unknown.sum())
        lost = _joined((int(border.sum()), "cut by the field's edge"), (int(unknown.sum()), "without state of charge"))
        steps.append((f"{left_n} whole wide-field particles with state of charge", lost))
    return steps


def _both(scans: Collection[Scan]) -> str:
    stxm = sum(scan.modality == "stxm" for scan in scans)
    return f"{stxm} wide-field and {len(scans) - stxm} ptychography scans" if scans else "no scans"


def _joined(*parts: tuple[int, str]) -> str:
    return ", ".join(f"{n} {text}" for n, text in parts if n)
