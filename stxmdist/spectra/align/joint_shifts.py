"""Shifts of all frames at once: those with which the stack is best a mixture of a few images.

Where two phases of one particle brighten at different energies its centre of mass moves, so that frames compared one
with another seem to have drifted. A stack of few components has no such drift: each frame is a sum of the same images.
"""

import numpy as np
from scipy import linalg

from stxmdist.arrays import C64, F64, Mask
from stxmdist.spectra.align.frame_spectra import Band

BLOCK_BYTES = 32_000_000
"""Frequencies are gone through in blocks, whose derivatives take so much memory"""


def inner_products(spectra: C64, shift_px: F64, band: Band) -> F64:
    """Real inner products (3, FRAME, 3, FRAME) of moved frames and of their derivatives by either shift."""
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
    """By how much more to move each frame (FRAME, 2), so that less of it lies outside ``components`` images.

    ``gram`` are the inner products above; ``good`` (FRAME,) frames make the images, the others are held against them.
    One step of Gauss and Newton; images and mixing coefficients are eliminated (variable projection: Golub and Pereyra,
    SIAM J. Numer. Anal. 10, 413 (1973), with Kaufman's Jacobian), for which inner products are enough.
    """
    n = len(good)
    use = np.flatnonzero(good)
    value, vector = _strongest(gram[0, :, 0][np.ix_(use, use)], components)
    # Inner products of every frame, and of its gradients, with the images.
    along = np.einsum("afe,ek->afk", gram[:, :, 0][:, :, use], vector) / np.sqrt(value)
    # What is left of frames when the images are taken off: a good frame is a part of them itself.
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
    # The stack as a whole may lie anywhere: a trace of damping keeps it where it is.
    matrix[diagonal] = matrix[diagonal] * 1.001 + 1e-9 * float(np.abs(matrix[diagonal]).max())
    return np.asarray(-np.linalg.solve(matrix, slope.ravel()).reshape(2, n).T)


def left_out(gram: F64, good: Mask, components: int) -> tuple[F64, F64]:
    """Correlation of each frame with what the good others predict of it, and the power that they do not, both (FRAME,).

    Each frame is left out in turn: a bad one would else be a component of its own.
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
    """How many components of the good frames are ``ratio`` times as strong as the median one; few frames tell few
    apart.
    """
    value = linalg.eigvalsh(gram[0, :, 0][np.ix_(good, good)])
    return int(min(max(1, (value > ratio * np.median(value)).sum()), max(1, (value.size - 1) // 2)))
