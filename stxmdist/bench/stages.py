"""What `stxmdist bench` measures: the hot kernels and the fit stage from store to store, beside their limits."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from storage.publication import Publication, PublishedScan
from stxmdist.arrays import F32, Array, MaskClass
from stxmdist.bench.ptychography import loop_times, speed_up
from stxmdist.bench.spectra import fit_timings
from stxmdist.campaign.manifest import Campaign, ClusterSpec, Scan
from stxmdist.cluster import cluster_of
from stxmdist.errors import InputError
from stxmdist.planning.grid import Grid
from stxmdist.planning.stages import STAGES
from stxmdist.planning.survey import Survey
from stxmdist.ptychography.engines.contract import ENGINES
from stxmdist.ptychography.kernels.fourier import fftw_available
from stxmdist.readers.recording import StxmRecording
from stxmdist.runner.run import RunRecord, run_stage
from stxmdist.runner.unit import StageReport
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.spectra.end_members.design_matrix import design_matrix
from stxmdist.stages import align

Row = dict[str, Any]

SCIPY_PIXELS = 20_000
"""The loop over pixels is timed on so many of them, evenly spread, and scaled up."""


def run_bench(what: str, *, workers: int = 2) -> list[Row]:
    """Rows of name, figure, unit, limit and remark; ``what`` is all, or one of ptychography, fit, stage and large.

    ``large``, ten million spectra, takes minutes and 8 GB of disk: it runs only where asked for by name.

    Raises
    ------
    InputError
        for another ``what``.
    """
    parts: dict[str, Callable[[], list[Row]]] = {
        "ptychography": bench_ptychography,
        "fit": bench_fit,
        "stage": lambda: bench_fit_stage(workers=workers),
        "large": lambda: bench_large(workers=workers),
    }
    if what != "all" and what not in parts:
        raise InputError(
            where="stxmdist bench",
            problem="there is no benchmark of this name",
            got=repr(what),
            wanted="one of all, " + ", ".join(parts),
            mend="Choose one of those",
        )
    chosen = [name for name in parts if name != "large"] if what == "all" else [what]
    return [row for name in chosen for row in parts[name]()]


THREADS_LIMIT = 1.0 / 1.7
"""An iteration on two threads over one on one thread."""


def bench_ptychography() -> list[Row]:
    """The engines' loops over their two Fourier transforms alone, one thread; and the gain of a second thread."""
    rows = []
    cases = [(frame_px, sub_pixel, "fftw") for frame_px in (128, 256) for sub_pixel in (False, True)]
    for engine, entry in ENGINES.items():
        for frame_px, sub_pixel, library in [*cases, (128, False, "scipy")]:
            if library == "fftw" and not fftw_available():
                continue
            times = loop_times(frame_px, engine=engine, sub_pixel=sub_pixel, library=library)
            limit = entry.loop_limit if library == "fftw" and not sub_pixel else None
            name = f"{engine} {frame_px} px, {library}{', sub-pixel positions' if sub_pixel else ''}"
            remark = f"{times.us_per_pattern:.0f} us a pattern, {times.us_two_transforms:.0f} us two FFTs"
            rows.append(_row(name, times.ratio, "x its FFTs", limit, remark))
    for engine, entry in ENGINES.items():
        if entry.steps_after == "pattern":  # one frame after the other: a second thread finds nothing to do
            continue
        for frame_px in (128, 256):
            gain = speed_up(engine, frame_px)
            name = f"{engine} {frame_px} px, two threads"
            rows.append(_row(name, 1.0 / gain, "x one thread's time", THREADS_LIMIT, f"{gain:.2f} times as fast"))
    return rows


FIT_LIMITS = {"nnls": 0.15, "poisson": 0.8}
"""Seconds for 100 energies of 512 x 512 pixels with covariance, two cores."""
FIT_ROUNDS = 5
"""The least of so many counts: what else the machine does only ever adds."""


def bench_fit() -> list[Row]:
    """The fitters on a stack of 100 x 512 x 512 on one thread and on two, beside scipy's nnls in a loop."""
    timings = fit_timings(np.random.default_rng(0), loop_pixels=SCIPY_PIXELS, threads=(1, 2), rounds=FIT_ROUNDS)
    rows = []
    for timing in timings:
        of = "" if timing.measured_pixels == timing.pixels else f", scaled up from {timing.measured_pixels} pixels"
        remark = f"{timing.spectra_per_second:.3g} spectra/s{of}, {timing.core_seconds:.3f} core-seconds"
        on = f"{timing.threads} thread" + ("s" if timing.threads > 1 else "")
        limit = FIT_LIMITS.get(timing.name) if timing.threads > 1 else None
        rows.append(_row(f"fit {timing.name}, 100 x 512 x 512, {on}", timing.seconds, "s", limit, remark))
    return rows


def bench_fit_stage(*, workers: int = 2, n_energy: int = 100, side_px: int = 512) -> list[Row]:
    """The fit stage from store to store, its workers warm, beside scipy's nnls in a loop over as many pixels."""
    report, seconds = _timed_fit(workers, n_energy, (side_px, side_px))
    loop = fit_timings(np.random.default_rng(0), n_energy, side_px, SCIPY_PIXELS)[-1]
    name = f"fit stage, store to store, {n_energy} x {side_px} x {side_px}, {workers} workers"
    remark = f"{report.units_run} units, {side_px**2 / seconds:.3g} spectra/s, {loop.seconds / seconds:.0f} x the loop"
    return [
        _row(name, seconds, "s", 4.0 if (n_energy, side_px) == (100, 512) else None, remark),
        _row(
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
        _row(name, seconds, "s", limits[0], remark),
        _row("largest worker of these", report.peak_rss_bytes / 1e6, "MB", limits[1], "resident, with all its code"),
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


def _fit(survey: Survey, client: Callable[[], Any]) -> StageReport:
    return run_stage(STAGES["fit"].load(), survey, survey.options["fit"], survey.store, RunRecord(0, {}), client=client)


def _row(name: str, figure: float, unit: str, limit: float | None, remark: str) -> Row:
    return {"benchmark": name, "figure": round(figure, 3), "unit": unit, "limit": limit, "remark": remark}


def _survey(folder: Path, n_energy: int, shape: tuple[int, int], rows_per_unit: int = 0) -> Survey:
    """A campaign of one made-up scan whose aligned stack is published."""
    energy_ev = np.linspace(700.0, 730.0, n_energy)
    y_um, x_um = (np.arange(side_px) * 0.05 for side_px in shape)
    scan = Scan(scan_id="bench", file=folder / "none", modality="stxm", electrode_id="none")
    campaign = Campaign(folder, "bench", folder / "store", folder / "none", "LFP", (scan,))
    options = {name: entry.load().options() for name, entry in STAGES.items()}
    options["fit"] = replace(options["fit"], rows_per_unit=rows_per_unit)
    recording = StxmRecording(
        source=folder / "none",
        format="made up",
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
    raise RuntimeError("the made-up scan has no file")


COUNTS = 1000.0
"""Photons of the made-up stack in an empty pixel."""


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
    values: dict[str, Any] = {
        "effective_counts": np.full(n, COUNTS),
        "shift_px": np.zeros((n, 2)),
        "shift_quality": np.ones(n),
        "mean_od": mean_od.mean(axis=0),
        "mean_od_variance": np.full(n, 1e-6),
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


__all__ = ["bench_fit", "bench_fit_stage", "bench_large", "bench_ptychography", "run_bench"]
