"""A look at the scans that were read and not fitted: because images alone are wanted, or with why they stopped."""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from storage.output import Output
from stxmdist.arrays import Array, MaskClass
from stxmdist.campaign.scan import Scan
from stxmdist.readers.frames.unread import known_readings
from stxmdist.report.canvas import MASKED, Picture, blank, grid_of_axes
from stxmdist.report.evidence import Evidence, label_of
from stxmdist.report.gallery import object_maps
from stxmdist.report.maps import Map, coarsened, draw_map, limits_of, map_of, nice_length

FRAMES_LOOKED_AT = 64


def previews(evidence: Evidence) -> list[Picture]:
    """What there is to see of every scan that was read and not fitted, each with the reason why it stopped."""
    unfitted = [scan for scan in evidence.having("ingest") if not evidence.has("fit", scan.scan_id)]
    stopped = [scan for scan in unfitted if not scan.images_only]
    return _previews(evidence, stopped, lambda scan: f"Not fitted: {evidence.why_stopped(scan.scan_id)}")


def images_alone(evidence: Evidence) -> list[Picture]:
    """The image of every scan of which nothing else is wanted."""
    scans = [scan for scan in evidence.having("ingest") if scan.images_only]
    return _previews(evidence, scans, lambda scan: "An image alone is wanted of this scan (chemistry: none).")


def _previews(evidence: Evidence, scans: list[Scan], why: Callable[[Scan], str]) -> list[Picture]:
    pictures = (_preview(evidence, scan, why(scan)) for scan in scans[: evidence.options.most_previews])
    return [picture for picture in pictures if picture is not None]


def _preview(evidence: Evidence, scan: Scan, why: str) -> Picture | None:
    scan_id, longest = scan.scan_id, evidence.options.picture_px
    stitch, absorbance, ingest = (evidence.output(stage, scan_id) for stage in ("stitch", "absorbance", "ingest"))
    if scan.modality == "ptychography" and stitch is not None:
        amplitude, phase = object_maps(stitch, longest)
        panels = [("amplitude", amplitude, "gray"), ("phase (rad)", phase, "cividis_r")]
        half = evidence.half_period_nm(scan_id)
        what = "Reconstructed amplitude and phase" + (
            f", half-bit FRC half-period {half:.1f} nm" if np.isfinite(half) else ""
        )
    elif scan.modality == "stxm" and absorbance is not None:
        energy = _middle(np.isfinite(absorbance.read("i0_counts")))
        plane = absorbance.read("optical_density", (energy, slice(None), slice(None)))
        what = f"Optical density at {float(absorbance.read('energy_ev')[energy]):.1f} eV"
        panels = [("optical density (ln units)", map_of(plane, absorbance, longest), "gray_r")]
    elif ingest is not None and scan.modality == "stxm":
        energy = _middle(ingest.read("frame_class") == MaskClass.valid)
        plane = ingest.read("counts", (energy, slice(None), slice(None)))
        what = f"Counts at {float(ingest.read('energy_ev')[energy]):.1f} eV"
        panels = [("counts per pixel", map_of(plane, ingest, longest), "gray")]
    elif ingest is not None:
        panels, what = [], "Mean diffraction pattern"
    else:
        return None
    if panels:
        figure = _panels(panels)
    else:
        assert ingest is not None
        figure = _diffraction(ingest, longest)
    return Picture(
        f"preview-{scan_id}".replace(" ", "-"),
        f"{scan_id} ({label_of(scan)})",
        f"{what}. {why}",
        f"{what} of scan {scan_id}.",
        figure,
    )


def _middle(valid: Array) -> int:
    """The middle one of those that are valid; 0 where none is."""
    found = np.flatnonzero(valid)
    return int(found[len(found) // 2]) if found.size else 0


def _panels(panels: list[tuple[str, Map, str]]) -> Figure:
    first = panels[0][1].values
    aspect = float(np.clip(panels[0][1].height_um / max(panels[0][1].width_um, 1e-9), 0.2, 3.0))
    figure = blank(3.3 * len(panels), 0.75 + 2.7 * aspect)
    for axes, (label, image, cmap) in zip(grid_of_axes(figure, 1, len(panels))[0], panels, strict=True):
        low, high = limits_of([image])
        shown = draw_map(axes, image, cmap=cmap, low=low, high=high, bar_um=nice_length(image.width_um))
        figure.colorbar(shown, ax=axes, location="bottom", label=label, shrink=0.9, aspect=25)
        if not np.isfinite(first).any():
            axes.text(0.5, 0.5, "nothing known", transform=axes.transAxes, ha="center", va="center")
    return figure


def _diffraction(ingest: Output, longest: int) -> Figure:
    frames = ingest.array("frames")
    classes = ingest.read("frame_class")
    energy = _middle((classes == MaskClass.valid).any(axis=1))
    part = np.asarray(frames[energy, : min(FRAMES_LOOKED_AT, frames.shape[1])])
    part = known_readings(part, float(ingest.read("ceiling_counts")[energy]))[0].astype(np.float64)
    good = classes[energy, : len(part)] == MaskClass.valid
    mean = part[good].mean(axis=0) if good.any() else np.full(part.shape[1:], np.nan)
    mean = np.where(ingest.read("detector_mask") == 0, mean, np.nan)
    small = coarsened(np.log10(1.0 + mean).astype(np.float32), longest)
    figure = blank(3.5, 3.7)
    axes = figure.subplots()
    axes.set_facecolor(MASKED)
    shown = axes.imshow(small, origin="lower", cmap="magma", interpolation="nearest")
    axes.set(xticks=[], yticks=[], xlabel=f"{part.shape[2]} x {part.shape[1]} detector pixels")
    figure.colorbar(shown, ax=axes, location="bottom", shrink=0.9, aspect=25, label="log10(1 + mean counts per frame)")
    return figure
