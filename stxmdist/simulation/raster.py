"""How the lines of a scan lie on the sample: sheared, drifting, and somewhere else than the file says."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64
from stxmdist.simulation.design import Design


@dataclass(frozen=True, eq=False)
class Raster:
    """The place on the sample of each pixel: place = coordinate - offset + shift(row) + (0, shear (y - middle))."""

    offset_um: tuple[float, float]
    """(y, x): coordinates of the file less those of the sample, the same for all pixels"""
    shear: float
    """x of the sample changes by this per y of the file, about the middle row"""
    drift_um: F64
    """(Y, 2) slow displacement (y, x) of each row, the same in all images; its mean is zero"""
    jitter_um: F64
    """(ENERGY, Y, 2) displacement (y, x) of each row of each image by itself"""

    def shift_um(self, y_um: F64) -> F64:
        """Displacement (Y, 2) of rows at (Y,) um without their jitter and without the offset."""
        shift = self.drift_um.copy()
        shift[:, 1] += self.shear * (y_um - y_um.mean())
        return shift

    def shift_at(self, places_um: F64, y_um: F64) -> F64:
        """Displacement (POINT, 2) of what lies at the y (POINT,) of the sample, in a scan of rows (Y,) um."""
        shift = self.shift_um(y_um)
        rows = places_um
        # The row that shows a place is itself displaced; drift changes by less than a row per row.
        for _ in range(3):
            rows = places_um - _straight(rows, y_um, shift[:, 0])
        return np.stack([_straight(rows, y_um, shift[:, axis]) for axis in (0, 1)], axis=1)

    def largest_um(self, y_um: F64) -> float:
        """Bound of the displacement of any pixel from where the file says, without the offset."""
        return float(np.abs(self.shift_um(y_um)).max() + np.abs(self.jitter_um).max(initial=0.0))

    def places(
        self, y_fine_um: F64, x_fine_um: F64, y_um: F64, oversample: int, index: int | None = None
    ) -> tuple[F64, F64]:
        """Places (Y, X), (Y, X) um on the sample of points with several rows in each row of the scan.

        Parameters
        ----------
        y_fine_um, x_fine_um
            (Y * oversample,), (X * oversample,) in the file's coordinates, less the offset
        y_um
            (Y,) centres of the rows
        index
            image of the stack; None: without the jitter of rows
        """
        shift = self.shift_um(y_um) if index is None else self.shift_um(y_um) + self.jitter_um[index]
        # Inside a row the stage moves on: between the middles of rows it is taken as straight. Jitter is a row's own.
        slow = self.shift_um(y_um)
        fine = np.stack([_straight(y_fine_um, y_um, slow[:, axis]) for axis in (0, 1)], axis=1)
        fine += np.repeat(shift - slow, oversample, axis=0)
        ones = np.ones(x_fine_um.size)
        return np.outer(y_fine_um + fine[:, 0], ones), x_fine_um[None, :] + fine[:, 1:2]


def _straight(at: F64, nodes: F64, values: F64) -> F64:
    """Linear interpolation that goes on beyond the last nodes."""
    inside = np.interp(at, nodes, values)
    first, last = (values[1] - values[0]) / (nodes[1] - nodes[0]), (values[-1] - values[-2]) / (nodes[-1] - nodes[-2])
    below, above = np.minimum(at - nodes[0], 0.0), np.maximum(at - nodes[-1], 0.0)
    return np.asarray(inside + first * below + last * above)


def draw_raster(design: Design, n_rows: int, n_energies: int, rng: np.random.Generator) -> Raster | None:
    """Shear, drift and stage error of one stack; None where the design plants none of them.

    The slow drift is a straight line plus half a wave over the rows, of the planted rms.
    """
    if not (design.shear or design.row_drift_nm or design.row_jitter_nm or design.stage_error_um):
        return None
    angle = rng.uniform(0.0, 2.0 * np.pi)
    sign = 1.0 if rng.random() < 0.5 else -1.0
    rows = np.linspace(-1.0, 1.0, n_rows)[:, None]
    drift = rng.normal(size=2) * rows + rng.normal(size=2) * np.cos(np.pi * rows + rng.uniform(0.0, 2.0 * np.pi, 2))
    drift -= drift.mean(axis=0)
    rms = float(np.sqrt((drift**2).sum(axis=1).mean()))
    jitter = rng.normal(0.0, 1.0, (n_energies, n_rows, 2)) * design.row_jitter_nm * 1e-3
    return Raster(
        offset_um=(float(design.stage_error_um * np.sin(angle)), float(design.stage_error_um * np.cos(angle))),
        shear=sign * design.shear,
        drift_um=drift / rms * design.row_drift_nm * 1e-3,
        jitter_um=jitter,
    )
