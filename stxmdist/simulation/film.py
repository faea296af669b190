"""Binder and carbon between the plates: an absorption that varies smoothly and has no edge of the metal."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64

CARBON_PER_NM = 1.9e-3
"""Absorption of the film at 700 eV, 1/nm (amorphous carbon of about 2 g/cm3)."""
CARBON_POWER = 2.85
"""It falls with the photon energy to this power."""
CARBON_DELTA = 8.5e-4
"""Refractive decrement of the film at 700 eV; it falls with the energy squared."""
_CLEAR = 0.6
"""Half of the field's standard deviation is this: a fifth of the field is clear, a fifth has the largest thickness."""


@dataclass(frozen=True, eq=False)
class Film:
    """A film between nothing and a largest optical density."""

    largest_od: float
    """At 700 eV"""
    waves: F64
    """(WAVE, 3) float64: rad/um along y and x, and phase"""

    def thickness_nm(self, y_um: F64, x_um: F64) -> F64:
        """Thickness in nm of carbon at points (broadcast)."""
        field = np.zeros(np.broadcast_shapes(y_um.shape, x_um.shape))
        for along_y, along_x, phase in self.waves:
            # cos(a + b) from the cosines and sines of a and b: along axes that is a product, not a cosine per point.
            a, b = along_y * y_um + phase, along_x * x_um
            field += np.cos(a) * np.cos(b) - np.sin(a) * np.sin(b)
        field *= np.sqrt(2.0 / len(self.waves))
        return self.largest_od / CARBON_PER_NM * np.clip(0.5 + _CLEAR * field, 0.0, 1.0)
