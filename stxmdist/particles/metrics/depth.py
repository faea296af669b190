"""How the state of charge goes with the depth below a particle's rim: core, shell, and how far a reaction reached."""

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F64
from stxmdist.particles.metrics.views import ParticleViews
from stxmdist.particles.sharp_plate import SharpPlate

KNOTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the largest depth between which the state of charge is a straight line."""
PROFILE = tuple(f"soc_at_depth_{100 * knot:03.0f}" for knot in KNOTS)
"""Columns of the state of charge there, less the particle's mean"""
LEAST_DEPTH_PX = 3.0
"""A particle whose middle is less deep has neither core nor shell."""
LENGTHS = 24
"""Decay lengths that are tried."""
LEAST_Z = 3.0
"""Standard errors by which rim and core must differ for a decay length to be said."""


def depth_px(views: ParticleViews) -> F64:
    """(Y, X) distance of pixel centres from the outline, px; 0 outside. Pixels off the outline lie at its rim."""
    inside = np.pad(views.inside, 1)
    return np.maximum(np.asarray(ndimage.distance_transform_edt(inside))[1:-1, 1:-1] - 0.5, 0.0)


def core_shell(views: ParticleViews) -> Mapping[str, F64]:
    """Radial profile ``PROFILE`` and ``core_shell_index``, both of the same broken line over the depth.

    The state of charge is a broken line over the depth, fitted to the maps through the point spread function and
    carried on to the rim, so that wide-field and ptychography estimate the same although the first cannot trust rims.
    The profile is its values at ``KNOTS`` less its mean by mass; the index is the outer quarter of depths less the
    inner quarter, by mass: positive for a charged shell.

    Source: own.
    """
    names = ("core_shell_index", *PROFILE)
    unknown = {name: np.full(views.soc.shape[0], np.nan) for name in names}
    depth = depth_px(views)
    if views.sharp is None or depth.max() < LEAST_DEPTH_PX:
        return unknown
    relative = depth / depth.max()
    basis = np.stack([np.interp(relative, KNOTS, row) for row in np.eye(len(KNOTS))])
    found, squares = views.sharp.fitted(basis)
    mass = np.where(views.sharp.seen & views.inside, np.maximum(views.sharp.mass_nm, 0.0), 0.0)
    shell, core = mass * (relative < 0.25), mass * (relative > 0.75)
    if not shell.sum() > 0.0 or not core.sum() > 0.0:
        return unknown
    contrast = (basis * (shell / shell.sum() - core / core.sum())).sum(axis=(1, 2))
    mean = (basis * (mass / mass.sum())).sum(axis=(1, 2))
    values = found @ np.column_stack([contrast, np.eye(len(KNOTS)) - mean[:, None]])
    result = dict(zip(names, np.ascontiguousarray(values.T), strict=True))
    if len(values) < 3:
        return result
    # A pattern that no broken line over the depth explains adds to the error, as noise would.
    misfit = np.sqrt(max(squares[0] / squares[1:].mean(), 1.0)) if squares[1:].mean() > 0.0 else 1.0
    errors = misfit * values[1:].std(axis=0, ddof=1)
    return result | {f"{name}_se": np.full(len(values), se) for name, se in zip(names, errors.tolist(), strict=True)}


def reaction_depth(views: ParticleViews) -> Mapping[str, F64]:
    """Length L over which the state of charge decays from the rim to the core, ``x_c + (x_s - x_c) exp(-d / L)``, nm.

    Fitted through the point spread function; the error is where the sum of squares has risen by one noise variance.
    Not known where rim and core differ by less than three standard errors, or L is beyond what the particle can show.
    With diffusion, D is about L^2 over the time of reaction.

    Source: own; D ~ L^2/t is the diffusivity that such a depth would mean.
    """
    n_views = views.soc.shape[0]
    result = {name: np.full(n_views, np.nan) for name in ("reaction_depth_nm", "reaction_depth_nm_se")}
    depth = depth_px(views)
    if views.sharp is None or depth.max() < LEAST_DEPTH_PX:
        return result
    lengths = np.geomspace(0.5, 2.0 * depth.max(), LENGTHS)
    decays = np.exp(-depth / lengths[:, None, None])
    without, squares = _left_over(views.sharp, decays)
    freedom = max(int(views.sharp.lit.sum()) - 3, 1)
    best = int(squares.argmin())
    scale = max(float(squares[best]) / freedom, 1.0)
    if not 0 < best < LENGTHS - 1 or not without - squares[best] > LEAST_Z**2 * scale:
        return result
    low, at, high = squares[best - 1 : best + 2]
    bend, step = max(low - 2.0 * at + high, 1e-12), np.log(lengths[1] / lengths[0])
    length = lengths[best] * np.exp(step * np.clip(0.5 * (low - high) / bend, -1.0, 1.0)) * views.pixel_nm
    result["reaction_depth_nm"][0] = length
    result["reaction_depth_nm_se"][0] = length * step * np.sqrt(2.0 * scale / bend)
    return result


def _left_over(sharp: SharpPlate, decays: F64) -> tuple[float, F64]:
    """Weighted sum of squares that a constant leaves of the first view, and that each decay (LENGTH, Y, X) leaves."""
    lit = sharp.lit
    if lit.sum() < 8:
        return 0.0, np.zeros(len(decays))
    weight = 1.0 / np.sqrt(sharp.variance_nm2[lit])
    mass = np.maximum(sharp.mass_nm, 0.0)
    images = sharp.blurred_at(np.concatenate([mass[None], mass * decays]), lit) * weight
    target = sharp.excess_nm[0][lit] * weight
    flat = images[0] / np.linalg.norm(images[0])
    target = target - (target @ flat) * flat
    across = images[1:] - (images[1:] @ flat)[:, None] * flat
    explained = (across @ target) ** 2 / np.maximum((across**2).sum(axis=1), 1e-300)
    total = float(target @ target)
    return total, total - explained
