"""The eight orientations of a detector."""

import itertools

import numpy as np
import pytest

from stxmdist.readers.cxi.orientation import DEFAULT, Orientation, orientation_of

EIGHT = [Orientation(*flags) for flags in itertools.product((False, True), repeat=3)]
BASES = {
    # (direction of rows, of columns) as (x, y)
    ((0, 1), (1, 0)): Orientation(False, False, False),
    ((0, 1), (-1, 0)): Orientation(False, False, True),
    ((0, -1), (1, 0)): Orientation(False, True, False),
    ((0, -1), (-1, 0)): Orientation(False, True, True),
    ((1, 0), (0, 1)): Orientation(True, False, False),
    ((1, 0), (0, -1)): Orientation(True, True, False),
    ((-1, 0), (0, 1)): Orientation(True, False, True),
    ((-1, 0), (0, -1)): Orientation(True, True, True),
}


def basis(rows: tuple[float, float], columns: tuple[float, float]) -> np.ndarray:
    return 55e-6 * np.array([[rows[0], columns[0]], [rows[1], columns[1]], [0, 0]])


@pytest.mark.parametrize(("directions", "expected"), BASES.items())
def test_basis_vectors_name_the_orientation(directions: tuple, expected: Orientation) -> None:
    assert orientation_of(basis(*directions)) == expected
    assert orientation_of(basis(*directions).T) == expected
    assert len(set(BASES.values())) == 8


@pytest.mark.parametrize("n", [(6, 6), (7, 7), (6, 9), (11, 8)])
@pytest.mark.parametrize("directions", BASES)
def test_canonical_frame_samples_the_same_pattern(directions: tuple, n: tuple[int, int]) -> None:
    """A pattern I(qx, qy), sampled by a detector of each orientation, comes out as rows +qy, columns +qx."""
    way = orientation_of(basis(*directions))
    assert way is not None
    rows, columns = (np.arange(size) - size // 2 for size in n)
    (rx, ry), (cx, cy) = directions
    qx = rx * rows[:, None] + cx * columns
    qy = ry * rows[:, None] + cy * columns
    recorded = 100 * qy + qx
    canonical = way.canonical(recorded[None])[0]
    ny, nx = way.shape(n)
    y, x = (np.arange(size) - size // 2 for size in (ny, nx))
    wanted = 100 * y[:, None] + x
    # The Nyquist row of an even axis is at -n/2 and +n/2 at once.
    inside = np.ones((ny, nx), bool)
    inside[0, :] &= ny % 2 == 1
    inside[:, 0] &= nx % 2 == 1
    np.testing.assert_array_equal(canonical[inside], wanted[inside])
    assert canonical[ny // 2, nx // 2] == 0


def test_default_is_that_of_real_files() -> None:
    assert orientation_of([[0, -5.5e-5], [-5.5e-5, 0], [0, 0]]) == DEFAULT
    assert "-y" in DEFAULT.words


@pytest.mark.parametrize(
    "vectors",
    [
        np.zeros((3, 2)),
        [[1, 1], [0, 0], [0, 0]],
        [[1, -1], [1, 1], [0, 0]],
        [[0, 0], [0, 1], [1, 0]],
        np.eye(3),
        [[0, np.nan], [1, 0], [0, 0]],
    ],
)
def test_no_such_detector(vectors: object) -> None:
    assert orientation_of(vectors) is None
