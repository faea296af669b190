"""How wide the boundary between the two phases of a particle is."""

from collections.abc import Callable, Mapping

import numpy as np
from scipy import special

from stxmdist.arrays import F64
from stxmdist.particles.metrics.views import ParticleViews
from stxmdist.particles.sharp_plate import SharpPlate

LEAST_SHARE = 0.1
"""Of the mass that each phase has"""
LEAST_CONTRAST = 0.3
LEAST_PIXELS = 24
RELATIVE_ERROR = 0.7
"""Of a width above which nothing is said of it"""


def boundary_width(views: ParticleViews) -> Mapping[str, F64]:
    """Sigma w in nm of the boundary ``x = x_1 + (x_2 - x_1) Phi((n r - c) / w)`` of a particle of two parts.

    The straight boundary is fitted to the maps through the point spread function, so that w^2 has no share of it: what
    is found is w_obs^2 - w_PSF^2. Not known where one part is missing, or the width's error is too large. A curved
    boundary looks wide.

    Source: own; the width is fitted forward through the blur.
    """
    n_views = views.soc.shape[0]
    unknown = {name: np.full(n_views, np.nan) for name in ("boundary_width_nm", "boundary_width_nm_se")}
    sharp = views.sharp
    if sharp is None or views.pixel_nm <= 0 or int(sharp.lit.sum()) < LEAST_PIXELS:
        return unknown
    found = _fit(sharp)
    if found is None:
        return unknown
    width, error = found[0] * views.pixel_nm, found[1] * views.pixel_nm
    # Below half the blur a width cannot be told from none: then it is given, but its error says so.
    if not error < RELATIVE_ERROR * max(width, 0.5 * views.psf_sigma_nm):
        return unknown
    fill = np.full(n_views, np.nan)
    fill[0] = 1.0
    return {"boundary_width_nm": fill * width, "boundary_width_nm_se": fill * error}


def _fit(sharp: SharpPlate) -> tuple[float, float] | None:
    """Width and its standard error in px of the first view; None where there are no two parts."""
    mass = np.where(sharp.seen, np.maximum(sharp.mass_nm, 0.0), 0.0)
    soc = sharp.level + sharp.sharp_soc[0]
    share = mass / mass.sum()
    high, low = share * (soc > 0.7), share * (soc < 0.3)
    if min(high.sum(), low.sum()) < LEAST_SHARE:
        return None
    y, x = (axis.astype(np.float64) for axis in np.indices(mass.shape))
    ends = [np.array([(part * axis).sum() / part.sum() for axis in (y, x)]) for part in (low, high)]
    middle, away = 0.5 * (ends[0] + ends[1]), ends[1] - ends[0]
    y, x = y - middle[0], x - middle[1]
    lit = sharp.lit
    weight = 1.0 / np.sqrt(sharp.variance_nm2[lit])
    target = sharp.excess_nm[0][lit] * weight

    def models(at: F64) -> F64:
        """Weighted images (SET, PIXEL) of sets of parameters (SET, 5): angle, offset, log width, both ends."""
        angle, offset, width, one, other = (column[:, None, None] for column in at.T)
        across = np.cos(angle) * x + np.sin(angle) * y - offset
        part = special.ndtr(across / np.exp(width))
        return sharp.blurred_at(mass * (one + (other - one) * part), lit) * weight

    start = np.array([np.arctan2(away[0], away[1]), 0.0, 0.0, 0.05 - sharp.level, 0.95 - sharp.level])
    at, squares, jacobian = _marquardt(models, target, start)
    information = jacobian @ jacobian.T
    if abs(at[4] - at[3]) < LEAST_CONTRAST or not np.linalg.cond(information) < 1e12:
        return None
    scale = max(squares / max(target.size - 5, 1), 1.0)
    width = float(np.exp(at[2]))
    return width, width * float(np.sqrt(scale * np.linalg.inv(information)[2, 2]))


STEPS = np.array([1e-3, 1e-2, 1e-2, 1e-3, 1e-3])
"""By which each parameter is changed for the slopes"""
ROUNDS = 15
WIDTHS = (-2.3, 3.0)
"""Logarithms of a tenth of a pixel and of twenty: no other widths are tried"""


def _marquardt(models: Callable[[F64], F64], target: F64, start: F64) -> tuple[F64, float, F64]:
    """Least squares after Marquardt, J. SIAM 11, 431 (1963): parameters, sum of squares, slopes (TERM, PIXEL)."""
    at, damping = start, 1e-2
    values = models(np.concatenate([at[None], at + np.diag(STEPS)]))
    left, jacobian = target - values[0], (values[1:] - values[0]) / STEPS[:, None]
    squares = float(left @ left)
    for _ in range(ROUNDS):
        information = jacobian @ jacobian.T
        step = np.linalg.solve(information + np.diag(damping * np.diag(information) + 1e-9), jacobian @ left)
        tried = at + np.clip(step, -1.0, 1.0)
        tried[2] = np.clip(tried[2], *WIDTHS)
        values = models(np.concatenate([tried[None], tried + np.diag(STEPS)]))
        remaining = target - values[0]
        found = float(remaining @ remaining)
        if found >= squares:
            damping *= 8.0
            if damping > 1e6:
                break
            continue
        small = squares - found < 1e-4 * squares
        at, squares, left, damping = tried, found, remaining, max(damping / 8.0, 1e-6)
        jacobian = (values[1:] - values[0]) / STEPS[:, None]
        if small:
            break
    return at, squares, jacobian
