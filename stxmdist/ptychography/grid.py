"""The one grid on which the images of all energies of a ptychography scan are laid, whatever their own pixels."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64
from stxmdist.ptychography.geometry import object_pixel_nm

MARGIN = 0.25
"""Share of the window that is kept around the outermost positions: beams reach about so far."""


@dataclass(frozen=True)
class Grid:
    """Pixel centres of an image, by its origin and its pixel size along y and x."""

    origin_um: tuple[float, float]
    """(y, x) of the centre of pixel [0, 0]"""
    pixel_nm: tuple[float, float]
    shape: tuple[int, int]

    @property
    def y_um(self) -> F64:
        """(Y,) centres of the rows."""
        return np.asarray(self.origin_um[0] + np.arange(self.shape[0]) * self.pixel_nm[0] * 1e-3)

    @property
    def x_um(self) -> F64:
        """(X,) centres of the columns."""
        return np.asarray(self.origin_um[1] + np.arange(self.shape[1]) * self.pixel_nm[1] * 1e-3)


def scan_grid(
    energy_ev: F64,
    positions_um: F64,
    distance_m: float,
    detector_pixel_um: tuple[float, float],
    frame_shape: tuple[int, int],
) -> Grid:
    """The grid of square pixels for all energies of a scan, from its header alone.

    The pixel size of the object scales as 1/E. The grid has the coarsest one, that of the lowest energy, so that no
    energy is shown finer than it was measured, and its origin is a whole multiple of it.

    Parameters
    ----------
    energy_ev
        (ENERGY,) eV
    positions_um
        (ENERGY, POSITION, 2) (y, x) of the beam on the sample, um
    detector_pixel_um
        (y, x)
    """
    lowest = float(np.min(energy_ev))
    pixels = [object_pixel_nm(lowest, distance_m, p, n) for p, n in zip(detector_pixel_um, frame_shape, strict=True)]
    pitch_um = max(pixels) * 1e-3
    first, last = [], []
    for axis, n in enumerate(frame_shape):
        margin = MARGIN * n * pixels[axis] * 1e-3
        first.append(int(np.floor((positions_um[..., axis].min() - margin) / pitch_um)))
        last.append(int(np.ceil((positions_um[..., axis].max() + margin) / pitch_um)))
    return Grid(
        origin_um=(first[0] * pitch_um, first[1] * pitch_um),
        pixel_nm=(max(pixels), max(pixels)),
        shape=(last[0] - first[0] + 1, last[1] - first[1] + 1),
    )
