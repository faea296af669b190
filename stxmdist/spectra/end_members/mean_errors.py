"""What a mean spectrum cannot be trusted with, beyond the noise of its counts."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64
from stxmdist.spectra.end_members.excess import believed_excess

MODEL_SHARE = 0.006
"""End-members and incident beam are not known better than this share of the optical density, at each energy for itself
"""
LIGHT_BESIDE = 0.0025
"""Standard deviation of the light that passes beside a wide specimen (leak that was not taken off), as a share of the
incident beam"""
LIGHT_BESIDE_PARTICLES = 0.05
"""The same of small particles, into which the tails of the point spread function throw light: plates of 0.3 to 1 um
behind a zone plate of 60 nm have .02 to .08"""


@dataclass(frozen=True)
class LightBeside:
    """What is known of the share of the incident beam that passes beside a particle and is counted with it."""

    mean: float
    sd: float

    @property
    def shares(self) -> F64:
        """(LIGHT,) shares that are asked about, none first."""
        return np.linspace(0.0, self.mean + 2.5 * self.sd, 6)

    def unlikeliness(self, share: float) -> float:
        """-2 ln of the density of a share, over the largest."""
        return ((share - self.mean) / self.sd) ** 2


SHARP = LightBeside(0.0, LIGHT_BESIDE)
"""Of a wide specimen, and of images without the tails of a point spread function (ptychography)"""
AROUND_PARTICLES = LightBeside(0.04, 0.02)
"""Of particles in a scanning microscope, as ``LIGHT_BESIDE_PARTICLES``"""
LEAST_LEFT = 0.1
"""Light from beside cannot be more than leaves this share of what came through"""
HIDDEN = 3.0
"""What references lack lies mostly along them and their derivatives: error of what is fitted per misfit that shows.
Two thirds of planted iron phases with lines of any place give at most 2.7 to 3.6 from 10 to 35 energies, other widths
and films 1 or less"""
_MOST_OD = 12.0
"""Of a darker particle nothing but light from beside is seen"""


def light_beside_od(mean_od: F64, light_sd: float = LIGHT_BESIDE) -> F64:
    """By how much optical density (..., ENERGY) falls short with a standard deviation of light from beside.

    -ln(T + f (1 - T)) is -ln T - f (1/T - 1) to first order: saturation, which grows with exp(OD). What absorbs at all
    energies alike is a film, and lies there too.
    """
    beyond = np.minimum(mean_od - np.min(mean_od, axis=-1, keepdims=True), _MOST_OD)
    return np.asarray(light_sd * np.expm1(beyond), dtype=np.float64)


def freed_of_light(od: F64, light: LightBeside) -> Iterator[tuple[float, F64, F64]]:
    """An optical density (ENERGY,) freed of more and more light that passed beside: share, density, growth of variance.

    The share f of the incident beam leaves T = (T_seen - f) / (1 - f). It ends where hardly anything would be left.
    """
    through = np.exp(-od)
    for share in light.shares:
        less = (through - share) / (1.0 - share)
        if share > 0.0 and (less < LEAST_LEFT * through).any():
            break
        # -ln of what is left changes by so much more than -ln of all.
        yield float(share), -np.log(less), (through / ((1.0 - share) * less)) ** 2


def mean_covariance(mean_od: F64, variance: F64, share: float = MODEL_SHARE, light_sd: float = LIGHT_BESIDE) -> F64:
    """Covariance (ENERGY, ENERGY) float64 of a mean optical density (ENERGY,) with its variance by noise (ENERGY,).

    Noise, a share of the optical density at each energy, and light from beside the particles at all energies together.
    Its second order, which counts where it is as much as what comes through them, has no shape that is known: pixels
    with unlike shares of it are averaged.
    """
    beside = light_beside_od(mean_od, light_sd)
    alone = variance + (share * mean_od) ** 2 + (0.5 * beside**2) ** 2
    return np.asarray(np.diag(alone) + np.outer(beside, beside), dtype=np.float64)


def whitening(covariance: F64) -> F64:
    """Matrix (ENERGY, ENERGY) that turns errors of this covariance into independent ones of variance 1."""
    lower = np.linalg.cholesky(covariance)
    return np.asarray(np.linalg.solve(lower, np.eye(len(lower))), dtype=np.float64)


def widened(chi2: float, freedom: int) -> float:
    """By how much variances of what was fitted grow with the misfit of a mean spectrum, at least 1.

    Of the chi-square, what chance is not believed to have left (``believed_excess``); the hidden part counts too.
    """
    if freedom < 1:
        return 1.0
    one = np.ones(1)
    return float(1.0 + HIDDEN**2 * believed_excess(chi2 * one, freedom * one, one)[0])
