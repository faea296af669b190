"""Spectra of single particles: from their insides, one for each, large regions in pieces."""

import numpy as np

from stxmdist.arrays import F64, I32
from stxmdist.spectra.density.particle_spectra import (
    MOST_PARTICLES,
    PIECE_PX,
    particle_pixels,
    particle_spectra,
)

SHAPE = (61, 97)
COUNTS = np.array([400.0, 800.0, 600.0])
FIVE_SIGMA = 5.0


def discs(centres: list[tuple[int, int]], radius: float) -> F64:
    """Optical density (Y, X) of discs of 0.5, 0.6, and so on."""
    y, x = np.indices(SHAPE)
    od = np.zeros(SHAPE)
    for number, (row, column) in enumerate(centres):
        od[np.hypot(y - row, x - column) < radius] = 0.5 + 0.1 * number
    return od


def known(od: F64) -> I32:
    return particle_pixels(od, np.ones(od.shape, bool))


def test_each_particle_is_taken_once_and_from_its_inside() -> None:
    centres = [(15, 15), (15, 45), (44, 30), (44, 70)]
    labels = known(discs(centres, 8.0))
    assert sorted(np.unique(labels)) == [0, 1, 2, 3, 4]
    y, x = np.indices(SHAPE)
    found = {int(labels[centre]) for centre in centres}
    assert found == {1, 2, 3, 4}
    for centre in centres:
        far = np.hypot(y - centre[0], x - centre[1])
        mine = labels == labels[centre]
        assert far[mine].max() < 7.0
        # Half of the pixels, the deeper ones.
        assert 0.4 * (far < 8.0).sum() < mine.sum() < 0.7 * (far < 8.0).sum()


def test_a_region_that_is_large_is_taken_in_pieces_and_small_ones_whole() -> None:
    od = np.zeros(SHAPE)
    od[4:57, 4:44] = 1.0
    od[20:34, 70:84] = 1.0
    labels = known(od)
    wide = np.unique(labels[:, :50])
    assert len(wide[wide > 0]) >= 5
    for number in wide[wide > 0]:
        rows, columns = np.nonzero(labels == number)
        assert max(np.ptp(rows), np.ptp(columns)) < PIECE_PX
    assert len(np.unique(labels[20:34, 70:84])) == 2


def test_the_largest_are_taken_of_too_many_and_none_of_nothing() -> None:
    od = np.zeros((120, 120))
    for row in range(0, 120, 12):
        for column in range(0, 120, 12):
            size = 6 + (row + column) % 5
            od[row : row + size, column : column + size] = 1.0
    labels = known(od)
    assert labels.max() == MOST_PARTICLES
    sizes = np.bincount(labels.ravel())[1:]
    assert (np.diff(sizes) <= 0).all()
    assert not known(np.zeros(SHAPE)).any()
    assert not particle_pixels(od, np.zeros(od.shape, bool)).any()


def test_spectra_are_those_of_each_particle_with_the_error_that_they_have() -> None:
    rng = np.random.default_rng(3)
    od = discs([(15, 15), (15, 45), (44, 30)], 8.0)
    labels = known(od)
    factor = np.array([0.7, 1.4, 2.0])
    seen = (rng.poisson(COUNTS[:, None, None] * np.exp(-factor[:, None, None] * od)) / COUNTS[:, None, None]).astype(
        np.float32
    )
    seen[1][labels == 2] = np.nan
    spectra, variance = particle_spectra(seen, labels, COUNTS)
    planted = np.array([od[labels == number].mean() for number in (1, 2, 3)])[:, None] * factor
    assert np.isnan(spectra[1, 1])
    assert np.isnan(variance[1, 1])
    rest = np.isfinite(spectra)
    assert rest.sum() == 8
    assert (np.abs(spectra - planted)[rest] < FIVE_SIGMA * np.sqrt(variance[rest])).all()
