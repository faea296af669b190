"""Images at ever fewer pixels, as viewers that zoom want them."""

import numpy as np

from stxmdist.arrays import Array

LEAST_LEVELS = 2
COARSEST_PX = 512
"""Longest side of the coarsest level of a large image: a viewer that shows all of it reads this one"""


def levels_for(ny: int, nx: int) -> int:
    """How many levels a pyramid of an image has, the whole image among them; the same for images and their labels."""
    levels = LEAST_LEVELS
    while -(-max(ny, nx) // 2 ** (levels - 1)) > COARSEST_PX:
        levels += 1
    return levels


def halved_image(values: Array) -> Array:
    """(..., Y, X) at half the pixels, odd ones rounded up: the mean of the known pixels of 2 x 2; NaN where none is."""
    blocks = _blocks_of_four(values)
    known = np.isfinite(blocks)
    count = known.sum(axis=0)
    total = np.where(known, blocks, 0).sum(axis=0, dtype=np.float64)
    mean = np.full(count.shape, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean.astype(values.dtype)


def halved_labels(values: Array) -> Array:
    """(Y, X) at half the pixels, odd ones rounded up: the most frequent of 2 x 2, the first of equals."""
    blocks = _blocks_of_four(values)
    votes = (blocks[:, None] == blocks[None]).sum(axis=1)
    winner: Array = np.take_along_axis(blocks, votes.argmax(axis=0)[None], axis=0)[0]
    return winner


def _blocks_of_four(values: Array) -> Array:
    """(4, ..., Y', X'): the pixels of each 2 x 2 block; the last row and column are repeated where one is missing."""
    odd = [(0, 0)] * (values.ndim - 2) + [(0, n % 2) for n in values.shape[-2:]]
    even = np.pad(values, odd, mode="edge")
    return np.stack([even[..., row::2, column::2] for row in (0, 1) for column in (0, 1)])
