"""Where a small image lies in a larger one when both have holes: normalised cross-correlation of the overlap only."""

from dataclasses import dataclass

import numpy as np
from scipy import fft

from stxmdist.arrays import C128, F64, Mask, Real


@dataclass(frozen=True)
class Placement:
    """Where the moving image's first pixel lies on the fixed grid, and how well both agree there."""

    row: int
    column: int
    score: float
    """Normalised cross-correlation"""


def masked_correlation(fixed: Real, fixed_known: Mask, moving: Real, moving_known: Mask, least_overlap: float) -> F64:
    """Pearson correlation of two masked images at every whole-pixel placement, over the pixels known in both.

    Parameters
    ----------
    fixed, fixed_known
        (Y, X) floating and bool
    moving, moving_known
        (V, U) floating and bool
    least_overlap
        fraction of moving's known pixels that must fall on known pixels; NaN elsewhere

    Returns
    -------
    correlation
        (Y + V - 1, X + U - 1); element [r + V - 1, c + U - 1] is for moving's pixel [0, 0] on fixed's [r, c]

    Source: Padfield, IEEE Trans. Image Process. 21, 2706 (2012), equations 10 and 11.
    """
    shape = tuple(a + b - 1 for a, b in zip(fixed.shape, moving.shape, strict=True))
    padded = [fft.next_fast_len(n, real=True) for n in shape]

    def spectrum(image: Real) -> C128:
        return np.asarray(fft.rfft2(image, padded))

    def back(product: C128) -> F64:
        return np.asarray(fft.irfft2(product, padded)[: shape[0], : shape[1]])

    # Subtracting the means first changes nothing in the result and keeps the small differences below accurate.
    f = np.where(fixed_known, fixed - fixed[fixed_known].mean(), 0.0)
    m = np.where(moving_known, moving - moving[moving_known].mean(), 0.0)[::-1, ::-1]
    f_mask, m_mask = spectrum(fixed_known.astype(float)), spectrum(moving_known[::-1, ::-1].astype(float))
    f_one, m_one, f_two, m_two = spectrum(f), spectrum(m), spectrum(f * f), spectrum(m * m)
    count = np.round(back(f_mask * m_mask))
    enough = count >= max(2.0, least_overlap * float(moving_known.sum()))
    n = np.where(enough, count, 1.0)
    f_sum, m_sum = back(f_one * m_mask), back(f_mask * m_one)
    numerator = back(f_one * m_one) - f_sum * m_sum / n
    f_var = back(f_two * m_mask) - f_sum**2 / n
    m_var = back(f_mask * m_two) - m_sum**2 / n
    # Where one of them is flat in the overlap the correlation is rounding over rounding.
    floor_f, floor_m = 1e-6 * float((f * f).max()), 1e-6 * float((m * m).max())
    good = enough & (f_var > floor_f) & (m_var > floor_m)
    return np.where(good, numerator / np.sqrt(np.where(good, f_var * m_var, 1.0)), np.nan)


def best_placements(
    correlation: F64,
    moving_shape: tuple[int, int],
    apart_px: float,
    most: int,
    near: tuple[float, float] = (0.0, 0.0),
    radius_px: float = np.inf,
) -> list[Placement]:
    """The placements with the largest correlation, best first, each more than ``apart_px`` from all better ones.

    ``near`` is the expected place of moving's first pixel; what is further away than ``radius_px`` does not count.
    """
    rows = np.arange(correlation.shape[0])[:, None] - (moving_shape[0] - 1)
    columns = np.arange(correlation.shape[1])[None, :] - (moving_shape[1] - 1)
    within = np.hypot(rows - near[0], columns - near[1]) <= radius_px
    left = np.where(within & np.isfinite(correlation), correlation, -np.inf)
    out: list[Placement] = []
    for _ in range(most):
        row, column = divmod(int(np.argmax(left)), left.shape[1])
        if not np.isfinite(left[row, column]):
            break
        found = Placement(row - (moving_shape[0] - 1), column - (moving_shape[1] - 1), float(left[row, column]))
        out.append(found)
        left = np.where(np.hypot(rows - found.row, columns - found.column) > apart_px, left, -np.inf)
    return out
