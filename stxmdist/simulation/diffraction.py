"""Ptychographic diffraction frames, by a forward model of its own.

It shares no operator with the reconstruction: object and probe live on pixels half as wide, in double precision, the
probe stands where the beam stood (not on the nearest pixel), and detector pixels have an area. Agreement of a
reconstruction with it therefore proves something.

Conventions: n = 1 - delta + i beta, transmission exp(-k beta t - i k delta t), forward transform exp(-2 pi i).
Frames have the zero frequency at index n // 2; their rows grow with +y of the sample, their columns with +x.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike
from scipy import fft, integrate

from stxmdist.arrays import C64, C128, F64, I64, Array
from stxmdist.errors import InputError
from stxmdist.simulation.optics import ZonePlate, probe
from stxmdist.units import wavelength_nm

Transmission = Callable[[F64, F64], C128]

BATCH = 4
"""Frames computed together: enough for the FFT to use its vector lanes, few enough to stay in the cache."""

_GUARD = 8
"""Detector pixels computed beyond the edge, from which light is integrated into the outermost pixels."""

_NEGLIGIBLE = 1e-6
"""Amplitudes of less than this share of the strongest are outside the pupil."""


@dataclass(frozen=True)
class Detector:
    """A square detector in the far field."""

    n: int
    """Pixels on a side."""
    pixel_um: float
    distance_m: float

    def object_pixel_nm(self, energy_ev: float) -> float:
        """Pixel of a reconstruction, lambda z / (n p) in nm: it shrinks as 1/E."""
        return wavelength_nm(energy_ev) * self.distance_m * 1e6 / (self.n * self.pixel_um)

    def window_um(self, energy_ev: float) -> float:
        """Side of the window that a frame's sampling allows, lambda z / p in um."""
        return self.n * self.object_pixel_nm(energy_ev) * 1e-3


@dataclass(frozen=True)
class FineObject:
    """A sample's complex transmission on pixels half as wide as those of the reconstruction."""

    values: C128
    """(Y, X) complex128"""
    origin_um: tuple[float, float]
    """(y, x) of the centre of values[0, 0]"""
    pixel_um: float

    @property
    def y_um(self) -> F64:
        """(Y,) float64, centres of the rows."""
        return np.asarray(self.origin_um[0] + self.pixel_um * np.arange(self.values.shape[0]))

    @property
    def x_um(self) -> F64:
        """(X,) float64, centres of the columns."""
        return np.asarray(self.origin_um[1] + self.pixel_um * np.arange(self.values.shape[1]))


def fine_axes(positions_um: F64, detector: Detector, energy_ev: float, margin_px: int = 2) -> tuple[F64, F64]:
    """Pixel centres (Y,), (X,) in um of a fine grid that holds the window of every position (POSITION, 2)."""
    pixel_um = detector.object_pixel_nm(energy_ev) * 0.5e-3
    reach = detector.n + margin_px
    low = np.floor(np.min(positions_um, axis=0) / pixel_um).astype(int) - reach
    high = np.ceil(np.max(positions_um, axis=0) / pixel_um).astype(int) + reach
    y_um, x_um = (pixel_um * np.arange(first, last + 1) for first, last in zip(low, high, strict=True))
    return y_um, x_um


def sample_object(
    transmission: Transmission,
    positions_um: F64,
    detector: Detector,
    energy_ev: float,
    *,
    oversample: int = 1,
    rows_at_once: int = 128,
) -> FineObject:
    """A sample's transmission on the fine grid of one photon energy, averaged over each pixel.

    Parameters
    ----------
    transmission
        of (Y, 1) and (1, X) coordinates in um to (Y, X) complex128
    positions_um
        (POSITION, 2) float64, (y, x) of the beam on the sample
    oversample
        points a side over which a pixel is averaged: more where particles have sharp edges
    """
    y_um, x_um = fine_axes(positions_um, detector, energy_ev)
    pixel_um = detector.object_pixel_nm(energy_ev) * 0.5e-3
    offsets = ((np.arange(oversample) + 0.5) / oversample - 0.5) * pixel_um
    columns = (x_um[:, None] + offsets).ravel()
    values = np.empty((y_um.size, x_um.size), dtype=np.complex128)
    for first in range(0, y_um.size, rows_at_once):
        some = y_um[first : first + rows_at_once]
        dense = transmission((some[:, None] + offsets).reshape(-1, 1), columns[None, :])
        cells = dense.reshape(some.size, oversample, x_um.size, oversample)
        values[first : first + some.size] = cells.mean(axis=(1, 3))
    return FineObject(values, (float(y_um[0]), float(x_um[0])), pixel_um)


def intensities(
    fine_object: FineObject,
    positions_um: F64,
    probe_modes: C128,
    n: int,
    *,
    batch: int = BATCH,
    pixel_integration: bool = True,
) -> Iterator[F64]:
    """Mean far-field intensity of each frame, as shares of the light in the probe.

    I(q) = sum over modes of |F[P_mode(r - r_j) T(r)]|^2 on the central n x n of 2n x 2n frequencies. The probe is
    moved to r_j exactly, by the phase of its spectrum. Detector pixels integrate: the intensity, which is band
    limited by the window, is averaged over the pixel's area.

    Parameters
    ----------
    positions_um
        (POSITION, 2) float64, (y, x) of the beam on the sample
    probe_modes
        (MODE, 2n, 2n) complex128 on the fine object's pixels, centred on index n; sum of squares 1
    batch
        frames computed together

    Yields
    ------
    (batch, QY, QX) float64; the last may be shorter

    Raises
    ------
    InputError
        if a window leaves the fine object or the shapes do not fit.
    """
    size = 2 * n
    if probe_modes.ndim != 3 or probe_modes.shape[1:] != (size, size):
        raise InputError(
            where="diffraction",
            problem="the probe is not on the fine grid",
            got=f"shape {probe_modes.shape}",
            wanted=f"(MODE, {size}, {size})",
            mend=f"Make the probe with {size} pixels of {fine_object.pixel_um * 1e3:.4g} nm",
        )
    corners, remainders = _windows(fine_object, positions_um, size)
    pupils = _pupils(probe_modes)
    guard = _GUARD if pixel_integration and n + 2 * _GUARD <= size else 0
    # Spectra are kept with zero frequency at index n, so that the detector is a slice. The signs that this brings into
    # the inverse transform cancel those of the forward transform.
    kept = slice(n - n // 2 - guard, n - n // 2 + n + guard)
    side = n + 2 * guard
    gather = pixel_response(n, guard) if pixel_integration else None
    for first in range(0, len(corners), batch):
        some = slice(first, first + batch)
        window = np.stack([fine_object.values[y : y + size, x : x + size] for y, x in corners[some]])
        total = np.zeros((window.shape[0], side, side))
        for pupil in pupils:
            wave = _moved(pupil, remainders[some], size)
            wave *= window
            # Columns and rows beyond the detector are dropped as soon as they can be.
            wave = fft.fft(wave, axis=2, overwrite_x=True)[:, :, kept]
            wave = fft.fft(wave, axis=1, overwrite_x=True)[:, kept]
            total += wave.real**2 + wave.imag**2
        if gather is not None:
            # The band-limited response has small negative lobes, which an intensity cannot have.
            total = np.maximum(gather @ total @ gather.T, 0.0)
        yield total / float(size) ** 2


def diffraction_frames(
    fine_object: FineObject,
    positions_um: F64,
    probe_modes: C128,
    photons_per_frame: float | F64,
    n: int,
    rng: np.random.Generator,
    batch: int = BATCH,
    *,
    pixel_integration: bool = True,
    dtype: DTypeLike | None = None,
) -> Iterator[Array]:
    """Frames of counted photons: Poisson of the model's intensities.

    Parameters
    ----------
    photons_per_frame
        mean photons of a frame through vacuum; (POSITION,) where the beam's current changes from frame to frame
    rng
        one draw per detector pixel, in the order of the positions: the same frames whatever the batch
    dtype
        unsigned integers of the frames, one for all energies of a scan; None: what ``frame_dtype`` says

    Yields
    ------
    (batch, QY, QX) integers; counts beyond their range saturate

    Other parameters, the geometry and what is raised: ``intensities``.
    """
    photons = np.broadcast_to(np.asarray(photons_per_frame, dtype=np.float64), (len(positions_um),))
    integers = np.dtype(frame_dtype(photons, probe_modes, n) if dtype is None else dtype)
    first = 0
    for means in intensities(
        fine_object, positions_um, probe_modes, n, batch=batch, pixel_integration=pixel_integration
    ):
        counts = rng.poisson(means * photons[first : first + len(means), None, None])
        first += len(means)
        yield np.minimum(counts, np.iinfo(integers).max).astype(integers)


def frame_dtype(photons_per_frame: float | F64, probe_modes: C128, n: int) -> np.dtype[np.uint16] | np.dtype[np.uint32]:
    """uint16, or uint32 where twice the brightest pixel through vacuum would not fit into sixteen bits."""
    spectrum = np.abs(fft.fft2(probe_modes, norm="ortho")) ** 2
    brightest = float(np.max(photons_per_frame)) * float(spectrum.sum(axis=0).max())
    return np.dtype(np.uint16) if 2.0 * brightest < np.iinfo(np.uint16).max else np.dtype(np.uint32)


def nominal_illumination(
    detector: Detector,
    energy_ev: float,
    zone_plate: ZonePlate,
    defocus_um: float,
    photons_per_frame: float,
    *,
    defocus_error: float = 0.09,
) -> C64:
    """The probe that a beamline writes into its file: of the zone plate's design, of one mode, slightly out of focus.

    Parameters
    ----------
    defocus_um
        the true one; the file's is off by the share ``defocus_error``

    Returns
    -------
    (QY, QX) complex64 on the reconstruction's pixels, centred on index n // 2; its sum of squares is the photons
    """
    wave = probe(
        detector.n, detector.object_pixel_nm(energy_ev), energy_ev, zone_plate, defocus_um * (1.0 + defocus_error)
    )
    return np.asarray(wave * np.sqrt(photons_per_frame), dtype=np.complex64)


def pixel_response(n: int, guard: int) -> F64:
    """Matrix (n, n + 2 guard) from intensity at the centres of pixels to its average over their areas.

    The intensity's Fourier transform is the exit wave's autocorrelation; where that fits the window, sampling at the
    centres loses nothing, and averaging over a pixel multiplies it by sinc(u) at u windows from its centre.
    """
    lags = np.arange(n + guard)
    taps = np.array([
        integrate.quad(lambda u, lag=lag: np.sinc(u) * np.cos(2.0 * np.pi * lag * u), -0.5, 0.5, limit=4 * n + 200)[0]
        for lag in lags[: 4 * _GUARD]
    ])  # fmt: skip
    # Beyond thirty-two pixels the response is below 1e-4 and alternates in sign.
    column = np.zeros(lags.size)
    column[: taps.size] = taps[: lags.size]
    distance = np.abs(np.arange(n)[:, None] + guard - np.arange(n + 2 * guard))
    matrix = np.where(distance < lags.size, column[np.minimum(distance, lags.size - 1)], 0.0)
    return np.asarray(matrix / (column[0] + 2.0 * column[1:].sum()), dtype=np.float64)


def _windows(fine_object: FineObject, positions_um: F64, size: int) -> tuple[I64, F64]:
    """Corner (POSITION, 2) of each window in the fine object, and how far the beam stands from its central pixel."""
    exact = (np.asarray(positions_um, dtype=np.float64) - fine_object.origin_um) / fine_object.pixel_um
    nearest = np.round(exact)
    corners = nearest.astype(np.int64) - size // 2
    outside = np.any((corners < 0) | (corners + size > np.array(fine_object.values.shape)), axis=1)
    if outside.any():
        index = int(np.argmax(outside))
        raise InputError(
            where=f"diffraction, position {index}",
            problem="its window leaves the sampled object",
            got=f"(y, x) = {tuple(np.asarray(positions_um)[index])} um",
            wanted=f"{size // 2} pixels of {fine_object.pixel_um * 1e3:.4g} nm on every side",
            mend="Sample the object on fine_axes(positions_um, detector, energy_ev)",
        )
    return corners, exact - nearest


class _Pupil(NamedTuple):
    """A mode's centred spectrum where it is not zero."""

    spectrum: C128
    """(QY, QX)"""
    rows: slice
    """Of the frequencies there"""
    columns: slice


def _pupils(probe_modes: C128) -> list[_Pupil]:
    """The pupil of each mode (MODE, Y, X)."""
    pupils = []
    for mode in probe_modes:
        spectrum = fft.fftshift(fft.fft2(mode))
        filled = np.abs(spectrum) > _NEGLIGIBLE * np.abs(spectrum).max()
        rows, columns = (slice(int(np.argmax(any_)), any_.size - int(np.argmax(any_[::-1])))
                         for any_ in (filled.any(axis=1), filled.any(axis=0)))  # fmt: skip
        pupils.append(_Pupil(np.ascontiguousarray(spectrum[rows, columns]), rows, columns))
    return pupils


def _moved(pupil: _Pupil, shifts_px: F64, size: int) -> C128:
    """The mode (batch, Y, X), moved by (batch, 2) pixels, with the signs (-1)^(y + x) of a centred spectrum."""
    spectrum, rows, columns = pupil
    frequency = fft.fftshift(fft.fftfreq(size))
    ramp_y = np.exp(-2j * np.pi * shifts_px[:, :1] * frequency[rows])
    ramp_x = np.exp(-2j * np.pi * shifts_px[:, 1:] * frequency[columns])
    strip = np.zeros((len(shifts_px), spectrum.shape[0], size), dtype=np.complex128)
    strip[:, :, columns] = spectrum * ramp_y[:, :, None] * ramp_x[:, None, :]
    wave = np.zeros((len(shifts_px), size, size), dtype=np.complex128)
    wave[:, rows] = fft.ifft(strip, axis=2, overwrite_x=True)
    return np.asarray(fft.ifft(wave, axis=1, overwrite_x=True), dtype=np.complex128)
