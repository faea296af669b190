"""What happens on a worker: run one unit, measure what it took, leave its marker."""

import ctypes
import os
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, cast

from threadpoolctl import threadpool_limits

from stxmdist.campaign.places import with_places_here
from stxmdist.errors import Explained
from stxmdist.logs import about, log, set_up
from stxmdist.records import figures_of
from stxmdist.registry import located
from stxmdist.runner.unit import AnyUnit, Receipt, Refusal


@dataclass(frozen=True)
class Outcome:
    """What a work function returns."""

    measures: object
    """What it measured: a record of the stage's kind"""
    files: Mapping[str, str]
    """What it wrote: path below the output's folder to sha256"""


Work: TypeAlias = Callable[[AnyUnit], Outcome]


_THREADS: ContextVar[int] = ContextVar("threads", default=1)


def threads_lent() -> int:
    """Cores that the unit being computed may use at once: more than one where there are fewer units than cores."""
    return _THREADS.get()


def perform(unit: AnyUnit, threads: int = 1) -> Receipt | Refusal:
    """Compute one unit and mark it done; an explained error is a result, any other is raised so that it is retried."""
    set_up()
    with about(campaign=unit.campaign, stage=unit.stage, scan=unit.scan_id, unit=unit.name):
        outcome = _performed(with_places_here(unit), threads)
        if isinstance(outcome, Refusal):
            log.warning("refused: %s", outcome.sentence)
        return outcome


def _performed(unit: AnyUnit, threads: int) -> Receipt | Refusal:
    written = unit.output().receipt(unit.name)
    before = None if written is None else Receipt.from_dict(written)
    if before is not None:
        # A worker died after it had finished the unit, and before it could report that to Dask.
        return before
    work = cast(Work, located(unit.work))
    _THREADS.set(threads)
    _forget_peak_rss()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        # BLAS rounds differently with another number of threads, and here other workers have the other cores.
        with threadpool_limits(1):
            outcome = work(unit)
    except Explained as error:
        return refusal_of(unit, error)
    except Exception:
        # Dask tries it again, and says nothing of the first times.
        log.warning("failed", exc_info=True)
        raise
    receipt = Receipt(
        scan_id=unit.scan_id,
        unit=unit.name,
        measures=figures_of(outcome.measures),
        files=outcome.files,
        seconds=time.perf_counter() - wall,
        core_seconds=time.process_time() - cpu,
        peak_rss_bytes=peak_rss_bytes(),
    )
    unit.output().mark(unit.name, receipt.as_dict())
    log.info(
        "done",
        extra={
            "seconds": round(receipt.seconds, 3),
            "core_seconds": round(receipt.core_seconds, 3),
            "peak_rss_bytes": receipt.peak_rss_bytes,
        },
    )
    _give_back_memory()
    return receipt


def refusal_of(unit: AnyUnit, error: BaseException, traceback: str = "", last_words: str = "") -> Refusal:
    """An error in the form that is kept beside the output and shown to a person, with what its worker said last."""
    if isinstance(error, Explained):
        return Refusal(unit.scan_id, unit.name, **error.as_dict())
    return Refusal(
        scan_id=unit.scan_id,
        unit=unit.name,
        where=f"{unit.stage} of {unit.scan_id}, unit {unit.name}",
        problem="the computation failed" if not _killed(error) else "the worker died while it ran this unit",
        got=f"{type(error).__name__}: {str(error)[:300]}" + (f" ({last_words})" if last_words else ""),
        wanted="a result"
        if not _killed(error)
        else f"at most about {unit.estimate.peak_bytes / 1e6:.0f} MB for arrays",
        mend="Run `stxmdist retry`; if it fails again, report it with the traceback kept in the store"
        if not _killed(error)
        else "Give the workers more memory (cluster: memory_limit), then run `stxmdist retry`",
        traceback=traceback,
    )


def _killed(error: BaseException) -> bool:
    return type(error).__name__ in {"KilledWorker", "NannyTerminated"}


def peak_rss_bytes() -> int:
    """Highest resident memory of this process since `_forget_peak_rss`, from the kernel's own account."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    unit = 1 if os.uname().sysname == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _give_back_memory() -> None:
    # The C library keeps what arrays have freed; a worker that goes through all stages would only ever grow.
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        return


def _forget_peak_rss() -> None:
    # Linux resets the high-water mark when 5 is written here; elsewhere the mark is of the whole process, which is
    # an over-estimate and therefore safe.
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return
