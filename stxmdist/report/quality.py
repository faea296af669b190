"""Quality of single scans: incident beam, drift, convergence, resolution, and a look at what was not fitted."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from storage.output import Output
from stxmdist.arrays import MaskClass
from stxmdist.report.canvas import COLOURS, DASHES, INK, Absent, Picture, as_png, as_svg, blank
from stxmdist.report.evidence import Evidence, label_of, numbers
from stxmdist.report.gallery import half_period_nm, object_maps
from stxmdist.report.maps import Map, coarsened, draw_map, limits_of, map_of, nice_length

MOST_SCANS = 12
MOST_CURVES = 40
FRAMES_LOOKED_AT = 64


def beam_and_drift(evidence: Evidence) -> Picture | Absent:
    """Incident beam over energy, and how far each frame had to be moved, for every wide-field scan."""
    title = "Incident beam and drift"
    rows = evidence.of_modality("stxm", "absorbance")
    if not rows:
        return Absent("Q1", title, "No wide-field scan has an incident beam.")
    shown = rows[:MOST_SCANS]
    figure = blank(7.6, 1.75 * len(shown))
    cells = figure.subplots(len(shown), 2, squeeze=False)
    for (left, right), row in zip(cells, shown, strict=True):
        absorbance, align = (evidence.output(stage, row["scan_id"]) for stage in ("absorbance", "align"))
        assert absorbance is not None
        energy, i0 = absorbance.read("energy_ev"), absorbance.read("i0_counts")
        se = np.sqrt(absorbance.read("i0_variance"))
        left.fill_between(energy, i0 - 2 * se, i0 + 2 * se, color=COLOURS[4], alpha=0.5, lw=0)
        left.plot(energy, i0, ".-", ms=3, lw=0.9, color=COLOURS[0])
        left.set(ylabel="incident counts\nper pixel")
        left.set_ylim(0, 1.15 * float(np.nanmax(i0, initial=1e-9)))
        left.set_title(label_of(row), fontsize=8)
        if align is None:
            right.axis("off")
            right.text(0.5, 0.5, "not aligned", ha="center", va="center", transform=right.transAxes)
            continue
        shift = align.read("shift_px") * _pitch_nm(absorbance)
        for axis, name in ((0, "y"), (1, "x")):
            right.plot(
                energy, shift[:, axis], marker=".", ms=3, lw=0.9, ls=DASHES[axis], color=COLOURS[axis], label=name
            )
        right.set(ylabel="moved by (nm)")
    for axes in cells[-1]:
        axes.set_xlabel("photon energy (eV)")
    handles, labels = next((a.get_legend_handles_labels() for a in cells[:, 1] if a.lines), ([], []))
    if handles:
        figure.legend(handles, labels, loc="outside upper right", ncols=2)
    more = f" {len(rows) - len(shown)} more scans are not drawn." if len(rows) > len(shown) else ""
    return Picture(
        "Q1-beam-and-drift",
        title,
        "Left: incident beam from particle-free pixels, two standard errors shaded. Right: by how much each energy's "
        "image was moved to lie on the others." + more,
        f"Incident beam and drift over photon energy of {len(shown)} wide-field scans.",
        "svg",
        as_svg(figure),
        ("scans",),
    )


def _pitch_nm(output: Output) -> Any:
    axes = (output.read("y_um"), output.read("x_um"))
    return np.array([1e3 * np.ptp(axis) / max(1, len(axis) - 1) for axis in axes])


def convergence(evidence: Evidence) -> Picture | Absent:
    """Residual over iterations and Fourier ring correlation of every ptychography scan, a line per tile and energy."""
    title = "Convergence and resolution of ptychography"
    rows = evidence.of_modality("ptychography", "reconstruct")
    if not rows:
        return Absent("Q2", title, "No ptychography scan has been reconstructed.")
    shown = rows[:MOST_SCANS]
    figure = blank(7.6, 1.8 * len(shown))
    cells = figure.subplots(len(shown), 2, squeeze=False)
    for (left, right), row in zip(cells, shown, strict=True):
        output = evidence.output("reconstruct", row["scan_id"])
        assert output is not None
        quality = evidence.quality("reconstruct", row["scan_id"])
        pixel = float(np.nanmean(numbers(quality.get("pixel_nm")))) if quality.get("pixel_nm") else float("nan")
        for axes, name in ((left, "error"), (right, "frc")):
            curves = output.read(name)
            energies = len(curves)
            flat = curves.reshape(-1, curves.shape[-1])
            step = max(1, -(-len(flat) // MOST_CURVES))
            for i in range(0, len(flat), step):
                energy = i // max(1, curves.shape[1])
                x = np.arange(1, curves.shape[-1] + 1, dtype=float)
                if name == "frc":
                    x = _frequency(flat[i]) / (pixel if np.isfinite(pixel) else 1.0)
                axes.plot(
                    x,
                    flat[i],
                    lw=0.9,
                    color=COLOURS[energy % len(COLOURS)],
                    ls=DASHES[energy % 4] if energies > 1 else "-",
                )
        left.set(ylabel="amplitude residual")
        left.set_ylim(0, None)
        left.set_title(label_of(row), fontsize=8)
        right.set(ylim=(-0.1, 1.05), ylabel="ring correlation")
        right.locator_params(axis="x", nbins=6)
        half = half_period_nm(evidence, row["scan_id"])
        if np.isfinite(half) and half > 0:
            right.axvline(0.5 / half, color=INK, lw=0.8, ls="--")
            right.set_title(f"half-bit half-period {half:.1f} nm", fontsize=8)
    cells[-1, 0].set_xlabel("iteration")
    cells[-1, 1].set_xlabel("spatial frequency (1/nm)")
    more = f" {len(rows) - len(shown)} more scans are not drawn." if len(rows) > len(shown) else ""
    return Picture(
        "Q2-convergence",
        title,
        "Left: distance of modelled from measured amplitudes after each iteration, one line per tile and energy "
        "(colours and dashes are energies). Right: Fourier ring correlation of reconstructions from two halves of "
        "the frames; the dashed line is where it meets the half-bit criterion, median over tiles and energies." + more,
        f"Residual over iterations and Fourier ring correlation over frequency of {len(shown)} ptychography scans.",
        "svg",
        as_svg(figure),
        ("scans",),
    )


def _frequency(frc: Any) -> Any:
    """Cycles per pixel of each ring: the last one that was filled lies at half a cycle."""
    filled = np.flatnonzero(np.isfinite(frc))
    n = int(filled[-1]) + 1 if filled.size else len(frc)
    return np.arange(len(frc)) * 0.5 / max(1, n)


def previews(evidence: Evidence, most: int = 24, longest: int = 320) -> list[Picture]:
    """What there is to see of every scan that was read and not fitted, each with the reason why it stopped."""
    rows = [
        row
        for row in evidence.scans
        if evidence.has("ingest", row["scan_id"]) and not evidence.has("fit", row["scan_id"])
    ]
    return [picture for picture in (_preview(evidence, row, longest) for row in rows[:most]) if picture is not None]


def _preview(evidence: Evidence, row: Mapping[str, Any], longest: int) -> Picture | None:
    scan_id = row["scan_id"]
    stitch, absorbance, ingest = (evidence.output(stage, scan_id) for stage in ("stitch", "absorbance", "ingest"))
    if row["modality"] == "ptychography" and stitch is not None:
        amplitude, phase = object_maps(stitch, longest)
        panels = [("amplitude", amplitude, "gray"), ("phase (rad)", phase, "cividis_r")]
        half = half_period_nm(evidence, scan_id)
        what = "Reconstructed amplitude and phase" + (
            f", half-bit FRC half-period {half:.1f} nm" if np.isfinite(half) else ""
        )
    elif row["modality"] == "stxm" and absorbance is not None:
        energy = _middle(np.isfinite(absorbance.read("i0_counts")))
        plane = absorbance.read("optical_density", (energy, slice(None), slice(None)))
        what = f"Optical density at {float(absorbance.read('energy_ev')[energy]):.1f} eV"
        panels = [("optical density (ln units)", map_of(plane, absorbance, longest), "gray_r")]
    elif ingest is not None and row["modality"] == "stxm":
        energy = _middle(ingest.read("frame_class") == MaskClass.valid)
        plane = ingest.read("counts", (energy, slice(None), slice(None)))
        what = f"Counts at {float(ingest.read('energy_ev')[energy]):.1f} eV"
        panels = [("counts per pixel", map_of(plane, ingest, longest), "gray")]
    elif ingest is not None:
        panels, what = [], "Mean diffraction pattern"
    else:
        return None
    if panels:
        content = _panels(panels)
    else:
        assert ingest is not None
        content = _diffraction(ingest, longest)
    why = evidence.why_stopped(scan_id)
    return Picture(
        f"preview-{scan_id}".replace(" ", "-"),
        f"{scan_id} ({label_of(row)})",
        f"{what}. Not fitted: {why}",
        f"{what} of scan {scan_id}.",
        "png",
        content,
    )


def _middle(valid: Any) -> int:
    """The middle one of those that are valid; 0 where none is."""
    found = np.flatnonzero(valid)
    return int(found[len(found) // 2]) if found.size else 0


def _panels(panels: list[tuple[str, Map, str]]) -> bytes:
    first = panels[0][1].values
    aspect = float(np.clip(_height_um(panels[0][1]) / max(panels[0][1].width_um, 1e-9), 0.2, 3.0))
    figure = blank(3.3 * len(panels), 0.75 + 2.7 * aspect)
    for axes, (label, image, cmap) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        low, high = limits_of([image])
        shown = draw_map(axes, image, cmap=cmap, low=low, high=high, bar_um=nice_length(image.width_um))
        figure.colorbar(shown, ax=axes, location="bottom", label=label, shrink=0.9, aspect=25)
        if not np.isfinite(first).any():
            axes.text(0.5, 0.5, "nothing known", transform=axes.transAxes, ha="center", va="center")
    return as_png(figure)


def _height_um(image: Map) -> float:
    _, _, bottom, top = image.extent
    return abs(top - bottom)


def _diffraction(ingest: Output, longest: int) -> bytes:
    frames = ingest.array("frames")
    classes = ingest.read("frame_class")
    energy = _middle((classes == MaskClass.valid).any(axis=1))
    part = np.asarray(frames[energy, : min(FRAMES_LOOKED_AT, frames.shape[1])], dtype=np.float64)
    good = classes[energy, : len(part)] == MaskClass.valid
    mean = part[good].mean(axis=0) if good.any() else np.full(part.shape[1:], np.nan)
    mean = np.where(ingest.read("detector_mask") == 0, mean, np.nan)
    small = coarsened(np.log10(1.0 + mean).astype(np.float32), longest)
    figure = blank(3.5, 3.7)
    axes = figure.subplots()
    axes.set_facecolor("#b4b4b4")
    shown = axes.imshow(small, origin="lower", cmap="magma", interpolation="nearest")
    axes.set(xticks=[], yticks=[], xlabel=f"{part.shape[2]} x {part.shape[1]} detector pixels")
    figure.colorbar(shown, ax=axes, location="bottom", shrink=0.9, aspect=25, label="log10(1 + mean counts per frame)")
    return as_png(figure)
