"""The metrics of a scan's particles and of their homogeneous twins, joined to the rows that describe them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stxmdist.arrays import F64, I32, Mask
from stxmdist.particles.inside import COUNTED, ChemicalMaps
from stxmdist.particles.metrics.engine import MeasuredField, measure
from stxmdist.particles.metrics.spread import spread_and_error
from stxmdist.particles.psf_bias import PsfBias

SD_CLIPPED, SD_UNKNOWN = "sd clipped", "sd unknown"
NOTHING_KNOWN = {"no usable pixels", "no mass"}
"""Flags of a particle without a state of charge: they say why nothing else is known either."""


@dataclass(frozen=True, eq=False)
class Description:
    """The particles of one scan, and what homogeneous twins of them show."""

    particles: pd.DataFrame
    null_bands: pd.DataFrame


def plates_of(bias: PsfBias | None, maps: ChemicalMaps, reach: I32, table: pd.DataFrame) -> tuple[F64, F64]:
    """Mass (Y, X) of plates with sharp rims, and homogeneous twins (2, Y, X) as a fit sees them, in nm.

    Where nothing was corrected for the point spread function, plates are as thick as they look.
    """
    soc = table["soc_mean"].to_numpy(dtype=np.float64)
    ids = table["particle_id"].to_numpy(dtype=np.int64)
    if bias is not None:
        return bias.plates.mass_nm, bias.plates.homogeneous(ids, soc)
    total = np.where(reach > 0, np.nan_to_num(maps.thickness_nm.sum(axis=0)), 0.0).astype(np.float64)
    level = np.zeros(int(max(reach.max(initial=0), ids.max(initial=0))) + 1)
    level[ids] = np.nan_to_num(soc)
    return total, total * np.stack([1.0 - level[reach], level[reach]])


def with_metrics(table: pd.DataFrame, field: MeasuredField) -> Description:
    """The rows of a scan's particles with all metrics; what twins show in a table of its own.

    The spread within particles comes from there too, and its flags with it.
    """
    measured = measure(field)
    values = measured.values
    order = values.set_index("particle_id").reindex(table["particle_id"].to_numpy()).reset_index(drop=True)
    whole = table.reset_index(drop=True).drop(columns=[name for name in order.columns if name in table.columns])
    whole = pd.concat([whole, order], axis=1)
    variance, error = (whole[name].to_numpy(dtype=np.float64) for name in ("soc_var_intra", "soc_var_intra_se"))
    whole["soc_sd"], whole["soc_sd_se"] = spread_and_error(variance, error)
    whole["flags"] = pd.Series(
        [_flags(words, number) for words, number in zip(whole["flags"], variance, strict=True)], dtype=object
    )
    return Description(whole, measured.bands)


def _flags(words: str, variance: float) -> str:
    """The flags of a particle with those of its spread renewed; a particle without a state of charge keeps its own."""
    before = [word for word in words.split(";") if word]
    if NOTHING_KNOWN & set(before):
        return words
    present = [word for word in before if word not in (SD_UNKNOWN, SD_CLIPPED)]
    if np.isnan(variance):
        present.append(SD_UNKNOWN)
    elif variance < 0.0:
        present.append(SD_CLIPPED)
    return ";".join(present)


def trusted_pixels(maps: ChemicalMaps) -> Mask:
    """(Y, X) pixels whose thickness may be used: those that count for the mean."""
    return np.isin(maps.mask_class, [int(kind) for kind in COUNTED])
