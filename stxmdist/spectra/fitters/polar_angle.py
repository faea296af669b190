"""The polar angle of two optical densities (Yu 2018): a pixel's chemistry as a direction, its thickness as a length."""

import numpy as np

from stxmdist.arrays import F32, F64
from stxmdist.spectra.fitters.contract import Fit, FitContext, FitOptions
from stxmdist.spectra.fitters.two_energy import pair_of
from stxmdist.spectra.kernels.fit_input import fit_input

_LEAST_TRANSMISSION = 1e-30


def fit(
    transmission: F32,
    effective_counts: F64,
    design: F64,
    options: FitOptions | None = None,
    context: FitContext | None = None,
) -> Fit:
    """Angle atan2(OD(E2), OD(E1)) of every pixel, and the mixture of end-members that lies at this angle and length.

    Arguments as in ``linear_fit.fit_linear``, the two energies as in ``two_energy.pair_of``. On the line between the
    end-members (a1, a2) and (b1, b2), given as optical density per nm, the state of charge at the angle phi is

        soc = (a2 cos phi - a1 sin phi) / ((a2 - b2) cos phi + (b1 - a1) sin phi),

    which is exact and not linear in phi. The length R gives the total, R / |a (1 - soc) + b soc|. Both errors are
    propagated: Var(phi) = (OD1^2 Var OD2 + OD2^2 Var OD1) / R^4 with Var(OD) = 1 / (N T). The thicknesses are those of
    ``two_energy``, computed in another way. Maps: ``polar_angle_deg`` and ``polar_angle_se_deg``. Source: Yu et al.,
    Nat. Commun. 9, 921 (2018).

    Raises
    ------
    InputError
        for shapes that do not match, background terms, or energies that cannot tell the end-members apart
    """
    options, context = options or FitOptions(), context or FitContext()
    pair = pair_of(effective_counts, design, options, context)
    given = fit_input(transmission[pair], np.asarray(effective_counts)[pair], np.asarray(design)[pair])
    (a1, b1), (a2, b2) = np.asarray(design, np.float64)[pair]
    od, variance = _optical_density(given.transmission, given.counts)
    angle = np.arctan2(od[1], od[0])
    cosine, sine = np.cos(angle), np.sin(angle)
    length = np.hypot(od[0], od[1])
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        # Thicknesses are computed directly and not as products of soc and total: at the angle opposite the two
        # end-members these two have no value, and the thicknesses do.
        determinant = a1 * b2 - a2 * b1
        coefficients = length * np.stack([b2 * cosine - b1 * sine, a1 * sine - a2 * cosine]) / determinant
        across = np.stack([-b2 * sine - b1 * cosine, a1 * cosine + a2 * sine]) * length / determinant
        along = coefficients / length
        angle_variance = (od[0] ** 2 * variance[1] + od[1] ** 2 * variance[0]) / length**4
        length_variance = (od[0] ** 2 * variance[0] + od[1] ** 2 * variance[1]) / length**2
        both = od[0] * od[1] * (variance[1] - variance[0]) / length**3
        covariance = np.empty((2, 2, od.shape[1]))
        for s in range(2):
            for t in range(2):
                mixed = across[s] * along[t] + along[s] * across[t]
                covariance[s, t] = (
                    across[s] * across[t] * angle_variance + along[s] * along[t] * length_variance + mixed * both
                )
    unknown = ~np.isfinite(od).all(axis=0)
    covariance[:, :, unknown] = np.nan
    return Fit(
        coefficients=coefficients.astype(np.float32),
        covariance=covariance.astype(np.float32),
        chi2_reduced=np.full(od.shape[1], np.nan, np.float32),
        maps={
            "polar_angle_deg": np.degrees(angle).astype(np.float32),
            "polar_angle_se_deg": np.degrees(np.sqrt(angle_variance)).astype(np.float32),
        },
    )


def _optical_density(transmission: F32, counts: F32) -> tuple[F64, F64]:
    """Optical density and its variance (2, PIXEL) float64; NaN where nothing was counted."""
    seen = transmission.astype(np.float64)
    seen = np.where(np.isfinite(seen) & (seen > _LEAST_TRANSMISSION), seen, np.nan)
    return -np.log(seen), 1.0 / (counts[:, None].astype(np.float64) * seen)
