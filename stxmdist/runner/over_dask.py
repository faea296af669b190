"""Units over Dask: few futures in flight, each released as soon as it is on disk."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias
from uuid import uuid4

from stxmdist.errors import BrokenOffError
from stxmdist.runner.lanes import Beyond, Lane, Worker, lanes_of
from stxmdist.runner.perform import perform, refusal_of
from stxmdist.runner.unit import AnyUnit, Receipt, Refusal

if TYPE_CHECKING:
    from distributed import Client, Future

RETRIES = 2
"""How often Dask runs a unit again that failed without an explanation, e.g. because its worker died."""

IN_FLIGHT_PER_THREAD = 4
"""Units submitted ahead of each thread that may run them: enough to hide the scheduler, few enough that a crash loses
little.
"""

Compute: TypeAlias = Callable[[AnyUnit, int], Receipt | Refusal]
"""What a worker does with a unit, and with how many threads"""


def computed_on_dask(
    todo: Sequence[AnyUnit], client: "Client", beyond: Beyond, compute: Compute = perform
) -> Iterator[tuple[AnyUnit, Receipt | Refusal]]:
    """Each unit with what became of it, in the order in which they end; few are in flight, each released when it is
    read.

    Raises
    ------
    BrokenOffError
        where the scheduler is lost.
    """
    address = str(client.scheduler.address) if client.scheduler else ""
    try:
        yield from _computed_while_connected(todo, client, beyond, address, compute)
    except (CancelledError, TimeoutError, OSError) as error:
        # Dask's own name for a closed connection is an OSError.
        raise _scheduler_lost(address) from error


def _computed_while_connected(
    todo: Sequence[AnyUnit], client: "Client", beyond: Beyond, address: str, compute: Compute
) -> Iterator[tuple[AnyUnit, Receipt | Refusal]]:
    from distributed import as_completed

    workers: list[Worker] = list(client.scheduler_info(n_workers=-1)["workers"].values())
    threads = max(1, sum(worker["nthreads"] for worker in workers))
    lanes = lanes_of(todo, workers, beyond.coming)
    # Cores that would have nothing to do are lent to the units that there are.
    lent = max(1, threads // max(1, sum(min(lane.places, lane.units) for lane in lanes)))
    running: dict[Future[Receipt | Refusal], tuple[AnyUnit, Lane]] = {}

    def submit_next(lane: Lane) -> "Future[Receipt | Refusal] | None":
        unit = next(lane.waiting, None)
        if unit is None:
            return None
        future = client.submit(
            compute, replace(unit, arrays=()), lent, key=_key(unit), retries=RETRIES, resources=lane.resources
        )
        running[future] = unit, lane
        return future

    first = [submit_next(lane) for lane in lanes for _ in range(min(lane.units, IN_FLIGHT_PER_THREAD * lane.places))]
    completed = as_completed(first, loop=client.loop)
    for batch in completed.batches():
        fetched = _fetched(client, batch)
        for future in batch:
            unit, lane = running.pop(future)
            if future.status == "finished":
                yield unit, fetched[future] if future in fetched else future.result()
            elif future.status == "error":
                error = future.exception()
                trace = "".join(traceback.format_tb(future.traceback())) if future.traceback() else ""
                # It may have been done, and lost with its worker before it could be fetched.
                written = unit.output().receipt(unit.name)
                receipt = None if written is None else Receipt.from_dict(written)
                yield unit, receipt or refusal_of(unit, error, trace, beyond.last_words(_last_worker(error)))
            else:
                # Nobody cancels a unit: Dask says this of all that it knew when its scheduler is gone.
                raise _scheduler_lost(address)
            future.release()
            following = submit_next(lane)
            if following is not None:
                completed.add(following)


def _fetched(
    client: "Client", batch: Sequence["Future[Receipt | Refusal]"]
) -> "dict[Future[Receipt | Refusal], Receipt | Refusal]":
    """What has finished, in one request: with one for each unit, a thousand workers would wait for answers.

    Nothing where a unit fails that is computed again because its worker died with the result; then each is asked.
    """
    finished = [future for future in batch if future.status == "finished"]
    try:
        return dict(zip(finished, client.gather(finished), strict=True))
    except (CancelledError, TimeoutError, OSError):
        raise
    except Exception:  # of whatever kind the unit's own error is
        return {}


def _key(unit: AnyUnit) -> tuple[str, str, str]:
    """A unit's name on Dask's pages, which group tasks by the first word of their keys.

    Nothing is ever shared through Dask's cache: the key only has to be new, also after a retry in one session.
    """
    return unit.stage, f"{unit.scan_id} {unit.name}", uuid4().hex[:12]


def _scheduler_lost(address: str) -> BrokenOffError:
    return BrokenOffError(
        where="cluster",
        problem="the Dask scheduler is gone in the middle of the run",
        got=f"no connection to {address}",
        wanted="a scheduler until the run is over",
        mend="Start one and run the same command: finished units are kept, and it goes on from there",
    )


def _last_worker(error: BaseException) -> str:
    """Where the worker was that died with a unit; empty for other errors."""
    return str(getattr(getattr(error, "last_worker", None), "address", ""))
