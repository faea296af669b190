"""What each particle of a stack says of the energy scale, and what they say together.

The mean of all particles has a spectrum of its own kind: where thin and thick ones are averaged its white lines are
too low, and a few of another phase shift it. A single particle has one thickness; and one that is no mixture of the
end-members is one among many that are.
"""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from stxmdist.arrays import F64
from stxmdist.spectra.end_members.design_matrix import background_columns
from stxmdist.spectra.end_members.excess import believed_excess
from stxmdist.spectra.end_members.mean_errors import (
    LightBeside,
    freed_of_light,
    light_beside_od,
    mean_covariance,
    whitening,
)

BACKGROUND_SD = 0.2
"""What absorbs beside the end-members in a mean spectrum is hardly more: standard deviation of a constant, and of the
coefficient of a power law"""
OWN_SHARE = 0.0025
"""By how much the optical density of a particle is off at each energy for reasons of its own: a thickness that varies,
rims, a neighbour"""
ODD_SHARE = 0.1
"""Share of particles that say nothing of the energy scale: another phase, two that overlap"""
_LEAST_LIKELY = 1e-300
_SCATTERS_EV = (0.0, 0.005, 0.01, 0.02, 0.04, 0.08)
"""By how much particles may disagree beyond their noise, each as likely before"""


@dataclass(frozen=True, eq=False)
class ParticleSpectra:
    """Mean optical densities of the insides of some particles."""

    od: F64
    """(PARTICLE, ENERGY) NaN where not known"""
    variance: F64
    """(PARTICLE, ENERGY) by the noise of their pixels alone"""
    shared_variance: F64
    """(ENERGY,) by the incident beam, Var(I0)/I0^2, the same for all particles"""


@dataclass(frozen=True, eq=False)
class ShiftProfiles:
    """Chi-square (PARTICLE, SHIFT) float64 of each particle's spectrum at energy shifts (SHIFT,) in eV."""

    shifts_ev: F64
    chi2: F64
    """Widened by what a particle's spectrum leaves over beyond its noise"""
    light: F64
    """(PARTICLE,) share of light from beside with which each is fitted best"""


def shift_profiles(
    od: F64, variance: F64, energy_ev: F64, moved: F64, shifts_ev: F64, light: LightBeside
) -> ShiftProfiles:
    """How well the end-members fit the spectrum of each particle at each energy shift.

    For each amount of light that may have passed beside a particle, the amounts of the two end-members, neither below
    zero, are fitted with a background of unknown height and slope in the covariance; chi-square is -2 ln of the
    likelihood averaged over that light.

    Parameters
    ----------
    od, variance
        (PARTICLE, ENERGY) optical density and its variance by noise
    energy_ev
        (ENERGY,)
    moved
        (SHIFT, ENERGY, 2) absorption of the end-members at each shift
    shifts_ev
        (SHIFT,)
    light
        what is known of the light that passes beside a particle
    """
    rows, least, beside = np.empty((len(od), len(shifts_ev))), np.empty(len(od)), np.empty(len(od))
    # Two amounts, two terms of a background, light from beside, and the shift.
    freedom = len(energy_ev) - 6
    lit = []
    for row, (spectrum, noise) in enumerate(zip(od, variance, strict=True)):
        lit.append(_over_lights(spectrum, noise, energy_ev, moved, light))
        least[row] = lit[row].min()
        beside[row] = light.shares[int(np.argmin(lit[row].min(axis=1)))]
    excess = np.ones(len(od))
    if freedom > 0:
        excess = 1.0 + believed_excess(least, np.full(len(od), float(freedom)), np.ones(len(od)))
    for row, by_light in enumerate(lit):
        rows[row] = _averaged(by_light / excess[row])
    return ShiftProfiles(shifts_ev, rows, beside)


def _over_lights(od: F64, variance: F64, energy_ev: F64, moved: F64, light: LightBeside) -> F64:
    """Chi-square (LIGHT, SHIFT) of a spectrum freed of more and more light from beside, that of its prior included."""
    found = []
    for share, freed, grown in freed_of_light(od, light):
        own = mean_covariance(freed, variance * grown, OWN_SHARE, light_sd=0.0)
        white = whitening(own + background_covariance(energy_ev))
        found.append(profile(white, moved, freed) + light.unlikeliness(share))
    return np.stack(found)


def background_covariance(energy_ev: F64) -> F64:
    """Covariance (ENERGY, ENERGY) of a background of unknown height and slope."""
    columns = BACKGROUND_SD * background_columns(energy_ev, "power_law")
    return np.asarray(columns @ columns.T)


def profile(white: F64, moved: F64, od: F64) -> F64:
    """Chi-square (SHIFT,) of the best amounts, neither below zero, of end-members (SHIFT, ENERGY, 2), whitened."""
    y, x = white @ od, white @ moved
    along = np.einsum("sek,e->sk", x, y)
    squares = np.einsum("sek,sel->skl", x, x)
    amounts = np.linalg.solve(squares, along[:, :, None])[:, :, 0]
    alone = np.maximum(along, 0.0) ** 2 / np.einsum("skk->sk", squares)
    gained = np.where(amounts.min(axis=1) >= 0.0, (amounts * along).sum(axis=1), alone.max(axis=1))
    return np.asarray(np.maximum(float(y @ y) - gained, 0.0))


def _averaged(chi2: F64) -> F64:
    """-2 ln (SHIFT,) of the likelihood averaged over light (LIGHT, SHIFT)."""
    least = chi2.min(axis=0)
    return np.asarray(least - 2.0 * np.log(np.exp(-0.5 * (chi2 - least)).mean(axis=0)))


@dataclass(frozen=True, eq=False)
class Consensus:
    """What particles say together."""

    chi2: F64
    """(FINE,) -2 ln of the likelihood of each shift"""
    weights: F64
    """(PARTICLE,) probability that a particle is one of those that tell the shift"""


def consensus(profiles: ShiftProfiles, fine_ev: F64) -> Consensus:
    """The likelihood of energy shifts ``fine_ev`` (FINE,), evenly spaced, from those of single particles.

    Each particle tells the shift, with an error of its own that scatters as the particles show; or, one in ten
    (``ODD_SHARE``), tells a shift that may be any. Both are weighed as a mixture, so that some which disagree with all
    others do not move the result.
    """
    chi2 = CubicSpline(profiles.shifts_ev, profiles.chi2, axis=1)(fine_ev)
    likely = np.exp(-0.5 * (chi2 - chi2.min(axis=1, keepdims=True)))
    step = float(fine_ev[1] - fine_ev[0])
    anywhere = likely.mean(axis=1, keepdims=True)
    share = ODD_SHARE if len(chi2) > 2 else 0.0
    found = []
    for scatter_ev in _SCATTERS_EV:
        blurred = _blurred(likely, scatter_ev / step)
        both = np.maximum((1.0 - share) * blurred + share * anywhere, _LEAST_LIKELY)
        found.append((np.log(both).sum(axis=0), (1.0 - share) * blurred / both))
        if len(chi2) <= 2:
            break
    logs = np.stack([one[0] for one in found])
    together = np.exp(logs - logs.max())
    total = together.sum(axis=0)
    best = int(np.argmax(total))
    of_each = together[:, best] / total[best]
    weights = np.stack([one[1][:, best] for one in found], axis=1) @ of_each
    chi2_together = -2.0 * np.log(np.maximum(total, _LEAST_LIKELY))
    return Consensus(chi2_together, np.asarray(weights, dtype=np.float64))


def shared_error(
    spectra: ParticleSpectra,
    profiles: ShiftProfiles,
    weights: F64,
    energy_ev: F64,
    members: F64,
    slope: F64,
    light: LightBeside,
    share: float,
    prior_sd_ev: float,
) -> tuple[float, float]:
    """What all particles leave over together, as chi-square, and the error of the shift by what they have in common.

    Noise and what each has of its own averages over particles; references and incident beam do not.

    Parameters
    ----------
    weights
        (PARTICLE,) by which they count
    members, slope
        (ENERGY, 2) absorption of the end-members at the shift that was found, and its derivative per eV
    share
        of the optical density by which references and beam may be wrong at each energy
    prior_sd_ev
        the error in eV is not larger than this
    """
    left, noise, od, told = (np.zeros(len(energy_ev)) for _ in range(4))
    beside = np.zeros((len(energy_ev), 3))  # two terms of a background, and light
    for row, weight in enumerate(weights / weights.sum()):
        share_beside = profiles.light[row]
        freed = -np.log((np.exp(-spectra.od[row]) - share_beside) / (1.0 - share_beside))
        less = light_beside_od(freed, light.sd)
        own = spectra.variance[row] + spectra.shared_variance + (OWN_SHARE**2 + share**2) * freed**2 + less**4 / 4.0
        columns = np.concatenate([BACKGROUND_SD * background_columns(energy_ev, "power_law"), less[:, None]], axis=1)
        inverse = np.linalg.inv(np.diag(own) + columns @ columns.T)
        amounts = np.linalg.solve(members.T @ inverse @ members, members.T @ inverse @ freed)
        left += weight * own * (inverse @ (freed - members @ amounts))
        # What light does to second order has no known shape, and may be the same in all.
        noise += weight**2 * (spectra.variance[row] + (OWN_SHARE * freed) ** 2) + weight * less**4 / 4.0
        od, told, beside = od + weight * freed, told + weight * (slope @ amounts), beside + weight * columns
    own = noise + spectra.shared_variance + (share * od) ** 2
    chi2 = float((left**2 / own).sum())
    inverse = np.linalg.inv(np.diag(spectra.shared_variance + (share * od) ** 2) + beside @ beside.T)
    across = inverse - inverse @ members @ np.linalg.solve(members.T @ inverse @ members, members.T @ inverse)
    return chi2, float(max(float(told @ across @ told), prior_sd_ev**-2) ** -0.5)


def blurred(chi2: F64, sd_px: float) -> F64:
    """-2 ln (FINE,) of a likelihood convolved with a Gaussian."""
    likely = np.exp(-0.5 * (chi2 - chi2.min()))
    return np.asarray(-2.0 * np.log(np.maximum(_blurred(likely[None], sd_px)[0], _LEAST_LIKELY)))


def _blurred(likely: F64, sd_px: float) -> F64:
    """Rows (PARTICLE, FINE) convolved with a Gaussian; beyond the ends they go on as they end."""
    if sd_px <= 0.0:
        return likely
    reach = int(np.ceil(4.0 * sd_px))
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (offsets / sd_px) ** 2)
    padded = np.pad(likely, ((0, 0), (reach, reach)), mode="edge")
    size = padded.shape[1] + 2 * reach
    spectrum = np.fft.rfft(padded, size, axis=1) * np.fft.rfft(kernel / kernel.sum(), size)
    return np.asarray(np.maximum(np.fft.irfft(spectrum, size, axis=1)[:, 2 * reach : 2 * reach + likely.shape[1]], 0.0))
