"""Images as tiles: levels of half the size each, numbers to colours, and PNG files. Pure functions of arrays.

Row 0 of an image (Y, X) lies wherever its coordinates say; tiles are counted from there, and a tile is turned so that
up on the sample is up on the page.
"""

import io
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from bokeh.palettes import Cividis256, Greys256, RdBu11, Viridis256, interp_palette
from PIL import Image

from storage.levels import COARSEST_PX
from stxmdist.arrays import U8, Array, Mask, Real

TILE_PX = COARSEST_PX
"""Sides of a tile. At level k one of its pixels stands for ``2**k`` by ``2**k`` pixels of the image."""

PaletteName = Literal["viridis", "cividis", "grey", "signed", "classes", "outlines"]

N_COLOURS = 253
MASKED, HATCHED, EMPTY = 253, 254, 255
"""Indices behind the colours: ground and strokes of what is masked, and what is left open"""

HATCH_PX, STROKE_PX = 8, 2

MASKED_COLOURS = ((158, 163, 170), (112, 117, 124))
"""Ground and strokes, told apart from every colour of the maps by the strokes"""

CLASS_COLOURS = (
    (0, 114, 178),
    (225, 227, 230),
    (170, 178, 186),
    (61, 61, 61),
    (230, 159, 0),
    (158, 163, 170),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (0, 158, 115),
)
"""Of `stxmdist.arrays.MaskClass`, in its order: Okabe and Ito's where pixels are of interest, greys elsewhere"""

OUTLINE_COLOUR = (255, 255, 255)


def tile_region(shape: Sequence[int], level: int, row: int, column: int) -> tuple[slice, slice] | None:
    """Rows and columns of the image (Y, X) of a level that a tile holds; None for a tile outside of it."""
    ny, nx = (math.ceil(n / 2**level) for n in shape[-2:])
    if row < 0 or column < 0 or row * TILE_PX >= ny or column * TILE_PX >= nx:
        return None
    return (
        slice(row * TILE_PX, min(ny, (row + 1) * TILE_PX)),
        slice(column * TILE_PX, min(nx, (column + 1) * TILE_PX)),
    )


def indices_of(values: Real, low: float, high: float, empty: Mask | None = None) -> U8:
    """Place of each number (Y, X) on a scale of colours; what is not finite is hatched, ``empty`` is left open."""
    known = np.isfinite(values)
    span = high - low if high > low else 1.0
    place = np.clip((np.where(known, values, low) - low) / span, 0.0, 1.0) * (N_COLOURS - 1)
    rows, columns = np.indices(values.shape)
    strokes = (rows + columns) % HATCH_PX < STROKE_PX
    found = np.where(known, np.round(place), np.where(strokes, HATCHED, MASKED))
    if empty is not None:
        found = np.where(empty, EMPTY, found)
    return found.astype(np.uint8)


def outlines_of(labels: Array) -> U8:
    """Index 0 on the pixels of particles (Y, X) that touch another particle or none, `EMPTY` elsewhere."""
    padded = np.pad(labels, 1, mode="edge")
    here = padded[1:-1, 1:-1]
    rim = np.zeros(labels.shape, bool)
    for neighbour in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        rim |= neighbour != here
    return np.where(rim & (labels > 0), 0, EMPTY).astype(np.uint8)


def palette_of(name: PaletteName) -> tuple[tuple[int, int, int], ...]:
    """Colours of the indices 0 to 255."""
    if name == "classes":
        colours = [*CLASS_COLOURS, *[MASKED_COLOURS[0]] * (N_COLOURS - len(CLASS_COLOURS))]
    elif name == "outlines":
        colours = [OUTLINE_COLOUR] * N_COLOURS
    else:
        named = {
            "viridis": Viridis256,
            "cividis": Cividis256,
            "grey": Greys256[::-1],
            "signed": interp_palette(RdBu11[::-1], 256),
        }[name]
        steps = np.round(np.linspace(0, 255, N_COLOURS)).astype(int)
        colours = [_rgb(named[step]) for step in steps]
    return (*colours, *MASKED_COLOURS, (0, 0, 0))


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def gradient(name: PaletteName, stops: int = 12) -> tuple[str, ...]:
    """Colours from the lower to the upper end of a scale, for its legend."""
    palette = palette_of(name)
    return tuple("#{:02x}{:02x}{:02x}".format(*palette[round(i)]) for i in np.linspace(0, N_COLOURS - 1, stops))


def png(indices: U8, palette: PaletteName, *, upward: bool, rightward: bool) -> bytes:
    """A PNG of palette indices (Y, X); ``upward`` says that rows go up on the sample, ``rightward`` the like."""
    turned = indices[:: -1 if upward else 1, :: 1 if rightward else -1]
    image = Image.fromarray(np.ascontiguousarray(turned))
    image.putpalette([part for colour in palette_of(palette) for part in colour])
    written = io.BytesIO()
    image.save(written, "PNG", transparency=EMPTY, compress_level=1)
    return written.getvalue()
