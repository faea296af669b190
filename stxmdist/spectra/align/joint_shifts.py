"""Shifts of all frames together: those with which the frames of the stack are best described as mixtures of few images.

Where two phases of one particle absorb at different energies, its centre of mass moves with energy, so that comparing
one frame with another finds a drift that is not there. Describing every frame as a mixture of the same few images
avoids this.
"""

import numpy as np
from scipy import linalg

from stxmdist.arrays import C64, F64, Mask
from stxmdist.spectra.align.frame_spectra import Band

BLOCK_BYTES = 32_000_000
"""Memory for the moved frames and their derivatives in one block of frequencies"""


def inner_products(spectra: C64, shift_px: F64, band: Band) -> F64:
    """Inner products (3, FRAME, 3, FRAME) float64 of the moved frames and of their derivatives by each shift.

    ``spectra`` (FRAME, QY, QX) are those of the frames, ``shift_px`` (FRAME, 2) how far each is moved. Along the axes
    of length 3 stand the frame itself, its derivative along y and that along x.
    """
    n, rows, columns = spectra.shape
    total = np.zeros((3 * n, 3 * n))
    along_y, along_x = band.moves(shift_px)
    per_block = max(1, BLOCK_BYTES // (3 * n * columns * 8))
    for start in range(0, rows, per_block):
        part = slice(start, start + per_block)
        moved = spectra[:, part] * along_y[:, part] * along_x
        down, across = (-1j * band.y[part, None]).astype(np.complex64), (-1j * band.x).astype(np.complex64)
        block = np.concatenate([moved, moved * down, moved * across]) * np.sqrt(band.fold)
        flat = block.reshape(3 * n, -1).view(np.float32)
        total += flat @ flat.T
    return total.reshape(3, n, 3, n)


def mixture_step(gram: F64, good: Mask, components: int) -> F64:
    """Step (FRAME, 2) in pixels by which to move each frame so that ``components`` images describe the frames better.

    ``gram`` are the inner products of ``inner_products``. The images are those of the ``good`` frames (FRAME,); the
    other frames are compared with them. It is one Gauss-Newton step in which images and mixing coefficients are
    eliminated (variable projection: Golub and Pereyra, SIAM J. Numer. Anal. 10, 413 (1973), with Kaufman's Jacobian);
    inner products are enough to compute it.
    """
    n = len(good)
    use = np.flatnonzero(good)
    value, vector = _strongest(gram[0, :, 0][np.ix_(use, use)], components)
    # Inner products of every frame, and of its derivatives, with the images.
    along = np.einsum("afe,ek->afk", gram[:, :, 0][:, :, use], vector) / np.sqrt(value)
    # The frames minus their projections on the images, of which the good frames are a part themselves.
    left = np.eye(n)
    left[:, use] -= along[0] @ (vector / np.sqrt(value)).T
    coupled = np.eye(n)
    coupled[np.ix_(use, use)] = left[np.ix_(use, use)]
    slope = np.stack([np.einsum("ef,ef->e", left, gram[axis, :, 0]) for axis in (1, 2)])
    curvature = np.empty((2, n, 2, n))
    for a in range(2):
        for b in range(2):
            curvature[a, :, b, :] = coupled * (gram[a + 1, :, b + 1] - along[a + 1] @ along[b + 1].T)
    matrix = curvature.reshape(2 * n, 2 * n)
    diagonal = np.diag_indices(2 * n)
    # The position of the stack as a whole is not determined: slight damping keeps it where it is.
    matrix[diagonal] = matrix[diagonal] * 1.001 + 1e-9 * float(np.abs(matrix[diagonal]).max())
    return np.asarray(-np.linalg.solve(matrix, slope.ravel()).reshape(2, n).T)


def leave_one_out(gram: F64, good: Mask, components: int) -> tuple[F64, F64]:
    """Correlation of each frame with its prediction from the other good frames, and the power that is not predicted.

    Both are (FRAME,) float64. Each frame is left out of its own prediction: a bad frame would otherwise be predicted
    perfectly by a component of its own.
    """
    product = gram[0, :, 0]
    quality, misfit = np.zeros(len(good)), np.zeros(len(good))
    for k, power in enumerate(product.diagonal()):
        others = np.flatnonzero(good & (np.arange(len(good)) != k))
        value, vector = _strongest(product[np.ix_(others, others)], components)
        explained = min(float((((product[k, others] @ vector) ** 2) / value).sum()), float(power))
        quality[k] = np.sqrt(explained / power) if power > 0.0 else 0.0
        misfit[k] = power - explained
    return quality, misfit


def _strongest(gram: F64, components: int) -> tuple[F64, F64]:
    n = len(gram)
    value, vector = linalg.eigh(gram, subset_by_index=[max(0, n - components), n - 1])
    sound = value > 1e-6 * value[-1]
    return value[sound], vector[:, sound]


def components_above(gram: F64, good: Mask, ratio: float) -> int:
    """How many components of the good frames are ``ratio`` times as strong as the median one.

    At least one, and at most half the number of good frames.
    """
    value = linalg.eigvalsh(gram[0, :, 0][np.ix_(good, good)])
    return int(min(max(1, (value > ratio * np.median(value)).sum()), max(1, (value.size - 1) // 2)))
