"""A ptychography scan of a part of a region: positions with their errors, the probe, and frame after frame."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import C128, F64
from stxmdist.simulation.chemistry import transmission
from stxmdist.simulation.cxi import CxiEntry
from stxmdist.simulation.diffraction import diffraction_frames, nominal_illumination, sample_object
from stxmdist.simulation.optics import probe, probe_modes
from stxmdist.simulation.phantom import Region
from stxmdist.simulation.sizes import PtychographySetup


@dataclass(frozen=True)
class PtychographyNuisance:
    """How a scan differs from what its file says."""

    energy_offset_ev: float
    """The photons had the file's energy plus this."""
    offset_um: tuple[float, float]
    """(y, x): coordinates of the file less those of the sample, that is of the STXM stack."""
    defocus_um: float
    blur_angle_rad: float
    """Direction in which the source is extended."""
    photons: F64
    """(ENERGY,) per frame, through vacuum"""


def draw_nuisance(setup: PtychographySetup, rng: np.random.Generator) -> PtychographyNuisance:
    """Energy offset, stage offset, defocus and flux of one scan."""
    energy = np.asarray(setup.energy_ev)
    offset = rng.uniform(*setup.energy_offset_ev) * (1.0 if rng.random() < 0.5 else -1.0)
    stage = np.asarray(setup.stage_offset_um) + rng.normal(0.0, setup.stage_offset_sd_um, 2)
    return PtychographyNuisance(
        energy_offset_ev=float(offset),
        offset_um=(float(stage[0]), float(stage[1])),
        defocus_um=float(setup.defocus_um * rng.uniform(0.96, 1.04)),
        blur_angle_rad=float(rng.uniform(0.0, np.pi)),
        photons=setup.photons * np.exp(np.cumsum(rng.normal(0.0, 0.01, energy.size))),
    )


def scan_positions(centre_um: tuple[float, float], setup: PtychographySetup, rng: np.random.Generator) -> F64:
    """Positions (POSITION, 2) of the beam on the sample, um: a raster, each point off by up to a quarter step."""
    side = round(setup.field_um / setup.step_um) + 1
    offsets = (np.arange(side) - (side - 1) / 2.0) * setup.step_um
    grid = np.stack(np.meshgrid(offsets, offsets, indexing="ij"), axis=-1).reshape(-1, 2)
    jitter = rng.uniform(-0.25, 0.25, grid.shape) * setup.step_um
    return np.asarray(np.asarray(centre_um) + grid + jitter, dtype=np.float64)


def entries(
    region: Region,
    positions_um: F64,
    setup: PtychographySetup,
    nuisance: PtychographyNuisance,
    generators: list[np.random.Generator],
    polarisation_deg: float | None = None,
    dichroism: float = 0.0,
) -> Iterator[CxiEntry]:
    """One entry per photon energy, its frames made while they are written.

    Parameters
    ----------
    positions_um
        (POSITION, 2), where the beam truly meets the sample; the file gets them in the stage's coordinates with errors
    generators
        one per energy
    polarisation_deg, dichroism
        of the light and of the particles' Fe edge, see ``chemistry.absorption_of``
    """
    n = setup.detector.n
    for index, nominal_ev in enumerate(setup.energy_ev):
        rng = generators[index]
        energy = nominal_ev + nuisance.energy_offset_ev
        # Every energy is a scan of its own, with other errors of the stage.
        wobble = rng.normal(0.0, setup.position_error_nm * 1e-3, positions_um.shape)
        true_um = positions_um + wobble

        def specimen(y_um: F64, x_um: F64, energy_ev: float = energy) -> C128:
            thickness = region.thickness_nm(y_um.ravel(), x_um.ravel())
            return transmission(thickness, energy_ev, region.components, polarisation_deg, dichroism)

        fine = sample_object(specimen, true_um, setup.detector, energy)
        wave = probe(2 * n, fine.pixel_um * 1e3, energy, setup.zone_plate, nuisance.defocus_um)
        modes = probe_modes(wave, setup.second_mode, nuisance.blur_angle_rad)
        photons = float(nuisance.photons[index])
        yield CxiEntry(
            energy_ev=nominal_ev,
            frames=diffraction_frames(fine, true_um, modes, photons, n, rng),
            n_frames=len(true_um),
            positions_um=positions_um + nuisance.offset_um,
            illumination=nominal_illumination(setup.detector, nominal_ev, setup.zone_plate, setup.defocus_um, photons),
        )
