"""What a reconstruction will hold in memory at its peak, from shapes alone."""

from stxmdist.ptychography.engines.contract import ENGINES
from stxmdist.ptychography.kernels.sweep import GROUP_BYTES, LANES
from stxmdist.ptychography.reconstruct import Recipe


def peak_bytes(
    recipe: Recipe, positions: int, frame_shape: tuple[int, int], object_shape: tuple[int, int], frame_itemsize: int
) -> int:
    """Bytes of all arrays that a reconstruction and its caller's frames take together at most.

    Frames as read, laid out for the kernels and, while that is done, as truth values; exit waves for engines that keep
    them; object and probe with their best state, steps and gradients.
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
    probes = (window + 8 * sum(frame_shape)) * 8 * (14 * modes + 4 * variations) + 6 * LANES * GROUP_BYTES
    return frames + waves + objects + probes
