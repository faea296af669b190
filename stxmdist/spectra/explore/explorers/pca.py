"""Principal components: spectra of length 1 of which no other holds anything, and how many are more than noise."""

from dataclasses import dataclass

from stxmdist.arrays import F64
from stxmdist.spectra.explore.contract import Exploration, Exploring, numbered


@dataclass(frozen=True, eq=False)
class PcaMeasures:
    """How many components there are, and how much they explain."""

    components_suggested: int
    """Components that stand above the noise and whose maps are images"""
    components_above_noise: int
    components_that_are_images: int
    components_by_indicator: int
    """Where Malinowski's indicator function is least"""
    explained_share: tuple[float, ...]
    """(COMPONENT,) share of the sum of squares that the components up to this one hold"""
    noise_edge: float
    """The largest eigenvalue that counting noise alone may have"""
    autocorrelation: F64
    """(COMPONENT,) correlation of neighbouring pixels in each map"""
    pixels: int
    """Pixels that are known at every energy"""
    floored_share: float
    """Share of elements that had less than half a count"""


def explore(given: Exploring) -> Exploration:
    """The principal components that were found before, with their maps."""
    found = given.principal
    number = found.number
    return Exploration(
        names=numbered("pca", len(found.spectra)),
        spectra=found.spectra,
        maps=found.scores,
        measures=PcaMeasures(
            components_suggested=number.suggested,
            components_above_noise=number.above_noise,
            components_that_are_images=number.images,
            components_by_indicator=number.indicator,
            explained_share=tuple(found.explained(n + 1) for n in range(len(found.spectra))),
            noise_edge=found.noise_edge,
            autocorrelation=found.autocorrelation,
            pixels=found.pixels,
            floored_share=found.floored_share,
        ),
    )
