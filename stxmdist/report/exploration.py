"""What stacks hold before anybody says what to look for: components, factors and clusters of a few scans."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import SubFigure

from storage.output import Output
from stxmdist.report.canvas import COLOURS, DASHES, INK, Absent, Picture, as_png, blank
from stxmdist.report.evidence import Evidence, label_of, number
from stxmdist.report.maps import Map, block_px, coarse_axis, draw_map, limits_of, map_of, nice_length

MOST_SCANS = 3
MOST_MAPS = 4
WIDTH_IN = 9.0


def exploration(evidence: Evidence, longest: int = 320) -> list[Picture] | Absent:
    """One figure for each of a few scans, those of most energies first."""
    title = "Exploration"
    rows = [row for row in evidence.scans if "pca_spectra" in _arrays(evidence, row["scan_id"])]
    shown = [row for row in rows if evidence.quality("explore", row["scan_id"]).get("pca")]
    if not shown:
        why = "No scan of three energies or more has been explored by its principal components."
        return Absent("exploration", title, why)
    shown.sort(
        key=lambda row: (row["modality"] != "stxm", -int(evidence.quality("explore", row["scan_id"])["energies"]))
    )
    return [_picture(evidence, row, len(shown), longest) for row in shown[:MOST_SCANS]]


def _arrays(evidence: Evidence, scan_id: str) -> tuple[str, ...]:
    output = evidence.output("explore", scan_id)
    return () if output is None else output.arrays()


def _picture(evidence: Evidence, row: Mapping[str, Any], explored: int, longest: int) -> Picture:
    scan_id = row["scan_id"]
    output, quality = evidence.output("explore", scan_id), evidence.quality("explore", scan_id)
    assert output is not None
    parts = ["pca", *(name for name in ("nmf", "clusters") if "note" not in quality.get(name, {"note": ""}))]
    heights = {"pca": 4.6, "nmf": 2.5, "clusters": 2.7}
    figure = blank(WIDTH_IN, sum(heights[part] for part in parts))
    draw = {"pca": _components, "nmf": _factors, "clusters": _clusters}
    bands = np.ravel(figure.subfigures(len(parts), 1, squeeze=False, height_ratios=[heights[part] for part in parts]))
    for part, band in zip(parts, bands, strict=True):
        draw[part](band, output, quality[part], longest)
    said = quality["pca"]
    suggested = int(said["components_suggested"])
    held = 100.0 * number(said["explained_share"][min(suggested, len(said["explained_share"])) - 1])
    more = f" {explored - MOST_SCANS} more explored scans are not drawn." if explored > MOST_SCANS else ""
    above, images, indicator = (said[f"components_{by}"] for by in ("above_noise", "that_are_images", "by_indicator"))
    caption = (
        f"{suggested} component(s) are suggested: {above} eigenvalues stand above what counting noise alone gives, "
        f"{images} leading maps are alike in neighbouring pixels, and Malinowski's indicator function is least at "
        f"{indicator}. They hold {held:.2f} % of the squares of the scaled optical density. Spectra of components have "
        "length 1 and no sign of their own; they are mixtures, not substances."
    )
    if "nmf" in parts:
        caption += " Factors have no negative value; without pure pixels the data alone do not fix them."
    if "clusters" in parts:
        caption += " Clusters are numbered from the least to the most absorbing; spectra are means over their pixels."
    return Picture(
        f"exploration-{scan_id}",
        f"Exploration of {label_of(row)}",
        caption + more,
        f"Eigenvalues, spectra and maps of {scan_id} by " + ", ".join(parts) + ".",
        "png",
        as_png(figure, dpi=110),
    )


def _components(band: SubFigure, output: Output, quality: Mapping[str, Any], longest: int) -> None:
    above, below = band.subfigures(2, 1, height_ratios=[1.0, 1.0])
    scree, lines = above.subplots(1, 2)
    eigenvalues = output.read("pca_eigenvalues")
    eigenvalues = eigenvalues[np.isfinite(eigenvalues) & (eigenvalues > 0.0)]
    rank = 1 + np.arange(len(eigenvalues))
    suggested = int(quality["components_suggested"])
    scree.semilogy(rank, eigenvalues, "o", ms=3, mfc="white", color=INK)
    scree.semilogy(rank[:suggested], eigenvalues[:suggested], "o", ms=4.5, color=COLOURS[1], label="suggested")
    scree.axhline(number(quality["noise_edge"]), ls="--", lw=0.9, color=COLOURS[0], label="edge of the noise")
    scree.set(xlabel="component", ylabel="eigenvalue", title=f"{suggested} component(s) suggested")
    scree.legend()
    spectra = output.read("pca_spectra")[:MOST_MAPS]
    _lines(lines, output, spectra, [f"component {i + 1}" for i in range(len(spectra))])
    lines.axhline(0.0, lw=0.6, color="#888888")
    lines.set(ylabel="spectrum of length 1")
    panels = below.subplots(1, MOST_MAPS)
    _hide(panels[len(spectra) :])
    for i in range(len(spectra)):
        image = _layer(output, "pca_maps", i, longest)
        low, high = limits_of([image])
        # Component 1 is how much there is; the others say what it is, to either side of nothing.
        bound = max(abs(low), abs(high))
        scale = (
            {"cmap": "gray", "low": low, "high": high} if i == 0 else {"cmap": "RdBu_r", "low": -bound, "high": bound}
        )
        shown = draw_map(panels[i], image, **scale, bar_um=nice_length(image.width_um))
        structure = number(quality["autocorrelation"][i])
        panels[i].set_title(f"component {i + 1}\nneighbours alike {structure:.2f}", fontsize=8)
        below.colorbar(shown, ax=panels[i], shrink=0.8)


def _factors(band: SubFigure, output: Output, quality: Mapping[str, Any], longest: int) -> None:
    spectra = output.read("nmf_spectra")[:MOST_MAPS]
    panels = band.subplots(1, 1 + len(spectra), gridspec_kw={"width_ratios": [1.6, *[1.0] * len(spectra)]})
    _lines(panels[0], output, spectra, [f"nmf-{i + 1}" for i in range(len(spectra))])
    panels[0].set(
        ylabel="optical density", title=f"non-negative factors, χ²/ν {number(quality['cost_over_noise']):.3f}"
    )
    images = [_layer(output, "nmf_maps", i, longest) for i in range(len(spectra))]
    for i, image in enumerate(images):
        high = max(limits_of([image])[1], 1e-6)
        shown = draw_map(panels[1 + i], image, cmap="magma", low=0.0, high=high, bar_um=nice_length(image.width_um))
        panels[1 + i].set_title(f"nmf-{i + 1}", color=COLOURS[i], fontsize=8.5)
        band.colorbar(shown, ax=panels[1 + i], shrink=0.8)


def _clusters(band: SubFigure, output: Output, quality: Mapping[str, Any], longest: int) -> None:
    spectra = output.read("cluster_spectra")
    image, lines = band.subplots(1, 2, gridspec_kw={"width_ratios": [1.0, 1.6]})
    step = block_px(output.layout("cluster_labels").shape, longest)
    labels = output.read("cluster_labels")
    ny, nx = (n - n % s for n, s in zip(labels.shape, step, strict=True))
    labels = labels[: ny : step[0], : nx : step[1]]
    known = np.where(labels > 0, labels, np.nan).astype(np.float32)
    axes = (coarse_axis(output.read(name), s) for name, s in zip(("y_um", "x_um"), step, strict=True))
    shown = Map(known, *axes)
    colours = ListedColormap([COLOURS[i % len(COLOURS)] for i in range(len(spectra))])
    drawn = draw_map(image, shown, cmap=colours, low=0.5, high=len(spectra) + 0.5, bar_um=nice_length(shown.width_um))
    drawn.set_norm(BoundaryNorm(np.arange(len(spectra) + 1) + 0.5, len(spectra)))
    image.set_title("clusters")
    total = max(1, sum(quality["pixels"]))
    names = [f"cluster-{i + 1}, {100.0 * n / total:.1f} %" for i, n in enumerate(quality["pixels"])]
    _lines(lines, output, spectra, names)
    lines.set(ylabel="mean optical density")


def _lines(axes: Any, output: Output, spectra: Any, names: list[str]) -> None:
    energy = output.read("energy_ev")
    for i, (spectrum, name) in enumerate(zip(spectra, names, strict=True)):
        known = np.isfinite(spectrum)
        marker = "o" if known.sum() < 40 else ""
        style = {"color": COLOURS[i % len(COLOURS)], "ls": DASHES[i // len(COLOURS) % len(DASHES)]}
        axes.plot(energy[known], spectrum[known], marker=marker, ms=2.5, lw=1.1, label=name, **style)
    axes.set(xlabel="photon energy (eV)")
    # FitContext the lines: a spectrum leaves no corner free.
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7.5)


def _layer(output: Output, name: str, index: int, longest: int) -> Map:
    return map_of(output.read(name, (index, slice(None), slice(None))), output, longest)


def _hide(panels: Any) -> None:
    for axes in panels:
        axes.set_visible(False)
