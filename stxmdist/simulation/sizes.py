"""How large a simulated campaign is, and with which instruments: one frozen record per size."""

from dataclasses import dataclass, field

from stxmdist.registry import Entry, Table
from stxmdist.simulation.design import Design, Interior, Visit
from stxmdist.simulation.diffraction import Detector
from stxmdist.simulation.optics import ZonePlate
from stxmdist.simulation.powder import Powder

ENERGIES_24 = (
    700.0, 703.0, 705.0, 706.0, 706.6, 707.2, 707.7, 708.2, 708.7, 709.2, 709.7, 710.2, 710.7, 711.2, 711.8, 712.6,
    714.0, 716.0, 719.0, 720.6, 721.8, 723.4, 726.0, 730.0,
)  # fmt: skip
ENERGIES_40 = (
    700.0, 701.5, 703.0, 704.0, 705.0, 705.5, 706.0, 706.3, 706.6, 706.9, 707.2, 707.5, 707.8, 708.0, 708.2, 708.4,
    708.7, 709.0, 709.3, 709.6, 709.9, 710.2, 710.5, 710.8, 711.2, 711.6, 712.0, 712.6, 713.4, 714.4, 716.0, 718.0,
    719.5, 720.6, 721.2, 721.8, 722.6, 723.6, 726.0, 730.0,
)  # fmt: skip
PTYCHOGRAPHY_ENERGIES = (700.0, 706.6, 708.2, 709.3, 710.2, 715.0)


@dataclass(frozen=True)
class StxmSetup:
    """A wide-field stack and the nuisances that come with it."""

    energy_ev: tuple[float, ...] = ENERGIES_24
    n_px: int = 160
    pixel_nm: float = 50.0
    counts: float = 3000.0
    """I0 of the middle energy, photons per pixel."""
    dwell_ms: float = 3.0
    oversample: int = 4
    """Points a side of a pixel on which the specimen is sampled."""
    zone_plate: ZonePlate = field(default_factory=lambda: ZonePlate(240.0, 60.0, 0.3))
    leak_fraction: float = 0.010
    """Light of other orders that no particle absorbs, over that of the first."""
    energy_offset_ev: tuple[float, float] = (0.10, 0.25)
    """Size of the monochromator's offset, least and largest; its sign is drawn."""
    drift_px: float = 0.25
    """Step of the stage's random walk from one energy to the next, pixels and direction."""
    i0_drift: float = 0.01
    """Step of the incident intensity's random walk from one energy to the next."""


@dataclass(frozen=True)
class PtychographySetup:
    """Ptychography of a part of the region, and the nuisances that come with it."""

    energy_ev: tuple[float, ...] = PTYCHOGRAPHY_ENERGIES
    field_um: float = 3.0
    """Side of the square that the positions fill."""
    step_um: float = 0.14
    photons: float = 5e5
    """Per frame, through vacuum."""
    dwell_ms: float = 15.0
    detector: Detector = field(default_factory=lambda: Detector(64, 120.0, 0.0528))
    zone_plate: ZonePlate = field(default_factory=lambda: ZonePlate(240.0, 60.0, 0.3))
    defocus_um: float = 13.5
    """Makes the beam 2 NA dz = 0.39 um wide."""
    second_mode: float = 0.04
    """Share of the light in the second incoherent mode."""
    position_error_nm: float = 1.5
    """Of the positions that the file gives, rms and direction."""
    energy_offset_ev: tuple[float, float] = (0.02, 0.06)
    """Smaller than the stack's: the scan follows it, and its white line has been seen."""
    stage_offset_um: tuple[float, float] = (0.15, -0.10)
    """(y, x) by which the coordinates of this scan differ from those of the stack."""
    stage_offset_sd_um: float = 0.03
    map_pixel_nm: float = 10.0
    """Of the map of the truth."""


@dataclass(frozen=True)
class CampaignSize:
    """A campaign: electrodes x cycles x regions, each seen by STXM and in part by ptychography."""

    name: str
    n_electrodes: int = 3
    cycles: tuple[int, ...] = (1, 100)
    n_regions: int = 1
    c_rates: tuple[float, ...] = (1.0,)
    """Given to the electrodes in turn."""
    stxm: StxmSetup = field(default_factory=StxmSetup)
    ptychography: PtychographySetup = field(default_factory=PtychographySetup)
    powder: Powder = field(default_factory=Powder)
    pattern_shares: tuple[float, float, float] = (0.45, 0.25, 0.30)
    """Of solid-solution, core-shell and two-phase particles."""
    design: Design = field(default_factory=Design)
    """What makes it hard; nothing where it is the default."""

    @property
    def n_scans(self) -> int:
        """STXM stacks and ptychography scans together."""
        scans = 0
        for number in range(self.n_electrodes * len(self.cycles) * self.n_regions):
            for visit in self.design.visits:
                if number % visit.every == 0:
                    both = number % self.design.ptychography_every == 0
                    scans += sum(modality == "stxm" or both for modality in visit.modalities)
        return scans


SMALL = CampaignSize("small")
TINY = CampaignSize(
    "tiny",
    n_electrodes=2,
    cycles=(1,),
    stxm=StxmSetup(energy_ev=(700.0, 705.0, 706.6, 708.2, 709.2, 710.2, 712.6, 720.6), n_px=61, oversample=2),
    ptychography=PtychographySetup(
        energy_ev=(700.0, 708.2, 710.2), field_um=1.0, step_um=0.18, detector=Detector(32, 120.0, 0.0528)
    ),
    # Small and crowded, so that even a field of a micrometre holds something.
    powder=Powder(median_um=0.45, sigma_log=0.2, cover=0.2),
)
"""The smallest that goes through every stage: two electrodes, one cycle, both modalities, awkward sizes."""
MEDIUM = CampaignSize(
    "medium",
    n_electrodes=4,
    cycles=(1, 50, 100),
    n_regions=2,
    c_rates=(0.5, 2.0),
    stxm=StxmSetup(energy_ev=ENERGIES_40, n_px=256),
    ptychography=PtychographySetup(
        energy_ev=(700.0, 708.2, 710.2, 715.0), field_um=4.6, step_um=0.14, detector=Detector(96, 90.0, 0.0528)
    ),
)
LARGE = CampaignSize(
    "large",
    n_electrodes=12,
    cycles=(1, 50, 100, 200),
    n_regions=2,
    c_rates=(0.5, 2.0),
    stxm=StxmSetup(energy_ev=ENERGIES_40, n_px=384),
    ptychography=PtychographySetup(field_um=5.8, step_um=0.12, detector=Detector(128, 80.0, 0.0528)),
)

ENERGIES_35 = tuple(energy for energy in ENERGIES_40 if energy not in (701.5, 704.0, 713.4, 718.0, 721.2))
ENERGIES_10 = (700.0, 705.0, 707.2, 708.2, 709.2, 710.2, 711.6, 714.4, 718.0, 724.0)
ENERGIES_6 = (700.0, 706.6, 708.2, 709.3, 710.2, 715.0)
ENERGIES_3 = (700.0, 708.2, 710.2)
ENERGIES_2 = (708.2, 710.2)
"""Grids of an edge, from a whole one to the two white lines."""

HARD = CampaignSize(
    "hard",
    n_electrodes=6,
    cycles=(1, 100),
    n_regions=2,
    c_rates=(0.2, 1.0, 4.0),
    ptychography=PtychographySetup(energy_ev=(700.0, 708.2, 710.2, 715.0), field_um=2.6, step_um=0.15),
    powder=Powder(
        thickness_nm=135.0, thickness_sigma_log=0.35, thickness_limits_nm=(60.0, 400.0), cover=0.20, touching=0.25
    ),
    pattern_shares=(0.35, 0.25, 0.40),
    design=Design(
        active_at_1c=0.55,
        active_exponent=0.4,
        active_limits=(0.05, 0.98),
        neighbour_share=0.3,
        interior=Interior(length_um=0.15, spread=0.08, boundary_um=(0.01, 0.06), random_boundary=True),
        overlapping=0.06,
        edge_on=0.08,
        film_od=0.25,
        third_particles=0.10,
        third_mass=0.20,
        grain_um=0.35,
        grained=0.3,
        grain_soc_sd=0.05,
        cracked=0.20,
        visits=(Visit(), Visit(time_h=0.5, modalities=("stxm",), every=5)),
        ptychography_every=3,
        rate_per_h=0.3,
        autocatalysis=0.5,
        shear=0.01,
        row_drift_nm=60.0,
        row_jitter_nm=5.0,
        stage_error_um=0.3,
        beamtimes=2,
        beamtime_by="region",
        beamtime_sd=0.02,
        electrodes_per_cell=2,
        cell_sd=0.02,
        rate_by="cell",
        convenience=0.25,
        convenience_soc=0.04,
        energies_ev=(ENERGIES_35, ENERGIES_6, ENERGIES_10, ENERGIES_3, ENERGIES_35, ENERGIES_10, ENERGIES_2),
        counts=(3000.0, 1000.0, 100.0, 1000.0, 30.0),
    ),
)
"""What goes wrong at a beamline, all of it and in moderation: three cells of two electrodes, two beamtimes."""

SIZES: Table[Entry[CampaignSize]] = Table(
    "campaign size",
    {
        "small": Entry(f"{__name__}:SMALL"),
        "medium": Entry(f"{__name__}:MEDIUM"),
        "large": Entry(f"{__name__}:LARGE"),
        "hard": Entry(f"{__name__}:HARD"),
    },
)
"""Campaigns of a name that `stxmdist simulate --size` takes."""
