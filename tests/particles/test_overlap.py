"""Plates on each other are flagged, single ones are not."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.arrays import Mask
from stxmdist.particles.overlap import mixture_sd, much_thicker, overlapping_plates
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
    ("kind", "most"),
    [
        pytest.param("plain", 0.03, marks=pytest.mark.slow),
        ("100 photons", 0.03),
        ("touching", 0.05),
        pytest.param("cracks", 0.2, marks=pytest.mark.slow),
    ],
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


def mixture(label: Mask, maps: np.ndarray, noise_nm2: np.ndarray | None = None, *, known: bool = True) -> float:
    """The error of a mixture that one label (Y, X) may be, without noise unless it is said."""
    noise = np.zeros((3, *label.shape)) if noise_nm2 is None else noise_nm2
    usable = np.full(label.shape, known)
    return float(mixture_sd(label.astype(np.int32), maps, noise, usable, 0.5, np.array([1]))[0])


def two_plates(low: float, high: float, upon: bool) -> tuple[Mask, np.ndarray]:
    """A label (Y, X) that holds two plates of 100 nm, half upon or all beside each other, and their maps (2, Y, X)."""
    one, other = np.zeros((14, 34), dtype=bool), np.zeros((14, 34), dtype=bool)
    one[2:12, 2 : 22 if upon else 17], other[2:12, 12 if upon else 17 : 32] = True, True
    charged = 100.0 * (low * one + high * other)
    return one | other, np.stack([100.0 * (1.0 * one + other) - charged, charged])


@pytest.mark.parametrize("upon", [False, True])
@pytest.mark.parametrize("far", [0.0, 0.2, 0.8])
def test_the_error_of_a_mixture_reaches_both_of_its_plates(upon: bool, far: float) -> None:
    low, high = 0.1, 0.1 + far
    label, maps = two_plates(low, high, upon)
    mean = maps[1].sum() / maps.sum()
    doubt = mixture(label, maps)
    for soc in (low, high):
        assert abs(mean - soc) <= 2.0 * doubt + 1e-9
    # No more than plates of all states of charge would make of it.
    assert doubt <= 0.6 * far + 1e-9


def test_a_plate_upon_the_middle_of_another_is_seen_by_its_thickness() -> None:
    below, above = np.zeros((24, 24), dtype=bool), np.zeros((24, 24), dtype=bool)
    below[2:22, 2:22], above[7:17, 7:17] = True, True
    charged = 100.0 * (0.2 * below + 0.9 * above)
    maps = np.stack([100.0 * (1.0 * below + above) - charged, charged])
    doubt = mixture(below, maps)
    # Its four corners are taken for the thin part: most of their neighbours belong to it.
    assert doubt == pytest.approx(maps[1].sum() / maps.sum() - 0.2, rel=0.1)


def test_what_is_not_known_leaves_no_doubt_of_a_mixture() -> None:
    label, maps = two_plates(0.1, 0.9, upon=True)
    nothing = mixture(label, maps, known=False)
    assert nothing == 0.0


def test_noise_alone_makes_no_other_plate_likely() -> None:
    """Of one plate in few photons: halves and parts differ by noise, as much as its own error of the mean allows."""
    rng = np.random.default_rng(5)
    here = np.zeros((20, 20), dtype=bool)
    here[3:17, 3:17] = True
    sd_nm, raw, found = 40.0, [], []
    noise_nm2 = sd_nm**2 * np.stack([here, 0.0 * here, here])
    for _ in range(200):
        maps = np.stack([60.0 * here, 40.0 * here]) + sd_nm * rng.normal(size=(2, 20, 20)) * here
        found.append(mixture(here, maps, noise_nm2) ** 2)
        raw.append(mixture(here, maps) ** 2)
    # What is left is the half of the scatter that lies above 0: hardly more than noise makes of the mean.
    assert np.mean(found) < 0.4 * np.mean(raw)
    assert np.mean(found) < 1.5 * sd_nm**2 * (0.4**2 + 0.6**2) / 100.0**2 / here.sum()
    assert np.median(found) < 0.2 * np.mean(raw)
