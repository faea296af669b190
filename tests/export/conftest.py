"""A made-up campaign: a wide-field scan, one whose axes run downward, and a ptychography scan of two tiles."""

import shutil
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from storage.columns import TABLES
from storage.layout import ArrayPlan
from storage.publication import Publication, PublishedScan
from storage.store import Store
from storage.tables import write_data_dictionary, write_table
from stxmdist.arrays import MaskClass
from stxmdist.export.write import Exported, export
from stxmdist.measures import IngestMeasures
from stxmdist.ptychography.tiling import Tiling, tiling_of
from stxmdist.records import figures_of
from stxmdist.runner import CAMPAIGN

N_ENERGY, NY, NX = 3, 13, 17
"""Primes: no pyramid level and no block divides an axis."""
N_TILE, N_MODE, NQ, N_POSITION, N_ITERATION = 2, 2, 7, 67, 5
CUT = {"positions_per_tile": 45, "halo_um": 0.3}
"""Cuts the positions into two tiles, with some in both."""
UNUSABLE = (1, 13)
"""Energy and position of a frame that is damaged."""
ENERGY_EV = np.array([703.0, 708.2, 710.2])
WIDE, DOWNWARD, FINE = "wide-1", "wide-2", "fine-1"
PIXEL_UM = {WIDE: (0.05, 0.04), DOWNWARD: (0.05, 0.05), FINE: (0.0122, 0.0122)}
FIRST_UM = (3.0, -1.0)
STAGES = ("ingest", "reconstruct", "stitch", "absorbance", "align", "fit", "segment")
UPSTREAM = {
    "reconstruct": ("ingest",),
    "stitch": ("reconstruct", "ingest"),
    "absorbance": ("ingest",),
    "align": ("absorbance",),
    "fit": ("align",),
    "segment": ("fit", "align"),
}
SHEET = """scan_id,file,modality,electrode_id,cell_id,beamtime_id,region_id,cycle,c_rate,direction,soc_nominal,\
soc_coulometric,chemistry,pair_id,roi_rule,exclude,reason
wide-1,wide-1.hdr,stxm,E1,C1,BT-7,r1,1,0.5,charge,0.5,0.48,LFP,,random,,
wide-2,wide-2.hdr,stxm,E2,C2,,r2,50,0.5,charge,0.5,0.51,LFP,,random,,
fine-1,fine-1.cxi,ptychography,E1,C1,BT-7,r1,1,0.5,charge,0.5,0.48,LFP,,random,,
"""


def digest_of(stage: str, scan_id: str) -> str:
    return f"{zlib.crc32(f'{stage}/{scan_id}'.encode()):016x}"


def axes(scan_id: str) -> dict[str, Any]:
    y, x = (first + pitch * np.arange(n) for first, pitch, n in zip(FIRST_UM, PIXEL_UM[scan_id], (NY, NX), strict=True))
    return {"y": (y[::-1] if scan_id == DOWNWARD else y, "um"), "x": (x, "um")}


def tiling() -> Tiling:
    """How the made-up ptychography scan is cut."""
    about = about_of("ingest", FINE, "frames")
    positions_um = arrays_of("ingest", FINE)["positions_um"]
    geometry = (about["distance_m"], tuple(about["detector_pixel_um"]), (NQ, NQ))
    most, halo = CUT["positions_per_tile"], CUT["halo_um"]
    return tiling_of(ENERGY_EV, positions_um, *geometry, most_positions=int(most), halo_um=halo)


def moves_px() -> np.ndarray:
    """How far refinement moved each position (ENERGY, TILE, POSITION, 2) (row, column), as each tile has it."""
    return np.random.default_rng(8).uniform(-3.0, 3.0, (N_ENERGY, N_TILE, N_POSITION, 2))


def positions_of_tiles() -> dict[str, np.ndarray]:
    """Positions before and after; of usable frames alone, as reconstruct leaves them."""
    cut = tiling()
    assert cut.n_tiles == N_TILE
    start = np.full((N_ENERGY, N_TILE, cut.most_positions, 2), np.nan)
    end = start.copy()
    for energy in range(N_ENERGY):
        for number, window in enumerate(cut.windows[energy]):
            used = np.array([(energy, int(position)) != UNUSABLE for position in window.tile.positions])
            start[energy, number, : used.sum()] = window.positions_px[used]
            moves = moves_px()[energy, number, window.tile.positions[used]]
            end[energy, number, : used.sum()] = window.positions_px[used] + moves
    return {"tile_start_positions_px": start, "tile_positions_px": end}


def arrays_of(stage: str, scan_id: str) -> dict[str, np.ndarray]:
    """Invented arrays of one output."""
    rng = np.random.default_rng([len(stage), len(scan_id)])
    stack = (N_ENERGY, NY, NX)
    plane = stack[1:]
    transmission = rng.uniform(0.05, 1.02, stack).astype(np.float32)
    transmission[:, :, -1] = np.nan
    transmission[0, 0, 0] = -0.01
    classes = np.zeros(plane, np.uint8)
    classes[:4], classes[-3:, :5], classes[:, -1] = MaskClass.background, MaskClass.thick, MaskClass.outside
    labels = np.zeros(plane, np.int32)
    labels[5:9, 3:8], labels[6:11, 10:15], labels[:, -1] = 1, 2, -1
    soc = np.where(classes == 0, rng.uniform(-0.1, 1.1, plane), np.nan).astype(np.float32)
    covariance = np.stack([np.full(plane, value, np.float32) for value in (4.0, -1.0, 9.0)])
    tiles = (N_ENERGY, N_TILE)

    def waves(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)

    if stage == "ingest" and scan_id == FINE:
        frame_class = np.full((N_ENERGY, N_POSITION), MaskClass.valid, np.uint8)
        frame_class[UNUSABLE] = MaskClass.saturated
        frames = rng.poisson(3, (N_ENERGY, N_POSITION, NQ, NQ)).astype(np.uint16)
        return {
            "frames": frames,
            "frame_counts": frames[..., ~np.eye(NQ, dtype=bool)].sum(axis=-1).astype(np.float64),
            "ceiling_counts": np.full(N_ENERGY, np.nan, np.float32),
            "positions_um": rng.uniform(-1, 1, (1, N_POSITION, 2)) + rng.normal(0, 0.01, (N_ENERGY, N_POSITION, 2)),
            "detector_mask": np.eye(NQ, dtype=np.uint8),
            "frame_class": frame_class,
        }
    lit = waves(*stack)
    lit[:, 0] = np.nan
    of_tiles = {}
    if stage == "reconstruct":
        largest = tiling().largest
        of_tiles = positions_of_tiles() | {
            "object_tile": waves(*tiles, *largest),
            "tile_illumination": rng.uniform(0.0, 9.0, (*tiles, *largest)).astype(np.float32),
            "tile_verdict": np.zeros(tiles, np.uint8),
        }
    error = np.geomspace(0.1, 0.02, N_ITERATION, dtype=np.float32) * np.array([1.0, 0.5], np.float32)[:, None]
    return {
        "ingest": {"counts": rng.poisson(900, stack).astype(np.float32), "dwell_ms": np.full(N_ENERGY, 2.0)},
        "reconstruct": {
            "probe": waves(*tiles, N_MODE, NQ, NQ),
            "error": np.broadcast_to(error, (N_ENERGY, *error.shape)).copy(),
            "frc": np.ones((*tiles, 6), np.float32),
            **of_tiles,
        },
        "stitch": {"object": lit},
        "absorbance": {"optical_density": -np.log(np.abs(transmission))},
        "align": {
            "transmission": transmission,
            "effective_counts": np.array([900.0, 800.0, 700.0]),
            "energy_used": np.array([1, 1, 0], np.uint8),
            **({"phase": rng.normal(0.0, 0.4, stack).astype(np.float32)} if scan_id == FINE else {}),
        },
        "fit": {
            "soc": soc,
            "soc_se": np.full(plane, 0.03, np.float32),
            "thickness_nm": rng.uniform(0, 300, (2, *plane)).astype(np.float32),
            "thickness_covariance": covariance,
            "chi2_reduced": rng.uniform(0.5, 4.0, plane).astype(np.float32),
            "mask_class": classes,
        },
        "segment": {"labels": labels, "mask_class": classes},
    }[stage]


def upright(scan_id: str, values: np.ndarray) -> np.ndarray:
    """Rows along +y."""
    return values[..., ::-1, :] if scan_id == DOWNWARD else values


def about_of(stage: str, scan_id: str, name: str) -> dict[str, Any]:
    if stage == "reconstruct" and name == "tile_positions_px":
        return CUT
    if stage != "ingest" or name not in ("counts", "frames"):
        return {}
    if scan_id == FINE:
        return {"start_time": "2026-10-12T09:15:00+02:00", "distance_m": 0.0528, "detector_pixel_um": [120.0, 100.0]}
    return {"start_time": "2026 October 12 08:00:00" if scan_id == WIDE else "yesterday", "lacks": ["dwell time"]}


def coordinates(stage: str, scan_id: str, name: str) -> dict[str, Any]:
    one_axis = ("dwell_ms", "effective_counts", "energy_used", "ceiling_counts")
    of_frames = ("frames", "positions_um", "frame_class", "frame_counts")
    if name in one_axis or stage == "reconstruct" or name in of_frames:
        return {"energy": (ENERGY_EV, "eV")}
    if name == "detector_mask":
        return {}
    stacks = ("counts", "object", "optical_density", "transmission", "phase")
    return axes(scan_id) | ({"energy": (ENERGY_EV, "eV")} if name in stacks else {})


def fill(store: Store, stage: str, scan_id: str, absent: int | None = None) -> None:
    """Write the invented arrays of one output; of the object, one energy may never have come about."""
    output = store.output(stage, scan_id, digest_of(stage, scan_id))
    values = arrays_of(stage, scan_id)
    plans = []
    for name, value in values.items():
        chunks = (1, *value.shape[1:]) if name == "object" else value.shape
        plans.append(
            ArrayPlan(
                name, value.shape, chunks, None, coordinates(stage, scan_id, name), about_of(stage, scan_id, name),
                dtype=value.dtype.name,
            )
        )  # fmt: skip
    output.declare(plans)
    for name, value in values.items():
        shards = [(0,) * value.ndim] if name != "object" else [(e, 0, 0) for e in range(N_ENERGY) if e != absent]
        for shard in shards:
            part = value[[shard[0]]] if name == "object" else value
            output.write("unit", {name: shards}, name, shard, part)
    if stage == "segment":
        write_table(particles(scan_id), output.path / "particles.parquet", "particles")


def particles(scan_id: str) -> pd.DataFrame:
    """Two rows, with words that need quotes and a number that no short decimal says."""
    kinds = {"string": 'a, "b"', "float64": 0.1 + 0.2, "int64": 7, "bool": True}
    rows = [
        {column.name: kinds[column.dtype] for column in TABLES["particles"].columns}
        | {"scan_id": scan_id, "particle_id": number, "soc_mean": 0.1 * number, "thickness_nm": np.nan}
        for number in (1, 2)
    ]
    return pd.DataFrame(rows)


def publish(store: Store, stage: str, scans: dict[str, PublishedScan]) -> None:
    software = {"python": "3.11", "stxmdist": "0.1.0"}
    store.publish(Publication(stage, 4, {"simulated_store": True}, 3, "2026-01-02T03:04:05+00:00", software, scans))


@dataclass(frozen=True)
class MadeUp:
    """A campaign on disk, every stage published."""

    folder: Path

    @property
    def campaign(self) -> Path:
        return self.folder / "campaign.yaml"

    @property
    def store(self) -> Store:
        return Store(self.folder / "store")

    def export(self, to: str, out: Path, **how: Any) -> Exported:
        return export(self.campaign, to, out=out, **how)

    def change(self, stage: str, scan_id: str, **fields: Any) -> None:
        """Publish a scan's output of a stage otherwise; without fields, take it out."""
        old = self.store.publication(stage)
        assert old is not None
        scans = dict(old.scans)
        if fields:
            scans[scan_id] = replace(scans[scan_id], **fields)
        else:
            del scans[scan_id]
        publish(self.store, stage, scans)


def simulated_store(folder: Path, absent: int | None = None) -> MadeUp:
    """Write campaign, sheet and store."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "campaign.yaml").write_text(
        "name: made-up\nstore: store\nsamples: samples.csv\nchemistry: LFP\nseed: 3\n", encoding="utf-8"
    )
    (folder / "samples.csv").write_text(SHEET, encoding="utf-8")
    for row in SHEET.splitlines()[1:]:
        (folder / row.split(",")[1]).touch()
    store = Store(folder / "store").create()
    for stage in STAGES:
        scans = {}
        for scan_id in (WIDE, DOWNWARD, FINE):
            if stage in ("reconstruct", "stitch") and scan_id != FINE:
                continue
            fill(store, stage, scan_id, absent)
            inputs = {f"{up}/{scan_id}": digest_of(up, scan_id) for up in UPSTREAM.get(stage, ())}
            ingested = IngestMeasures(N_ENERGY, N_ENERGY, ("units were guessed",), {f"{scan_id}.hdr": "ab12"})
            quality = figures_of(ingested if stage == "ingest" else None)
            scans[scan_id] = PublishedScan(digest_of(stage, scan_id), "done", quality, 1, inputs=inputs)
        publish(store, stage, scans)
    output = store.output("infer", CAMPAIGN, digest_of("infer", CAMPAIGN))
    tables = output.path / "tables"
    tables.mkdir(parents=True)
    both = pd.concat([particles(WIDE), particles(DOWNWARD)], ignore_index=True)
    write_table(both, tables / "particles.parquet", "particles")
    variance = {"endpoint": ["soc_mean"], "component": ["noise"], "variance": [0.1], "share": [1.0]}
    write_table(pd.DataFrame(variance | {"ci_low": [np.nan], "ci_high": [np.nan]}), tables / "variance.parquet",
                "variance")  # fmt: skip
    write_data_dictionary(tables)
    inputs = {f"segment/{scan_id}": digest_of("segment", scan_id) for scan_id in (WIDE, DOWNWARD, FINE)}
    publish(store, "infer", {CAMPAIGN: PublishedScan(output.digest, "done", inputs=inputs)})
    report = store.output("report", CAMPAIGN, digest_of("report", CAMPAIGN))
    (report.path / "report/figures").mkdir(parents=True)
    (report.path / "report/index.html").write_text("<!doctype html><title>made-up</title>")
    (report.path / "report/figures/sizes.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    inputs = {f"infer/{CAMPAIGN}": output.digest}
    publish(store, "report", {CAMPAIGN: PublishedScan(report.digest, "done", inputs=inputs)})
    return MadeUp(folder)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> MadeUp:
    """A campaign in which nothing lacks; not to be changed."""
    return simulated_store(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="session")
def partly_reconstructed(tmp_path_factory: pytest.TempPathFactory) -> MadeUp:
    """The same, but the ptychography lacks the second energy; not to be changed."""
    return simulated_store(tmp_path_factory.mktemp("partly"), absent=1)


@pytest.fixture
def torn(partly_reconstructed: MadeUp, tmp_path: Path) -> MadeUp:
    """A copy of its own for each test, to take things from."""
    return MadeUp(shutil.copytree(partly_reconstructed.folder, tmp_path / "torn"))


@pytest.fixture(scope="session")
def bench() -> SimpleNamespace:
    """What was invented, for comparison."""
    return SimpleNamespace(
        arrays_of=arrays_of, upright=upright, digest_of=digest_of, ENERGY_EV=ENERGY_EV, PIXEL_UM=PIXEL_UM,
        tiling=tiling, moves_px=moves_px, UNUSABLE=UNUSABLE, FIRST_UM=FIRST_UM, NY=NY, NX=NX, WIDE=WIDE,
        DOWNWARD=DOWNWARD, FINE=FINE, axes=axes,
    )  # fmt: skip
