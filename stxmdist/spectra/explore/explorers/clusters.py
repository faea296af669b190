"""Clusters of pixels with alike spectra, and the mean spectrum of each."""

from dataclasses import dataclass

from stxmdist.arrays import I8, I64
from stxmdist.spectra.explore.clusters import ClusterOptions, find_clusters
from stxmdist.spectra.explore.contract import Exploration, Exploring, numbered
from stxmdist.spectra.explore.pixel_stack import Block


@dataclass(frozen=True, eq=False)
class ClusterMeasures:
    """How large the clusters are, and how well they describe the pixels."""

    pixels: I64
    """(CLUSTER,)"""
    components: int
    """Scores of principal components that were looked at"""
    bic: float
    """Bayesian information criterion of the sample; NaN for k-means"""
    converged: bool


def explore(given: Exploring) -> Exploration:
    """Clusters of the stack's pixels, and the map of their numbers.

    Raises
    ------
    InputError
        for more clusters than pixels
    """
    principal = given.principal
    found = find_clusters(given.stack, principal, given.rng, given.options_of(ClusterOptions))

    def labels(block: Block) -> I8:
        return found.labels(principal, block)[None]

    return Exploration(
        names=numbered("cluster", len(found.spectra)),
        spectra=found.spectra,
        maps=labels,
        measures=ClusterMeasures(found.pixels, found.components, found.bic, found.converged),
    )
