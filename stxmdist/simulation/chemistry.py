"""The complex refractive index of the planted end-members of LixFePO4, apart from the references that fits use.

The absorption is the model spectrum of LiFePO4 and FePO4 whose ratio at 708.2 and 710.2 eV meets the published
polar angles of Yu et al., Nat. Commun. 9, 921 (2018); the dispersion follows from it by Kramers-Kronig. Nothing here
is shared with ``stxmdist.spectra``, so that agreement of the two is a finding and not an identity.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from stxmdist.arrays import C128, F64
from stxmdist.errors import InputError
from stxmdist.simulation.film import CARBON_DELTA, CARBON_PER_NM, CARBON_POWER
from stxmdist.units import CLASSICAL_ELECTRON_RADIUS_NM, HC_EV_NM, wavenumber_per_nm

AVOGADRO = 6.02214076e23
VALID_EV = (650.0, 780.0)
"""Where the model of the Fe L edge holds."""


@dataclass(frozen=True)
class EndMember:
    """One end of the charge and the model of its Fe L2,3 edge, per nanometre of LiFePO4 that holds the same iron.

    A particle keeps its iron while it is charged, not its thickness: thickness is counted so that iron is conserved.
    """

    name: str
    atoms: tuple[tuple[str, int], ...]
    background_per_nm: float
    """Absorption at 700 eV of all that is not the Fe L edge, 1/nm."""
    background_power: float
    """The background falls with the photon energy to this power."""
    peaks: tuple[tuple[float, float, float], ...]
    """White lines: centre (eV), Gaussian sigma (eV), height in units of the jump."""


IRON_PER_NM3 = 3.60 / 157.757 * AVOGADRO * 1e-21
"""Iron atoms per cubic nanometre of LiFePO4, density 3.60 g/cm3."""
FEPO4_IRON_PER_NM3 = 3.68 / 150.816 * AVOGADRO * 1e-21
JUMP_PER_NM = 1.7640e-3
"""Height of the Fe L2,3 edge, 1/nm: the same iron, hence the same jump in both."""

DISCHARGED = EndMember(
    name="LiFePO4",
    atoms=(("Li", 1), ("Fe", 1), ("P", 1), ("O", 4)),
    background_per_nm=2.1850e-3,
    background_power=2.4193,
    peaks=(
        (706.6, 0.50, 0.70),
        (708.2, 0.75, 4.40),
        (709.8, 0.90, 0.73135),
        (711.5, 1.00, 0.35),
        (720.6, 1.00, 1.00),
        (722.6, 1.10, 0.90),
    ),
)
CHARGED = EndMember(
    name="FePO4",
    atoms=(("Fe", 1), ("P", 1), ("O", 4)),
    background_per_nm=2.1754e-3,
    background_power=2.4165,
    peaks=(
        (708.5, 0.60, 1.64282),
        (710.2, 0.75, 4.60),
        (711.6, 0.80, 1.20),
        (713.2, 1.00, 0.40),
        (721.8, 1.10, 0.90),
        (723.6, 1.10, 1.20),
    ),
)
COMPONENTS = (DISCHARGED, CHARGED)
THIRD = EndMember(
    name="a third phase",
    atoms=(("Fe", 1), ("P", 1), ("O", 4)),
    background_per_nm=2.1800e-3,
    background_power=2.418,
    # A white line between those of the end-members, narrower than any mixture of them, and a flat L2.
    peaks=((707.4, 0.60, 0.90), (709.3, 0.60, 4.50), (712.2, 1.20, 1.00), (721.2, 1.60, 1.30)),
)
"""Iron in neither end-member: no mixture of their spectra makes its own."""
BENIGN = ("discharged", "charged")
"""Components of a specimen without third phase, film and dichroism"""
IRON_PRE_EDGE_NM2 = 2112.4 * 55.845 / AVOGADRO * 1e14
"""Cross-section of iron at 700 eV (Chantler), the part of the background that belongs to the metal, nm2."""


def absorption_per_nm(member: EndMember, energy_ev: F64) -> F64:
    """Linear absorption coefficient mu of an end-member, 1/nm of LiFePO4 with the same iron, natural logarithm.

    Background power law plus the Fe L jump times two arctangent steps and Gaussian white lines.

    Parameters: energy_ev (ENERGY,) eV. Returns (ENERGY,) float64.
    Source: tuned to OD(710.2)/OD(708.2) = tan 27.48 deg at x = 0.93 and tan 65.0 deg at x = 0.02 (Yu 2018, Fig. 2).
    """
    energy = np.asarray(energy_ev, dtype=np.float64)
    background = member.background_per_nm * (energy / 700.0) ** -member.background_power
    return background + JUMP_PER_NM * _edge(member, energy)


def _edge(member: EndMember, energy: F64) -> F64:
    """The Fe L2,3 edge in units of its jump: steps in ratio 2:1 and white lines."""
    shape = 2.0 / 3.0 * _step(energy, 708.5, 1.2) + 1.0 / 3.0 * _step(energy, 721.5, 1.5)
    for centre, sigma, height in member.peaks:
        shape = shape + height * np.exp(-((energy - centre) ** 2) / (2.0 * sigma**2))
    return shape


def _step(energy: F64, centre: float, width: float) -> F64:
    return 0.5 + np.arctan((energy - centre) / (width / 2.0)) / np.pi


def kramers_kronig_f1(energy_ev: F64, grid_ev: F64, f2: F64, atomic_number: float) -> F64:
    """Real part of the scattering factor from the imaginary one, by exact integration of a piecewise linear f2.

    f1(E) = Z* + (2/pi) P int E' f2(E') / (E^2 - E'^2) dE', with Z* = Z - (Z/82.5)^2.37.

    Parameters: energy_ev (ENERGY,) eV; grid_ev (NODE,) eV ascending; f2 (NODE,) electrons.
    Returns (ENERGY,) float64, electrons.
    Source: B. L. Henke, E. M. Gullikson, J. C. Davis, At. Data Nucl. Data Tables 54, 181 (1993), eq. 4.
    """
    slope = np.diff(f2) / np.diff(grid_ev)
    level = f2[:-1] - slope * grid_ev[:-1]
    f1: F64 = np.empty(energy_ev.shape, dtype=np.float64)
    for index, energy in enumerate(energy_ev):
        # A node exactly at the energy would give infinity minus infinity; the limit from either side is the same.
        distance = energy - grid_ev
        distance = np.where(np.abs(distance) < 1e-9, 1e-9, distance)
        log_minus = np.log(np.abs(distance))
        log_plus = np.log(energy + grid_ev)
        constant = -0.5 * level * np.diff(log_minus + log_plus)
        linear = slope * (-np.diff(grid_ev) + 0.5 * energy * np.diff(log_plus - log_minus))
        f1[index] = 2.0 / np.pi * np.sum(constant + linear)
    return np.asarray(f1 + atomic_number - (atomic_number / 82.5) ** 2.37, dtype=np.float64)


def _iron_f2(member: EndMember) -> tuple[F64, F64]:
    """Iron's f2 from 1 eV to 1 MeV: the model of the L edge set into the tabulated free atom."""
    import xraydb

    table = np.asarray(xraydb.chantler_energies("Fe"), dtype=np.float64)
    low, high = table[table < 640.0], table[table > 820.0]
    grid = np.concatenate([low, np.arange(640.0, 820.0, 0.05), high])
    tabulated = np.asarray(xraydb.f2_chantler("Fe", grid), dtype=np.float64)
    cross_section_nm2 = IRON_PRE_EDGE_NM2 * (grid / 700.0) ** -1.48 + JUMP_PER_NM / IRON_PER_NM3 * _edge(member, grid)
    model = cross_section_nm2 * grid / (2.0 * CLASSICAL_ELECTRON_RADIUS_NM * HC_EV_NM)
    # Model and table differ by a few per cent where they meet; a step there would put a false resonance into f1.
    weight = np.clip((grid - 650.0) / 40.0, 0.0, 1.0) * np.clip((800.0 - grid) / 60.0, 0.0, 1.0)
    return grid, weight * model + (1.0 - weight) * tabulated


@lru_cache(maxsize=64)
def _delta_cached(member: EndMember, energies: tuple[float, ...]) -> F64:
    import xraydb

    energy = np.asarray(energies, dtype=np.float64)
    grid, f2 = _iron_f2(member)
    f1 = kramers_kronig_f1(energy, grid, f2, 26.0)
    for element, count in member.atoms:
        if element != "Fe":
            number = float(xraydb.atomic_number(element))
            f1 = f1 + count * (number + np.asarray(xraydb.f1_chantler(element, energy), dtype=np.float64))
    wavelength = HC_EV_NM / energy
    return np.asarray(CLASSICAL_ELECTRON_RADIUS_NM * wavelength**2 / (2.0 * np.pi) * IRON_PER_NM3 * f1)


def refraction_delta(member: EndMember, energy_ev: F64) -> F64:
    """Refractive decrement delta of n = 1 - delta + i beta of an end-member, by Kramers-Kronig.

    Per nanometre of LiFePO4 with the same iron; dense FePO4 holds FEPO4_IRON_PER_NM3 / IRON_PER_NM3 times as much.

    Parameters: energy_ev (ENERGY,) eV. Returns (ENERGY,) float64, dimensionless.
    """
    return _delta_cached(member, tuple(float(e) for e in np.asarray(energy_ev))).copy()


def absorption(energy_ev: F64) -> F64:
    """Linear absorption coefficients (COMPONENT, ENERGY) float64 in 1/nm of (discharged, charged).

    Raises
    ------
    InputError
        for energies outside the modelled edge.
    """
    energy = np.atleast_1d(np.asarray(energy_ev, dtype=np.float64))
    if energy.min() < VALID_EV[0] or energy.max() > VALID_EV[1]:
        raise InputError(
            where="planted optical constants",
            problem="the model of the Fe L edge does not reach there",
            got=f"{energy.min():g} to {energy.max():g} eV",
            wanted=f"{VALID_EV[0]:g} to {VALID_EV[1]:g} eV",
            mend="Choose energies around the Fe L edge",
        )
    return np.stack([absorption_per_nm(member, energy) for member in COMPONENTS])


def optical_constants(energy_ev: F64) -> tuple[F64, F64]:
    """Absorption and refraction of (discharged, charged) per nanometre that conserves metal.

    Parameters: energy_ev (ENERGY,) eV, 650 to 780.
    Returns: mu_per_nm (COMPONENT, ENERGY) 1/nm; delta (COMPONENT, ENERGY), dimensionless, both float64.
    Raises InputError for energies outside the modelled edge.
    """
    energy = np.atleast_1d(np.asarray(energy_ev, dtype=np.float64))
    return absorption(energy), np.stack([refraction_delta(member, energy) for member in COMPONENTS])


def absorption_of(
    components: tuple[str, ...], energy_ev: F64, polarisation_deg: float | None = None, dichroism: float = 0.0
) -> F64:
    """Linear absorption (COMPONENT, ENERGY) float64, 1/nm, of the named components of a specimen.

    Dichroism: mu of the Fe edge is mu (1 + dichroism cos 2(polarisation - axis)), Malus' law about the mean over
    angles; the components ``... cos`` and ``... sin`` are thicknesses times cos and sin of twice the axis' direction.
    Without a polarisation they absorb nothing.
    """
    energy = np.atleast_1d(np.asarray(energy_ev, dtype=np.float64))
    known = dict(zip(BENIGN, absorption(energy), strict=True))
    known["third"] = absorption_per_nm(THIRD, energy)
    known["film"] = CARBON_PER_NM * (energy / 700.0) ** -CARBON_POWER
    angle = 0.0 if polarisation_deg is None else 2.0 * np.deg2rad(polarisation_deg)
    strength = 0.0 if polarisation_deg is None else dichroism
    for name, member in zip(BENIGN, COMPONENTS, strict=True):
        edge = strength * JUMP_PER_NM * _edge(member, energy)
        known[f"{name} cos"], known[f"{name} sin"] = edge * np.cos(angle), edge * np.sin(angle)
    return np.stack([known[name] for name in components])


def refraction_of(components: tuple[str, ...], energy_ev: F64) -> F64:
    """Refractive decrement (COMPONENT, ENERGY) float64 of the named components; dichroism changes absorption only."""
    energy = np.atleast_1d(np.asarray(energy_ev, dtype=np.float64))
    known = {
        "discharged": refraction_delta(DISCHARGED, energy),
        "charged": refraction_delta(CHARGED, energy),
        "film": CARBON_DELTA * (energy / 700.0) ** -2.0,
    }
    if "third" in components:
        known["third"] = refraction_delta(THIRD, energy)
    return np.stack([known.get(name, np.zeros(energy.shape)) for name in components])


def transmission(
    thickness_nm: F64,
    energy_ev: float,
    components: tuple[str, ...] = BENIGN,
    polarisation_deg: float | None = None,
    dichroism: float = 0.0,
) -> C128:
    """Complex transmission exp(-mu t / 2 - i k delta t) (...) of thicknesses (COMPONENT, ...) nm at one energy."""
    energy = np.array([energy_ev])
    mu = absorption_of(components, energy, polarisation_deg, dichroism)
    delta = refraction_of(components, energy)
    exponent = -0.5 * mu[:, 0] - 1j * wavenumber_per_nm(energy_ev) * delta[:, 0]
    return np.asarray(np.exp(np.tensordot(exponent, thickness_nm, axes=(0, 0))), dtype=np.complex128)
