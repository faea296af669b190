"""A stack of images too large for memory, read in blocks of pixels that depend on its shape only.

Sums over these blocks, in their order, have the same bits however the store is chunked: by energies, rows or both.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from stxmdist.arrays import F32, F64, Mask

R = TypeVar("R")

PIXELS_PER_BLOCK = 16384
"""100 energies of so many pixels are 6.6 MB: enough for fast matrix products, and several blocks fit in memory"""
LEAST_ROWS = 2
"""Fewest rows of a block, so that it contains neighbours along both axes"""
SLAB_BYTES = 64_000_000
"""How much is read at once and then cut into blocks, so that a large chunk is not decoded for each of its blocks"""
LEAST_COUNT = 0.5
"""Counts of a pixel without a count: zero has no optical density, and leaving it out would favour thin places"""


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows of all images of a stack, as optical density."""

    first_row: int
    n_rows: int
    transmission: F32
    """(ENERGY, PIXEL) float32, at least half a count; 1 in pixels that are not known"""
    od: F32
    """(ENERGY, PIXEL) float32, its negative logarithm; 0 in pixels that are not known"""
    known: Mask
    """(PIXEL,) whether a pixel was measured at every energy"""
    floored: int
    """Number of elements that had less than half a count"""


@dataclass(frozen=True, eq=False)
class PixelStack:
    """Transmission (ENERGY, Y, X), of which only a part is in memory at a time."""

    shape: tuple[int, int]
    """(Y, X)"""
    effective_counts: F64
    """(ENERGY,) photons per pixel at full transmission: Var(T) = T / effective_counts"""
    read_rows: Callable[[slice], F32]
    """Reads the transmission (ENERGY, ROW, X) float32 of some rows, NaN where not known"""
    threads: int = 1
    """Number of blocks processed at once; results do not depend on it, because they are taken in order"""
    slab_bytes: int = SLAB_BYTES
    """How much is read at once"""

    @property
    def n_energies(self) -> int:
        """Number of energies."""
        return len(self.effective_counts)

    @property
    def n_pixels(self) -> int:
        """Number of pixels of one image."""
        return self.shape[0] * self.shape[1]

    @property
    def rows_per_block(self) -> int:
        """Number of rows of every block except the last."""
        return rows_per_block(self.shape)

    def each(self, function: Callable[[Block], R]) -> Iterator[R]:
        """Results of a function for every block, in the order of the blocks; one pass over the stack."""
        if self.threads == 1:
            for first_row, rows in self._rows():
                yield function(self._block(first_row, rows))
            return
        with ThreadPoolExecutor(self.threads) as pool:
            ahead: deque[Future[R]] = deque()
            for first_row, rows in self._rows():
                ahead.append(pool.submit(lambda first, part: function(self._block(first, part)), first_row, rows))
                if len(ahead) > 2 * self.threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def _rows(self) -> Iterator[tuple[int, F32]]:
        ny, nx = self.shape
        n = self.rows_per_block
        per_slab = n * max(1, self.slab_bytes // (4 * self.n_energies * nx * n))
        for start in range(0, ny, per_slab):
            slab = self.read_rows(slice(start, min(start + per_slab, ny)))
            for first in range(0, slab.shape[1], n):
                yield start + first, slab[:, first : first + n]

    def _block(self, first_row: int, rows: F32) -> Block:
        transmission = np.array(rows, dtype=np.float32).reshape(len(rows), -1)
        known = np.asarray(np.isfinite(transmission).all(axis=0))
        transmission[:, ~known] = 1.0
        least = (LEAST_COUNT / self.effective_counts).astype(np.float32)[:, None]
        floored = int(np.count_nonzero(transmission < least))
        np.maximum(transmission, least, out=transmission)
        od = np.log(transmission)
        np.negative(od, out=od)
        od[:, ~known] = 0.0
        return Block(first_row, rows.shape[1], transmission, od, known, floored)


def rows_per_block(shape: tuple[int, int]) -> int:
    """Number of rows of a block, for images of this shape (Y, X)."""
    return min(shape[0], max(LEAST_ROWS, PIXELS_PER_BLOCK // shape[1]))


@dataclass(frozen=True, eq=False)
class Sample:
    """Pixels of a stack drawn at random, few enough to be held in memory."""

    od: F64
    """(ENERGY, SAMPLE) float64 optical density of known pixels"""
    transmission: F64
    """(ENERGY, SAMPLE) float64"""


def sample_of(stack: PixelStack, n: int, rng: np.random.Generator) -> Sample:
    """At most ``n`` random pixels, which do not depend on the blocks; one pass."""
    chosen = np.sort(rng.choice(stack.n_pixels, min(n, stack.n_pixels), replace=False))
    nx = stack.shape[1]

    def part(block: Block) -> tuple[F32, F32]:
        first = block.first_row * nx
        low, high = np.searchsorted(chosen, (first, first + block.known.size))
        here = chosen[low:high] - first
        here = here[block.known[here]]
        return block.od[:, here], block.transmission[:, here]

    parts = list(stack.each(part))
    od, transmission = (np.concatenate([p[i] for p in parts], axis=1).astype(np.float64) for i in (0, 1))
    return Sample(od, transmission)
