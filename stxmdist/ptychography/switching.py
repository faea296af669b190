"""What follows where a schedule has ended and frames are not explained: another engine, then another start."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from stxmdist.ptychography.engines.contract import ENGINES
from stxmdist.ptychography.probe import probe_from_mean_pattern
from stxmdist.ptychography.problem import Problem, Reconstruction
from stxmdist.ptychography.reconstruct import Recipe, Step
from stxmdist.ptychography.trials import TrialOptions, find_defocus

STALLED = 0.02
"""Share of the frames' own variation from which a reconstruction has not found its object. Sound scans leave less than
.01; those that stand still on a wrong start .02 to 1.7
"""
LOST = 0.35
"""From this share on the start is wrong rather than the engine"""
BETTER = 0.98
"""Another way is taken where its residual is below this part of that of the best so far: chance makes a percent"""
ANY_ENERGY_EV = 1000.0
"""Trials of a defocus in pixels: of energy and defocus only the product counts that they make together"""
FINISH = Step("lsqml", 32)
"""After a burst of another engine"""


@dataclass(frozen=True)
class Switched:
    """A reconstruction and how it came about: the one that explains the frames best, of all that were tried."""

    problem: Problem
    """With the start that it had"""
    found: Reconstruction
    recipe: Recipe
    words: str
    """Engines and starts, with their iterations, and what each left over"""


def switched(
    begun: Switched,
    unexplained: Callable[[Reconstruction], float],
    again: Callable[[Problem, Recipe, int], Reconstruction],
    starts: TrialOptions | None,
    pixel_nm: tuple[float, float] = (1.0, 1.0),
) -> Switched:
    """Reconstruct by another engine and from another start, as long as frames are not explained.

    Parameters
    ----------
    begun
        the reconstruction that there is
    unexplained
        share of the frames' own variation that a reconstruction leaves; NaN where they have none
    again
        reconstructs a problem by a recipe, as the first of several other ways (1), the second, and so on
    starts
        how another start is found from the mean frame; None: there is none
    """
    best, adaptation, said = begun, begun.recipe.adaptation, [begun.words]
    others = _others(begun, starts, pixel_nm, lost=unexplained(begun.found) > LOST)
    for number in range(1, 1 + adaptation.switches * adaptation.adapt):
        left = unexplained(best.found)
        stalled = left > STALLED or best.found.stopped != "finished"
        other = next(others, None) if stalled else None
        if other is None:
            break
        problem, by, why = other
        found = again(problem, by, number)
        said.append(f"{left:.0%} of what varies was left, so {why}: {found.schedule}")
        if np.isfinite(found.residual) and not found.residual >= BETTER * best.found.residual:
            best = Switched(problem, found, by, "")
    if len(said) > 1:
        said.append(f"{unexplained(best.found):.0%} is left of the best")
    return replace(best, words="; ".join(said))


def _others(
    begun: Switched, starts: TrialOptions | None, pixel_nm: tuple[float, float], *, lost: bool
) -> Iterator[tuple[Problem, Recipe, str]]:
    """What else there is to try, first what is more likely, and why."""
    problem, found, recipe = begun.problem, begun.found, begun.recipe
    if recipe.model.freeze_probe or recipe.model.freeze_object:
        return
    for what in ("start", "engine") if lost else ("engine", "start"):
        if what == "engine" and np.isfinite(found.probe).all():
            # Of the object nothing is kept: it is what the wrong beam made of the frames.
            again = replace(problem, probe=found.probe[:1], object0=None)
            yield again, by_another_engine(recipe), "by another engine from vacuum and the probe so far"
        if what == "start" and starts is not None:
            mean = probe_from_mean_pattern(problem.frames.mean(axis=0, dtype=np.float64) * problem.good)
            probe = find_defocus(problem, mean, pixel_nm, ANY_ENERGY_EV, starts).probe
            yield replace(problem, probe=probe, object0=None), recipe, "from the mean frame, with a defocus by trials"


def by_another_engine(recipe: Recipe) -> Recipe:
    """The recipe with a burst of an engine that its schedule has not, RAAR or else rPIE, and LSQ-ML after it."""
    waves = any(ENGINES[step.engine].keeps_waves for step in recipe.schedule)
    return replace(recipe, schedule=(Step("rpie", 16) if waves else Step("raar", 8), FINISH))


def with_others(recipe: Recipe) -> tuple[Recipe, ...]:
    """The recipe, and those that it may be left for."""
    if not (recipe.adaptation.adapt and recipe.adaptation.switches):
        return (recipe,)
    return recipe, by_another_engine(recipe)
