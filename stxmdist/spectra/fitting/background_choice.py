"""What is fitted beside the end-members: from a mean spectrum and films between particles, with the doubt left."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from stxmdist.arrays import F64, Mask
from stxmdist.spectra.end_members.design_matrix import Background, background_columns, condition_number
from stxmdist.spectra.end_members.mean_errors import (
    SHARP,
    LightBeside,
    freed_of_light,
    mean_covariance,
    whitening,
    widened,
)
from stxmdist.spectra.fitting.film_scatter import FilmScatter

BackgroundOption = Literal["auto", "none", "constant", "power_law"]
"""What a user may ask for: one of the backgrounds, or that the data decide"""

LEAST_OD_SHARE = 0.02
"""A background of a smaller share of the largest optical density is not fitted; it adds to the error"""
SIGNIFICANT_SD = 3.0
"""A background is fitted where it is this many standard errors from zero"""
UNSEEN_OD = 0.05
"""Standard deviation of a constant of which the spectrum says nothing: what binder and carbon beside the free part of
a field usually absorb"""
ONSET = 0.1
"""The edge begins where the end-members exceed their least absorption by this share of its range"""
_WORST_CONDITION = 1e3
_MOST_EXPONENT = 1e3
_SHAPES: tuple[Background, ...] = ("none", "constant", "power_law")
_FITTED: dict[Background, str] = {
    "none": "no background is fitted",
    "constant": "a constant is fitted",
    "power_law": "a constant and a power law are fitted",
}


@dataclass(frozen=True, eq=False)
class MeanSpectrum:
    """The mean spectrum of a stack and what explains it, all (ENERGY used,) unless said otherwise."""

    energy_ev: F64
    mean_od: F64
    """NaN where not known"""
    variance: F64
    end_members: F64
    """(ENERGY used, 2) optical density per unit of thickness"""
    shifted: F64 | None = None
    """(SHIFT, ENERGY used, 2) the same at other energy shifts, all equally likely; None: the shift is known"""
    light: LightBeside = SHARP
    """What is known of light that passes beside the particles"""


@dataclass(frozen=True, eq=False)
class BackgroundChoice:
    """The background of a stack."""

    background: Background
    said: str
    """Why, in a sentence with numbers"""
    doubt_od: F64
    """(ENERGY used,) one standard deviation of what absorbs beside that and is not fitted, alike in all pixels"""
    before_edge_od: float = float("nan")
    """Mean optical density before the edge; NaN without energies there"""
    explained_od: float = float("nan")
    """What the end-members absorb there, behind light from beside"""


@dataclass(frozen=True, eq=False)
class _Found:
    """The amount of the last term of a background, and of the end-members beside it."""

    amount: float
    se: float
    se_of_seen: float
    """The same if light from beside and energy shift were known: of what is seen"""
    thickness: F64
    """(2,)"""
    od: F64
    """(ENERGY used,) of the spectrum, freed of light from beside; NaN where not known"""


def choose_background(
    spectrum: MeanSpectrum, asked: BackgroundOption = "auto", film: FilmScatter | None = None
) -> BackgroundChoice:
    """The background that is fitted to a stack, from its mean spectrum and the ``film`` between its particles.

    The richest one whose last term is significant and absorbs enough to matter: power law, constant, none. Where a film
    shows between the particles, at least a constant: under them it is as patchy, and may be little on average. Standard
    errors rest on counting noise, on what else a mean spectrum cannot be trusted with (``mean_errors``), and on the
    energy shift; they grow with the misfit. What is not fitted stays as a doubt: the next term with the size and the
    error that the mean spectrum gives it.
    """
    known = np.isfinite(spectrum.mean_od) & np.isfinite(spectrum.variance) & (spectrum.variance > 0.0)
    columns = background_columns(spectrum.energy_ev, "power_law")
    found = [_last_term(spectrum, columns[:, :n], known) for n in (1, 2)]
    chosen = asked if asked != "auto" else _richest(spectrum, columns, found)
    between = film if film is not None and film.shows and found[0] is not None else None
    patchy = asked == "auto" and chosen == "none" and between is not None
    chosen = "constant" if patchy else chosen
    beyond = _SHAPES.index(chosen)
    doubt = np.zeros(spectrum.energy_ev.size)
    if beyond < len(columns.T):
        # All of a constant that is there may fall with energy as carbon does.
        before = found[beyond - 1] if beyond else None
        there = max(abs(before.amount) if before else UNSEEN_OD, between.od if between else 0.0)
        doubt = columns[:, beyond] * _doubt(found[beyond], there)
    end = _FITTED[chosen] + ("" if asked == "auto" else ", as was asked for")
    if patchy and film is not None:
        end = f"between the particles a film varies by {film.od:.2f} from place to place: {end}"
    od = _before(spectrum, known, found[1] if chosen == "power_law" and found[1] is not None else found[0])
    return BackgroundChoice(chosen, _sentence(spectrum, known, end, found[0], od), doubt, *od)


def before_the_edge(end_members: F64, energy_ev: F64) -> Mask:
    """Which energies (ENERGY,) lie before the edge of both end-members (ENERGY, 2)."""
    height = end_members.max(axis=1)
    risen = energy_ev[height > height.min() + ONSET * np.ptp(height)]
    return np.asarray(energy_ev < risen.min() if risen.size else np.zeros(energy_ev.shape), dtype=np.bool_)


def _last_term(spectrum: MeanSpectrum, columns: F64, known: Mask) -> _Found | None:
    """The last of the background's terms (ENERGY, TERM), fitted with the end-members; None where it cannot be told."""
    design = np.concatenate([spectrum.end_members, columns], axis=1)[known]
    # A power law beside a constant is believed where at least one energy is left to contradict it.
    n_energy, n_terms = design.shape
    if len(np.unique(spectrum.energy_ev[known])) < n_terms + (columns.shape[1] > 1):
        return None
    if not condition_number(design) < _WORST_CONDITION:
        return None
    shifted = spectrum.end_members[None] if spectrum.shifted is None else spectrum.shifted
    designs = [np.concatenate([at, columns], axis=1)[known] for at in shifted]
    od, noise, freedom = spectrum.mean_od[known], spectrum.variance[known], n_energy - n_terms
    found, freed_od, variance, chi2, apart = [], [], [], [], []
    for share, freed, grown in freed_of_light(od, spectrum.light):
        white = whitening(mean_covariance(freed, noise * grown, light_sd=0.0))
        for at in designs:
            inverse = np.linalg.pinv(white @ at)
            found.append(inverse @ (white @ freed))
            left = white @ (freed - at @ found[-1])
            freed_od.append(freed)
            variance.append(float((inverse[-1] ** 2).sum()))
            chi2.append(float(left @ left))
            apart.append(spectrum.light.unlikeliness(share))
    least, amounts = min(chi2), np.array(found)
    excess = widened(least, freedom)
    likely = np.exp(-0.5 * ((np.array(chi2) - least) / excess + np.array(apart)))
    likely /= likely.sum()
    mean = likely @ amounts
    known_light = float(likely @ (excess * np.array(variance)))
    spread = known_light + float(likely @ (amounts[:, -1] - mean[-1]) ** 2)
    free_of_light = np.full(known.shape, np.nan)
    free_of_light[known] = likely @ np.array(freed_od)
    return _Found(float(mean[-1]), float(np.sqrt(spread)), float(np.sqrt(known_light)), mean[:2], free_of_light)


def _richest(spectrum: MeanSpectrum, columns: F64, found: list[_Found | None]) -> Background:
    for at in (1, 0):
        one = found[at]
        if one is None:
            continue
        largest = float((spectrum.end_members @ np.maximum(one.thickness, 0.0)).max())
        absorbs = abs(one.amount) * float(np.ptp(columns[:, at]) if at else 1.0)
        if abs(one.amount) > SIGNIFICANT_SD * one.se and absorbs > LEAST_OD_SHARE * largest:
            return _SHAPES[at + 1]
    return "none"


def _doubt(found: _Found | None, prior_sd: float = UNSEEN_OD) -> float:
    """Root mean square of an amount that is not fitted; ``prior_sd`` is what is known without the spectrum.

    Half of all fields have none of it, as far as is known, and the others twice that variance: where the spectrum finds
    none and would have seen it, what is left is mostly the first.
    """
    if found is None:
        return prior_sd
    slab, noise = 2.0 * prior_sd**2, found.se**2
    trust = slab / (slab + noise)
    # Of none against some: both are normal about zero.
    odds = np.exp(-0.5 * min(trust * found.amount**2 / noise, _MOST_EXPONENT)) / np.sqrt(1.0 - trust)
    return float(np.hypot(trust * found.amount, np.sqrt(trust) * found.se) / np.sqrt(1.0 + odds))


def _before(spectrum: MeanSpectrum, known: Mask, found: _Found | None) -> tuple[float, float]:
    """Mean optical density before the edge, and what the end-members absorb of it; NaN where not known."""
    before = before_the_edge(spectrum.end_members, spectrum.energy_ev) & known
    if not before.any() or found is None:
        return float("nan"), float("nan")
    seen = float(spectrum.mean_od[before].mean())
    return seen, seen - float((found.od[before] - spectrum.end_members[before] @ found.thickness).mean())


def _sentence(spectrum: MeanSpectrum, known: Mask, end: str, constant: _Found | None, od: tuple[float, float]) -> str:
    """Why a background was chosen, from what is found and ``od``, measured before the edge and explained."""
    if constant is None:
        energies = len(np.unique(spectrum.energy_ev[known]))
        return (
            f"{energies} energies cannot tell a background from the end-members: {end}, and the error allows for "
            f"{UNSEEN_OD:g} of optical density"
        )
    if np.isnan(od[0]):
        error = max(constant.se, 0.01)
        return (
            f"no energy lies before the edge; {constant.amount:.2f} +- {error:.2f} of optical density is found beside "
            f"the end-members: {end}"
        )
    error = max(constant.se_of_seen, 0.01)
    before = spectrum.energy_ev[before_the_edge(spectrum.end_members, spectrum.energy_ev) & known]
    low, high = float(before.min()), float(before.max())
    where = f"{low:.1f} eV" if low == high else f"{low:.1f} to {high:.1f} eV"
    return (
        f"{od[0]:.2f} +- {error:.2f} of optical density before the edge ({where}) where the end-members have "
        f"{od[1]:.2f}: {end}"
    )
