"""Pairs of fields with planted shear, drift, offset and noise, drawn at the coordinates that each of them sees."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from stxmdist.arrays import F64

FIELD_UM, PIXEL_UM = 8.0, 0.05
FINE_FIELD_UM, FINE_PIXEL_UM = 3.2, 0.016
WIDE_SIGMA_UM, FINE_SIGMA_UM = 0.028, 0.006
BLUR_NM = 1e3 * float(np.sqrt(WIDE_SIGMA_UM**2 - FINE_SIGMA_UM**2))


@dataclass(frozen=True, eq=False)
class Plates:
    """Ellipses: centre (PLATE, 2), half axes (PLATE, 2), um; angle, optical density (PLATE,)."""

    centre: F64
    half: F64
    angle: F64
    od: F64

    def image(self, y: F64, x: F64, sigma: float) -> F64:
        """Optical density at places of the sample through a Gaussian, exact for straight edges."""
        transmission = np.ones(y.shape)
        reach = self.half.max(axis=1) + 5 * sigma
        for (cy, cx), (a, b), angle, od, far in zip(self.centre, self.half, self.angle, self.od, reach, strict=True):
            rows = np.flatnonzero((np.abs(y - cy) < far).any(axis=1))
            columns = np.flatnonzero((np.abs(x - cx) < far).any(axis=0))
            if not rows.size or not columns.size:
                continue
            box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
            dy, dx = y[box] - cy, x[box] - cx
            u, v = dy * np.cos(angle) + dx * np.sin(angle), dx * np.cos(angle) - dy * np.sin(angle)
            radius = np.sqrt((u / a) ** 2 + (v / b) ** 2) + 1e-9
            slope = np.sqrt((u / a**2) ** 2 + (v / b**2) ** 2) / radius + 1e-9
            cover = special.ndtr((1.0 - radius) / (slope * sigma))
            transmission[box] *= 1.0 - cover * (1.0 - np.exp(-od))
        return np.asarray(-np.log(transmission))


def plates(rng: np.random.Generator, per_um2: float, side: float = FIELD_UM + 6.0) -> Plates:
    """Ellipses that do not overlap, in a square about (0, 0)."""
    centres, halves = [], []
    for _ in range(int(per_um2 * side**2 * 3)):
        if len(centres) >= per_um2 * side**2:
            break
        centre, half = rng.uniform(-side / 2, side / 2, 2), 0.5 * np.exp(rng.normal(np.log(0.6), 0.3, 2))
        if all(np.hypot(*(centre - c)) > max(half) + max(h) + 0.03 for c, h in zip(centres, halves, strict=True)):
            centres.append(centre)
            halves.append(half)
    n = len(centres)
    return Plates(np.array(centres), np.array(halves), rng.uniform(0, np.pi, n), rng.uniform(0.5, 1.6, n))


def drift_of(rng: np.random.Generator, kind: str, amplitude_um: float) -> Callable[[F64], F64]:
    """(ROW, 2) drift by row, of the given largest excursion over the wide field."""
    rows = np.linspace(-FIELD_UM / 2, FIELD_UM / 2, 161)
    if kind == "sine":
        phase, period = rng.uniform(0, 2 * np.pi, 2), rng.uniform(3.0, 12.0)
        curve = np.stack([np.sin(2 * np.pi * rows / period + p) for p in phase], axis=1)
    elif kind == "walk":
        curve = np.cumsum(rng.normal(size=(rows.size, 2)), axis=0)
    elif kind == "bend":
        curve = np.stack([rows**2 * rng.normal() + rows * rng.normal() for _ in range(2)], axis=1)
    else:
        curve = np.zeros((rows.size, 2))
    curve = curve - curve.mean(axis=0)
    curve *= amplitude_um / max(float(np.hypot(*curve.T).max()), 1e-9)
    return lambda y: np.stack([np.interp(y, rows, curve[:, i]) for i in range(2)], axis=-1)


@dataclass(frozen=True, eq=False)
class PlantedPair:
    fixed: F64
    fixed_axes: tuple[F64, F64]
    moving: F64
    moving_axes: tuple[F64, F64]
    linear: F64
    offset: F64
    drift: Callable[[F64], F64]
    shift_um: F64

    def truth(self, v: F64, u: F64) -> F64:
        """(..., 2) fixed coordinates of moving ones."""
        straight = np.stack([v, u], axis=-1) @ self.linear.T + self.offset
        row = straight[..., 0]
        for _ in range(20):
            row = straight[..., 0] + self.drift(row)[..., 0]
        return np.asarray(straight + self.drift(row))


def planted_pair(
    rng: np.random.Generator,
    *,
    shear: float = 0.0,
    drift: str = "none",
    drift_um: float = 0.0,
    shift_um: float = 0.5,
    per_um2: float = 1.2,
    noise: float = 0.03,
    contrast: float = 0.1,
    other_region: bool = False,
    mirrored: bool = False,
    field_um: float = FINE_FIELD_UM,
) -> PlantedPair:
    """Ptychography sees a square about (0, 0) of the sample; STXM sees the wide field with drift."""
    sample = plates(rng, per_um2)
    angle, scale = np.radians(rng.normal(0, 1.0)), 1 + rng.normal(0, 0.007)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = rng.uniform(-1, 1)
    askew = np.eye(2) + shear * (stretch * np.array([[0.0, 1.0], [0.0, 0.0]]) + np.array([[0.0, 0.0], [1.0, 0.0]]))
    linear = scale * turn @ askew
    direction = rng.uniform(0, 2 * np.pi)
    shift = shift_um * np.array([np.sin(direction), np.cos(direction)])
    # The wide field keeps the fine one inside, a little off its middle.
    at = rng.uniform(-1, 1, 2) * max(0.0, min(1.5, (FIELD_UM - field_um) / 2 - 0.4))
    offset = at
    wander = drift_of(rng, drift, drift_um)
    axis = PIXEL_UM * (np.arange(round(FIELD_UM / PIXEL_UM)) - (round(FIELD_UM / PIXEL_UM) - 1) / 2)
    fine = FINE_PIXEL_UM * (np.arange(round(field_um / FINE_PIXEL_UM)) - (round(field_um / FINE_PIXEL_UM) - 1) / 2)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    seen = np.stack([y, x], axis=-1) - wander(y) - offset
    seen = seen @ np.linalg.inv(linear).T
    other_od = sample.od * (1 + contrast * rng.normal(size=len(sample.od)))
    wide = Plates(sample.centre, sample.half, sample.angle, other_od)
    fixed = wide.image(seen[..., 0], seen[..., 1], WIDE_SIGMA_UM)
    other = plates(rng, per_um2) if other_region else sample
    v, u = np.meshgrid(fine, fine, indexing="ij")
    moving = other.image(v, -u if mirrored else u, FINE_SIGMA_UM)
    fixed = fixed + rng.normal(0, noise, fixed.shape)
    moving = moving + rng.normal(0, 0.03, moving.shape)
    # The stage of the fine field is off by shift: its coordinates say at - shift where it is.
    said = at - shift
    return PlantedPair(
        fixed, (axis, axis), moving, (fine + said[0], fine + said[1]), linear, offset - linear @ said, wander, shift
    )
