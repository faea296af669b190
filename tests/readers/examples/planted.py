"""What the small files of the tests hold: numbers that cannot be mistaken for one another."""

import numpy as np

# Primes, and different from each other, so that no axis can be taken for another.
N_ENERGIES, NY, NX = 5, 7, 11
ENERGY_EV = 700.0 + np.array([0.0, 1.5, 2.0, 7.25, 8.0])
Y_UM = -3.0 + 0.1 * np.arange(NY)
X_UM = 20.0 + 0.2 * np.arange(NX)


def planted_counts() -> np.ndarray:
    """Counts (ENERGY, Y, X), every one different."""
    return 1000.0 + np.arange(N_ENERGIES * NY * NX, dtype=np.float64).reshape(N_ENERGIES, NY, NX)


def scan_positions_um(n: int = 13) -> np.ndarray:
    """Positions (POSITION, 2) of the beam, (y, x) in um, on a spiral in no symmetric place."""
    angle = 2.4 * np.arange(n)
    return np.stack(
        [0.3 + 0.11 * np.sqrt(np.arange(n)) * np.sin(angle), -1.2 + 0.1 * np.sqrt(np.arange(n)) * np.cos(angle)], 1
    )


def diffraction_frames() -> np.ndarray:
    """Frames (POSITION, QY, QX) uint16, brightest at the zero frequency, not symmetric in any way."""
    y, x = np.mgrid[:16, :16] - 8
    disc = 900 * np.exp(-(y**2 + x**2) / 18) + 40 * (y > 2) + 20 * (x > 1) + 3 * y + 5
    return np.random.default_rng(7).poisson(np.maximum(disc, 1), (13, 16, 16)).astype(np.uint16)
