"""Which energies to take next time: the least error of the state of charge that a number of photons, or a dose, allows.

No unbiased estimate is better than the Cramer-Rao bound, and the Poisson fit reaches it. Information of independent
energies adds, so energies can be chosen before anything is measured.
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
"""States of charge over which an error is averaged (in squares): energies must do for all of them"""
_SHIFT_STEP_EV = 0.01
_EQUAL_PART = 0.5
"""Share of the light that is spread evenly: the best for the state of charge alone would leave energies dark"""
_MOST_ROUNDS = 20
_SATURATED_OD = 2.5


@dataclass(frozen=True)
class Unknowns:
    """What is fitted with the state of charge, and costs light."""

    background: Background = "none"
    """What absorbs beside the end-members"""
    shift: bool = False
    """Whether the energy scale is to be found, too"""

    def count(self) -> int:
        """How many numbers each pixel is asked for."""
        return 2 + {"none": 0, "constant": 1, "power_law": 2}[self.background] + int(self.shift)


@dataclass(frozen=True, eq=False)
class Choice:
    """Energies to take, and what to expect of them."""

    energy_ev: F64
    """(ENERGY,) ascending"""
    share: F64
    """(ENERGY,) of the photons, or of the dwell time where the beam is constant; they add up to 1"""
    photons: float
    """Per pixel, all energies together"""
    dose_mgy: float
    """Where the beam enters the sample, all energies together; NaN where nobody knows what the references weigh"""
    soc_sigma: F64
    """(SOC,) least standard deviation of a pixel's state of charge at each of ``SOCS``"""


def soc_sigma(
    end_members: EndMembers,
    energy_ev: F64,
    photons: F64,
    *,
    thickness_nm: float,
    soc: float = 0.5,
    unknowns: Unknowns | None = None,
) -> float:
    """Cramer-Rao bound of the standard deviation of a pixel's state of charge; inf where it cannot be told at all.

    ``photons`` (ENERGY,) fall on the pixel at each of ``energy_ev``. Fisher's information of Poisson counts is
    A' diag(N exp(-A theta)) A, and sigma^2 = g' F^-1 g with g = (-b, a)/(a + b)^2.
    """
    unknowns = unknowns or Unknowns()
    energy = np.asarray(energy_ev, dtype=np.float64)
    information = _information(end_members, energy, thickness_nm, (soc,), unknowns)
    total = np.einsum("e,seij->sij", np.asarray(photons, dtype=np.float64), information)
    return float(np.sqrt(_variance(total, thickness_nm, (soc,))[0]))


def dose_per_photon_mgy(end_members: EndMembers, energy_ev: F64, pixel_nm: float) -> F64:
    """Dose (ENERGY,) in MGy that one photon on a pixel makes, D = F E mu/rho, in the state that absorbs more.

    NaN where nobody knows what the references weigh.
    """
    mass = end_members.mass_absorption(energy_ev)
    if mass is None:
        return np.full(energy_ev.size, np.nan)
    per_cm2 = 1.0 / (pixel_nm * 1e-7) ** 2
    joule = np.array([joule_from_ev(float(energy)) for energy in energy_ev])
    return np.asarray(per_cm2 * joule * mass.max(axis=0) * 1e-3)  # a joule per gram is a kilogray


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
) -> Choice:
    """The ``n`` of the candidates (ENERGY,) that tell the state of charge best for the photons, or for the dose.

    Exactly one of ``photons`` (per pixel, all energies together) and ``dose_mgy`` is given. Energies are added one by
    one, then exchanged one by one while that helps (Fedorov's exchange), the variance averaged over ``SOCS``; closer
    to one another than ``spacing_ev`` they would say the same. Then the light is shared out: half of it evenly, half
    where it helps most (multiplicative algorithm of optimal design).

    Raises
    ------
    InputError
        for fewer energies than unknowns, too few candidates, neither or both of photons and dose, amounts that are not
        positive, and a dose where nobody knows what the references weigh
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
    return Choice(
        candidates[chosen],
        share,
        float(photons),
        float(photons * share @ per_photon[chosen]),
        np.sqrt(_variance(total, thickness_nm, SOCS)),
    )


def unseen(choice: Choice, end_members: EndMembers, unknowns: Unknowns, thickness_nm: float) -> list[str]:
    """What a choice of energies cannot tell, in sentences."""
    spare = choice.energy_ev.size - unknowns.count()
    said = []
    if spare == 0:
        said.append("No third component: as many energies as unknowns fit anything, and chi-square says nothing.")
    elif spare == 1:
        said.append("Hardly a third component: one energy more than unknowns tells that something is wrong, not what.")
    if unknowns.background == "none":
        said.append("No background: a film, a binder or an offset of I0 goes into the state of charge.")
    if not unknowns.shift:
        said.append("No energy shift: calibrate it by a full spectrum of one field.")
    od = thickness_nm * end_members.at(choice.energy_ev).max(axis=0)
    if (od > _SATURATED_OD).any():
        where = ", ".join(f"{energy:.1f}" for energy in choice.energy_ev[od > _SATURATED_OD])
        said.append(f"Saturated at {where} eV, where the optical density of a pure particle is above {_SATURATED_OD}.")
    if end_members.control:
        said.append(f"The state of charge: {end_members.control}.")
    return said


def _information(
    members: EndMembers, energy_ev: F64, thickness_nm: float, socs: Sequence[float], unknowns: Unknowns
) -> F64:
    """Fisher's information (SOC, ENERGY, TERM, TERM) of one incident photon at each energy."""
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
    """Variance of the state of charge (..., SOC) from information (..., SOC, TERM, TERM); inf where it is singular."""
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
    """Mean variance over ``SOCS`` for a unit of cost, of information (..., SOC, TERM, TERM)."""
    return np.asarray(_variance(information, thickness_nm, SOCS).mean(axis=-1) * cost, dtype=np.float64)


def _exchange(information: F64, cost: F64, energy_ev: F64, n: int, thickness_nm: float, spacing_ev: float) -> Index:
    """Indices (ENERGY,) of the best ``n`` energies with the same light at each, ascending."""
    each = np.moveaxis(information, 1, 0)  # (ENERGY, SOC, TERM, TERM)
    # So little that it decides nothing but the first few, when nothing can be told yet.
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
                problem="so many energies do not fit into the edge",
                got=f"{n} energies, {spacing_ev:g} eV apart, from {energy_ev[0]:.1f} to {energy_ev[-1]:.1f} eV",
                wanted="fewer energies, or closer ones",
                mend="Ask for fewer",
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
    """Share of the photons (ENERGY,) at each of the chosen energies: half of them evenly, half where they help most."""
    n = cost.size
    # In shares of the cost, which add up to 1, the variance is convex.
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
    weighed: bool,
    thickness_nm: float,
    pixel_nm: float,
) -> None:
    def refuse(problem: str, got: str, wanted: str, mend: str) -> InputError:
        return InputError(where="choice of energies", problem=problem, got=got, wanted=wanted, mend=mend)

    least = unknowns.count()
    if not least <= n <= candidates.size:
        raise refuse(
            "there are fewer energies than unknowns" if n < least else "there are not so many energies to choose from",
            f"{n} energies",
            f"{least} to {candidates.size}",
            "Ask for another number of energies, or leave background and shift out",
        )
    if (photons is None) == (dose_mgy is None):
        raise refuse("light is counted in photons or in dose", "both or neither", "one of them", "Give one of them")
    amounts = {"photons": photons, "dose_mgy": dose_mgy, "thickness_nm": thickness_nm, "pixel_nm": pixel_nm}
    for name, value in amounts.items():
        if value is not None and not (0.0 < value < np.inf):
            raise refuse(f"{name} is no amount", f"{value:g}", "more than 0", "Correct it")
    if dose_mgy is not None and not weighed:
        raise refuse("nobody knows what the references weigh", "a dose", "photons", "Give photons instead of a dose")
