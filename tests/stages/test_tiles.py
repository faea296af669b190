"""A ptychography scan cut into other tiles: the same chemistry within the stated errors, and no seam."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial import cKDTree

from storage.store import Store
from storage.tables import read_table
from stxmdist.arrays import Array
from stxmdist.planning.execute import RunRequest
from stxmdist.ptychography.geometry import Tile, split_tiles
from stxmdist.simulation.diffraction import Detector
from stxmdist.simulation.sizes import CampaignSize, PtychographySetup, StxmSetup
from tests.stages import variants

ENERGY_EV = (700.0, 708.2, 710.2)
SIZE = CampaignSize(
    "tiles",
    n_electrodes=1,
    cycles=(1,),
    stxm=StxmSetup(energy_ev=ENERGY_EV, n_px=72),
    # 324 positions.
    ptychography=PtychographySetup(
        energy_ev=ENERGY_EV, field_um=2.6, step_um=0.15, detector=Detector(48, 120.0, 0.0528)
    ),
    powder=variants.SIZE.powder,
)
SCAN = "ptycho-E01-c001-r1"
STAGES = ("ingest", "reconstruct", "stitch", "absorbance", "align", "fit", "segment")
WHOLE = 1000
HALO_UM = 0.5
TILES = {2: 250, 4: 150}
"""Number of tiles to positions in the fullest of them, halo included."""

SAME_PLACE_UM = 0.05
SOC_ERRORS = ("soc_se", "soc_se_stat")
SOC_RMS = 0.02
"""What ptychography may differ from the truth: measured 0.009 to 0.014 between tilings."""
WITHIN_SIGMA = 0.9
"""Share of pixels whose optical density differs by less than its standard deviation. The frames are the same, so far
more than two thirds: measured 0.94 to 0.98."""
SEAM = 1.25
"""Root mean square step across a tile's border over that elsewhere: measured 0.5 to 1.14, and up to 1.4 when tiles
faded out by their illumination alone."""
BAND_UM = 0.06
"""Half the distance over which a step is taken: about what the illumination takes to fall."""


@pytest.fixture(scope="module")
def processed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Store]:
    """The scan in tiles of at most so many positions, as a store."""
    folder = variants.simulated(tmp_path_factory.mktemp("campaign"), SIZE, seed=7)
    stores: dict[int, Store] = {}

    def of(positions: int) -> Store:
        if positions not in stores:
            options = {"reconstruct": {"positions_per_tile": positions, "halo_um": HALO_UM}}
            campaign = variants.variant(folder, f"tiles-{positions}", options)
            stores[positions] = variants.processed(
                RunRequest(str(campaign), stages=STAGES, scans=(SCAN,), cluster="inline")
            )
        return stores[positions]

    return of


def read(store: Store, stage: str, name: str) -> Array:
    output = store.published_output(stage, SCAN)
    assert output is not None
    return output.read(name)


@pytest.mark.slow
@pytest.mark.parametrize("n_tiles", [2, 4])
def test_all_tiles_begin_with_the_same_beam(processed: Callable[[int], Store], n_tiles: int) -> None:
    publication = processed(TILES[n_tiles]).publication("reconstruct")
    assert publication is not None
    # At one energy after the other, tile by tile.
    starts = publication.scans[SCAN].quality["start"]
    assert len(starts) == n_tiles * len(ENERGY_EV)
    seeded = [start for start in starts if start != "neighbour"]
    assert len(seeded) == n_tiles
    assert len(set(seeded)) == 1
    assert seeded[0].startswith("seed of tile")
    whole = processed(WHOLE).publication("reconstruct")
    assert whole is not None
    assert not any(start.startswith("seed") for start in whole.scans[SCAN].quality["start"])


def tiles_of(store: Store, positions: int) -> list[Tile]:
    return split_tiles(read(store, "ingest", "positions_um")[0], most_positions=positions, halo_um=HALO_UM)


@pytest.fixture(params=[pytest.param(2, marks=pytest.mark.slow), 4], ids="{} tiles".format)
def pair(request: pytest.FixtureRequest, processed: Callable[[int], Store]) -> tuple[Store, Store, list[Tile]]:
    """The whole scan at once, the same in tiles, and those."""
    positions = TILES[request.param]
    whole, cut = processed(WHOLE), processed(positions)
    tiles = tiles_of(cut, positions)
    assert len(tiles) == request.param
    assert len(tiles_of(whole, WHOLE)) == 1
    return whole, cut, tiles


def lit(store: Store) -> Array:
    """Pixels (ENERGY, Y, X) in usual light."""
    light = read(store, "stitch", "illumination_weight")
    return light > 0.3 * np.nanmedian(light, axis=(1, 2), keepdims=True)


def test_an_output_says_which_positions_the_rows_of_its_tiles_belong_to(pair: tuple[Store, Store, list[Tile]]) -> None:
    _, cut, tiles = pair
    output, publication = cut.published_output("reconstruct", SCAN), cut.publication("reconstruct")
    assert output is not None
    assert publication is not None
    said = output.attrs("tile_positions_px")
    positions_um = read(cut, "ingest", "positions_um")[0]
    again = split_tiles(positions_um, most_positions=said["positions_per_tile"], halo_um=said["halo_um"])
    assert [tile.core_um for tile in again] == [tile.core_um for tile in tiles]
    pixel_um = np.array(publication.scans[SCAN].quality["pixel_nm"]) * 1e-3
    start = read(cut, "reconstruct", "tile_start_positions_px")[0]
    for tile in again:
        rows = start[tile.index, : len(tile.positions)]
        places = positions_um[tile.positions]
        np.testing.assert_allclose((rows - rows[0]) * pixel_um, places - places[0], atol=1e-9)
        assert np.isnan(start[tile.index, len(tile.positions) :]).all()


def test_states_of_charge_agree_within_their_errors(pair: tuple[Store, Store, list[Tile]]) -> None:
    whole, cut, _ = pair
    outputs = [store.published_output("segment", SCAN) for store in (whole, cut)]
    one, other = (read_table(output.path / "particles.parquet") for output in outputs if output is not None)
    assert len(one) == len(other) >= 8
    places = ["y_um", "x_um"]
    distance_um, partner = cKDTree(other[places]).query(one[places])
    assert distance_um.max() < SAME_PLACE_UM
    assert len(set(partner)) == len(one)
    other = other.iloc[partner].reset_index(drop=True)
    difference = (other["soc_mean"] - one["soc_mean"]).abs()
    rms = float(np.sqrt((difference**2).mean()))
    # Of the whole error both share the most: what is left must also be small by itself.
    within = {name: float((difference < 2.0 * np.hypot(one[name], other[name])).mean()) for name in SOC_ERRORS}
    print(f"{len(one)} particles, rms difference {rms:.4f}; within twice their errors: {within}")
    assert within["soc_se"] >= 0.95
    assert rms < SOC_RMS


def test_optical_densities_agree_within_their_errors(pair: tuple[Store, Store, list[Tile]]) -> None:
    whole, cut, _ = pair
    difference = read(cut, "absorbance", "optical_density") - read(whole, "absorbance", "optical_density")
    sigma = np.sqrt(read(whole, "absorbance", "od_variance"))
    for energy, here in enumerate(lit(whole)):
        known = here & np.isfinite(difference[energy])
        share = float((np.abs(difference[energy]) < sigma[energy])[known].mean())
        rms, typical = np.sqrt((difference[energy][known] ** 2).mean()), np.median(sigma[energy][known])
        print(f"energy {energy}: rms {rms:.4f}, sigma {typical:.4f}, {share:.1%} of {known.sum()} pixels within sigma")
        assert known.sum() > 0.8 * here.sum()
        assert share > WITHIN_SIGMA
        assert rms < typical


@pytest.mark.parametrize("name", ["optical_density", "phase"])
def test_no_seam_is_seen(pair: tuple[Store, Store, list[Tile]], name: str) -> None:
    whole, cut, tiles = pair
    difference = read(cut, "absorbance", name) - read(whole, "absorbance", name)
    if name == "phase":
        difference = np.angle(np.exp(1j * difference))
    sigma = np.sqrt(np.nanmedian(read(whole, "absorbance", "od_variance"), axis=(1, 2)))
    axes = [read(whole, "absorbance", axis) for axis in ("y_um", "x_um")]
    for energy, here in enumerate(lit(whole)):
        image = np.where(here, difference[energy], np.nan)
        for where in ("between cores", "where halos end"):
            at, elsewhere, differing = [], [], []
            for axis, place_um in borders(tiles, where):
                apart = round(BAND_UM / (axes[axis][1] - axes[axis][0]))
                along = image if axis == 0 else image.T
                # What would be seen is a step: slow waves, which any two reconstructions differ by, are none.
                step = along[2 * apart :] - along[: -2 * apart]
                near = np.abs(axes[axis] - place_um) < BAND_UM
                at.append(step[near[apart:-apart]])
                elsewhere.append(step[~near[apart:-apart]])
                differing.append(along[near])
            steps, usual, rms = (root_mean_square(parts) for parts in (at, elsewhere, differing))
            print(
                f"{name}, energy {energy}, {where}: step {steps:.4f}, elsewhere {usual:.4f} ({steps / usual:.2f}); "
                f"difference {rms:.4f}, sigma {sigma[energy]:.4f}"
            )
            assert steps < SEAM * usual
            assert rms < sigma[energy]


def root_mean_square(parts: list[Array]) -> float:
    return float(np.sqrt(np.nanmean(np.concatenate([part.ravel() for part in parts]) ** 2)))


def borders(tiles: list[Tile], where: str) -> list[tuple[int, float]]:
    """Axis (0 y, 1 x) and place in um of the lines between the cores of tiles, or of those where their halos end."""
    cores = np.array([tile.core_um for tile in tiles])
    found = []
    for axis in (0, 1):
        lows, highs = cores[:, 2 * axis], cores[:, 2 * axis + 1]
        middle = 0.5 * (lows.min() + highs.max())
        if (lows > middle - 0.25 * (highs.max() - lows.min())).any():
            # Two columns or rows of tiles: positions jitter, so that their cores end in a fringe.
            shifts = (0.0,) if where == "between cores" else (-HALO_UM, HALO_UM)
            found += [(axis, middle + shift) for shift in shifts]
    assert found
    return found
