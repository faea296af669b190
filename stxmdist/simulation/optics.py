"""Zone-plate optics: the STXM point spread function and the ptychography probe."""

from dataclasses import dataclass

import numpy as np
from scipy import fft, integrate, special

from stxmdist.arrays import C128, F64
from stxmdist.errors import InputError
from stxmdist.units import wavelength_nm

_RADII_PER_ZONE = 40
"""Steps of the tabulated radial profile per outermost zone width; between them it is straight within 1e-3."""

_CONFINED_TO = 0.75
"""Share of half the window at which a confined wave has fallen to one half."""
_FALL_WIDTH = 0.08


@dataclass(frozen=True)
class ZonePlate:
    """A Fresnel zone plate in its first order, with a central stop."""

    diameter_um: float
    outer_zone_nm: float
    central_stop_fraction: float = 0.0
    """Diameter of the stop over the diameter of the zone plate."""

    def __post_init__(self) -> None:
        if not (self.diameter_um > 0 and self.outer_zone_nm > 0 and 0 <= self.central_stop_fraction < 1):
            raise InputError(
                where="zone plate",
                problem="a zone plate cannot have these sizes",
                got=f"{self.diameter_um} um, {self.outer_zone_nm} nm, stop {self.central_stop_fraction}",
                wanted="a positive diameter and zone width, and a stop fraction in [0, 1)",
                mend="Correct the zone plate's sizes",
            )

    def focal_length_um(self, energy_ev: float) -> float:
        """f = D dr / lambda in um; grows in proportion to the photon energy."""
        return self.diameter_um * self.outer_zone_nm / wavelength_nm(energy_ev)

    def numerical_aperture(self, energy_ev: float) -> float:
        """NA = lambda / (2 dr)."""
        return wavelength_nm(energy_ev) / (2.0 * self.outer_zone_nm)


def airy_intensity(radius_nm: F64, zone_plate: ZonePlate) -> F64:
    """Intensity of the focused spot, [2 J1(v)/v - c^2 2 J1(cv)/(cv)]^2 with v = 2 pi NA r / lambda = pi r / dr.

    It does not depend on the photon energy, because the aperture of a zone plate grows with the wavelength. Not
    normalised: (1 - c^2)^2 at the centre, 2 (1 - c^2) when integrated over v dv.

    Source: annular Airy pattern, e.g. Born and Wolf, Principles of Optics, section 8.6.2.
    """
    v = np.pi * np.asarray(radius_nm, dtype=np.float64) / zone_plate.outer_zone_nm
    stop = zone_plate.central_stop_fraction
    return (_jinc(v) - stop**2 * _jinc(stop * v)) ** 2


def _jinc(v: F64) -> F64:
    """2 J1(v) / v, which is 1 at 0."""
    safe = np.where(v == 0.0, 1.0, v)
    return np.where(v == 0.0, 1.0, 2.0 * special.j1(safe) / safe)


def encircled_energy(radius_nm: float, zone_plate: ZonePlate) -> float:
    """Share of the focused light that falls within a radius of the optical axis."""
    steps = max(int(np.ceil(radius_nm / zone_plate.outer_zone_nm * _RADII_PER_ZONE)), 200)
    radii = np.linspace(0.0, radius_nm, steps + 1)
    v = np.pi * radii / zone_plate.outer_zone_nm
    within = integrate.simpson(airy_intensity(radii, zone_plate) * v, x=v)
    return float(within / (2.0 * (1.0 - zone_plate.central_stop_fraction**2)))


def point_spread(pixel_nm: float, energy_ev: float, zone_plate: ZonePlate, half_width_px: int) -> F64:
    """Point spread function of a focused STXM, averaged over the area of a pixel.

    Parameters
    ----------
    pixel_nm
        pixel of the grid that it will be convolved with
    energy_ev
        photon energy; the spot in focus is the same at all of them (see ``airy_intensity``)
    half_width_px
        the kernel has 2 half_width_px + 1 pixels a side; the tails beyond are left out and the rest is normalised

    Returns
    -------
    (Y, X) float64, symmetric, sum 1
    """
    if pixel_nm <= 0 or half_width_px < 0 or energy_ev <= 0:
        raise InputError(
            where="point spread function",
            problem="the point spread function cannot be sampled",
            got=f"pixel {pixel_nm} nm, half width {half_width_px} px, {energy_ev} eV",
            wanted="a positive pixel and energy, and a half width of at least 0",
            mend="Correct the sampling",
        )
    # The rings of the pattern have a period of one zone width.
    samples = max(3, int(np.ceil(10.0 * pixel_nm / zone_plate.outer_zone_nm)))
    offsets = (np.arange(samples) + 0.5) / samples - 0.5
    axis = (np.arange(-half_width_px, half_width_px + 1)[:, None] + offsets).ravel() * pixel_nm
    table_nm = np.arange(0.0, np.hypot(axis[-1], axis[-1]) + zone_plate.outer_zone_nm,
                         zone_plate.outer_zone_nm / _RADII_PER_ZONE)  # fmt: skip
    profile = airy_intensity(table_nm, zone_plate)
    fine = np.interp(np.hypot(axis[:, None], axis), table_nm, profile)
    width = 2 * half_width_px + 1
    kernel = fine.reshape(width, samples, width, samples).sum(axis=(1, 3))
    return np.asarray(kernel / kernel.sum(), dtype=np.float64)


def gaussian_sigma_nm(zone_plate: ZonePlate) -> float:
    """Standard deviation of the Gaussian that has the spot's full width at half maximum (0.44 dr without a stop).

    The tails hold far more light than that Gaussian's: for tails, use ``point_spread``.
    """
    radii = np.linspace(0.0, 2.0 * zone_plate.outer_zone_nm, 4001)
    profile = airy_intensity(radii, zone_plate)
    outside = int(np.argmax(profile < 0.5 * profile[0]))
    high, low = profile[outside - 1], profile[outside]
    share = (high - 0.5 * profile[0]) / (high - low)
    half = radii[outside - 1] + share * (radii[1] - radii[0])
    return float(2.0 * half / np.sqrt(8.0 * np.log(2.0)))


def probe(
    n: int,
    pixel_nm: float,
    energy_ev: float,
    zone_plate: ZonePlate,
    defocus_um: float = 0.0,
    *,
    astigmatism_um: float = 0.0,
    astigmatism_angle_rad: float = 0.0,
    tilt_mrad: tuple[float, float] = (0.0, 0.0),
    periodic: bool = False,
) -> C128:
    """Wave of a zone plate at a sample that lies ``defocus_um`` downstream of the focus, by the angular spectrum.

    The annular pupil fills spatial frequencies up to NA / lambda = 1 / (2 dr); propagation multiplies it by
    exp(2 pi i dz (sqrt(1/lambda^2 - f^2) - 1/lambda)), for waves exp(+ikz) and a forward transform exp(-2 pi i).

    Parameters
    ----------
    n
        pixels a side; the wave is centred on index n // 2
    defocus_um
        distance from the focus to the sample, positive downstream
    astigmatism_um, astigmatism_angle_rad
        the focus along that direction (from +x towards +y) lies astigmatism_um before, across it as far behind
    tilt_mrad
        direction (y, x) of the beam at the sample
    periodic
        leave the spot's faint tails, which run out of the window on one side and in on the other. Otherwise they fall
        smoothly to 1e-5 at its border (a rim of the pupil softer by some frequency cells), so that the wave can be
        moved by fractions of a pixel and sampled on other windows without change

    Returns
    -------
    (Y, X) complex128, sum of squares 1

    Raises
    ------
    InputError
        if the window is smaller than the defocused beam or the pixel too coarse for the aperture.

    Source: Goodman, Introduction to Fourier Optics, section 3.10.
    """
    wavelength = wavelength_nm(energy_ev)
    largest = 0.5 / zone_plate.outer_zone_nm
    tilts = np.asarray(tilt_mrad, dtype=np.float64) * 1e-3 / wavelength
    _check_sampling(n, pixel_nm, energy_ev, zone_plate, abs(defocus_um) + abs(astigmatism_um),
                    largest + float(np.abs(tilts).max()))  # fmt: skip
    frequency = fft.fftfreq(n, pixel_nm)
    fy, fx = np.meshgrid(frequency - tilts[0], frequency - tilts[1], indexing="ij")
    radius = np.hypot(fy, fx)
    step = 1.0 / (n * pixel_nm)
    # A frequency cell on the rim of the pupil counts with the part of it that lies inside.
    pupil = np.clip((largest - radius) / step + 0.5, 0.0, 1.0)
    if zone_plate.central_stop_fraction > 0:
        pupil = pupil * np.clip((radius - zone_plate.central_stop_fraction * largest) / step + 0.5, 0.0, 1.0)
    axial = np.sqrt(np.maximum(1.0 / wavelength**2 - radius**2, 0.0)) - 1.0 / wavelength
    phase = 2.0 * np.pi * axial * defocus_um * 1e3
    along = fx * np.cos(astigmatism_angle_rad) + fy * np.sin(astigmatism_angle_rad)
    phase -= np.pi * wavelength * astigmatism_um * 1e3 * (2.0 * along**2 - radius**2)
    wave = fft.fftshift(fft.ifft2(pupil * np.exp(1j * phase)))
    if not periodic:
        border = np.abs(np.arange(n) - n // 2) / (n / 2)
        fall = 0.5 * special.erfc((border - _CONFINED_TO) / _FALL_WIDTH)
        wave *= fall[:, None] * fall
    return np.asarray(wave / np.sqrt(np.sum(np.abs(wave) ** 2)), dtype=np.complex128)


def probe_modes(first: C128, second_power: float = 0.05, angle_rad: float = 0.0) -> C128:
    """Two mutually incoherent modes of a partly coherent beam: the wave and its derivative along one direction.

    A source of finite size moves the spot; to first order that mixes in the wave's derivative incoherently. The
    derivative is made orthogonal to the first mode and given ``second_power`` of the light.

    Parameters
    ----------
    first
        (Y, X) complex128
    angle_rad
        direction of the blur, from +x towards +y

    Returns
    -------
    (MODE, Y, X) complex128, two modes, orthogonal, sum of squares 1; one mode where ``second_power`` is 0

    Source: Thibault and Menzel, Nature 494, 68 (2013): mixed states in ptychography.
    """
    if not 0.0 <= second_power < 1.0:
        raise InputError(
            where="probe modes",
            problem="the second mode cannot hold this share of the light",
            got=second_power,
            wanted="a number in [0, 1)",
            mend="Give the share as a fraction",
        )
    leading = first / np.sqrt(np.sum(np.abs(first) ** 2))
    if second_power == 0.0:
        return np.asarray(leading[None], dtype=np.complex128)
    fy, fx = np.meshgrid(fft.fftfreq(first.shape[0]), fft.fftfreq(first.shape[1]), indexing="ij")
    derivative = fft.ifft2(fft.fft2(leading) * 2j * np.pi * (fx * np.cos(angle_rad) + fy * np.sin(angle_rad)))
    derivative -= np.vdot(leading, derivative) * leading
    derivative /= np.sqrt(np.sum(np.abs(derivative) ** 2))
    return np.asarray(
        np.stack([np.sqrt(1.0 - second_power) * leading, np.sqrt(second_power) * derivative]), dtype=np.complex128
    )


def beam_diameter_um(energy_ev: float, zone_plate: ZonePlate, defocus_um: float) -> float:
    """Diameter of the geometric cone at a defocus, 2 NA |dz|, or the Airy disc where that is larger."""
    geometric = 2.0 * zone_plate.numerical_aperture(energy_ev) * abs(defocus_um)
    return max(geometric, 2.44 * zone_plate.outer_zone_nm * 1e-3)


def _check_sampling(
    n: int, pixel_nm: float, energy_ev: float, zone_plate: ZonePlate, defocus_um: float, largest_per_nm: float
) -> None:
    window_um = n * pixel_nm * 1e-3
    diameter_um = beam_diameter_um(energy_ev, zone_plate, defocus_um)
    if diameter_um > _CONFINED_TO * window_um:
        raise InputError(
            where="probe",
            problem="the window does not hold the beam",
            got=f"a beam of {diameter_um:.3g} um in a window of {window_um:.3g} um",
            wanted=f"a beam of at most {_CONFINED_TO * window_um:.3g} um",
            mend="Use more pixels, a longer distance to the detector or less defocus",
        )
    if largest_per_nm > 0.5 / pixel_nm:
        raise InputError(
            where="probe",
            problem="the pixel is too coarse for the aperture",
            got=f"{pixel_nm:.3g} nm",
            wanted=f"at most {0.5 / largest_per_nm:.3g} nm",
            mend="Use a larger or nearer detector",
        )
