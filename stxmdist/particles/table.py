"""The rows of the particle table that one scan contributes: shape and chemistry joined, flags together."""

import numpy as np
import pandas as pd

from stxmdist.arrays import F64, I32, Mask, Real
from stxmdist.particles.chemistry import PointSpread, chemistry_table
from stxmdist.particles.inside import ChemicalMaps, ChemistryOptions
from stxmdist.particles.shape import shape_table
from stxmdist.particles.sharp_sizes import SharpSizes

LEAST_SOLIDITY = 0.85
"""Less convex than this, and the region may be two plates that the watershed did not part."""

DOUBTED_SIZE = 0.1
"""Relative standard error of the diameter above which a size is flagged."""
OVERLAP = "overlap suspected"
"""Flag of a particle that may be two."""
PARTED = "overlap parted"
"""Flag of a plate that lies across another one, and was parted from it; it keeps the flag ``OVERLAP``"""
ON_EDGE = "on edge"
"""Flag of a particle that is thicker than wide: a plate that does not lie on its face."""
ON_EDGE_ASPECT = 2.0
"""Less long ones may be grains and not plates."""
SIZE_FROM_PIXELS = "size from pixels"
"""Flag of a particle whose outline could not be found through the point spread function."""
SIZE_DOUBTFUL = "size doubtful"
"""Flag of a particle whose diameter is hardly known."""


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
        if solidity < LEAST_SOLIDITY and OVERLAP not in present:
            present.append(OVERLAP)
        flags.append(";".join(present))
    # Of no particles pandas would make a column of numbers.
    return table.assign(flags=pd.Series(flags, index=table.index, dtype=object))


def with_sizes(table: pd.DataFrame, sizes: SharpSizes, pixel_um: float) -> pd.DataFrame:
    """The table with area, diameter, thickness and mass of plates with sharp rims, each with its standard error.

    What is at the border keeps the lower bounds of its pixels, without an error. The rows have the order of ``sizes``.
    """
    known = np.isfinite(sizes.area_px2)
    area, area_se = sizes.area_px2 * pixel_um**2, sizes.area_se * pixel_um**2
    with np.errstate(divide="ignore", invalid="ignore"):
        diameter = 2.0 * np.sqrt(area / np.pi)
        diameter_se = 0.5 * diameter * area_se / area
    of_pixels = table["area_um2"] * table["thickness_nm"]
    table = table.assign(
        area_um2=np.where(known, area, table["area_um2"]),
        area_um2_se=area_se,
        d_eq_um=np.where(known, diameter, table["d_eq_um"]),
        d_eq_um_se=diameter_se,
        thickness_nm=np.where(known, sizes.thickness_nm, table["thickness_nm"]),
        thickness_nm_se=sizes.thickness_se,
        mass_um2_nm=np.where(known, sizes.mass_px2_nm * pixel_um**2, of_pixels),
        mass_um2_nm_se=sizes.mass_se * pixel_um**2,
    )
    table = with_flag(table, SIZE_FROM_PIXELS, ~known & ~table["touches_border"].to_numpy(dtype=bool))
    table = with_flag(table, SIZE_DOUBTFUL, known & ~(diameter_se <= DOUBTED_SIZE * diameter))
    width_nm = 1e3 * diameter / np.sqrt(table["aspect"].to_numpy(dtype=np.float64))
    long = table["aspect"].to_numpy(dtype=np.float64) > ON_EDGE_ASPECT
    return with_flag(table, ON_EDGE, known & long & (sizes.thickness_nm > width_nm))


def with_mixtures(table: pd.DataFrame, mixture_sd: F64, options: ChemistryOptions) -> pd.DataFrame:
    """The table with errors that allow for another plate in the outline of particles that are flagged for it.

    ``mixture_sd`` (PARTICLE,) is what such a plate may do to the state of charge; it goes into ``soc_se`` and is told
    by itself as ``soc_se_overlap``, 0 of all others. Plates on edge are thick and narrow by themselves: they are not
    suspected for that. Which particles are active follows the errors.
    """
    suspected = [OVERLAP in (words := flags.split(";")) and ON_EDGE not in words for flags in table["flags"]]
    doubt = np.where(suspected, mixture_sd, 0.0)
    mean, se = table["soc_mean"], np.hypot(table["soc_se"], doubt)
    between = (mean > options.active_low + 2.0 * se) & (mean < options.active_high - 2.0 * se)
    active = table["active"].mask(doubt > 0.0, between | (table["phase_class"] == "two-phase"))
    return table.assign(soc_se=se, soc_se_overlap=doubt, active=active.mask(mean.isna()).astype("boolean"))


def with_flag(table: pd.DataFrame, flag: str, which: Mask) -> pd.DataFrame:
    """The table with one flag more on the rows ``which`` (PARTICLE,) that lack it."""
    words = [
        ";".join(word for word in (before, flag if flagged and flag not in before.split(";") else "") if word)
        for before, flagged in zip(table["flags"], np.asarray(which, dtype=bool), strict=True)
    ]
    return table.assign(flags=pd.Series(words, index=table.index, dtype=object))
