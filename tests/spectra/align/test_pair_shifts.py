"""All pairs together say where frames lie, and those that are wrong have no say."""

import numpy as np

from stxmdist.spectra.align.pair_shifts import Pairs, solved_together

NOISE_PX = 0.2


def _pairs(rng: np.random.Generator, shift: np.ndarray) -> Pairs:
    frames = np.array([(i, i + step) for i in range(len(shift)) for step in (1, 2, 3, 5) if i + step < len(shift)])
    measured = shift[frames[:, 1]] - shift[frames[:, 0]] + rng.normal(0.0, NOISE_PX, frames.shape)
    return Pairs(frames, measured, np.full(len(frames), NOISE_PX**-2))


def test_many_pairs_say_more_than_a_chain_of_neighbours() -> None:
    rng = np.random.default_rng(1)
    shift = np.cumsum(rng.normal(0.0, 0.6, (37, 2)), axis=0)
    pairs = _pairs(rng, shift)
    found, together = solved_together(pairs, 37)
    assert together.all()
    error = found - shift
    chain = np.cumsum(pairs.shift_px[np.diff(pairs.frames, axis=1)[:, 0] == 1], axis=0) - (shift[1:] - shift[0])
    assert error.std(axis=0).max() < 0.5 * chain.std(axis=0).max()


def test_frames_that_match_nothing_pull_nobody() -> None:
    rng = np.random.default_rng(2)
    shift = np.cumsum(rng.normal(0.0, 0.6, (37, 2)), axis=0)
    pairs = _pairs(rng, shift)
    wild = np.isin(pairs.frames, (11, 20, 30)).any(axis=1)
    pairs.shift_px[wild] = rng.uniform(-15.0, 15.0, (int(wild.sum()), 2))
    found, together = solved_together(pairs, 37)
    assert np.flatnonzero(~together).tolist() == [11, 20, 30]
    error = (found - shift)[together]
    assert (error - error.mean(axis=0)).std() < 2.0 * NOISE_PX


def test_a_group_of_its_own_does_not_hang_together() -> None:
    rng = np.random.default_rng(3)
    pairs = _pairs(rng, np.zeros((23, 2)))
    across = (pairs.frames[:, 0] < 17) & (pairs.frames[:, 1] >= 17)
    pairs.precision[across] = 0.0
    _, together = solved_together(pairs, 23)
    assert np.flatnonzero(together).tolist() == list(range(17))


def test_no_pair_at_all() -> None:
    shift, together = solved_together(Pairs(np.zeros((1, 2), np.intp), np.zeros((1, 2)), np.zeros(1)), 2)
    assert not shift.any()
    assert not together.any()
