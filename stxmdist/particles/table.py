"""The rows of the particle table that one scan contributes: shape and chemistry joined, flags together."""

import numpy as np
import pandas as pd

from stxmdist.arrays import F64, I32, Mask, Real
from stxmdist.particles.chemistry import PointSpread, chemistry_table
from stxmdist.particles.inside import ChemicalMaps, ChemistryOptions
from stxmdist.particles.shape import shape_table

LEAST_SOLIDITY = 0.85
"""Less convex than this, and the region may be two plates that the watershed did not part."""


def particle_table(
    labels: I32,
    y_um: F64,
    x_um: F64,
    maps: ChemicalMaps,
    *,
    known: Mask | None = None,
    reach: I32 | None = None,
    soc_se_sys: float | Real = 0.0,
    psf: PointSpread | None = None,
    options: ChemistryOptions | None = None,
) -> pd.DataFrame:
    """One row per PARTICLE: the columns of ``shape_table`` and ``chemistry_table`` joined on particle_id.

    Touching the border and lacking convexity, which only the shape knows, are added to the flags. Arguments as there.
    """
    shapes = shape_table(labels, y_um, x_um, known)
    chemistry = chemistry_table(labels, maps, reach=reach, soc_se_sys=soc_se_sys, psf=psf, options=options)
    table = shapes.merge(chemistry, on="particle_id", how="left", validate="one_to_one")
    flags = []
    for words, border, solidity in zip(table["flags"], table["touches_border"], table["solidity"], strict=True):
        present = [word for word in words.split(";") if word]
        if border:
            present.append("touches border")
        if solidity < LEAST_SOLIDITY and "overlap suspected" not in present:
            present.append("overlap suspected")
        flags.append(";".join(present))
    # Of no particles pandas would make a column of numbers.
    return table.assign(flags=pd.Series(flags, index=table.index, dtype=object))


def with_flag(table: pd.DataFrame, flag: str, which: Mask) -> pd.DataFrame:
    """The table with one flag more on the rows ``which`` (PARTICLE,)."""
    words = [
        ";".join(word for word in (before, flag if flagged else "") if word)
        for before, flagged in zip(table["flags"], np.asarray(which, dtype=bool), strict=True)
    ]
    return table.assign(flags=pd.Series(words, index=table.index, dtype=object))
