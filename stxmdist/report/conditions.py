"""F1: which electrodes were seen in which conditions, and how many scans and particles reached the statistics."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from stxmdist.report.canvas import INK, Absent, Picture, as_svg, blank
from stxmdist.report.evidence import Evidence, column, number, text_of, words

MOST_ROWS, MOST_COLUMNS = 40, 10
Condition = tuple[float | None, float | None, str]
"""Cycle, rate and direction; None where not known, because NaN is not equal to itself."""


def design(evidence: Evidence) -> Picture | Absent:
    """Matrix of electrodes and conditions with numbers of scans, regions and particles."""
    title = "Study design"
    if not evidence.scans:
        return Absent("F1", title, "The sample sheet has no usable rows.")
    electrodes = sorted({str(row["electrode_id"]) for row in evidence.scans})
    conditions = sorted({_condition(row) for row in evidence.scans}, key=_in_order)
    shown, columns = electrodes[:MOST_ROWS], conditions[:MOST_COLUMNS]
    figure = blank(1.6 + 1.55 * max(3, len(columns)), 0.9 + 0.62 * len(shown))
    axes = figure.subplots()
    counts = _particles(evidence)
    largest = max([1, *counts.values()])
    for i, electrode in enumerate(shown):
        for j, condition in enumerate(columns):
            rows = [r for r in evidence.scans if str(r["electrode_id"]) == electrode and _condition(r) == condition]
            _cell(axes, j, i, rows, counts.get((electrode, condition), 0), largest)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xticks(range(len(columns)), [_condition_text(condition) for condition in columns])
    axes.set_yticks(range(len(shown)), shown)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_ylabel("electrode")
    for spine in axes.spines.values():
        spine.set_visible(False)
    left_out = len(electrodes) - len(shown), len(conditions) - len(columns)
    more = "".join(
        f" {n} more {what} are not drawn." for n, what in zip(left_out, ("electrodes", "conditions"), strict=True) if n
    )
    text = f"{len(electrodes)} electrodes in {len(conditions)} conditions"
    return Picture(
        "F1-design",
        title,
        "Scans, fields of view and particles for each electrode and condition; darker cells hold more particles. "
        "The electrode is the unit of statistics." + more,
        f"Matrix of {text}; each cell states its wide-field scans, ptychography scans, regions and particles.",
        "svg",
        as_svg(figure),
        ("particles", "electrodes"),
    )


def condition_of(cycle: Any, rate: Any, direction: Any) -> Condition:
    """A condition that can be compared with others."""
    known = [value if np.isfinite(value) else None for value in (number(cycle), number(rate))]
    return known[0], known[1], text_of(direction)


def _condition(row: Mapping[str, Any]) -> Condition:
    return condition_of(row.get("cycle"), row.get("c_rate"), row.get("direction"))


def _in_order(condition: Condition) -> tuple[Any, ...]:
    """Numbers as numbers, the unknown last."""
    cycle, rate, direction = condition
    return cycle is None, cycle or 0.0, rate is None, rate or 0.0, direction


def _condition_text(condition: Condition) -> str:
    cycle, rate, direction = condition
    first = f"cycle {cycle:g}" if cycle is not None else "cycle not known"
    second = ", ".join(part for part in (f"{rate:g} C" if rate is not None else "", direction) if part)
    return f"{first}\n{second}" if second else first


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
            key = electrode, condition_of(*condition)
            counts[key] = counts.get(key, 0) + 1
    return counts


def _cell(axes: Axes, x: int, y: int, rows: list[Mapping[str, Any]], particles: int, largest: int) -> None:
    if not rows:
        axes.text(x, y, "not measured", ha="center", va="center", fontsize=7.5, color="#777777", style="italic")
        return
    shade = 0.96 - 0.22 * particles / largest
    axes.add_patch(_box(x - 0.47, y - 0.46, 0.94, 0.92, (shade, shade, min(1.0, shade + 0.04))))
    stxm = sum(row["modality"] == "stxm" for row in rows)
    regions = len({row.get("region_id") or row["scan_id"] for row in rows})
    lines = f"{stxm} STXM, {len(rows) - stxm} ptycho.\n{regions} {_plural('region', regions)}\n"
    axes.text(x, y, f"{lines}{particles} {_plural('particle', particles)}", ha="center", va="center", fontsize=7.5)


def _box(x: float, y: float, width: float, height: float, colour: Any) -> Any:
    from matplotlib.patches import Rectangle

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
        "What was left at each step, and what went missing on the way to it. The ledger below gives each reason.",
        f"Flow chart: {said}.",
        "svg",
        as_svg(figure),
        ("scans", "exclusions"),
    )


def _steps(evidence: Evidence) -> list[tuple[str, str]]:
    """(what is left, what was lost before it) of each step."""
    listed = len(evidence.scans) + len(evidence.excluded)
    rejected = {r["scan_id"] for r in evidence.exclusions if r["stage"] == "sample sheet"} - {
        r["scan_id"] for r in (*evidence.scans, *evidence.excluded)
    }
    steps = [
        (f"{listed + len(rejected)} rows in the sample sheet", ""),
        (
            _both(evidence.scans),
            _joined((len(evidence.excluded), "excluded by the sheet"), (len(rejected), "with a mistake in the sheet")),
        ),
    ]
    before = list(evidence.scans)
    for stage, what, loss in (
        ("ingest", "read", "whose file could not be used"),
        ("absorbance", "with optical densities", "without optical density"),
        ("fit", "fitted", "not fitted"),
        ("segment", "searched for particles", "not searched"),
    ):
        left = [row for row in before if evidence.has(stage, row["scan_id"])]
        steps.append((f"{_both(left)} {what}", _joined((len(before) - len(left), loss))))
        before = left
    table = evidence.table("particles")
    wide = table[words(table, "modality") == "stxm"] if len(table) else table
    steps.append((f"{len(wide)} particles in wide-field scans, {len(table) - len(wide)} in ptychography", ""))
    if len(wide):
        border = (
            np.array([value is True or value == 1 for value in wide["touches_border"]])
            if "touches_border" in wide
            else np.zeros(len(wide), bool)
        )
        unknown = ~np.isfinite(column(wide, "soc_mean")) & ~border
        left_n = len(wide) - int(border.sum()) - int(unknown.sum())
        lost = _joined((int(border.sum()), "cut by the field's edge"), (int(unknown.sum()), "without state of charge"))
        steps.append((f"{left_n} whole wide-field particles with state of charge", lost))
    return steps


def _both(rows: Any) -> str:
    stxm = sum(row["modality"] == "stxm" for row in rows)
    if not len(rows):
        return "no scans"
    return f"{stxm} wide-field and {len(rows) - stxm} ptychography scans"


def _joined(*parts: tuple[int, str]) -> str:
    return ", ".join(f"{n} {text}" for n, text in parts if n)
