"""What reconstructing and stitching will cost in memory and time, from shapes alone."""

from collections.abc import Sequence

from stxmdist.ptychography import linear
from stxmdist.ptychography.chain import NEIGHBOUR
from stxmdist.ptychography.engines.contract import ENGINES
from stxmdist.ptychography.kernels.lanes import LANES
from stxmdist.ptychography.motion import MOST_MODES, with_moved_beam
from stxmdist.ptychography.options import ReconstructOptions
from stxmdist.ptychography.reconstruct import Recipe
from stxmdist.ptychography.switching import with_others
from stxmdist.ptychography.tiling import TileWindow
from stxmdist.ptychography.trials import defocus_passes

KEPT_BYTES_PER_PX = 48
"""The result of the whole tile stays in memory while each of its halves is reconstructed."""
APERTURE = 0.2
"""Radius of the beam on the detector, as share of the frame: it says how many defoci are tried"""
JOINT_BYTES_PER_PX = 600
"""Of an energy, on the grid of the maps: its logarithm, moves and light in whole and halves, and its results"""
JOINT_SECONDS_PER_PX = 1.5e-6
"""Core-seconds of an object pixel in one round: to the grid of the maps and back, and its share of the maps"""
SECONDS_PER_PX = 1.3e-8
"""Core-seconds of one frame pixel, in one mode and one iteration: measured over the engines"""


def peak_bytes(
    recipe: Recipe, positions: int, frame_shape: tuple[int, int], object_shape: tuple[int, int], frame_itemsize: int
) -> int:
    """Most bytes that all arrays of a reconstruction take together, with the frames of its caller.

    Counted are the frames as they were read, the same laid out for the kernels and, during that, as truth values; exit
    waves for engines that keep them; object and probe with their best state, steps and gradients.
    """
    modes, variations = recipe.model.n_modes, recipe.model.n_variations
    window = frame_shape[0] * frame_shape[1]
    margin = 2 * recipe.positions.margin_px
    pixels = (object_shape[0] + margin) * (object_shape[1] + margin)
    laid_out = 2 if frame_itemsize <= 2 else 4
    frames = positions * window * (frame_itemsize + laid_out)
    keeping = any(ENGINES[step.engine].keeps_waves for step in recipe.schedule)
    waves = positions * window * 8 * (recipe.modes_of_waves() if keeping else 0)
    objects = pixels * (8 * 6 + 12 * LANES)
    probes = (window + 8 * sum(frame_shape)) * 8 * ((14 + 4 * LANES) * modes + 4 * variations)
    return frames + waves + objects + probes


def tile_peak_bytes(
    options: ReconstructOptions, windows: Sequence[TileWindow], frame_shape: tuple[int, int], frame_itemsize: int
) -> int:
    """Most bytes that a tile takes at any energy, ``windows`` being one for each; halves have half of the frames."""
    frames = len(windows[0].tile.positions)
    largest = max((window.shape for window in windows), key=lambda shape: shape[0] * shape[1])
    # Frames that turn out not to be photons become float32 ones.
    at_rest = options.recipe(None)
    whole = max(
        peak_bytes(recipe, frames, frame_shape, largest, max(frame_itemsize, 4))
        for recipe in (*with_others(at_rest), with_moved_beam(at_rest, max(at_rest.model.n_modes, MOST_MODES)))
    )
    # Together, frames are read for one energy after the other too; images are kept of all.
    together = JOINT_BYTES_PER_PX * len(windows) if options.joint.wanted else 0
    return whole + (KEPT_BYTES_PER_PX + together) * largest[0] * largest[1]


def tile_core_seconds(
    options: ReconstructOptions, windows: Sequence[TileWindow], n_tiles: int, frame_shape: tuple[int, int]
) -> float:
    """Core-seconds of a tile, ``windows`` being one for each of its energies, both halves and all trials included.

    Schedules count as planned; those that go on take longer.
    """
    positions, n_energies = len(windows[0].tile.positions), len(windows)
    first = options.recipe(None).iterations
    iterations = first + (n_energies - 1) * options.recipe(NEIGHBOUR).iterations
    seeding = options.seeded(positions, n_tiles) * min(options.seed_positions, positions) * first
    joint = options.joint
    if joint.spectra == "references" and n_tiles > 1:
        # Tiles agree in what a seed at every energy says.
        seeding += min(options.seed_positions, positions) * (n_energies - 1) * options.recipe(NEIGHBOUR).iterations
    passes = 2.0 * positions * iterations + seeding
    rounds = joint.rounds + 1 if joint.wanted else 0
    passes += 2.0 * positions * n_energies * (joint.rounds * joint.iterations + joint.release) if joint.wanted else 0.0
    passes = passes * options.model.n_modes + trial_passes(options, positions, n_tiles, frame_shape)
    shared = 3.0 * rounds * sum(window.shape[0] * window.shape[1] for window in windows) * JOINT_SECONDS_PER_PX
    return n_energies + shared + passes * frame_shape[0] * frame_shape[1] * SECONDS_PER_PX


def trial_passes(options: ReconstructOptions, positions: int, n_tiles: int, frame_shape: tuple[int, int]) -> float:
    """Passes over single frames, with one mode, of the trials of a tile's start and of the scale of its positions.

    The start is a blind one. Trials that only some scans need are not counted: other orientations, a beam that moves.
    """
    trials = options.trials
    one = min(trials.positions, positions) * trials.iterations
    passes = defocus_passes(APERTURE * min(frame_shape), positions, trials) + one
    if options.geometry_trials(n_tiles, None) is not None:
        passes += linear.LEAST_TRIALS * min(linear.FRAMES, positions) * trials.iterations
    return float(passes)


def stitch_peak_bytes(shape: tuple[int, int]) -> int:
    """Most bytes of stitching one energy on a grid (Y, X)."""
    return shape[0] * shape[1] * 400


def stitch_core_seconds(shape: tuple[int, int]) -> float:
    """Core-seconds of the same."""
    return 0.2 + shape[0] * shape[1] * 6e-6
