"""Regions and campaigns with one thing planted, for tests of the hard design."""

from dataclasses import replace

import numpy as np

from stxmdist.simulation.design import Design
from stxmdist.simulation.diffraction import Detector
from stxmdist.simulation.experiment import field_centre_um, region_phantom
from stxmdist.simulation.phantom import Outline, Particle, Region, make_particle
from stxmdist.simulation.regions import RegionKey
from stxmdist.simulation.sizes import SMALL, CampaignSize, PtychographySetup, StxmSetup
from stxmdist.simulation.stxm import StxmModel, StxmNuisance, scan_axes

KEY = RegionKey(0, 1, 0)
TINY = replace(
    SMALL,
    name="tiny",
    n_electrodes=2,
    cycles=(1,),
    stxm=StxmSetup(energy_ev=(700.0, 708.2, 710.2), n_px=61),
    ptychography=PtychographySetup(
        energy_ev=(708.2, 710.2), field_um=1.1, step_um=0.22, detector=Detector(32, 120.0, 0.0528)
    ),
)


def sized(design: Design, **changes: object) -> CampaignSize:
    """The smallest campaign with a design."""
    return replace(TINY, design=design, **changes)


def region(design: Design, seed: int = 1, key: RegionKey = KEY, size: CampaignSize = SMALL) -> Region:
    """A region of the demo's size with a design."""
    return region_phantom(replace(size, design=design), seed, key)


def plate(**changes: float) -> Outline:
    """A plate of a micrometre at the origin."""
    values = {
        "y_um": 0.0, "x_um": 0.0, "diameter_um": 1.0, "aspect": 1.4, "angle_rad": 0.5, "exponent": 3.0,
        "thickness_nm": 100.0,
    }  # fmt: skip
    return Outline(**(values | changes))


def particle(**changes) -> Particle:
    """A particle of half charge at the origin."""
    values = {"outline": plate(), "pattern": "solid_solution", "soc_mean": 0.5}
    words = values | changes
    return make_particle(
        1, words.pop("outline"), words.pop("pattern"), words.pop("soc_mean"), np.random.default_rng(4), **words
    )


def image(phantom: Region, index: int = 1, **changes: object) -> np.ndarray:
    """Transmission (Y, X) of a phantom about the origin at one energy of ``TINY``."""
    energies = len(TINY.stxm.energy_ev)
    nuisance = replace(StxmNuisance(0.0, 0.0, np.zeros((energies, 2)), np.full(energies, 1e4)), **changes)
    axes = scan_axes((0.0, 0.0), TINY.stxm)
    model = StxmModel(phantom.thickness_nm, *axes, TINY.stxm, nuisance, phantom.components)
    return model.transmission(index)


def centre(seed: int = 1) -> tuple[float, float]:
    """Middle of the region ``KEY``."""
    return field_centre_um(seed, KEY)
