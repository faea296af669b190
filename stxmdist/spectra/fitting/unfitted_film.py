"""The film that a fit without one leaves over in each pixel, from one step toward the fit that has it."""

from dataclasses import replace

import numpy as np

from stxmdist.arrays import F32, F64, Real
from stxmdist.spectra.checks.component_count import PIXELS_AT_ONCE, ReadPixels
from stxmdist.spectra.end_members.design_matrix import background_columns, condition_number
from stxmdist.spectra.fitting.model import SpectralModel

MOST_OD = 1.0
"""One step is believed no farther: in a pixel that saw hardly a photon it may lead anywhere, and a single one would
decide where the threshold of all particles lies; a film of more is fitted"""
WORST_CONDITION = 1e3
"""Beyond this the energies do not tell a film from the end-members"""


def with_film(model: SpectralModel) -> SpectralModel | None:
    """The model with a constant beside its end-members; None where it has one, or its energies cannot tell it."""
    if model.design.shape[1] > 2 or model.before_edge is not None or len(np.unique(model.energy_ev)) < 3:
        return None
    film = background_columns(model.energy_ev, "constant")
    design = np.concatenate([model.design, film], axis=1)
    if not condition_number(design) < WORST_CONDITION:
        return None
    return replace(model, design=design, slope=np.concatenate([model.slope, np.zeros_like(film)], axis=1))


def unfitted_film(transmission: F32, thickness: Real, model: SpectralModel) -> F64:
    """Optical density (PIXEL,) of the film that a fit without one left over; NaN where not known.

    One scoring step of the likelihood of counted photons, at most ``MOST_OD`` either way, from the thicknesses (2,
    PIXEL) of that fit, to first order those of the fit with a film. ``transmission`` is (ENERGY used, PIXEL), ``model``
    that of ``with_film``.
    """
    fitted = np.exp(-(model.design[:, :2] @ np.nan_to_num(np.asarray(thickness, dtype=np.float64))))
    counts = model.effective_counts[:, None] * fitted
    fisher = np.einsum("ei,ep,ej->pij", model.design, counts, model.design)
    score = model.design.T @ (model.effective_counts[:, None] * (fitted - transmission))
    known = np.isfinite(score).all(axis=0) & np.isfinite(thickness).all(axis=0)
    film = np.full(known.shape, np.nan)
    if known.any():
        film[known] = np.clip(np.linalg.solve(fisher[known], score.T[known][..., None])[:, 2, 0], -MOST_OD, MOST_OD)
    return film


def unfitted_film_map(read: ReadPixels, shape: tuple[int, int], model: SpectralModel) -> F64 | None:
    """``unfitted_film`` of a whole map (Y, X), read by blocks of rows; None where ``with_film`` has no model.

    ``read`` gives the pixels that were fitted with ``model``.
    """
    beside = with_film(model)
    if beside is None:
        return None
    film, rows = np.full(shape, np.nan), max(1, PIXELS_AT_ONCE // shape[1])
    for start in range(0, shape[0], rows):
        part = slice(start, min(start + rows, shape[0]))
        block = read(part, np.ones(film[part].size, dtype=np.bool_))
        film[part] = unfitted_film(block.transmission, block.thickness, beside).reshape(film[part].shape)
    return film
