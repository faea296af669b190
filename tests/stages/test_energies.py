"""A stack of twenty energies: spectra of particles from ptychography, each energy beginning where another ended."""

import json
from pathlib import Path

import numpy as np
import pytest
import zarr
from scipy import ndimage

from storage.store import Store
from stxmdist.arrays import Array
from stxmdist.measures import ReconstructMeasures
from stxmdist.planning.execute import RunRequest
from stxmdist.records import from_json
from stxmdist.runner.unit import receipts_of
from stxmdist.scoring.ptychography import on_grid
from stxmdist.simulation.chemistry import transmission
from stxmdist.simulation.diffraction import Detector
from stxmdist.simulation.sizes import CampaignSize, PtychographySetup, StxmSetup
from tests.stages import variants

SCAN = "ptycho-E01-c001-r1"
ENERGY_EV = (700.0, 703.0, 705.0, 706.0, 706.6, 707.2, 707.8, 708.2, 708.6, 709.2, 709.8, 710.2, 710.6, 711.2, 712.0,
             713.0, 715.0, 718.0, 720.6, 724.0)  # fmt: skip
SIZE = CampaignSize(
    "energies",
    n_electrodes=1,
    cycles=(1,),
    stxm=StxmSetup(energy_ev=(700.0, 708.2, 710.2), n_px=60, oversample=1),
    ptychography=PtychographySetup(
        energy_ev=ENERGY_EV, field_um=1.6, step_um=0.14, photons=1e6, detector=Detector(64, 120.0, 0.0528)
    ),
    powder=variants.SIZE.powder,
)
STAGES = ("ingest", "reconstruct", "stitch", "absorbance")
SPECTRUM_RMS = 0.02
"""Rms error of the optical density of particles against the truth, relative to it."""
SETTLED = 1.01
"""A reconstruction has converged where its error is within a hundredth of its last."""
DEEP_PX = 5
"""So far inside a particle the edge's resolution does not matter."""


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Store]:
    """The same frames, chained and not."""
    folder = variants.simulated(tmp_path_factory.mktemp("energies"), SIZE, seed=2)
    found = {}
    for chain in (True, False):
        campaign = variants.variant(folder, f"chain-{chain}", {"reconstruct": {"chain": chain}})
        found[chain] = variants.processed(RunRequest(str(campaign), stages=STAGES, scans=(SCAN,), cluster="2"))
    return found


def read(store: Store, stage: str, name: str) -> Array:
    output = store.published_output(stage, SCAN)
    assert output is not None
    return output.read(name)


@pytest.mark.slow
def test_spectra_of_particles_are_true(stores: dict[bool, Store], capsys: pytest.CaptureFixture[str]) -> None:
    store = stores[True]
    output = store.published_output("absorbance", SCAN)
    assert output is not None
    found = output.read("optical_density")
    axes = output.dataset()["y"].to_numpy(), output.dataset()["x"].to_numpy()
    root = Path(store.root).parent
    offset_ev = json.loads((root / "truth" / "nuisance.json").read_text())["scans"][SCAN]["energy_offset_ev"]
    maps = zarr.open_group(root / "truth" / "maps" / f"{SCAN}.zarr", mode="r")
    thickness = np.asarray(maps["thickness_nm"][:], float)
    places = tuple(np.asarray(maps[axis][:], float) for axis in "yx")
    true = []
    for energy in ENERGY_EV:
        exit_wave, inside = on_grid(transmission(thickness, energy + offset_ev), places, axes, np.zeros(2))
        true.append(np.where(inside, -2.0 * np.log(np.abs(exit_wave)), np.nan))
    planted = np.array(true)
    brightest = np.nanmax(planted, axis=0)
    solid = ndimage.binary_erosion(brightest > 0.5 * np.nanpercentile(brightest, 98), iterations=DEEP_PX)
    labels, count = ndimage.label(solid & np.isfinite(found).all(axis=0))
    errors = []
    for number in range(1, count + 1):
        particle = labels == number
        if particle.sum() >= 50:
            spectra = [image[:, particle].mean(axis=1) for image in (found, planted)]
            errors.append(np.sqrt(np.mean((spectra[0] - spectra[1]) ** 2)) / spectra[1].max())
    with capsys.disabled():
        print(f"\n{len(errors)} particles, rms of their spectra {np.max(errors):.4f} of the peak at most")
    assert len(errors) >= 2
    assert max(errors) <= SPECTRUM_RMS


@pytest.mark.slow
def test_chained_energies_converge_in_half_the_iterations(
    stores: dict[bool, Store], capsys: pytest.CaptureFixture[str]
) -> None:
    needed = {}
    residuals = {}
    for chain, store in stores.items():
        errors = read(store, "reconstruct", "error")[:, 0]
        counts = []
        for error in errors:
            known = error[np.isfinite(error)]
            counts.append(1 + int(np.argmax(known <= SETTLED * known[-1])))
        needed[chain] = counts
        output = store.published_output("reconstruct", SCAN)
        assert output is not None
        rows = [from_json(ReconstructMeasures, receipt.measures) for receipt in receipts_of(output).values()]
        residuals[chain] = {
            energy: tile.residual or float("nan")
            for row in rows
            for energy, tile in zip(row.energies, row.found, strict=True)
        }
    first = max(range(len(ENERGY_EV)), key=lambda energy: needed[True][energy])
    others = [energy for energy in range(len(ENERGY_EV)) if energy != first]
    chained, alone = (np.median([needed[chain][energy] for energy in others]) for chain in (True, False))
    worse = max(residuals[True][energy] / residuals[False][energy] for energy in others)
    with capsys.disabled():
        print(f"\niterations until settled: {chained:g} chained, {alone:g} alone; residual at most {worse:.3f} of it")
    assert chained <= 0.5 * alone
    # And it is no worse a place where they settle.
    assert worse <= 1.02


@pytest.mark.slow
def test_positions_of_the_file_are_kept_whatever_neighbours_found(stores: dict[bool, Store]) -> None:
    of_file, found = (
        read(stores[True], "reconstruct", name)[:, 0] for name in ("tile_start_positions_px", "tile_positions_px")
    )
    alone = read(stores[False], "reconstruct", "tile_start_positions_px")[:, 0]
    np.testing.assert_array_equal(of_file, alone)
    assert not np.array_equal(found, of_file)
