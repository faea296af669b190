"""F3: what each region looks like to both microscopes, on one scale of length and one of state of charge."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from storage.output import Output
from stxmdist.arrays import Array, MaskClass, Real
from stxmdist.campaign.scan import Scan
from stxmdist.measures import RegisterMeasures
from stxmdist.report.canvas import INK, PRINT_DPI, Absent, Picture, blank, grid_of_axes
from stxmdist.report.evidence import Evidence, not_drawn
from stxmdist.report.maps import SOC_MAP, Map, coarsened, draw_map, limits_of, map_of, nice_length

T = TypeVar("T")

COLUMNS = (
    "STXM optical density",
    "STXM state of charge",
    "ptychography amplitude",
    "ptychography phase",
    "ptychography state of charge",
)


SAME_EDGE_EV = 5.0
"""Scans whose strongest energies lie nearer to one another are of one edge"""
"""Of the images inside the figure; lines and words have no pixels"""


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
    scales: dict[str, float] = field(default_factory=dict)
    """Column to the energy (eV) whose scale of colours it has, together with other regions"""


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
    taken = _evenly_taken(chosen, evidence.options.most_regions)
    shared_ev = _shared(evidence, [scan for pair in taken for scan in pair.values()])
    shown = [_region(evidence, pair, longest, shared_ev) for pair in taken]
    # Rows with one scale of colours lie together, above its colour bar.
    shown.sort(key=lambda region: region.scales.get(COLUMNS[0], np.inf))
    figure = _draw(shown)
    frc = [f"{region.title}: {region.half_period_nm:.0f} nm" for region in shown if np.isfinite(region.half_period_nm)]
    return Picture(
        "F3-gallery",
        title,
        "Each row is one region. Optical density and phase are shown at the energy with most contrast, which "
        "scans of one edge share, and with it the scale. All states of charge have the same scale, from 0 (discharged) "
        "to 1 (charged). Thin lines are outlines of particles; the "
        "frame is the field of ptychography, solid where it was registered on the wide-field image, dotted where only "
        "the coordinates of the stages place it. Pale grey means no particle; hatched pixels are masked. "
        + ("Half-bit FRC half-period, median over tiles and energies: " + "; ".join(frc) + "." if frc else "")
        + not_drawn(chosen, shown, "region", "regions"),
        f"Maps of {len(shown)} regions: " + ", ".join(COLUMNS) + ".",
        figure,
        ("particles", "pairs"),
        dpi=PRINT_DPI,
    )


def _evenly_taken(items: Sequence[T], most: int) -> list[T]:
    """At most so many of a sequence, evenly taken."""
    if len(items) <= most:
        return list(items)
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, most)]


def shared_energies(strongest_ev: Mapping[str, float]) -> dict[str, float]:
    """Scan to the energy (eV) at which it is shown: of scans of one edge, the median of where each absorbs most."""
    edges: list[list[str]] = []
    for scan_id in sorted(strongest_ev, key=strongest_ev.__getitem__):
        if not edges or strongest_ev[scan_id] - strongest_ev[edges[-1][-1]] > SAME_EDGE_EV:
            edges.append([])
        edges[-1].append(scan_id)
    return {name: float(np.median([strongest_ev[each] for each in edge])) for edge in edges for name in edge}


def _shared(evidence: Evidence, scans: Sequence[Scan]) -> dict[str, float]:
    shared: dict[str, float] = {}
    for modality in ("stxm", "ptychography"):
        mine = {
            scan.scan_id: evidence.output("absorbance", scan.scan_id) for scan in scans if scan.modality == modality
        }
        shared |= shared_energies(
            {
                scan_id: float(absorbance.read("energy_ev")[strongest_energy(evidence, scan_id)])
                for scan_id, absorbance in mine.items()
                if absorbance is not None
            }
        )
    return shared


def _region(evidence: Evidence, pair: Mapping[str, Scan], longest: int, shared_ev: Mapping[str, float]) -> Region:
    # Of a pair, the wide-field scan may still be growing.
    region = Region(evidence.label(pair.get("stxm") or next(iter(pair.values()))))
    stxm_od = complex_ev = float("nan")
    if "stxm" in pair:
        stxm_od = _stxm(evidence, pair["stxm"].scan_id, region, longest, shared_ev)
    if "ptychography" in pair:
        scan_id = pair["ptychography"].scan_id
        complex_ev = _ptychography(evidence, scan_id, region, longest, shared_ev)
        region.half_period_nm = evidence.half_period_nm(scan_id)
        if "stxm" in pair:
            _place(evidence, scan_id, region)
    region.energies_ev = (stxm_od, complex_ev)
    return region


def _stxm(evidence: Evidence, scan_id: str, region: Region, longest: int, shared_ev: Mapping[str, float]) -> float:
    energy_ev = float("nan")
    absorbance = evidence.output("absorbance", scan_id)
    if absorbance is not None:
        energy = nearest_measured(evidence, scan_id, shared_ev[scan_id])
        energy_ev = float(absorbance.read("energy_ev")[energy])
        region.scales[COLUMNS[0]] = shared_ev[scan_id]
        plane = absorbance.read("optical_density", (energy, slice(None), slice(None)))
        region.maps[COLUMNS[0]] = map_of(plane, absorbance, longest)
    soc = soc_map(evidence, scan_id, longest)
    if soc is not None:
        region.maps[COLUMNS[1]] = soc
    segment = evidence.output("segment", scan_id)
    if segment is not None:
        region.outlines = coarsened((segment.read("labels") > 0).astype(np.float32), longest)
    return energy_ev


def _ptychography(
    evidence: Evidence, scan_id: str, region: Region, longest: int, shared_ev: Mapping[str, float]
) -> float:
    stitch, absorbance = evidence.output("stitch", scan_id), evidence.output("absorbance", scan_id)
    energy_ev = float("nan")
    if absorbance is not None:
        energy = nearest_measured(evidence, scan_id, shared_ev[scan_id])
        region.scales |= dict.fromkeys(COLUMNS[2:4], shared_ev[scan_id])
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


def soc_map(evidence: Evidence, scan_id: str, longest: int, particles_alone: bool = False) -> Map | None:
    """State of charge with the classes that belong to it; of particles alone without the noise between them."""
    fit, segment = evidence.output("fit", scan_id), evidence.output("segment", scan_id)
    if fit is None:
        return None
    classes = (segment if segment is not None and "mask_class" in segment.arrays() else fit).read("mask_class")
    if particles_alone and segment is not None:
        classes = np.where(segment.read("labels") == 0, np.uint8(MaskClass.background), classes)
    return map_of(fit.read("soc"), fit, longest, classes)


def strongest_energy(evidence: Evidence, scan_id: str) -> int:
    """The measured energy at which particles absorb most."""
    align = evidence.output("align", scan_id)
    if align is None:
        return 0
    mean = align.read("mean_od")
    return int(np.nanargmax(mean)) if np.isfinite(mean).any() else 0


def nearest_measured(evidence: Evidence, scan_id: str, energy_ev: float) -> int:
    """The measured energy of a scan that lies nearest to one."""
    align, absorbance = evidence.output("align", scan_id), evidence.output("absorbance", scan_id)
    assert absorbance is not None
    distance = np.abs(absorbance.read("energy_ev") - energy_ev)
    if align is not None and np.isfinite(mean := align.read("mean_od")).any():
        distance = np.where(np.isfinite(mean), distance, np.inf)
    return int(np.argmin(distance))


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


def _draw(regions: list[Region]) -> Figure:
    columns = [name for name in COLUMNS if any(name in region.maps for region in regions)]
    columns = columns or list(COLUMNS[:2])
    figure = blank(0.6 + 2.25 * len(columns), 0.9 + 2.16 * len(regions))
    # Square cells leave gaps that this layout takes out.
    figure.set_layout_engine("compressed")
    cells = grid_of_axes(figure, len(regions), len(columns))
    together: dict[tuple[str, float], list[int]] = {}
    for row, region in enumerate(regions):
        for name in region.maps:
            together.setdefault((name, region.scales.get(name, 0.0)), []).append(row)
    scales = {key: limits_of([regions[row].maps[key[0]] for row in rows]) for key, rows in together.items()}
    scales |= {key: (0.0, 1.0) for key in together if "state of charge" in key[0]}
    narrowest = min((m.width_um for r in regions for m in r.maps.values()), default=1.0)
    bar = nice_length(narrowest)
    shown: dict[tuple[str, float], AxesImage] = {}
    for line, region in zip(cells, regions, strict=True):
        for axes, name in zip(line, columns, strict=True):
            if name not in region.maps:
                axes.axis("off")
                axes.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axes.transAxes, color="#777777")
                continue
            key = (name, region.scales.get(name, 0.0))
            low, high = scales[key]
            cmap = SOC_MAP if "state of charge" in name else "cividis_r" if "phase" in name else "gray"
            if name == COLUMNS[0]:
                cmap = "gray_r"
            shown[key] = draw_map(axes, region.maps[name], cmap=cmap, low=low, high=high, bar_um=bar)
            if name in COLUMNS[:2]:
                _overlay(axes, region, region.maps[name])
        _name_row(line[0], region)
    for axes, name in zip(cells[0], columns, strict=True):
        axes.set_title(
            name.replace("ptychography ", "ptychography\n").replace("STXM ", "STXM\n"), loc="center", fontsize=8.5
        )
    for (name, energy_ev), rows in together.items():
        what = name.split(" ", 1)[1]
        unit = {"optical density": "ln units", "phase": "rad"}.get(what, "")
        several = sum(other == name for other, _ in together) > 1
        figure.colorbar(
            shown[name, energy_ev],
            ax=[cells[row][columns.index(name)] for row in (rows if several else range(len(cells)))],
            location="bottom",
            shrink=0.85,
            aspect=22,
            extend="both" if "state of charge" in name else "neither",
            label=what + (f" ({unit})" if unit else "") + (f", {energy_ev:.1f} eV" if several else ""),
        )
    return figure


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
