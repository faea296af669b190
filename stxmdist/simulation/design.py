"""What makes a simulated campaign hard: one record whose every field is a switch, and whose defaults plant nothing."""

from dataclasses import dataclass, field
from typing import Literal

Modality = Literal["stxm", "ptychography"]
ByWhat = Literal["campaign", "cell", "electrode", "cycle", "region"]


@dataclass(frozen=True)
class Visit:
    """One look at a region: when, with which polarisation, and by which instruments."""

    time_h: float = 0.0
    """Hours since the first look; the particles have reacted meanwhile by ``Design.rate_per_h``."""
    polarisation_deg: float | None = None
    """Of the light's electric field, from +x towards +y; None: not a polarised measurement"""
    modalities: tuple[Modality, ...] = ("stxm", "ptychography")
    every: int = 1
    """Only each so-manieth region gets this look."""


@dataclass(frozen=True)
class Interior:
    """How the state of charge lies inside a particle."""

    length_um: float = 0.12
    """Solid solution: L of the field's correlation exp(-r^2 / 2 L^2)"""
    spread: float = 0.06
    """Solid solution: standard deviation of soc"""
    contrast: tuple[float, float] = (0.15, 0.40)
    """Core-shell: soc of the shell less that of the core, least and largest"""
    depth_um: tuple[float, float] = (0.0, 0.0)
    """Core-shell: L of exp(-depth / L) from rim to core, least and largest, um; 0: a shell with an inner side"""
    boundary_um: tuple[float, float] = (0.008, 0.020)
    """Two-phase: w of the boundary's tanh(d / w), least and largest, um"""
    random_boundary: bool = False
    """Two-phase: the boundary's normal has any direction, not only that of the long axis within 14 degrees (sd)"""


@dataclass(frozen=True)
class Design:
    """Switches of a hard campaign. The defaults are the benign one: nothing of this is planted.

    Cover, touching plates and thickness are fields of ``Powder``; energies, photons and energy offset of ``StxmSetup``.
    """

    active_at_1c: float = 1.0
    """Share of the particles that react at a rate of 1C. The others wait at the discharged end-member or have arrived
    at the charged one, with the probability that keeps the mean soc what it would be without this switch."""
    active_exponent: float = 0.0
    """The active share grows with rate^exponent; current per active area then grows with rate^(1 - exponent)."""
    active_limits: tuple[float, float] = (0.0, 1.0)
    """Least and largest active share"""
    neighbour_share: float = 0.0
    """Share of the variance between particles of a region that follows their places (others: independent)"""
    neighbour_length_um: float = 1.5
    """Length l of its correlation exp(-r / l)"""
    interior: Interior = field(default_factory=Interior)

    overlapping: float = 0.0
    """Share of plates that lie across another one, each plate of a pair counted"""
    edge_on: float = 0.0
    """Share of plates that stand on edge: as narrow as a plate is thick, and thick"""
    edge_on_limit_nm: float = 400.0
    """Largest thickness of a plate on edge along the beam"""
    film_od: float = 0.0
    """Largest optical density at 700 eV of a film of binder and carbon that varies smoothly over the field"""
    film_length_um: float = 2.0
    """L of its correlation exp(-r^2 / 2 L^2)"""
    third_particles: float = 0.0
    """Share of particles that hold a third phase, whose spectrum is no mixture of the two"""
    third_mass: float = 0.2
    """Share of their mass (by iron) that is of the third phase"""
    third_form: Literal["mixed", "domain"] = "domain"
    """Spread evenly over the particle, or at one side of it"""

    grain_um: float = 0.0
    """Equivalent diameter of the grains (Voronoi cells) in plates; 0: plates are single crystals"""
    grained: float = 1.0
    """Share of the particles that consist of grains, where ``grain_um`` is not 0"""
    grain_boundary_nm: float = 24.0
    """Full width at half depth of the groove along a grain boundary"""
    grain_boundary_depth: float = 0.5
    """Share of the thickness that is missing in the middle of a grain boundary"""
    grain_soc_sd: float = 0.0
    """Spread of soc between the grains of a particle"""
    cracked: float = 0.0
    """Share of the particles that have cracks"""
    crack_per_um: float = 1.5
    """Their length per area of a cracked particle, um/um2"""
    crack_nm: tuple[float, float] = (20.0, 50.0)
    """Width of cracks, least and largest; through the whole thickness"""
    crack_halo_soc: float = 0.0
    """soc beside a crack or grain boundary less that far from it; it falls as exp(-d / crack_halo_um)"""
    crack_halo_um: float = 0.08
    cracked_soc: float = 0.0
    """Planted effect of having cracks on a particle's mean soc"""
    grained_soc: float = 0.0
    """Planted effect of consisting of grains on a particle's mean soc"""
    dichroism: float = 0.0
    """mu of the Fe edge is mu (1 + dichroism cos 2(polarisation - axis)); the axis is each grain's own"""

    visits: tuple[Visit, ...] = (Visit(),)
    """Looks at each region"""
    rate_per_h: float = 0.0
    """Mean rate dsoc/dt of active particles at the soc of one half, 1/h; negative in discharge"""
    rate_sd_log: float = 0.3
    """Spread of the logarithm of the rate between particles"""
    rate_spread: float = 0.15
    """Standard deviation of the rate inside a particle, over its mean"""
    autocatalysis: float = 0.0
    """The rate is proportional to 1 + autocatalysis (2 soc - 1): faster where more is charged already, if positive"""

    ptychography_every: int = 1
    """Only each so-manieth region is seen by ptychography as well."""

    shear: float = 0.0
    """STXM: x of the sample changes by this per y of the file (sign drawn)"""
    row_drift_nm: float = 0.0
    """STXM: rms over rows of the slow displacement of rows, the same in all images of a stack"""
    row_jitter_nm: float = 0.0
    """STXM: rms of a displacement of each row of each image by itself"""
    stage_error_um: float = 0.0
    """STXM: distance of the file's coordinates from the sample's (direction drawn)"""

    beamtimes: int = 1
    beamtime_by: ByWhat = "campaign"
    """What changes from one beamtime to the next"""
    beamtime_sd: float = 0.0
    """Spread of soc between beamtimes"""
    electrodes_per_cell: int = 1
    cell_sd: float = 0.0
    """Spread of soc between cells"""
    rate_by: ByWhat = "electrode"
    """What the campaign's rates are given to in turn"""
    directions: tuple[Literal["charge", "discharge"], ...] = ("charge",)
    direction_by: ByWhat = "electrode"
    """What the directions are given to in turn"""
    discharge_soc: float = 0.0
    """Planted effect of discharge on soc"""
    convenience: float = 0.0
    """Share of regions whose place was chosen by eye; the sheet calls them ``convenience``"""
    convenience_soc: float = 0.0
    """Their soc less that of others"""
    energies_ev: tuple[tuple[float, ...], ...] = ()
    """Photon energies of STXM, given to the regions in turn; empty: those of the setup"""
    counts: tuple[float, ...] = ()
    """Incident photons per pixel of STXM, given to the regions in turn; empty: those of the setup"""

    @property
    def is_benign(self) -> bool:
        """Whether nothing is planted."""
        return self == Design()

    @property
    def has_times(self) -> bool:
        """Whether regions are looked at at several times."""
        return any(visit.time_h != 0.0 for visit in self.visits)

    @property
    def is_polarised(self) -> bool:
        """Whether polarisation is known of any look."""
        return any(visit.polarisation_deg is not None for visit in self.visits)

    @property
    def is_mosaic(self) -> bool:
        """Whether some particles may be inactive."""
        return self.active_at_1c < 1.0 or self.active_exponent != 0.0

    def active_share(self, c_rate: float) -> float:
        """Planted share of active particles at a rate: p0 rate^exponent inside the limits."""
        low, high = self.active_limits
        return min(max(self.active_at_1c * float(c_rate**self.active_exponent), low), min(high, 1.0))
