"""The contract of explorers: they find which spectra a stack holds, without being told what to look for.

Every explorer describes optical density (ENERGY, PIXEL) as a sum over parts, each of them a spectrum times a map.
Explorers differ in what they ask of the parts: orthogonality (principal components), no negative value (factors), one
part for each pixel (clusters), spectra given beforehand (targets).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

import numpy as np

from stxmdist.arrays import F32, F64, I8
from stxmdist.errors import InputError
from stxmdist.registry import Entry, Table, located
from stxmdist.spectra.explore.pixel_stack import Block, PixelStack
from stxmdist.spectra.explore.principal import Principal

OptionsT = TypeVar("OptionsT")

LEAST_ENERGIES = 3
"""Two energies are always explained by two spectra, so that there is nothing to find out"""


@dataclass(frozen=True, eq=False)
class TargetSpectra:
    """Spectra to look for in a stack."""

    names: tuple[str, ...]
    spectra: F64
    """(TARGET, ENERGY) float64 optical density per unit of their maps"""


@dataclass(frozen=True, eq=False)
class Exploring:
    """What every explorer is given."""

    stack: PixelStack
    principal: Principal
    """Of the same stack: how its elements are scaled, and how many components stand above its noise"""
    rng: np.random.Generator
    options: object = None
    """The explorer's own, of the kind that its line of the table names"""
    targets: TargetSpectra | None = None

    def options_of(self, kind: type[OptionsT]) -> OptionsT:
        """The explorer's own options, which are of a kind that it knows."""
        assert isinstance(self.options, kind)
        return self.options


@dataclass(frozen=True, eq=False)
class Exploration:
    """What an explorer found."""

    names: tuple[str, ...]
    """(PART,)"""
    spectra: F64
    """(PART, ENERGY) float64 optical density"""
    maps: Callable[[Block], F32 | I8]
    """A block to its maps (LAYER, PIXEL): float32, one for each part and NaN where not known; or one int8 map that
    names the part from 1 on, -1 where not known
    """
    measures: object
    """Quality figures: a frozen dataclass beside the explorer"""


class Explorer(Protocol):
    """A way to explore a stack."""

    def __call__(self, given: Exploring, /) -> Exploration:
        """Find the parts of a stack."""
        ...


class ExplorerOptions(Protocol):
    """A frozen dataclass of options, beside the explorer."""

    @property
    def parts(self) -> int:
        """How many spectra are looked for."""
        ...


@dataclass(frozen=True)
class ExploredArray:
    """An array that an explorer leaves."""

    name: str
    meaning: str


@dataclass(frozen=True)
class ExplorerEntry(Entry[Explorer]):
    """One line of the table of explorers."""

    part: str
    """What one of its parts is called: the name of their axis, and of its spectra with a number: ``nmf-1``"""
    spectra: ExploredArray
    """(PART, ENERGY) float64 optical density"""
    maps: ExploredArray
    """(PART, Y, X) float32 of pure numbers, NaN where not known; (Y, X) int8 where ``labels``"""
    options: str | None = None
    """Where its options are, ``module:attribute``; None: it has none"""
    option: str | None = None
    """Under which name the stage's options hold them; None: that of the explorer"""
    n_parts: int = 0
    """How many spectra it finds, where it has no options"""
    at_most_energies: bool = False
    """Whether it finds no more spectra than there are energies"""
    labels: bool = False
    """Whether it leaves one image of the number of each pixel's part, from 1 on and -1 where not known"""
    substances: bool = False
    """Whether its spectra may stand for substances: they are written to files, and a fit may name them as end-members
    """
    draws_pixels: bool = False
    """Whether it draws pixels at random, so that its results depend on the seed"""
    wants_end_members: bool = False
    """Whether it looks for the end-members of the scan"""
    core_seconds_per_element: float = 0.0
    """Time on one core for each pixel and energy, beside that of the principal components"""

    def options_kind(self) -> type[ExplorerOptions]:
        """The class of its options."""
        assert self.options is not None
        return cast(type[ExplorerOptions], located(self.options))

    def number_of_parts(self, options: ExplorerOptions | None, n_energies: int | None = None) -> int:
        """How many spectra it looks for in a stack of so many energies; None: of any number."""
        parts = self.n_parts if options is None else options.parts
        return min(parts, n_energies) if self.at_most_energies and n_energies is not None else parts


EXPLORERS: Table[ExplorerEntry] = Table(
    "explorer",
    {
        "pca": ExplorerEntry(
            "stxmdist.spectra.explore.explorers.pca:explore",
            part="pca",
            spectra=ExploredArray("pca_spectra", "spectra of principal components, of length 1"),
            maps=ExploredArray("pca_maps", "scores: optical density is their sum over spectra"),
            options="stxmdist.spectra.explore.principal:PrincipalOptions",
            option="principal",
            at_most_energies=True,
        ),
        "nmf": ExplorerEntry(
            "stxmdist.spectra.explore.explorers.nmf:explore",
            part="nmf",
            spectra=ExploredArray("nmf_spectra", "optical density of non-negative factors at amount 1"),
            maps=ExploredArray("nmf_maps", "amounts of non-negative factors, 1 where typical"),
            options="stxmdist.spectra.explore.factorise:FactorOptions",
            substances=True,
            draws_pixels=True,
            core_seconds_per_element=4e-7,
        ),
        "clusters": ExplorerEntry(
            "stxmdist.spectra.explore.explorers.clusters:explore",
            part="cluster",
            spectra=ExploredArray("cluster_spectra", "mean optical density in each cluster"),
            maps=ExploredArray("cluster_labels", "cluster of each pixel from 1 on, -1 not known"),
            options="stxmdist.spectra.explore.clusters:ClusterOptions",
            labels=True,
            substances=True,
            draws_pixels=True,
        ),
        "targets": ExplorerEntry(
            "stxmdist.spectra.explore.explorers.targets:explore",
            part="target",
            spectra=ExploredArray("target_spectra", "what the components make of target spectra"),
            maps=ExploredArray("target_maps", "amounts of target spectra, negative ones kept"),
            n_parts=2,
            wants_end_members=True,
        ),
    },
)
"""All explorers, in the order in which their random numbers are drawn: adding one is one file and one line at the end
"""


def numbered(part: str, n: int) -> tuple[str, ...]:
    """Names of ``n`` parts, from 1 on."""
    return tuple(f"{part}-{i + 1}" for i in range(n))


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
