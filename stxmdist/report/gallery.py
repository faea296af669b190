"""F3: what each region looks like to both microscopes, on one scale of length and one of state of charge."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from storage.output import Output
from stxmdist.arrays import Array, Real
from stxmdist.campaign.scan import Scan
from stxmdist.measures import RegisterMeasures
from stxmdist.report.canvas import INK, Absent, Picture, as_png, blank, grid_of_axes
from stxmdist.report.evidence import Evidence, label_of, not_drawn
from stxmdist.report.maps import SOC_MAP, Map, coarsened, draw_map, limits_of, map_of, nice_length

T = TypeVar("T")

COLUMNS = (
    "STXM optical density",
    "STXM state of charge",
    "ptychography amplitude",
    "ptychography phase",
    "ptychography state of charge",
)


@dataclass
class Region:
    """The maps of one field of view."""

    title: str
    maps: dict[str, Map] = field(default_factory=dict)
    outlines: Array | None = None
    """(Y, X) share of each coarse pixel that wide-field particles cover"""
    field_of_ptychography: tuple[Real, Real] | None = None
    """Corners (y, x) of the ptychography field in wide-field coordinates, um"""
    registered: bool = False
    half_period_nm: float = float("nan")
    energies_ev: tuple[float, float] = (float("nan"), float("nan"))
    """Of the optical density and of the complex image"""


def gallery(evidence: Evidence) -> Picture | Absent:
    """Optical density and state of charge of each region, with amplitude, phase and state of charge of ptychography."""
    title = "Cross-modal gallery"
    longest = evidence.options.picture_px
    by_region: dict[str, dict[str, Scan]] = {}
    for scan in evidence.having("fit"):
        by_region.setdefault(scan.pair_id or scan.scan_id, {}).setdefault(scan.modality, scan)
    if not by_region:
        return Absent("F3", title, "No scan has a map of state of charge.")
    chosen = list(by_region.values())
    shown = [_region(evidence, pair, longest) for pair in _evenly_taken(chosen, evidence.options.most_regions)]
    content = _draw(shown)
    frc = [f"{region.title}: {region.half_period_nm:.0f} nm" for region in shown if np.isfinite(region.half_period_nm)]
    return Picture(
        "F3-gallery",
        title,
        "Each row is one region. Optical density and phase are shown at the energy with most contrast. All states of "
        "charge have the same scale, from 0 (discharged) to 1 (charged). Thin lines are outlines of particles; the "
        "frame is the field of ptychography, solid where it was registered on the wide-field image, dotted where only "
        "the coordinates of the stages place it. Pale grey means no particle; hatched pixels are masked. "
        + ("Half-bit FRC half-period, median over tiles and energies: " + "; ".join(frc) + "." if frc else "")
        + not_drawn(chosen, shown, "region", "regions"),
        f"Maps of {len(shown)} regions: " + ", ".join(COLUMNS) + ".",
        "png",
        content,
        ("particles", "pairs"),
    )


def _evenly_taken(items: Sequence[T], most: int) -> list[T]:
    """At most so many of a sequence, evenly taken."""
    if len(items) <= most:
        return list(items)
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, most)]


def _region(evidence: Evidence, pair: Mapping[str, Scan], longest: int) -> Region:
    region = Region(label_of(next(iter(pair.values()))))
    stxm_od = complex_ev = float("nan")
    if "stxm" in pair:
        stxm_od = _stxm(evidence, pair["stxm"].scan_id, region, longest)
    if "ptychography" in pair:
        scan_id = pair["ptychography"].scan_id
        complex_ev = _ptychography(evidence, scan_id, region, longest)
        region.half_period_nm = evidence.half_period_nm(scan_id)
        if "stxm" in pair:
            _place(evidence, scan_id, region)
    region.energies_ev = (stxm_od, complex_ev)
    return region


def _stxm(evidence: Evidence, scan_id: str, region: Region, longest: int) -> float:
    energy_ev = float("nan")
    absorbance = evidence.output("absorbance", scan_id)
    if absorbance is not None:
        energy = strongest_energy(evidence, scan_id)
        energy_ev = float(absorbance.read("energy_ev")[energy])
        plane = absorbance.read("optical_density", (energy, slice(None), slice(None)))
        region.maps[COLUMNS[0]] = map_of(plane, absorbance, longest)
    soc = soc_map(evidence, scan_id, longest)
    if soc is not None:
        region.maps[COLUMNS[1]] = soc
    segment = evidence.output("segment", scan_id)
    if segment is not None:
        region.outlines = coarsened((segment.read("labels") > 0).astype(np.float32), longest)
    return energy_ev


def _ptychography(evidence: Evidence, scan_id: str, region: Region, longest: int) -> float:
    stitch, absorbance = evidence.output("stitch", scan_id), evidence.output("absorbance", scan_id)
    energy = strongest_energy(evidence, scan_id)
    energy_ev = float("nan")
    if absorbance is not None:
        energy_ev = float(absorbance.read("energy_ev")[energy])
        # With the gauge fixed: the beam beside particles has amplitude 1 and phase 0.
        od = absorbance.read("optical_density", (energy, slice(None), slice(None)))
        region.maps[COLUMNS[2]] = map_of(np.exp(-0.5 * od), absorbance, longest)
        del od
        if "phase" in absorbance.arrays():
            phase = absorbance.read("phase", (energy, slice(None), slice(None)))
            region.maps[COLUMNS[3]] = map_of(phase, absorbance, longest)
    elif stitch is not None:
        region.maps[COLUMNS[2]], region.maps[COLUMNS[3]] = object_maps(stitch, longest)
    soc = soc_map(evidence, scan_id, longest)
    if soc is not None:
        region.maps[COLUMNS[4]] = soc
    return energy_ev


def object_maps(stitch: Output, longest: int, energy: int = 0) -> tuple[Map, Map]:
    """Amplitude and phase (rad) of a stitched object at one energy."""
    plane = stitch.read("object", (energy, slice(None), slice(None)))
    amplitude = map_of(np.abs(plane), stitch, longest)
    return amplitude, map_of(np.angle(plane), stitch, longest)


def soc_map(evidence: Evidence, scan_id: str, longest: int) -> Map | None:
    """State of charge with the classes that belong to it."""
    fit, segment = evidence.output("fit", scan_id), evidence.output("segment", scan_id)
    if fit is None:
        return None
    classes = (segment if segment is not None and "mask_class" in segment.arrays() else fit).read("mask_class")
    return map_of(fit.read("soc"), fit, longest, classes)


def strongest_energy(evidence: Evidence, scan_id: str) -> int:
    """The measured energy at which particles absorb most."""
    align = evidence.output("align", scan_id)
    if align is None:
        return 0
    mean = align.read("mean_od")
    return int(np.nanargmax(mean)) if np.isfinite(mean).any() else 0


def _place(evidence: Evidence, scan_id: str, region: Region) -> None:
    """The outline of the ptychography field on the wide-field image."""
    moving = region.maps.get(COLUMNS[4]) or region.maps.get(COLUMNS[2])
    if moving is None:
        return
    left, right, bottom, top = moving.extent
    y, x = np.array([bottom, bottom, top, top, bottom]), np.array([left, right, right, left, left])
    found = evidence.figures(RegisterMeasures, "register", scan_id)
    if found is not None and found.accepted:
        y, x = found.matrix_um[:, :2] @ np.stack([y, x]) + found.matrix_um[:, 2:]
        region.registered = True
    region.field_of_ptychography = (y, x)


def _draw(regions: list[Region]) -> bytes:
    columns = [name for name in COLUMNS if any(name in region.maps for region in regions)]
    columns = columns or list(COLUMNS[:2])
    figure = blank(0.6 + 2.25 * len(columns), 0.9 + 2.16 * len(regions))
    # Square cells leave gaps that this layout takes out.
    figure.set_layout_engine("compressed")
    cells = grid_of_axes(figure, len(regions), len(columns))
    scales = {name: limits_of([r.maps[name] for r in regions if name in r.maps]) for name in columns}
    for name in columns:
        if "state of charge" in name:
            scales[name] = (0.0, 1.0)
    narrowest = min((m.width_um for r in regions for m in r.maps.values()), default=1.0)
    bar = nice_length(narrowest)
    shown: dict[str, AxesImage] = {}
    for line, region in zip(cells, regions, strict=True):
        for axes, name in zip(line, columns, strict=True):
            if name not in region.maps:
                axes.axis("off")
                axes.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axes.transAxes, color="#777777")
                continue
            low, high = scales[name]
            cmap = SOC_MAP if "state of charge" in name else "cividis_r" if "phase" in name else "gray"
            if name == COLUMNS[0]:
                cmap = "gray_r"
            shown[name] = draw_map(axes, region.maps[name], cmap=cmap, low=low, high=high, bar_um=bar)
            if name in COLUMNS[:2]:
                _overlay(axes, region, region.maps[name])
        _name_row(line[0], region)
    for axes, name in zip(cells[0], columns, strict=True):
        axes.set_title(
            name.replace("ptychography ", "ptychography\n").replace("STXM ", "STXM\n"), loc="center", fontsize=8.5
        )
    for j, name in enumerate(columns):
        if name in shown:
            extend = "both" if "state of charge" in name else "neither"
            unit = {"optical density": "ln units", "phase": "rad"}.get(name.split(" ", 1)[1], "")
            figure.colorbar(
                shown[name],
                ax=[line[j] for line in cells],
                location="bottom",
                shrink=0.85,
                aspect=22,
                extend=extend,
                label=name.split(" ", 1)[1] + (f" ({unit})" if unit else ""),
            )
    return as_png(figure)


def _name_row(axes: Axes, region: Region) -> None:
    parts = [region.title.replace(", ", "\n", 1)]
    stxm_ev, complex_ev = region.energies_ev
    named = (("STXM", stxm_ev), ("ptychography", complex_ev))
    parts += [f"{name} {ev:.1f} eV" for name, ev in named if np.isfinite(ev)]
    axes.text(
        -0.06,
        0.5,
        "\n".join(parts),
        transform=axes.transAxes,
        rotation=90,
        ha="right",
        va="center",
        multialignment="center",
        fontsize=8,
        color=INK,
    )


def _overlay(axes: Axes, region: Region, image: Map) -> None:
    if region.outlines is not None and region.outlines.shape == image.values.shape and (region.outlines > 0.5).any():
        axes.contour(
            image.x_um,
            image.y_um,
            region.outlines,
            levels=[0.5],
            colors="black" if image is region.maps.get(COLUMNS[1]) else "#D55E00",
            linewidths=0.5,
        )
    if region.field_of_ptychography is not None:
        y, x = region.field_of_ptychography
        axes.plot(x, y, color="black", lw=2.2, solid_joinstyle="miter")
        axes.plot(x, y, color="white", lw=1.1, ls="-" if region.registered else ":")
