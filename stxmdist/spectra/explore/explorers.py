"""The ways to explore a stack, each in the form that the table of explorers promises."""

import numpy as np

from stxmdist.arrays import F32
from stxmdist.errors import InputError
from stxmdist.spectra.explore.clusters import find_clusters
from stxmdist.spectra.explore.contract import Exploration, Exploring
from stxmdist.spectra.explore.factorise import factorise
from stxmdist.spectra.explore.pixel_stack import Block
from stxmdist.spectra.explore.target_maps import target_transform


def pca(exploring: Exploring) -> Exploration:
    """Principal components: spectra of length 1 that no other holds anything of, and how many are more than noise."""
    found = exploring.principal
    number = found.number
    return Exploration(
        names=_numbered("pca", len(found.spectra)),
        spectra=found.spectra,
        maps=found.scores,
        measures={
            "components_suggested": number.suggested,
            "components_above_noise": number.above_noise,
            "components_that_are_images": number.images,
            "components_by_indicator": number.indicator,
            "explained_share": [found.explained(n + 1) for n in range(len(found.spectra))],
            "noise_edge": found.noise_edge,
            "autocorrelation": found.autocorrelation.tolist(),
            "pixels": found.pixels,
            "floored_share": found.floored_share,
        },
    )


def nmf(exploring: Exploring) -> Exploration:
    """Factors without negative values: spectra and amounts that could be those of substances."""
    found = factorise(exploring.stack, exploring.principal, exploring.rng, exploring.nmf)
    return Exploration(
        names=_numbered("nmf", len(found.spectra)),
        spectra=found.spectra,
        maps=found.amounts,
        measures={
            "cost_over_noise": found.costs[-1],
            "passes": len(found.costs),
            "sample_passes": len(found.sample_costs),
            "converged": found.converged,
        },
    )


def clusters(exploring: Exploring) -> Exploration:
    """Clusters of pixels, and the mean spectrum of each."""
    principal = exploring.principal
    found = find_clusters(exploring.stack, principal, exploring.rng, exploring.clusters)
    return Exploration(
        names=_numbered("cluster", len(found.spectra)),
        spectra=found.spectra,
        maps=lambda block: found.labels(principal, block)[None],
        measures={
            "pixels": found.pixels.tolist(),
            "components": found.components,
            "bic": found.bic if np.isfinite(found.bic) else None,
            "converged": found.converged,
        },
    )


def targets(exploring: Exploring) -> Exploration:
    """Maps of spectra that are given, within the space of the components above the noise.

    Raises
    ------
    InputError
        where none are given
    """
    if exploring.targets is None:
        raise InputError(
            where="targets",
            problem="no spectra are given to look for",
            got="none",
            wanted="end-members at the energies of the scan",
            mend="Give references of this edge that come from files, or leave targets out of the methods",
        )
    names, spectra = exploring.targets
    principal = exploring.principal
    found = target_transform(principal, spectra, max(principal.number.suggested, len(spectra)))
    transform = found.transform.astype(np.float32)

    def maps(block: Block) -> F32:
        amounts = transform @ block.od
        amounts[:, ~block.known] = np.nan
        return amounts

    return Exploration(names, found.spectra, maps, {"match": dict(zip(names, found.match.tolist(), strict=True))})


def _numbered(kind: str, n: int) -> tuple[str, ...]:
    return tuple(f"{kind}-{i + 1}" for i in range(n))
