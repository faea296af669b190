"""Clusters of pixels with similar spectra: a mixture of Gaussians, or k-means, of principal component scores."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.cluster.vq import kmeans2

from stxmdist.arrays import F64, I8, I64, Real
from stxmdist.errors import InputError
from stxmdist.spectra.explore.pixel_stack import Block, PixelStack, sample_of
from stxmdist.spectra.explore.principal import Principal

SAMPLE_PIXELS = 65536
"""Clusters are found from so many random pixels; then every pixel is assigned to one"""
STARTS = 4
"""Number of starts of k-means, of which the best is taken, because each may end in another minimum"""
NARROWEST = 1e-6
"""Least variance of a cluster along every axis, relative to that of all pixels; otherwise it may shrink to one pixel"""
MOST_CLUSTERS = 20


@dataclass(frozen=True)
class ClusterOptions:
    """How clusters are found."""

    number: int = 4
    """Number of clusters, including that of the background"""
    kind: Literal["mixture", "kmeans"] = "mixture"
    """Gaussians, each with its own shape, because thickness elongates clusters; or k-means, equal spheres"""
    components: int = 0
    """Number of scores that are used; 0: as many as the principal components suggest"""
    iterations: int = 300
    """At most so many rounds of expectation and maximisation"""
    tolerance: float = 1e-7
    """Iteration ends when a round raises the mean log likelihood of a pixel by less"""

    def __post_init__(self) -> None:
        if not 2 <= self.number <= MOST_CLUSTERS:
            raise InputError(
                where="clusters.number",
                problem="pixels cannot be divided into this number of clusters",
                got=self.number,
                wanted=f"2 to {MOST_CLUSTERS}",
                mend="Give one more than there are phases, for the background",
            )

    @property
    def parts(self) -> int:
        """How many spectra are looked for."""
        return self.number


@dataclass(frozen=True, eq=False)
class Mixture:
    """Gaussians in the space of scores; k-means is the case of equal weights and equal spherical shapes."""

    log_share: F64
    """(CLUSTER,) log of the share of pixels"""
    means: F64
    """(CLUSTER, COMPONENT) mean scores"""
    whitening: F64
    """(CLUSTER, COMPONENT, COMPONENT): whitening @ (score - mean) has unit covariance"""

    def log_joint(self, scores: Real) -> F64:
        """Log of share times density (CLUSTER, PIXEL) float64 of scores (COMPONENT, PIXEL)."""
        n = len(scores)
        joint = np.empty((len(self.means), scores.shape[1]))
        for k, (mean, white) in enumerate(zip(self.means, self.whitening, strict=True)):
            away = white @ (scores - mean[:, None])
            log_determinant = np.log(np.abs(np.diag(white))).sum()
            joint[k] = self.log_share[k] + log_determinant - 0.5 * (away * away).sum(axis=0)
        return np.asarray(joint - 0.5 * n * np.log(2.0 * np.pi), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Clusters:
    """Clusters of all pixels, in the order of increasing absorption."""

    mixture: Mixture
    spectra: F64
    """(CLUSTER, ENERGY) float64 mean optical density; NaN for a cluster without pixels"""
    spectra_se: F64
    """(CLUSTER, ENERGY) float64 standard error of that mean"""
    pixels: I64
    """(CLUSTER,) number of pixels"""
    components: int
    """Number of scores that were used"""
    log_likelihood: float
    """Mean log likelihood per pixel of the sample; NaN for k-means"""
    bic: float
    """Bayesian information criterion of the sample, which is smallest for the best number of clusters"""
    converged: bool

    def labels(self, principal: Principal, block: Block) -> I8:
        """The cluster of every pixel (PIXEL,) int8 from 1 on; -1 where not known."""
        return assigned(self.mixture, principal, block, self.components)


def assigned(mixture: Mixture, principal: Principal, block: Block, components: int) -> I8:
    """The most probable cluster of every pixel (PIXEL,) int8 from 1 on; -1 where not known."""
    scores = principal.scores(block, components).astype(np.float64)
    scores[:, ~block.known] = 0.0
    label = 1 + np.argmax(mixture.log_joint(scores), axis=0)
    return np.where(block.known, label, -1).astype(np.int8)


def find_clusters(
    stack: PixelStack, principal: Principal, rng: np.random.Generator, options: ClusterOptions | None = None
) -> Clusters:
    """Find clusters from a random sample, then assign every pixel and average the spectra of each cluster; two passes.

    Raises
    ------
    InputError
        for more clusters than pixels
    """
    options = options or ClusterOptions()
    n = min(options.components or principal.number.suggested, len(principal.spectra))
    sample = sample_of(stack, SAMPLE_PIXELS, rng)
    if sample.od.shape[1] < options.number * (n + 1):
        raise InputError(
            where="clusters",
            problem="there are too few pixels for so many clusters",
            got=f"{sample.od.shape[1]} known pixels for {options.number} clusters",
            wanted=f"at least {options.number * (n + 1)}",
            mend="Lower clusters: number",
        )
    scores = principal.transform[:n] @ (sample.od - principal.mean_od[:, None])
    mixture = by_kmeans(scores, options.number, rng)
    likelihood, converged = float("nan"), True
    if options.kind == "mixture":
        mixture, likelihood, converged = by_expectation_maximisation(
            scores, mixture, options.iterations, options.tolerance
        )
    number, size = options.number, scores.shape[1]
    freedom = number - 1 + number * n + number * n * (n + 1) // 2
    bic = freedom * np.log(size) - 2.0 * likelihood * size
    sums = _averaged(stack, principal, mixture, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums[1] / sums[0]
        variance = (sums[2] / sums[0] - mean**2) * sums[0] / (sums[0] - 1.0)
        error = np.sqrt(np.maximum(variance, 0.0) / sums[0])
    # A cluster without pixels comes last.
    order = np.argsort(np.nan_to_num(mean.mean(axis=1), nan=np.inf), kind="stable")
    mixture = Mixture(mixture.log_share[order], mixture.means[order], mixture.whitening[order])
    counted = sums[0][order, 0].astype(np.int64)
    return Clusters(mixture, mean[order], error[order], counted, n, likelihood, float(bic), converged)


def _averaged(stack: PixelStack, principal: Principal, mixture: Mixture, components: int) -> F64:
    """Number of pixels, sum and sum of squares (3, CLUSTER, ENERGY) of optical density in each cluster."""
    number = len(mixture.means)

    def part(block: Block) -> F64:
        label = assigned(mixture, principal, block, components)
        member = (label == np.arange(1, number + 1)[:, None]).astype(np.float64)
        od = block.od.astype(np.float64)
        counted = np.broadcast_to(member.sum(axis=1)[:, None], (number, len(od)))
        return np.stack([counted, member @ od.T, member @ (od * od).T])

    total = np.zeros((3, number, stack.n_energies))
    for here in stack.each(part):
        total += here
    return total


def by_kmeans(scores: F64, number: int, rng: np.random.Generator) -> Mixture:
    """k-means of scores (COMPONENT, PIXEL), the best of several starts, as a mixture of equal spherical Gaussians."""
    best, least = None, np.inf
    for _ in range(STARTS):
        centres, label = kmeans2(scores.T, number, iter=50, minit="++", missing="warn", rng=rng)
        inertia = float(((scores.T - centres[label]) ** 2).sum())
        if inertia < least:
            best, least = centres, inertia
    assert best is not None
    n = len(scores)
    spread = max(least / scores.size, 1e-300)
    white = np.broadcast_to(np.eye(n) / np.sqrt(spread), (number, n, n))
    return Mixture(np.full(number, -np.log(number)), np.asarray(best, dtype=np.float64), white)


def by_expectation_maximisation(
    scores: F64, start: Mixture, iterations: int, tolerance: float
) -> tuple[Mixture, float, bool]:
    """Mixture of Gaussians of scores (COMPONENT, PIXEL) by expectation maximisation from a starting mixture.

    Returns the mixture, the mean log likelihood of a pixel, and whether the iteration converged. Source: Dempster,
    Laird and Rubin, J. R. Stat. Soc. B 39, 1 (1977).
    """
    floor = NARROWEST * np.cov(scores).reshape(len(scores), -1).trace() / len(scores)
    found, before = start, -np.inf
    for _ in range(iterations):
        joint = found.log_joint(scores)
        top = joint.max(axis=0)
        share = np.exp(joint - top)
        total = share.sum(axis=0)
        likelihood = float((top + np.log(total)).mean())
        share /= total
        if likelihood - before < tolerance:
            return found, likelihood, True
        before = likelihood
        found = _maximised(scores, share, found, floor)
    return found, before, False


def _maximised(scores: F64, share: F64, before: Mixture, floor: float) -> Mixture:
    """The mixture with the largest likelihood for scores whose share (CLUSTER, PIXEL) in each cluster is given."""
    n = len(scores)
    weight = share.sum(axis=1)
    means, whitening = before.means.copy(), before.whitening.copy()
    for k, total in enumerate(weight):
        if total < n + 1.0:
            continue  # too few pixels to determine a shape, which is kept
        means[k] = scores @ share[k] / total
        away = scores - means[k][:, None]
        covariance = (away * share[k]) @ away.T / total + floor * np.eye(n)
        whitening[k] = np.linalg.inv(np.linalg.cholesky(covariance))
    log_share = np.log(np.maximum(weight, 1e-300) / weight.sum())
    return Mixture(log_share, means, whitening)
