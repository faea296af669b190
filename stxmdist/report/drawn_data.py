"""What a figure shows, as numbers: every point, line, bar, band and map of its panels, read from the figure itself.

The numbers are those that were drawn, whatever the figure was made of, so that they cannot differ from it. Outlines and
scale bars on maps, legends and the scales of colours are no data.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.collections import Collection, LineCollection, PathCollection, PolyCollection
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Polygon, Rectangle
from matplotlib.quiver import Quiver
from matplotlib.ticker import FixedLocator
from pyarrow import csv

from storage.csv_text import csv_bytes
from stxmdist.arrays import F64

COLUMNS = ("panel", "panel_title", "x_axis", "y_axis", "series", "mark", "item", "x", "y", "x_end", "y_end", "value",
           "text")  # fmt: skip
"""A row is a point, or what reaches from (x, y) to (x_end, y_end); ``item`` counts within a series"""
IMAGE_DIGITS = 5
"""Significant digits of a pixel, of the largest one"""


@dataclass(frozen=True, eq=False)
class DrawnData:
    """The numbers of a figure."""

    rows: pd.DataFrame
    """Columns ``COLUMNS``"""
    images: dict[str, pd.DataFrame] = field(default_factory=dict)
    """Name to the values of a map, one row for each y and one column for each x, um"""


def drawn_data(figure: Figure) -> DrawnData:
    """All that the panels of a figure show, one panel after another."""
    parts: list[dict[str, Any]] = []
    images: dict[str, pd.DataFrame] = {}
    for panel, axes in enumerate((axes for axes in figure.axes if not hasattr(axes, "_colorbar")), start=1):
        title = " ".join((axes.get_title("left") or axes.get_title()).split())
        words = {
            "panel": panel,
            "panel_title": title or None,
            "x_axis": " ".join(axes.get_xlabel().split()) or None,
            "y_axis": " ".join(axes.get_ylabel().split()) or None,
        }
        parts += [words | found for found in _of_panel(axes, images, f"panel-{panel:02d}")]
    frames = [pd.DataFrame(part).reindex(columns=list(COLUMNS)) for part in parts]
    rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))
    return DrawnData(rows.astype(dict.fromkeys(COLUMNS[7:12], np.float64)), images)


def _of_panel(axes: Axes, images: dict[str, pd.DataFrame], name: str) -> Iterator[dict[str, Any]]:
    for place, image in enumerate(axes.get_images(), start=1):
        values = image.get_array()
        left, right, bottom, top = image.get_extent()
        about: dict[str, Any] = {"series": f"map {place}", "mark": "map", "item": [1]}
        ends = {"x": [left], "x_end": [right], "y": [bottom], "y_end": [top]}
        if values is not None and values.ndim == 2:
            file = f"{name}.csv" if place == 1 else f"{name}-{place}.csv"
            images[file] = _image(np.ma.filled(np.ma.asarray(values, np.float64), np.nan), (left, right, bottom, top))
            yield about | ends | {"text": [file]}
        else:
            yield about | ends | {"text": ["coloured pixels"]}
    labels = {
        id(artist): str(container.get_label())
        for container in axes.containers
        for artist in container.get_children()
        if not str(container.get_label()).startswith("_")
    }
    unnamed = 0
    on_map = bool(axes.get_images())
    artists = [*axes.lines, *axes.collections, *([] if on_map else axes.patches)]
    for artist in artists:
        found = _of_artist(axes, artist)
        if found is None:
            continue
        label = labels.get(id(artist)) or _named(str(artist.get_label()))
        if not label:
            unnamed += 1
            label = f"{found['mark']} {unnamed}"
        yield {"series": label} | found
    if not on_map:
        yield from _words(axes)


def _named(label: str) -> str:
    """The name of a series; one that the legend leaves out begins with an underscore."""
    if label.startswith(("_child", "_nolegend_")):
        return ""
    return label.removeprefix("_")


def _of_artist(axes: Axes, artist: object) -> dict[str, Any] | None:
    if isinstance(artist, Line2D):
        return _line(axes, artist)
    if isinstance(artist, ContourSet):
        return None
    if isinstance(artist, Quiver):
        return _points("arrow", artist.get_offsets()) | {"x_end": _flat(artist.U), "y_end": _flat(artist.V)}
    if isinstance(artist, LineCollection):
        return _segments(axes, artist)
    if isinstance(artist, PathCollection):
        values = artist.get_array()
        found = _points("point", artist.get_offsets())
        return found if values is None else found | {"value": _flat(values)}
    if isinstance(artist, PolyCollection):
        return _band(artist)
    if isinstance(artist, Rectangle):
        return _rectangle(axes, artist)
    if isinstance(artist, Polygon) and _in_data(axes, artist):
        return _points("outline", artist.get_xy())
    return None


def _in_data(axes: Axes, artist: Collection | Patch | Line2D) -> bool:
    """Whether a thing is placed by the numbers of both axes."""
    return bool(artist.get_transform().contains_branch_seperately(axes.transData) == (True, True))


def _line(axes: Axes, line: Line2D) -> dict[str, Any] | None:
    xy = np.asarray(line.get_xydata(), np.float64)
    if not len(xy):
        return None
    by_x, by_y = line.get_transform().contains_branch_seperately(axes.transData)
    if not (by_x or by_y):
        return None
    if not (by_x and by_y):
        # A straight line across the panel has one number.
        return {"mark": "level", "item": [1], "x": [xy[0, 0] if by_x else np.nan], "y": [xy[0, 1] if by_y else np.nan]}
    marked = line.get_linestyle() in ("None", "none", "", " ")
    return _points("point" if marked else "line", xy)


def _points(mark: str, xy: Any) -> dict[str, Any]:
    xy = np.ma.filled(np.ma.asarray(xy, np.float64), np.nan)
    return {"mark": mark, "item": np.arange(1, len(xy) + 1), "x": xy[:, 0], "y": xy[:, 1]}


def _flat(values: Any) -> F64:
    return np.asarray(np.ma.filled(np.ma.asarray(values, np.float64), np.nan).ravel())


def _segments(axes: Axes, lines: LineCollection) -> dict[str, Any] | None:
    by_x, by_y = lines.get_transform().contains_branch_seperately(axes.transData)
    segments = [np.asarray(each, np.float64) for each in lines.get_segments()]
    ends = np.array([[*segment[0], *segment[-1]] for segment in segments if len(segment)])
    if not len(ends) or not (by_x or by_y):
        return None
    x, y, x_end, y_end = ends.T
    unknown = np.full(len(ends), np.nan)
    return {
        "mark": "interval",
        "item": np.arange(1, len(ends) + 1),
        "x": x if by_x else unknown,
        "y": y if by_y else unknown,
        "x_end": x_end if by_x else unknown,
        "y_end": y_end if by_y else unknown,
    }


def _band(band: PolyCollection) -> dict[str, Any] | None:
    """Between two curves over the same x, as two numbers for each x; else the corners."""
    found = [_between(np.asarray(path.vertices, np.float64)) for path in band.get_paths() if len(path)]
    if not found:
        return None
    together = np.concatenate(found)
    named = dict(zip(("x", "y", "y_end"), together.T, strict=True))
    return {"mark": "band", "item": np.arange(1, len(together) + 1)} | named


def _between(corners: F64) -> F64:
    n = (len(corners) - 3) // 2
    if n > 0 and len(corners) == 2 * n + 3:
        one, other = corners[1 : n + 1], corners[n + 2 : 2 * n + 2][::-1]
        if np.array_equal(one[:, 0], other[:, 0]):
            return np.column_stack([one, other[:, 1]])
    return np.column_stack([corners, np.full(len(corners), np.nan)])


def _rectangle(axes: Axes, box: Rectangle) -> dict[str, Any] | None:
    if not _in_data(axes, box):
        return None
    x, y = box.get_xy()
    ends = {"x_end": [x + box.get_width()], "y_end": [y + box.get_height()]}
    return {"mark": "bar", "item": [1], "x": [x], "y": [y]} | ends


def _words(axes: Axes) -> Iterator[dict[str, Any]]:
    """Words on the panel, and those that stand for numbers along an axis."""
    for text in axes.texts:
        words = " ".join(text.get_text().split())
        if words:
            x, y = (float(value) for value in text.get_position())
            if not text.get_transform().contains_branch(axes.transData):
                x = y = np.nan
            yield {"series": "words", "mark": "text", "item": [1], "x": [x], "y": [y], "text": [words]}
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if isinstance(axis.get_major_locator(), FixedLocator):
            labels = [" ".join(label.get_text().split()) for label in axis.get_ticklabels()]
            places = np.asarray(axis.get_majorticklocs(), np.float64)
            if not all(map(_is_number, labels)):
                n = min(len(labels), len(places))
                items = np.arange(1, n + 1)
                yield {"series": f"{name} axis", "mark": "tick", "item": items, name: places[:n], "text": labels[:n]}


def _is_number(text: str) -> bool:
    try:
        float(text.replace("\N{MINUS SIGN}", "-") or "0")
    except ValueError:
        return False
    return True


def _image(values: F64, extent: tuple[float, float, float, float]) -> pd.DataFrame:
    """A map with the centres of its pixels, in the order of its rows."""
    largest = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 1.0
    decimals = IMAGE_DIGITS - int(np.ceil(np.log10(max(largest, 1e-30))))
    ny, nx = values.shape
    left, right, bottom, top = extent
    x = left + (np.arange(nx) + 0.5) * (right - left) / nx
    y = bottom + (np.arange(ny) + 0.5) * (top - bottom) / ny
    index = pd.Index(np.round(y, 6), name="y_um")
    return pd.DataFrame(np.round(values, decimals), index=index, columns=[f"{each:.6g}" for each in x])


def rows_as_csv(data: DrawnData) -> bytes:
    """The rows as CSV, without the columns that are empty."""
    rows = data.rows.dropna(axis="columns", how="all")
    return csv_bytes(rows, float_format="%.9g")


def images_as_zip(data: DrawnData) -> bytes:
    """The maps as one CSV each, y down and x across, in a zip that is the same every time."""
    out = BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED, compresslevel=3) as archive:
        for name, image in data.images.items():
            # Columns of a map may have one name where pixels are finer than its digits.
            columns = [pa.array(np.asarray(image.index)), *(pa.array(column) for column in image.to_numpy().T)]
            table = pa.Table.from_arrays(columns, names=["y_um \\ x_um", *image.columns])
            text = BytesIO()
            csv.write_csv(table, text)
            archive.writestr(ZipInfo(name), text.getvalue(), ZIP_DEFLATED)
    return out.getvalue()
