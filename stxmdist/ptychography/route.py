"""All frames of a tile, from a start to what explains them best: the schedule, then positions, then other ways."""

from collections.abc import Callable
from dataclasses import replace

from stxmdist.ptychography.linear import Straightened, straightened
from stxmdist.ptychography.problem import Problem, Reconstruction
from stxmdist.ptychography.reconstruct import Recipe
from stxmdist.ptychography.refinement import linear_part
from stxmdist.ptychography.switching import Switched, switched
from stxmdist.ptychography.trials import TrialOptions

NONSENSE = 0.6
"""A residual above this part of that of the mean frame explains too little to be held against the geometry"""


def parts_of_a_route(recipe: Recipe) -> int:
    """Number of reconstructions, at most, that are attempted under a number of their own."""
    return 2 + recipe.adaptation.switches


def explained(
    problem: Problem,
    recipe: Recipe,
    static_residual: float,
    unexplained: Callable[[Reconstruction], float],
    attempt: Callable[[Problem, Recipe, int | None], Reconstruction],
    *,
    geometry: TrialOptions | None,
    starts: TrialOptions | None,
    pixel_nm: tuple[float, float],
) -> tuple[Straightened, Switched]:
    """The reconstruction that explains the frames best, and how it came about.

    Parameters
    ----------
    static_residual
        amplitude residual of one and the same amplitude for all frames
    unexplained
        share of the frames' own variation that a reconstruction leaves
    attempt
        reconstructs a problem by a recipe, under a number from 0, or None where it is not worth one
    geometry, starts
        how scale and rotation of positions, and another start, are held against the frames; None: they are not
    """

    def other_ways(way: Switched) -> Switched:
        return switched(way, unexplained, attempt, starts, pixel_nm)

    # Positions first: an object that goes on for longer is bent to those that are wrong.
    brief = recipe if geometry is None else replace(recipe, adaptation=replace(recipe.adaptation, longest=1.0))
    whole = attempt(problem, brief, 0)
    way = Switched(problem, whole, recipe, whole.schedule)
    lost = not whole.residual < NONSENSE * static_residual
    if lost:  # before the geometry: nothing can be held against that yet
        way = other_ways(way)
    line = Straightened(way.problem, way.found, 0, way.found.affine)
    # Frames that do not belong to their positions have no scale either.
    if geometry is not None and way.found.residual < NONSENSE * static_residual:
        by = way.recipe
        line = straightened(way.problem, way.found, geometry, lambda changed: attempt(changed, by, None))
    if line.found is not way.found:
        way = Switched(line.problem, line.found, way.recipe, f"{way.words}; with other positions {line.found.schedule}")
    elif way.found.gaining and brief is not recipe:
        longer = attempt(way.problem, way.recipe, 1 + recipe.adaptation.switches)
        if longer.residual < way.found.residual:
            way = replace(way, found=longer, words=longer.schedule)
    if not lost:  # after the geometry: other engines, too, would bend the object to wrong positions
        way = other_ways(way)
    if way.found is not line.found:
        moved = way.found.positions_px - line.room_px - problem.positions_px
        line = Straightened(way.problem, way.found, line.room_px, linear_part(problem.positions_px, moved)[1])
    return line, way
