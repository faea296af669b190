"""What ptychography leaves free in an object, found and removed: amplitude scale, phase offset, phase ramp, shift.

O(r) exp(i k r) with P(r) exp(-i k r), and O(r - d) with P(r - d), give the same frames. Before two reconstructions are
compared, joined or turned into optical density, they must be brought to the same gauge.
"""

from dataclasses import dataclass

import numpy as np
from scipy import fft

from stxmdist.arrays import C64, C128, F64, Array, Mask
from stxmdist.errors import InputError

_ENOUGH_PX = 50
"""With fewer pixels than this, the ramp over an area is not determined."""


@dataclass(frozen=True)
class Gauge:
    """A factor exp(log_amplitude + i (phase + ramp . r)), r in pixels of the object it belongs to."""

    log_amplitude: float
    phase_rad: float
    """At pixel [0, 0]"""
    ramp_rad_per_px: tuple[float, float]
    """(y, x)"""

    def factor(self, shape: tuple[int, int], corner: tuple[int, int] = (0, 0)) -> C128:
        """The factor on a box of pixels (Y, X) whose first pixel is the corner."""
        rows = np.arange(shape[0]) + corner[0]
        columns = np.arange(shape[1]) + corner[1]
        ramp = self.ramp_rad_per_px[0] * rows[:, None] + self.ramp_rad_per_px[1] * columns
        return np.asarray(np.exp(self.log_amplitude + 1j * (self.phase_rad + ramp)), dtype=np.complex128)


def fit_gauge(values: Array, weight: F64) -> Gauge:
    """The gauge by which complex values (Y, X) differ from 1; weights (Y, X) say how much each pixel counts.

    The ramp is found where the Fourier transform of the weighted values peaks, which phase wraps do not disturb. Then
    offset and ramp are refined by least squares of the remaining phase.
    """
    sound = np.where(weight > 0, np.nan_to_num(values), 0.0).astype(np.complex128)
    weight = np.asarray(weight, np.float64)
    amplitude = np.abs(sound)
    units = np.where(amplitude > 0, sound / np.where(amplitude > 0, amplitude, 1.0), 0.0)
    ramp = -2.0 * np.pi * peak(weight * units)
    rows, columns = np.indices(values.shape)
    total = weight.sum()
    centre = np.array([(weight * rows).sum() / total, (weight * columns).sum() / total])
    y, x = rows - centre[0], columns - centre[1]
    phase = 0.0
    for _ in range(3):
        left = units * np.exp(-1j * (phase + ramp[0] * y + ramp[1] * x))
        phase += float(np.angle((weight * left).sum()))
        left *= np.exp(-1j * np.angle((weight * left).sum()))
        terms = np.stack([np.ones(y.shape), y, x]).reshape(3, -1)
        weighted = terms * weight.ravel()
        step = np.linalg.lstsq(weighted @ terms.T, weighted @ np.angle(left).ravel(), rcond=1e-10)[0]
        phase += float(step[0])
        ramp = ramp + step[1:]
    flat = sound * np.exp(-1j * (phase + ramp[0] * y + ramp[1] * x))
    # The mean of the complex values, unlike that of their amplitudes, is not raised by noise.
    mean = float(np.abs((weight * flat).sum() / total))
    return Gauge(
        log_amplitude=float(np.log(max(mean, 1e-12))),
        phase_rad=float(phase - ramp @ centre),
        ramp_rad_per_px=(float(ramp[0]), float(ramp[1])),
    )


def peak(values: Array) -> F64:
    """Where |sum values exp(2 pi i f . r)| is largest: frequencies f (2,) in cycles per pixel, to about 1e-4 / size.

    Source: refinement by matrix products, Guizar-Sicairos, Thurman and Fienup, Opt. Lett. 33, 156 (2008).
    """
    spectrum = np.abs(fft.ifft2(values))
    at = np.unravel_index(int(spectrum.argmax()), spectrum.shape)
    frequency = np.array([fft.fftfreq(n)[i] for n, i in zip(values.shape, at, strict=True)])
    reach = np.array([1.0 / n for n in values.shape])
    rows, columns = np.arange(values.shape[0]), np.arange(values.shape[1])
    steps = np.linspace(-1.0, 1.0, 11)
    for _ in range(5):
        fy, fx = frequency[0] + steps * reach[0], frequency[1] + steps * reach[1]
        left = np.exp(2j * np.pi * fy[:, None] * rows)
        right = np.exp(2j * np.pi * columns[:, None] * fx)
        fine = np.abs(left @ values @ right)
        at = np.unravel_index(int(fine.argmax()), fine.shape)
        frequency = np.array([fy[at[0]], fx[at[1]]])
        reach = reach / 5.0
    return frequency


def remove_ramp(object_: Array, reference: Array, weight: F64) -> C128:
    """An object (Y, X) with the reference's scale, phase offset and ramp, fitted where there is weight."""
    gauge = fit_gauge(np.nan_to_num(object_) * np.conj(np.nan_to_num(reference)), weight * _amplitude2(reference))
    found = fit_gauge(_ratio(object_, reference), weight * _amplitude2(reference))
    whole = Gauge(found.log_amplitude, gauge.phase_rad, gauge.ramp_rad_per_px)
    return np.asarray(object_ / whole.factor((object_.shape[0], object_.shape[1])), dtype=np.complex128)


def _amplitude2(values: Array) -> F64:
    return np.asarray(np.abs(np.nan_to_num(values)) ** 2, dtype=np.float64)


def _ratio(values: Array, reference: Array) -> C128:
    # This is a weighted mean, with |reference|^2 in the weight: otherwise dim pixels would dominate.
    denominator = np.maximum(_amplitude2(reference), 1e-6)
    return np.asarray(np.nan_to_num(values) * np.conj(np.nan_to_num(reference)) / denominator, dtype=np.complex128)


def register_pair(a: Array, b: Array, weight: F64) -> F64:
    """Shift (2,) in pixels by which ``b`` must be moved to lie on ``a``; ramps and offsets must agree already.

    Means are subtracted first: otherwise the edge of the weighted area, the same in both, would hold the images in
    place.
    """
    one, other = (_centred(values, weight) for values in (a, b))
    cross = fft.fft2(one) * np.conj(fft.fft2(other))
    # Correlation at shift d is sum cross exp(2 pi i f d): roles of space and frequency swap, hence the shape.
    centred = fft.fftshift(cross)
    return np.asarray(peak(centred) * np.array(a.shape), np.float64)


def _centred(values: Array, weight: F64) -> C128:
    sound = np.where(weight > 0, np.nan_to_num(values), 0.0)
    mean = (weight * sound).sum() / weight.sum()
    return np.asarray(weight * (sound - mean), dtype=np.complex128)


def shift_image(values: Array, shift_px: F64) -> C128:
    """An image (Y, X) moved by (y, x) pixels by the phase of its spectrum; it wraps round at its edges."""
    fy, fx = fft.fftfreq(values.shape[0])[:, None], fft.fftfreq(values.shape[1])
    ramp = np.exp(-2j * np.pi * (fy * shift_px[0] + fx * shift_px[1]))
    return np.asarray(fft.ifft2(fft.fft2(np.nan_to_num(values)) * ramp), dtype=np.complex128)


def fix_gauge(object_: Array, free: Mask) -> tuple[C64, Gauge]:
    """The object (Y, X) with vacuum at 1: ramp, offset and scale that its particle-free area has are divided out.

    Raises
    ------
    InputError
        if the particle-free area has too few pixels.
    """
    known = free & np.isfinite(object_)
    if int(known.sum()) < _ENOUGH_PX:
        raise InputError(
            where="phase gauge",
            problem="there is too little particle-free area to fix phase and amplitude on",
            got=f"{int(known.sum())} pixels",
            wanted=f"at least {_ENOUGH_PX}",
            mend="Scan a margin of empty support, or loosen what counts as particle-free",
        )
    gauge = fit_gauge(object_, known.astype(np.float64))
    return np.asarray(object_ / gauge.factor((object_.shape[0], object_.shape[1])), dtype=np.complex64), gauge
