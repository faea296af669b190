"""How far windows lie from where their frames were taken, by correlation: it also finds errors wider than details.

Source: Zhang et al., Opt. Express 21, 13592 (2013), here with the correlation between the object and what one frame
asks of it, both under the same light.
"""

import numpy as np

from stxmdist.arrays import C64, F32, F64, Index, Mask

SIGNIFICANCE = 10.0
"""How many times more than chance a shift must explain before it counts: chance reaches it once in a hundred cases
(chi square 9.2 of two unknowns).
"""


def shifts_by_correlation(
    windows: C64, asked: C64, light: F32, reach_px: float, significance: float = SIGNIFICANCE
) -> F64:
    """Shifts (POSITION, 2) in pixels by which windows should move, shrunk by the share that chance could explain.

    Parameters
    ----------
    windows
        (POSITION, QY, QX) of the object
    asked
        (POSITION, QY, QX) sum over modes of conj(P) psi, psi the exit waves with the measured modulus
    light
        (POSITION, QY, QX) sum over modes of |P|^2
    reach_px
        farthest shift that is looked for, along each axis

    The mean is subtracted from both, because an even part would correlate best without a shift. The outline of the
    light still makes shifts too small, by a share that further corrections make up for.
    """
    total = light.sum(axis=(1, 2), dtype=np.float64)[:, None, None]
    mean = (light * windows).sum(axis=(1, 2), dtype=np.complex128)[:, None, None] / total
    wanted = asked - light * (asked.sum(axis=(1, 2), dtype=np.complex128)[:, None, None] / total)
    here = light * (windows - mean)
    spectrum = np.fft.fft2(wanted) * np.conj(np.fft.fft2(here))
    size = np.sqrt((np.abs(wanted) ** 2).sum(axis=(1, 2)) * (np.abs(here) ** 2).sum(axis=(1, 2)))
    likeness = np.abs(np.fft.ifft2(spectrum)) / np.maximum(size, 1e-30)[:, None, None]
    count, rows, columns = likeness.shape
    allowed = _near(rows, reach_px)[:, None] & _near(columns, reach_px)[None, :]
    best = np.argmax(np.where(allowed, likeness, -1.0).reshape(count, -1), axis=1)
    places = np.stack(np.unravel_index(best, (rows, columns)), axis=1)
    peak = likeness[np.arange(count), places[:, 0], places[:, 1]]
    found = np.stack([_vertex(likeness, places, axis) for axis in (0, 1)], axis=1)
    sides = np.array([rows, columns])
    found += places - sides * (places > sides // 2)
    # The number of independent values: of pixels with light.
    n = total[:, 0, 0] ** 2 / np.maximum((light.astype(np.float64) ** 2).sum(axis=(1, 2)), 1e-30)
    first = likeness[:, 0, 0]
    gain = np.maximum(peak**2 - first**2, 0.0) + _curve(likeness, places) * (found**2).sum(axis=1) * (best == 0)
    share = np.maximum(0.0, 1.0 - significance * (1.0 - peak**2) / np.maximum(n * gain, 1e-30))
    # What a frame asks for is displaced within its window, so that the window moves the other way.
    return np.asarray(-found * share[:, None])


def _near(side: int, reach_px: float) -> Mask:
    away = np.minimum(np.arange(side), side - np.arange(side))
    return np.asarray(away <= min(reach_px, side // 2 - 1))


def _around(likeness: F64, places: Index, axis: int) -> tuple[F64, F64, F64]:
    which = np.arange(len(likeness))
    step = np.eye(2, dtype=np.intp)[axis]
    shape = likeness.shape[1:]
    below, at, above = (
        likeness[which, (places[:, 0] + k * step[0]) % shape[0], (places[:, 1] + k * step[1]) % shape[1]]
        for k in (-1, 0, 1)
    )
    return below, at, above


def _vertex(likeness: F64, places: Index, axis: int) -> F64:
    """Vertex of the parabola through the peak and its two neighbours, from -0.5 to 0.5 of a pixel."""
    below, at, above = _around(likeness, places, axis)
    bend = below - 2.0 * at + above
    return np.clip(0.5 * (below - above) / np.where(bend < 0.0, bend, -np.inf), -0.5, 0.5)


def _curve(likeness: F64, places: Index) -> F64:
    """How fast the square of the correlation falls beside the peak: half its curvature, the mean of both axes."""
    bends = [2.0 * at - below - above for below, at, above in (_around(likeness, places, axis) for axis in (0, 1))]
    return np.asarray(0.5 * (bends[0] + bends[1]) * likeness[np.arange(len(likeness)), places[:, 0], places[:, 1]])
