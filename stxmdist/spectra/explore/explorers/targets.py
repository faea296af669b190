"""Maps of spectra that are given, within the space of the components above the noise."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F32
from stxmdist.errors import InputError
from stxmdist.spectra.explore.contract import Exploration, Exploring
from stxmdist.spectra.explore.pixel_stack import Block
from stxmdist.spectra.explore.target_maps import target_transform


@dataclass(frozen=True)
class TargetMeasures:
    """How much of each target the stack holds."""

    match: Mapping[str, float]
    """Name of a target to the share of its length within the components' space, 1 for all of it"""


def explore(given: Exploring) -> Exploration:
    """Amounts of the targets in every pixel, negative ones kept.

    Raises
    ------
    InputError
        where no targets are given, or the components cannot tell them apart
    """
    if given.targets is None:
        raise InputError(
            where="targets",
            problem="no spectra are given to look for",
            got="none",
            wanted="end-members at the energies of the scan",
            mend="Give references of this edge that come from files, or leave targets out of the methods",
        )
    names, spectra = given.targets.names, given.targets.spectra
    principal = given.principal
    found = target_transform(principal, spectra, max(principal.number.suggested, len(spectra)))
    transform = found.transform.astype(np.float32)

    def maps(block: Block) -> F32:
        amounts = transform @ block.od
        amounts[:, ~block.known] = np.nan
        return amounts

    match = dict(zip(names, found.match.tolist(), strict=True))
    return Exploration(names, found.spectra, maps, TargetMeasures(match))
