"""Nine tiles, one of them without light: the stitch goes on without it, its hole is masked, and no seam is seen."""

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from storage.store import Store
from stxmdist.arrays import Array
from stxmdist.planning.execute import RunRequest
from stxmdist.ptychography.geometry import split_tiles
from stxmdist.simulation.diffraction import Detector
from stxmdist.simulation.sizes import CampaignSize, PtychographySetup, StxmSetup
from tests.stages import variants

ENERGY_EV = (700.0, 708.2)
SCAN = "ptycho-E01-c001-r1"
SIZE = CampaignSize(
    "nine",
    n_electrodes=1,
    cycles=(1,),
    stxm=StxmSetup(energy_ev=(700.0, 708.2, 710.2), n_px=90, oversample=1),
    ptychography=PtychographySetup(
        energy_ev=ENERGY_EV, field_um=3.6, step_um=0.13, detector=Detector(48, 120.0, 0.0528)
    ),
    powder=variants.SIZE.powder,
)
HALO_UM = 0.35
MOST = 195
LONG = {
    "schedule": [{"engine": "raar", "iterations": 8}, {"engine": "lsqml", "iterations": 72}],
    "next_energy": [{"engine": "lsqml", "iterations": 60}],
}
"""Long enough that what is left is noise, not how far each tile has come."""
STAGES = ("ingest", "reconstruct", "stitch", "absorbance")
SEAM = 1.25
"""As in test_tiles: root mean square step across a border of tiles over that elsewhere."""
BAND_UM = 0.06
BEAM_UM = 0.39
"""Nothing is known so far inside the dark tile; so far outside it nothing is missing."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return variants.simulated(tmp_path_factory.mktemp("nine"), SIZE, seed=4)


def processed(folder: Path, name: str, positions: int) -> Store:
    options = {"reconstruct": {"positions_per_tile": positions, "halo_um": HALO_UM} | LONG}
    campaign = variants.variant(folder, name, options)
    return variants.processed(RunRequest(str(campaign), stages=STAGES, scans=(SCAN,), cluster="2"))


def read(store: Store, stage: str, name: str) -> Array:
    output = store.published_output(stage, SCAN)
    assert output is not None
    return output.read(name)


@pytest.fixture(scope="module")
def whole(folder: Path) -> Store:
    return processed(folder, "whole", 10_000)


@pytest.fixture(scope="module")
def nine(folder: Path) -> Store:
    return processed(folder, "nine", MOST)


@pytest.fixture(scope="module")
def dark(folder: Path, nine: Store, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Any]:
    """The same with the middle tile's frames dark, and that tile."""
    tiles = split_tiles(read(nine, "ingest", "positions_um")[0], most_positions=MOST, halo_um=HALO_UM)
    assert len(tiles) == 9
    tile = tiles[4]
    other = tmp_path_factory.mktemp("dark") / "campaign"
    shutil.copytree(folder, other, ignore=shutil.ignore_patterns("store-*"))
    (path,) = (other / "beamline").rglob(f"*{SCAN}*.cxi")
    with h5py.File(path, "r+") as file:
        for entry in ("entry_1", "entry_2"):
            frames = file[f"{entry}/instrument_1/detector_1/data"]
            for position in tile.positions:
                frames[position] = 0
    return processed(other, "dark", MOST), tile


@pytest.mark.slow
def test_nine_tiles_agree_with_the_whole_and_no_seam_is_seen(whole: Store, nine: Store) -> None:
    tiles = split_tiles(read(nine, "ingest", "positions_um")[0], most_positions=MOST, halo_um=HALO_UM)
    compare(whole, nine, borders(tiles))


@pytest.mark.slow
def test_a_dark_tile_leaves_a_hole_and_nothing_else(whole: Store, dark: tuple[Store, Any]) -> None:
    store, tile = dark
    verdicts = read(store, "reconstruct", "tile_verdict")
    assert verdicts.tolist() == [[0, 0, 0, 0, 2, 0, 0, 0, 0]] * 2
    y, x = (read(store, "absorbance", axis) for axis in ("y_um", "x_um"))
    y0, y1, x0, x1 = tile.core_um
    y0, y1, x0, x1 = y0 - HALO_UM, y1 + HALO_UM, x0 - HALO_UM, x1 + HALO_UM
    od = read(store, "absorbance", "optical_density")

    def box(margin: float) -> Array:
        return np.outer((y > y0 - margin) & (y < y1 + margin), (x > x0 - margin) & (x < x1 + margin))

    assert np.isnan(od[:, box(-BEAM_UM)]).all()
    light = read(whole, "stitch", "illumination_weight")
    usual = light > 0.3 * np.nanmedian(light, axis=(1, 2), keepdims=True)
    assert np.isfinite(od[usual & ~box(BEAM_UM)]).mean() > 0.99
    compare(whole, store, [], ~box(BEAM_UM))


def borders(tiles: list[Any]) -> list[tuple[int, float]]:
    """Axis (0 y, 1 x) and place in um of the lines between the cores of tiles."""
    cores = np.array([tile.core_um for tile in tiles])
    found = []
    for axis in (0, 1):
        lows = np.sort(cores[:, 2 * axis])
        starts = lows[np.r_[True, np.diff(lows) > 0.3]]
        found += [(axis, float(place)) for place in starts[1:]]
    assert len(found) == 4
    return found


def plane(image: Array) -> Array:
    """Offset and ramp of a phase, which ptychography leaves free."""
    rows, columns = np.indices(image.shape)
    terms = np.stack([np.ones(image.shape), rows, columns], axis=-1)
    known = np.isfinite(image)
    return np.asarray(terms @ np.linalg.lstsq(terms[known], image[known], rcond=None)[0])


def compare(whole: Store, cut: Store, lines: list[tuple[int, float]], where: Array | None = None) -> None:
    light = read(whole, "stitch", "illumination_weight")
    lit = light > 0.3 * np.nanmedian(light, axis=(1, 2), keepdims=True)
    halves = read(cut, "stitch", "object_a"), read(cut, "stitch", "object_b")
    sigmas = {  # of what was stitched
        "optical_density": np.sqrt(read(cut, "absorbance", "od_variance")),
        # Halves have twice the variance: the noise of all frames is half of their difference.
        "phase": np.abs(np.angle(halves[0] * np.conj(halves[1]))) / 2.0,
    }
    axes = [read(whole, "absorbance", axis) for axis in ("y_um", "x_um")]
    for name in ("optical_density", "phase"):
        difference = read(cut, "absorbance", name) - read(whole, "absorbance", name)
        if name == "phase":
            difference = np.angle(np.exp(1j * difference))
        for energy in range(len(ENERGY_EV)):
            known = lit[energy] & np.isfinite(difference[energy])
            if where is not None:
                known &= where
            image = np.where(known, difference[energy], np.nan)
            if name == "phase":
                image -= plane(image)
            rms = float(np.sqrt(np.nanmean(image**2)))
            noise = float(np.sqrt(np.nanmean(sigmas[name][energy][known] ** 2)))
            print(f"{name}, energy {energy}: rms difference {rms:.4f}, noise {noise:.4f}")
            assert rms < noise
            for axis, place_um in lines:
                apart = round(BAND_UM / (axes[axis][1] - axes[axis][0]))
                along = image if axis == 0 else image.T
                step = along[2 * apart :] - along[: -2 * apart]
                near = (np.abs(axes[axis] - place_um) < BAND_UM)[apart:-apart]
                steps, usual = (float(np.sqrt(np.nanmean(step[part] ** 2))) for part in (near, ~near))
                print(f"    axis {axis} at {place_um:.2f} um: step {steps / usual:.2f} of that elsewhere")
                assert steps < SEAM * usual
