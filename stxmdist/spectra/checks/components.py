"""Number of components: tests whether the pixels of a particle contain more than the end-members, pooled per particle.

In a single pixel with 100 photons, a third component with a tenth of the thickness is detected one time in ten; over a
hundred pixels of a particle it is detected nearly always. Residuals are whitened (Pearson residuals, divided by the
standard deviation of their shot noise) and made orthogonal to the end-members, so that noise alone gives a standard
normal distribution in the remaining dimensions.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from stxmdist.arrays import F64, I64, Integer, Real
from stxmdist.errors import InputError
from stxmdist.spectra.end_members.mean_errors import light_beside_od

_TRACY_WIDOM = (46.446, 0.186054, 9.84801)
"""Shape, scale and shift of the gamma distribution that is within 1 % of Tracy and Widom's first law in its tail"""
_LEAST_FREE = 2
"""Degrees of freedom that must remain where light from beside is left out"""
_DARK_OD = 1.2
"""Rise of optical density at the edge from which light from beside looks like a component"""
_CHANCE_SD = 3.0
"""Standard errors of a chi-square within which it is chance"""
_LEAST_SPREAD = 1e-6
"""A candidate is a mixture of the end-members if a smaller share of its length is orthogonal to them"""


@dataclass(frozen=True, eq=False)
class ResidualSums:
    """Sums over pixels for each particle; those of different blocks are added with ``+``, in any order."""

    pixels: I64
    """(PARTICLE,) number of pixels"""
    chi2: F64
    """(PARTICLE,) Pearson's chi-square at the best thicknesses"""
    whitened: F64
    """(PARTICLE, ENERGY) sum over pixels of the whitened residual"""
    moments: F64
    """(PARTICLE, ENERGY, ENERGY) sum over pixels of the whitened residual's outer product"""
    gained: F64
    """(PARTICLE, CANDIDATE) by how much chi-square falls if a candidate is fitted in every pixel"""
    od: F64
    """(PARTICLE, ENERGY) sum over pixels of fitted optical density"""
    noise_od: F64
    """(PARTICLE, ENERGY) sum over pixels of the standard deviation of optical density"""

    def __add__(self, other: "ResidualSums") -> "ResidualSums":
        return ResidualSums(
            self.pixels + other.pixels,
            self.chi2 + other.chi2,
            self.whitened + other.whitened,
            self.moments + other.moments,
            self.gained + other.gained,
            self.od + other.od,
            self.noise_od + other.noise_od,
        )


def noise_excess(sums: ResidualSums, n_terms: int) -> F64:
    """By how much noise of each particle's pixels is stronger than it is taken for (PARTICLE,), at least 1; NaN of few.

    Chi-square of the residuals about their mean spectrum, which a wrong model leaves in all pixels alike, per degree of
    freedom. What chance may leave is no excess.
    """
    n_energy = sums.whitened.shape[1]
    freedom = (sums.pixels - 1) * float(n_energy - n_terms)
    with np.errstate(divide="ignore", invalid="ignore"):
        about = (sums.chi2 - (sums.whitened**2).sum(axis=1) / sums.pixels) / freedom
        chance = _CHANCE_SD * np.sqrt(2.0 / freedom)
    return np.where(freedom > 0.0, np.where(about > 1.0 + chance, about, 1.0), np.nan)


@dataclass(frozen=True, eq=False)
class ExtraTermTest:
    """Tests of one candidate term in addition to the model, all (PARTICLE,) float64; NaN without pixels."""

    f: F64
    """Fall of chi-square per coefficient over the remaining chi-square per degree of freedom"""
    p: F64
    """Probability that noise alone gives an F as large"""
    aic_gain: F64
    """By how much Akaike's criterion falls; positive: the term is justified"""
    bic_gain: F64
    """The same for Schwarz' criterion, which is stricter if there are many observations"""


@dataclass(frozen=True, eq=False)
class MissingSpectrum:
    """A spectrum of any shape that the model of a particle's pixels lacks; NaN with too few pixels."""

    p_constant: F64
    """(PARTICLE,) probability that noise gives as large a mean residual (chi-square): the same amount in all pixels"""
    p_varying: F64
    """(PARTICLE,) probability that noise gives as large an eigenvalue of the covariance of the residuals (Tracy-Widom):
    an amount that varies from pixel to pixel
    """
    od: F64
    """(PARTICLE, ENERGY) the more significant of both as optical density: the mean residual, or the strongest pattern
    with its root mean square over pixels and the sign that makes its largest value positive
    """
    share: F64
    """(PARTICLE,) its length, after subtracting noise, relative to that of the mean optical density"""

    @property
    def p(self) -> F64:
        """(PARTICLE,) probability for both tests together: twice the smaller one, at most 1."""
        return np.minimum(1.0, 2.0 * np.fmin(self.p_constant, self.p_varying))


def whitened_residuals(transmission: Real, coefficients: Real, counts: F64, design: F64) -> tuple[F64, F64]:
    """Whitened residuals (PIXEL, ENERGY) at the best coefficients, and an orthonormal basis of the whitened terms.

    The basis is (PIXEL, ENERGY, TERM), both are float64. ``transmission`` (ENERGY, PIXEL) has Var(T) = T / N with N the
    ``counts`` (ENERGY,) or (ENERGY, PIXEL); ``design`` is (ENERGY, TERM). The ``coefficients`` (TERM, PIXEL) need only
    be near the optimum, because one scoring step is made. NaN pixels stay NaN.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        fitted = np.exp(-(design @ np.asarray(coefficients, dtype=np.float64))).T
        root = np.sqrt(counts.reshape(len(counts), -1).T * fitted)
        residual = root * (np.asarray(transmission, dtype=np.float64).T / fitted - 1.0)
    known = np.isfinite(residual).all(axis=1)
    basis = np.zeros((*residual.shape, design.shape[1]))
    basis[known] = _orthonormal(root[known, :, None] * design[None])
    residual[known] -= np.einsum("pet,pt->pe", basis[known], np.einsum("pet,pe->pt", basis[known], residual[known]))
    residual[~known] = np.nan
    return residual, basis


def _orthonormal(columns: F64) -> F64:
    """Orthonormal basis (PIXEL, ENERGY, TERM) of columns, by the Gram-Schmidt process, made twice for accuracy."""
    basis = columns.copy()
    for term in range(columns.shape[2]):
        vector, before = basis[:, :, term], basis[:, :, :term]
        for _ in range(2):
            vector = vector - (before @ (before.transpose(0, 2, 1) @ vector[:, :, None]))[:, :, 0]
        basis[:, :, term] = vector / np.linalg.norm(vector, axis=1, keepdims=True)
    return basis


def residual_sums(
    transmission: Real,
    coefficients: Real,
    counts: F64,
    design: F64,
    particle: Integer,
    n_particles: int,
    candidates: F64 | None = None,
) -> ResidualSums:
    """Sums of a block of pixels, for every particle.

    Parameters
    ----------
    transmission, coefficients, counts, design
        as in ``whitened_residuals``
    particle
        (PIXEL,) index of the particle, from 0; pixels with a negative index or a NaN are ignored
    candidates
        (ENERGY, CANDIDATE) optical density per unit of further terms: a background, a library or cluster spectrum

    Raises
    ------
    InputError
        for fewer energies than are needed to have a residual
    """
    n_energy, n_terms = design.shape
    if n_energy < n_terms + 2:
        raise InputError(
            where="number of components",
            problem="there are too few energies to test for one component more",
            got=f"{n_energy} energies for {n_terms} terms",
            wanted=f"at least {n_terms + 2}",
            mend="Measure more energies, or do not count components",
        )
    extra = np.empty((n_energy, 0)) if candidates is None else np.asarray(candidates, dtype=np.float64)
    mine = np.asarray(particle) >= 0
    group = np.asarray(particle)[mine]
    theta = np.asarray(coefficients, dtype=np.float64)[:, mine]
    light = np.broadcast_to(counts.reshape(n_energy, -1), (n_energy, mine.size))[:, mine]
    residual, basis = whitened_residuals(transmission[:, mine], theta, light, design)
    known = np.isfinite(residual).all(axis=1)
    group, residual, basis, theta = group[known], residual[known], basis[known], theta[:, known]
    od = (design @ theta).T
    root = np.sqrt(light.T[known] * np.exp(-od))
    gained = np.zeros((group.size, extra.shape[1]))
    for index, column in enumerate(extra.T):
        direction = root * column
        length = np.linalg.norm(direction, axis=1)
        direction -= np.einsum("pet,pt->pe", basis, np.einsum("pet,pe->pt", basis, direction))
        left = np.linalg.norm(direction, axis=1)
        new = left > _LEAST_SPREAD * length
        gained[new, index] = ((direction * residual).sum(axis=1)[new] / left[new]) ** 2
    order = np.argsort(group, kind="stable")
    moments = np.zeros((n_particles, n_energy, n_energy))
    for which, rows in _runs(group[order]):
        here = residual[order[rows]]
        moments[which] = here.T @ here

    def summed(values: F64) -> F64:
        out = np.zeros((n_particles, *values.shape[1:]))
        np.add.at(out, group, values)
        return out

    return ResidualSums(
        np.bincount(group, minlength=n_particles).astype(np.int64),
        summed((residual**2).sum(axis=1)),
        summed(residual),
        moments,
        summed(gained),
        summed(od),
        summed(1.0 / root),
    )


def _runs(ordered: Integer) -> list[tuple[int, slice]]:
    if not ordered.size:
        return []
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    ends = np.r_[starts[1:], ordered.size]
    return [(int(ordered[a]), slice(int(a), int(b))) for a, b in zip(starts, ends, strict=True)]


def extra_term_test(sums: ResidualSums, n_terms: int, candidate: int, correlation_px2: float = 1.0) -> ExtraTermTest:
    """F test, AIC and BIC of ``n_terms`` terms against one more, pooled over the pixels of each particle.

    F = (chi2_k - chi2_k+1) / n over chi2_k+1 / (n (E - k - 1)), as each of n pixels has its own amount of the
    candidate. If noise has the correlation area ``correlation_px2``, the number of independent pixels is smaller by
    this factor. The criteria use chi-square, whose differences are those of the deviance to first order.
    """
    n_energy = sums.od.shape[1]
    n = sums.pixels / max(1.0, correlation_px2)
    gained = sums.gained[:, candidate] / max(1.0, correlation_px2)
    left = sums.chi2 / max(1.0, correlation_px2) - gained
    freedom = n * (n_energy - n_terms - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        f = np.where(n > 0, (gained / n) / (left / freedom), np.nan)
        p = stats.f.sf(f, n, freedom)
        bic = gained - n * np.log(n * n_energy)
    return ExtraTermTest(f, p, np.where(n > 0, gained - 2.0 * n, np.nan), np.where(n > 0, bic, np.nan))


def _beside_light(od: F64, noise_od: F64, design: F64) -> tuple[F64, I64]:
    """What takes light from beside off whitened residuals (PARTICLE, ENERGY, ENERGY), and how many directions that is.

    None of particles that are not dark: there it leaves over less than is looked for.
    """
    beside = light_beside_od(od)
    # Of a particle without pixels there is no direction.
    with np.errstate(invalid="ignore"):
        basis = _orthonormal(np.concatenate([design / noise_od[:, :, None], (beside / noise_od)[:, :, None]], axis=2))
    dark = np.ptp(od, axis=1) > _DARK_OD
    direction = np.where(dark[:, None], basis[:, :, -1], 0.0)
    return np.eye(od.shape[1]) - direction[:, :, None] * direction[:, None, :], dark.astype(np.int64)


def missing_spectrum(
    sums: ResidualSums,
    n_terms: int,
    correlation_px2: float = 1.0,
    shared_variance: F64 | None = None,
    least_pixels: int = 12,
    design: F64 | None = None,
) -> MissingSpectrum:
    """Test whether pixels of a particle have a spectrum in common that the terms do not contain.

    For noise, n |mean whitened residual|^2 has a chi-square distribution with E - k degrees of freedom, and the largest
    eigenvalue of X'X, with X the whitened residuals of n pixels, follows the law of Tracy and Widom around
    (sqrt(n - 1) + sqrt(E - k))^2. A component whose amount varies from pixel to pixel makes this eigenvalue larger.

    Parameters
    ----------
    shared_variance
        (ENERGY,) variance of optical density that is common to all pixels (incident beam, energy scale), which is not
        significant in the mean residual
    design
        (ENERGY, TERM); where it is given and energies are left, what light from beside the particle leaves over of the
        terms is no component: saturation of dark plates looks like one

    Source: Johnstone, Ann. Stat. 29, 295 (2001), theorem 1.1; Chiani, J. Multivar. Anal. 129, 69 (2014), for the law's
    tail.
    """
    n_energy = sums.od.shape[1]
    free = n_energy - n_terms
    pixels = np.maximum(sums.pixels, 1)[:, None]
    n = np.maximum(sums.pixels / max(1.0, correlation_px2), 1.0)
    noise_od = np.maximum(sums.noise_od / pixels, 1e-12)
    shared = np.zeros(n_energy) if shared_variance is None else np.nan_to_num(shared_variance)
    expected = 1.0 / n[:, None] + shared / noise_od**2
    mean, moments = sums.whitened / pixels, sums.moments
    if design is not None and free > _LEAST_FREE:
        across, less = _beside_light(sums.od / pixels, noise_od, design)
        mean, moments, free = (across @ mean[:, :, None])[:, :, 0], across @ moments @ across, free - less
    p_constant = stats.chi2.sf((mean**2 / expected).sum(axis=1), free)
    values, vectors = np.linalg.eigh(moments / max(1.0, correlation_px2))
    # An error common to all pixels adds one direction, by whose length the eigenvalue may grow.
    strongest = values[:, -1] - n * (shared / noise_od**2).sum(axis=1)
    root_n, root_free = np.sqrt(np.maximum(n - 1.0, 1.0)), np.sqrt(free)
    centre = (root_n + root_free) ** 2
    spread = (root_n + root_free) * (1.0 / root_n + 1.0 / root_free) ** (1.0 / 3.0)
    shape, scale, shift = _TRACY_WIDOM
    p_varying = stats.gamma.sf((strongest - centre) / spread + shift, shape, scale=scale)
    vector = vectors[:, :, -1]
    vector = vector * np.sign(np.take_along_axis(vector, np.abs(vector).argmax(axis=1)[:, None], axis=1))
    alike = (p_constant <= p_varying)[:, None]
    # Whitened residuals are those of transmission: more light means less optical density.
    pattern = np.where(alike, -mean, np.sqrt(np.maximum(strongest - centre, 0.0) / n)[:, None] * vector)
    od = pattern * noise_od
    noise = np.where(alike[:, 0], (expected * noise_od**2).sum(axis=1) * free / n_energy, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        length = np.sqrt(np.maximum((od**2).sum(axis=1) - noise, 0.0))
        share = length / np.linalg.norm(sums.od / pixels, axis=1)
    few = (sums.pixels < least_pixels) | (n < 3.0)
    for values_of in (p_constant, p_varying, share, od):
        values_of[few] = np.nan
    return MissingSpectrum(p_constant, p_varying, od, share)


def mean_residual_od(sums: ResidualSums, correlation_px2: float = 1.0) -> tuple[F64, F64]:
    """Mean residual optical density of each particle and the variance that noise gives it, both (PARTICLE, ENERGY).

    NaN for a particle without pixels.
    """
    pixels = np.where(sums.pixels > 0, sums.pixels, np.nan)[:, None]
    noise_od = sums.noise_od / pixels
    # Whitened residuals are those of transmission: more light means less optical density.
    return -sums.whitened / pixels * noise_od, noise_od**2 * max(1.0, correlation_px2) / pixels
