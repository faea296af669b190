"""The far end of a connection with ``ssh``: a worker that reads what it must know, and ends with its standard input."""

import asyncio
import json
import os
import sys
from typing import Any
from urllib.parse import urlsplit

DEATH_TIMEOUT_S = 60


def main() -> None:
    """Run one worker until the connection or the scheduler ends."""
    told: dict[str, Any] = json.loads(sys.stdin.readline())
    # Before anything of Dask or numpy is loaded.
    os.environ.update(told["environment"])
    asyncio.run(_run(told))


async def _run(told: dict[str, Any]) -> None:
    import dask
    from distributed import Nanny, Security
    from distributed.utils import get_ip

    dask.config.set(told["settings"])
    security = None
    if told["certificates"]:
        authority, certificate, key = told["certificates"]
        roles: dict[str, Any] = {f"tls_{role}_cert": certificate for role in ("client", "worker")}
        roles |= {f"tls_{role}_key": key for role in ("client", "worker")}
        security = Security(require_encryption=True, tls_ca_file=authority, **roles)
    loop = asyncio.get_running_loop()
    async with Nanny(
        told["scheduler"],
        name=told["name"],
        nthreads=told["threads"],
        memory_limit=told["memory_limit"],
        host=get_ip(urlsplit(told["scheduler"]).hostname),
        protocol=urlsplit(told["scheduler"]).scheme,
        security=security,
        dashboard=False,
        death_timeout=DEATH_TIMEOUT_S,
    ) as nanny:
        # Nothing more is ever said on standard input: it only ends.
        ended = loop.run_in_executor(None, sys.stdin.read)
        gone = asyncio.ensure_future(nanny.finished())
        await asyncio.wait({ended, gone}, return_when=asyncio.FIRST_COMPLETED)
    # The thread that reads may still wait.
    os._exit(0)


if __name__ == "__main__":
    main()
