"""Plates that touch, lie across one another and stand on edge, in the shares that were asked for."""

import numpy as np
import pytest

from stxmdist.simulation.crowd import lay_crowd
from stxmdist.simulation.design import Design
from stxmdist.simulation.phantom import Region, make_particle
from stxmdist.simulation.powder import Powder, overlap
from stxmdist.simulation.truth_neighbours import TOUCHING_UM, true_neighbours

FIELD = ((0.0, 0.0), (9.0, 9.0))


def crowd(powder: Powder, design: Design, seed: int = 3):
    return lay_crowd(*FIELD, powder, design, np.random.default_rng(seed))


def neighbours(powder: Powder, design: Design):
    plates = crowd(powder, design)
    rng = np.random.default_rng(0)
    region = Region(
        tuple(make_particle(i + 1, plate.outline, "solid_solution", 0.5, rng) for i, plate in enumerate(plates))
    )
    return [true_neighbours(particle, region) for particle in region.particles]


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_the_share_of_plates_across_others_is_as_asked(share: float) -> None:
    outlines = [plate.outline for plate in crowd(Powder(), Design(overlapping=share))]
    crossing = [any(a is not b and overlap(a, b) for b in outlines) for a in outlines]
    # Pairs come whole: one more or less of some fifty plates.
    assert np.mean(crossing) == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize(("touching", "cover"), [(0.06, 0.15), (0.3, 0.2), (0.6, 0.2)])
def test_plates_touch_more_the_more_are_laid_against_others(touching: float, cover: float) -> None:
    """A plate laid against another makes two that touch: the share is between the planted one and twice of it."""
    found = neighbours(Powder(touching=touching, cover=cover), Design(overlapping=0.0, edge_on=1e-9))
    share = np.mean([one.touching for one in found])
    assert 0.8 * touching <= share <= 2.0 * touching + 0.05
    assert not any(one.overlapping for one in found)


def test_cover_is_reached_with_many_touching() -> None:
    outlines = [plate.outline for plate in crowd(Powder(touching=0.6, cover=0.25), Design(edge_on=1e-9))]
    area = sum(np.pi / 4 * outline.diameter_um**2 for outline in outlines)
    assert area / 81.0 == pytest.approx(0.25, abs=0.02)


def test_plates_on_edge_are_narrow_and_thick() -> None:
    flat = crowd(Powder(), Design(edge_on=1e-9))
    turned = crowd(Powder(), Design(edge_on=1.0))
    for before, after in zip(flat, turned, strict=True):
        assert after.edge_on
        assert after.face_um == before.outline.diameter_um
        long, short = after.outline.semi_axes_um
        assert long == pytest.approx(before.outline.semi_axes_um[0], rel=1e-9)
        assert 2e3 * short == pytest.approx(before.outline.thickness_nm, rel=1e-9)
        assert after.outline.thickness_nm == min(2e3 * before.outline.semi_axes_um[1], 400.0)


def test_touching_is_symmetric_and_near() -> None:
    plates = crowd(Powder(touching=0.5, cover=0.2), Design(edge_on=1e-9))
    rng = np.random.default_rng(0)
    region = Region(tuple(make_particle(i + 1, p.outline, "solid_solution", 0.5, rng) for i, p in enumerate(plates)))
    pairs = {
        (particle.particle_id, int(other))
        for particle in region.particles
        for other in true_neighbours(particle, region).touching_ids.split(";")
        if other
    }
    assert pairs
    assert {(b, a) for a, b in pairs} == pairs
    assert TOUCHING_UM < 0.05
