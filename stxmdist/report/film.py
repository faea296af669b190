"""Films: a stack over energy as it was measured and as it was aligned, side by side."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from storage.output import Output
from stxmdist.arrays import U8, Mask, Real
from stxmdist.campaign.scan import Scan
from stxmdist.measures import AlignMeasures
from stxmdist.report.canvas import Absent, Picture
from stxmdist.report.evidence import Evidence, label_of

MOST_FILMS = 3
MOST_BYTES = 300_000
"""Of one film, so that the page stays small"""
SIZES = ((80, 40), (60, 40), (60, 24), (60, 12))
"""Side of the part shown (pixels of the measurement) and energies, at most: the first of which the film is small"""
PANEL_PX = 160
"""Longest side of an image on the page"""
FRAME_MS = 350
GREYS = 32
"""Levels of an image: finer ones would show noise, which does not compress"""
UNKNOWN, HATCH = 180, 120
"""Greys of pixels of which nothing is known, hatched"""
HATCH_PX = 6
FONT_PX, LINE_PX, GAP_PX = 11, 15, 6
LEAST_WIDTH_PX = 140
"""The words above an image need so much"""


@dataclass(frozen=True, eq=False)
class Film:
    """Part of a stack (FRAME, Y, X) of optical density before and after alignment, the top row first."""

    energy_ev: Real
    """(FRAME,)"""
    shift_px: Real
    """(FRAME, 2) by how much each frame was moved along rows and columns of the measurement"""
    registered: Mask
    """(FRAME,) False where the shift is interpolated between that of other frames"""
    before: Real
    """NaN where nothing is known"""
    after: Real


def films(evidence: Evidence) -> list[Picture] | Absent:
    """A film of each of the scans that moved furthest, before and after alignment."""
    measured = [
        (figures, scan)
        for scan in evidence.having("absorbance", "align")
        if (figures := evidence.figures(AlignMeasures, "align", scan.scan_id)) is not None
    ]
    moved = [(figures, scan) for figures, scan in measured if figures.largest_shift_px > 0.0]
    moved.sort(key=lambda pair: -pair[0].largest_shift_px)
    if not moved:
        return Absent("films", "Before and after alignment", "No scan's frames were moved.")
    return [_picture(evidence, scan, figures) for figures, scan in moved[:MOST_FILMS]]


def _picture(evidence: Evidence, scan: Scan, figures: AlignMeasures) -> Picture:
    scan_id = scan.scan_id
    absorbance, align = evidence.output("absorbance", scan_id), evidence.output("align", scan_id)
    assert absorbance is not None
    assert align is not None
    failed_ev = figures.energies_not_registered_ev
    used = int((align.read("energy_used") > 0).sum())
    film, content = _small_enough(absorbance, align, failed_ev)
    shown = f"{len(film.energy_ev)} of {used} energies" if len(film.energy_ev) < used else f"All {used} energies"
    rows, columns = film.before.shape[1:]
    failed = (
        "These frames were not registered, and were moved as their neighbours in energy were: "
        f"{', '.join(f'{ev:.2f}' for ev in failed_ev)} eV."
        if failed_ev.size
        else "Every frame was registered."
    )
    return Picture(
        f"film-{scan_id}".replace(" ", "-"),
        f"Before and after alignment: {scan_id} ({label_of(scan)})",
        "Optical density as measured (left) and aligned (right); both have the same grey scale at each energy, and "
        f"dark is dense. {shown} are shown, of {rows} x {columns} pixels where the image has most contrast. The shifts "
        "are those by which a frame was moved towards higher rows (y) and columns (x); the largest along an axis is "
        f"{figures.largest_shift_px:.2f} px. {failed} Hatched pixels are not known.",
        f"A film over photon energy of scan {scan_id}, as measured and as aligned.",
        content,
    )


def _small_enough(absorbance: Output, align: Output, failed_ev: Real) -> tuple[Film, bytes]:
    for longest, most in SIZES:
        film = film_of(absorbance, align, failed_ev, longest, most)
        content = as_apng(film)
        if len(content) <= MOST_BYTES:
            break
    return film, content


def film_of(absorbance: Output, align: Output, failed_ev: Real, longest: int, most: int) -> Film:
    """What a film shows: at most so many energies, evenly taken, and ``longest`` pixels of the field along each axis.

    Pixels stay as they are, because shifts are of their size. ``failed_ev``: energies whose frames did not register.
    """
    used = np.flatnonzero(align.read("energy_used"))
    chosen = used[np.unique(np.linspace(0, len(used) - 1, min(most, len(used))).round().astype(int))]
    energy_ev = align.read("energy_ev")[chosen]
    mean_od = align.read("mean_od")[chosen]
    densest = int(chosen[np.argmax(np.nan_to_num(mean_od))])
    part = liveliest(absorbance.read("optical_density", (densest, slice(None), slice(None))), longest)
    transmission = align.read("transmission", (slice(None), *part))[chosen]
    with np.errstate(divide="ignore", invalid="ignore"):
        after = np.where(transmission > 0.0, -np.log(transmission), np.nan)
    before = np.stack([absorbance.read("optical_density", (int(k), *part)) for k in chosen])
    # Drawn from the top down, as maps are.
    up, right = (axis[-1] >= axis[0] for axis in (align.read("y_um"), align.read("x_um")))
    seen = np.s_[:, :: -1 if up else 1, :: 1 if right else -1]
    shift_px = align.read("shift_px")[chosen]
    return Film(energy_ev, shift_px, ~np.isin(energy_ev, failed_ev), before[seen], after[seen])


def liveliest(image: Real, longest: int) -> tuple[slice, slice]:
    """Rows and columns of the part of an image (Y, X), at most so long, whose pixels differ most among themselves."""
    starts = [np.unique(np.r_[np.arange(0, n - longest, longest // 2), max(0, n - longest)]) for n in image.shape]
    parts = [(slice(y, y + longest), slice(x, x + longest)) for y in map(int, starts[0]) for x in map(int, starts[1])]
    spread = [np.std(np.nan_to_num(image[part], posinf=0.0)) for part in parts]
    return parts[int(np.argmax(spread))]


def as_apng(film: Film) -> bytes:
    """The film as animated PNG, for ever, without anything that changes from run to run."""
    first, *others = [_frame(film, k) for k in range(len(film.energy_ev))]
    out = BytesIO()
    first.save(out, "PNG", save_all=True, append_images=others, duration=FRAME_MS, loop=0)
    return out.getvalue()


def _frame(film: Film, k: int) -> Image.Image:
    """Both images at one energy, with words above."""
    pair = film.before[k], film.after[k]
    known = np.concatenate([image[np.isfinite(image)] for image in pair])
    low, high = np.percentile(known, (1.0, 99.0)) if known.size else (0.0, 1.0)
    zoom = max(1, PANEL_PX // max(pair[0].shape))
    panels = [Image.fromarray(_greys(image, float(low), float(high), zoom)) for image in pair]
    width = max(panels[0].width, LEAST_WIDTH_PX)
    frame = Image.new("L", (2 * width + GAP_PX, 2 * LINE_PX + panels[0].height), 255)
    draw = ImageDraw.Draw(frame)
    font = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", FONT_PX)
    y_px, x_px = film.shift_px[k]
    moved = f"y {y_px:+.2f}, x {x_px:+.2f} px" if film.registered[k] else "not registered"
    for panel, left, words in zip(
        panels, (0, width + GAP_PX), (("measured", f"{film.energy_ev[k]:.2f} eV"), ("aligned", moved)), strict=True
    ):
        for line, text in enumerate(words):
            draw.text((left + 1, line * LINE_PX), text, fill=0, font=font)
        frame.paste(panel, (left, 2 * LINE_PX))
    return frame


def _greys(image: Real, low: float, high: float, zoom: int) -> U8:
    """Grey values of an image, dense is dark, each pixel drawn ``zoom`` times along each axis."""
    share = np.clip((high - image) / max(high - low, 1e-9), 0.0, 1.0)
    levels = np.where(np.isfinite(share), np.round(share * (GREYS - 1)) * (255.0 / (GREYS - 1)), -1.0)
    drawn = levels.repeat(zoom, axis=0).repeat(zoom, axis=1)
    y, x = np.indices(drawn.shape)
    unknown = np.where((y + x) % HATCH_PX, UNKNOWN, HATCH)
    return np.where(drawn < 0.0, unknown, drawn).astype(np.uint8)
