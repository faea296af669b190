"""Pictures of scans and particles, drawn as the report draws them: scale bar, unit, masked pixels in grey."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from stxmdist.arrays import F64, U8, Array, Mask, MaskClass
from stxmdist.report.canvas import COLOURS as LINES
from stxmdist.report.canvas import INK, MASKED, PALE
from stxmdist.report.maps import (
    UNTRUSTED,
    Map,
    block_px,
    coarse_axis,
    coarsened,
    draw_map,
    limits_of,
    nice_length,
)
from stxmdist.results.arrays import CLASSES, COLOURS, UNALIGNED, Colours, ScanArrays, require_image

LONGEST_PX = 1200
"""Pixels of a picture along its longer side; larger images are averaged over blocks"""
OF_PARTICLES = ("soc", "soc_se", "thickness_nm", "chi2_reduced")
"""Maps that say nothing where there is no particle, or where a pixel is masked"""
CLASS_COLOURS = (
    "#0072B2",
    PALE,
    "#56B4E9",
    "#E69F00",
    "#CC79A7",
    "#777777",
    "#F0E442",
    "#bbbbbb",
    "#D55E00",
    "#009E73",
)
"""One for each mask class"""


def new_figure(width: float, height: float) -> Figure:
    """A figure of pyplot, inches, which a notebook shows."""
    from matplotlib import pyplot

    figure: Figure = pyplot.figure(figsize=(width, height), layout="constrained")
    return figure


def draw_scan(
    scan: ScanArrays, what: str, energy_ev: float | None, axes: Axes | None, longest: int = LONGEST_PX
) -> Axes:
    """Draw an array of a scan; see ``ScanResults.plot``."""
    array = scan.array(what)
    require_image(scan.scan_id, array)
    shown, at = plane_of(scan, array, energy_ev)
    axes = new_figure(5.6, 4.6).subplots() if axes is None else axes
    classes = None
    if what in OF_PARTICLES:
        classes = np.asarray(scan.array("mask_class"))
    draw_plane(axes, shown, what, classes, longest)
    axes.set_title(", ".join([scan.scan_id, *at]))
    return axes


def plane_of(scan: ScanArrays, array: xr.DataArray, energy_ev: float | None) -> tuple[xr.DataArray, list[str]]:
    """One image of an array, and which of several it is, in words."""
    at = []
    if "energy" in array.dims:
        energies = np.asarray(array["energy"], np.float64)
        index = _strongest(scan, len(energies)) if energy_ev is None else int(np.argmin(np.abs(energies - energy_ev)))
        array = array.isel(energy=index)
        at.append(f"{energies[index]:.1f} eV")
    if "component" in array.dims:
        words = str(array.attrs.get("long_name", "")).replace("(discharged, charged) material", "both end-members")
        array = array.sum("component", skipna=False, keep_attrs=True).assign_attrs(long_name=words)
    for dim in [dim for dim in array.dims if dim not in ("y", "x")]:
        at.append(f"{dim} {array[dim].values[0] if dim in array.coords else 0}")
        array = array.isel({dim: 0})
    if array.dtype.kind == "c":
        attrs = {"units": "rad", "long_name": f"phase of: {array.attrs.get('long_name', array.name)}"}
        array = xr.apply_ufunc(np.angle, array, dask="allowed").assign_attrs(attrs)
    return array.transpose("y", "x"), at


def _strongest(scan: ScanArrays, n: int) -> int:
    """The energy at which the particles absorb most; the middle one where that is not known."""
    if "align" in scan.stages():
        mean = np.asarray(scan.stage("align")["mean_od"])
        if len(mean) == n and np.isfinite(mean).any():
            return int(np.nanargmax(mean))
    return n // 2


def draw_plane(axes: Axes, array: xr.DataArray, what: str, classes: U8 | None, longest: int) -> None:
    """Draw an image (Y, X) with its colour bar; with ``classes``, masked pixels and those of no particle in grey."""
    values = np.asarray(array)
    y_um, x_um = (np.asarray(array[axis], np.float64) for axis in ("y", "x"))
    if what in ("mask_class", "labels", "cluster_labels"):
        _draw_codes(axes, values, what, y_um, x_um)
        return
    masked = None
    values = np.asarray(values, np.float32)
    if classes is not None:
        untrusted = np.isin(classes, UNTRUSTED)
        values = np.where(untrusted | (classes == MaskClass.background), np.nan, values)
        masked = coarsened(untrusted.astype(np.float32), longest) > 0.5
    step_y, step_x = block_px(values.shape, longest)
    image = Map(coarsened(values, longest), coarse_axis(y_um, step_y), coarse_axis(x_um, step_x), masked)
    colours = COLOURS.get(what.removesuffix(UNALIGNED), Colours())
    low, high = limits_of([image])
    low = low if colours.low is None else colours.low
    high = high if colours.high is None else colours.high
    if high <= low:
        high = low + 1.0
    shown = draw_map(axes, image, cmap=colours.colormap, low=low, high=high, bar_um=nice_length(image.width_um))
    _colour_bar(axes, shown, array)


def _colour_bar(axes: Axes, shown: AxesImage, array: xr.DataArray) -> None:
    unit = array.attrs.get("units", "")
    words = str(array.attrs.get("long_name", array.name)).partition(",")[0]
    bar = axes.figure.colorbar(shown, ax=axes, shrink=0.85, extend="both")
    bar.set_label(words + (f" ({unit})" if unit not in ("", "1") else ""), fontsize=8)
    bar.ax.tick_params(labelsize=8)


def _draw_codes(axes: Axes, values: Array, what: str, y_um: F64, x_um: F64) -> None:
    """Codes are never averaged: of large images, every so many-th pixel is drawn."""
    step = max(1, -(-max(values.shape) // LONGEST_PX))
    values, y_um, x_um = values[::step, ::step], y_um[::step], x_um[::step]
    if what == "mask_class":
        shown = values.astype(np.float32)
        colours = ListedColormap(CLASS_COLOURS)
        edges = np.arange(len(CLASSES) + 1) - 0.5
    else:
        # Neighbours differ in number by one, and shall differ in colour.
        shown = np.where(values > 0, (values * 7) % len(LINES), np.nan).astype(np.float32)
        colours = ListedColormap(LINES)
        edges = np.arange(len(LINES) + 1) - 0.5
    image = Map(shown, y_um, x_um)
    drawn = draw_map(axes, image, cmap=colours, low=0.0, high=1.0, bar_um=nice_length(image.width_um))
    drawn.set_norm(BoundaryNorm(edges, len(edges) - 1))
    if what == "mask_class":
        bar = axes.figure.colorbar(drawn, ax=axes, shrink=0.85, ticks=range(len(CLASSES)))
        bar.ax.set_yticklabels([name.replace("_", " ") for name in CLASSES], fontsize=7)


@dataclass(frozen=True, eq=False)
class ParticlePicture:
    """What a picture of a particle is made of."""

    title: str
    crops: dict[str, tuple[xr.DataArray, str]]
    """Name of an array to its image (Y, X), and which of several it is, in words"""
    classes: U8
    """(Y, X) mask classes"""
    mask: Mask
    """(Y, X) pixels of the particle"""
    spectrum: pd.DataFrame
    """As of ``ParticleResults.spectrum``"""


def draw_particle(picture: ParticlePicture, figure: Figure) -> Figure:
    """Crops of a particle, and its spectrum above the residual."""
    left, right = np.ravel(figure.subfigures(1, 2, squeeze=False, width_ratios=(1.0, 1.5)))
    panels = np.ravel(left.subplots(len(picture.crops), 1, squeeze=False))
    for axes, (what, (plane, at)) in zip(panels, picture.crops.items(), strict=True):
        draw_plane(axes, plane, what, picture.classes if what in OF_PARTICLES else None, LONGEST_PX)
        if min(picture.mask.shape) > 1:
            axes.contour(plane["x"], plane["y"], picture.mask.astype(float), levels=[0.5], colors=[INK], linewidths=0.8)
        axes.set_title(f"{what.replace('_', ' ')} {at}", fontsize=8)
    draw_spectrum(picture.spectrum, *right.subplots(2, 1, sharex=True, height_ratios=(2.4, 1.0)))
    figure.suptitle(picture.title, fontsize=9)
    return figure


def draw_spectrum(spectrum: pd.DataFrame, upper: Axes, lower: Axes) -> None:
    """Spectrum of a particle with two standard errors, fit and terms; below, what the fit leaves over."""
    energy, two_se = spectrum["energy_ev"], 2.0 * spectrum["optical_density_se"]
    upper.errorbar(energy, spectrum["optical_density"], two_se, fmt="o", ms=3, lw=0.8, color=INK, label="measured")
    upper.plot(energy, spectrum["fit"], color=LINES[1], lw=1.2, label="fit")
    for name, colour in zip(list(map(str, spectrum))[5:], (LINES[0], LINES[2], LINES[3], LINES[5]), strict=False):
        upper.plot(energy, spectrum[name], "--", lw=0.8, color=colour, label=name.replace("_", " "))
    upper.set_ylabel("optical density")
    upper.legend(fontsize=7, frameon=False)
    lower.axhline(0.0, color=MASKED, lw=0.8)
    lower.errorbar(energy, spectrum["residual"], two_se, fmt="o", ms=3, lw=0.8, color=INK)
    lower.set(xlabel="photon energy (eV)", ylabel="residual")
