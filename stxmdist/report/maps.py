"""Maps: pictures of the sample with a scale bar, where what is not known is grey and hatched, never zero."""

from dataclasses import dataclass

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from storage.output import Output
from stxmdist.arrays import U8, Array, Mask, MaskClass, Real
from stxmdist.pixel_pitch import pitch_yx_um
from stxmdist.report.canvas import MASKED, PALE

SOC_MAP = "viridis"
"""One map and one scale for states of charge in the whole report."""

UNTRUSTED = (
    MaskClass.thick,
    MaskClass.low_count,
    MaskClass.missing,
    MaskClass.saturated,
    MaskClass.outside,
    MaskClass.poor_fit,
    MaskClass.overlap,
)


@dataclass(frozen=True)
class Map:
    """One image (Y, X), small enough for a page."""

    values: Real
    """NaN where nothing is known"""
    y_um: Real
    x_um: Real
    masked: Mask | None = None
    """Where a number may exist that is not to be trusted"""

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Outer edges of the first and last pixels, um: left, right, bottom, top as the arrays run."""
        # An image of one pixel has no pitch: it is drawn 1 um wide.
        half_y, half_x = 0.5 * np.nan_to_num(pitch_yx_um(self.y_um, self.x_um), nan=1.0)
        bottom, top = _edges(self.y_um, half_y)
        left, right = _edges(self.x_um, half_x)
        return left, right, bottom, top

    @property
    def width_um(self) -> float:
        """Width of the field."""
        left, right, _, _ = self.extent
        return abs(right - left)

    @property
    def height_um(self) -> float:
        """Height of the field."""
        _, _, bottom, top = self.extent
        return abs(top - bottom)


def _edges(axis: Real, half: float) -> tuple[float, float]:
    outward = half if axis[-1] >= axis[0] else -half
    return float(axis[0] - outward), float(axis[-1] + outward)


def block_px(shape: tuple[int, ...], longest: int) -> tuple[int, int]:
    """Rows and columns of the blocks that bring an image (Y, X) to at most ``longest`` pixels along each axis."""
    step = max(1, -(-max(shape) // longest))
    return min(step, shape[0]), min(step, shape[1])


def coarsened(values: Array, longest: int) -> Array:
    """Means (NaN left out) of square blocks of pixels of an image (Y, X); what is left over at the ends is cut off."""
    step_y, step_x = block_px(values.shape, longest)
    if step_y == step_x == 1:
        return values
    ny, nx = values.shape[0] // step_y, values.shape[1] // step_x
    blocks = values[: ny * step_y, : nx * step_x].reshape(ny, step_y, nx, step_x)
    known = np.isfinite(blocks)
    total = np.where(known, blocks, 0).sum(axis=(1, 3))
    n = known.sum(axis=(1, 3))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(n > 0, total / n, np.nan), dtype=np.float32)


def coarse_axis(axis: Real, step: int) -> Real:
    """Centres of blocks of ``step`` pixels of an axis."""
    n = len(axis) // step
    return np.asarray(axis[: n * step].reshape(n, step).mean(axis=1))


def map_of(values: Array, output: Output, longest: int, classes: U8 | None = None) -> Map:
    """A map of an array (Y, X) on the axes of its output, made coarse enough for a page.

    With ``classes``, pixels of no particle are left empty and those that are not to be trusted are masked.
    """
    y_um, x_um = output.read("y_um"), output.read("x_um")
    masked = None
    if classes is not None:
        untrusted = np.isin(classes, UNTRUSTED)
        shown = np.where(untrusted | (classes == MaskClass.background), np.nan, values)
        share = coarsened(untrusted.astype(np.float32), longest)
        masked = share > 0.5
        values = shown
    small = coarsened(np.asarray(values, dtype=np.float32), longest)
    step_y, step_x = block_px(values.shape, longest)
    return Map(small, coarse_axis(y_um, step_y), coarse_axis(x_um, step_x), masked)


def draw_map(axes: Axes, image: Map, *, cmap: str | Colormap, low: float, high: float, bar_um: float) -> AxesImage:
    """Draw a map with its scale bar; returns the image, which a colour bar asks for."""
    axes.set_facecolor(PALE)
    shown = axes.imshow(
        image.values, origin="lower", extent=image.extent, cmap=cmap, vmin=low, vmax=high, interpolation="nearest"
    )
    if image.masked is not None and image.masked.any() and min(image.masked.shape) > 1:
        axes.contourf(
            image.x_um,
            image.y_um,
            image.masked.astype(float),
            levels=[0.5, 1.5],
            colors=[MASKED],
            hatches=["////"],
            corner_mask=False,
        )
    left, right, bottom, top = image.extent
    axes.set_xlim(min(left, right), max(left, right))
    axes.set_ylim(min(bottom, top), max(bottom, top))
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
    scale_bar(axes, bar_um)
    return shown


def scale_bar(axes: Axes, length_um: float) -> None:
    """A bar of ``length_um`` in the lower left corner, readable on any ground."""
    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    x, y = x0 + 0.05 * (x1 - x0), y0 + 0.05 * (y1 - y0)
    outline = [patheffects.withStroke(linewidth=2.5, foreground="white")]
    axes.add_patch(
        Rectangle((x, y), length_um, 0.018 * (y1 - y0), facecolor="black", edgecolor="white", linewidth=0.7, zorder=5)
    )
    text = f"{length_um:g} µm" if length_um >= 0.1 else f"{length_um * 1e3:g} nm"
    axes.text(x, y + 0.035 * (y1 - y0), text, fontsize=7.5, color="black", path_effects=outline, va="bottom", zorder=6)


def nice_length(width_um: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is at most a third of a field."""
    wanted = max(width_um, 1e-9) / 3.0
    power = 10.0 ** np.floor(np.log10(wanted))
    return float(max(factor * power for factor in (1.0, 2.0, 5.0) if factor * power <= wanted * (1 + 1e-9)))


def limits_of(images: list[Map], low: float = 1.0, high: float = 99.0) -> tuple[float, float]:
    """Percentiles over all images together, so that they share one scale; 0 and 1 where nothing is known."""
    finite = [image.values[np.isfinite(image.values)] for image in images]
    together = np.concatenate(finite) if finite else np.zeros(0)
    if not together.size:
        return 0.0, 1.0
    bottom, top = (float(v) for v in np.percentile(together, (low, high)))
    return (bottom, top) if top > bottom else (bottom - 0.5, bottom + 0.5)
