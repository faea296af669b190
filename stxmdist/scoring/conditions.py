"""Wide-field particles of a simulated campaign by what makes them hard: energies, photons, thickness, neighbours.

One figure over a whole campaign can be right where the wrong of some scans makes up for the wrong of others.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from stxmdist.arrays import Mask
from stxmdist.particles.flag_words import flags_of
from stxmdist.scoring.particles import Matched, SocErrors, wide_particles
from stxmdist.scoring.ptychography import PlantedScan
from stxmdist.stages.segment.describe import MISSING_COMPONENT, THIRD_PHASE

THICKNESS_NM = (0.0, 100.0, 200.0, 300.0, math.inf)
"""Limits of the groups of thickness."""
THIRD_PHASE_FLAGS = frozenset({MISSING_COMPONENT, THIRD_PHASE})
"""Flags that say that two end-members may not be all."""


@dataclass(frozen=True)
class ConditionScore:
    """How the wide particles under one condition were recovered; NaN where no particle says it."""

    condition: str
    n_true: int
    n_found: int
    lost: float
    """Share of the true particles that none was found for"""
    soc_rms_error: float
    soc_bias: float
    soc_inside: float
    """Share of true states of charge inside their 95 % interval"""
    soc_inside_or_flagged: float
    """The same, but that a particle with the flag of a third phase counts as inside"""


def score_conditions(scans: Sequence[Matched], planted: Mapping[str, PlantedScan]) -> list[ConditionScore]:
    """A row for each condition in which wide-field particles of a design differ, those of scans first."""
    stacks = [scan for scan in scans if scan.modality == "stxm"]
    if not stacks:
        return []
    true = pd.concat([_with_recovered(scan, planted) for scan in stacks], ignore_index=True)
    return [_scored(words, true[mask]) for words, mask in _conditions(true)]


def _with_recovered(scan: Matched, planted: Mapping[str, PlantedScan]) -> pd.DataFrame:
    """The wide true particles of a scan with what was planted in it and what was recovered."""
    wide = wide_particles(scan.true)
    here = planted[str(scan.true["scan_id"].iloc[0])]
    flags = scan.recovered[["particle_id", "flags"]].rename(columns={"particle_id": "found_id"})
    found = scan.pairs[["particle_id", "found_id", "soc", "soc_recovered", "soc_se"]]
    found = found.merge(flags, on="found_id", how="left")
    joined = wide.drop(columns=["soc_se", "flags"]).merge(found, on="particle_id", how="left")
    return joined.assign(n_energies=len(here.energy_ev), photons=math.nan if here.counts is None else here.counts)


def _conditions(true: pd.DataFrame) -> Iterator[tuple[str, Mask]]:
    """Words and the particles (N,) that they are true of, but for conditions that all or none are under."""
    for column, unit in (("n_energies", "energies"), ("photons", "photons a pixel")):
        values = sorted(true[column].dropna().unique())
        if len(values) > 1:
            yield from ((f"{value:g} {unit}", (true[column] == value).to_numpy()) for value in values)
    for low, high in pairwise(THICKNESS_NM):
        mask = ((true["thickness_nm"] >= low) & (true["thickness_nm"] < high)).to_numpy()
        if 0 < mask.sum() < len(mask):
            yield (f"{low:g} to {high:g} nm thick" if math.isfinite(high) else f"{low:g} nm thick and more"), mask
    for column, words in (
        ("third_share", "third phase"),
        ("edge_on", "on edge"),
        ("overlapping", "across another"),
        ("touching", "touching"),
    ):
        if column in true and 0 < (true[column] > 0).sum() < len(true):
            yield words, (true[column] > 0).to_numpy()


def _scored(condition: str, here: pd.DataFrame) -> ConditionScore:
    found = here[here["found_id"].notna()]
    errors = SocErrors.of(found)
    flagged = np.array([not THIRD_PHASE_FLAGS.isdisjoint(flags_of(words)) for words in found["flags"]], dtype=bool)
    return ConditionScore(
        condition=condition,
        n_true=len(here),
        n_found=len(found),
        lost=1.0 - len(found) / len(here) if len(here) else math.nan,
        soc_rms_error=errors.rms,
        soc_bias=errors.bias,
        soc_inside=float(errors.inside.mean()) if len(found) else math.nan,
        soc_inside_or_flagged=float((errors.inside | flagged).mean()) if len(found) else math.nan,
    )
