"""Point spread functions of a microscope, and imaging through them: transmission is averaged, not optical density."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, optimize, special

from stxmdist.arrays import F64, Real
from stxmdist.errors import InputError

SIGMA_PER_FWHM = 1.0 / (2.0 * np.sqrt(2.0 * np.log(2.0)))

RINGS_NM = 500.0
"""Distance in nm out to which the rings of a zone plate's point spread function are followed."""

FAR_RINGS_NM = 700.0
"""The same for thicknesses: between both lies a hundredth of the light, which falls behind plates from beside them and
makes them 1.4 % thinner. States of charge, which are shares of a thickness, hardly change with it."""

SIGMAS = 4.0
"""Sigmas out to which a Gaussian point spread function is followed."""

MOST_HALF_WIDTH_PX = 1000
"""Pixels from the middle of a point spread function to its border: pixels of 0.5 nm, finer than any of a zone plate."""

MOST_SAMPLES = 2048
"""Points along the side of the square on which the zone plate's pattern is taken."""

BYTES_PER_SAMPLE = 64
"""Of the arrays that live at once while a point spread function is made, or maps are blurred by it: eight float64."""

EDGE_VARIANCE_NM2 = 687.0
"""Variance in nm^2 of the Gaussian (sigma 26.2 nm) that softens the edges of plates as a zone plate with 60 nm zones
and a central stop of 0.3 does. It is a convention between two others: the Gaussian with the full width at half maximum
of the zone plate's pattern has a sigma of 25.0 nm, and the one that fits the image of a straight edge best within 100
nm, where the first ring is seen, has 27.6 nm."""


@dataclass(frozen=True)
class MicroscopePsf:
    """The point spread functions of both modalities, described once for all stages that need them.

    The options of ``segment`` are such a description; ``register`` reads it there.

    Raises
    ------
    InputError
        for a zone plate that cannot be, or a negative width.
    """

    outer_zone_nm: float = 60.0
    """Width of the outermost zone of the zone plate of wide-field scans, nm: it sets their point spread function."""
    central_stop_fraction: float = 0.3
    """Diameter of the central stop, as a share of the zone plate's diameter."""
    psf_sigma_ptychography_nm: float = 6.0
    """Gaussian sigma of the point spread function of reconstructed images, nm: about half of their half-period
    resolution."""

    def __post_init__(self) -> None:
        if not self.outer_zone_nm > 0.0:
            raise _impossible("outer_zone_nm", self.outer_zone_nm, "a width above 0 nm")
        if not 0.0 <= self.central_stop_fraction < 1.0:
            raise _impossible("central_stop_fraction", self.central_stop_fraction, "a share from 0 to less than 1")
        if not self.psf_sigma_ptychography_nm >= 0.0:
            raise _impossible("psf_sigma_ptychography_nm", self.psf_sigma_ptychography_nm, "a width of at least 0 nm")

    def sigma_nm(self, modality: str) -> float:
        """Sigma in nm of the Gaussian with the full width at half maximum of a modality's point spread function."""
        if modality == "stxm":
            return zone_plate_sigma_nm(self.outer_zone_nm, self.central_stop_fraction)
        return self.psf_sigma_ptychography_nm

    def kernel(self, modality: str, pixel_nm: float, rings_nm: float = RINGS_NM) -> F64:
        """The point spread function (K, K) float64 of a modality on pixels of a pitch in nm; its sum is 1.

        Rings of a zone plate are followed out to ``rings_nm``.

        Raises
        ------
        InputError
            as `half_width_px`.
        """
        half_width_px = self.half_width_px(modality, pixel_nm, rings_nm)
        if modality == "stxm":
            return zone_plate_kernel(pixel_nm, self.outer_zone_nm, self.central_stop_fraction, half_width_px)
        return gaussian_kernel(pixel_nm, self.psf_sigma_ptychography_nm, half_width_px)

    def amplitude_kernel(self, pixel_nm: float) -> F64:
        """What complex amplitudes of ptychography are blurred by, (K, K) float64; its sum is 1.

        The pixels of a reconstruction sample it, where those of :meth:`kernel` average over their area.

        Raises
        ------
        InputError
            as `half_width_px`.
        """
        half = self.half_width_px("ptychography", pixel_nm)
        offsets_nm = np.arange(-half, half + 1) * pixel_nm
        profile = np.exp(-0.5 * (offsets_nm / max(self.psf_sigma_ptychography_nm, 1e-3 * pixel_nm)) ** 2)
        kernel = np.outer(profile, profile)
        return np.asarray(kernel / kernel.sum())

    def half_width_px(self, modality: str, pixel_nm: float, rings_nm: float = RINGS_NM) -> int:
        """Pixels from the middle of a modality's point spread function to its border: K = 2 half_width_px + 1.

        Raises
        ------
        InputError
            for pixels so small that no microscope has them, on which it would fill the memory.
        """
        reach_nm, least = (rings_nm, 2) if modality == "stxm" else (SIGMAS * self.psf_sigma_ptychography_nm, 1)
        wanted = max(float(least), reach_nm / pixel_nm)
        if not wanted <= MOST_HALF_WIDTH_PX:
            raise InputError(
                where="pixel size",
                problem="the pixels are so small that the point spread function covers too many of them",
                got=f"pixels of {pixel_nm:g} nm under a point spread function {2 * reach_nm:g} nm wide",
                wanted=f"pixels of at least {reach_nm / MOST_HALF_WIDTH_PX:g} nm",
                mend="Say the positions' unit (stages: ingest: position_unit), or correct psf_sigma_ptychography_nm",
            )
        return round(wanted) if modality == "stxm" else int(np.ceil(wanted))

    def peak_bytes(self, modality: str, pixel_nm: float, shape: tuple[int, int]) -> int:
        """Bytes for the point spread function while it is made, or for the border that it adds to maps (Y, X).

        Raises
        ------
        InputError
            as `half_width_px`.
        """
        if np.isnan(pixel_nm):
            return 0  # An image of one pixel has no pitch, and is not blurred.
        half = self.half_width_px(modality, pixel_nm)
        border = (shape[0] + 2 * half) * (shape[1] + 2 * half) - shape[0] * shape[1]
        samples = (2 * half + 1) * _samples_in_pixel(pixel_nm, self.outer_zone_nm, half) if modality == "stxm" else 0
        return BYTES_PER_SAMPLE * max(samples**2, border)

    @property
    def edge_sigma_nm(self) -> float:
        """Sigma in nm of the Gaussian that softens edges as the zone plate of wide-field scans does, rings included.

        It scales with the width of the zone plate's pattern from ``EDGE_VARIANCE_NM2``.
        """
        return float(np.sqrt(self._edge_variance_nm2()))

    def matching_blur_nm(self) -> float:
        """Sigma in nm of the Gaussian blur that gives a ptychography image the resolution of a wide-field scan.

        Raises
        ------
        InputError
            where ptychography is not the sharper of the two.
        """
        variance = self._edge_variance_nm2() - self.psf_sigma_ptychography_nm**2
        if variance < 0.0:
            raise InputError(
                where="stages.segment.psf_sigma_ptychography_nm",
                problem="ptychography would be less sharp than the wide-field scan that it is registered to",
                got=f"a sigma of {self.psf_sigma_ptychography_nm:g} nm for ptychography and of "
                f"{self.edge_sigma_nm:.3g} nm for an outermost zone of {self.outer_zone_nm:g} nm",
                wanted="ptychography at least as sharp as wide-field scans",
                mend="Correct outer_zone_nm or psf_sigma_ptychography_nm under stages: segment",
            )
        return float(np.sqrt(variance))

    def _edge_variance_nm2(self) -> float:
        reference = zone_plate_sigma_nm(_REFERENCE.outer_zone_nm, _REFERENCE.central_stop_fraction)
        return EDGE_VARIANCE_NM2 * (self.sigma_nm("stxm") / reference) ** 2


_REFERENCE = MicroscopePsf(outer_zone_nm=60.0, central_stop_fraction=0.3)
"""The zone plate that ``EDGE_VARIANCE_NM2`` stands for."""


def _impossible(option: str, got: float, wanted: str) -> InputError:
    return InputError(
        where=f"stages.segment.{option}",
        problem="there is no such point spread function",
        got=f"{got:g}",
        wanted=wanted,
        mend="Correct the value, or take the line out to have the default",
    )


def zone_plate_intensity(radius_nm: Real, outer_zone_nm: float, central_stop: float = 0.0) -> F64:
    """Annular Airy pattern of a zone plate, 1 at the centre, in its first order focus.

    ``((2 J1(v)/v - c^2 2 J1(c v)/(c v)) / (1 - c^2))^2`` with v = pi r / (outer zone width), the same at all energies.

    Parameters
    ----------
    radius_nm
        any shape, nm
    outer_zone_nm
        width of the outermost zone, nm
    central_stop
        diameter of the central stop over that of the zone plate

    Source: Born, Wolf, Principles of Optics, 8.6.2; Michette, Optical Systems for Soft X Rays (1986), 8.
    """
    v = np.pi * np.asarray(radius_nm, dtype=np.float64) / outer_zone_nm
    amplitude = _jinc(v) - central_stop**2 * _jinc(central_stop * v)
    return np.asarray((amplitude / (1.0 - central_stop**2)) ** 2)


def _jinc(v: Real) -> F64:
    """2 J1(v) / v, 1 at 0."""
    safe = np.where(np.abs(v) < 1e-9, 1.0, v)
    return np.asarray(np.where(np.abs(v) < 1e-9, 1.0, 2.0 * special.j1(safe) / safe))


def zone_plate_kernel(pixel_nm: float, outer_zone_nm: float, central_stop: float = 0.0, half_width_px: int = 12) -> F64:
    """The zone plate's pattern on pixels, (K, K) float64 with K = 2 half_width_px + 1, averaged in each pixel, sum 1.

    Unlike a Gaussian it has the rings, which throw a tenth of the light and more beyond 100 nm.
    """
    fine = _samples_in_pixel(pixel_nm, outer_zone_nm, half_width_px)
    edges = (np.arange((2 * half_width_px + 1) * fine) + 0.5) / fine - half_width_px - 0.5
    radius = np.hypot(edges[:, None], edges[None, :]) * pixel_nm
    values = zone_plate_intensity(radius, outer_zone_nm, central_stop)
    kernel = values.reshape(2 * half_width_px + 1, fine, 2 * half_width_px + 1, fine).mean(axis=(1, 3))
    return np.asarray(kernel / kernel.sum())


def _samples_in_pixel(pixel_nm: float, outer_zone_nm: float, half_width_px: int) -> int:
    """Points along the side of a pixel at which the zone plate's pattern is taken, an odd number."""
    # Twenty points a zone width, the period of the rings: pixels are then right to a thousandth of the brightest.
    # Pixels that are many zones wide hold the whole pattern, and fewer do; the smallest hardly see it change.
    wanted = max(3, int(np.ceil(pixel_nm / (outer_zone_nm / 20.0))))
    return max(1, min(wanted | 1, (MOST_SAMPLES // (2 * half_width_px + 1) - 1) | 1))


def gaussian_kernel(pixel_nm: float, sigma_nm: float, half_width_px: int | None = None) -> F64:
    """A Gaussian PSF on pixels, (K, K) float64 out to four sigmas unless said, averaged in each pixel, sum 1."""
    half = max(1, int(np.ceil(SIGMAS * sigma_nm / pixel_nm))) if half_width_px is None else half_width_px
    edges = (np.arange(2 * half + 2) - half - 0.5) * pixel_nm
    profile = np.diff(special.ndtr(edges / max(sigma_nm, 1e-3 * pixel_nm)))
    kernel = np.outer(profile, profile)
    return np.asarray(kernel / kernel.sum())


def zone_plate_sigma_nm(outer_zone_nm: float, central_stop: float = 0.0) -> float:
    """Sigma in nm of the Gaussian with the full width at half maximum of the zone plate's pattern (0.437 outer zones).

    A Gaussian has no rings: a few per cent of the light beyond the first of them are left out.
    """
    half = optimize.brentq(
        lambda radius: float(zone_plate_intensity(np.asarray(radius), 1.0, central_stop)) - 0.5, 1e-6, 1.2
    )
    return float(2.0 * half * outer_zone_nm * SIGMA_PER_FWHM)


def blur_transmission(transmission: Real, sigma_px: float) -> F64:
    """Image of a transmission through a Gaussian PSF; what is not known (NaN) takes no part and stays NaN.

    Parameters
    ----------
    transmission
        (..., Y, X) floating; the last two axes are blurred
    sigma_px
        sigma of the PSF in pixels; 0 or less: nothing is done
    """
    values = np.asarray(transmission, dtype=np.float64)
    if sigma_px <= 0:
        return values.copy()
    known = np.isfinite(values)
    sigma = (0.0,) * (values.ndim - 2) + (sigma_px, sigma_px)
    total = ndimage.gaussian_filter(np.where(known, values, 0.0), sigma, mode="nearest")
    if known.all():
        return np.asarray(total)
    weight = ndimage.gaussian_filter(known.astype(np.float64), sigma, mode="nearest")
    return np.asarray(np.where(known, total / np.where(weight > 0, weight, 1.0), np.nan))


def blur_optical_density(optical_density: Real, sigma_px: float) -> F64:
    """Optical density (natural logarithm) as it would be measured through a Gaussian PSF: blurred as transmission."""
    return np.asarray(-np.log(blur_transmission(np.exp(-np.asarray(optical_density, dtype=np.float64)), sigma_px)))
