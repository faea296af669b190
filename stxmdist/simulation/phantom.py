"""LixFePO4 plates as functions of continuous coordinates, so that every instrument samples the same truth.

Outline, thickness and state of charge of a particle are formulae in (y, x); no grid is involved until somebody asks for
one. Thickness is counted in nanometres of LiFePO4 that hold the same iron, which charging does not change.
"""

from dataclasses import dataclass
from functools import cached_property
from math import gamma, pi

import numpy as np

from stxmdist.arrays import F64, I32

DISCHARGED_LIMIT = 0.07
"""State of charge of the discharged phase where two phases coexist, Li0.93FePO4 (Yu et al. 2018)."""
CHARGED_LIMIT = 0.98
"""State of charge of the charged phase where two phases coexist, Li0.02FePO4 (Yu et al. 2018)."""
BEVEL_UM = 0.024
"""Width over which a plate's thickness falls to nothing at its rim."""
PATTERNS = ("solid_solution", "core_shell", "two_phase")
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
        long, short = self.semi_axes_um
        n = self.exponent
        safe = np.maximum(radius, 1e-3)
        steepness = np.hypot(
            (np.abs(u_um) / (safe * long)) ** (n - 1.0) / long, (np.abs(v_um) / (safe * short)) ** (n - 1.0) / short
        )
        depth_um = (1.0 - radius) / np.maximum(steepness, 1e-3)
        return np.clip(depth_um / BEVEL_UM + 0.5, 0.0, 1.0)


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
    """Core-shell: of the transition, in radii; two-phase: of the boundary, um."""
    direction_rad: float
    """Two-phase: normal of the boundary, from the long axis."""
    waves: F64
    """(WAVE, 3) float64: rad/um along both axes and phase, of the solid solution's random field"""
    random_effect: float = 0.0
    """What the planted mean has of this particle alone."""

    def sample(self, y_um: F64, x_um: F64) -> tuple[F64, F64]:
        """Thickness (nm that conserve iron) and state of charge at points (broadcast); soc is defined everywhere."""
        u, v = self.outline.axes(y_um, x_um)
        radius = self.outline.radius(u, v)
        thickness = self.outline.thickness_nm * self.outline.cover(u, v, radius)
        shape = self.shape(u, v, radius)
        # Off the plate the shape runs on; what is there has no mass, but must stay a state of charge.
        return thickness, np.clip(self.base + self.amplitude * shape, 0.0, 1.0)

    def shape(self, u_um: F64, v_um: F64, radius: F64) -> F64:
        """The pattern without its level and contrast."""
        return pattern_shape(self.pattern, u_um, v_um, radius, self.centre, self.width, self.direction_rad, self.waves)


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
) -> Particle:
    """A particle whose mass-weighted mean state of charge is the planted one.

    Solid solution: a Gaussian random field of correlation length 0.12 um, spread 0.06. Core-shell: the shell ahead of
    the core by 0.15 to 0.4. Two-phase: Li0.93FePO4 beside Li0.02FePO4, the boundary across the long axis and moved to
    where the mean comes out right; a mean outside the two limits becomes a solid solution.
    """
    long, short = outline.semi_axes_um
    waves = np.column_stack([rng.normal(0.0, 1.0 / 0.12, (_WAVES, 2)), rng.uniform(0.0, 2.0 * pi, _WAVES)])
    centre, width = rng.uniform(0.55, 0.75), rng.uniform(0.06, 0.14)
    contrast = rng.uniform(0.15, 0.40)
    direction = rng.normal(0.0, 0.25) + (pi if rng.random() < 0.5 else 0.0)
    boundary_um = rng.uniform(0.008, 0.020)
    if pattern == "two_phase" and not DISCHARGED_LIMIT + 0.02 < soc_mean < CHARGED_LIMIT - 0.02:
        pattern = "solid_solution"
    u, v = np.meshgrid(
        np.linspace(-long - BEVEL_UM, long + BEVEL_UM, _SAMPLES),
        np.linspace(-short - BEVEL_UM, short + BEVEL_UM, _SAMPLES),
        indexing="ij",
    )
    radius = outline.radius(u, v)
    mass = outline.cover(u, v, radius)
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
        shape = pattern_shape(pattern, u, v, radius, centre, width, direction, waves)
        mean = float(np.sum(mass * shape))
        inside = shape[mass > 0] - mean
        amplitude = contrast if pattern == "core_shell" else 0.06
        # The field must stay between 0.01 and 0.99 without clipping, which would move the mean.
        room = min((0.99 - soc_mean) / inside.max(), (0.01 - soc_mean) / inside.min())
        amplitude = min(amplitude, max(room, 0.0))
        base = soc_mean - amplitude * mean
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
    )


@dataclass(frozen=True, eq=False)
class Region:
    """All particles of one field of view and its surroundings, in the coordinates of the sample."""

    particles: tuple[Particle, ...]

    def thickness_nm(self, y_um: F64, x_um: F64) -> F64:
        """Thickness (COMPONENT, Y, X) float64, nm that conserve iron, on ascending axes (Y,) and (X,)."""
        total = np.zeros((2, y_um.size, x_um.size))
        for particle, rows, columns in self._near(y_um, x_um):
            thickness, soc = particle.sample(y_um[rows, None], x_um[None, columns])
            total[0, rows, columns] += thickness * (1.0 - soc)
            total[1, rows, columns] += thickness * soc
        return total

    def labels(self, y_um: F64, x_um: F64) -> I32:
        """particle_id (Y, X) int32 of the plate that is thickest and at least half its full thickness; 0 none."""
        labels = np.zeros((y_um.size, x_um.size), dtype=np.int32)
        thickest = np.zeros(labels.shape)
        for particle, rows, columns in self._near(y_um, x_um):
            thickness, _ = particle.sample(y_um[rows, None], x_um[None, columns])
            wins = (thickness >= 0.5 * particle.outline.thickness_nm) & (thickness > thickest[rows, columns])
            labels[rows, columns][wins] = particle.particle_id
            thickest[rows, columns][wins] = thickness[wins]
        return labels

    def _near(self, y_um: F64, x_um: F64) -> list[tuple[Particle, slice, slice]]:
        """Particles that reach into the axes, with the rows and columns that they can reach."""
        found = []
        for particle in self.particles:
            outline, reach = particle.outline, particle.outline.reach_um
            first, last = np.searchsorted(y_um, [outline.y_um - reach, outline.y_um + reach])
            left, right = np.searchsorted(x_um, [outline.x_um - reach, outline.x_um + reach])
            if last > first and right > left:
                found.append((particle, slice(int(first), int(last)), slice(int(left), int(right))))
        return found
