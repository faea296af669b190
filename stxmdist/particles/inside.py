"""One particle, cut out of the maps: how its state of charge varies inside, and what phases that makes."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F64, U8, Mask, MaskClass, Real

COUNTED = (MaskClass.valid, MaskClass.edge, MaskClass.background)
"""Classes of pixels that enter the particle's mean. Edges are among them, because the mean is that of all its material.
"""

MIXED_WIDTH_SIGMAS = 1.05
"""A step blurred by a Gaussian lies between 0.3 and 0.7 over this many sigmas (2 * 0.524)."""


@dataclass(frozen=True)
class ChemistryOptions:
    """Thresholds of the classes; the defaults are those of the literature on LiFePO4."""

    charged_above: float = 0.7
    """A pixel whose state of charge is above this belongs to the charged phase."""
    discharged_below: float = 0.3
    """A pixel whose state of charge is below this belongs to the discharged phase; between both limits it is mixed."""
    two_phase_fraction: float = 0.1
    """In a two-phase particle each phase holds more than this fraction of the mass."""
    active_low: float = 0.1
    """A particle is active if its state of charge is above this, and below ``active_high``, by two standard errors."""
    active_high: float = 0.9
    """Upper limit of the state of charge of an active particle; see ``active_low``."""
    psf_doubt: float = 0.01
    """Standard error of the correction for the PSF, as a share of the standard deviation of soc that the PSF levels out
    inside: the correction itself may vanish where its errors do not, at opposite rims (closure on simulated fields)."""
    minimum_pixels: int = 12
    """A particle of fewer pixels is flagged."""
    minimum_thickness_nm: float = 20.0
    """Thinner pixels are not used for what varies inside a particle; their mass still counts for its mean."""
    overlap_ratio: float = 1.5
    """Where a tenth of a particle is thicker than this multiple of its median, two plates may lie on each other."""
    noisy_se: float = 0.15
    """Median pixel standard error of soc above which phase fractions are noise."""


@dataclass(frozen=True, eq=False)
class ChemicalMaps:
    """What a fit says of every pixel of one scan."""

    thickness_nm: Real
    """(2, Y, X) floating, nm of (discharged, charged) end-member; NaN where not fitted"""
    covariance: Real
    """(3, Y, X) floating, nm^2: variances and covariance in the order 00, 01, 11"""
    soc: Real
    """(Y, X) floating, state of charge"""
    soc_se: Real
    """(Y, X) floating, its standard error"""
    mask_class: U8
    """(Y, X) uint8, stxmdist.arrays.MaskClass"""
    noise_correlation_px2: float = 1.0
    """Sum of the noise autocorrelation over all lags, px^2: 1 for white noise, 4 pi s^2 for white noise smoothed with
    sigma s
    """


@dataclass(frozen=True)
class Pixels:
    """One particle cut out of the maps, with a rim of one pixel; all (Y, X) of the cut-out."""

    inside: Mask
    """Within the outline"""
    counted: Mask
    """Within the reach, and of a class that may be trusted"""
    doubtful: Mask
    """Within the outline, and of class poor_fit"""
    interior: Mask
    """Within the outline, and of class valid"""
    charged: F64
    total: F64
    covariance: F64
    soc: F64
    soc_se: F64

    @classmethod
    def of(cls, maps: ChemicalMaps, inside: Mask, reached: Mask, box: tuple[slice, ...]) -> "Pixels":
        """Cut the maps at the box; the outline and the reach (Y, X) are those of the cut-out."""
        thickness_nm, covariance = maps.thickness_nm[:, *box], maps.covariance[:, *box]
        known = np.isfinite(thickness_nm).all(axis=0) & np.isfinite(covariance).all(axis=0)
        counted = reached & known & np.isin(maps.mask_class[box], [int(kind) for kind in COUNTED])
        discharged, charged = (np.where(known, part, 0.0).astype(np.float64) for part in thickness_nm)
        return cls(
            inside=inside,
            counted=counted,
            doubtful=inside & known & (maps.mask_class[box] == MaskClass.poor_fit),
            interior=counted & inside & (maps.mask_class[box] == MaskClass.valid),
            charged=charged,
            total=discharged + charged,
            covariance=np.where(known, covariance, 0.0).astype(np.float64),
            soc=np.asarray(maps.soc[box], dtype=np.float64),
            soc_se=np.asarray(maps.soc_se[box], dtype=np.float64),
        )

    def mean_soc(self, pixels: Mask) -> float:
        """Mass-weighted state of charge of some of the pixels."""
        return float(self.charged[pixels].sum() / self.total[pixels].sum())

    def ratio_bias(self, pixels: Mask, mean: float, correlation: float) -> float:
        """What noise adds to ``mean_soc``, a ratio of sums, to first order: (mean Var(total) - Cov(charged, total)) /
        total^2 (Cochran, Sampling Techniques (1977), 6.8).
        """
        v00, v01, v11 = (float(part[pixels].sum()) for part in self.covariance)
        mass = float(self.total[pixels].sum())
        return correlation * (mean * (v00 + 2.0 * v01 + v11) - (v01 + v11)) / mass**2

    def residual_variance(self, mean: float) -> F64:
        """(Y, X) variance in nm^2 of ``charged - mean * total`` from the covariance of the fit."""
        v00, v01, v11 = self.covariance
        return np.asarray((1 - mean) ** 2 * v11 - 2 * mean * (1 - mean) * v01 + mean**2 * v00, dtype=np.float64)


def counted_classes(mask_class: U8, thickness_nm: Real, least_counts: float = 0.0) -> U8:
    """Classes (Y, X) by which a particle's mass is summed: a pixel whose state of charge is too noisy still has mass.

    Such pixels are thin ones whose noise happens to be low or high: without them the mean of a particle in few photons
    is off by .03. Where a least number of counts is asked for (``least_counts`` above 0), pixels below stay out.

    Parameters
    ----------
    mask_class
        (Y, X) uint8, ``stxmdist.arrays.MaskClass``
    thickness_nm
        (COMPONENT, Y, X) floating, NaN where not fitted
    """
    noisy = (mask_class == MaskClass.low_count) & np.isfinite(thickness_nm).all(axis=0)
    if least_counts > 0.0:
        return mask_class
    return np.where(noisy, np.uint8(MaskClass.background), mask_class).astype(np.uint8)


def intra_variance(here: Pixels, looked: Mask, correlation: float) -> float:
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


def phase_fractions(here: Pixels, looked: Mask, options: ChemistryOptions) -> tuple[float, float, float]:
    """Mass fractions of charged, mixed and discharged pixels; NaN where no pixel can be looked at."""
    if not looked.any():
        return (float("nan"),) * 3
    mass, soc = here.total[looked], here.soc[looked]
    charged = float(mass[soc > options.charged_above].sum() / mass.sum())
    discharged = float(mass[soc < options.discharged_below].sum() / mass.sum())
    return charged, 1.0 - charged - discharged, discharged


def phase_class(
    here: Pixels,
    looked: Mask,
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


def _boundary_length_px(soc: F64, looked: Mask) -> float:
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
    return here.mean_soc(shell) - here.mean_soc(core)


def overlapping(here: Pixels, options: ChemistryOptions) -> bool:
    """Whether a tenth of the particle is much thicker than the rest of it."""
    total = here.total[here.counted & here.inside]
    return bool((total > options.overlap_ratio * np.median(total)).mean() > 0.1)
