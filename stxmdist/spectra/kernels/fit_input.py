"""The input of the fit kernels: a stack, its counts and its design, checked and in the layout that kernels read."""

from typing import NamedTuple

import numpy as np

from stxmdist.arrays import F32, F64, I64
from stxmdist.errors import InputError
from stxmdist.spectra.end_members.design_matrix import check_design
from stxmdist.spectra.kernels.pixel_blocks import orthogonalised, pair_products


class FitInput(NamedTuple):
    """A stack and its design as kernels read them: all arrays are contiguous, as kernels are compiled for that only."""

    transmission: F32
    """(ENERGY, PIXEL) float32"""
    energies: I64
    """(USED,) indices of the energies that are fitted"""
    phase: F32
    """(ENERGY, PIXEL) float32 in radians; no rows if there is no phase"""
    counts: F32
    """(USED,) float32 effective counts at T = 1"""
    orthogonal: F32
    """(ROW, TERM) float32 design with orthogonal columns; its rows are the energies of USED, followed by the same
    energies again for twice the phase if there is a phase
    """
    pairs: F32
    """(ROW, PAIR) float32 products of the columns of ``orthogonal``"""
    triangle: F64
    """(TERM, TERM) float64 R with design = orthogonal @ R"""
    inverse_triangle: F64
    """(TERM, TERM) float64 inverse of R: coefficients = inverse_triangle @ coefficients of ``orthogonal``"""


def fit_input(
    transmission: F32,
    effective_counts: F64,
    design: F64,
    phase: F32 | None = None,
    phase_design: F64 | None = None,
) -> FitInput:
    """Check shapes and design, leave out energies without effective counts, and orthogonalise the design.

    ``transmission`` and ``phase`` are (ENERGY, PIXEL), ``effective_counts`` (ENERGY,), ``design`` and ``phase_design``
    (ENERGY, TERM).

    Raises
    ------
    InputError
        for shapes that do not match, or a design that cannot be solved with the energies that are left
    """
    counts = np.asarray(effective_counts, dtype=np.float64)
    design = np.asarray(design, dtype=np.float64)
    designs = [design] if phase_design is None else [design, np.asarray(phase_design, dtype=np.float64)]
    images = [transmission] if phase is None else [transmission, phase]
    if (
        transmission.ndim != 2
        or any(terms.ndim != 2 or terms.shape != design.shape for terms in designs)
        or any(image.shape != transmission.shape for image in images)
        or len(images) != len(designs)
        or not transmission.shape[0] == counts.size == design.shape[0]
    ):
        raise InputError(
            where="fit",
            problem="the stack, its effective counts and the design do not match",
            got=f"shapes {transmission.shape}, {counts.shape} and {design.shape}",
            wanted="(ENERGY, PIXEL), (ENERGY,) and (ENERGY, TERM)",
            mend="Give the same energies to all three",
        )
    energies = np.flatnonzero(np.isfinite(counts) & (counts > 0.0))
    check_design(design[energies])
    used = design[energies]
    if phase_design is not None:
        used = np.concatenate([used, 2.0 * designs[1][energies]])
    orthogonal, triangle = orthogonalised(used, np.tile(counts[energies], len(designs)))
    return FitInput(
        transmission=np.ascontiguousarray(transmission, dtype=np.float32),
        energies=energies.astype(np.int64),
        phase=np.ascontiguousarray(transmission[:0] if phase is None else phase, dtype=np.float32),
        counts=counts[energies].astype(np.float32),
        orthogonal=np.ascontiguousarray(orthogonal, dtype=np.float32),
        pairs=np.ascontiguousarray(pair_products(orthogonal).T),
        triangle=triangle,
        inverse_triangle=np.ascontiguousarray(np.linalg.inv(triangle)),
    )
