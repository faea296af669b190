"""The ledger of one scan: the class of every pixel, and why particles have no state of charge."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64, I32, U8, MaskClass


@dataclass(frozen=True)
class Ledger:
    """Nothing of a scan is passed over: the counts of pixels sum to the field, those of particles to all particles."""

    pixels_of_field: Mapping[str, int]
    """Mask class to number of pixels, classes without a pixel left out"""
    pixels_of_particles: Mapping[str, int]
    """The same inside the outlines of particles"""
    particles_with_soc: int
    particles_without_soc: Mapping[str, int]
    """Why a particle has no state of charge, to how many have none for that reason"""


def ledger_of(labels: I32, mask_class: U8, soc_mean: F64, flags: Sequence[str]) -> Ledger:
    """Count a described scan.

    Parameters
    ----------
    labels
        (Y, X) int32, above 0 inside particles
    mask_class
        (Y, X) uint8, ``stxmdist.arrays.MaskClass``, edges among them
    soc_mean
        (PARTICLE,) state of charge, NaN where there is none
    flags
        (PARTICLE,) of each particle, joined by semicolons; the first says why there is no state of charge
    """
    known = np.isfinite(soc_mean)
    reasons = [text.split(";")[0] or "no reason" for text, has in zip(flags, known, strict=True) if not has]
    return Ledger(
        pixels_of_field=counts_of(mask_class),
        pixels_of_particles=counts_of(mask_class[labels > 0]),
        particles_with_soc=int(known.sum()),
        particles_without_soc=dict(sorted(Counter(reasons).items())),
    )


def counts_of(mask_class: U8) -> dict[str, int]:
    """Name of each mask class that occurs to its number of pixels, in the order of the classes."""
    present, n = np.unique(mask_class, return_counts=True)
    return {MaskClass(kind).name: int(count) for kind, count in zip(present, n, strict=True)}
