"""White lines above arctangent steps: peaks are found once in a stack's mean spectrum, then used in every pixel.

A pixel's optical density is described by a constant, an edge step of 2/3 at L3 and 1/3 at L2, and Gaussian peaks whose
centres and widths are those of the stack. The peak heights are then linear in the optical density. A feature of a pixel
(a height or an area) is compared with the same feature of the end-members' own spectra, computed by the same linear
functional. What the peaks do not describe distorts both in the same way, so mixtures of the end-members are recovered
exactly.
"""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F32, F64
from stxmdist.errors import InputError
from stxmdist.spectra.end_members.design_matrix import condition_number
from stxmdist.spectra.fitters.contract import Fit, FitContext
from stxmdist.spectra.kernels.fit_input import fit_input
from stxmdist.spectra.kernels.functional_blocks import apply_functional

_STEP_BELOW_PEAK_EV = 0.7
_STEP_WIDTH_EV = 1.3
"""Full width at half maximum of the arctangent's slope: lifetime and instrument"""
_WIDTHS_EV = (0.3, 0.8, 2.0)
_CENTRE_MOVES_EV = 0.6
_L2_AT_LEAST_EV = 7.0
"""Spin-orbit splitting of the lightest metal in use, minus the widths of the peaks"""
_APART_EV = 0.6
_WORST_CONDITION = 1e3


@dataclass(frozen=True)
class Peaks:
    """Gaussian white lines; the two steps lie at a fixed distance below them."""

    centres_ev: tuple[float, ...]
    """Centres of the discharged state's L3 line, of the charged state's L3 line and, if measured, of the L2 line"""
    sigmas_ev: tuple[float, ...]
    """Standard deviations of the same lines"""

    @property
    def has_l2(self) -> bool:
        """Whether the energies reach the L2 line."""
        return len(self.centres_ev) > 2

    def basis(self, energy_ev: F64) -> F64:
        """Columns (ENERGY, 2 + PEAK) float64: a constant, the step, and each peak with height 1."""
        l3_ev = min(self.centres_ev[:2]) - _STEP_BELOW_PEAK_EV
        step = _step(energy_ev, l3_ev)
        if self.has_l2:
            step = 2.0 / 3.0 * step + _step(energy_ev, self.centres_ev[2] - _STEP_BELOW_PEAK_EV) / 3.0
        lines = [
            np.exp(-((energy_ev - centre) ** 2) / (2.0 * sigma**2))
            for centre, sigma in zip(self.centres_ev, self.sigmas_ev, strict=True)
        ]
        return np.stack([np.ones_like(energy_ev), step, *lines], axis=1)


def _step(energy_ev: F64, centre_ev: float) -> F64:
    return np.asarray(0.5 + np.arctan((energy_ev - centre_ev) / (_STEP_WIDTH_EV / 2.0)) / np.pi)


def find_peaks(energy_ev: F64, mean_od: F64, design: F64) -> Peaks:
    """Centres and widths of the white lines in a mean spectrum (ENERGY,), starting from the end-members' own maxima.

    The first two columns of ``design`` (ENERGY, TERM) are the end-members. Centres and widths follow from bounded least
    squares; the heights, which are linear, are solved exactly at each step (variable projection).

    Raises
    ------
    InputError
        if the maxima of the two end-members coincide, or the energies are too few for the peaks
    """
    from scipy.optimize import least_squares

    in_l3 = energy_ev < energy_ev[int(np.argmax(design[:, :2].sum(axis=1)))] + _L2_AT_LEAST_EV
    l3 = energy_ev[in_l3]
    centres = [float(l3[int(np.argmax(design[in_l3, component]))]) for component in (0, 1)]
    if abs(centres[1] - centres[0]) < _APART_EV:
        # Both states share one line: take where each of them absorbs most relative to the other.
        share = design[in_l3, :2] / design[in_l3, :2].max(axis=0)
        more = share[:, 1] - share[:, 0]
        centres = [float(l3[int(np.argmin(more))]), float(l3[int(np.argmax(more))])]
    beyond = energy_ev > max(centres) + _L2_AT_LEAST_EV
    if np.count_nonzero(beyond) >= 4:
        centres.append(float(energy_ev[beyond][int(np.argmax(mean_od[beyond]))]))
    if abs(centres[1] - centres[0]) < _APART_EV or energy_ev.size < 2 + 3 * len(centres):
        raise InputError(
            where="peak fit",
            problem="the energies do not resolve the white lines",
            got=f"{energy_ev.size} energies, lines at {centres[0]:.2f} and {centres[1]:.2f} eV",
            wanted=f"at least {2 + 3 * len(centres)} energies, and lines {_APART_EV:g} eV apart or more",
            mend="Measure more energies across the white lines, or choose another fitter",
        )
    n = len(centres)

    def peaks_of(values: F64) -> Peaks:
        return Peaks(tuple(values[:n].tolist()), tuple(values[n:].tolist()))

    def misfit(values: F64) -> F64:
        basis = peaks_of(values).basis(energy_ev)
        return np.asarray(basis @ np.linalg.lstsq(basis, mean_od, rcond=None)[0] - mean_od)

    narrow, usual, wide = _WIDTHS_EV
    start = np.array([*centres, *([usual] * n)])
    low = np.array([*(c - _CENTRE_MOVES_EV for c in centres), *([narrow] * n)])
    high = np.array([*(c + _CENTRE_MOVES_EV for c in centres), *([wide] * n)])
    return peaks_of(least_squares(misfit, start, bounds=(low, high)).x)


def fit_features(
    transmission: F32,
    effective_counts: F64,
    design: F64,
    context: FitContext | None,
    *,
    areas: bool,
) -> Fit:
    """Thicknesses from two features of every pixel: the heights of both L3 lines, or the areas of L3 and L2.

    With B the basis of the peaks and P = (B'VB)^-1 B'V, V being the counts at the mean spectrum, the features of a
    spectrum are F P OD. Those of the end-members are M = F P A, so that theta = M^-1 F P OD = G OD. Background terms
    are added to B, and their coefficients are fitted to what remains after the end-members are subtracted.

    Raises
    ------
    InputError
        for shapes that do not match, a missing energy axis, energies that do not resolve the peaks, or end-members
        whose features are nearly proportional
    """
    context = context or FitContext()
    given = fit_input(transmission, effective_counts, design)
    if context.energy_ev is None:
        raise InputError(
            where="peak fit",
            problem="peaks are asked for, but it is not known at which energies the stack was measured",
            got="no energy axis",
            wanted="FitContext(energy_ev=...)",
            mend="Give the energy axis of the stack",
        )
    energy_ev = np.asarray(context.energy_ev, dtype=np.float64)[given.energies]
    used = np.asarray(design, dtype=np.float64)[given.energies]
    mean_od = used[:, :2].sum(axis=1) if context.mean_od is None else np.asarray(context.mean_od)[given.energies]
    peaks = find_peaks(energy_ev, mean_od, used)
    functional = functional_of(peaks, energy_ev, used, given.counts.astype(np.float64) * np.exp(-mean_od), areas=areas)
    return Fit(*apply_functional(given, used, functional, context.threads))


def functional_of(peaks: Peaks, energy_ev: F64, design: F64, weights: F64, *, areas: bool) -> F64:
    """G (TERM, ENERGY) float64 with theta = G OD, from the features that ``fit_features`` describes.

    Raises
    ------
    InputError
        if L2 is asked for and was not measured, or the end-members' features are nearly proportional
    """
    if areas and not peaks.has_l2:
        raise InputError(
            where="L3/L2 fit",
            problem="the energies do not reach the L2 line",
            got=f"up to {energy_ev.max():.1f} eV",
            wanted=f"beyond {max(peaks.centres_ev) + _L2_AT_LEAST_EV:.1f} eV",
            mend="Measure the L2 line too, or choose another fitter (white_line)",
        )
    # The constant, which is the first background term, is in the basis already.
    basis = np.concatenate([peaks.basis(energy_ev), design[:, 3:]], axis=1)
    weight = np.sqrt(weights)[:, None]
    projection = np.linalg.pinv(weight * basis) * weight.T
    chosen = np.zeros((2, basis.shape[1]))
    if areas:
        chosen[0, 2:4] = peaks.sigmas_ev[:2]
        chosen[1, 4] = peaks.sigmas_ev[2]
    else:
        chosen[0, 2] = chosen[1, 3] = 1.0
    features = chosen @ projection
    matrix = features @ design[:, :2]
    condition = condition_number(matrix) if np.isfinite(matrix).all() else float("inf")
    if not condition < _WORST_CONDITION:
        raise InputError(
            where="L3/L2 fit" if areas else "white-line fit",
            problem="the end-members' features cannot be told apart",
            got=f"condition number {condition:.3g}",
            wanted=f"below {_WORST_CONDITION:g}",
            mend="Choose another fitter (poisson), which uses the whole spectrum",
        )
    thickness = np.linalg.solve(matrix, features)
    rest = np.linalg.pinv(weight * design[:, 2:]) * weight.T
    return np.concatenate([thickness, rest @ (np.eye(energy_ev.size) - design[:, :2] @ thickness)])
