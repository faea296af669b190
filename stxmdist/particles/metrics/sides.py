"""On which side of a particle the charge is, and how steeply it changes."""

from collections.abc import Mapping

import numpy as np

from stxmdist.arrays import F64, Mask, compiled
from stxmdist.particles.metrics.two_ways import mean_and_sd, of_both
from stxmdist.particles.metrics.views import ParticleViews, at_pixels

LEAST_SOC = 0.05
"""Below this mean state of charge there is nothing that could lie on one side."""
LEAST_PIXELS = 12


def sides(views: ParticleViews) -> Mapping[str, F64]:
    """First Fourier mode over the angle around the centre, ``soc_one_sidedness`` = abs(c1) / c0, and the mean gradient.

    ``c1 = sum m (x - mean x) exp(i theta) / sum m`` with m the mass, c0 the mean: 0 where charge is symmetric. What
    noise adds to abs(c1)^2 is taken off. The gradient's vector is the slope of x over position weighted by mass, 1/um,
    rows downward (y) and columns rightward (x).

    Source: one-sidedness own; vector after Xu et al., Nat. Commun. 11, 83 (2020), Fig. 3.
    """
    n_views = views.soc.shape[0]
    names = ("soc_one_sidedness", "soc_gradient_y_per_um", "soc_gradient_x_per_um")
    sharp = views.sharp
    mass = np.zeros(0) if sharp is None else np.where(sharp.seen, np.maximum(sharp.mass_nm, 0.0), 0.0)
    if sharp is None or (mass > 0.0).sum() < LEAST_PIXELS:
        return {name: np.full(n_views, np.nan) for name in names}
    share = mass[mass > 0.0] / mass.sum()
    y, x = (axis.astype(np.float64) for axis in np.nonzero(mass > 0.0))
    y, x = y - share @ y, x - share @ x
    angle = np.arctan2(y, x)
    patterns = np.stack([np.ones(y.size), np.cos(angle), np.sin(angle), y, x])
    mean, *found = (patterns * share) @ at_pixels(sharp.sharp_soc, mass > 0.0).T
    cosine, sine, along_y, along_x = (
        one - mean * whole for one, whole in zip(found, patterns[1:] @ share, strict=True)
    )
    mode = cosine**2 + sine**2
    by_noise = float(mode[1:].mean()) if n_views > 2 else 0.0
    level = sharp.level + mean
    one_sided = np.sqrt(np.maximum(mode - by_noise, 0.0)) / np.where(level > LEAST_SOC, level, np.nan)
    moments = (patterns[3:] * share) @ patterns[3:].T
    if np.linalg.det(moments) <= 1e-6:
        return {names[0]: one_sided, **{name: np.full(n_views, np.nan) for name in names[1:]}}
    slope = np.linalg.solve(moments, np.stack([along_y, along_x])) / (1e-3 * views.pixel_nm)
    return dict(zip(names, (one_sided, slope[0], slope[1]), strict=True))


def gradient(views: ParticleViews) -> Mapping[str, F64]:
    """Root mean square of the gradient of the state of charge, 1/um, noise taken off, and where it points.

    Central differences between pixels away from edges. ``boundary_normal_deg`` is the axis along
    which charge changes most, from +x (columns) towards +y (rows), 0 to 180; ``boundary_coherence`` how far all
    gradients share it, 0 to 1; ``boundary_to_long_axis_deg`` its angle to the particle's long axis, 0 to 90. All three
    come from the structure tensor without the twins' share, and are not known where it is no more than noise.

    Source: Xu et al., Nat. Commun. 11, 83 (2020); structure tensor Bigun and Granlund, ICCV (1987).
    """
    n_views = views.soc.shape[0]
    sharp = views.sharp
    names = ("soc_gradient_per_um", "boundary_normal_deg", "boundary_coherence", "boundary_to_long_axis_deg")
    unknown = {name: np.full(n_views, np.nan) for name in names}
    inside = views.interior if sharp is None else views.interior & sharp.seen
    if sharp is None or n_views < 3 or min(inside.shape) < 3:
        return unknown
    centre = inside[1:-1, 1:-1] & inside[2:, 1:-1] & inside[:-2, 1:-1] & inside[1:-1, 2:] & inside[1:-1, :-2]
    if centre.sum() < LEAST_PIXELS:
        return unknown
    blurred = _tensor(sharp.seen_soc, centre)
    # Of a wave as long as the particle, a Gaussian blur leaves exp(-(2 pi sigma / length)^2) of the square.
    length_px = 2.0 * float(np.sqrt(views.inside.sum() / np.pi))
    gain = float(np.exp((2.0 * np.pi * views.sigma_px / length_px) ** 2))
    squares, _ = of_both(_tensor(sharp.sharp_soc, centre)[:2].sum(axis=0), gain * blurred[:2].sum(axis=0))
    strength = np.sqrt(np.maximum(squares - mean_and_sd(squares[1:])[0], 0.0)) / (1e-3 * views.pixel_nm)
    trace = blurred[:2].sum(axis=0)
    of_twins, scatter = mean_and_sd(trace[1:])
    known = trace - of_twins > 2.0 * scatter
    yy, xx, xy = blurred - blurred[:, 1:].mean(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        coherence = np.minimum(np.hypot(xx - yy, 2.0 * xy) / (xx + yy), 1.0)
    normal = 0.5 * np.arctan2(2.0 * xy, xx - yy)
    axis, elongated = _long_axis(views.inside)
    apart = np.abs((normal - axis + np.pi / 2.0) % np.pi - np.pi / 2.0)
    return {
        names[0]: strength,
        names[1]: np.where(known, np.degrees(normal) % 180.0, np.nan),
        names[2]: np.where(known, coherence, np.nan),
        names[3]: np.where(known & elongated, np.degrees(apart), np.nan),
    }


@compiled
def _tensor(soc: F64, centre: Mask) -> F64:
    """(3, VIEW) means of dy^2, dx^2 and dx dy of maps (VIEW, Y, X) by central differences at pixels (Y - 2, X - 2)."""
    views, rows, columns = soc.shape
    pixels = centre.sum()
    out = np.zeros((3, views))
    for k in range(views):
        for y in range(1, rows - 1):
            for x in range(1, columns - 1):
                if centre[y - 1, x - 1]:
                    dy = 0.5 * (soc[k, y + 1, x] - soc[k, y - 1, x])
                    dx = 0.5 * (soc[k, y, x + 1] - soc[k, y, x - 1])
                    out[0, k] += dy * dy / pixels
                    out[1, k] += dx * dx / pixels
                    out[2, k] += dx * dy / pixels
    return out


@compiled
def _long_axis(inside: Mask) -> tuple[float, bool]:
    """Angle of the long axis from +x towards +y, and whether the outline has one."""
    pixels = inside.sum()
    if pixels < 3:
        return 0.0, False
    rows, columns = inside.shape
    middle_y, middle_x, yy, xx, xy = 0.0, 0.0, 0.0, 0.0, 0.0
    for y in range(rows):
        for x in range(columns):
            if inside[y, x]:
                middle_y += y / pixels
                middle_x += x / pixels
    for y in range(rows):
        for x in range(columns):
            if inside[y, x]:
                yy += (y - middle_y) ** 2
                xx += (x - middle_x) ** 2
                xy += (x - middle_x) * (y - middle_y)
    return 0.5 * np.arctan2(2.0 * xy, xx - yy), np.hypot(xx - yy, 2.0 * xy) > 0.05 * (xx + yy)
