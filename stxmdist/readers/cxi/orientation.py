"""The eight ways in which a detector image can lie, by a CXI file's basis vectors, and the way to the canonical one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stxmdist.arrays import Array

# A detector turned by more than this against the scan axes cannot be put right by flips and a transposition.
MOST_TILT = 0.09  # rad, five degrees


@dataclass(frozen=True)
class Orientation:
    """How the rows and columns of a file's frames map onto y and x of the sample."""

    transposed: bool
    """Rows of the file run along x, columns along y"""
    flip_y: bool
    """Whichever of the two runs along y runs along -y"""
    flip_x: bool

    @property
    def words(self) -> str:
        """The mapping in words."""
        y = ("-" if self.flip_y else "+") + "y"
        x = ("-" if self.flip_x else "+") + "x"
        rows, columns = (x, y) if self.transposed else (y, x)
        return f"rows of the file along {rows}, columns along {columns}"

    def canonical(self, frames: Array) -> Array:
        """Frames (..., QY, QX), rows along +y and columns along +x, from frames as they lie in the file.

        The zero frequency is at index n // 2 before and after: reversing an even axis moves it to n // 2 - 1, so that
        it is rolled on by one. The row that wraps is the Nyquist frequency, which is its own mirror image.
        """
        if self.transposed:
            frames = frames.swapaxes(-1, -2)
        if self.flip_y:
            frames = _mirrored(frames, -2)
        if self.flip_x:
            frames = _mirrored(frames, -1)
        return np.ascontiguousarray(frames)

    def shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Canonical (QY, QX) of the file's frame shape."""
        return shape[::-1] if self.transposed else shape


# Rows along -y, columns along -x, as real files and cdtools have it where basis_vectors are absent.
DEFAULT = Orientation(transposed=False, flip_y=True, flip_x=True)


def orientation_of(basis_vectors: ArrayLike) -> Orientation | None:
    """Orientation from basis vectors (3, 2): displacement (x, y, z) per row in column 0, per column in column 1.

    The rows of an image are its slow axis; so says CXI 1.6, section on geometry. None where the vectors do not lie
    along x and y within five degrees, or are no basis.
    """
    basis = np.asarray(basis_vectors, np.float64)
    if basis.shape == (2, 3):
        basis = basis.T
    if basis.shape != (3, 2) or not np.isfinite(basis).all():
        return None
    lengths = np.linalg.norm(basis, axis=0)
    if not (lengths > 0).all():
        return None
    directions = basis / lengths
    along = np.abs(directions).argmax(axis=0)
    if sorted(along) != [0, 1] or (np.abs(directions[along, [0, 1]]) < np.cos(MOST_TILT)).any():
        return None
    signs = directions[along, [0, 1]]
    transposed = bool(along[0] == 0)
    along_y, along_x = (1, 0) if transposed else (0, 1)
    return Orientation(transposed, bool(signs[along_y] < 0), bool(signs[along_x] < 0))


def _mirrored(frames: Array, axis: int) -> Array:
    frames = np.flip(frames, axis)
    return np.roll(frames, 1, axis) if frames.shape[axis] % 2 == 0 else frames
