"""Plates that lie across one another are parted, and plates that are one stay one."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.arrays import F64, I32
from stxmdist.particles.across import Across, part_across
from stxmdist.particles.overlap import hidden_sd
from stxmdist.particles.segment import segment
from stxmdist.simulation.phantom import Outline
from stxmdist.simulation.powder import Powder, draw_diameters, draw_outline
from tests.particles.planted_fields import FINE, Field, panoptic_quality, planted, powder_outlines
from tests.particles.test_touching import cracks

PSF_NM = 25.0
HARD = replace(Powder(), thickness_sigma_log=0.35, thickness_limits_nm=(60.0, 400.0))


def crossing(rng: np.random.Generator, n: int, side_um: float) -> list[Outline]:
    """Pairs of plates of which a fifth to a half of the smaller one lies across the other, one pair in each square."""
    across, plates = int(np.ceil(np.sqrt(n))), []
    axis = np.linspace(-1.2, 1.2, 121)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    for index in range(n):
        sizes = np.clip(draw_diameters(2, HARD, rng), 0.45, 0.8)
        one, other = (draw_outline(float(size), HARD, rng) for size in sizes)
        under, direction, wanted = one.radius(*one.axes(y, x)) < 1, rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.5)
        for distance in np.linspace(1.2, 0.0, 61):
            moved = replace(other, y_um=distance * np.sin(direction), x_um=distance * np.cos(direction))
            over = moved.radius(*moved.axes(y, x)) < 1
            if (under & over).sum() >= wanted * min(under.sum(), over.sum()):
                break
        middle = (np.array([index // across, index % across]) + 0.5) * side_um / across
        plates += [replace(plate, y_um=plate.y_um + middle[0], x_um=plate.x_um + middle[1]) for plate in (one, moved)]
    return plates


def parted(field: Field) -> tuple[I32, Across]:
    """Labels before and after."""
    total = field.measured_nm.sum(axis=0)
    labels = segment(total, field.known, field.pixel_nm)
    return labels, part_across(labels, total, field.known, field.pixel_nm, PSF_NM)


def visible(field: Field) -> Field:
    """The field with pixels that two plates cover given to the thicker one, as the truth of campaigns has them."""
    axis = (np.arange(field.labels.shape[0]) + 0.5) * field.pixel_nm * 1e-3
    covers = [one.cover(u, v, one.radius(u, v)) for one in field.outlines for u, v in [one.axes(axis[:, None], axis)]]
    thick = np.stack([one.thickness_nm * (cover >= 0.5) for one, cover in zip(field.outlines, covers, strict=True)])
    labels = np.where(thick.max(axis=0) > 0.0, thick.argmax(axis=0) + 1, 0).astype(np.int32)
    return replace(field, labels=labels)


def test_plates_across_one_another_are_parted_and_nothing_else_changes() -> None:
    before = after = 0
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        field = visible(planted(crossing(rng, 16, 9.6), 192, rng))
        labels, across = parted(field)
        before += panoptic_quality(labels, field)[4]
        after += panoptic_quality(across.labels, field)[4]
        np.testing.assert_array_equal(across.labels > 0, labels > 0)
        np.testing.assert_array_equal(np.unique(across.labels), np.arange(across.labels.max() + 1))
        both = across.other > 0
        assert (across.parted[both]).all()
        assert (across.other[both] != across.labels[both]).all()
        assert across.labels.max() - labels.max() == len(np.unique(labels[across.parted]))
    print(f"of 64 plates in pairs {before} were lost in one outline, {after} are after the parting")
    assert before >= 16
    assert after <= 0.4 * before


@pytest.mark.parametrize("kind", ["plain", "100 photons", "cracks", "touching", "thickness falls off"])
def test_other_plates_stay_as_they_are(kind: str) -> None:
    rng = np.random.default_rng(33)
    plates = powder_outlines(rng, 8.0, replace(HARD, touching=0.6 if kind == "touching" else 0.0))
    carve: F64 | None = None
    if kind == "cracks":
        carve = cracks(plates, 160, 50.0, 0.7, 0.04)
    elif kind == "thickness falls off":
        # To a half over a micrometre, as in a wedge, and anew each two.
        carve = np.broadcast_to(0.75 + 0.25 * np.cos(np.pi * np.arange(160 * FINE) * 0.05 / FINE), (160 * FINE,) * 2)
    field = planted(plates, 160, rng, counts=100.0 if kind == "100 photons" else 3000.0, carve=carve)
    labels, across = parted(field)
    split = int(across.labels.max() - labels.max())
    print(f"{kind}: {split} of {labels.max()} outlines parted")
    assert split == 0


def test_fine_pixels_and_empty_fields_are_left_alone() -> None:
    labels = np.zeros((40, 40), np.int32)
    assert part_across(labels, 1.0 * labels, labels == 0, 50.0, PSF_NM).labels is labels
    labels[5:30, 5:30] = 1
    assert part_across(labels, 100.0 * labels, labels >= 0, 10.0, PSF_NM).labels is labels


@pytest.mark.parametrize("hidden", [0.2, 0.9])
def test_where_both_lie_says_what_a_mean_without_it_is_off_by(hidden: float) -> None:
    """Two plates of 100 and 150 nm; the hidden third of the thicker one has another state of charge."""
    thin, thick = np.zeros((20, 40), bool), np.zeros((20, 40), bool)
    thin[5:15, 2:22], thick[5:15, 12:38] = True, True
    both = thin & thick
    soc = np.where(both, hidden, 0.2)
    charged = 100.0 * 0.6 * thin + 150.0 * soc * thick
    maps = np.stack([100.0 * thin + 150.0 * thick - charged, charged])
    labels = np.where(thick, 2, np.where(thin, 1, 0)).astype(np.int32)
    off = hidden_sd(labels, np.where(both, 1, 0).astype(np.int32), maps, np.ones(thin.shape, bool), np.array([1, 2]))
    whole = (soc * thick).sum() / thick.sum()
    # All of the charge is laid to either: to the one that has it, that is just what its mean lacks.
    assert off[1] == pytest.approx(whole - 0.2, abs=1e-9)
    assert off[0] == pytest.approx((whole - 0.2) * 150.0 * thick.sum() / (100.0 * thin.sum()), abs=1e-9)
