"""The probe (the illumination): models to start from, free-space propagation, and its incoherent modes."""

import numpy as np
from scipy import fft

from stxmdist.arrays import C64, C128, F64, Array, Mask
from stxmdist.errors import InputError
from stxmdist.ptychography.problem import Problem
from stxmdist.units import wavelength_nm


def zone_plate_probe(
    shape: tuple[int, int],
    pixel_nm: float | tuple[float, float],
    energy_ev: float,
    *,
    outer_zone_nm: float,
    central_stop_fraction: float = 0.0,
    defocus_um: float = 0.0,
) -> C64:
    """Wave of a zone plate at a sample ``defocus_um`` downstream of its focus, by the angular spectrum.

    The annular pupil fills spatial frequencies from ``central_stop_fraction`` to 1 times 1 / (2 outer zone). The
    diameter of the zone plate does not matter so near its focus.

    Parameters
    ----------
    shape
        (QY, QX) of the window; the wave is centred on index n // 2
    pixel_nm
        object pixel, or (y, x)

    Returns
    -------
    (QY, QX) complex64, sum of squares 1

    Raises
    ------
    InputError
        for sizes that make no zone plate, or a pixel too coarse for the aperture.

    Source: Goodman, Introduction to Fourier Optics, section 3.10; Attwood, Soft X-rays, chapter 9.
    """
    if not (outer_zone_nm > 0.0 and 0.0 <= central_stop_fraction < 1.0):
        raise InputError(
            where="zone plate",
            problem="these sizes make no zone plate",
            got=f"outermost zone {outer_zone_nm} nm, central stop {central_stop_fraction}",
            wanted="a positive zone and a stop in [0, 1)",
            mend="Correct the zone plate's sizes",
        )
    pixels = _pair(pixel_nm)
    if max(pixels) > outer_zone_nm:
        raise InputError(
            where="zone plate",
            problem="its aperture is wider than the detector",
            got=f"object pixel {max(pixels):.3g} nm",
            wanted=f"at most the outermost zone, {outer_zone_nm} nm",
            mend="Look at energy, distance and detector pixel, or give the illumination in the file",
        )
    fy, fx = np.meshgrid(fft.fftfreq(shape[0], pixels[0]), fft.fftfreq(shape[1], pixels[1]), indexing="ij")
    radius = np.hypot(fy, fx)
    largest = 0.5 / outer_zone_nm
    cell = max(1.0 / (shape[0] * pixels[0]), 1.0 / (shape[1] * pixels[1]))
    # A frequency cell on the rim counts with the part of it that is inside: a hard rim would ring.
    pupil = np.clip((largest - radius) / cell + 0.5, 0.0, 1.0)
    if central_stop_fraction > 0.0:
        pupil *= np.clip((radius - central_stop_fraction * largest) / cell + 0.5, 0.0, 1.0)
    wave = fft.fftshift(fft.ifft2(pupil * _axial_phase(radius, energy_ev, defocus_um)))
    return np.asarray(wave / np.sqrt((np.abs(wave) ** 2).sum()), dtype=np.complex64)


def propagate(wave: Array, pixel_nm: float | tuple[float, float], energy_ev: float, distance_um: float) -> C64:
    """A wave (..., QY, QX) propagated along the beam through free space; its power is conserved.

    By the angular spectrum, with waves exp(+ikz).
    """
    pixels = _pair(pixel_nm)
    n_y, n_x = wave.shape[-2:]
    fy, fx = np.meshgrid(fft.fftfreq(n_y, pixels[0]), fft.fftfreq(n_x, pixels[1]), indexing="ij")
    spectrum = fft.fft2(np.asarray(wave, np.complex128), axes=(-2, -1))
    spectrum *= _axial_phase(np.hypot(fy, fx), energy_ev, distance_um)
    return np.asarray(fft.ifft2(spectrum, axes=(-2, -1)), dtype=np.complex64)


def _axial_phase(radius_per_nm: F64, energy_ev: float, distance_um: float) -> C128:
    wavelength = wavelength_nm(energy_ev)
    axial = np.sqrt(np.maximum(1.0 / wavelength**2 - radius_per_nm**2, 0.0)) - 1.0 / wavelength
    return np.asarray(np.exp(2j * np.pi * axial * distance_um * 1e3), dtype=np.complex128)


def _pair(pixel_nm: float | tuple[float, float]) -> tuple[float, float]:
    return pixel_nm if isinstance(pixel_nm, tuple) else (pixel_nm, pixel_nm)


def probe_from_mean_pattern(mean_counts: Array) -> C64:
    """The probe in focus: inverse transform of the root of the mean frame (QY, QX), zero frequency at the centre.

    Its phase over the aperture is taken as flat, so that it still must be propagated by the defocus. Returns (QY, QX)
    complex64 centred on n // 2, sum of squares = mean counts of a frame.
    """
    amplitude = np.sqrt(np.maximum(np.nan_to_num(np.asarray(mean_counts, np.float64)), 0.0))
    return np.asarray(fft.fftshift(fft.ifft2(fft.ifftshift(amplitude), norm="ortho")), dtype=np.complex64)


def orthogonalise(probe: Array) -> C64:
    """Orthogonal modes of the same mixed state, strongest first, by singular values; (MODE, QY, QX) complex64.

    The sum over modes of the intensity is unchanged everywhere. Each mode keeps the global phase that has most in
    common with the mode it comes from, so that a single mode comes back as it was.
    """
    modes = probe.shape[0]
    flat = np.asarray(probe, np.complex128).reshape(modes, -1)
    values, vectors = np.linalg.eigh(flat @ flat.conj().T)
    order = np.argsort(values)[::-1]
    mixing = vectors[:, order].conj().T  # new modes = mixing @ old modes
    # Eigenvectors have a free phase: the largest part of each is made real and positive.
    largest = mixing[np.arange(modes), np.abs(mixing).argmax(axis=1)]
    mixing *= (np.abs(largest) / largest)[:, None]
    return np.asarray((mixing @ flat).reshape(probe.shape), dtype=np.complex64)


def mode_power(probe: Array) -> F64:
    """Share of each mode (MODE,) in the probe's power, sum 1."""
    power = (np.abs(np.asarray(probe, np.complex128)) ** 2).sum(axis=(1, 2))
    return np.asarray(power / power.sum(), dtype=np.float64)


def add_modes(probe: Array, n_modes: int, power: float) -> C64:
    """The probe with modes added until there are ``n_modes`` (or with the last ones left out), its power unchanged.

    A source of finite size blurs the probe. To first order that adds the derivatives of its strongest mode, along a
    diagonal, then across it, then of higher order. Each added mode starts with ``power`` of that of the strongest.
    """
    modes = [np.asarray(mode, np.complex128) for mode in probe[:n_modes]]
    total = sum(float((np.abs(mode) ** 2).sum()) for mode in modes)
    first = modes[0]
    strength = float((np.abs(first) ** 2).sum())
    fy, fx = np.meshgrid(fft.fftfreq(first.shape[0]), fft.fftfreq(first.shape[1]), indexing="ij")
    spectrum = fft.fft2(first)
    orders = [(a, b) for degree in range(1, n_modes + 1) for a in range(degree, -1, -1) for b in [degree - a]]
    for along, across in orders:
        if len(modes) >= n_modes:
            break
        new = fft.ifft2(spectrum * (fx + 0.5 * fy) ** along * (fy - 0.5 * fx) ** across)
        for mode in modes:
            new -= np.vdot(mode, new) / max(float((np.abs(mode) ** 2).sum()), 1e-30) * mode
        modes.append(new * np.sqrt(power * strength / max(float((np.abs(new) ** 2).sum()), 1e-30)))
    stack = np.stack(modes)
    return np.asarray(stack * np.sqrt(total / (np.abs(stack) ** 2).sum()), dtype=np.complex64)


VACUUM = 0.95
"""Share of the frames that are less bright than one through vacuum"""


def vacuum_counts(problem: Problem, share: float = VACUUM) -> float:
    """Counts of a frame through vacuum on the good pixels: the ``share`` quantile of the frames' sums.

    It is not the brightest frame, because a few frames are brighter by chance or by a flicker of the source.
    """
    sums = np.array([np.sum(frame[problem.good], dtype=np.float64) for frame in problem.frames])
    return float(np.quantile(sums, share))


def power_with(counts: float, good: Mask, probe: Array) -> float:
    """Power of a probe (MODE, QY, QX) of which good pixels (QY, QX) see so many counts; on others it has its own."""
    field = fft.fftshift(fft.fft2(np.asarray(probe, np.complex128), axes=(-2, -1), norm="ortho"), axes=(-2, -1))
    power = np.abs(field) ** 2
    return counts * float(power.sum() / power[:, good].sum())


def scaled_probe(problem: Problem, probe: Array) -> C64:
    """The probe with the power of vacuum frames; the light on bad pixels is taken from the probe itself."""
    power = power_with(vacuum_counts(problem), problem.good, probe)
    return np.asarray(
        probe * np.sqrt(power / float((np.abs(np.asarray(probe, np.complex128)) ** 2).sum())), np.complex64
    )


def clipped_share(probe: Array, rim: float = 0.05) -> float:
    """Share of the probe's power (MODE, QY, QX) in the outermost ``rim`` of its window on every side.

    Evenly spread light would have 0.19 there. A beam that reaches the rim of its window is cut off by it: the detector
    should be binned less, or the sample brought nearer to the focus.
    """
    power = (np.abs(np.asarray(probe, np.complex128)) ** 2).sum(axis=0)
    edge = [max(1, round(rim * n)) for n in power.shape]
    inner = power[edge[0] : -edge[0], edge[1] : -edge[1]].sum()
    return float(1.0 - inner / power.sum())
