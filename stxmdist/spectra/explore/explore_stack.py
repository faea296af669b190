"""A stack explored in every way that is asked for: options, and what all ways found."""

from collections.abc import Mapping
from dataclasses import dataclass, field, make_dataclass
from typing import cast

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.spectra.explore.contract import (
    EXPLORERS,
    Exploration,
    ExplorerOptions,
    Exploring,
    TargetSpectra,
    require_energies,
)
from stxmdist.spectra.explore.pixel_stack import PixelStack
from stxmdist.spectra.explore.principal import PrincipalOptions, principal_components


@dataclass(frozen=True)
class ExploreOptions:
    """How a stack is explored."""

    methods: tuple[str, ...] = ("pca",)
    """Principal components, which tell how many there are; non-negative factors; clusters of pixels with alike spectra;
    maps of the end-members within the components' space (``targets``)
    """
    principal: PrincipalOptions = field(default_factory=PrincipalOptions)
    """How components are found; all other methods rest on them"""
    seed: int | None = None
    """Of the pixels that are drawn at random for clusters and factors; None: the campaign's"""

    def __post_init__(self) -> None:
        if not self.methods:
            raise InputError(
                where="explore.methods",
                problem="no way to explore is named",
                got="none",
                wanted="one or more of " + ", ".join(EXPLORERS),
                mend="Name one, or take the line out to have the principal components",
            )
        for method in self.methods:
            EXPLORERS.require(method, where="methods")

    def of(self, method: str) -> ExplorerOptions | None:
        """The options of one explorer, None where it has none."""
        entry = EXPLORERS[method]
        if entry.options is None:
            return None
        return cast(ExplorerOptions, getattr(self, entry.option or method))


Options: type[ExploreOptions] = make_dataclass(
    "Options",
    [
        (name, entry.options_kind(), field(default_factory=entry.options_kind()))
        for name, entry in EXPLORERS.items()
        if entry.options is not None and entry.option is None
    ],
    bases=(ExploreOptions,),
    frozen=True,
    namespace={"__doc__": ExploreOptions.__doc__, "__module__": __name__},
)
"""The options above, and those of every explorer under its name (``nmf``, ``clusters`` ...)"""


@dataclass(frozen=True, eq=False)
class ExploredStack:
    """What all ways found in a stack."""

    eigenvalues: F64
    """(ENERGY,) float64, descending: mean squares of the principal components, in those of counting noise"""
    found: Mapping[str, Exploration]
    """Explorer to what it found"""
    refused: Mapping[str, str]
    """Explorer to why it found nothing"""


def explore_stack(
    stack: PixelStack,
    options: ExploreOptions,
    seed: int,
    noise_correlation_px2: float = 1.0,
    targets: TargetSpectra | None = None,
    where: str = "explore",
) -> ExploredStack:
    """Explore a stack in every way that the options name, in the order of the table.

    ``noise_correlation_px2`` is the area over which noise is one and the same. What one explorer refuses does not keep
    the others from their work.

    Raises
    ------
    InputError
        for fewer than three energies, or a stack without a pixel that is known at all of them
    """
    require_energies(stack.n_energies, where)
    principal = principal_components(stack, options.principal, noise_correlation_px2)
    found: dict[str, Exploration] = {}
    refused: dict[str, str] = {}
    for number, (method, entry) in enumerate(EXPLORERS.items()):
        if method not in options.methods:
            continue
        rng = np.random.default_rng([seed, number])
        try:
            found[method] = entry.load()(Exploring(stack, principal, rng, options.of(method), targets))
        except InputError as error:
            refused[method] = f"{error.problem}: {error.got}; wanted {error.wanted}"
    return ExploredStack(principal.eigenvalues, found, refused)
