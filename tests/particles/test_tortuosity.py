"""Diffusion through sections whose answer is known."""

import numpy as np
import pytest

from stxmdist.particles.tortuosity import MOST_PIXELS, pores_of, tortuosity

STRAIGHT = 0.01
"""Largest error of the tortuosity of a straight channel, from the reference"""


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_a_straight_channel_is_not_tortuous(axis: int, share: float) -> None:
    pores = np.zeros((60, 80), dtype=bool)
    across = pores.shape[1 - axis]
    np.moveaxis(pores, axis, 0)[:, : round(share * across)] = True
    found = tortuosity(pores, axis)
    print(f"straight channel, porosity {found.porosity:.2f}: tau {found.tortuosity:.6f}")
    assert found.tortuosity == pytest.approx(1.0, abs=STRAIGHT)
    assert found.relative_diffusivity == pytest.approx(round(share * across) / across)


def test_a_channel_in_a_step_is_as_long_as_its_way() -> None:
    """Two halves of a channel side by side, joined by a narrow way across: in series, whatever their place."""
    pores = np.zeros((200, 200), dtype=bool)
    pores[:100, :20] = pores[100:, 180:] = pores[95:105, :] = True
    found = tortuosity(pores, 0)
    # 95 of 20 wide, about 180 of 10 wide, 95 of 20 wide.
    resistance = 95 / 20 + 180 / 10 + 95 / 20
    assert found.relative_diffusivity == pytest.approx(1.0 / resistance, rel=0.08)
    assert found.tortuosity > 1.0


def test_discs_follow_maxwell() -> None:
    """A dilute square lattice of solid discs in two dimensions: D_eff/D0 = (1 - phi)/(1 + phi), so tau = 1 + phi.

    Stairs of pixels stand out of discs of 16 pixels a little.
    """
    y, x = np.mgrid[:160, :160]
    solid = np.hypot(y % 40 - 19.5, x % 40 - 19.5) < 8.0
    found = tortuosity(~solid, 0)
    assert found.tortuosity == pytest.approx(1.0 + solid.mean(), rel=0.02)


def test_pores_that_do_not_go_through_conduct_nothing() -> None:
    pores = np.ones((30, 30), dtype=bool)
    pores[15] = False
    found = tortuosity(pores, 0)
    assert found.relative_diffusivity == 0.0
    assert np.isnan(found.tortuosity)
    assert "no pore goes through" in found.note
    assert tortuosity(pores, 1).tortuosity == pytest.approx(1.0)


def test_a_section_that_was_hardly_measured_says_so() -> None:
    labels = np.full((20, 20), -1, dtype=np.int32)
    labels[:5] = 0
    found = tortuosity(*((pores := pores_of(labels))[0], 0), known=pores[1])
    assert "25% of the section were measured" in found.note
    assert np.isnan(found.porosity)


def test_a_large_section_is_solved_in_coarser_squares() -> None:
    rng = np.random.default_rng(1)
    pores = np.kron(rng.random((35, 35)) < 0.75, np.ones((10, 10), dtype=bool)).astype(bool)
    fine = np.kron(pores, np.ones((3, 3), dtype=bool)).astype(bool)
    assert int(np.ceil(np.sqrt(fine.size / MOST_PIXELS))) == 3
    assert tortuosity(fine, 0).tortuosity == pytest.approx(tortuosity(pores, 0).tortuosity)
