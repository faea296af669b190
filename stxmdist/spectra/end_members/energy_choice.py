"""EnergyChoice of photon energies that minimises the error of the state of charge for a number of photons or a dose.

No unbiased estimate has a smaller error than the Cramer-Rao bound, and the Poisson fit reaches it. The Fisher
information of independent energies adds up, so energies can be chosen before anything is measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64, Index
from stxmdist.errors import InputError
from stxmdist.spectra.end_members.design_matrix import Background, background_columns
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.units import joule_from_ev

SOCS = (0.0, 0.5, 1.0)
"""States of charge over which the variance is averaged: the energies must be good for all of them"""
_SHIFT_STEP_EV = 0.01
_EQUAL_PART = 0.5
"""Share of the light that is spread evenly, because the optimum for the state of charge would leave energies dark"""
_MOST_ROUNDS = 20
_SATURATED_OD = 2.5


@dataclass(frozen=True)
class Unknowns:
    """What is fitted in each pixel together with the two thicknesses."""

    background: Background = "none"
    """Shape of the background over energy"""
    shift: bool = False
    """Whether the energy shift is fitted too"""

    def count(self) -> int:
        """Number of coefficients of each pixel."""
        return 2 + {"none": 0, "constant": 1, "power_law": 2}[self.background] + int(self.shift)


@dataclass(frozen=True, eq=False)
class EnergyChoice:
    """Energies to measure, and the errors to expect."""

    energy_ev: F64
    """(ENERGY,) ascending"""
    share: F64
    """(ENERGY,) share of the photons, or of the dwell time if the beam is constant; the shares add up to 1"""
    photons: float
    """Photons per pixel at all energies together"""
    dose_mgy: float
    """Dose where the beam enters the sample, all energies together; NaN if the references have no density"""
    soc_sigma: F64
    """(SOC,) smallest possible standard deviation of a pixel's state of charge at each of ``SOCS``"""


def soc_sigma(
    end_members: EndMembers,
    energy_ev: F64,
    photons: F64,
    *,
    thickness_nm: float,
    soc: float = 0.5,
    unknowns: Unknowns | None = None,
) -> float:
    """Cramer-Rao bound of the standard deviation of a pixel's state of charge; inf if it is not determined.

    ``photons`` (ENERGY,) fall on the pixel at each of ``energy_ev``. The Fisher information of Poisson counts is
    A' diag(N exp(-A theta)) A, and sigma^2 = g' F^-1 g with g = (-b, a)/(a + b)^2.
    """
    unknowns = unknowns or Unknowns()
    energy = np.asarray(energy_ev, dtype=np.float64)
    information = _information(end_members, energy, thickness_nm, (soc,), unknowns)
    total = np.einsum("e,seij->sij", np.asarray(photons, dtype=np.float64), information)
    return float(np.sqrt(_variance(total, thickness_nm, (soc,))[0]))


def dose_per_photon_mgy(end_members: EndMembers, energy_ev: F64, pixel_nm: float) -> F64:
    """Dose (ENERGY,) float64 in MGy per photon on a pixel, D = F E mu/rho, in the state that absorbs more.

    NaN if the density of the references is not known.
    """
    mass = end_members.mass_absorption(energy_ev)
    if mass is None:
        return np.full(energy_ev.size, np.nan)
    per_cm2 = 1.0 / (pixel_nm * 1e-7) ** 2
    joule = np.array([joule_from_ev(float(energy)) for energy in energy_ev])
    return np.asarray(per_cm2 * joule * mass.max(axis=0) * 1e-3)  # 1 J/g is 1 kGy


def choose_energies(
    end_members: EndMembers,
    candidates_ev: F64,
    n: int,
    *,
    thickness_nm: float,
    pixel_nm: float = 30.0,
    photons: float | None = None,
    dose_mgy: float | None = None,
    unknowns: Unknowns | None = None,
    spacing_ev: float = 0.5,
) -> EnergyChoice:
    """The ``n`` of the candidates (ENERGY,) that determine the state of charge best for given photons or a given dose.

    Exactly one of ``photons`` (per pixel, all energies together) and ``dose_mgy`` is given. Energies are added one by
    one, then exchanged one by one as long as that reduces the variance averaged over ``SOCS`` (Fedorov's exchange).
    They stay at least ``spacing_ev`` apart, because closer ones would measure the same. Then the light is distributed:
    half of it evenly, half where it reduces the variance most (multiplicative algorithm of optimal design).

    Raises
    ------
    InputError
        for fewer energies than unknowns, too few candidates, neither or both of photons and dose, amounts that are not
        positive, and a dose if the density of the references is not known
    """
    unknowns = unknowns or Unknowns()
    candidates = np.unique(np.asarray(candidates_ev, dtype=np.float64))
    per_photon = dose_per_photon_mgy(end_members, candidates, pixel_nm)
    _check(candidates, n, unknowns, photons, dose_mgy, bool(np.isfinite(per_photon).all()), thickness_nm, pixel_nm)
    cost = np.ones_like(candidates) if dose_mgy is None else per_photon
    information = _information(end_members, candidates, thickness_nm, SOCS, unknowns)
    chosen = _exchange(information, cost, candidates, n, thickness_nm, spacing_ev)
    share = _shared(information[:, chosen], cost[chosen], thickness_nm)
    if photons is None:
        assert dose_mgy is not None
        photons = dose_mgy / float(share @ per_photon[chosen])
    total = np.einsum("e,seij->sij", photons * share, information[:, chosen])
    return EnergyChoice(
        candidates[chosen],
        share,
        float(photons),
        float(photons * share @ per_photon[chosen]),
        np.sqrt(_variance(total, thickness_nm, SOCS)),
    )


def limitations(choice: EnergyChoice, end_members: EndMembers, unknowns: Unknowns, thickness_nm: float) -> list[str]:
    """What cannot be found with a choice of energies, in sentences."""
    spare = choice.energy_ev.size - unknowns.count()
    sentences = []
    if spare == 0:
        sentences.append(
            "No third component: with as many energies as unknowns the fit is always exact, and there is no chi-square."
        )
    elif spare == 1:
        sentences.append(
            "Hardly a third component: with one energy more than unknowns a misfit is seen, but not its cause."
        )
    if unknowns.background == "none":
        sentences.append("No background: a film, a binder or an offset of I0 changes the state of charge.")
    if not unknowns.shift:
        sentences.append("No energy shift: calibrate the energy scale with a full spectrum of one field.")
    od = thickness_nm * end_members.at(choice.energy_ev).max(axis=0)
    if (od > _SATURATED_OD).any():
        where = ", ".join(f"{energy:.1f}" for energy in choice.energy_ev[od > _SATURATED_OD])
        sentences.append(
            f"Saturated at {where} eV, where the optical density of a pure particle is above {_SATURATED_OD}."
        )
    if end_members.control:
        sentences.append(f"The state of charge: {end_members.control}.")
    return sentences


def _information(
    members: EndMembers, energy_ev: F64, thickness_nm: float, socs: Sequence[float], unknowns: Unknowns
) -> F64:
    """Fisher information (SOC, ENERGY, TERM, TERM) of one incident photon at each energy."""
    mu = members.at(energy_ev).T
    fixed = np.concatenate([mu, background_columns(energy_ev, unknowns.background)], axis=1)
    inside = np.clip(energy_ev, members.energy_ev[0] + _SHIFT_STEP_EV, members.energy_ev[-1] - _SHIFT_STEP_EV)
    slope = (members.at(inside, _SHIFT_STEP_EV) - members.at(inside, -_SHIFT_STEP_EV)).T / (2.0 * _SHIFT_STEP_EV)
    found = []
    for soc in socs:
        thickness = thickness_nm * np.array([1.0 - soc, soc])
        terms = np.concatenate([fixed, slope @ thickness[:, None]], axis=1) if unknowns.shift else fixed
        found.append(np.einsum("e,ei,ej->eij", np.exp(-mu @ thickness), terms, terms))
    return np.stack(found)


def _variance(information: F64, thickness_nm: float, socs: Sequence[float]) -> F64:
    """Variance of the state of charge (..., SOC) from information (..., SOC, TERM, TERM); inf if that is singular."""
    soc = np.array(socs)
    gradient = np.zeros((soc.size, information.shape[-1]))
    gradient[:, 0], gradient[:, 1] = -soc / thickness_nm, (1.0 - soc) / thickness_nm
    # Scaled to a unit diagonal: terms are in nm, in optical density and in eV.
    scale = np.sqrt(np.maximum(np.diagonal(information, axis1=-2, axis2=-1), np.finfo(float).tiny))
    unit = information / (scale[..., :, None] * scale[..., None, :])
    eigenvalues, vectors = np.linalg.eigh(unit)
    along = np.einsum("...ij,...i->...j", vectors, gradient / scale)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = (along**2 / eigenvalues).sum(axis=-1)
    return np.asarray(np.where(eigenvalues[..., 0] > 1e-10, variance, np.inf), dtype=np.float64)


def _criterion(information: F64, cost: F64 | float, thickness_nm: float) -> F64:
    """Variance averaged over ``SOCS``, times the cost, from information (..., SOC, TERM, TERM)."""
    return np.asarray(_variance(information, thickness_nm, SOCS).mean(axis=-1) * cost, dtype=np.float64)


def _exchange(information: F64, cost: F64, energy_ev: F64, n: int, thickness_nm: float, spacing_ev: float) -> Index:
    """Indices (ENERGY,), ascending, of the best ``n`` energies if each gets the same light."""
    each = np.moveaxis(information, 1, 0)  # (ENERGY, SOC, TERM, TERM)
    # A little information from all energies, without which the first few would leave the unknowns undetermined.
    faint = 1e-4 * each.mean(axis=0)

    def best(others: list[int], faintly: F64) -> tuple[float, int]:
        allowed = np.ones(energy_ev.size, dtype=bool)
        for other in others:
            allowed &= np.abs(energy_ev - energy_ev[other]) > spacing_ev - 1e-6
        with_each = each[others].sum(axis=0) + each + faintly
        value = np.where(allowed, _criterion(with_each, cost[others].sum() + cost, thickness_nm), np.inf)
        index = int(np.argmin(value))
        if not allowed[index]:
            index = int(np.flatnonzero(allowed)[0]) if allowed.any() else -1
        return float(value[index]), index

    chosen: list[int] = []
    for _ in range(n):
        index = best(chosen, faint)[1]
        if index < 0:
            raise InputError(
                where="choice of energies",
                problem="so many energies do not fit into the range of the edge",
                got=f"{n} energies, {spacing_ev:g} eV apart, from {energy_ev[0]:.1f} to {energy_ev[-1]:.1f} eV",
                wanted="fewer energies, or closer ones",
                mend="Ask for fewer energies",
            )
        chosen.append(index)
    nothing = np.zeros_like(faint)
    for _ in range(_MOST_ROUNDS):
        before = sorted(chosen)
        for place in range(n):
            others = chosen[:place] + chosen[place + 1 :]
            now = float(_criterion(each[chosen].sum(axis=0), cost[chosen].sum(), thickness_nm))
            value, index = best(others, nothing)
            if value < now * (1.0 - 1e-9):
                chosen[place] = index
        if sorted(chosen) == before:
            break
    return np.array(sorted(chosen), dtype=np.intp)


def _shared(information: F64, cost: F64, thickness_nm: float, rounds: int = 200) -> F64:
    """Share of the photons (ENERGY,) at each energy: half of them evenly, half where they reduce the variance most."""
    n = cost.size
    # The variance is convex in the shares of the cost, which add up to 1.
    each = np.moveaxis(information, 1, 0) / cost[:, None, None, None]
    even = (cost / cost.sum()) * _EQUAL_PART
    free = np.full(n, 1.0 / n)
    step = 1e-4
    for _ in range(rounds):
        part = even + (1.0 - _EQUAL_PART) * free
        total = np.einsum("e,esij->sij", part, each)
        here = float(_criterion(total, 1.0, thickness_nm))
        gain = np.maximum((here - _criterion(total + step * each, 1.0, thickness_nm)) / step, 0.0)
        free = free * np.sqrt(gain)
        free /= free.sum()
    photons = (even + (1.0 - _EQUAL_PART) * free) / cost
    return np.asarray(photons / photons.sum(), dtype=np.float64)


def _check(
    candidates: F64,
    n: int,
    unknowns: Unknowns,
    photons: float | None,
    dose_mgy: float | None,
    with_density: bool,
    thickness_nm: float,
    pixel_nm: float,
) -> None:
    def refusal(problem: str, got: str, wanted: str, mend: str) -> InputError:
        return InputError(where="choice of energies", problem=problem, got=got, wanted=wanted, mend=mend)

    least = unknowns.count()
    if not least <= n <= candidates.size:
        raise refusal(
            "there are fewer energies than unknowns" if n < least else "there are too few energies to choose from",
            f"{n} energies",
            f"{least} to {candidates.size}",
            "Ask for another number of energies, or fit neither background nor shift",
        )
    if (photons is None) == (dose_mgy is None):
        raise refusal(
            "the amount of light must be given as photons or as dose", "both or neither", "one of them", "Give one"
        )
    amounts = {"photons": photons, "dose_mgy": dose_mgy, "thickness_nm": thickness_nm, "pixel_nm": pixel_nm}
    for name, value in amounts.items():
        if value is not None and not (0.0 < value < np.inf):
            raise refusal(f"{name} is not a positive number", f"{value:g}", "more than 0", "Correct it")
    if dose_mgy is not None and not with_density:
        raise refusal(
            "the density of the references is not known", "a dose", "photons", "Give photons instead of a dose"
        )
