"""Factors without negative values: spectra and amounts that could be those of substances."""

from dataclasses import dataclass

from stxmdist.spectra.explore.contract import Exploration, Exploring, numbered
from stxmdist.spectra.explore.factorise import FactorOptions, factorise


@dataclass(frozen=True)
class NmfMeasures:
    """How the search for factors ended."""

    cost_over_noise: float
    """Weighted sum of squared deviations over that of counting noise"""
    passes: int
    """Over the whole stack"""
    sample_passes: int
    """Over the random pixels before"""
    converged: bool


def explore(given: Exploring) -> Exploration:
    """Non-negative factors of the stack, and their maps.

    Raises
    ------
    InputError
        for more factors than energies or pixels
    """
    found = factorise(given.stack, given.principal, given.rng, given.options_of(FactorOptions))
    return Exploration(
        names=numbered("nmf", len(found.spectra)),
        spectra=found.spectra,
        maps=found.amounts,
        measures=NmfMeasures(
            cost_over_noise=found.costs[-1],
            passes=len(found.costs),
            sample_passes=len(found.sample_costs),
            converged=found.converged,
        ),
    )
