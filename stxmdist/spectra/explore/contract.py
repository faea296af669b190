"""What a stack holds before anybody says what to look for: the contract of all ways to explore it.

Every way sees optical density OD (ENERGY, PIXEL) as a sum over parts of a spectrum times a map, and differs in what it
asks of them: orthogonality (principal components), no negative value (factors), one part for each pixel (clusters),
spectra given beforehand (targets).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stxmdist.arrays import F64, Array
from stxmdist.errors import InputError
from stxmdist.registry import Entry, Table
from stxmdist.spectra.explore.clusters import ClusterOptions
from stxmdist.spectra.explore.factorise import FactorOptions
from stxmdist.spectra.explore.pixel_stack import Block, PixelStack
from stxmdist.spectra.explore.principal import Principal

EXPLORERS: Table[Entry[Any]] = Table(
    "explorer",
    {
        "pca": Entry("stxmdist.spectra.explore.explorers:pca"),
        "nmf": Entry("stxmdist.spectra.explore.explorers:nmf"),
        "clusters": Entry("stxmdist.spectra.explore.explorers:clusters"),
        "targets": Entry("stxmdist.spectra.explore.explorers:targets"),
    },
)
"""Name to explore(Exploring) -> Exploration"""

LEAST_ENERGIES = 3
"""Two energies hold two spectra whatever was measured: there is nothing to find out."""


@dataclass(frozen=True, eq=False)
class Exploring:
    """What every explorer is given."""

    stack: PixelStack
    principal: Principal
    """Of the same stack: how its elements are scaled, and how many components stand above its noise"""
    rng: np.random.Generator
    nmf: FactorOptions = field(default_factory=FactorOptions)
    clusters: ClusterOptions = field(default_factory=ClusterOptions)
    targets: tuple[tuple[str, ...], F64] | None = None
    """Names, and spectra (TARGET, ENERGY) per unit of their maps"""


@dataclass(frozen=True, eq=False)
class Exploration:
    """What an explorer found."""

    names: tuple[str, ...]
    """(PART,)"""
    spectra: F64
    """(PART, ENERGY) float64 optical density"""
    maps: Callable[[Block], Array]
    """A block to its maps (LAYER, PIXEL): float32, one for each part and NaN where not known; or one int8 map that
    names the part from 1 on, -1 where not known
    """
    measures: Mapping[str, Any]
    """Quality figures, JSON-able"""


def require_energies(n: int, where: str) -> None:
    """Refuse a stack that is too short to explore.

    Raises
    ------
    InputError
        for fewer than three energies
    """
    if n < LEAST_ENERGIES:
        raise InputError(
            where=where,
            problem="there are too few energies to explore",
            got=f"{n}",
            wanted=f"at least {LEAST_ENERGIES}",
            mend="Measure more energies, or fit with end-members that are known",
        )
