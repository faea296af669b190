"""How much the state of charge differs inside a particle, with blur undone and noise taken off."""

from collections.abc import Mapping

import numpy as np

from stxmdist.arrays import F64, compiled
from stxmdist.particles.metrics.two_ways import mean_and_sd, of_both
from stxmdist.particles.metrics.views import ParticleViews
from stxmdist.particles.sharp_plate import SharpPlate

LEAST_PIXELS = 9
"""Fewer pixels have no spread."""
LEAST_FULL = 0.7
"""Share of the plate's thickness that a pixel must show to count for the spread."""
LARGEST_VARIANCE = 0.25
"""Of states of charge between 0 and 1, half of them at either end (Popoviciu): what is less certain says nothing."""
NORMAL_95 = 1.96
LEVELLED_DOUBT = 0.5
"""Of the variance that is given back for blur: razor-sharp shells and halves keep as much of it (closure)."""


def spread(views: ParticleViews) -> Mapping[str, F64]:
    """Variance of the state of charge over the mass of the particle, ``soc_var_intra``, with blur undone.

    It is that of the sharpened map, or with few photons that of the map as it is, times what blur takes from a wave as
    long as the particle (``two_ways``). Each is a quadratic form of the maps' excess over the homogeneous plate, so
    what twins show on average is exactly what noise adds. It is not known (NaN) where its standard error exceeds any
    variance that there can be: one such particle would decide the mean of a campaign.

    Source: own; the variance of a quadratic form from Searle, Linear Models (1971), 2.5.
    """
    n_views = views.soc.shape[0]
    sharp = views.sharp
    mass = np.zeros(0) if sharp is None else np.where(sharp.seen, np.maximum(sharp.mass_nm, 0.0), 0.0)
    if sharp is None or (mass > 0.0).sum() < LEAST_PIXELS or n_views < 3:
        return dict.fromkeys(("soc_var_intra", "soc_var_intra_se"), np.full(n_views, np.nan))
    # What half filled pixels show depends on how the rim is cut, which no plate knows: a bevel looks like a shell.
    full = np.where(sharp.blurred_mass > LEAST_FULL * sharp.thick_nm, mass, 0.0)
    if (full > 0.0).sum() < LEAST_PIXELS:
        full = mass
    plain = _variance(sharp.seen_soc, full**2)
    variance, doubt = of_both(_variance(sharp.sharp_soc, full), plain * _gain(sharp, mass, full))
    given_back = LEVELLED_DOUBT * (variance[0] - mean_and_sd(variance[1:])[0] - plain[0] + mean_and_sd(plain[1:])[0])
    error = np.hypot(np.hypot(_standard_error(variance), doubt), given_back)
    if error[0] > LARGEST_VARIANCE:
        return dict.fromkeys(("soc_var_intra", "soc_var_intra_se"), np.full(n_views, np.nan))
    return {"soc_var_intra": variance, "soc_var_intra_se": error}


@compiled
def _variance(soc: F64, weight: F64) -> F64:
    """(VIEW,) weighted variance of maps (VIEW, ...) with weights (...)."""
    held, share = soc.reshape(soc.shape[0], -1), weight.reshape(-1) / weight.sum()
    out = np.empty(soc.shape[0])
    for k in range(soc.shape[0]):
        mean, squares = 0.0, 0.0
        for p in range(share.size):
            mean += share[p] * held[k, p]
        for p in range(share.size):
            squares += share[p] * (held[k, p] - mean) ** 2
        out[k] = squares
    return out


def _gain(sharp: SharpPlate, mass: F64, full: F64) -> float:
    """True over seen variance of waves of the particle's own length in four directions."""
    y, x = np.indices(mass.shape, dtype=np.float64)
    length = 2.0 * float(np.sqrt(mass.sum() / (np.pi * sharp.thick_nm)))
    angle = np.arange(4) * np.pi / 4.0
    phase = 2.0 * np.pi / length * (np.cos(angle)[:, None, None] * x + np.sin(angle)[:, None, None] * y)
    waves = np.concatenate([np.cos(phase), np.sin(phase)])
    looked = full > 0.0
    image = sharp.blurred_at(np.maximum(sharp.mass_nm, 0.0) * waves, looked) * sharp.step[looked]
    return float(_variance(waves, mass).mean() / _variance(image, full[looked] ** 2).mean())


def _standard_error(variance: F64) -> F64:
    """(VIEW,) of the first view's variance, from the variances of the twins behind it."""
    noise, scatter = mean_and_sd(variance[1:])
    of_particle = max(float(variance[0]) - noise, 0.0)
    return np.full(variance.size, scatter * np.sqrt(1.0 + 2.0 * of_particle / noise) if noise > 0.0 else scatter)


def spread_and_error(variance: F64, error: F64) -> tuple[F64, F64]:
    """Standard deviation (...) and its standard error from a variance that may be negative and its own.

    The interval of 95 % holds the roots of that of the variance: near zero the root is curved, and the variance's error
    over twice the root tells too little of what lies below and without end of nothing.
    """
    sd = np.sqrt(np.maximum(variance, 0.0))
    reach = NORMAL_95 * np.asarray(error, dtype=np.float64)
    above = np.sqrt(sd**2 + reach) - sd
    below = sd - np.sqrt(np.maximum(variance - reach, 0.0))
    return sd, np.asarray(np.maximum(above, below) / NORMAL_95)
