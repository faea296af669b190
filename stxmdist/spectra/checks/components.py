"""How many components? Whether a particle's pixels hold more than the end-members say, pooled where one pixel is mute.

In a single pixel of 100 photons a third component of a tenth of the thickness shows one time in ten; over a hundred
pixels of a particle it nearly always does. Residuals are whitened (Pearson: divided by the standard deviation that
counting gives them) and freed of what the end-members could still take up, so that noise alone makes them a standard
normal in the energies left over.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from stxmdist.arrays import F64, I64, Integer, Real
from stxmdist.errors import InputError

_TRACY_WIDOM = (46.446, 0.186054, 9.84801)
"""Shape, scale and shift of the gamma distribution that is within 1 % of Tracy and Widom's first law in its tail"""
_LEAST_SPREAD = 1e-6
"""Of a candidate's length: less of it left beside the end-members, and it says nothing new"""


@dataclass(frozen=True, eq=False)
class ResidualSums:
    """What a block of pixels adds to the sums of each particle; blocks are added with ``+``, in any order."""

    pixels: I64
    """(PARTICLE,)"""
    chi2: F64
    """(PARTICLE,) Pearson's, at the best thicknesses"""
    whitened: F64
    """(PARTICLE, ENERGY) sum over pixels of the whitened residual"""
    moments: F64
    """(PARTICLE, ENERGY, ENERGY) sum over pixels of the whitened residual's outer product"""
    gained: F64
    """(PARTICLE, CANDIDATE) by how much chi-square falls where every pixel may have its own amount of a candidate"""
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


@dataclass(frozen=True, eq=False)
class MoreTerms:
    """One candidate term against none, for every particle; all (PARTICLE,) float64, NaN without pixels."""

    f: F64
    """Fall of chi-square per coefficient over what is left per degree of freedom"""
    p: F64
    """How often noise alone gives as much"""
    aic_gain: F64
    """By how much Akaike's criterion falls; positive: the term is worth its coefficients"""
    bic_gain: F64
    """The same of Schwarz' criterion, which is harder to please where observations are many"""


@dataclass(frozen=True, eq=False)
class MissingSpectrum:
    """What pixels of a particle have in common beside the model, whatever it looks like; NaN with too few pixels."""

    p_alike: F64
    """(PARTICLE,) how often noise alone gives as large a mean residual (chi-square): something alike in all pixels"""
    p_varying: F64
    """(PARTICLE,) ... as large an eigenvalue of the residuals' covariance (Tracy-Widom): something that comes and goes
    """
    od: F64
    """(PARTICLE, ENERGY) the more significant of both in optical density: the mean residual, or the strongest pattern's
    root mean square over pixels with the sign that makes its largest value positive
    """
    share: F64
    """(PARTICLE,) its length, noise taken off, over that of the mean optical density"""

    @property
    def p(self) -> F64:
        """(PARTICLE,) of both tests together: twice the smaller one, at most 1."""
        return np.minimum(1.0, 2.0 * np.fmin(self.p_alike, self.p_varying))


def whitened_residuals(transmission: Real, coefficients: Real, counts: F64, design: F64) -> tuple[F64, F64]:
    """Whitened residuals (PIXEL, ENERGY) at the best coefficients, and an orthonormal basis (PIXEL, ENERGY, TERM) of
    what the terms take up.

    ``transmission`` (ENERGY, PIXEL) with Var(T) = T / N, ``coefficients`` (TERM, PIXEL) at or near the optimum,
    ``counts`` (ENERGY,) or (ENERGY, PIXEL) N, ``design`` (ENERGY, TERM). Near is enough: one scoring step is made. NaN
    pixels stay NaN.
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
    """Orthonormal basis (PIXEL, ENERGY, TERM) of columns: Gram and Schmidt twice, over all pixels at once."""
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
        (PIXEL,) which particle, from 0; pixels below 0 take no part, nor do those with a NaN
    candidates
        (ENERGY, CANDIDATE) optical density per unit of further terms: a background, a library or cluster spectrum

    Raises
    ------
    InputError
        for fewer energies than are needed to leave a residual
    """
    n_energy, n_terms = design.shape
    if n_energy < n_terms + 2:
        raise InputError(
            where="number of components",
            problem="too few energies to ask for one component more",
            got=f"{n_energy} energies for {n_terms} terms",
            wanted=f"at least {n_terms + 2}",
            mend="Measure more energies where the number of components matters",
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


def more_terms(sums: ResidualSums, n_terms: int, candidate: int, correlation_px2: float = 1.0) -> MoreTerms:
    """F test, AIC and BIC of ``n_terms`` terms against one more, pooled over the pixels of each particle.

    F = (chi2_k - chi2_k+1) / n over chi2_k+1 / (n (E - k - 1)): every one of n pixels has its own amount of the
    candidate. Where noise is one and the same over ``correlation_px2`` pixels, there are that many fewer independent
    ones. Criteria are of chi-square, whose differences are those of the deviance to first order.
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
    return MoreTerms(f, p, np.where(n > 0, gained - 2.0 * n, np.nan), np.where(n > 0, bic, np.nan))


def missing_spectrum(
    sums: ResidualSums,
    n_terms: int,
    correlation_px2: float = 1.0,
    shared_variance: F64 | None = None,
    least_pixels: int = 12,
) -> MissingSpectrum:
    """Whether pixels of a particle share a spectrum that is none of the terms'.

    n |mean whitened residual|^2 is chi-square of E - k degrees of freedom for noise. The largest eigenvalue of X'X, X
    the whitened residuals of n pixels, follows for noise the law of Tracy and Widom around
    (sqrt(n - 1) + sqrt(E - k))^2: a component whose amount varies puts it higher.

    Parameters
    ----------
    shared_variance
        (ENERGY,) variance of optical density that all pixels share (incident beam, energy scale): of the mean residual
        only what exceeds it counts

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
    mean = sums.whitened / pixels
    p_alike = stats.chi2.sf((mean**2 / expected).sum(axis=1), free)
    values, vectors = np.linalg.eigh(sums.moments / max(1.0, correlation_px2))
    # What all pixels share through the beam is one direction more: of its length the eigenvalue may grow.
    strongest = values[:, -1] - n * (shared / noise_od**2).sum(axis=1)
    root_n, root_free = np.sqrt(np.maximum(n - 1.0, 1.0)), np.sqrt(free)
    centre = (root_n + root_free) ** 2
    spread = (root_n + root_free) * (1.0 / root_n + 1.0 / root_free) ** (1.0 / 3.0)
    shape, scale, shift = _TRACY_WIDOM
    p_varying = stats.gamma.sf((strongest - centre) / spread + shift, shape, scale=scale)
    vector = vectors[:, :, -1]
    vector = vector * np.sign(np.take_along_axis(vector, np.abs(vector).argmax(axis=1)[:, None], axis=1))
    alike = (p_alike <= p_varying)[:, None]
    # Whitened residuals are of transmission: more light is less optical density.
    pattern = np.where(alike, -mean, np.sqrt(np.maximum(strongest - centre, 0.0) / n)[:, None] * vector)
    od = pattern * noise_od
    noise = np.where(alike[:, 0], (expected * noise_od**2).sum(axis=1) * free / n_energy, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        length = np.sqrt(np.maximum((od**2).sum(axis=1) - noise, 0.0))
        share = length / np.linalg.norm(sums.od / pixels, axis=1)
    few = (sums.pixels < least_pixels) | (n < 3.0)
    for values_of in (p_alike, p_varying, share, od):
        values_of[few] = np.nan
    return MissingSpectrum(p_alike, p_varying, od, share)
