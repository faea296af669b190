"""Plates on each other are flagged, single ones are not."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.arrays import Mask
from stxmdist.particles.overlap import much_thicker, overlapping_plates
from stxmdist.particles.segment import segment
from stxmdist.simulation.phantom import Outline
from stxmdist.simulation.powder import Powder, draw_diameters, draw_outline
from tests.particles.planted_fields import Field, planted, powder_outlines
from tests.particles.test_sharp_sizes import sizes_in
from tests.particles.test_touching import cracks


def crossed(rng: np.random.Generator, n: int, side_um: float) -> list[Outline]:
    """Pairs of plates of which the smaller one lies on the other by a tenth to all of it."""
    across, plates = int(np.ceil(np.sqrt(n))), []
    axis = np.linspace(-1.2, 1.2, 161)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    for index in range(n):
        sizes = np.clip(draw_diameters(2, Powder(), rng), 0.3, 0.8)
        one, other = (draw_outline(float(size), Powder(), rng) for size in sizes)
        under, direction, wanted = one.radius(*one.axes(y, x)) < 1, rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 1.0)
        for distance in np.linspace(1.2, 0.0, 61):
            moved = replace(other, y_um=distance * np.sin(direction), x_um=distance * np.cos(direction))
            over = moved.radius(*moved.axes(y, x)) < 1
            if (under & over).sum() >= wanted * min(under.sum(), over.sum()):
                break
        middle = np.array([index // across + 0.5, index % across + 0.5]) * side_um / across
        plates += [replace(plate, y_um=plate.y_um + middle[0], x_um=plate.x_um + middle[1]) for plate in (one, moved)]
    return plates


def flagged(field: Field) -> Mask:
    total = field.measured_nm.sum(axis=0)
    sizes = sizes_in(field, "stxm")
    labels = segment(total, field.known, field.pixel_nm)
    return overlapping_plates(labels, total, field.known, sizes.misfit, 0.5, sizes.particle_id)


def test_plates_on_each_other_are_flagged() -> None:
    pairs = caught = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        field = planted(crossed(rng, 16, 8.0), 160, rng)
        flags, labels = flagged(field), segment(field.measured_nm.sum(axis=0), field.known, 50.0)
        for pair in range(16):
            seen = np.unique(labels[np.isin(field.labels, [2 * pair + 1, 2 * pair + 2]) & (labels > 0)])
            pairs, caught = pairs + 1, caught + bool(flags[seen - 1].any())
    print(f"overlapping pairs flagged: {caught} of {pairs}")
    assert caught >= 0.9 * pairs


@pytest.mark.parametrize(
    ("kind", "most"), [("plain", 0.03), ("100 photons", 0.03), ("touching", 0.05), ("cracks", 0.2)]
)
def test_single_plates_are_not_flagged(kind: str, most: float) -> None:
    flags = []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        plates = powder_outlines(rng, 8.0, replace(Powder(), touching=0.6 if kind == "touching" else 0.0))
        carve = cracks(plates, 160, 50.0, 0.7, 0.04) if kind == "cracks" else None
        field = planted(plates, 160, rng, counts=100.0 if kind == "100 photons" else 3000.0, carve=carve)
        flags.append(flagged(field))
    share = float(np.concatenate(flags).mean())
    print(f"{kind}: {share:.3f} of single plates flagged as overlapping")
    assert share <= most


def test_a_plate_twice_as_thick_as_all_others_may_be_two() -> None:
    thickness = np.concatenate([np.random.default_rng(1).normal(115.0, 12.0, 40), [235.0, np.nan]])
    assert np.flatnonzero(much_thicker(thickness)).tolist() == [40]
    assert not much_thicker(np.array([100.0, 300.0])).any()
    assert not much_thicker(np.exp(np.random.default_rng(2).normal(np.log(120.0), 0.5, 200))).mean() > 0.02
