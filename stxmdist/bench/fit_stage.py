"""The fit stage from store to store over a simulated stack: how long it takes, and how much memory its workers need."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from storage.publication import Publication, PublishedScan
from stxmdist.arrays import F32, Array, MaskClass
from stxmdist.bench.rows import Row, row_of
from stxmdist.bench.spectra import fit_timings
from stxmdist.campaign.manifest import Campaign, ClusterSpec, Scan
from stxmdist.cluster.start import cluster_of
from stxmdist.planning.grid import Grid
from stxmdist.planning.stages import STAGES
from stxmdist.planning.survey import Survey
from stxmdist.readers.recording import StxmRecording
from stxmdist.runner.run import ClientOf, RunRecord, run_stage
from stxmdist.runner.unit import StageReport
from stxmdist.spectra.density.particle_spectra import MOST_PARTICLES
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.spectra.end_members.design_matrix import design_matrix
from stxmdist.stages import align

SCIPY_PIXELS = 20_000
"""The loop over pixels is timed on so many of them, evenly spread, and scaled up."""


def bench_fit_stage(*, workers: int = 2, n_energy: int = 100, side_px: int = 512) -> list[Row]:
    """The fit stage from store to store, its workers warm, beside scipy's nnls in a loop over as many pixels."""
    report, seconds = _timed_fit(workers, n_energy, (side_px, side_px))
    loop = fit_timings(np.random.default_rng(0), n_energy, side_px, SCIPY_PIXELS)[-1]
    name = f"fit stage, store to store, {n_energy} x {side_px} x {side_px}, {workers} workers"
    remark = f"{report.units_run} units, {side_px**2 / seconds:.3g} spectra/s, {loop.seconds / seconds:.0f} x the loop"
    return [
        row_of(name, seconds, "s", 4.0 if (n_energy, side_px) == (100, 512) else None, remark),
        row_of(
            f"{loop.name} over the same pixels, coefficients only",
            loop.seconds,
            "s",
            None,
            f"scaled up from {loop.measured_pixels} pixels",
        ),
    ]


LARGE_PX = (3200, 3125)
"""Ten million pixels."""
LARGE_SECONDS = 60.0
LARGE_WORKER_MB = 1000.0


def bench_large(*, workers: int = 2, n_energy: int = 100, shape: tuple[int, int] = LARGE_PX) -> list[Row]:
    """The fit stage from store to store over ten million spectra: seconds, and the largest worker's resident memory."""
    report, seconds = _timed_fit(workers, n_energy, shape)
    pixels = shape[0] * shape[1]
    name = f"fit stage, store to store, {n_energy} x {shape[0]} x {shape[1]}, {workers} workers"
    remark = f"{report.units_run} units, {pixels / seconds:.3g} spectra/s"
    limits = (LARGE_SECONDS, LARGE_WORKER_MB) if (n_energy, shape) == (100, LARGE_PX) else (None, None)
    return [
        row_of(name, seconds, "s", limits[0], remark),
        row_of("largest worker of these", report.peak_rss_bytes / 1e6, "MB", limits[1], "resident, with all its code"),
    ]


def _timed_fit(workers: int, n_energy: int, shape: tuple[int, int]) -> tuple[StageReport, float]:
    with tempfile.TemporaryDirectory() as folder, cluster_of(ClusterSpec(workers=workers)) as cluster:
        # Many small units, so that every worker has loaded its code before the clock starts.
        warm = _survey(Path(folder) / "warm", n_energy, (64, 64), rows_per_unit=64 // (4 * workers))
        _fit(warm, cluster.client)
        survey = _survey(Path(folder) / "timed", n_energy, shape)
        began = time.perf_counter()
        report = _fit(survey, cluster.client)
        seconds = time.perf_counter() - began
    if report.refusals:
        raise RuntimeError(report.refusals[0].sentence)
    return report, seconds


def _fit(survey: Survey, client: ClientOf) -> StageReport:
    return run_stage(STAGES["fit"].load(), survey, survey.options["fit"], survey.store, RunRecord(0, {}), client=client)


def _survey(folder: Path, n_energy: int, shape: tuple[int, int], rows_per_unit: int = 0) -> Survey:
    """A campaign of one simulated scan whose aligned stack is published."""
    energy_ev = np.linspace(700.0, 730.0, n_energy)
    y_um, x_um = (np.arange(side_px, dtype=np.float64) * 0.05 for side_px in shape)
    scan = Scan(scan_id="bench", files=(folder / "none",), modality="stxm", electrode_id="none")
    campaign = Campaign(folder, "bench", folder / "store", folder / "none", "LFP", (scan,))
    options = {name: entry.load().options() for name, entry in STAGES.items()}
    options["fit"] = replace(options["fit"], rows_per_unit=rows_per_unit)
    recording = StxmRecording(
        source=folder / "none",
        format="simulated",
        region="",
        energy_ev=energy_ev,
        y_um=y_um,
        x_um=x_um,
        dwell_ms=np.ones(n_energy),
        ring_current_ma=np.full(n_energy, np.nan),
        frame_class=np.zeros(n_energy, np.uint8),
        read=_no_frame,
        files=(),
    )
    survey = replace(Survey(campaign, options, {"bench": recording}, (), STAGES), forecast=True)
    _write_aligned(survey, Grid(energy_ev, y_um, x_um))
    return survey


def _no_frame(index: int) -> F32:
    raise RuntimeError("the simulated scan has no file")


COUNTS = 1000.0
"""Photons of the simulated stack in an empty pixel."""


def _write_aligned(survey: Survey, grid: Grid) -> None:
    """Publish a stack of which half is particles, made and written shard by shard."""
    rng = np.random.default_rng(1)
    n, ny, nx = len(grid.energy_ev), grid.ny, grid.nx
    design = design_matrix(CHEMISTRIES["LFP"].load().end_members(), grid.energy_ev).astype(np.float32)
    store = survey.store.create()
    output = survey.output("align", "bench")
    arrays = align.arrays_of(grid)
    output.declare(arrays)

    def write(name: str, shard: tuple[int, ...], data: Array) -> None:
        output.write("scan", {name: (shard,)}, name, shard, np.ascontiguousarray(data))

    stack, *others = (plan.layout() for plan in arrays)
    mean_od = np.empty((0, n))
    for shard in stack.indices():
        rows = stack.region(shard)[1]
        transmission, inside = _transmission(rng, design, (len(range(*rows.indices(ny))), nx))
        write("transmission", shard, transmission)
        with np.errstate(invalid="ignore"):
            mean_od = np.vstack([mean_od, -np.log(np.maximum(transmission[:, inside], 1e-3)).mean(axis=1)])
    values: dict[str, Array] = {
        "effective_counts": np.full(n, COUNTS),
        "shift_px": np.zeros((n, 2)),
        "shift_quality": np.ones(n),
        "mean_od": mean_od.mean(axis=0),
        "mean_od_variance": np.full(n, 1e-6),
        "particle_od": np.full((MOST_PARTICLES, n), np.nan),
        "particle_od_variance": np.full((MOST_PARTICLES, n), np.nan),
        "i0_relative_variance": np.zeros(n),
        "energy_used": np.ones(n, np.uint8),
        "aligned_class": np.full((ny, nx), MaskClass.valid, np.uint8),
    }
    for plan, layout in zip(arrays[1:], others, strict=True):
        for shard in layout.indices():
            write(plan.name, shard, values[plan.name][layout.region(shard)])
    published = PublishedScan(digest=survey.digest("align", "bench"), state="done")
    store.publish(Publication("align", align.STAGE.version, {}, 0, "", {}, {"bench": published}))


def _transmission(rng: np.random.Generator, design: Array, shape: tuple[int, int]) -> tuple[Array, Array]:
    """Counted transmission (ENERGY, Y, X) float32, and where particles are."""
    total = np.where(rng.random(shape) < 0.5, 0.0, rng.uniform(50.0, 200.0, shape)).astype(np.float32)
    soc = rng.random(shape, np.float32)
    transmission = np.empty((len(design), *shape), np.float32)
    for energy, (discharged, charged) in enumerate(design):
        mean = np.exp(-total * ((1 - soc) * discharged + soc * charged))
        transmission[energy] = mean + np.sqrt(mean / np.float32(COUNTS)) * rng.standard_normal(shape, np.float32)
    return transmission, total > 0
