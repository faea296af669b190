"""The forward model of a scanning transmission X-ray microscope: from a phantom to counted photons.

Transmission, not optical density, is what the spot averages: the specimen is sampled several times finer than the
scan, made transparent, blurred by the zone plate's point spread function and only then gathered into pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from stxmdist.arrays import F64, I64
from stxmdist.pixel_pitch import axis_pitch_um
from stxmdist.simulation.chemistry import BENIGN, absorption_of
from stxmdist.simulation.optics import point_spread
from stxmdist.simulation.raster import Raster
from stxmdist.simulation.sizes import StxmSetup

Thickness = Callable[[F64, F64], F64]

PSF_REACH_NM = 700.0
"""Half width of the sampled point spread function."""


@dataclass(frozen=True)
class StxmNuisance:
    """How a stack differs from what its file says."""

    energy_offset_ev: float
    """The photons had the file's energy plus this."""
    leak_fraction: float
    shift_um: F64
    """(ENERGY, 2): the image lies this far (y, x) from where the file's coordinates say."""
    i0_counts: F64
    """(ENERGY,) incident photons per pixel, leak included"""
    raster: Raster | None = None
    """How the lines of the scan lie on the sample; None: as the file says"""


def draw_nuisance(setup: StxmSetup, rng: np.random.Generator) -> StxmNuisance:
    """Energy offset, drift of stage and intensity of one stack."""
    energy = np.asarray(setup.energy_ev)
    offset = rng.uniform(*setup.energy_offset_ev) * (1.0 if rng.random() < 0.5 else -1.0)
    walk = np.cumsum(rng.normal(0.0, setup.drift_px, (energy.size, 2)), axis=0)
    walk -= walk.mean(axis=0)
    # A beamline that drifts by more than two pixels in a stack would have been stopped.
    walk *= np.minimum(1.0, 1.0 / np.abs(walk).max(axis=0))
    middle = 0.5 * (energy[0] + energy[-1])
    slope = 1.0 + 0.06 * (energy - middle) / (energy[-1] - energy[0]) - 0.05 * np.cos((energy - middle) / 6.0)
    drift = np.exp(np.cumsum(rng.normal(0.0, setup.i0_drift, energy.size)))
    return StxmNuisance(
        energy_offset_ev=float(offset),
        leak_fraction=setup.leak_fraction,
        shift_um=walk * setup.pixel_nm * 1e-3,
        i0_counts=setup.counts * slope * drift / drift[0],
    )


def scan_axes(centre_um: tuple[float, float], setup: StxmSetup) -> tuple[F64, F64]:
    """Pixel centres (Y,) and (X,) in um of a square scan around a point."""
    offsets = (np.arange(setup.n_px) - (setup.n_px - 1) / 2.0) * setup.pixel_nm * 1e-3
    return np.asarray(centre_um[0] + offsets), np.asarray(centre_um[1] + offsets)


def fine_axis(axis_um: F64, oversample: int, margin: int = 0, length: int = 0) -> F64:
    """An axis with ``oversample`` points in every pixel and ``margin`` before it, ``length`` in all if given."""
    pitch = axis_pitch_um(axis_um)
    fine = pitch / oversample
    count = length or axis_um.size * oversample + 2 * margin
    return np.asarray(axis_um[0] - pitch / 2.0 + fine * (np.arange(count) - margin + 0.5))


def gather(values: F64, oversample: int) -> F64:
    """Means (..., Y, X) over the points of each pixel of (..., Y * oversample, X * oversample)."""
    *rest, rows, columns = values.shape
    blocks = values.reshape(*rest, rows // oversample, oversample, columns // oversample, oversample)
    return np.asarray(blocks.mean(axis=(-3, -1)))


class StxmModel:
    """A specimen before the microscope: expected counts of one energy after another, the specimen sampled once."""

    def __init__(
        self,
        thickness: Thickness,
        y_um: F64,
        x_um: F64,
        setup: StxmSetup,
        nuisance: StxmNuisance,
        components: tuple[str, ...] = BENIGN,
        polarisation_deg: float | None = None,
        dichroism: float = 0.0,
    ) -> None:
        """Sample the specimen (COMPONENT, Y, X) nm on the fine grid, with a margin as wide as the spot's tails.

        A bent raster widens the margin by as far as it leaves the field that the file says.
        """
        self.setup = setup
        self.nuisance = nuisance
        self.shape = (y_um.size, x_um.size)
        fine_nm = setup.pixel_nm / setup.oversample
        bent_um = 0.0 if nuisance.raster is None else nuisance.raster.largest_um(y_um)
        self._margin = int(np.ceil((PSF_REACH_NM + 1e3 * bent_um) / fine_nm))
        self._reach = int(np.ceil(PSF_REACH_NM / fine_nm))
        lengths = [
            fft.next_fast_len(axis.size * setup.oversample + 2 * self._margin, real=True) for axis in (y_um, x_um)
        ]
        axes = [
            fine_axis(axis, setup.oversample, self._margin, length)
            for axis, length in zip((y_um, x_um), lengths, strict=True)
        ]
        self._axes = (y_um, x_um)
        self._thickness = thickness(axes[0], axes[1])
        kernel = point_spread(fine_nm, setup.energy_ev[0], setup.zone_plate, self._reach)
        placed = np.zeros(lengths)
        placed[: kernel.shape[0], : kernel.shape[1]] = kernel
        # In focus the spot of a zone plate does not depend on the energy: one transfer function for the stack.
        self._transfer = fft.rfft2(np.roll(placed, (-self._reach, -self._reach), axis=(0, 1)))
        fine_um = fine_nm * 1e-3
        self._frequency = (fft.fftfreq(lengths[0], fine_um)[:, None], fft.rfftfreq(lengths[1], fine_um)[None, :])
        energy = np.asarray(setup.energy_ev) + nuisance.energy_offset_ev
        self._mu = absorption_of(components, energy, polarisation_deg, dichroism)

    def transmission(self, index: int) -> F64:
        """Transmission (Y, X) float64 that the pixels of one energy see: blurred, drifted, with the leak."""
        mu = self._mu[:, index]
        density = mu[0] * self._thickness[0] + mu[1] * self._thickness[1]
        for component in range(2, mu.size):
            density += mu[component] * self._thickness[component]
        sharp = np.exp(-density)
        dy, dx = self.nuisance.shift_um[index]
        fy, fx = self._frequency
        ramp = np.exp(-2j * np.pi * fy * dy) * np.exp(-2j * np.pi * fx * dx)
        spectrum = fft.rfft2(sharp)
        spectrum *= self._transfer
        spectrum *= ramp
        blurred = fft.irfft2(spectrum, s=sharp.shape, overwrite_x=True)
        rows, columns = (n * self.setup.oversample for n in self.shape)
        if self.nuisance.raster is None:
            inside = blurred[self._margin : self._margin + rows, self._margin : self._margin + columns]
        else:
            oversample = self.setup.oversample
            y, x = (fine_axis(axis, oversample) for axis in self._axes)
            places = self.nuisance.raster.places(y, x, self._axes[0], oversample, index)
            fine = [
                (place - axis[0]) / (axis[1] - axis[0]) + self._margin
                for place, axis in zip(places, (y, x), strict=True)
            ]
            inside = ndimage.map_coordinates(
                blurred,
                fine,
                order=3,
                mode="nearest",
            )
        leak = self.nuisance.leak_fraction
        return (gather(inside, self.setup.oversample) + leak) / (1.0 + leak)

    def counts(self, index: int, rng: np.random.Generator) -> I64:
        """Counted photons (Y, X) int64 of one energy: Poisson."""
        expected = self.nuisance.i0_counts[index] * self.transmission(index)
        return np.asarray(rng.poisson(np.maximum(expected, 0.0)), dtype=np.int64)
