"""From transmission to thicknesses of the end-members, pixel by pixel: what fitters take, return and promise.

The model of a pixel is T(E) = exp(-sum_t A(E, t) theta_t): terms are the two end-members and, where asked, a constant
and a power law. Coefficients are never clipped unless the fitter's name says so, because clipping biases the state of
charge.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from stxmdist.arrays import F32, F64, Mask, Real
from stxmdist.registry import Entry, Table


@dataclass(frozen=True)
class FitOptions:
    """How fitters iterate and weigh; each obeys what concerns it."""

    iterations: int = 12
    """A pixel takes at most so many steps of Fisher scoring"""
    tolerance_sd: float = 1e-3
    """A pixel is done when no coefficient moved by more than this many of its standard deviations"""
    bias_removed: bool = True
    """Poisson likelihood: subtract the first-order bias of the maximum, which averages over pixels do not shed"""
    weighted: bool = True
    """Least squares and NNLS: weight optical density by counts; False: all energies alike, as most programs do"""
    energies_ev: tuple[float, float] | None = None
    """Two-energy and polar-angle fits: the measured energies nearest to these, the one at which the discharged state
    absorbs more first (LFP: 708.2, 710.2); None: where the end-members differ most
    """
    total_thickness: float | None = None
    """Sum to one: both thicknesses together, in the unit of thickness; None: from the pixel's own edge jump"""


@dataclass(frozen=True, eq=False)
class FitContext:
    """What some fitters need beside transmission, counts and design; the others look at threads alone."""

    energy_ev: F64 | None = None
    """(ENERGY,) photon energies"""
    mean_od: F64 | None = None
    """(ENERGY,) optical density of the stack's particles, in which peaks are found; None: in that of the end-members"""
    slope: F64 | None = None
    """(ENERGY, TERM) derivative of the design by energy, per eV"""
    phase: F32 | None = None
    """(ENERGY, PIXEL) phase of the complex transmission in radians, 0 in vacuum"""
    phase_design: F64 | None = None
    """(ENERGY, TERM) phase in radians per unit of each coefficient"""
    threads: int = 1
    """On how many threads blocks of pixels are shared; the numbers do not depend on it"""


@dataclass(frozen=True, eq=False)
class Fit:
    """Coefficients of every pixel with their uncertainty; NaN where a pixel has a NaN or too little light to say
    anything.
    """

    coefficients: F32
    """(TERM, PIXEL) float32, in the unit of 1/design"""
    covariance: F32
    """(TERM, TERM, PIXEL) float32, of the unconstrained estimate, from counting statistics alone"""
    chi2_reduced: F32
    """(PIXEL,) float32: Pearson's chi-square per degree of freedom; NaN where energies do not outnumber terms"""
    maps: Mapping[str, F32] = field(default_factory=dict)
    """What a fitter finds beside the coefficients, (PIXEL,) float32, by the name of the array in the store"""
    covered: F32 | None = None
    """(PIXEL,) float32 share of each pixel that the particle covers; None: all of it"""


class Fitter(Protocol):
    """From the transmission of pixels to coefficients with their covariance."""

    def __call__(
        self,
        transmission: F32,
        effective_counts: F64,
        design: F64,
        options: FitOptions | None = None,
        beside: FitContext | None = None,
        /,
    ) -> Fit:
        """Fit ``transmission`` (ENERGY, PIXEL) float32 with Var(T) = T / ``effective_counts`` (ENERGY,).

        ``design`` (ENERGY, TERM) float64 is the optical density per unit of each coefficient.
        """
        ...


@dataclass(frozen=True)
class FittedMap:
    """A map that a fitter leaves beside the coefficients: an array (Y, X) float32 of the store, NaN where not known."""

    name: str
    unit: str
    meaning: str


@dataclass(frozen=True)
class Rounding:
    """By how much more than a linear fit of the whole spectrum a fitter magnifies the rounding of float32 data."""

    coefficients: float = 1.0
    chi2_reduced: float = 1.0


@dataclass(frozen=True)
class FitterEntry(Entry[Fitter]):
    """One line of the table of fitters."""

    maps: tuple[FittedMap, ...] = ()
    """What it leaves beside the coefficients: the keys of ``Fit.maps``"""
    takes_logarithms: bool = False
    """Whether it fits optical density and leaves out energies at which a pixel counted nothing, as there is no
    logarithm of zero. Its pixels are then of class ``low_count``
    """
    needs_every_count: bool = False
    """Whether a pixel without a count at an energy that the fitter looks at is NaN"""
    two_energies: bool = False
    """Whether it looks at two energies alone: there is no room for a background, and no chi-square"""
    needs_l2_line: bool = False
    """Whether the energies must reach beyond the L2 line"""
    wants_phase: bool = False
    """Whether it fits the phase of a ptychographic stack too, and refuses a stack without"""
    rounding: Rounding = Rounding()
    """How exact it must be in the contract test"""
    seconds_limit: float | None = None
    """Longest time of the benchmark in seconds: 100 energies of 512 x 512 pixels with covariance, on two cores"""


FITTERS: Table[FitterEntry] = Table(
    "fitter",
    {
        "poisson": FitterEntry("stxmdist.spectra.fitters.poisson:fit", seconds_limit=0.8),
        "poisson_non_negative": FitterEntry("stxmdist.spectra.fitters.poisson_non_negative:fit"),
        "nnls": FitterEntry("stxmdist.spectra.fitters.nnls:fit", takes_logarithms=True, seconds_limit=0.15),
        "least_squares": FitterEntry("stxmdist.spectra.fitters.least_squares:fit", takes_logarithms=True),
        "sum_to_one": FitterEntry(
            "stxmdist.spectra.fitters.sum_to_one:fit", takes_logarithms=True, needs_every_count=True
        ),
        "two_energy": FitterEntry("stxmdist.spectra.fitters.two_energy:fit", two_energies=True, needs_every_count=True),
        "polar_angle": FitterEntry(
            "stxmdist.spectra.fitters.polar_angle:fit",
            maps=(
                FittedMap("polar_angle_deg", "deg", "angle of the optical densities at two energies"),
                FittedMap("polar_angle_se_deg", "deg", "standard error of the angle"),
            ),
            two_energies=True,
            needs_every_count=True,
        ),
        # Heights and areas of peaks tell the end-members apart less well than their whole spectra do. Areas of L3 and
        # L2 are nearly proportional in LiFePO4 and FePO4.
        "white_line": FitterEntry(
            "stxmdist.spectra.fitters.white_line:fit", needs_every_count=True, rounding=Rounding(10.0, 10.0)
        ),
        "l3_l2": FitterEntry(
            "stxmdist.spectra.fitters.l3_l2:fit",
            needs_every_count=True,
            needs_l2_line=True,
            rounding=Rounding(60.0, 60.0),
        ),
        "complex": FitterEntry("stxmdist.spectra.fitters.complex_index:fit", takes_logarithms=True, wants_phase=True),
        # Where two unknowns nearly compensate one another, rounding errors of both grow.
        "fill_factor": FitterEntry(
            "stxmdist.spectra.fitters.fill_factor:fit",
            maps=(
                FittedMap("fill_factor", "1", "share of the pixel that the particle covers"),
                FittedMap("fill_factor_se", "1", "standard error of the share"),
            ),
            rounding=Rounding(coefficients=60.0),
        ),
        "poisson_shift": FitterEntry(
            "stxmdist.spectra.fitters.poisson_shift:fit",
            maps=(
                FittedMap("energy_shift_ev", "eV", "the pixel's own energy shift, beside the stack's"),
                FittedMap("energy_shift_se_ev", "eV", "standard error of the pixel's own energy shift"),
            ),
            rounding=Rounding(coefficients=5.0),
        ),
    },
)
"""All fitters: adding one is one file and one line here"""


def state_of_charge(thickness: Real, covariance: Real) -> tuple[F32, F32]:
    """State of charge (...) float32, charged / (discharged + charged), unclipped, and its variance by the delta method.

    ``thickness`` is (COMPONENT, ...), ``covariance`` (COMPONENT, COMPONENT, ...) or its pairs 00, 01, 11 as (3, ...).
    With g = (-b, a)/(a + b)^2 the variance is g' C g. NaN where the total is not positive: no metal,
    no soc.
    """
    discharged, charged = np.asarray(thickness[0], np.float64), np.asarray(thickness[1], np.float64)
    if covariance.ndim == thickness.ndim + 1:
        c00, c01, c11 = covariance[0, 0], covariance[0, 1], covariance[1, 1]
    else:
        c00, c01, c11 = covariance[0], covariance[1], covariance[2]
    total = discharged + charged
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        total = np.where(total > 0.0, total, np.nan)
        soc = charged / total
        variance = (charged**2 * c00 - 2.0 * charged * discharged * c01 + discharged**2 * c11) / total**4
        return soc.astype(np.float32), variance.astype(np.float32)


def residual_od(transmission: F32, coefficients: F32, design: F64) -> F32:
    """Measured minus fitted optical density (ENERGY, PIXEL) float32; NaN where nothing was counted."""
    with np.errstate(divide="ignore", invalid="ignore"):
        measured = np.where(transmission > 0.0, -np.log(transmission), np.nan).astype(np.float32)
    return np.asarray(measured - design.astype(np.float32) @ coefficients, dtype=np.float32)


def r_factor(transmission: F32, coefficients: F32, design: F64) -> F32:
    """Share of the end-members' spectrum that the fit leaves over: sum (OD - fit)^2 / sum (OD - background)^2,
    (PIXEL,).

    Ravel's and larch's R-factor, float32. Background terms (third column of the design on) are taken off first: an
    R-factor that counts the supporting film as explained would flatter. Energies without counts are left out.
    """
    residual = residual_od(transmission, coefficients, design)
    cathode = design[:, :2].astype(np.float32) @ coefficients[:2] + residual
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.nansum(residual**2, axis=0) / np.nansum(cathode**2, axis=0)
    return np.where(np.isfinite(coefficients).all(axis=0), share, np.nan).astype(np.float32)


def mean_residual(transmission: F32, coefficients: F32, design: F64, chosen: Mask | None = None) -> tuple[F64, F64]:
    """Residual spectrum averaged over chosen pixels and its standard error, both (ENERGY,) float64.

    What the end-members cannot explain stands out here long before it does in a pixel.
    """
    use = np.isfinite(coefficients).all(axis=0)
    if chosen is not None:
        use &= chosen
    residual = residual_od(transmission[:, use], coefficients[:, use], design).astype(np.float64)
    known = np.isfinite(residual)
    n = known.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(known, residual, 0.0).sum(axis=1) / n
        spread = np.where(known, residual - mean[:, None], 0.0)
        error = np.sqrt((spread**2).sum(axis=1) / np.maximum(n - 1, 1) / n)
    return mean, np.where(n > 1, error, np.nan)
