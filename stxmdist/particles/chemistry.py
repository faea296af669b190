"""State of charge of each particle and how it varies inside, with noise taken out of the variances."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import expand_labels

from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError

Floats = NDArray[np.floating]

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

COUNTED = (MaskClass.valid, MaskClass.edge, MaskClass.background)
"""Classes of pixels that enter the particle's mean: edges too, for the estimand is the whole particle."""

MIXED_WIDTH_SIGMAS = 1.05
"""A step blurred by a Gaussian lies between 0.3 and 0.7 over this many sigmas (2 * 0.524)."""


@dataclass(frozen=True)
class ChemistryOptions:
    """Thresholds of the classes; the defaults are those of the literature on LiFePO4."""

    charged_above: float = 0.7
    """A pixel's state of charge beyond which it is of the charged phase."""
    discharged_below: float = 0.3
    """... and below which of the discharged one; between both it is mixed."""
    two_phase_fraction: float = 0.1
    """Both phases hold more than this mass fraction in a two-phase particle."""
    active_low: float = 0.1
    """A particle beyond this and below ``active_high``, by two standard errors, takes part."""
    active_high: float = 0.9
    """See ``active_low``."""
    psf_bias_doubt: float = 0.33
    """Standard error of the correction for the PSF, as a share of it (closure on simulated fields)."""
    minimum_pixels: int = 12
    """Of fewer the particle is flagged."""
    minimum_thickness_nm: float = 20.0
    """Thinner pixels carry no soc of their own (their mass still counts)."""
    overlap_ratio: float = 1.5
    """A tenth of the particle thicker than this multiple of its median, and two plates may lie on each other."""
    noisy_se: float = 0.15
    """Median pixel standard error of soc above which phase fractions are noise."""


def chemistry_table(
    labels: NDArray[np.int32],
    thickness_nm: Floats,
    covariance: Floats,
    soc: Floats,
    soc_se: Floats,
    mask_class: NDArray[np.uint8],
    *,
    reach: NDArray[np.int32] | None = None,
    noise_correlation_px2: float = 1.0,
    soc_se_sys: float | Floats = 0.0,
    psf_bias: Floats | None = None,
    psf_variance: Floats | None = None,
    psf_sigma_px: float = 0.6,
    options: ChemistryOptions | None = None,
) -> Any:
    """Mass-weighted state of charge of each particle, its standard error, its spread inside and its phases.

    ``soc_mean = sum(charged) / sum(discharged + charged)`` over all trusted pixels of the particle's reach, edges and
    the blurred skirt outside the outline included: a charged shell would lose what the PSF throws over the outline. Its
    variance is the sum of the pixels' variances of ``charged - soc_mean * total``, times the noise correlation area,
    over the squared mass. Everything that looks inside (spread, phases, core and shell) uses pixels away from edges
    where there are enough of them. A number that cannot be given is NaN and the particle's flags say why.

    Parameters
    ----------
    labels
        (Y, X) int32
    thickness_nm
        (2, Y, X) floating, nm of (discharged, charged) end-member; NaN where not fitted
    covariance
        (3, Y, X) floating, nm^2: variances and covariance in the order 00, 01, 11
    soc, soc_se
        (Y, X) floating, state of charge of each pixel and its standard error
    mask_class
        (Y, X) uint8, stxmdist.arrays.MaskClass
    reach
        (Y, X) int32, pixels over which each particle's mass is summed (``reach_of``); its outline if left out
    noise_correlation_px2
        sum of the noise autocorrelation over all lags, px^2: 1 for white noise, 4 pi s^2 for white noise smoothed with
        sigma s
    soc_se_sys
        scalar or (PARTICLE,): what does not average over pixels (energy, leak, end-members)
    psf_bias
        (PARTICLE,) bias of soc_mean by the PSF at edges (``particles.psf_bias``): subtracted, and a share of it counted
        as systematic standard error; NaN: not known
    psf_variance
        (PARTICLE,) what the PSF adds to the variance of soc inside (it is negative): subtracted; NaN: not known
    psf_sigma_px
        Gaussian-equivalent PSF of the maps, px: how wide a sharp phase boundary looks

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
    options = options or ChemistryOptions()
    _check(
        labels, thickness_nm=thickness_nm[0], covariance=covariance[0], soc=soc, soc_se=soc_se, mask_class=mask_class
    )
    correlation = max(1.0, float(noise_correlation_px2))
    labels = np.maximum(labels, 0)
    ids = np.unique(labels[labels > 0])
    systematic = np.broadcast_to(np.asarray(soc_se_sys, dtype=np.float64), ids.shape)
    bias = np.zeros(ids.shape) if psf_bias is None else np.asarray(psf_bias, dtype=np.float64)
    levelled = np.zeros(ids.shape) if psf_variance is None else np.asarray(psf_variance, dtype=np.float64)
    summed = labels if reach is None else reach
    boxes = ndimage.find_objects(summed)
    rows = []
    for index, label in enumerate(ids.tolist()):
        box = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in boxes[label - 1])
        here = Pixels.of(
            labels[box] == label,
            summed[box] == label,
            thickness_nm[:, *box],
            covariance[:, *box],
            soc[box],
            soc_se[box],
            mask_class[box],
        )
        psf = PointSpread(psf_sigma_px, float(bias[index]), float(levelled[index]))
        chemistry = _chemistry(here, correlation, float(systematic[index]), psf, options)
        rows.append({"particle_id": label, **chemistry})
    return pd.DataFrame(rows, columns=list(CHEMISTRY_COLUMNS)).astype(_DTYPES)


def reach_of(labels: NDArray[np.int32], psf_sigma_px: float) -> NDArray[np.int32]:
    """Labels (Y, X) grown by two sigmas of the PSF, where the mass of a particle is seen; none grows over another."""
    return np.asarray(expand_labels(labels, distance=2.0 * psf_sigma_px + 0.5), dtype=np.int32)


def _check(labels: NDArray[np.int32], **maps: NDArray[Any]) -> None:
    for name, values in maps.items():
        if values.shape != labels.shape:
            raise InputError(
                where="particles.chemistry_table",
                problem=f"{name} and labels do not match",
                got=f"{values.shape} and {labels.shape}",
                wanted="maps (Y, X) of one shape",
                mend="Pass maps and labels of the same scan",
            )


_DTYPES = {
    name: {"particle_id": "int64", "active": "boolean", "phase_class": "object", "flags": "object"}.get(name, "float64")
    for name in CHEMISTRY_COLUMNS
}


@dataclass(frozen=True)
class PointSpread:
    """What imaging does to one particle."""

    sigma_px: float
    bias: float
    """What it adds to the mean state of charge; NaN: not known"""
    variance: float
    """What it adds to the variance inside; NaN: not known"""


@dataclass(frozen=True)
class Pixels:
    """One particle cut out of the maps, with a rim of one pixel; all (Y, X) of the cut-out."""

    inside: NDArray[np.bool_]
    """Within the outline"""
    counted: NDArray[np.bool_]
    """Within the reach, and known"""
    interior: NDArray[np.bool_]
    """Within the outline, and of class valid"""
    charged: NDArray[np.float64]
    total: NDArray[np.float64]
    covariance: NDArray[np.float64]
    soc: NDArray[np.float64]
    soc_se: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        inside: NDArray[np.bool_],
        reached: NDArray[np.bool_],
        thickness_nm: Floats,
        covariance: Floats,
        soc: Floats,
        soc_se: Floats,
        mask_class: NDArray[np.uint8],
    ) -> "Pixels":
        known = np.isfinite(thickness_nm).all(axis=0) & np.isfinite(covariance).all(axis=0)
        counted = reached & known & np.isin(mask_class, [int(kind) for kind in COUNTED])
        discharged, charged = (np.where(known, part, 0.0).astype(np.float64) for part in thickness_nm)
        return cls(
            inside=inside,
            counted=counted,
            interior=counted & inside & (mask_class == MaskClass.valid),
            charged=charged,
            total=discharged + charged,
            covariance=np.where(known, covariance, 0.0).astype(np.float64),
            soc=np.asarray(soc, dtype=np.float64),
            soc_se=np.asarray(soc_se, dtype=np.float64),
        )

    def residual_variance(self, mean: float) -> NDArray[np.float64]:
        """(Y, X) variance in nm^2 of ``charged - mean * total`` from the covariance of the fit."""
        v00, v01, v11 = self.covariance
        return np.asarray((1 - mean) ** 2 * v11 - 2 * mean * (1 - mean) * v01 + mean**2 * v00, dtype=np.float64)


def _chemistry(
    here: Pixels, correlation: float, systematic: float, psf: PointSpread, options: ChemistryOptions
) -> dict[str, Any]:
    """The row of one particle, without its number."""
    bias = psf.bias
    flags: list[str] = []
    n_inside, n_counted = int(here.inside.sum()), int((here.counted & here.inside).sum())
    mass = float(here.total[here.counted].sum())
    if n_counted == 0 or mass <= options.minimum_thickness_nm * 0.1 * n_counted:
        return _unknown("no usable pixels" if n_counted == 0 else "no mass")
    if n_counted < options.minimum_pixels:
        flags.append("few pixels")
    if n_counted < 0.8 * n_inside:
        flags.append("masked pixels")
    raw = float(here.charged[here.counted].sum()) / mass
    if np.isnan(bias):
        flags.append("psf bias unknown")
        bias = 0.0
    se_stat = float(np.sqrt(correlation * here.residual_variance(raw)[here.counted].sum()) / mass)
    se_sys = float(np.hypot(systematic, options.psf_bias_doubt * bias))
    looked = here.interior
    if looked.sum() < options.minimum_pixels:
        flags.append("edge only" if not looked.any() else "few interior pixels")
        looked = here.counted & here.inside
    looked = looked & (here.total >= options.minimum_thickness_nm) & np.isfinite(here.soc)
    variance = _intra_variance(here, looked, correlation) - float(np.nan_to_num(psf.variance))
    if np.isnan(variance):
        flags.append("sd unknown")
    elif variance < 0:
        flags.append("sd clipped")
    fractions = _phase_fractions(here, looked, options)
    if np.isnan(fractions[0]):
        flags.append("phases unknown")
    elif float(np.median(here.soc_se[looked])) > options.noisy_se:
        flags.append("noisy pixels")
    core_shell = core_shell_index(here, options)
    if np.isnan(core_shell):
        flags.append("no core")
    if _overlapping(here, options):
        flags.append("overlap suspected")
    mean = raw - bias
    phase = _phase_class(here, looked, mean, variance, fractions, psf.sigma_px, options)
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


def _unknown(why: str) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(CHEMISTRY_COLUMNS[1:], np.nan)
    return {**row, "phase_class": "unknown", "active": None, "flags": why}


def _intra_variance(here: Pixels, looked: NDArray[np.bool_], correlation: float) -> float:
    """Mass-weighted variance of soc inside a particle, less what noise adds: unbiased, so it may be negative.

    sum((c - m t)^2 / t) / sum(t), with m the mean over the same pixels, less the same sum of noise variances, plus the
    variance of m, which the deviations lack. The noise correlation enters only through m.
    """
    if looked.sum() < 3:
        return float("nan")
    charged, total = here.charged[looked], here.total[looked]
    mass = total.sum()
    mean = charged.sum() / mass
    noise = here.residual_variance(float(mean))[looked]
    observed = ((charged - mean * total) ** 2 / total).sum() / mass
    return float(observed - (noise / total).sum() / mass + correlation * noise.sum() / mass**2)


def _phase_fractions(here: Pixels, looked: NDArray[np.bool_], options: ChemistryOptions) -> tuple[float, float, float]:
    """Mass fractions of charged, mixed and discharged pixels; NaN where no pixel can be looked at."""
    if not looked.any():
        return (float("nan"),) * 3
    mass, soc = here.total[looked], here.soc[looked]
    charged = float(mass[soc > options.charged_above].sum() / mass.sum())
    discharged = float(mass[soc < options.discharged_below].sum() / mass.sum())
    return charged, 1.0 - charged - discharged, discharged


def _phase_class(
    here: Pixels,
    looked: NDArray[np.bool_],
    mean: float,
    variance: float,
    fractions: tuple[float, float, float],
    psf_sigma_px: float,
    options: ChemistryOptions,
) -> str:
    """charged, discharged, two-phase, solid-solution or unknown.

    Two-phase: both phases present, the spread is not noise, and no more mixed pixels than a sharp boundary of that
    length looks like through the PSF. More of them than that is a solid solution.
    """
    f_charged, f_mixed, f_discharged = fractions
    if np.isnan(f_charged):
        return "unknown"
    # The least variance that two phases beyond the class limits in these proportions can have, halved.
    least = 0.5 * options.two_phase_fraction * (1 - options.two_phase_fraction)
    least *= (options.charged_above - options.discharged_below) ** 2
    both = min(f_charged, f_discharged) > options.two_phase_fraction and not variance < least
    if both:
        length_px = _boundary_length_px(here.soc, looked)
        width_px = MIXED_WIDTH_SIGMAS * float(np.hypot(psf_sigma_px, 0.5)) + 1.0
        if f_mixed <= options.two_phase_fraction + length_px * width_px / float(looked.sum()):
            return "two-phase"
        return "solid-solution"
    if mean > options.charged_above and f_discharged <= options.two_phase_fraction:
        return "charged"
    if mean < options.discharged_below and f_charged <= options.two_phase_fraction:
        return "discharged"
    return "solid-solution"


def _boundary_length_px(soc: NDArray[np.float64], looked: NDArray[np.bool_]) -> float:
    """Length in pixels of the line soc = 0.5 between looked-at pixels (Cauchy-Crofton on the two axes: pi/4)."""
    high = soc > 0.5
    rows = looked[1:] & looked[:-1] & (high[1:] != high[:-1])
    columns = looked[:, 1:] & looked[:, :-1] & (high[:, 1:] != high[:, :-1])
    return float(np.pi / 4.0 * (rows.sum() + columns.sum()))


def core_shell_index(here: Pixels, options: ChemistryOptions) -> float:
    """Mass-weighted soc of the outer quarter of depths less that of the inner quarter; positive: charged shell.

    Depth is the distance to the particle's outline over its largest. NaN where either has no pixels away from edges:
    edge pixels fake a shell (transmission is averaged, not optical density).
    """
    depth = ndimage.distance_transform_edt(np.pad(here.inside, 1))[1:-1, 1:-1]
    usable = here.interior & (here.total >= options.minimum_thickness_nm)
    if usable.sum() < options.minimum_pixels:
        return float("nan")
    # Depths are measured from the outermost trusted pixel, so that masking the edge leaves a shell to look at.
    start = float(depth[usable].min())
    reach = float(depth[usable].max()) - start
    if reach < 2.0:
        return float("nan")
    relative = (depth - start) / reach
    shell, core = usable & (relative < 0.25), usable & (relative > 0.75)
    if not shell.any() or not core.any():
        return float("nan")
    outer, inner = (here.charged[part].sum() / here.total[part].sum() for part in (shell, core))
    return float(outer - inner)


def _overlapping(here: Pixels, options: ChemistryOptions) -> bool:
    """Whether a tenth of the particle is much thicker than the rest of it."""
    total = here.total[here.counted & here.inside]
    return bool((total > options.overlap_ratio * np.median(total)).mean() > 0.1)
