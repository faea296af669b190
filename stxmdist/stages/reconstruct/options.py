"""What may be chosen of a reconstruction: engines, model, positions, where it begins, and how it is cut into tiles."""

from dataclasses import dataclass, field, replace
from typing import Literal

from stxmdist.ptychography.chain import NEIGHBOUR
from stxmdist.ptychography.reconstruct import Recipe, Step
from stxmdist.ptychography.refinement import PositionOptions
from stxmdist.ptychography.start import TrialOptions
from stxmdist.ptychography.state import ModelOptions, refuse_unless

LEAST_FRAMES = 4
"""Fewer usable frames than this do not hold a reconstruction."""


@dataclass(frozen=True)
class ProbeOptions:
    """Where the illumination starts when the file does not bring one."""

    outer_zone_nm: float | None = None
    """Outermost zone of the zone plate; without it the start is the root of the mean frame"""
    central_stop_fraction: float = 0.0
    """Diameter of the central stop, as a share of the zone plate's"""
    defocus_um: float | None = None
    """Distance from the focus to the sample; unknown: short trials on both sides of the focus find it"""
    use_file: bool = True
    """Prefer the illumination that the file holds"""
    orientation: Literal["as read", "find"] = "as read"
    """Whether trials of all eight orientations of the detector are to say how its frames must be turned"""


@dataclass(frozen=True)
class Options:
    """Which engines, from which start, in which tiles."""

    schedule: tuple[Step, ...] = Recipe().schedule
    """Engines in a row, each with its number of iterations"""
    next_energy: tuple[Step, ...] = (Step("lsqml", 20),)
    """The same for an energy that begins with what its neighbour found"""
    chain: bool = True
    """Begin each energy with the probe and the positions of its neighbour, from the brightest one outward"""
    model: ModelOptions = field(default_factory=ModelOptions)
    """What is unknown beside the object"""
    positions: PositionOptions = field(default_factory=PositionOptions)
    """How positions are corrected"""
    probe: ProbeOptions = field(default_factory=ProbeOptions)
    """Where the illumination starts"""
    trials: TrialOptions = field(default_factory=TrialOptions)
    """How an unknown defocus is found"""
    positions_per_tile: int = 1500
    """More positions than this are cut into tiles"""
    halo_um: float = 0.5
    """How far tiles reach into each other on every side: about a beam's width"""
    seed_positions: int = 300
    """Positions in the middle of one tile from which the beam is found that all tiles of a scan begin with; a scan of
    one tile too, if it has more than twice as many
    """
    device: Literal["cpu", "gpu"] = "cpu"
    """Where engines run; without cupy or a GPU they run on the CPU, and the quality figures say why"""

    def __post_init__(self) -> None:
        refuse_unless(
            self,
            schedule=(len(self.schedule) > 0, "at least one engine"),
            next_energy=(len(self.next_energy) > 0, "at least one engine"),
            positions_per_tile=(self.positions_per_tile >= LEAST_FRAMES, f"at least {LEAST_FRAMES}"),
            seed_positions=(self.seed_positions >= LEAST_FRAMES, f"at least {LEAST_FRAMES}"),
        )

    def recipe(self, origin: str | None) -> Recipe:
        """What is chosen of a reconstruction that begins with what a neighbour in energy, a seed, or nobody found."""
        if origin is None:
            return Recipe(self.schedule, self.model, self.positions)
        # All modes are there already; the object, which is not, has the first word.
        schedule = self.next_energy if origin == NEIGHBOUR else self.schedule
        return Recipe(schedule, replace(self.model, modes_from=0.0), self.positions)

    def seeded(self, positions: int, n_tiles: int) -> bool:
        """Whether a tile begins with a beam found from a few frames: if it has neighbours, or so many that this pays.

        From a bad beam a wide field needs several times the iterations for what is widest in it to settle.
        """
        return n_tiles > 1 or positions > 2 * self.seed_positions

    @property
    def iterations(self) -> int:
        """The most that any energy takes."""
        return max(self.recipe(origin).iterations for origin in (None, NEIGHBOUR))
