"""Many Dask workers of one thread each in one process, for units that only wait: ``python -m`` ADDRESS NUMBER."""

import asyncio
import sys

import dask
from distributed import Worker

AT_ONCE = 20
"""Workers that ask the scheduler for admission at a time"""


async def wait_as_workers(address: str, n_workers: int) -> None:
    """Start so many workers and let them work until the scheduler ends them."""
    workers = [Worker(address, nthreads=1, memory_limit=0, dashboard=False, host="127.0.0.1") for _ in range(n_workers)]
    for first in range(0, n_workers, AT_ONCE):
        await asyncio.gather(*workers[first : first + AT_ONCE])
    await asyncio.gather(*(worker.finished() for worker in workers))


if __name__ == "__main__":
    # What a worker watches of itself costs as much as its units do, where there are hundreds in one process.
    dask.config.set({"distributed.worker.profile.enabled": False, "distributed.admin.tick.interval": "5s"})
    asyncio.run(wait_as_workers(sys.argv[1], int(sys.argv[2])))
