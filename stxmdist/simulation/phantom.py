"""LixFePO4 plates as functions of continuous coordinates, so that every instrument samples the same truth.

Outline, thickness and state of charge of a particle are formulae in (y, x); no grid is involved until somebody asks for
one. Thickness is counted in nanometres of LiFePO4 that hold the same iron, which charging does not change.
"""

from dataclasses import dataclass
from functools import cached_property
from math import gamma, pi

import numpy as np

from stxmdist.arrays import F64, I32
from stxmdist.simulation.design import Interior
from stxmdist.simulation.film import Film
from stxmdist.simulation.flaws import Flaws, Reaction

DISCHARGED_LIMIT = 0.07
"""State of charge of the discharged phase where two phases coexist, Li0.93FePO4 (Yu et al. 2018)."""
CHARGED_LIMIT = 0.98
"""State of charge of the charged phase where two phases coexist, Li0.02FePO4 (Yu et al. 2018)."""
BEVEL_UM = 0.024
"""Width over which a plate's thickness falls to nothing at its rim."""
PATTERNS = ("solid_solution", "core_shell", "two_phase")
RIM_DEPTH = "rim_depth"
"""Core-shell whose charge falls off from the rim as exp(-depth / length)"""
BENIGN_INTERIOR = Interior()
DICHROIC = ("discharged cos", "discharged sin", "charged cos", "charged sin")
"""Thickness times the cosine and the sine of twice the axis' direction: what a polarisation adds to or takes off"""
_WAVES = 16
_SAMPLES = 97


@dataclass(frozen=True, eq=False)
class Outline:
    """A plate: superellipse |u/a|^n + |v/b|^n = 1 in its own axes, of one thickness with a bevelled rim."""

    y_um: float
    x_um: float
    diameter_um: float
    """Of the circle of the same area."""
    aspect: float
    """Long axis over short axis."""
    angle_rad: float
    """Of the long axis, from +x towards +y."""
    exponent: float
    """2 for an ellipse, more for a rounder rectangle."""
    thickness_nm: float

    @cached_property
    def semi_axes_um(self) -> tuple[float, float]:
        """(long, short) semi-axes from the area 4 a b G(1 + 1/n)^2 / G(1 + 2/n)."""
        form = 4.0 * gamma(1.0 + 1.0 / self.exponent) ** 2 / gamma(1.0 + 2.0 / self.exponent)
        product = pi * (self.diameter_um / 2.0) ** 2 / form
        short = (product / self.aspect) ** 0.5
        return short * self.aspect, short

    @cached_property
    def reach_um(self) -> float:
        """Radius of the circle around the centre that holds the plate and its rim."""
        long, short = self.semi_axes_um
        t = np.linspace(0.0, pi / 2.0, 91)
        power = 2.0 / self.exponent
        return float(np.hypot(long * np.cos(t) ** power, short * np.sin(t) ** power).max()) + BEVEL_UM

    def axes(self, y_um: F64, x_um: F64) -> tuple[F64, F64]:
        """Coordinates along the long and the short axis, um, of points in the sample's frame (broadcast)."""
        dy, dx = y_um - self.y_um, x_um - self.x_um
        cos, sin = np.cos(self.angle_rad), np.sin(self.angle_rad)
        return dx * cos + dy * sin, -dx * sin + dy * cos

    def radius(self, u_um: F64, v_um: F64) -> F64:
        """Superelliptic radius: 0 at the centre, 1 on the outline."""
        long, short = self.semi_axes_um
        n = self.exponent
        return np.asarray((np.abs(u_um / long) ** n + np.abs(v_um / short) ** n) ** (1.0 / n))

    def cover(self, u_um: F64, v_um: F64, radius: F64) -> F64:
        """Share of the full thickness, 0 to 1: a linear bevel of BEVEL_UM centred on the outline."""
        return np.clip(self.depth_um(u_um, v_um, radius) / BEVEL_UM + 0.5, 0.0, 1.0)

    def depth_um(self, u_um: F64, v_um: F64, radius: F64) -> F64:
        """Depth below the outline, um, to first order: exact for a circle, negative outside."""
        long, short = self.semi_axes_um
        n = self.exponent
        safe = np.maximum(radius, 1e-3)
        steepness = np.hypot(
            (np.abs(u_um) / (safe * long)) ** (n - 1.0) / long, (np.abs(v_um) / (safe * short)) ** (n - 1.0) / short
        )
        return np.asarray((1.0 - radius) / np.maximum(steepness, 1e-3))


@dataclass(frozen=True, eq=False)
class Particle:
    """A plate and where in it the charge is: soc = base + amplitude x shape(u, v)."""

    particle_id: int
    outline: Outline
    pattern: str
    """One of PATTERNS."""
    soc_mean: float
    """Planted mass-weighted mean."""
    base: float
    amplitude: float
    centre: float
    """Core-shell: radius of the shell's inner side; two-phase: where the boundary lies, um from the centre."""
    width: float
    """Core-shell: of the transition, in radii (``RIM_DEPTH``: the length, um); two-phase: of the boundary, um."""
    direction_rad: float
    """Two-phase: normal of the boundary, from the long axis."""
    waves: F64
    """(WAVE, 3) float64: rad/um along both axes and phase, of the solid solution's random field"""
    random_effect: float = 0.0
    """What the planted mean has of this particle alone."""
    flaws: Flaws | None = None
    """Grains, cracks, a third phase"""
    reaction: Reaction | None = None
    """What happened since the first look"""
    edge_on: bool = False
    """It stands on edge"""
    is_active: bool = True
    """As planted: it does not wait at an end-member"""
    axis_rad: float | None = None
    """Direction of the axis that polarised light sees, in the sample's frame; None: it sees none"""

    def sample(self, y_um: F64, x_um: F64) -> tuple[F64, F64]:
        """Thickness (nm that conserve iron) and state of charge at points (broadcast); soc is defined everywhere.

        The thickness holds the third phase where there is one; the state of charge is that of the rest.
        """
        u, v = self.outline.axes(y_um, x_um)
        radius = self.outline.radius(u, v)
        thickness = self.outline.thickness_nm * self.outline.cover(u, v, radius)
        soc = self.first_soc(u, v, radius)
        if self.flaws is not None:
            thickness = thickness * self.flaws.left(u, v)
        if self.reaction is not None:
            soc = self.reaction.after(soc, u, v)
        return thickness, soc

    def first_soc(self, u_um: F64, v_um: F64, radius: F64) -> F64:
        """State of charge at points of the particle's axes, at the first look."""
        soc = self.base + self.amplitude * self.shape(u_um, v_um, radius)
        if self.flaws is not None:
            soc = soc + self.flaws.soc_offset(u_um, v_um)
        # Off the plate the shape runs on; what is there has no mass, but must stay a state of charge.
        return np.clip(soc, 0.0, 1.0)

    def envelope(self, y_um: F64, x_um: F64) -> F64:
        """Thickness, nm, that the plate would have at points (broadcast) without cracks and grooves."""
        u, v = self.outline.axes(y_um, x_um)
        return self.outline.thickness_nm * self.outline.cover(u, v, self.outline.radius(u, v))

    def third_share(self, y_um: F64, x_um: F64) -> F64:
        """Share of the iron at points (broadcast) that is of the third phase."""
        u, v = self.outline.axes(y_um, x_um)
        return np.zeros(u.shape) if self.flaws is None else self.flaws.third_share(u, v)

    def axis(self, y_um: F64, x_um: F64) -> F64:
        """Direction, rad in the sample's frame, of the axis that polarised light sees at points (broadcast)."""
        u, v = self.outline.axes(y_um, x_um)
        if self.flaws is not None and self.flaws.grains is not None:
            return np.asarray(self.flaws.grains.axis_rad[self.flaws.grains.nearest(u, v)[0]])
        return np.full(u.shape, np.nan if self.axis_rad is None else self.axis_rad)

    def shape(self, u_um: F64, v_um: F64, radius: F64) -> F64:
        """The pattern without its level and contrast."""
        if self.pattern == RIM_DEPTH:
            return rim_depth_shape(self.outline, u_um, v_um, radius, self.width)
        return pattern_shape(self.pattern, u_um, v_um, radius, self.centre, self.width, self.direction_rad, self.waves)


def rim_depth_shape(outline: Outline, u_um: F64, v_um: F64, radius: F64, length_um: float) -> F64:
    """Shape exp(-depth / length) of a reaction that came in from the rim."""
    return np.asarray(np.exp(-np.maximum(outline.depth_um(u_um, v_um, radius), 0.0) / length_um))


def pattern_shape(
    pattern: str,
    u_um: F64,
    v_um: F64,
    radius: F64,
    centre: float,
    width: float,
    direction_rad: float,
    waves: F64,
) -> F64:
    """Shape of a state-of-charge field, order one, at points of the particle's axes."""
    if pattern == "solid_solution":
        total = np.zeros(np.broadcast_shapes(u_um.shape, v_um.shape))
        for along, across, phase in waves:
            total += np.cos(along * u_um + across * v_um + phase)
        return np.asarray(total * np.sqrt(2.0 / len(waves)))
    if pattern == "core_shell":
        return np.asarray(0.5 * (1.0 + np.tanh((radius - centre) / width)))
    distance = u_um * np.cos(direction_rad) + v_um * np.sin(direction_rad) - centre
    return np.asarray(0.5 * (1.0 + np.tanh(distance / width)))


def make_particle(
    particle_id: int,
    outline: Outline,
    pattern: str,
    soc_mean: float,
    rng: np.random.Generator,
    random_effect: float = 0.0,
    interior: Interior = BENIGN_INTERIOR,
    flaws: Flaws | None = None,
) -> Particle:
    """A particle whose mass-weighted mean state of charge is the planted one.

    Solid solution: a Gaussian random field of a correlation length and a spread. Core-shell: the shell ahead of the
    core. Two-phase: Li0.93FePO4 beside Li0.02FePO4, the boundary across the long axis or in any direction, and moved to
    where the mean comes out right; a mean outside the two limits becomes a solid solution.
    """
    long, short = outline.semi_axes_um
    waves = random_waves(interior.length_um, rng)
    centre, width = rng.uniform(0.55, 0.75), rng.uniform(0.06, 0.14)
    contrast = rng.uniform(*interior.contrast)
    direction = rng.normal(0.0, 0.25) + (pi if rng.random() < 0.5 else 0.0)
    boundary_um = rng.uniform(*interior.boundary_um)
    if interior.random_boundary:
        direction = rng.uniform(0.0, 2.0 * pi)
    if pattern == "two_phase" and not DISCHARGED_LIMIT + 0.02 < soc_mean < CHARGED_LIMIT - 0.02:
        pattern = "solid_solution"
    u, v = np.meshgrid(
        np.linspace(-long - BEVEL_UM, long + BEVEL_UM, _SAMPLES),
        np.linspace(-short - BEVEL_UM, short + BEVEL_UM, _SAMPLES),
        indexing="ij",
    )
    radius = outline.radius(u, v)
    mass = outline.cover(u, v, radius)
    if flaws is not None:
        mass = mass * flaws.left(u, v) * (1.0 - flaws.third_share(u, v))
    mass = mass / mass.sum()
    if pattern == "two_phase":
        base, amplitude, width = DISCHARGED_LIMIT, CHARGED_LIMIT - DISCHARGED_LIMIT, boundary_um
        share = (soc_mean - base) / amplitude
        low, high = -long - short, long + short
        for _ in range(28):
            centre = 0.5 * (low + high)
            found = float(np.sum(mass * pattern_shape(pattern, u, v, radius, centre, width, direction, waves)))
            low, high = (centre, high) if found > share else (low, centre)
    else:
        if pattern == "core_shell" and interior.depth_um[1] > 0.0:
            pattern, width = RIM_DEPTH, float(rng.uniform(*interior.depth_um))
            shape = rim_depth_shape(outline, u, v, radius, width)
        else:
            shape = pattern_shape(pattern, u, v, radius, centre, width, direction, waves)
        mean = float(np.sum(mass * shape))
        inside = shape[mass > 0] - mean
        amplitude = interior.spread if pattern == "solid_solution" else contrast
        # The field must stay between 0.01 and 0.99 without clipping, which would move the mean.
        room = min((0.99 - soc_mean) / inside.max(), (0.01 - soc_mean) / inside.min())
        amplitude = min(amplitude, max(room, 0.0))
        base = soc_mean - amplitude * mean
        if flaws is not None:
            base -= float(np.sum(mass * flaws.soc_offset(u, v)))
    return Particle(
        particle_id=particle_id,
        outline=outline,
        pattern=pattern,
        soc_mean=soc_mean,
        base=float(base),
        amplitude=float(amplitude),
        centre=float(centre),
        width=float(width),
        direction_rad=float(direction),
        waves=waves,
        random_effect=random_effect,
        flaws=flaws,
    )


def random_waves(length_um: float, rng: np.random.Generator) -> F64:
    """Waves (WAVE, 3), rad/um along both axes and phase, whose sum has the correlation exp(-r^2 / 2 L^2)."""
    return np.column_stack([rng.normal(0.0, 1.0 / length_um, (_WAVES, 2)), rng.uniform(0.0, 2.0 * pi, _WAVES)])


@dataclass(frozen=True, eq=False)
class Region:
    """All particles of one field of view and its surroundings, in the coordinates of the sample."""

    particles: tuple[Particle, ...]
    film: Film | None = None
    """Binder and carbon over all of it"""

    @cached_property
    def components(self) -> tuple[str, ...]:
        """What ``thickness_nm`` holds: ``discharged``, ``charged``, and ``third``, ``film``, ``DICHROIC`` where any."""
        third = any(particle.flaws is not None and particle.flaws.third is not None for particle in self.particles)
        polarised = any(particle.axis_rad is not None for particle in self.particles)
        return (
            "discharged",
            "charged",
            *(("third",) if third else ()),
            *(("film",) if self.film is not None else ()),
            *(DICHROIC if polarised else ()),
        )

    def thickness_nm(self, y_um: F64, x_um: F64) -> F64:
        """Thickness (COMPONENT, Y, X) float64, nm that conserve iron (of the film: nm of carbon).

        Parameters: ascending axes (Y,) and (X,), or coordinates (Y, X) of a grid that is slightly bent.
        """
        places = _Places(y_um, x_um)
        total = np.zeros((len(self.components), *places.shape))
        for particle, rows, columns in places.near(self.particles):
            y, x = places.cut(rows, columns)
            thickness, soc = particle.sample(y, x)
            if "third" in self.components:
                third = thickness * particle.third_share(y, x)
                total[self.components.index("third"), rows, columns] += third
                thickness = thickness - third
            parts = (thickness * (1.0 - soc), thickness * soc)
            total[0, rows, columns] += parts[0]
            total[1, rows, columns] += parts[1]
            if DICHROIC[0] in self.components:
                first, axis = self.components.index(DICHROIC[0]), particle.axis(y, x)
                for index, part in enumerate(parts):
                    total[first + 2 * index, rows, columns] += part * np.cos(2.0 * axis)
                    total[first + 2 * index + 1, rows, columns] += part * np.sin(2.0 * axis)
        if self.film is not None:
            total[self.components.index("film")] = self.film.thickness_nm(*places.cut(slice(None), slice(None)))
        return total

    def labels(self, y_um: F64, x_um: F64) -> I32:
        """particle_id (Y, X) int32 of the plate that is thickest and at least half its full thickness; 0 none.

        Cracks and grooves belong to their particle. Parameters as in ``thickness_nm``.
        """
        places = _Places(y_um, x_um)
        labels = np.zeros(places.shape, dtype=np.int32)
        thickest = np.zeros(labels.shape)
        for particle, rows, columns in places.near(self.particles):
            thickness = particle.envelope(*places.cut(rows, columns))
            wins = (thickness >= 0.5 * particle.outline.thickness_nm) & (thickness > thickest[rows, columns])
            labels[rows, columns][wins] = particle.particle_id
            thickest[rows, columns][wins] = thickness[wins]
        return labels


class _Places:
    """The points that somebody asks for: two axes, or a grid that is slightly bent."""

    def __init__(self, y_um: F64, x_um: F64) -> None:
        self._bent = y_um.ndim == 2
        self._y, self._x = y_um, x_um
        self.shape = y_um.shape if self._bent else (y_um.size, x_um.size)
        # A grid that is bent: the least and the largest coordinate of each row and of each column.
        self._rows = (y_um.max(axis=1), y_um.min(axis=1)) if self._bent else (y_um, y_um)
        self._columns = (x_um.max(axis=0), x_um.min(axis=0)) if self._bent else (x_um, x_um)

    def cut(self, rows: slice, columns: slice) -> tuple[F64, F64]:
        """Coordinates (y, x) of a part, to be broadcast."""
        if self._bent:
            return self._y[rows, columns], self._x[rows, columns]
        return self._y[rows, None], self._x[None, columns]

    def near(self, particles: tuple[Particle, ...]) -> list[tuple[Particle, slice, slice]]:
        """Particles that reach into the points, with the rows and columns that they can reach."""
        found = []
        for particle in particles:
            outline, reach = particle.outline, particle.outline.reach_um
            first, last = _reached(self._rows, outline.y_um, reach)
            left, right = _reached(self._columns, outline.x_um, reach)
            if last > first and right > left:
                found.append((particle, slice(first, last), slice(left, right)))
        return found


def _reached(limits: tuple[F64, F64], middle: float, reach: float) -> tuple[int, int]:
    """First and last line, exclusive, whose points (largest, least) lie within reach of a place."""
    largest, least = limits
    if largest is least:
        first, last = np.searchsorted(largest, [middle - reach, middle + reach])
        return int(first), int(last)
    hit = np.flatnonzero((largest >= middle - reach) & (least <= middle + reach))
    return (int(hit[0]), int(hit[-1]) + 1) if hit.size else (0, 0)
