"""What a fitter is given, checked once and brought into the form that its kernel wants."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F32, F64, I64
from stxmdist.errors import InputError
from stxmdist.spectra.fitters.contract import check_design
from stxmdist.spectra.kernels.pixel_blocks import pair_products, whitened


@dataclass(frozen=True, eq=False)
class FitInput:
    """A stack and its design, ready for a kernel."""

    transmission: F32
    """(ENERGY, PIXEL) float32, contiguous: a kernel is compiled for one layout only"""
    energies: I64
    """(USED,) which energies are fitted"""
    phase: F32
    """(ENERGY, PIXEL) float32 in radians, or no rows"""
    counts: F32
    """(USED,) float32 effective counts at T = 1"""
    white: F32
    """(ROW, TERM) float32 design with orthogonal columns; ROW: those of USED, and again for twice the phase"""
    pairs: F32
    """(ROW, PAIR) float32 products of its columns"""
    triangle: F64
    """(TERM, TERM) with design = white @ triangle"""
    inverse_triangle: F64
    """(TERM, TERM): coefficients = inverse_triangle @ coefficients of ``white``"""


def fit_input(
    transmission: F32,
    effective_counts: F64,
    design: F64,
    phase: F32 | None = None,
    phase_design: F64 | None = None,
) -> FitInput:
    """Check shapes and design, leave out energies without effective counts, and orthogonalise.

    Raises
    ------
    InputError
        for shapes that do not match, or a design that cannot be solved with the energies that are left
    """
    counts = np.asarray(effective_counts, dtype=np.float64)
    design = np.asarray(design, dtype=np.float64)
    together = [design] if phase_design is None else [design, np.asarray(phase_design, dtype=np.float64)]
    images = [transmission] if phase is None else [transmission, phase]
    if (
        transmission.ndim != 2
        or any(terms.ndim != 2 or terms.shape != design.shape for terms in together)
        or any(image.shape != transmission.shape for image in images)
        or len(images) != len(together)
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
        used = np.concatenate([used, 2.0 * together[1][energies]])
    white, triangle = whitened(used, np.tile(counts[energies], len(together)))
    return FitInput(
        transmission=np.ascontiguousarray(transmission, dtype=np.float32),
        energies=energies.astype(np.int64),
        phase=np.ascontiguousarray(transmission[:0] if phase is None else phase, dtype=np.float32),
        counts=counts[energies].astype(np.float32),
        white=np.ascontiguousarray(white, dtype=np.float32),
        pairs=np.ascontiguousarray(pair_products(white).T),
        triangle=triangle,
        inverse_triangle=np.ascontiguousarray(np.linalg.inv(triangle)),
    )
