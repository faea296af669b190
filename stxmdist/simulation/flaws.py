"""What a plate is made of beside one crystal of two phases: grains, cracks, a third phase, and a reaction over time.

Everything is a formula in the plate's own coordinates u, v (um along its long and its short axis).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import expit

from stxmdist.arrays import F64, I64

CRACK_EDGE_UM = 0.004
"""Width over which a crack's side falls."""
_TO_SIGMA = 1.0 / np.sqrt(8.0 * np.log(2.0))


@dataclass(frozen=True, eq=False)
class Grains:
    """Voronoi cells of sites, with a groove along their boundaries, a state of charge and an axis of their own."""

    sites_um: F64
    """(GRAIN, 2) u, v"""
    width_um: float
    """Of the groove, full width at half depth"""
    depth: float
    """Share of the thickness that is missing in its middle"""
    soc_offset: F64
    """(GRAIN,) added to soc"""
    axis_rad: F64
    """(GRAIN,) direction of the axis that polarised light sees, in the sample's frame"""

    def nearest(self, u_um: F64, v_um: F64) -> tuple[I64, F64]:
        """Which grain a point belongs to, and its distance to the nearest boundary, um."""
        u, v = np.broadcast_arrays(u_um, v_um)
        square = np.stack([(u - a) ** 2 + (v - b) ** 2 for a, b in self.sites_um])
        grain = np.argmin(square, axis=0)
        if len(self.sites_um) == 1:
            return np.asarray(grain, dtype=np.int64), np.full(u.shape, np.inf)
        first = np.take_along_axis(square, grain[None], axis=0)[0]
        distance = np.full(u.shape, np.inf)
        mine = self.sites_um[grain]
        for index, site in enumerate(self.sites_um):
            apart = np.hypot(mine[..., 0] - site[0], mine[..., 1] - site[1])
            with np.errstate(divide="ignore", invalid="ignore"):
                here = np.where(grain == index, np.inf, (square[index] - first) / (2.0 * apart))
            distance = np.minimum(distance, here)
        return np.asarray(grain, dtype=np.int64), distance

    def left(self, u_um: F64, v_um: F64) -> F64:
        """Share of the thickness that the grooves leave."""
        _, distance = self.nearest(u_um, v_um)
        return np.asarray(1.0 - self.depth * np.exp(-0.5 * (distance / (self.width_um * _TO_SIGMA)) ** 2))


@dataclass(frozen=True, eq=False)
class Cracks:
    """Lines along which material is missing, through the whole thickness."""

    lines_um: tuple[F64, ...]
    """Each (POINT, 2) u, v: a chain of straight pieces"""
    widths_um: F64
    """(CRACK,)"""

    def beyond(self, u_um: F64, v_um: F64) -> F64:
        """Distance, um, of points to the side of the nearest crack, negative inside one."""
        u, v = np.broadcast_arrays(u_um, v_um)
        nearest = np.full(u.shape, np.inf)
        for line, width in zip(self.lines_um, self.widths_um, strict=True):
            for start, end in pairwise(line):
                du, dv = end - start
                along = np.clip(((u - start[0]) * du + (v - start[1]) * dv) / (du * du + dv * dv), 0.0, 1.0)
                distance = np.hypot(u - start[0] - along * du, v - start[1] - along * dv)
                nearest = np.minimum(nearest, distance - 0.5 * width)
        return nearest

    def left(self, u_um: F64, v_um: F64) -> F64:
        """Share of the thickness that the cracks leave: 0 in a crack, 1 outside."""
        return np.clip(self.beyond(u_um, v_um) / CRACK_EDGE_UM + 0.5, 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class ThirdPhase:
    """A phase whose spectrum is no mixture of the two: everywhere alike, or behind a straight boundary."""

    level: float
    """Share of the material far behind the boundary; everywhere where ``width_um`` is infinite"""
    direction_rad: float = 0.0
    centre_um: float = 0.0
    width_um: float = np.inf

    def share(self, u_um: F64, v_um: F64) -> F64:
        """Share of the iron at a point that is of the third phase."""
        if np.isinf(self.width_um):
            return np.full(np.broadcast_shapes(u_um.shape, v_um.shape), self.level)
        distance = u_um * np.cos(self.direction_rad) + v_um * np.sin(self.direction_rad) - self.centre_um
        return np.asarray(self.level * expit(2.0 * distance / self.width_um))


@dataclass(frozen=True, eq=False)
class Flaws:
    """Grains, cracks and third phase of a plate, each where it has them."""

    grains: Grains | None = None
    cracks: Cracks | None = None
    third: ThirdPhase | None = None
    halo_soc: float = 0.0
    """soc beside a crack or grain boundary less that far from it"""
    halo_um: float = 0.08
    """Distance over which that falls to 1 / e"""

    def left(self, u_um: F64, v_um: F64) -> F64:
        """Share of the plate's thickness that is there."""
        left = np.ones(np.broadcast_shapes(u_um.shape, v_um.shape))
        for flaw in (self.grains, self.cracks):
            if flaw is not None:
                left = left * flaw.left(u_um, v_um)
        return left

    def third_share(self, u_um: F64, v_um: F64) -> F64:
        """Share of the iron that is of the third phase."""
        shape = np.broadcast_shapes(u_um.shape, v_um.shape)
        return np.zeros(shape) if self.third is None else self.third.share(u_um, v_um)

    def distance_um(self, u_um: F64, v_um: F64) -> F64:
        """Distance of points to the nearest crack or grain boundary; infinite where there is none."""
        distance = np.full(np.broadcast_shapes(u_um.shape, v_um.shape), np.inf)
        if self.grains is not None:
            distance = np.minimum(distance, self.grains.nearest(u_um, v_um)[1])
        if self.cracks is not None:
            distance = np.minimum(distance, np.maximum(self.cracks.beyond(u_um, v_um), 0.0))
        return distance

    def soc_offset(self, u_um: F64, v_um: F64) -> F64:
        """What a point's grain, and a crack or boundary near it, add to its state of charge."""
        offset = np.zeros(np.broadcast_shapes(u_um.shape, v_um.shape))
        if self.grains is not None:
            offset = offset + self.grains.soc_offset[self.grains.nearest(u_um, v_um)[0]]
        if self.halo_soc != 0.0:
            offset = offset + self.halo_soc * np.exp(-self.distance_um(u_um, v_um) / self.halo_um)
        return offset


@dataclass(frozen=True, eq=False)
class Reaction:
    """How a particle's state of charge moves on: d soc / dt = rate (1 + autocatalysis (2 soc - 1)) (1 + field)."""

    hours: float
    """Since the first look"""
    rate_per_h: float
    """At the soc of one half, mean over the particle"""
    autocatalysis: float
    waves: F64
    """(WAVE, 3) float64: rad/um along both axes and phase, of the field of standard deviation ``spread``"""
    spread: float

    def rate(self, soc: F64, u_um: F64, v_um: F64) -> F64:
        """Mean rate, 1/h, over the hours at points that began with ``soc``; it stops at either end of the charge.

        It is the rate at the beginning, so that (soc(t) - soc(0)) / t is the planted rate without a remainder.
        """
        field = np.zeros(np.broadcast_shapes(u_um.shape, v_um.shape))
        for along, across, phase in self.waves:
            field += np.cos(along * u_um + across * v_um + phase)
        field *= self.spread * np.sqrt(2.0 / len(self.waves))
        rate = self.rate_per_h * (1.0 + self.autocatalysis * (2.0 * soc - 1.0)) * np.maximum(1.0 + field, 0.0)
        if self.hours == 0.0:
            return np.asarray(rate)
        return np.clip(rate, (0.0 - soc) / self.hours, (1.0 - soc) / self.hours)

    def after(self, soc: F64, u_um: F64, v_um: F64) -> F64:
        """State of charge after the hours."""
        return np.asarray(soc + self.hours * self.rate(soc, u_um, v_um))
