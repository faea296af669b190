"""What OME-Zarr images of every kind share: pyramids with their scale, labels of particles, how channels are shown.

Viewers draw the first row at the top, and y downward. Rows therefore begin with the highest y of the stage, as the
report draws it, and the image's y is minus that of the stage: then its scale is positive, as the format wants it.

Source: OME-NGFF 0.5, sections 2.2 (axes), 2.4 (multiscales), 2.5 (omero), 2.6 (labels).
"""

import colorsys
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import zarr
from numpy.typing import DTypeLike
from zarr.codecs import BloscCodec
from zarr.core.common import JSON

from storage.atomic import plain_json
from storage.ome import VERSION
from storage.tables import arrow_source
from stxmdist.arrays import F64, Array, MaskClass
from stxmdist.export.pyramid import halved_image, halved_labels, levels_for
from stxmdist.export.source import ExportSource, from_the_top
from stxmdist.pixel_pitch import pitch_yx_um

TILE_PX = 1024
"""Longest side of a chunk: what a viewer fetches at once."""
GOLDEN_RATIO = 0.618
"""Of a turn around the hues"""
MEAN = "mean of 2 x 2 pixels, of those known"
VOTE = "most frequent of 2 x 2 pixels"
PARTICLE_COLUMNS = ("d_eq_um", "area_um2", "thickness_nm", "soc_mean", "soc_se", "phase_class", "flags")
CLASS_COLOURS = {
    MaskClass.valid: (0, 0, 0, 0),
    MaskClass.background: (70, 70, 70, 255),
    MaskClass.edge: (230, 159, 0, 255),
    MaskClass.thick: (213, 94, 0, 255),
    MaskClass.low_count: (240, 228, 66, 255),
    MaskClass.missing: (0, 0, 0, 255),
    MaskClass.saturated: (204, 121, 167, 255),
    MaskClass.outside: (0, 114, 178, 255),
    MaskClass.poor_fit: (86, 180, 233, 255),
    MaskClass.overlap: (0, 158, 115, 255),
}
LABELS = {
    "particles": "particle number as in the table particles, 0 between them and where the mask class says why not",
    "mask_class": "why a pixel carries no number; 0 where it does",
}
"""Names of label images, with their meaning"""


@dataclass(frozen=True)
class Raster:
    """Where the pixels of an image lie: rows from the top, y downward and minus that of the stage."""

    pitch_um: tuple[float, float]
    """(y, x)"""
    first_um: tuple[float, float]
    """(y, x) centre of the first pixel"""
    shape: tuple[int, int]
    """(Y, X), what is padded included"""

    @classmethod
    def of(cls, y_um: F64, x_um: F64, shape: tuple[int, int] | None = None) -> "Raster":
        """The raster of an image with ascending axes; padded below and on the right up to a larger ``shape``."""
        pitch_y_um, pitch_x_um = pitch_yx_um(y_um, x_um).tolist()
        own = (len(y_um), len(x_um))
        return cls((pitch_y_um, pitch_x_um), (-float(y_um[-1]), float(x_um[0])), shape or own)

    @property
    def levels(self) -> int:
        """Of every pyramid on it: readers refuse labels with another number than their image has."""
        return levels_for(*self.shape)

    def padded(self, values: Array, fill: float) -> Array:
        """An image (Y, X) with as many pixels as the raster has; ``fill`` in those that it lacks."""
        whole: Array = np.full(self.shape, fill, values.dtype)
        whole[: values.shape[0], : values.shape[1]] = values
        return whole


@dataclass(frozen=True)
class Window:
    """Which values a viewer shows."""

    min: float
    max: float
    """The limits of what can be asked for"""
    start: float
    """Black"""
    end: float
    """White"""


def in_json(attributes: object) -> dict[str, JSON]:
    """Attributes of a group as Zarr keeps them."""
    # Through text, because Zarr has a type of its own for what JSON can say.
    kept: dict[str, JSON] = json.loads(json.dumps(plain_json(attributes)))
    return kept


def declare_levels(
    group: zarr.Group, raster: Raster, dtype: DTypeLike, fill: float, channels: int | None = None
) -> list["zarr.Array[Any]"]:
    """The arrays (C, Y, X), or (Y, X) without channels, of a pyramid: each has half the pixels of the one before."""
    front = () if channels is None else (channels,)
    arrays = []
    for level in range(raster.levels):
        sides = [-(-n // 2**level) for n in raster.shape]
        arrays.append(
            group.create_array(
                str(level),
                shape=(*front, *sides),
                dtype=dtype,
                chunks=(*(1 for _ in front), *(min(n, TILE_PX) for n in sides)),
                compressors=[BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")],
                fill_value=fill,
                dimension_names=(*("c" for _ in front), "y", "x"),
            )
        )
    return arrays


def write_channel(levels: Sequence["zarr.Array[Any]"], channel: int, plane: Array) -> None:
    """One channel (Y, X) into every level."""
    for array in levels:
        array[channel] = plane
        plane = halved_image(plane)


def multiscale(name: str, raster: Raster, how: str, *, channels: bool) -> dict[str, object]:
    """Scale and translation in um of every level; the centre of a coarse pixel is that of the fine ones under it."""
    front = [1.0] if channels else []
    datasets = []
    for level in range(raster.levels):
        factor = 2**level
        scale = [*front, *(factor * pitch for pitch in raster.pitch_um)]
        starts = zip(raster.first_um, raster.pitch_um, strict=True)
        start = [*(0.0 for _ in front), *(first + 0.5 * (factor - 1) * pitch for first, pitch in starts)]
        transformations = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": start}]
        datasets.append({"path": str(level), "coordinateTransformations": transformations})
    axes: list[dict[str, str]] = [{"name": "c", "type": "channel"}] if channels else []
    axes += [{"name": axis, "type": "space", "unit": "micrometer"} for axis in ("y", "x")]
    return {"name": name, "type": how, "axes": axes, "datasets": datasets}


def shown(label: str, window: Window, *, active: bool) -> dict[str, object]:
    """How a viewer shows a channel: in grey, at first only if ``active``."""
    return {"label": label, "color": "FFFFFF", "active": active, "window": asdict(window)}


def write_labels(
    group: zarr.Group, source: ExportSource, scan_id: str, raster: Raster, names: Sequence[str] = tuple(LABELS)
) -> None:
    """Some of ``LABELS`` beside an image, with its pyramid; where the image is padded they are 0."""
    labels = group.create_group("labels", attributes={"ome": {"version": VERSION, "labels": list(names)}})
    for name in names:
        values, about = _label_image(source, scan_id, name)
        ome = {
            "version": VERSION,
            "multiscales": [multiscale(name, raster, VOTE, channels=False)],
            "image-label": {**about, "source": {"image": "../../"}},
        }
        attributes = {"ome": ome, "stxmdist": {"quantity": LABELS[name]}}
        image = labels.create_group(name, attributes=in_json(attributes))
        plane = raster.padded(values, 0)
        for array in declare_levels(image, raster, values.dtype, 0):
            array[...] = plane
            plane = halved_labels(plane)


def _label_image(source: ExportSource, scan_id: str, name: str) -> tuple[Array, Mapping[str, object]]:
    """A label image (Y, X) from the top, and what viewers show of its values."""
    if name == "mask_class":
        return from_the_top(source.image("segment", scan_id, name)), {
            "properties": [{"label-value": int(item), "class": item.name} for item in MaskClass],
            "colors": [{"label-value": int(item), "rgba": list(rgba)} for item, rgba in CLASS_COLOURS.items()],
        }
    found = from_the_top(source.image("segment", scan_id, "labels"))
    # A viewer takes 0 for what is between labels; where nothing is known the mask class says so.
    particles = _particles(source, scan_id)
    colours = [{"label-value": row["label-value"], "rgba": _colour(number)} for number, row in enumerate(particles)]
    return np.where(found < 0, 0, found).astype(np.int32), {"properties": particles, "colors": colours}


def _colour(number: int) -> list[int]:
    """Red, green, blue and opacity; hues of consecutive numbers are far apart."""
    rgb = colorsys.hls_to_rgb(number * GOLDEN_RATIO % 1.0, 0.6, 0.7)
    return [round(255 * part) for part in (*rgb, 1.0)]


def _particles(source: ExportSource, scan_id: str) -> list[dict[str, object]]:
    """Figures of each particle, which viewers show under the pointer."""
    path = source.output("segment", scan_id).path / "particles.parquet"
    if not path.is_file():
        return []
    table = pq.read_table(arrow_source(path), partitioning=None)
    columns = [name for name in PARTICLE_COLUMNS if name in table.column_names]
    rows = table.select(["particle_id", *columns]).to_pylist()
    return [{"label-value": int(row.pop("particle_id"))} | row for row in rows]
