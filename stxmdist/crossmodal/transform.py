"""The way from the coordinates of one image to those of another: a linear map, and the drift of the scanned rows."""

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage, stats

from stxmdist.arrays import F64, Real

Axes = tuple[F64, F64]
"""(y_um (Y,), x_um (X,)): coordinates of pixel centres, ascending, evenly spaced"""

ROUNDS = 12
"""Rounds in which the row that a point falls on is found: each is righter by the slope of the drift, a tenth or less"""


def _no_rows() -> F64:
    return np.zeros(0)


def _no_drift() -> F64:
    return np.zeros((0, 2))


@dataclass(frozen=True)
class Registration:
    """A transform from the moving image's coordinates to the fixed one's, and whether to believe it."""

    matrix: F64
    """(2, 3) float64, um: (y, x) fixed = matrix[:, :2] @ (y, x) moving + matrix[:, 2], and the drift added"""
    shift_um: tuple[float, float]
    """(y, x) by which the centre of the moving field moves, drift included"""
    rotation_deg: float
    """From the y axis towards the x axis"""
    scale: float
    error_um: float
    """Expected root mean square error of position over the moving field, one standard deviation"""
    score: float
    """Normalised cross-correlation in the overlap"""
    accepted: bool
    reason: str
    """Why it was refused, or ``registered``"""
    drift_rows_um: F64 = field(default_factory=_no_rows)
    """(ROW,) y of the fixed image in um, ascending, where the drift is given; linear between, constant beyond"""
    drift_um: F64 = field(default_factory=_no_drift)
    """(ROW, 2): by how much (y, x) what is scanned in that row lies off its place"""
    n_landmarks: int = 0
    """Particles, or tiles of larger ones, that agree on the transform"""
    found_by: str = "stage"
    """``stage``: beside its coordinates; ``search``: in the whole field; ``particles``: by their constellation"""

    def __call__(self, y_um: Real, x_um: Real) -> tuple[F64, F64]:
        """Moving coordinates to fixed coordinates, um."""
        a, t = self.matrix[:, :2], self.matrix[:, 2]
        y, x = np.asarray(a[0, 0] * y_um + a[0, 1] * x_um + t[0]), np.asarray(a[1, 0] * y_um + a[1, 1] * x_um + t[1])
        if not self.drift_rows_um.size:
            return y, x
        row = y
        for _ in range(ROUNDS):
            row = y + self._drift(row, 0)
        return row, x + self._drift(row, 1)

    def inverse(self, y_um: Real, x_um: Real) -> tuple[F64, F64]:
        """Fixed coordinates to moving coordinates, um."""
        a = np.linalg.inv(self.matrix[:, :2])
        y, x = y_um - self.matrix[0, 2], x_um - self.matrix[1, 2]
        if self.drift_rows_um.size:
            y, x = y - self._drift(np.asarray(y_um), 0), x - self._drift(np.asarray(y_um), 1)
        return np.asarray(a[0, 0] * y + a[0, 1] * x), np.asarray(a[1, 0] * y + a[1, 1] * x)

    @property
    def shear(self) -> float:
        """By how much the longest direction of a circle that is carried over exceeds the shortest, as a share."""
        largest, smallest = np.linalg.svd(self.matrix[:, :2], compute_uv=False)
        return float(largest / smallest - 1.0)

    @property
    def error_95_um(self) -> float:
        """The error of position that 95 of 100 registrations do not exceed: both directions are equally uncertain."""
        return self.error_um * float(np.sqrt(stats.chi2.ppf(0.95, 2) / 2.0))

    def _drift(self, row: Real, component: int) -> F64:
        return np.asarray(np.interp(row, self.drift_rows_um, self.drift_um[:, component]))


def similarity_matrix(parameters: F64, centre: F64) -> F64:
    """(2, 3) of shift y, x (um), rotation (rad) and log scale about the centre of the moving field."""
    scale = float(np.exp(parameters[3]))
    cosine, sine = scale * float(np.cos(parameters[2])), scale * float(np.sin(parameters[2]))
    linear = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([linear, centre + parameters[:2] - linear @ centre])


def rotation_and_scale(matrix: F64) -> tuple[float, float]:
    """Rotation in degrees and scale of the similarity that is nearest to a linear map (2, 2 or more)."""
    a = matrix[:, :2]
    angle = float(np.arctan2(a[1, 0] - a[0, 1], a[0, 0] + a[1, 1]))
    return float(np.degrees(angle)), float(np.sqrt(abs(np.linalg.det(a))))


def sample(values: Real, axes: Axes, y_um: Real, x_um: Real) -> F64:
    """Cubic spline value of an image at coordinates in um; NaN outside its pixel centres or beside unknown pixels."""
    known = np.isfinite(values)
    row = (y_um - axes[0][0]) / (axes[0][1] - axes[0][0])
    column = (x_um - axes[1][0]) / (axes[1][1] - axes[1][0])
    filled = np.where(known, values, np.mean(values[known]) if known.any() else 0.0)
    out = ndimage.map_coordinates(filled, [row, column], order=3, mode="nearest")
    last_row, last_column = values.shape[0] - 1, values.shape[1] - 1
    # Rounding must not push the outermost pixel centres out.
    inside = (row >= -1e-6) & (row <= last_row + 1e-6) & (column >= -1e-6) & (column <= last_column + 1e-6)
    if not known.all():
        whole = ndimage.map_coordinates(known.astype(np.float64), [row, column], order=1, mode="nearest")
        inside &= whole > 0.999
    return np.asarray(np.where(inside, out, np.nan))
