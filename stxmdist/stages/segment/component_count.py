"""Segment's second look at the stack: whether the particles it found hold more than the end-members."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from stxmdist.arrays import I32, I64, U8, Mask, MaskClass, Real
from stxmdist.runner.unit import Unit
from stxmdist.spectra.checks.components import ResidualSums, extra_term_test, missing_spectrum, residual_sums
from stxmdist.spectra.checks.pulls import morans_test
from stxmdist.spectra.checks.systematics import shared_od_variance
from stxmdist.spectra.end_members.design_matrix import background_columns
from stxmdist.spectra.fitting.model import SpectralModel, without_pre_edge

PIXELS_AT_ONCE = 16384
"""A block of so many pixels and their energies: 100 of them take 80 MB with the residuals' bases"""
COUNTING_BYTES = PIXELS_AT_ONCE * 80
"""Of memory for each energy while components are counted"""
PARTICLES_AT_ONCE = 256
"""Particles whose residuals' covariances are held together: those of 100 energies take 20 MB"""
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
    labels: I32,
    mask_class: U8,
    noise_correlation_px2: float,
    i0_relative_variance: Real,
    options: CountOptions,
) -> tuple[dict[str, Real], dict[str, Any]]:
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
    thickness = unit.source("fit").read("thickness_nm")[:, particle >= 0]
    shared = shared_od_variance(
        thickness.mean(axis=1) if thickness.size else np.zeros(2),
        model.end_members,
        model.energy_ev,
        shift_ev=model.shift_ev,
        shift_se_ev=model.shift.se_ev,
        i0_relative_variance=i0_relative_variance,
    )
    batches = []
    for first in range(0, ids.size, PARTICLES_AT_ONCE):
        n = min(PARTICLES_AT_ONCE, ids.size - first)
        mine = np.where((particle >= first) & (particle < first + n), particle - first, -1)
        batches.append(_batch(_sums(unit, model, mine, n), n_terms, noise_correlation_px2, shared))
    every = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    p, share = every["p_missing_component"], every["missing_share"]
    with np.errstate(invalid="ignore"):
        missing = (p * ids.size < options.most_p) & (share > options.least_share)
    columns = {name: every[name] for name in ("chi2_pooled", "p_missing_component", "missing_share")} | {
        "components": np.where(np.isnan(p), np.nan, 2.0 + missing),
        "residual_moran_p": _moran(unit, particle, ids.size, noise_correlation_px2, options.moran_draws),
    }
    spectrum = np.average(every["od"][missing], axis=0, weights=every["pixels"][missing]) if missing.any() else None
    wanting = {
        f"particles_wanting_{name}": int((every[name] > 0.0).sum())
        for at, name in enumerate(BACKGROUNDS)
        if at >= n_terms - 2
    }
    return columns, {
        "missing_component": _sentence(missing, share),
        "particles_missing_component": int(missing.sum()),
        "missing_spectrum_od": spectrum,
        **wanting,
    }


COLUMNS = ("chi2_pooled", "p_missing_component", "missing_share", "components", "residual_moran_p")


def _batch(sums: ResidualSums, n_terms: int, correlation_px2: float, shared: Real) -> dict[str, Real]:
    """What is kept of the sums of some particles: a number or a spectrum of each."""
    found = missing_spectrum(sums, n_terms, correlation_px2, shared)
    freedom = sums.pixels * (sums.od.shape[1] - n_terms)
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = np.where(freedom > 0, sums.chi2 / freedom, np.nan)
    gains = {name: extra_term_test(sums, n_terms, at, correlation_px2).bic_gain for at, name in enumerate(BACKGROUNDS)}
    kept = {"chi2_pooled": pooled, "p_missing_component": found.p, "missing_share": found.share}
    return kept | {"od": found.od, "pixels": sums.pixels} | gains


def _sums(unit: Unit, model: SpectralModel, particle: I64, n: int) -> ResidualSums:
    """Sums over the pixels of each of ``n`` particles, numbered from 0 in ``particle`` (Y, X)."""
    align, fit = unit.source("align"), unit.source("fit")
    ny, nx = particle.shape
    n_terms = model.design.shape[1]
    candidates = background_columns(model.energy_ev, "power_law")
    rows = max(1, PIXELS_AT_ONCE // nx)
    # None of them has a pixel: what the blocks are added to.
    nothing = np.zeros((len(model.design), 0)), np.zeros((n_terms, 0))
    total = residual_sums(*nothing, model.effective_counts, model.design, np.zeros(0, int), n, candidates)
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
    return total


def _moran(unit: Unit, particle: I64, n: int, correlation_px2: float, draws: int) -> Real:
    """(PARTICLE,) how often noise alone clusters chi-square as much."""
    chi2 = unit.source("fit").read("chi2_reduced")
    rng = np.random.default_rng(0)
    # White noise smoothed by sigma has an area of 4 pi sigma^2, and its square half the variance of correlation.
    sigma_px = np.sqrt(max(0.0, correlation_px2 - 1.0) / (8.0 * np.pi))
    found = np.full(n, np.nan)
    for at, box in enumerate(ndimage.find_objects(particle + 1, max_label=n)):
        if box is not None:
            found[at] = morans_test(chi2[box], particle[box] == at, rng, sigma_px, draws)[1]
    return found


def _sentence(missing: Mask, share: Real) -> str:
    tested = np.isfinite(share)
    if not tested.any():
        return "no particle has enough pixels away from edges to count components"
    if not missing.any():
        return (
            f"two end-members explain all of {int(tested.sum())} particles but for at most "
            f"{float(share[tested].max()):.1%} of their optical density"
        )
    return (
        f"two end-members do not explain {int(missing.sum())} of {int(tested.sum())} particles: what is missing is "
        f"{float(np.median(share[missing])):.0%} of their optical density"
    )
