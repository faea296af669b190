"""Segment's second look at the stack: whether the particles it found hold more than the end-members."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stxmdist.arrays import MaskClass
from stxmdist.runner.unit import Unit
from stxmdist.spectra.components import ResidualSums, missing_spectrum, more_terms, residual_sums
from stxmdist.spectra.fit import background_columns
from stxmdist.spectra.pulls import morans_test
from stxmdist.spectra.systematics import shared_od_variance
from stxmdist.stages.spectral_model import SpectralModel, without_pre_edge

Floats = NDArray[np.floating]

PIXELS_AT_ONCE = 16384
"""A block of so many pixels and their energies: 100 of them take 80 MB with the residuals' bases"""
BACKGROUNDS = ("constant", "power_law")
FLAG = "missing component"


@dataclass(frozen=True)
class CountOptions:
    """When a particle is said to lack a component."""

    most_p: float = 0.001
    """Chance gives as much less often, in a whole scan: the p of a particle is multiplied by their number"""
    least_share: float = 0.025
    """A smaller share of the optical density is noted in the table, and not flagged: references and beam err by as much
    """
    moran_draws: int = 99
    """Draws of noise beside which clustering of misfit is judged"""


def component_columns(
    unit: Unit,
    model: SpectralModel,
    labels: NDArray[np.int32],
    mask_class: NDArray[np.uint8],
    noise_correlation_px2: float,
    i0_relative_variance: Floats,
    options: CountOptions,
) -> tuple[dict[str, Floats], dict[str, Any]]:
    """Columns of the particle table, and quality figures of the scan; the stack is read by blocks of rows.

    Only pixels of class valid take part: at edges transmissions are averaged, and their spectra are no sums.
    """
    ids = np.unique(labels[labels > 0])
    n_terms = model.design.shape[1]
    if not ids.size or len(model.design) < n_terms + 2:
        why = "no particles" if not ids.size else f"{len(model.design)} energies are too few to count components"
        unknown = dict.fromkeys(COLUMNS, np.full(ids.size, np.nan))
        return unknown, {"missing_component": why}
    which = np.full(int(labels.max()) + 2, -1)
    which[ids] = np.arange(ids.size)
    particle = np.where((labels > 0) & (mask_class == MaskClass.valid), which[labels], -1)
    candidates = background_columns(model.energy_ev, "power_law")
    sums, thickness = _sums(unit, model, particle, ids.size, candidates)
    shared = shared_od_variance(
        thickness,
        model.end_members,
        model.energy_ev,
        shift_ev=model.shift_ev,
        shift_se_ev=model.shift.se_ev,
        i0_relative_variance=i0_relative_variance,
    )
    found = missing_spectrum(sums, n_terms, noise_correlation_px2, shared)
    freedom = sums.pixels * (len(model.design) - n_terms)
    chi2 = unit.source("fit").read("chi2_reduced")
    rng = np.random.default_rng(0)
    sigma_px = np.sqrt(max(0.0, noise_correlation_px2 - 1.0) / (8.0 * np.pi))
    moran = np.array([_moran(chi2, particle == at, rng, sigma_px, options.moran_draws) for at in range(ids.size)])
    with np.errstate(divide="ignore", invalid="ignore"):
        missing = (found.p * ids.size < options.most_p) & (found.share > options.least_share)
        columns = {
            "chi2_pooled": np.where(freedom > 0, sums.chi2 / freedom, np.nan),
            "p_missing_component": found.p,
            "missing_share": found.share,
            "components": np.where(np.isnan(found.p), np.nan, 2.0 + missing),
            "residual_moran_p": moran,
        }
    tested = int(np.isfinite(found.p).sum())
    share = float(np.median(found.share[missing])) if missing.any() else 0.0
    spectrum = np.average(found.od[missing], axis=0, weights=sums.pixels[missing]) if missing.any() else None
    wanting = {
        f"particles_wanting_{name}": int((more_terms(sums, n_terms, at, noise_correlation_px2).bic_gain > 0).sum())
        for at, name in enumerate(BACKGROUNDS)
        if at >= n_terms - 2
    }
    return columns, {
        "missing_component": _sentence(int(missing.sum()), tested, share),
        "particles_missing_component": int(missing.sum()),
        "missing_spectrum_od": spectrum,
        **wanting,
    }


COLUMNS = ("chi2_pooled", "p_missing_component", "missing_share", "components", "residual_moran_p")


def _sums(
    unit: Unit, model: SpectralModel, particle: NDArray[np.int64], n: int, candidates: Floats
) -> tuple[ResidualSums, Floats]:
    """Sums over the pixels of each particle, and the mean thicknesses (COMPONENT,) of all of them."""
    align, fit = unit.source("align"), unit.source("fit")
    ny, nx = particle.shape
    n_terms = model.design.shape[1]
    rows = max(1, PIXELS_AT_ONCE // nx)
    # None of them has a pixel: what the blocks are added to.
    total = residual_sums(
        np.zeros((len(model.design), 0)),
        np.zeros((n_terms, 0)),
        model.effective_counts,
        model.design,
        np.zeros(0, int),
        n,
        candidates,
    )
    mass = np.zeros(2)
    for start in range(0, ny, rows):
        part = slice(start, min(start + rows, ny))
        mine = particle[part].ravel()
        chosen = mine >= 0
        if not chosen.any():
            continue
        stack = align.read("transmission", (slice(None), part, slice(None)))
        transmission, level = without_pre_edge(stack.reshape(len(stack), -1)[model.used][:, chosen], model.before_edge)
        thickness = fit.read("thickness_nm", (slice(None), part, slice(None))).reshape(2, -1)[:, chosen]
        background = fit.read("background", (part, slice(None))).ravel()[chosen]
        # The fourth term is not kept; a scoring step finds it.
        start_at = np.concatenate([thickness, background[None], np.zeros((1, background.size))])[:n_terms]
        light = model.effective_counts[:, None] * level
        total = total + residual_sums(transmission, start_at, light, model.design, mine[chosen], n, candidates)
        mass += np.nansum(thickness, axis=1)
    return total, mass / max(1, int(total.pixels.sum()))


def _moran(chi2: Floats, inside: NDArray[np.bool_], rng: np.random.Generator, sigma_px: float, draws: int) -> float:
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not rows.size:
        return float("nan")
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return morans_test(chi2[box], inside[box], rng, sigma_px, draws)[1]


def _sentence(missing: int, tested: int, share: float) -> str:
    if not tested:
        return "no particle has enough pixels away from edges to count components"
    if not missing:
        return f"two end-members explain all of {tested} particles"
    return (
        f"two end-members do not explain {missing} of {tested} particles: what is missing is {share:.0%} of their "
        "optical density"
    )
