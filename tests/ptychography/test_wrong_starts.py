"""Problems, engines and ten starts that are wrong: a start that is given and does not explain the frames is left."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from stxmdist.arrays import C64
from stxmdist.ptychography.geometry import positions_to_px
from stxmdist.ptychography.held_out import static_residual
from stxmdist.ptychography.probe import zone_plate_probe
from stxmdist.ptychography.problem import Problem, Reconstruction
from stxmdist.ptychography.reconstruct import Recipe, Step, noise_of, reconstruct
from stxmdist.ptychography.schedule import Adaptation
from stxmdist.ptychography.start import ProbeOptions, afresh
from stxmdist.ptychography.switching import Switched, switched
from stxmdist.ptychography.trials import TrialOptions
from stxmdist.ptychography.verdict import Evidence
from tests.ptychography.spoilt_scans import ENERGY_EV, PIXEL_NM, Setting, measure

REACHED = 1.2
"""Times the best residual of any start"""
SHARE = 0.95
"""Of the starts from which the default reaches it"""
PROBLEMS = {
    "particles": Setting(seed=31),
    "star, 1e5 photons": Setting(kind="star", photons=1e5, seed=32),
    "blots, other side": Setting(kind="blots", defocus_um=-4.0, seed=33),
    "far from the focus": Setting(defocus_um=6.0, step_px=6.0, seed=34),
}
ENGINES = {
    "default": None,
    "raar, lsqml": Recipe(),
    "lsqml": Recipe((Step("lsqml", 40),)),
    "rpie": Recipe((Step("rpie", 40),)),
}
"""``default`` may find another start before it begins; the others are given it, and may leave it when it has failed"""
GIVEN_SHARE = 0.85
"""Of the starts from which each of the others reaches it"""


def wrong_starts(setting: Setting) -> Iterator[tuple[str, C64]]:
    """Ten illuminations that are not this scan's."""
    n, pixel = setting.n, PIXEL_NM
    rng = np.random.default_rng(setting.seed)

    def beam(defocus_um: float, outer_zone_nm: float = setting.outer_zone_nm) -> C64:
        return zone_plate_probe((n, n), pixel, ENERGY_EV, outer_zone_nm=outer_zone_nm, defocus_um=defocus_um)

    radius = np.hypot(*(np.indices((n, n)) - n // 2))
    yield "in focus", beam(0.0)
    yield "defocus of the other sign", beam(-setting.defocus_um)
    yield "defocus x0.3", beam(0.3 * setting.defocus_um)
    yield "defocus x2", beam(2.0 * setting.defocus_um)
    yield "defocus x-2", beam(-2.0 * setting.defocus_um)
    yield "another zone plate", beam(setting.defocus_um, 80.0)
    yield "off by 8 px", np.roll(beam(setting.defocus_um), (8, -6), axis=(0, 1))
    yield "a narrow Gaussian", np.exp(-((radius / 3.0) ** 2)).astype(np.complex64)
    yield "a wide Gaussian", np.exp(-((radius / 15.0) ** 2)).astype(np.complex64)
    yield "noise", (rng.normal(size=(n, n)) + 1j * rng.normal(size=(n, n))).astype(np.complex64)


def adapting(problem: Problem, recipe: Recipe) -> Reconstruction:
    """Reconstruct by a schedule that follows what it explains."""
    noise, static = noise_of(problem), static_residual(problem.frames, problem.good)

    def again(problem: Problem, recipe: Recipe, number: int) -> Reconstruction:
        return reconstruct(problem, recipe, np.random.default_rng(0))

    recipe = replace(recipe, adaptation=Adaptation())
    found = again(problem, recipe, 0)
    return switched(
        Switched(problem, found, recipe, found.schedule),
        lambda found: Evidence(found.stopped, found.residual, noise, static).unexplained,
        again,
        TrialOptions(),
    ).found


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_default_leaves_wrong_starts(capsys: pytest.CaptureFixture[str]) -> None:
    reached: dict[str, list[bool]] = {engine: [] for engine in ENGINES}
    rows = []
    for name, setting in PROBLEMS.items():
        scan = measure(setting)
        placed = positions_to_px(scan.positions_um, PIXEL_NM, scan.frames.shape[1:])
        shape = scan.frames.shape[1:]
        empty = np.zeros((1, *shape), np.complex64)
        problem = Problem(scan.frames, np.ones(shape, bool), placed.positions_px, empty, placed.object_shape)
        residuals = {engine: [] for engine in ENGINES}
        for _, probe in wrong_starts(setting):
            for engine, recipe in ENGINES.items():
                here = replace(problem, probe=probe[None])
                if recipe is None:
                    pixels = (PIXEL_NM, PIXEL_NM)
                    here = afresh(problem, probe[None], pixels, ENERGY_EV, ProbeOptions(), TrialOptions()).problem
                residuals[engine].append(adapting(here, recipe or Recipe()).residual)
        best = min(min(values) for values in residuals.values())
        for engine, values in residuals.items():
            near = [value <= REACHED * best for value in values]
            reached[engine] += near
            rows.append(f"{name:20} {engine:12} {np.mean(near):4.0%}  best {min(values):.4f} worst {max(values):.4f}")
    with capsys.disabled():
        print("\n" + "\n".join(rows))
        for engine, near in reached.items():
            print(f"{'all':20} {engine:12} {np.mean(near):4.0%} of {len(near)} wrong starts")
    assert np.mean(reached.pop("default")) >= SHARE
    for near in reached.values():
        assert np.mean(near) >= GIVEN_SHARE
