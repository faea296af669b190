"""Maps of given target spectra, by least squares or within the space of the principal components."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.spectra.end_members.design_matrix import condition_number
from stxmdist.spectra.explore.principal import Principal

WORST_CONDITION = 500.0
"""Targets with a larger condition number are too similar to be distinguished"""


@dataclass(frozen=True, eq=False)
class Targets:
    """The linear transformation from optical density to maps of target spectra."""

    spectra: F64
    """(TARGET, ENERGY) float64: each target as approximated by the components"""
    transform: F64
    """(TARGET, ENERGY) float64: maps (TARGET, PIXEL) = transform @ OD, which may be negative"""
    match: F64
    """(TARGET,) share of each target's length that lies within the space of the components; less than 1 if the sample
    does not contain the target, or only below its noise
    """


def least_squares_maps(targets: F64, energy_weight: F64) -> F64:
    """Transformation (TARGET, ENERGY) float64 to the maps of targets (TARGET, ENERGY) by weighted least squares.

    Raises
    ------
    InputError
        for targets that are too similar
    """
    root = np.sqrt(energy_weight)
    scaled = targets * root
    _refuse_alike(scaled.T)
    return np.asarray(np.linalg.pinv(scaled.T) * root, dtype=np.float64)


def target_transform(principal: Principal, targets: F64, components: int) -> Targets:
    """Targets (TARGET, ENERGY) approximated by the leading components, and their maps: Malinowski's target test.

    With the components' spectra C and scores S, OD = C S. A target mu is approximated by C T with T = C^+ mu, and its
    map is T^+ S. Only components above the noise are used, so the maps are less noisy than those of least squares, and
    a target that the sample does not contain has a low match. Sources: Malinowski, Factor Analysis in Chemistry, ch. 3;
    for microscopes Lerotic et al., J. Electron Spectrosc. 144-147, 1137 (2005), eq. 10.

    Raises
    ------
    InputError
        for more targets than components, or targets that are too similar within the components
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
    # Within the space of the components least squares has the same weights as the components themselves.
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
            mend="Leave out one of the targets that are similar",
        )
