"""Maps of spectra that are given: by least squares, or within the space of the principal components."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.spectra.end_members.design_matrix import condition_number
from stxmdist.spectra.explore.principal import Principal

WORST_CONDITION = 500.0
"""Targets that are more alike than this cannot be told apart."""


@dataclass(frozen=True, eq=False)
class Targets:
    """How maps of target spectra follow from optical density."""

    spectra: F64
    """(TARGET, ENERGY) float64: what the components make of each target"""
    transform: F64
    """(TARGET, ENERGY) float64: maps (TARGET, PIXEL) = transform @ OD, negative values left as they are"""
    match: F64
    """(TARGET,) share of each target's length that lies within the components' space, 1 for all of it: what is missing
    is not in the sample, or hidden in its noise
    """


def least_squares_maps(targets: F64, energy_weight: F64) -> F64:
    """Transform (TARGET, ENERGY) float64 to the maps of targets (TARGET, ENERGY) with least weighted squares.

    Raises
    ------
    InputError
        for targets that cannot be told apart
    """
    root = np.sqrt(energy_weight)
    scaled = targets * root
    _refuse_alike(scaled.T)
    return np.asarray(np.linalg.pinv(scaled.T) * root, dtype=np.float64)


def target_transform(principal: Principal, targets: F64, components: int) -> Targets:
    """Targets (TARGET, ENERGY) expressed by the leading components, and the maps that follow: Malinowski's target test.

    With the components' spectra C and scores S, OD = C S; a target is approached by C T, and its map is T^+ S, with
    T = C^+ mu: Malinowski, Factor Analysis in Chemistry, ch. 3; for microscopes Lerotic et al., J. Electron Spectrosc.
    144-147, 1137 (2005), eq. 10. Only what stands above the noise takes part, so the maps are less noisy than those of
    least squares, and a target that is not in the sample shows by its match.

    Raises
    ------
    InputError
        for more targets than components, or targets that the components cannot tell apart
    """
    n = min(components, len(principal.spectra))
    if len(targets) > n:
        raise InputError(
            where="targets",
            problem="there are more targets than components above the noise",
            got=f"{len(targets)} targets, {n} components",
            wanted="at least as many components",
            mend="Give fewer targets, or raise principal: components",
        )
    into = principal.transform[:n] @ targets.T
    found = (principal.spectra[:n].T @ into).T
    root = np.sqrt(principal.energy_weight)
    _refuse_alike((found * root).T)
    match = np.linalg.norm(found * root, axis=1) / np.linalg.norm(targets * root, axis=1)
    # Scores have the length of their spectra in them; within the components' space least squares is weighted alike.
    maps = np.linalg.pinv((found * root).T) * root
    within = principal.spectra[:n].T @ principal.transform[:n]
    return Targets(found, np.asarray(maps @ within), np.asarray(match))


def _refuse_alike(columns: F64) -> None:
    condition = condition_number(columns)
    if not condition < WORST_CONDITION:
        raise InputError(
            where="targets",
            problem="the targets cannot be told apart",
            got=f"condition number {condition:.3g}",
            wanted=f"below {WORST_CONDITION:g}",
            mend="Leave one of those that are alike out",
        )
