"""A particle as a plate with a sharp rim: what its state of charge adds to the maps, and how that is undone."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from stxmdist.arrays import F64, Mask
from stxmdist.particles.plate_kernels import blurred_at, sharpened

LEAST_FILL = 0.25
"""Share of a plate's thickness below which a pixel's state of charge is not corrected faster: it would be noise."""

ITERATIONS = 2
"""Of sharpening: what is not found by then is hidden in noise (closure on simulated plates)."""
LEAST_LIT = 0.4
"""Share of the plate's thickness that a pixel must show to take part in a fit through the blur."""


@dataclass(frozen=True, eq=False)
class SharpPlate:
    """One particle cut out of a scan, against the plate of one state of charge that has its outline and thickness.

    What differs from that plate is small against the optical density of the plate itself, so that the point spread
    function acts on it as on thicknesses: the false shells of half filled pixels are in both, and cancel.
    """

    mass_nm: F64
    """(Y, X) thickness of both end-members with a sharp rim: rims in proportion to what they fill"""
    level: float
    """State of charge of the homogeneous plate"""
    excess_nm: F64
    """(VIEW, Y, X) charged less ``level`` times total thickness, less the same of the homogeneous plate's image; 0
    where it is not seen
    """
    seen: Mask
    """(Y, X) where the excess is known and is this particle's"""
    variance_nm2: F64
    """(Y, X) variance of the excess by counting, of one pixel"""
    psf: F64
    """(K, K) point spread function on these pixels, sum 1"""

    def of_views(self, views: slice) -> "SharpPlate":
        """The same for some of the views."""
        return replace(self, excess_nm=self.excess_nm[views])

    def blurred_at(self, images: F64, pixels: Mask) -> F64:
        """Images (IMAGE, Y, X) through the point spread function, at some pixels (Y, X): (IMAGE, PIXEL)."""
        return blurred_at(np.ascontiguousarray(images, dtype=np.float64), self.psf, pixels)

    @cached_property
    def seen_soc(self) -> F64:
        """(VIEW, Y, X) by how much the state of charge differs from ``level`` as it is seen; 0 off the plate."""
        return np.asarray(self.excess_nm * self.step)

    @cached_property
    def sharp_soc(self) -> F64:
        """(VIEW, Y, X) the same with the blur undone.

        The difference between what is seen and what the plate would show is given back to the plate time after time
        (van Cittert, Z. Phys. 69, 298 (1931)): few iterations, because later ones find noise.
        """
        return sharpened(self.excess_nm, self._mass, self.step, self.seen, self.psf, ITERATIONS)

    @cached_property
    def step(self) -> F64:
        """(Y, X) state of charge per nm of excess: the inverse of the thickness, of thin rims less."""
        return np.asarray(self._mass / np.maximum(np.maximum(self._mass, LEAST_FILL * self.thick_nm) ** 2, 1e-12))

    @cached_property
    def thick_nm(self) -> float:
        """Thickness of the plate: the median of pixels more than half as thick as the thickest.

        The thickest itself is noise where photons are few, and what is compared with it would be chosen by noise.
        """
        mass = self._mass
        return float(np.median(mass[mass > 0.5 * mass.max()])) if mass.any() else 0.0

    @cached_property
    def blurred_mass(self) -> F64:
        """(Y, X) thickness as it is seen."""
        everywhere = np.ones(self._mass.shape, dtype=np.bool_)
        return self.blurred_at(self._mass[None], everywhere).reshape(self._mass.shape)

    @cached_property
    def _mass(self) -> F64:
        return np.maximum(self.mass_nm, 0.0)

    def fitted(self, basis: F64) -> tuple[F64, F64]:
        """Coefficients (VIEW, TERM) of patterns (TERM, Y, X) that, through the blur, explain the excess best.

        Also the weighted sum of squares that they leave (VIEW,). NaN where the patterns cannot be told apart.
        """
        lit = self.lit
        images = self.blurred_at(self._mass * basis, lit)
        weight = 1.0 / np.sqrt(self.variance_nm2[lit])
        design = (images * weight).T
        target = (self.excess_nm[:, lit] * weight).T
        normal = design.T @ design
        if design.shape[0] < 2 * design.shape[1] or np.linalg.cond(normal) > 1e10:
            return np.full((target.shape[1], design.shape[1]), np.nan), np.full(target.shape[1], np.nan)
        found = np.linalg.solve(normal, design.T @ target)
        return np.ascontiguousarray(found.T), np.asarray(((target - design @ found) ** 2).sum(axis=0))

    @cached_property
    def lit(self) -> Mask:
        """(Y, X) seen pixels on which most of the light has gone through the plate: there blur is linear."""
        return np.asarray(
            self.seen & (self.blurred_mass > LEAST_LIT * self.thick_nm) & (self.variance_nm2 > 0.0), dtype=np.bool_
        )
