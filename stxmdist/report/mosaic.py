"""F4: every particle beside every other, at one scale, with its state of charge and how well each pixel is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from scipy import ndimage

from storage.output import Output
from stxmdist.arrays import F64, I32, Mask, MaskClass, Real
from stxmdist.planning.columns import column, words
from stxmdist.report.canvas import INK, MASKED, PRINT_DPI, Absent, Picture, bands_of, blank
from stxmdist.report.evidence import Evidence, not_drawn
from stxmdist.report.maps import SOC_MAP, UNTRUSTED, nice_length

MOST_PARTICLES = 60
"""On one contact sheet; more are taken evenly by size"""
PER_LINE = 12
ROW = ("scan_id", "particle_id", "d_eq_um", "soc_mean", "soc_se")
"""Columns of the numbers of the sheet; the pixels are ``campaign.scan(scan_id).particle(particle_id).soc``"""
CELL_PX = 48
GAP_PX = 1
"""Left white around a cell, so that a particle that is larger does not touch the next"""
SE_MAP = "magma_r"
SE_STEPS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Ends that the scale of standard errors may have: the first that holds nearly all"""


@dataclass(frozen=True)
class _Cell:
    """One particle of the contact sheet; images are (CELL_PX, CELL_PX, 3)."""

    soc: F64
    se: F64
    words: str
    row: tuple[str, int, float, float, float]
    """Scan, number of the particle, equivalent diameter (um), state of charge and its standard error"""


def mosaics(evidence: Evidence) -> Sequence[Picture | Absent]:
    """A contact sheet of particles for each modality, from the smallest to the largest."""
    named = (("stxm", "wide field"), ("ptychography", "ptychography"))
    found = [_mosaic(evidence, modality, words) for modality, words in named]
    drawn = [each for each in found if isinstance(each, Picture)]
    return drawn or found[:1]


def _mosaic(evidence: Evidence, modality: str, said: str) -> Picture | Absent:
    title = f"Particles by size, {said}"
    table = evidence.table("particles")
    if len(table):
        whole = (words(table, "modality") == modality) & np.isfinite(column(table, "soc_mean"))
        table = table[whole & ~(column(table, "touches_border") == 1.0)]
    if not len(table):
        return Absent("F4", title, evidence.unless_inferred("No whole particle has a state of charge."))
    table = table.sort_values(["d_eq_um", "scan_id", "particle_id"], kind="stable").reset_index(drop=True)
    places = np.unique(np.linspace(0, len(table) - 1, min(len(table), MOST_PARTICLES)).round().astype(int))
    chosen = table.iloc[places]
    lengths_um = column(chosen, "d_eq_um") * np.sqrt(column(chosen, "aspect"))
    side_um = 1.15 * float(np.quantile(lengths_um, 0.97))
    n_cut = int((lengths_um > side_um * (1.0 - 2.0 * GAP_PX / CELL_PX)).sum())
    fields = _fields(evidence, chosen)
    most_se = _most_se(fields)
    cells = _cells(fields, chosen, side_um, most_se)
    if not cells:
        return Absent("F4", title, "The maps of these particles are not published any more.")
    return Picture(
        f"F4-mosaic-{modality}",
        title,
        "Each particle twice, all at one scale: above its state of charge, below the standard error of each pixel's "
        "state of charge by counting. Numbers are the equivalent diameter, and the state of charge by mass with its "
        "standard error. Grey pixels are not to be trusted."
        + (f" {n_cut} of them {'is' if n_cut == 1 else 'are'} larger than a cell, and cut." if n_cut else "")
        + not_drawn(range(len(table)), cells, "particle", "particles"),
        f"{len(cells)} particles sorted by size, coloured by state of charge, with maps of its standard error.",
        _draw(cells, side_um, most_se),
        ("particles",),
        dpi=PRINT_DPI,
        data=pd.DataFrame([cell.row for cell in cells], columns=list(ROW)),
    )


def _fields(evidence: Evidence, chosen: pd.DataFrame) -> dict[str, "_Field"]:
    """The maps of the scans that the particles come from, where they are published."""
    found = {}
    for scan_id in dict.fromkeys(words(chosen, "scan_id").tolist()):
        fit, segment = evidence.output("fit", scan_id), evidence.output("segment", scan_id)
        if fit is not None and segment is not None:
            found[scan_id] = _Field.of(fit, segment)
    return found


def _most_se(fields: Mapping[str, "_Field"]) -> float:
    """Where the scale of standard errors ends."""
    errors = [field.se[(field.labels > 0) & np.isfinite(field.se)] for field in fields.values()]
    together = np.concatenate(errors) if errors else np.zeros(0)
    wanted = float(np.quantile(together, 0.95)) if together.size else 0.0
    return next((step for step in SE_STEPS if step >= wanted), SE_STEPS[-1])


def _cells(fields: Mapping[str, "_Field"], chosen: pd.DataFrame, side_um: float, most_se: float) -> list[_Cell]:
    """The particles in the order of the rows."""
    cells = []
    names = ("particle_id", "d_eq_um", "soc_mean", "soc_se")
    numbers = np.stack([column(chosen, name) for name in names], axis=1)
    for scan_id, (label, d_um, soc, se) in zip(words(chosen, "scan_id").tolist(), numbers, strict=True):
        images = fields[scan_id].cell(int(label), side_um, most_se) if scan_id in fields else None
        if images is not None:
            cells.append(_Cell(*images, f"{d_um:.2f} µm\n{soc:.3f} ± {se:.3f}", (scan_id, int(label), d_um, soc, se)))
    return cells


@dataclass(frozen=True)
class _Field:
    """The maps of one scan."""

    soc: Real
    se: Real
    labels: I32
    untrusted: Mask
    pitch_um: tuple[float, float]
    """Signed: negative where an axis runs downwards"""

    @classmethod
    def of(cls, fit: Output, segment: Output) -> "_Field":
        classes = segment.read("mask_class")
        untrusted = np.isin(classes, [int(kind) for kind in UNTRUSTED if kind != MaskClass.background])
        y_um, x_um = fit.read("y_um"), fit.read("x_um")
        pitch = tuple(float(axis[1] - axis[0]) if len(axis) > 1 else 1.0 for axis in (y_um, x_um))
        return cls(fit.read("soc"), fit.read("soc_se"), segment.read("labels"), untrusted, (pitch[0], pitch[1]))

    def cell(self, label: int, side_um: float, most_se: float) -> tuple[F64, F64] | None:
        """A square of ``side_um`` around a particle as two images in colours; None where the label is gone."""
        box = ndimage.find_objects(np.maximum(self.labels, 0), max_label=label)[label - 1 : label]
        if not box or box[0] is None:
            return None
        steps = (np.arange(CELL_PX) + 0.5) / CELL_PX - 0.5
        places = []
        for side, pitch, length in zip(box[0], self.pitch_um, self.labels.shape, strict=True):
            place = np.floor(0.5 * (side.start + side.stop) + steps * side_um / pitch).astype(int)
            place[:GAP_PX] = place[CELL_PX - GAP_PX :] = -1
            places.append(np.where((place >= 0) & (place < length), place, -1))
        row, column_ = np.meshgrid(*places, indexing="ij")
        inside = (row >= 0) & (column_ >= 0)
        inside &= self.labels[row, column_] == label
        untrusted = inside & self.untrusted[row, column_]
        return (
            _coloured(self.soc[row, column_], inside, untrusted, SOC_MAP, 1.0),
            _coloured(self.se[row, column_], inside, untrusted, SE_MAP, most_se),
        )


def _coloured(values: Real, inside: Mask, untrusted: Mask, colours: str, top: float) -> F64:
    """(Y, X, 3) of values (Y, X) from 0 to ``top``; white beside the particle, grey where not to be trusted."""
    image = colormaps[colours](np.clip(np.nan_to_num(values) / top, 0.0, 1.0))[..., :3]
    image[untrusted | ~np.isfinite(values)] = to_rgb(MASKED)
    image[~inside] = 1.0
    return np.asarray(image, dtype=np.float64)


def _draw(cells: Sequence[_Cell], side_um: float, most_se: float) -> Figure:
    lines = -(-len(cells) // PER_LINE)
    across = min(PER_LINE, len(cells))
    blank_cell = np.ones((2 * CELL_PX, CELL_PX, 3))
    rows = []
    for line in range(lines):
        here = [np.concatenate([c.soc, c.se]) for c in cells[line * PER_LINE : line * PER_LINE + across]]
        rows.append(np.concatenate(here + [blank_cell] * (across - len(here)), axis=1))
    figure = blank(max(3.0, 0.75 * across), 1.85 * lines + 0.7)
    upper, lower = bands_of(figure, (1.85 * lines, 0.6))
    panels = upper.subplots(lines, 1, squeeze=False)[:, 0]
    for line, (axes, image) in enumerate(zip(panels, rows, strict=True)):
        axes.imshow(image, origin="lower", interpolation="nearest", extent=(0.0, across, 0.0, 2.0))
        axes.axis("off")
        for place, cell in enumerate(cells[line * PER_LINE : line * PER_LINE + across]):
            axes.text(place + 0.5, 2.04, cell.words, ha="center", va="top", fontsize=5.5, color=INK)
        if line == 0:
            _bar(axes, side_um)
        # Rows of pixels count downwards, and nothing beside the cells moves one line against another.
        axes.set(xlim=(0.0, across), ylim=(2.0, 0.0))
    named = ((SOC_MAP, 1.0, "state of charge"), (SE_MAP, most_se, "standard error of a pixel"))
    for axes, (colours, top, label) in zip(lower.subplots(1, 2), named, strict=True):
        scale = ScalarMappable(Normalize(0.0, top), colours)
        figure.colorbar(scale, cax=axes, orientation="horizontal", extend="both", label=label)
    return figure


def _bar(axes: Axes, side_um: float) -> None:
    """How long a length is, above the first cell."""
    length = nice_length(2.0 * side_um)
    axes.plot([0.05, 0.05 + length / side_um], [-0.08, -0.08], color="black", lw=2.5, clip_on=False)
    axes.text(0.05, -0.12, f"{length:g} µm", fontsize=7, va="bottom", color=INK)
