"""Draws the floors of the house from the linter's contract in pyproject.toml."""

import re
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WIDTH, ROW, GAP, MARGIN = 1060, 46, 12, 20
MEANINGS = {
    "stxmdist.cli": "faces: the command line",
    "flows": "Prefect: which stage runs when",
    "stxmdist.report": "reads the store: draws, exports, scores, measures speed",
    "stxmdist.stages": "plan, work, finish",
    "stxmdist.planning": "survey, options, forecast, execution, status",
    "stxmdist.runner": "Dask",
    "stxmdist.campaign": "campaign files | ground truth",
    "stxmdist.readers": "physics: knows arrays only",
    "stxmdist.measures": "records, units, arrays, tables of parts, errors",
    "storage": "Zarr and Parquet: knows nothing of X-rays",
}
"""First package of a floor to what the floor is for"""


def floors_of(project: dict[str, Any]) -> list[list[str]]:
    """Packages of each floor, from the highest down; those that do not exist yet are left out."""
    (contract,) = (c for c in project["tool"]["importlinter"]["contracts"] if c["id"] == "floors")
    floors = [[name for name in re.findall(r"[\w.]+", layer) if _exists(name)] for layer in contract["layers"]]
    return [floor for floor in floors if floor]


def _exists(module: str) -> bool:
    path = ROOT / module.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


def floors_svg(project: dict[str, Any]) -> str:
    """A picture with one band for each floor."""
    floors = floors_of(project)
    lines = {id(floor): _lines(floor) for floor in floors}
    heights = [ROW * len(lines[id(floor)]) + 22 for floor in floors]
    total = 2 * MARGIN + sum(heights) + GAP * (len(floors) - 1)
    svg = 'xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title"'
    parts = [
        f'<svg {svg} viewBox="0 0 {WIDTH} {total}" font-family="Helvetica, Arial, sans-serif">',
        '<title id="title">Packages of stxmdist on their floors; imports run downward only</title>',
        f'<rect width="{WIDTH}" height="{total}" rx="10" fill="#ffffff"/>',
    ]
    top = MARGIN
    for floor, height in zip(floors, heights, strict=True):
        parts.append(_box(MARGIN, top, WIDTH - 2 * MARGIN, height, 'fill="#eef2f6"'))
        about = next((text for name, text in MEANINGS.items() if name in floor), "")
        parts.append(f'<text x="{MARGIN + 14}" y="{top + 18}" font-size="13" fill="#44576b">{escape(about)}</text>')
        for row, names in enumerate(lines[id(floor)]):
            wide = (WIDTH - 2 * MARGIN - 14 * (len(names) + 1)) / len(names)
            for place, name in enumerate(names):
                x, y = MARGIN + 14 + place * (wide + 14), top + 26 + row * ROW
                parts.append(_box(x, y, wide, ROW - 10, 'fill="#ffffff" stroke="#8b9bab"'))
                style = 'text-anchor="middle" font-size="15" fill="#1d2a38"'
                short = escape(name.removeprefix("stxmdist."))
                parts.append(f'<text x="{x + wide / 2:.1f}" y="{y + 23}" {style}>{short}</text>')
        top += height + GAP
    return "\n".join([*parts, "</svg>", ""])


def _box(x: float, y: float, width: float, height: float, style: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="7" {style}/>'


def _lines(floor: list[str], most: int = 8) -> list[list[str]]:
    """The packages of a floor in rows of at most so many."""
    rows = -(-len(floor) // most)
    per_row = -(-len(floor) // rows)
    return [floor[i : i + per_row] for i in range(0, len(floor), per_row)]


def write_pictures(project: dict[str, Any], folder: Path) -> None:
    """Write every picture of the documentation into a folder."""
    (folder / "floors.svg").write_text(floors_svg(project))
