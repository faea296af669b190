"""What the stacks of a few scans contain without any reference: components, factors and clusters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import SubFigure

from storage.output import Output
from stxmdist.arrays import F64
from stxmdist.campaign.scan import Scan
from stxmdist.planning.columns import number
from stxmdist.report.canvas import COLOURS, DASHES, INK, Absent, Picture, bands_of, blank, grid_of_axes
from stxmdist.report.evidence import Evidence, label_of, not_drawn
from stxmdist.report.maps import Map, block_px, coarse_axis, draw_map, limits_of, map_of, nice_length

MOST_SCANS = 3
MOST_MAPS = 4
WIDTH_IN = 9.0


@dataclass(frozen=True)
class Explored:
    """What explore says of a scan, as far as it is drawn."""

    energies: int
    suggested: int
    """Components that are suggested"""
    above_noise: int
    """Components whose eigenvalue is larger than counting noise alone gives"""
    that_are_images: int
    """Leading components whose map is alike in neighbouring pixels"""
    by_indicator: int
    """Components at the least value of Malinowski's indicator function"""
    explained_share: tuple[float, ...]
    """Of the squares, by so many components"""
    noise_edge: float
    """Largest eigenvalue that noise alone gives"""
    autocorrelation: tuple[float, ...]
    """(COMPONENT,) of neighbouring pixels of a map"""
    cost_over_noise: float | None = None
    """Of non-negative factors; None where there are none"""
    cluster_pixels: tuple[int, ...] | None = None
    """(CLUSTER,); None where there are no clusters"""


def explored_of(evidence: Evidence, scan_id: str) -> Explored | None:
    """What explore found in a scan; None where it found no principal components."""
    found = evidence.published.scan("explore", scan_id)
    written = {} if found is None else found.quality
    parts = {name: part for name, part in written.items() if isinstance(part, Mapping) and "note" not in part}
    if "pca" not in parts:
        return None
    pca, nmf, clusters = (cast(Mapping[str, object], parts.get(name, {})) for name in ("pca", "nmf", "clusters"))

    def count(by: str) -> int:
        return int(number(pca[f"components_{by}"]))

    return Explored(
        energies=int(number(written["energies"])),
        suggested=count("suggested"),
        above_noise=count("above_noise"),
        that_are_images=count("that_are_images"),
        by_indicator=count("by_indicator"),
        explained_share=_numbers(pca["explained_share"]),
        noise_edge=number(pca["noise_edge"]),
        autocorrelation=_numbers(pca["autocorrelation"]),
        cost_over_noise=number(nmf["cost_over_noise"]) if nmf else None,
        cluster_pixels=tuple(map(int, _numbers(clusters["pixels"]))) if clusters else None,
    )


def _numbers(written: object) -> tuple[float, ...]:
    return tuple(map(number, written)) if isinstance(written, list | tuple) else ()


def exploration(evidence: Evidence) -> list[Picture] | Absent:
    """One figure for each of a few scans, those of most energies first."""
    found = [
        (explored, scan)
        for scan in evidence.scans
        if "pca_spectra" in _arrays(evidence, scan.scan_id)
        and (explored := explored_of(evidence, scan.scan_id)) is not None
    ]
    if not found:
        why = "No scan of three energies or more has been explored by its principal components."
        return Absent("exploration", "Exploration", why)
    found.sort(key=lambda pair: (pair[1].modality != "stxm", -pair[0].energies))
    shown = found[:MOST_SCANS]
    more = not_drawn(found, shown, "explored scan", "explored scans")
    return [_picture(evidence, scan, explored, more) for explored, scan in shown]


def _arrays(evidence: Evidence, scan_id: str) -> tuple[str, ...]:
    output = evidence.output("explore", scan_id)
    return () if output is None else output.arrays()


def _picture(evidence: Evidence, scan: Scan, explored: Explored, more: str) -> Picture:
    output = evidence.output("explore", scan.scan_id)
    assert output is not None
    parts: list[tuple[str, float, Callable[[SubFigure, Output, Explored, int], None]]] = [("pca", 4.6, _components)]
    if explored.cost_over_noise is not None:
        parts.append(("nmf", 2.5, _factors))
    if explored.cluster_pixels is not None:
        parts.append(("clusters", 2.7, _clusters))
    figure = blank(WIDTH_IN, sum(height for _, height, _ in parts))
    bands = bands_of(figure, [height for _, height, _ in parts])
    for (_, _, draw), band in zip(parts, bands, strict=True):
        draw(band, output, explored, evidence.options.picture_px)
    held = 100.0 * explored.explained_share[min(explored.suggested, len(explored.explained_share)) - 1]
    caption = (
        f"{explored.suggested} component(s) are suggested: {explored.above_noise} eigenvalues are larger than counting "
        f"noise alone gives, the maps of the first {explored.that_are_images} component(s) are alike in neighbouring "
        f"pixels, and Malinowski's indicator function is least at {explored.by_indicator}. The suggested components "
        f"explain {held:.2f} % of the sum of squares of the scaled optical density. Spectra of components have length "
        "1 and an arbitrary sign; they are mixtures, not substances."
    )
    if explored.cost_over_noise is not None:
        caption += " Factors have no negative value; the data alone do not determine them unless some pixels are pure."
    if explored.cluster_pixels is not None:
        caption += " Clusters are numbered from the least to the most absorbing; spectra are means over their pixels."
    return Picture(
        f"exploration-{scan.scan_id}",
        f"Exploration of {label_of(scan)}",
        caption + more,
        f"Eigenvalues, spectra and maps of {scan.scan_id} by " + ", ".join(name for name, _, _ in parts) + ".",
        figure,
    )


def _components(band: SubFigure, output: Output, explored: Explored, longest: int) -> None:
    above, below = bands_of(band, (1.0, 1.0))
    ((scree, lines),) = grid_of_axes(above, 1, 2)
    eigenvalues = output.read("pca_eigenvalues")
    eigenvalues = eigenvalues[np.isfinite(eigenvalues) & (eigenvalues > 0.0)]
    rank = 1 + np.arange(len(eigenvalues))
    suggested = explored.suggested
    scree.semilogy(rank, eigenvalues, "o", ms=3, mfc="white", color=INK)
    scree.semilogy(rank[:suggested], eigenvalues[:suggested], "o", ms=4.5, color=COLOURS[1], label="suggested")
    scree.axhline(explored.noise_edge, ls="--", lw=0.9, color=COLOURS[0], label="edge of the noise")
    scree.set(xlabel="component", ylabel="eigenvalue", title=f"{suggested} component(s) suggested")
    scree.legend()
    spectra = output.read("pca_spectra")[:MOST_MAPS]
    _lines(lines, output, spectra, [f"component {i + 1}" for i in range(len(spectra))])
    lines.axhline(0.0, lw=0.6, color="#888888")
    lines.set(ylabel="spectrum of length 1")
    (panels,) = grid_of_axes(below, 1, MOST_MAPS)
    for empty in panels[len(spectra) :]:
        empty.set_visible(False)
    for i in range(len(spectra)):
        image = _layer(output, "pca_maps", i, longest)
        low, high = limits_of([image])
        # Component 1 follows the amount of material; the others differ in sign between substances, and 0 is white.
        bound = max(abs(low), abs(high))
        cmap, low, high = ("gray", low, high) if i == 0 else ("RdBu_r", -bound, bound)
        shown = draw_map(panels[i], image, cmap=cmap, low=low, high=high, bar_um=nice_length(image.width_um))
        title = f"component {i + 1}\nautocorrelation {explored.autocorrelation[i]:.2f}"
        panels[i].set_title(title, fontsize=8)
        below.colorbar(shown, ax=panels[i], shrink=0.8)


def _factors(band: SubFigure, output: Output, explored: Explored, longest: int) -> None:
    spectra = output.read("nmf_spectra")[:MOST_MAPS]
    panels = band.subplots(1, 1 + len(spectra), gridspec_kw={"width_ratios": [1.6, *[1.0] * len(spectra)]})
    _lines(panels[0], output, spectra, [f"nmf-{i + 1}" for i in range(len(spectra))])
    panels[0].set(ylabel="optical density", title=f"non-negative factors, χ²/ν {explored.cost_over_noise:.3f}")
    images = [_layer(output, "nmf_maps", i, longest) for i in range(len(spectra))]
    for i, image in enumerate(images):
        high = max(limits_of([image])[1], 1e-6)
        shown = draw_map(panels[1 + i], image, cmap="magma", low=0.0, high=high, bar_um=nice_length(image.width_um))
        panels[1 + i].set_title(f"nmf-{i + 1}", color=COLOURS[i], fontsize=8.5)
        band.colorbar(shown, ax=panels[1 + i], shrink=0.8)


def _clusters(band: SubFigure, output: Output, explored: Explored, longest: int) -> None:
    spectra = output.read("cluster_spectra")
    image, lines = band.subplots(1, 2, gridspec_kw={"width_ratios": [1.0, 1.6]})
    step = block_px(output.layout("cluster_labels").shape, longest)
    labels = output.read("cluster_labels")
    ny, nx = (n - n % s for n, s in zip(labels.shape, step, strict=True))
    labels = labels[: ny : step[0], : nx : step[1]]
    known = np.where(labels > 0, labels, np.nan).astype(np.float32)
    y_um, x_um = (coarse_axis(output.read(name), s) for name, s in zip(("y_um", "x_um"), step, strict=True))
    shown = Map(known, y_um, x_um)
    colours = ListedColormap([COLOURS[i % len(COLOURS)] for i in range(len(spectra))])
    drawn = draw_map(image, shown, cmap=colours, low=0.5, high=len(spectra) + 0.5, bar_um=nice_length(shown.width_um))
    drawn.set_norm(BoundaryNorm(np.arange(len(spectra) + 1) + 0.5, len(spectra)))
    image.set_title("clusters")
    pixels = explored.cluster_pixels or ()
    names = [f"cluster-{i + 1}, {100.0 * n / max(1, sum(pixels)):.1f} %" for i, n in enumerate(pixels)]
    _lines(lines, output, spectra, names)
    lines.set(ylabel="mean optical density")


def _lines(axes: Axes, output: Output, spectra: F64, names: Sequence[str]) -> None:
    energy = output.read("energy_ev")
    for i, (spectrum, name) in enumerate(zip(spectra, names, strict=True)):
        known = np.isfinite(spectrum)
        marker = "o" if known.sum() < 40 else ""
        colour, dash = COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)]
        axes.plot(energy[known], spectrum[known], marker=marker, ms=2.5, lw=1.1, label=name, color=colour, ls=dash)
    axes.set(xlabel="photon energy (eV)")
    # Beside the lines: a spectrum leaves no corner free.
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7.5)


def _layer(output: Output, name: str, index: int, longest: int) -> Map:
    return map_of(output.read(name, (index, slice(None), slice(None))), output, longest)
