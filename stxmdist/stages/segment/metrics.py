"""The metrics of a scan's particles and of their homogeneous twins, joined to the rows that describe them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import ndimage

from stxmdist.arrays import F64, I32, Mask, Real
from stxmdist.particles.activity import probability_between
from stxmdist.particles.inside import COUNTED, ChemicalMaps, ChemistryOptions
from stxmdist.particles.metrics.engine import MeasuredField, measure
from stxmdist.particles.metrics.field_table import LabelledField, LeftOver, measure_field
from stxmdist.particles.metrics.spread import spread_and_error
from stxmdist.particles.psf_bias import PsfBias
from stxmdist.spectra.checks.component_count import ComponentCount
from stxmdist.spectra.checks.third_phase import ThirdPhaseBound

SD_CLIPPED, SD_UNKNOWN, NO_CORE = "sd clipped", "sd unknown", "no core"
NOTHING_KNOWN = {"no usable pixels", "no mass"}
"""Flags of a particle without a state of charge: they say why nothing else is known either."""


@dataclass(frozen=True, eq=False)
class Description:
    """The particles of one scan, and what homogeneous twins of them show."""

    particles: pd.DataFrame
    null_bands: pd.DataFrame
    field: MeasuredField
    """On which their metrics were measured"""
    third: ThirdPhaseBound | None = None
    """What of a third phase would go unnoticed; None: not yet known"""


def plates_of(bias: PsfBias | None, maps: ChemicalMaps, reach: I32, table: pd.DataFrame) -> tuple[F64, F64, F64]:
    """Mass (Y, X) of plates with sharp rims, homogeneous twins (2, Y, X) as a fit sees them, in nm, and the response.

    Where nothing was corrected for the point spread function, plates are as thick as they look.
    """
    soc = table["soc_mean"].to_numpy(dtype=np.float64)
    ids = table["particle_id"].to_numpy(dtype=np.int64)
    if bias is not None:
        return bias.plates.mass_nm, bias.plates.homogeneous(ids, soc), bias.plates.response(ids, soc)
    total = np.where(reach > 0, np.nan_to_num(maps.thickness_nm.sum(axis=0)), 0.0).astype(np.float64)
    level = np.zeros(int(max(reach.max(initial=0), ids.max(initial=0))) + 1)
    level[ids] = np.nan_to_num(soc)
    return total, total * np.stack([1.0 - level[reach], level[reach]]), np.ones(total.shape)


def left_over_of(count: ComponentCount | None, labels: I32, usable: Mask, thickness: Real) -> LeftOver | None:
    """What end-members leave of each particle's mean spectrum, from the sums over its usable (Y, X) pixels.

    None where residuals were not looked at. ``thickness`` (2, Y, X) is of the end-members; energies that no particle
    has are left out.
    """
    if count is None or count.residual_od is None or count.residual_variance is None:
        return None
    ids = np.unique(labels[labels > 0])
    mine = np.where(usable, labels, 0)
    means = [ndimage.sum_labels(np.nan_to_num(part), mine, ids) for part in thickness]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.stack(means) / ndimage.sum_labels(mine > 0, mine, ids)
    seen = np.isfinite(count.residual_od).any(axis=0)
    return LeftOver(count.residual_od[:, seen], count.residual_variance[:, seen], mean)


def with_metrics(
    table: pd.DataFrame, field: MeasuredField, options: ChemistryOptions, left_over: LeftOver | None = None
) -> Description:
    """The rows of a scan's particles with all metrics; what twins show in a table of its own.

    The spread within particles and the index of core and shell come from there too, and their flags with them.
    """
    measured = measure(field)
    rows = measured.values.set_index("particle_id").reindex(table["particle_id"].to_numpy()).reset_index(drop=True)
    whole = table.reset_index(drop=True).drop(columns=[name for name in rows.columns if name in table.columns])
    variance, error = (rows[name].to_numpy(dtype=np.float64) for name in ("soc_var_intra", "soc_var_intra_se"))
    sd, sd_error = spread_and_error(variance, error)
    mean, mean_error = (whole[name].to_numpy(dtype=np.float64) for name in ("soc_mean", "soc_se"))
    core_shell = rows["core_shell_index"].to_numpy(dtype=np.float64)
    flags = [
        _flags(words, {SD_UNKNOWN: bool(np.isnan(v)), SD_CLIPPED: bool(v < 0.0), NO_CORE: bool(np.isnan(c))})
        for words, v, c in zip(whole["flags"], variance, core_shell, strict=True)
    ]
    among = measure_field(LabelledField(field.labels, field.known, field.particle_id, field.pixel_nm, left_over))
    described = pd.concat([whole, rows, among], axis=1).assign(
        soc_sd=sd,
        soc_sd_se=sd_error,
        p_active=probability_between(mean, mean_error, options.active_low, options.active_high),
        flags=pd.Series(flags, index=whole.index, dtype=object),
    )
    return Description(described, measured.bands, field)


def _flags(words: str, renewed: Mapping[str, bool]) -> str:
    """The flags of a particle with some of them renewed; one without a state of charge keeps its own."""
    before = [word for word in words.split(";") if word]
    if NOTHING_KNOWN & set(before):
        return words
    kept = [word for word in before if word not in renewed]
    return ";".join(kept + [word for word, is_so in renewed.items() if is_so])


def trusted_pixels(maps: ChemicalMaps) -> Mask:
    """(Y, X) pixels whose thickness may be used: those that count for the mean."""
    return np.isin(maps.mask_class, [int(kind) for kind in COUNTED])
