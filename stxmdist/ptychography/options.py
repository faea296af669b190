"""Options of a reconstruction: engines, model, positions, where it starts, and how a scan is cut into tiles.

They stand here, and not in the stage that they belong to, because stitching reads how a scan was cut into tiles.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from stxmdist.ptychography.chain import NEIGHBOUR
from stxmdist.ptychography.joint import JointOptions
from stxmdist.ptychography.reconstruct import Recipe, Step
from stxmdist.ptychography.refinement import PositionOptions
from stxmdist.ptychography.start import ProbeOptions
from stxmdist.ptychography.state import ModelOptions, refuse_unless
from stxmdist.ptychography.trials import TrialOptions

LEAST_FRAMES = 4
"""A tile with fewer usable frames than this is not reconstructed."""


@dataclass(frozen=True)
class ReconstructOptions:
    """Which engines run, where they start, and on which tiles."""

    schedule: tuple[Step, ...] = Recipe().schedule
    """Engines in a row, each with its number of iterations"""
    next_energy: tuple[Step, ...] = (Step("lsqml", 20),)
    """The same for an energy that starts from the result of its neighbour in energy"""
    chain: bool = True
    """Start each energy with the probe and the positions of its neighbour, from the brightest energy outward"""
    model: ModelOptions = field(default_factory=ModelOptions)
    """What is unknown beside the object"""
    positions: PositionOptions = field(default_factory=PositionOptions)
    """How positions are corrected"""
    probe: ProbeOptions = field(default_factory=ProbeOptions)
    """Where the probe (the illumination) starts"""
    trials: TrialOptions = field(default_factory=TrialOptions)
    """How an unknown defocus is found"""
    joint: JointOptions = field(default_factory=JointOptions)
    """Whether the energies of a tile are reconstructed together, after each alone"""
    positions_per_tile: int = 1500
    """A scan of more positions than this is cut into tiles"""
    halo_um: float = 0.5
    """How far tiles overlap their neighbours on every side: about the width of the beam"""
    seed_positions: int = 300
    """All tiles of a scan start with a probe found from this many positions in the middle of one tile. A scan of one
    tile starts so too if it has more than twice as many positions
    """
    counts_per_photon: float | None = None
    """Counts that the detector gives for a photon; without it the noise of the frames tells"""
    device: Literal["cpu", "gpu"] = "cpu"
    """Where engines run. Without cupy or a GPU they run on the CPU, and the quality figures say why"""

    def __post_init__(self) -> None:
        refuse_unless(
            self,
            schedule=(len(self.schedule) > 0, "at least one engine"),
            next_energy=(len(self.next_energy) > 0, "at least one engine"),
            positions_per_tile=(self.positions_per_tile >= LEAST_FRAMES, f"at least {LEAST_FRAMES}"),
            counts_per_photon=(self.counts_per_photon is None or self.counts_per_photon > 0.0, "above 0"),
            seed_positions=(self.seed_positions >= LEAST_FRAMES, f"at least {LEAST_FRAMES}"),
        )

    def recipe(self, origin: str | None, modes: int = 1) -> Recipe:
        """The recipe of a reconstruction that starts from ``origin``: a neighbour in energy, a seed, or None.

        Of a neighbour, all ``modes`` of its probe are kept: where its beam moved it has more than were asked for.
        """
        if origin is None:
            return Recipe(self.schedule, self.model, self.positions)
        # The start has all modes of the probe already. The object starts as vacuum, and is corrected first.
        schedule = self.next_energy if origin == NEIGHBOUR else self.schedule
        model = replace(self.model, modes_from=0.0, n_modes=max(self.model.n_modes, modes))
        return Recipe(schedule, model, self.positions)

    def geometry_trials(self, n_tiles: int, origin: str | None) -> TrialOptions | None:
        """How scale and rotation of positions are held against the frames; None where they are not.

        Neighbours in energy have the same positions, and tiles of a scan that were scaled each for itself would not
        meet.
        """
        wanted = self.positions.refine and self.positions.linear == "keep" and n_tiles == 1 and origin != NEIGHBOUR
        return self.trials if wanted else None

    def motion_trials(self, origin: str | None) -> TrialOptions | None:
        """How motion of the beam is held against frames; None for neighbours in energy, whose probe has it already."""
        return None if origin == NEIGHBOUR else self.trials

    def seeded(self, positions: int, n_tiles: int) -> bool:
        """Whether a tile starts with a probe found from a few frames: if it has neighbours, or enough positions.

        From a bad probe, the largest structures of a wide field need several times as many iterations to settle.
        """
        return n_tiles > 1 or positions > 2 * self.seed_positions

    @property
    def iterations(self) -> int:
        """The largest number of iterations that any energy takes."""
        return max(self.recipe(origin).iterations for origin in (None, NEIGHBOUR))
