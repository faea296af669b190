"""Where a reconstruction starts: from the probe of a neighbour, of the file, of the optics, or of the mean frame.

Short trials score every start by frames held out of them; they find the defocus, and how frames must be turned.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from stxmdist.arrays import C64, F64, Mask
from stxmdist.ptychography.chain import Carried
from stxmdist.ptychography.gauge import fit_gauge
from stxmdist.ptychography.geometry import overlap, probe_diameter_px, refuse_close
from stxmdist.ptychography.probe import probe_from_mean_pattern, propagate, zone_plate_probe
from stxmdist.ptychography.problem import Problem
from stxmdist.ptychography.trials import (
    ORIENTATIONS,
    TrialOptions,
    find_defocus,
    find_orientation,
    middle,
    short_reconstruction,
    trial_score,
    with_turned_frames,
)

CONVINCING = 0.1
"""A start whose trial leaves less than this share of what varies in held-out frames is taken without another"""
DOUBTFUL = 0.35
"""From this share on, no start so far is right, or the frames do not belong to their positions: others are tried"""
BETTER = 0.6
"""Another orientation is taken if its share is below this part of that of the frames as they were read"""
MEAN_FRAME = "mean frame, defocus"
"""Origins of starts of the mean frame begin so"""
_LIKE = 0.02
"""Shares that differ by less are those of an object and its conjugate"""


@dataclass(frozen=True)
class ProbeOptions:
    """Where the probe starts when the file has none."""

    outer_zone_nm: float | None = None
    """Outermost zone of the zone plate; without it the start is the square root of the mean frame"""
    central_stop_fraction: float = 0.0
    """Diameter of the central stop, as a share of the zone plate's"""
    defocus_um: float | None = None
    """Distance from the focus to the sample; where it is unknown, short trials on both sides of the focus find it"""
    use_file: bool = True
    """Try the probe that the file holds first; it is left where frames held out of a short trial speak against it"""
    orientation: Literal["as needed", "as read", "find"] = "as needed"
    """Whether trials of all eight orientations of the detector find how its frames must be turned: where no start
    explains them as they were read, never, or always
    """


@dataclass(frozen=True)
class Start:
    """A problem ready to be reconstructed, and where its start comes from."""

    problem: Problem
    origin: str
    """In words"""
    orientation: int
    """How frames were turned: a place in ``ORIENTATIONS``"""

    @property
    def words(self) -> tuple[str, ...]:
        """What must be known of frames that were turned."""
        if self.orientation == 0:
            return ()
        turn = ORIENTATIONS[self.orientation]
        said = (
            f"frames were turned ({turn}); turned by half a circle more they fit as well, with the other sign of the "
            "phase, which must be known from elsewhere"
        )
        return (said,)

    @property
    def overlap(self) -> float:
        """Linear overlap of neighbouring beams.

        Raises
        ------
        InputError
            if they overlap too little.
        """
        return overlap(self.problem.positions_px, probe_diameter_px(self.problem.probe))


def carried_on(problem: Problem, carried: Carried, usable: Mask, pixel_nm: tuple[float, float]) -> Start:
    """The problem with the probe, the orientation and the positions of a neighbour; ``usable`` as in ``Carried``.

    Corrected positions whose windows would leave the object are moved to its rim.
    """
    moved = problem.positions_px + carried.moves_um[usable] / (np.array(pixel_nm) * 1e-3)
    room = np.array(problem.object_shape) - np.array(problem.frames.shape[1:]) - 1
    begun = replace(
        with_turned_frames(problem, carried.orientation),
        positions_px=np.clip(moved, 0.0, room),
        probe=carried.probe,
    )
    return Start(begun, carried.origin, carried.orientation)


def afresh(
    problem: Problem,
    in_file: C64 | None,
    pixel_nm: tuple[float, float],
    energy_ev: float,
    probe: ProbeOptions,
    trials: TrialOptions,
) -> Start:
    """The problem with the probe of the file (MODE, QY, QX), of the optics, or of the mean frame, whichever is right.

    Each is a candidate that a short trial scores by frames held out of it; the first that convinces is taken, else the
    best. Where none is right, the mean frame is tried in all eight orientations of the detector.

    Raises
    ------
    InputError
        for beams closer together than a pixel.
    """
    refuse_close(problem.positions_px)
    orientation = 0
    if probe.orientation == "find":
        scan = find_orientation(problem, pixel_nm, energy_ev, trials)
        starts = [
            _of_mean_frame(with_turned_frames(problem, one), pixel_nm, energy_ev, trials, one) for one in scan.alike
        ]
        orientation = _retarding(starts, trials).orientation
        problem = with_turned_frames(problem, orientation)
    scored: list[tuple[float, Start]] = []
    for start in _candidates(problem, in_file, pixel_nm, energy_ev, probe, trials, orientation):
        scored.append((trial_score(start.problem, trials), start))
        best, found = min(scored, key=lambda one: one[0])
        if best < CONVINCING or (best < DOUBTFUL and found.origin != "file"):
            break
    square = problem.frames.shape[1] == problem.frames.shape[2]
    if best > DOUBTFUL and probe.orientation == "as needed" and square:
        found = _in_other_orientation(problem, pixel_nm, energy_ev, trials, BETTER * best) or found
    if found is not scored[0][1] and scored[0][1].origin == "file":
        found = replace(found, origin=f"{found.origin}; the file's illumination explains the frames less well")
    return found


def _candidates(
    problem: Problem,
    in_file: C64 | None,
    pixel_nm: tuple[float, float],
    energy_ev: float,
    probe: ProbeOptions,
    trials: TrialOptions,
    orientation: int,
) -> Iterator[Start]:
    """Starts, those that were told first: of the file, of optics or a defocus; then of the mean frame."""
    if probe.use_file and in_file is not None:
        yield Start(replace(problem, probe=in_file), "file", orientation)
    told = _of_optics(problem, pixel_nm, energy_ev, probe, trials, orientation)
    if told is not None:
        yield told
    yield _of_mean_frame(problem, pixel_nm, energy_ev, trials, orientation)


def _in_other_orientation(
    problem: Problem, pixel_nm: tuple[float, float], energy_ev: float, trials: TrialOptions, limit: float
) -> Start | None:
    """The start of the best of the seven other orientations, if its score is below the limit.

    Frames flipped along both axes are explained as well by the conjugate object with the opposite defocus: of such a
    pair the one is taken whose matter retards, as nearly all matter does where it does not resonate.
    """
    scored = []
    for other in range(1, len(ORIENTATIONS)):
        here = with_turned_frames(problem, other)
        start = _of_mean_frame(here, pixel_nm, energy_ev, trials, other)
        scored.append((trial_score(start.problem, trials), start))
    least = min(score for score, _ in scored)
    alike = [start for score, start in scored if score <= least + _LIKE]
    if least >= limit:
        return None
    return _retarding(alike, trials)


def _retarding(starts: list[Start], trials: TrialOptions) -> Start:
    """The one of starts that explain frames alike whose matter retards most."""
    return max(starts, key=lambda start: _retardation(start.problem, trials)) if len(starts) > 1 else starts[0]


def _retardation(problem: Problem, options: TrialOptions) -> float:
    """How phase follows the logarithm of amplitude in a short reconstruction: above 0 where what absorbs retards."""
    found = short_reconstruction(middle(problem, options.positions), options, np.random.default_rng(0))
    lit = found.illumination > 0.3 * np.median(found.illumination[found.illumination > 0.0])
    flat = found.object_ / fit_gauge(found.object_, lit.astype(np.float64)).factor(found.object_.shape)
    absorbed = np.log(np.maximum(np.abs(flat[lit]), 1e-3))
    return float(np.mean((absorbed - absorbed.mean()) * np.angle(flat[lit])))


def _of_optics(
    problem: Problem,
    pixel_nm: tuple[float, float],
    energy_ev: float,
    probe: ProbeOptions,
    trials: TrialOptions,
    orientation: int,
) -> Start | None:
    """A start of the zone plate or of the defocus that options name; None where they name neither."""
    if probe.outer_zone_nm is not None:
        focused = zone_plate_probe(
            (problem.frames.shape[1], problem.frames.shape[2]),
            pixel_nm,
            energy_ev,
            outer_zone_nm=probe.outer_zone_nm,
            central_stop_fraction=probe.central_stop_fraction,
        )
        origin = "zone plate"
    elif probe.defocus_um is not None:
        focused, origin = _mean_probe(problem), "mean frame"
    else:
        return None
    if probe.defocus_um is None:
        scan = find_defocus(problem, focused, pixel_nm, energy_ev, trials)
        words = f"{origin}, defocus {scan.defocus_um:.4g} um by trials"
        return Start(replace(problem, probe=scan.probe), words, orientation)
    wave = propagate(focused, pixel_nm, energy_ev, probe.defocus_um)[None]
    return Start(replace(problem, probe=wave), f"{origin}, defocus {probe.defocus_um:.4g} um", orientation)


def _of_mean_frame(
    problem: Problem, pixel_nm: tuple[float, float], energy_ev: float, trials: TrialOptions, orientation: int
) -> Start:
    scan = find_defocus(problem, _mean_probe(problem), pixel_nm, energy_ev, trials)
    words = f"{MEAN_FRAME} {scan.defocus_um:.4g} um by trials"
    return Start(replace(problem, probe=scan.probe), words, orientation)


def _mean_probe(problem: Problem) -> C64:
    return probe_from_mean_pattern(problem.frames.mean(axis=0, dtype=np.float64) * problem.good)


def tile_with_most_contrast(counts: list[F64], usable: list[int]) -> int:
    """The tile with whose middle a scan starts: the one whose frames differ most in counts.

    Parameters
    ----------
    counts
        for each tile, counts of some of its usable frames (n,)
    usable
        for each tile, the number of its usable frames: tiles with less than half of the fullest one's do not count
    """
    contrast = [
        float(some.std() / max(some.mean(), 1.0)) if 2 * number > max(usable) else 0.0
        for some, number in zip(counts, usable, strict=True)
    ]
    return int(np.argmax(contrast))
