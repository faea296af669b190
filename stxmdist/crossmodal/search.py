"""Where a small field may lie in a wide one: beside its stage coordinates, anywhere, or where its particles say."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64
from stxmdist.crossmodal.constellation import constellation, proposals
from stxmdist.crossmodal.correlation import best_placements, masked_correlation
from stxmdist.crossmodal.similarity import Believed, SimilarityFit
from stxmdist.crossmodal.transform import Axes, sample

APART_UM = 1.0
"""Placements that are nearer to one another are one"""

MOST_NEAR, MOST_FAR, MOST_PROPOSED = 2, 3, 3
"""Placements that are refined: near the stage coordinates, in the whole field, and from constellations"""


@dataclass(frozen=True)
class SearchLimits:
    """How far to look, and what transforms are credible."""

    search_um: float
    least_overlap: float
    most_rotation_deg: float
    most_scale_error: float
    believed: Believed


@dataclass(frozen=True, eq=False)
class Candidate:
    """A placement after refinement as a similarity."""

    parameters: F64
    """(4,): shift y, x (um) of the centre, rotation (rad), log scale"""
    score: float
    found_by: str
    """``stage``, ``search`` or ``particles``"""

    @property
    def distance_um(self) -> float:
        """From the stage coordinates."""
        return float(np.hypot(self.parameters[0], self.parameters[1]))


def candidates(
    fixed: F64,
    fixed_axes: Axes,
    moving: F64,
    moving_axes: Axes,
    pitch_um: float,
    centre: F64,
    limits: SearchLimits,
    convincing: float,
) -> list[Candidate]:
    """Refined placements, the best first, each more than a micrometre from all better ones.

    Constellations of particles are asked where no correlation is convincing, which a turned or sheared field does not
    give: a score of ``convincing``, and no other place that comes near it.
    """
    y_um, x_um = (np.arange(axis[0], axis[-1] + 1e-6, pitch_um) for axis in moving_axes)
    coarse = sample(moving, moving_axes, *np.meshgrid(y_um, x_um, indexing="ij"))
    known_fixed, known_moving = np.isfinite(fixed), np.isfinite(coarse)
    if not known_moving.any() or min(coarse.shape) < 2:
        return []
    near = (float((y_um[0] - fixed_axes[0][0]) / pitch_um), float((x_um[0] - fixed_axes[1][0]) / pitch_um))
    correlation = masked_correlation(fixed, known_fixed, coarse, known_moving, limits.least_overlap)
    shape = (coarse.shape[0], coarse.shape[1])
    apart = APART_UM / pitch_um
    beside = best_placements(correlation, shape, apart, MOST_NEAR, near, limits.search_um / pitch_um)
    anywhere = best_placements(correlation, shape, apart, MOST_FAR)
    starts = [
        (np.array([(place.row - near[0]) * pitch_um, (place.column - near[1]) * pitch_um, 0.0, 0.0]), by)
        for places, by in ((beside, "stage"), (anywhere, "search"))
        for place in places
    ]
    fit = SimilarityFit(fixed, fixed_axes, moving, moving_axes, centre, pitch_um)
    found = _refined(fit, starts, limits)
    if not _clear(found, convincing):
        proposed = proposals(
            constellation(fixed, fixed_axes),
            constellation(moving, moving_axes),
            centre,
            limits.most_rotation_deg,
            limits.most_scale_error,
            MOST_PROPOSED,
        )
        more = [(np.array(proposal.parameters), "particles") for proposal in proposed if proposal.n >= 3]
        found = _distinct(found + _refined(fit, more, limits))
    return found


def _clear(found: list[Candidate], convincing: float) -> bool:
    rival = found[1].score if len(found) > 1 else 0.0
    return bool(found) and found[0].score > convincing and 1.0 - found[0].score < 0.5 * (1.0 - rival)


def _refined(fit: SimilarityFit, starts: list[tuple[F64, str]], limits: SearchLimits) -> list[Candidate]:
    out: list[Candidate] = []
    for start, by in starts:
        if any(np.hypot(*(start[:2] - other.parameters[:2])) < 0.3 for other in out):
            continue
        parameters, score = fit.refine(start, limits.believed)
        if np.isfinite(score):
            near = np.hypot(parameters[0], parameters[1]) <= limits.search_um
            out.append(Candidate(parameters, score, "stage" if near else by if by != "stage" else "search"))
    return _distinct(out)


def _distinct(found: list[Candidate]) -> list[Candidate]:
    out: list[Candidate] = []
    for candidate in sorted(found, key=lambda each: -each.score):
        if all(np.hypot(*(candidate.parameters[:2] - other.parameters[:2])) > APART_UM for other in out):
            out.append(candidate)
    return out
