"""State of charge of each particle and how it varies inside, with noise taken out of the variances."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage.segmentation import expand_labels

from stxmdist.arrays import I32, Real
from stxmdist.errors import InputError
from stxmdist.particles.inside import (
    ChemicalMaps,
    ChemistryOptions,
    Pixels,
    core_shell_index,
    intra_variance,
    overlapping,
    phase_class,
    phase_fractions,
)

Row: TypeAlias = dict[str, float | str | bool | None]
"""Column name to the value of one particle."""

CHEMISTRY_COLUMNS = (
    "particle_id",
    "thickness_nm",
    "soc_mean",
    "soc_se",
    "soc_se_stat",
    "soc_se_sys",
    "soc_sd",
    "soc_var_intra",
    "soc_median",
    "f_charged",
    "f_mixed",
    "f_discharged",
    "phase_class",
    "active",
    "core_shell_index",
    "flags",
)


@dataclass(frozen=True, eq=False)
class PointSpread:
    """What imaging adds to the particles of one scan."""

    sigma_px: float = 0.6
    """Gaussian-equivalent sigma on the maps: how wide a sharp phase boundary looks"""
    soc_bias: Real | float = 0.0
    """(PARTICLE,) bias of soc_mean at edges (``particles.psf_bias``): subtracted; NaN: not known"""
    gain: Real | float = 1.0
    """(PARTICLE,) by how much errors grow when the bias is taken off: it depends on soc; NaN: not known"""
    variance: Real | float = 0.0
    """(PARTICLE,) what is added to the variance of soc inside (it is negative): subtracted, and the systematic standard
    error of soc_mean grows with it; NaN: not known
    """


def chemistry_table(
    labels: I32,
    maps: ChemicalMaps,
    *,
    reach: I32 | None = None,
    soc_se_sys: float | Real = 0.0,
    psf: PointSpread | None = None,
    options: ChemistryOptions | None = None,
) -> pd.DataFrame:
    """Mass-weighted state of charge of each particle, its standard error, its spread inside and its phases.

    ``soc_mean = sum(charged) / sum(discharged + charged)`` over all trusted pixels of the particle's reach, edges and
    the blurred skirt outside the outline included: a charged shell would lose what the PSF throws over the outline. The
    bias of a ratio of noisy sums is taken off. Its variance is the sum of the pixels' variances of
    ``charged - soc_mean * total``, times the noise correlation area, over the squared mass. Everything that looks
    inside (spread, phases, core and shell) uses pixels away from edges where there are enough of them. A number that
    cannot be given is NaN and the particle's flags say why.

    Parameters
    ----------
    labels
        (Y, X) int32
    maps
        on the same pixels
    reach
        (Y, X) int32, pixels over which each particle's mass is summed (``reach_of``); its outline if left out
    soc_se_sys
        scalar or (PARTICLE,): what does not average over pixels (energy, leak, end-members)
    psf
        a sharp one that adds nothing if left out

    Returns
    -------
    DataFrame
        one row per PARTICLE, columns ``CHEMISTRY_COLUMNS``; ``soc_var_intra`` is the square of ``soc_sd`` before it is
        clipped at 0: average it, not soc_sd

    Raises
    ------
    InputError
        where the maps have different shapes.

    Source: reference values and rules from Yu et al., Nat. Commun. 9, 921 (2018) (phase classes); Li et al., Nat.
    Mater. 13, 1149 (2014) (active particles).
    """
    options, psf = options or ChemistryOptions(), psf or PointSpread()
    _check(labels, maps)
    labels = np.maximum(labels, 0)
    ids = np.unique(labels[labels > 0])
    systematic, *added = (
        np.broadcast_to(np.asarray(values, dtype=np.float64), ids.shape)
        for values in (soc_se_sys, psf.soc_bias, psf.gain, psf.variance)
    )
    summed = labels if reach is None else reach
    boxes = ndimage.find_objects(summed)
    correlation = max(1.0, float(maps.noise_correlation_px2))
    rows = []
    for index, label in enumerate(ids.tolist()):
        box = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in boxes[label - 1])
        here = Pixels.of(maps, labels[box] == label, summed[box] == label, box)
        imaging = PointSpread(psf.sigma_px, *(float(values[index]) for values in added))
        chemistry = _chemistry(here, correlation, float(systematic[index]), imaging, options)
        rows.append({"particle_id": label, **chemistry})
    return pd.DataFrame(rows, columns=list(CHEMISTRY_COLUMNS)).astype(_DTYPES)


def reach_of(labels: I32, psf_sigma_px: float) -> I32:
    """Labels (Y, X) grown by two sigmas of the PSF, where the mass of a particle is seen; none grows over another."""
    return np.asarray(expand_labels(labels, distance=2.0 * psf_sigma_px + 0.5), dtype=np.int32)


def _check(labels: I32, maps: ChemicalMaps) -> None:
    for name in ("thickness_nm", "covariance", "soc", "soc_se", "mask_class"):
        shape = getattr(maps, name).shape
        if shape[-2:] != labels.shape:
            raise InputError(
                where="particles.chemistry_table",
                problem=f"{name} and labels do not match",
                got=f"{shape} and {labels.shape}",
                wanted="maps (..., Y, X) of one shape",
                mend="Pass maps and labels of the same scan",
            )


_DTYPES = {
    name: {"particle_id": "int64", "active": "boolean", "phase_class": "object", "flags": "object"}.get(name, "float64")
    for name in CHEMISTRY_COLUMNS
}


def _chemistry(here: Pixels, correlation: float, systematic: float, psf: PointSpread, options: ChemistryOptions) -> Row:
    """The row of one particle, without its number."""
    bias = float(psf.soc_bias)
    flags: list[str] = []
    n_inside, n_counted = int(here.inside.sum()), int((here.counted & here.inside).sum())
    mass = float(here.total[here.counted].sum())
    if n_counted == 0 or mass <= options.minimum_thickness_nm * 0.1 * n_counted:
        return _unknown("no usable pixels" if n_counted == 0 else "no mass")
    if n_counted < options.minimum_pixels:
        flags.append("few pixels")
    if n_counted < 0.8 * n_inside:
        flags.append("masked pixels")
    raw = here.mean_soc(here.counted)
    if np.isnan(bias):
        flags.append("psf bias unknown")
        bias = 0.0
    gain = float(psf.gain) if np.isfinite(psf.gain) and psf.gain > 0 else 1.0
    se_stat = gain * float(np.sqrt(correlation * here.residual_variance(raw)[here.counted].sum()) / mass)
    levelled = max(0.0, -float(np.nan_to_num(psf.variance)))
    # Pixels that fit poorly are left out, but they are of the particle: what they would change is not known better.
    left_out = here.mean_soc(here.counted | here.doubtful) - raw
    se_sys = float(np.sqrt((gain * systematic) ** 2 + options.psf_doubt**2 * levelled + left_out**2))
    looked = here.interior
    if looked.sum() < options.minimum_pixels:
        flags.append("edge only" if not looked.any() else "few interior pixels")
        looked = here.counted & here.inside
    looked = looked & (here.total >= options.minimum_thickness_nm) & np.isfinite(here.soc)
    variance = intra_variance(here, looked, correlation) - float(np.nan_to_num(psf.variance))
    if np.isnan(variance):
        flags.append("sd unknown")
    elif variance < 0:
        flags.append("sd clipped")
    fractions = phase_fractions(here, looked, options)
    if np.isnan(fractions[0]):
        flags.append("phases unknown")
    elif float(np.median(here.soc_se[looked])) > options.noisy_se:
        flags.append("noisy pixels")
    core_shell = core_shell_index(here, options)
    if np.isnan(core_shell):
        flags.append("no core")
    if overlapping(here, options):
        flags.append("overlap suspected")
    mean = raw - here.ratio_bias(here.counted, raw, correlation) - bias
    phase = phase_class(here, looked, mean, variance, fractions, psf.sigma_px, options)
    se = float(np.hypot(se_stat, se_sys))
    return {
        "thickness_nm": float(np.median(here.total[looked])) if looked.any() else mass / n_counted,
        "soc_mean": mean,
        "soc_se": se,
        "soc_se_stat": se_stat,
        "soc_se_sys": se_sys,
        "soc_sd": float(np.sqrt(max(variance, 0.0))) if np.isfinite(variance) else np.nan,
        "soc_var_intra": variance,
        "soc_median": float(np.median(here.soc[looked])) if looked.any() else np.nan,
        "f_charged": fractions[0],
        "f_mixed": fractions[1],
        "f_discharged": fractions[2],
        "phase_class": phase,
        "active": options.active_low + 2 * se < mean < options.active_high - 2 * se or phase == "two-phase",
        "core_shell_index": core_shell,
        "flags": ";".join(flags),
    }


def _unknown(why: str) -> Row:
    row: Row = dict.fromkeys(CHEMISTRY_COLUMNS[1:], np.nan)
    return {**row, "phase_class": "unknown", "active": None, "flags": why}
