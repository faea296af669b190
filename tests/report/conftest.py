"""A made-up store: two wide-field scans and one ptychography scan, every stage published, numbers invented."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from storage.columns import TABLES
from storage.publication import Publication, PublishedScan
from storage.store import Store
from storage.tables import write_data_dictionary, write_table
from stxmdist.arrays import MaskClass
from stxmdist.campaign.scan import COLUMNS, Scan
from stxmdist.measures import (
    AbsorbanceMeasures,
    AlignMeasures,
    FitMeasures,
    IngestMeasures,
    ReconstructFigures,
    RegisterMeasures,
    SegmentMeasures,
)
from stxmdist.planning.end_members import EndMemberSource
from stxmdist.planning.exclusions import Exclusion
from stxmdist.records import figures_of
from stxmdist.report.evidence import Evidence
from stxmdist.report.part import Options, ReportPart
from stxmdist.runner.unit import Estimate, Unit
from stxmdist.runner.writing import single_shard
from stxmdist.spectra.explore.contract import EXPLORERS
from stxmdist.stages.explore import specs_of
from stxmdist.stages.fit import Options as FitOptions

N_ENERGY, NY, NX = 5, 13, 17
"""Primes, so that no block divides an axis."""
ENERGY_EV = np.array([703.0, 706.5, 708.2, 710.2, 715.0])
SCANS = ("wide-1", "wide-2", "fine-1")
DIGEST = "0123456789abcdef"
PARTICLES = 24
N_TILES = 2 * N_ENERGY
"""Two tiles at each energy"""


def axes(scan_id: str) -> dict[str, Any]:
    """Coordinates; the fine field lies inside the wide one, and one of the wide ones runs downwards."""
    pixel = 0.01 if scan_id == "fine-1" else 0.05
    y = 3.0 + pixel * np.arange(NY)
    return {"y": (y[::-1] if scan_id == "wide-2" else y, "um"), "x": (-1.0 + pixel * np.arange(NX), "um")}


def arrays_of(stage: str, scan_id: str) -> dict[str, np.ndarray]:
    """Invented arrays of one output."""
    rng = np.random.default_rng([len(stage), SCANS.index(scan_id)])
    stack = (N_ENERGY, NY, NX)
    plane = stack[1:]
    wide = scan_id != "fine-1"
    classes = np.zeros(plane, np.uint8)
    classes[:4], classes[-3:, :5], classes[6, 6] = MaskClass.background, MaskClass.thick, MaskClass.poor_fit
    labels = np.zeros(plane, np.int32)
    labels[5:9, 3:8], labels[6:11, 10:15] = 1, 2
    ingest: dict[str, np.ndarray]
    if wide:
        ingest = {
            "counts": rng.poisson(900, stack).astype(np.float32),
            "frame_class": np.zeros(N_ENERGY, np.uint8),
            "dwell_ms": np.ones(N_ENERGY),
        }
    else:
        ingest = {
            "frames": rng.poisson(3, (N_ENERGY, 7, 11, 11)).astype(np.uint16),
            "frame_class": np.zeros((N_ENERGY, 7), np.uint8),
            "detector_mask": np.zeros((11, 11), np.uint8),
            "ceiling_counts": np.full(N_ENERGY, 65535.0, np.float32),
        }
    absorbance = {
        "optical_density": rng.normal(0.5, 0.2, stack).astype(np.float32),
        "i0_counts": np.linspace(900.0, 950.0, N_ENERGY),
        "i0_variance": np.full(N_ENERGY, 4.0),
    }
    if not wide:
        absorbance["phase"] = rng.normal(-0.2, 0.1, stack).astype(np.float32)
    return {
        "ingest": ingest,
        "reconstruct": {
            "error": np.geomspace(0.1, 0.02, 7, dtype=np.float32) * np.ones((N_ENERGY, 2, 7), np.float32),
            "frc": np.linspace(1.0, 0.0, 6, dtype=np.float32) * np.ones((N_ENERGY, 2, 6), np.float32),
        },
        "stitch": {"object": np.exp(1j * rng.normal(size=stack)).astype(np.complex64)},
        "absorbance": absorbance,
        "align": {
            "transmission": np.exp(-rng.normal(0.5, 0.2, stack)).astype(np.float32),
            "mean_od": np.array([0.3, 0.35, 0.9, 0.8, 0.4]),
            "mean_od_variance": np.full(N_ENERGY, 1e-5),
            "shift_px": rng.normal(size=(N_ENERGY, 2)),
            "energy_used": np.ones(N_ENERGY, np.uint8),
        },
        "explore": {
            "pca_eigenvalues": np.array([500.0, 20.0, 1.1, 1.0, 0.9]),
            "pca_spectra": np.linalg.qr(rng.normal(size=(N_ENERGY, 2)))[0].T.copy(),
            "pca_maps": rng.normal(size=(2, *plane)).astype(np.float32),
        },
        "fit": {
            "soc": np.where(classes == MaskClass.background, np.nan, rng.uniform(-0.1, 1.1, plane)).astype(np.float32),
            "soc_se": np.full(plane, 0.05, np.float32),
            "mask_class": classes,
        },
        "segment": {"labels": labels, "mask_class": classes},
        "register": {"soc_ptychography_on_stxm": np.full(plane, np.nan, np.float32)},
    }[stage]


FIGURES: dict[str, object] = {
    "ingest": IngestMeasures(
        frames=N_ENERGY, frames_valid=N_ENERGY, notes=("positions are taken as micrometres",), sha256={}
    ),
    "reconstruct": ReconstructFigures(
        tiles=2,
        pixel_nm=np.array([10.0, 10.0]),
        verdict=("good",) * N_TILES,
        reason=("",) * N_TILES,
        frames=(7,) * N_TILES,
        frames_left_out=(0,) * N_TILES,
        iterations=(7,) * N_TILES,
        stopped=("",) * N_TILES,
        schedule=("",) * N_TILES,
        start=("",) * N_TILES,
        orientation=("",) * N_TILES,
        residual=np.full(N_TILES, 0.02),
        shot_noise_residual=np.full(N_TILES, np.nan),
        held_out_residual=np.full(N_TILES, np.nan),
        static_residual=np.full(N_TILES, np.nan),
        overlap=np.full(N_TILES, np.nan),
        half_bit_half_period_px=np.tile([1.5, np.nan], N_ENERGY),
        one_bit_half_period_px=np.full(N_TILES, np.nan),
        counts_per_frame=np.full(N_TILES, np.nan),
        counts_per_photon=np.ones(N_TILES),
        offset_counts=np.zeros(N_TILES),
        readout_photons=np.zeros(N_TILES),
        photons_per_um2=np.full(N_TILES, np.nan),
        moved_px=np.full(N_TILES, np.nan),
        raster_px=(None,) * N_TILES,
        affine=(None,) * N_TILES,
        clipped_share=np.full(N_TILES, np.nan),
        held_share=np.full(N_TILES, np.nan),
        mode_power=(None,) * N_TILES,
        device=(None,) * N_TILES,
        notes=(),
        dose_mgy=np.full(N_ENERGY, np.nan),
    ),
    "absorbance": AbsorbanceMeasures(
        i0_counts=np.linspace(900.0, 950.0, N_ENERGY),
        noise_factor=np.ones(N_ENERGY),
        noise_correlation_px2=1.0,
        free_share=0.3,
        energies_measured=N_ENERGY,
        i0_relative_se=0.002,
    ),
    "align": AlignMeasures(
        largest_shift_px=1.25,
        frames_not_registered=1,
        energies_not_registered_ev=np.array([706.5]),
        shift_quality=0.8,
        outside_share=0.0,
        sample_pixels=100,
        noise_correlation_px2=1.0,
    ),
    # The record of explore is not declared yet.
    "explore": {
        "energies": N_ENERGY,
        "pca": {
            "components_suggested": 2,
            "components_above_noise": 3,
            "components_that_are_images": 2,
            "components_by_indicator": 2,
            "explained_share": [0.95, 0.99],
            "noise_edge": 1.05,
            "autocorrelation": [0.9, 0.7, 0.01, 0.0, 0.0],
        },
    },
    "fit": FitMeasures(
        energy_shift_ev=0.12,
        energy_shift_se_ev=0.01,
        energy_shift_note="",
        end_members="library",
        thickness_unit="nm",
        energies_used=N_ENERGY,
        energy_ev=ENERGY_EV,
        pixels_valid=100,
        pixels={"valid": 100, "thick": 10},
        chi2_reduced=1.1,
        r_factor=0.002,
        residual=np.array([0.001, -0.002, 0.003, -0.001, 0.0]),
        residual_se=np.full(N_ENERGY, 0.001),
    ),
    "segment": SegmentMeasures(
        particles=2,
        particles_at_border=0,
        cover=0.3,
        particles_with_soc=2,
        particles_without_soc={},
        pixels_of_field={"valid": 100, "thick": 10},
        pixels_of_particles={"valid": 40},
        psf_sigma_nm=25.0,
        soc_mean=0.5,
        thickness_unit="nm",
        soc_effect={},
        missing_component="two end-members are enough",
    ),
    "register": RegisterMeasures(
        stxm="wide-1",
        accepted=True,
        reason="registered",
        matrix_um=np.array([[1.0, 0.0, 0.01], [0.0, 1.0, 0.02]]),
        shift_um=np.array([0.01, 0.02]),
        rotation_deg=0.0,
        scale=1.0,
        error_um=0.004,
        correlation=0.9,
        pairs=2,
    ),
}
"""Stage to what it measured of any scan"""
OPTIONS: dict[str, object] = {"fit": FitOptions()}
STAGES_OF = {
    True: ("ingest", "absorbance", "align", "explore", "fit", "segment"),
    False: ("ingest", "reconstruct", "stitch", "absorbance", "align", "explore", "fit", "segment", "register"),
}


def scan_of(scan_id: str) -> Scan:
    """What the sample sheet says of a scan."""
    return Scan(
        scan_id=scan_id,
        files=(Path(f"/beamline/{scan_id}.hdr"),),
        modality="ptychography" if scan_id == "fine-1" else "stxm",
        electrode_id="E1" if scan_id != "wide-2" else "E2",
        region_id="r1",
        cycle=1.0 if scan_id != "wide-2" else 50.0,
        c_rate=0.5,
        direction="charge",
        soc_coulometric=0.5,
        chemistry="LFP",
        pair_id=None if scan_id == "wide-2" else "pair-1",
    )


def tables(n: int = PARTICLES) -> dict[str, pd.DataFrame]:
    """Invented tables of the campaign; ``n`` particles in each wide-field scan."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for scan_id in SCANS:
        scan = scan_of(scan_id)
        conditions = {name: getattr(scan, name) for name in COLUMNS if name not in ("exclude", "reason")}
        conditions["file"] = scan.cell
        for particle in range(n):
            numbers = {
                column.name: 1.0 for column in TABLES["particles"].columns if column.dtype == "float64"
            } | conditions
            rows.append(
                numbers
                | {
                    "particle_id": particle + 1,
                    "n_pixels": 40,
                    "d_eq_um": float(rng.lognormal(-0.6, 0.4)),
                    "soc_mean": float(rng.normal(0.5, 0.15)),
                    "soc_sd": float(rng.uniform(0, 0.3)),
                    "phase_class": "mixed",
                    "active": True,
                    "flags": "touches border" if particle == 0 else "",
                    "touches_border": particle == 0,
                }
            )
    electrodes = [
        {column.name: 0.3 for column in TABLES["electrodes"].columns if column.dtype == "float64"}
        | {"electrode_id": name, "cycle": cycle, "direction": "charge", "n_regions": 1, "n_particles": n}
        | {"soc_mean": 0.5, "soc_ci_low": 0.4, "soc_ci_high": 0.6, "note": "one region"}
        for name, cycle in (("E1", 1.0), ("E2", 50.0))
    ]
    effects = [
        {"endpoint": "soc_mean", "term": "cycle", "estimate": -0.0005, "se": 0.0001, "ci_low": low, "ci_high": high,
         "p": p, "method": method, "p_min_attainable": least, "q_fdr": np.nan, "n_electrodes": 3, "n_particles": 2 * n}
        for method, low, high, p, least in (
            ("t on electrode slopes", -0.001, 0.0002, 0.041, np.nan),
            ("exact sign flip of electrode slopes", np.nan, np.nan, 0.25, 0.25),
        )
    ]  # fmt: skip
    shares = {"electrode": 0.2, "region": np.nan, "particle": 0.3, "intra": 0.45, "noise": 0.05}
    variance = [
        {"endpoint": "soc_mean", "component": name, "variance": share, "share": share, "ci_low": 0.5 * share,
         "ci_high": min(1.0, 1.5 * share)}
        for name, share in shares.items()
    ]  # fmt: skip
    scans = [
        {"scan_id": scan_id, "stage": "fit", "state": "done", "units_done": 1, "units_failed": 0, "digest": DIGEST,
         "seconds": 1.0, "core_seconds": 1.0, "bytes": 1, "quality": json.dumps({})}
        for scan_id in SCANS
    ]  # fmt: skip
    cut = {
        "what": "particle",
        "scan_id": "wide-1",
        "stage": "infer",
        "where": "edge",
        "why": "cut <by> the edge",
        "n": 1,
    }
    return {
        "particles": _frame("particles", rows),
        "electrodes": _frame("electrodes", electrodes if n else []),
        "effects": _frame("effects", effects if n else []),
        "variance": _frame("variance", variance if n else []),
        "scans": _frame("scans", scans),
        "exclusions": _frame("exclusions", [cut] if n else []),
        "pairs": _frame("pairs", [_pair(i) for i in range(5)] if n else []),
    }


def _pair(i: int) -> dict[str, Any]:
    words = {"scan_id_stxm": "wide-1", "scan_id_ptychography": "fine-1"}
    ids = {"particle_id_stxm": i + 1, "particle_id_ptychography": i + 1}
    numbers = {c.name: 0.4 + 0.01 * i * len(c.name) % 0.3 for c in TABLES["pairs"].columns if c.dtype == "float64"}
    return numbers | words | ids


def _frame(name: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    columns = [column.name for column in TABLES[name].columns]
    if not rows:
        kinds = {"string": "object", "float64": "float64", "int64": "int64", "bool": "bool"}
        return pd.DataFrame({c.name: pd.Series(dtype=kinds[c.dtype]) for c in TABLES[name].columns})
    present = [column for column in columns if any(column in row for row in rows)]
    return pd.DataFrame(rows)[present]


EXPLORED = {spec.name: spec for entry in EXPLORERS.values() for spec in specs_of(entry)}


def fill(store: Store, stage: str, scan_id: str, change: Callable[[str, np.ndarray], np.ndarray]) -> None:
    """Write the invented arrays of one output."""
    output = store.output(stage, scan_id, DIGEST)
    values = {name: change(name, value) for name, value in arrays_of(stage, scan_id).items()}
    plans = []
    for name, value in values.items():
        plan = single_shard(name, value.shape, _coordinates(stage, scan_id, value.ndim))
        plans.append(replace(plan, dtype=value.dtype.name if name == "frames" else None, spec=EXPLORED.get(name)))
    output.declare(plans)
    owns = {name: [(0,) * value.ndim] for name, value in values.items()}
    for name, value in values.items():
        output.write("unit", owns, name, (0,) * value.ndim, value)


def _coordinates(stage: str, scan_id: str, ndim: int) -> dict[str, Any]:
    energy = {"energy": (ENERGY_EV, "eV")}
    if stage in ("fit", "segment", "register") or (stage == "explore" and ndim == 3):
        return axes(scan_id)
    if ndim == 3 and stage in ("ingest", "absorbance", "align", "stitch"):
        return energy | axes(scan_id)
    return energy if (stage, ndim) != ("ingest", 2) or scan_id != "fine-1" else {}


def publish(store: Store, stage: str, scans: tuple[str, ...]) -> None:
    """Make a stage visible."""
    store.publish(
        Publication(
            stage, 1, figures_of(OPTIONS.get(stage)), 3, "2026-01-02T03:04:05+00:00", {"python": "3.11"},
            {scan: PublishedScan(DIGEST, "done", figures_of(FIGURES.get(stage)), 1, core_seconds=1.5)
             for scan in scans},
        )
    )  # fmt: skip


def simulated_store(
    root: Path,
    *,
    stages: tuple[str, ...] | None = None,
    scans: tuple[str, ...] = SCANS,
    particles: int | None = PARTICLES,
    change: Callable[[str, np.ndarray], np.ndarray] = lambda name, value: value,
) -> Store:
    """A store with the stages and scans that are asked for; ``particles=None`` leaves inference out."""
    store = Store(root / "store").create()
    by_stage: dict[str, list[str]] = {}
    for scan_id in scans:
        for stage in STAGES_OF[scan_id != "fine-1"]:
            if stages is None or stage in stages:
                fill(store, stage, scan_id, change)
                by_stage.setdefault(stage, []).append(scan_id)
    for stage, names in by_stage.items():
        publish(store, stage, tuple(names))
    if particles is not None:
        output = store.output("infer", "campaign", DIGEST)
        folder = output.path / "tables"
        folder.mkdir(parents=True)
        for name, table in tables(particles).items():
            write_table(table, folder / f"{name}.parquet", name)
        write_data_dictionary(folder)
        publish(store, "infer", ("campaign",))
    return store


def part_of(store: Store, scans: tuple[str, ...] = SCANS) -> ReportPart:
    """What a unit of the report would carry."""
    published = {
        (stage, scan_id): scan.digest
        for stage in store.published_stages()
        for scan_id, scan in store.publication(stage).scans.items()  # type: ignore[union-attr]
    }
    why = "broken.hdr: the file is empty; got 0 bytes, wanted a header. Copy it again."
    return ReportPart(
        name="made-up",
        seed=3,
        scans=tuple(map(scan_of, scans)),
        exclusions=(Exclusion("scan", "broken", "ingest", "broken.hdr", why),),
        published=published,
        references={scan_id: EndMemberSource("LFP") for scan_id in scans},
        simulated=frozenset(scans),
        software={"numpy": "2"},
    )


def unit_of(store: Store, part: ReportPart, digest: str = "feedfacefeedface") -> Unit[Options, ReportPart]:
    """The unit of the report, its output declared as the runner does."""
    unit = Unit(
        "report", "campaign", "page", str(store.root), digest, "stxmdist.report.stage:work",
        Options(picture_px=60), Estimate(1, 1, 1.0), part,
    )  # fmt: skip
    unit.output().declare([])
    return unit


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The functions above, a whole made-up store, and its page drawn once."""
    from stxmdist.report.stage import work

    store = simulated_store(tmp_path_factory.mktemp("whole"))
    unit = unit_of(store, part_of(store))
    outcome = work(unit)
    folder = unit.output().path / "report"
    return SimpleNamespace(
        store=store,
        unit=unit,
        outcome=outcome,
        folder=folder,
        page=(folder / "index.html").read_text(),
        evidence=Evidence.of(unit),
        simulated_store=simulated_store,
        part_of=part_of,
        unit_of=unit_of,
        SCANS=SCANS,
        PARTICLES=PARTICLES,
    )
