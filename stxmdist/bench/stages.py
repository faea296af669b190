"""What `stxmdist bench` measures: engines, fitters, stages, a scheduler, a bucket, beside their limits."""

from collections.abc import Callable
from difflib import get_close_matches

import numpy as np

from stxmdist.bench.fit_stage import SCIPY_PIXELS, bench_fit_stage, bench_large
from stxmdist.bench.ptychography import loop_times, speed_up
from stxmdist.bench.rows import Row, row_of
from stxmdist.bench.scale import bench_scale
from stxmdist.bench.scheduler import bench_scheduler
from stxmdist.bench.segment_stage import bench_segment
from stxmdist.bench.spectra import fit_timings
from stxmdist.bench.store import bench_store
from stxmdist.errors import InputError
from stxmdist.ptychography.engines.contract import ENGINES
from stxmdist.ptychography.kernels.fourier import fftw_available
from stxmdist.spectra.fitters.contract import FITTERS


def run_bench(
    what: str, *, workers: int = 2, store: str | None = None, note: Callable[[str], None] = lambda said: None
) -> list[Row]:
    """Rows of one benchmark, or of all but ``large``, ``scale``, ``scheduler`` and ``store``.

    ``store`` measures the bucket of this address. ``large`` fits ten million spectra, takes minutes and 8 GB of disk;
    ``scale`` has campaigns of up to 10,000 scans gone through, and takes hours and 12 GB; ``scheduler`` starts hundreds
    of workers: they run only where asked for by name. ``note`` takes a line of progress at a time.

    Raises
    ------
    InputError
        for another ``what``.
    """
    parts: dict[str, Callable[[], list[Row]]] = {
        "ptychography": bench_ptychography,
        "fit": bench_fit,
        "stage": lambda: bench_fit_stage(workers=workers),
        "segment": bench_segment,
        "scheduler": bench_scheduler,
        "large": lambda: bench_large(workers=workers),
        "store": lambda: bench_store(store),
        "scale": lambda: bench_scale(note=note),
    }
    if what != "all" and what not in parts:
        near = get_close_matches(what, parts, n=1)
        raise InputError(
            where="stxmdist bench",
            problem="there is no benchmark of this name",
            got=repr(what),
            wanted="one of all, " + ", ".join(parts),
            mend=f"Did you mean {near[0]!r}" if near else "Choose one of those",
        )
    by_name = ("large", "scale", "scheduler", "store")
    chosen = [name for name in parts if name not in by_name] if what == "all" else [what]
    return [row for name in chosen for row in parts[name]()]


THREADS_LIMIT = 1.0 / 1.8
"""An iteration on two threads over one on one thread."""


def bench_ptychography() -> list[Row]:
    """Time of an iteration of each engine: over its Fourier transforms on one thread, and on two threads over one."""
    rows = []
    cases = [(frame_px, sub_pixel, "fftw") for frame_px in (128, 256) for sub_pixel in (False, True)]
    for engine, entry in ENGINES.items():
        for frame_px, sub_pixel, library in [*cases, (128, False, "scipy")]:
            if library == "fftw" and not fftw_available():
                continue
            times = loop_times(frame_px, engine=engine, sub_pixel=sub_pixel, library=library)
            limit = entry.loop_limits.get((frame_px, sub_pixel)) if library == "fftw" else None
            name = f"{engine} {frame_px} px, {library}{', sub-pixel positions' if sub_pixel else ''}"
            remark = f"{times.us_per_pattern:.0f} us a pattern, {times.us_two_transforms:.0f} us two FFTs"
            rows.append(row_of(name, times.ratio, "x its FFTs", limit, remark))
    for engine, entry in ENGINES.items():
        if entry.steps_after == "pattern":  # one frame after the other: a second thread finds nothing to do
            continue
        for frame_px in (128, 256):
            gain = speed_up(engine, frame_px)
            name = f"{engine} {frame_px} px, two threads"
            rows.append(row_of(name, 1.0 / gain, "x one thread's time", THREADS_LIMIT, f"{gain:.2f} times as fast"))
    return rows


FIT_ROUNDS = 5
"""The shortest of so many counts: other work on the machine can only make one longer."""


def bench_fit() -> list[Row]:
    """The fitters on a stack of 100 x 512 x 512 on one thread and on two, beside scipy's nnls in a loop."""
    timings = fit_timings(np.random.default_rng(0), loop_pixels=SCIPY_PIXELS, threads=(1, 2), rounds=FIT_ROUNDS)
    rows = []
    for timing in timings:
        of = "" if timing.measured_pixels == timing.pixels else f", scaled up from {timing.measured_pixels} pixels"
        remark = f"{timing.spectra_per_second:.3g} spectra/s{of}, {timing.core_seconds:.3f} core-seconds"
        on = f"{timing.threads} thread" + ("s" if timing.threads > 1 else "")
        entry = FITTERS.get(timing.name)
        limit = entry.seconds_limit if entry is not None and timing.threads > 1 else None
        rows.append(row_of(f"fit {timing.name}, 100 x 512 x 512, {on}", timing.seconds, "s", limit, remark))
    return rows


__all__ = ["bench_fit", "bench_fit_stage", "bench_large", "bench_ptychography", "bench_segment", "run_bench"]
