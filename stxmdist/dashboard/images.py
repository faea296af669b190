"""What of a scan can be looked at as an image, and the tile that a page asks for: reads only the chunks it needs."""

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Literal

import numpy as np

from storage.levels import halved, level_of, n_levels
from storage.output import Output
from storage.reading import read_region
from stxmdist.arrays import Array, MaskClass, Real
from stxmdist.dashboard.refused import NotHere
from stxmdist.dashboard.snapshot import Snapshot
from stxmdist.dashboard.tiles import (
    N_COLOURS,
    TILE_PX,
    PaletteName,
    gradient,
    indices_of,
    outlines_of,
    png,
    tile_region,
)
from stxmdist.dashboard.visit import Visit
from stxmdist.pixel_pitch import pitch_yx_um

KEPT_BYTES = 256e6
"""Of pixels that were read last: stepping through energies reads a stack once"""

TRUSTED = (MaskClass.valid, MaskClass.edge)
"""Classes whose pixels hold a number that may be shown"""

Kind = Literal["number", "class", "label"]


@dataclass(frozen=True)
class Layer:
    """One kind of image of a scan."""

    title: str
    unit: str
    stages: tuple[str, ...]
    """Which stages may leave it, the best first"""
    arrays: tuple[str, ...]
    """Their names in the outputs of these stages"""
    palette: PaletteName = "viridis"
    limits: tuple[float, float] | None = None
    """Ends of the scale of colours; from the image itself where None"""
    number_of: Callable[[Array], Real] | None = None
    """What is shown of the elements; themselves where None"""
    kind: Kind = "number"
    classed: bool = False
    """Whether mask classes say which of its pixels hold a number"""


def _density(transmission: Array) -> Real:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(transmission > 0, -np.log(transmission), np.nan), dtype=np.float32)


def _amplitude(values: Array) -> Real:
    return np.asarray(np.abs(values), dtype=np.float32)


LAYERS: Mapping[str, Layer] = {
    "od": Layer(
        "optical density", "1", ("align", "absorbance"), ("transmission", "optical_density"), "cividis",
    ),
    "phase": Layer("phase", "rad", ("align", "absorbance"), ("phase", "phase"), "cividis"),
    "amplitude": Layer("amplitude", "1", ("stitch",), ("object",), "grey", None, _amplitude),
    "counts": Layer("counts", "count", ("ingest",), ("counts",), "grey"),
    "soc": Layer("state of charge", "1", ("fit",), ("soc",), "viridis", (0.0, 1.0), classed=True),
    "soc_se": Layer("standard error", "1", ("fit",), ("soc_se",), "cividis", (0.0, 0.2), classed=True),
    "chi2": Layer("reduced χ²", "1", ("fit",), ("chi2_reduced",), "cividis", (0.0, 4.0), classed=True),
    "thickness": Layer("thickness", "nm", ("fit",), ("thickness_nm",), "cividis", None),
    "classes": Layer("mask classes", "", ("segment", "fit"), ("mask_class",) * 2, "classes", (0, 252), kind="class"),
    "particles": Layer("particles", "", ("segment",), ("labels",), "outlines", kind="label"),
    "fused": Layer(
        "state of charge, fused", "1", ("register",), ("fused_soc",), "viridis", (0.0, 1.0),
    ),
}  # fmt: skip
"""Name in the address to layer"""


@dataclass(frozen=True)
class Seen:
    """A layer of one scan, as it is published."""

    layer: Layer
    output: Output
    array: str
    classes: Output | None

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X)"""
        ny, nx = self.output.array(self.array).shape[-2:]
        return ny, nx

    @property
    def axes(self) -> tuple[Real, Real]:
        """Coordinates of rows and columns, um."""
        names = ("fine_y_um", "fine_x_um") if self.layer.stages == ("register",) else ("y_um", "x_um")
        y_um, x_um = (np.asarray(self.output.read(name), np.float64) for name in names)
        return y_um, x_um

    def energies_ev(self) -> Real:
        """Photon energies (ENERGY,) that it can be seen at; none where it has no such axis."""
        if "energy" not in dims_of(self.output, self.array):
            return np.zeros(0)
        return np.asarray(self.output.read("energy_ev"), np.float64)

    def region(self, level: int, rows: slice, columns: slice, energy: int) -> Real:
        """Numbers (Y, X) of a part of a level."""
        block = _recent(
            (str(self.output.path), self.array, level, rows.start, rows.stop, columns.start, columns.stop),
            lambda: _read(self, self.output, self.array, level, rows, columns),
        )
        return block[energy] if block.ndim == 3 else block


def dims_of(output: Output, array: str) -> tuple[str | None, ...]:
    """Names of the axes of an array."""
    metadata = output.array(array).metadata
    return tuple(getattr(metadata, "dimension_names", None) or ())


def seen(now: Snapshot, scan_id: str, name: str) -> Seen | None:
    """A layer of a scan; None where no stage has published it.

    Raises
    ------
    NotHere
        for a name that no layer has.
    """
    if name not in LAYERS:
        raise NotHere(f"There is no image {name!r} of a scan; there are {', '.join(LAYERS)}.")
    layer = LAYERS[name]
    for stage, array in zip(layer.stages, layer.arrays, strict=True):
        output = now.output(stage, scan_id)
        if output is not None and array in output.arrays():
            return Seen(layer, output, array, now.output("fit", scan_id) if layer.classed else None)
    return None


def _read(seen: Seen, output: Output, array: str, level: int, rows: slice, columns: slice) -> Real:
    """Numbers (Y, X) or (ENERGY, Y, X) of a part of a level: from the level itself, or from the pixels below it."""
    dims = dims_of(output, array)
    lead = (slice(None),) * (len(dims) - 2)
    left = level_of(output, array, level) if level else None
    if left is not None:
        values, still = read_region(left, (*lead, rows, columns)), 0
    else:
        ny, nx = output.array(array).shape[-2:]
        part = (slice(each.start << level, min(n, each.stop << level)) for each, n in ((rows, ny), (columns, nx)))
        values, still = output.read(array, (*lead, *part)), level
    if array == "transmission":
        values = _density(values)
    if seen.layer.number_of is not None:
        values = seen.layer.number_of(values)
    if dims and dims[0] == "component":
        values = values.sum(axis=0)
    for _ in range(still):
        values = halved(values)
    return values


class Recent:
    """Arrays that were read last, as many as fit."""

    def __init__(self, most_bytes: float) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[tuple[object, ...], Array] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def __call__(self, key: tuple[object, ...], read: Callable[[], Array]) -> Array:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        found = read()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = found
                self._bytes += found.nbytes
            while self._bytes > self._most and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return found


# Outputs are keyed by what they were made from and never change, so that what was read of them stays true.
_recent = Recent(KEPT_BYTES)


def nearest_energy(energies_ev: Real, wanted_ev: float) -> int:
    """Place of the energy nearest to the wanted one; of the strongest guess, the middle, where none is wanted."""
    if not energies_ev.size:
        return 0
    if not math.isfinite(wanted_ev):
        return int(energies_ev.size // 2)
    return int(np.argmin(np.abs(energies_ev - wanted_ev)))


def limits_of(image: Seen, energy: int | None = None) -> tuple[float, float]:
    """Ends of the scale of colours: those of the layer, or what nine in ten pixels of its coarsest level lie between.

    They are the same for all energies, so that energies can be compared.
    """
    if image.layer.limits is not None:
        return image.layer.limits
    level = n_levels(image.shape)
    whole = tile_region(image.shape, level, 0, 0)
    assert whole is not None
    planes = [energy] if energy is not None else range(max(1, image.energies_ev().size))
    values = np.concatenate([np.ravel(image.region(level, *whole, plane)) for plane in planes])
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0
    low, high = (float(end) for end in np.percentile(known, (0.5, 99.7)))
    low, high = (float(f"{end:.2g}") for end in (low, high))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


@dataclass(frozen=True)
class Frame:
    """A closed line on a map, such as the field of another scan."""

    name: str
    x_um: tuple[float, ...]
    y_um: tuple[float, ...]
    address: str | None = None


@dataclass(frozen=True)
class MapView:
    """What the page's script is told of one map: lengths in um, rows and columns as the array has them."""

    layer: str
    title: str
    unit: str
    rows: int
    columns: int
    levels: int
    x0_um: float
    y0_um: float
    """Centre of row 0 and column 0"""
    dx_um: float
    dy_um: float
    """From one column or row to the next; negative where the array runs left or down"""
    tile_px: int
    tiles: str
    """Address of a tile, without its level, row and column"""
    outlines: str | None
    """The same of the outlines of particles; None where there are none"""
    low: float
    high: float
    gradient: tuple[str, ...]
    energies_ev: tuple[float, ...] = ()
    energy: int = 0
    frames: tuple[Frame, ...] = ()
    """Other fields that lie in this one, or the outline of a particle"""
    focus: tuple[float, float, float] | None = None
    """x, y and width in um of what is shown at first; None: all of it"""


def map_view(visit: Visit, scan_id: str, name: str, *, frames: tuple[Frame, ...] = ()) -> MapView | None:
    """A layer of a scan for the page's script, in the state that the address asks for; None where it is not published.

    The address may give ``energy`` (eV), and ``low``, ``high`` behind the layer's name and a full stop.
    """
    image = seen(visit.now, scan_id, name)
    if image is None:
        return None
    y_um, x_um = image.axes
    pitch_y, pitch_x = np.nan_to_num(pitch_yx_um(y_um, x_um), nan=1.0)
    energies = image.energies_ev()
    energy = nearest_energy(energies, visit.number("energy"))
    own = limits_of(image)
    low, high = visit.number(f"{name}.low", own[0]), visit.number(f"{name}.high", own[1])
    keep = {"scan": scan_id, "v": visit.now.version}
    tiles = visit.link("tile", layer=name, low=f"{low:g}", high=f"{high:g}", **keep)
    segmented = seen(visit.now, scan_id, "particles")
    # Maps of the fit are open where no particle is: outlines would hide their rims.
    outlined = segmented is not None and segmented.shape == image.shape and not image.layer.classed
    return MapView(
        name,
        image.layer.title,
        image.layer.unit,
        *image.shape,
        n_levels(image.shape),
        float(x_um[0]),
        float(y_um[0]),
        math.copysign(float(pitch_x), float(x_um[-1] - x_um[0]) or 1.0),
        math.copysign(float(pitch_y), float(y_um[-1] - y_um[0]) or 1.0),
        TILE_PX,
        tiles,
        visit.link("tile", layer="particles", **keep) if outlined else None,
        low,
        high,
        gradient(image.layer.palette),
        tuple(map(float, energies)),
        energy,
        frames,
    )


def tile_png(visit: Visit) -> bytes:
    """The tile that an address asks for: ``scan, layer, level, row, column``, and ``energy`` as a place along the axis.

    Without a level, the coarsest: all of the image in one tile.

    Raises
    ------
    NotHere
        where the scan, the layer, the energy or the tile is not there.
    """
    scan_id, name = visit.scan.scan_id, visit.text("layer", "soc")
    image = seen(visit.now, scan_id, name)
    if image is None:
        raise NotHere(f"No stage has published an image {name!r} of scan {scan_id!r}.")
    row, column, energy = (visit.integer(key, 0) or 0 for key in ("row", "column", "energy"))
    shape = image.shape
    level = visit.integer("level", n_levels(shape)) or 0
    region = tile_region(shape, level, row, column) if 0 <= level <= n_levels(shape) else None
    if region is None or not 0 <= energy < max(1, image.energies_ev().size):
        raise NotHere(f"The image {name!r} of scan {scan_id!r} has no such tile.")
    y_um, x_um = image.axes
    turned = {"upward": bool(y_um[-1] >= y_um[0]), "rightward": bool(x_um[-1] >= x_um[0])}
    values = image.region(level, *region, energy)
    if image.layer.kind == "label":
        return png(outlines_of(values), "outlines", **turned)
    if image.layer.kind == "class":
        return png(np.minimum(values, N_COLOURS - 1).astype(np.uint8), "classes", **turned)
    low, high = limits_of(image) if "low" not in visit.query else (visit.number("low"), visit.number("high", math.nan))
    if not math.isfinite(high):
        high = low + 1.0
    empty = None
    if image.classes is not None:
        classed = Seen(LAYERS["classes"], image.classes, "mask_class", None)
        classes = classed.region(level, *region, 0)
        values = np.where(np.isin(classes, TRUSTED), values, np.nan)
        empty = classes == MaskClass.background
    palette: PaletteName = image.layer.palette
    return png(indices_of(values, low, high, empty), palette, **turned)
