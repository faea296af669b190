"""The process of a Prefect server, on a socket that it was given; it ends when the process that started it has ended.

Not a part to import: `python -m flows.server_process DESCRIPTOR`.
"""

import os
import signal
import socket
import sys
import threading
import time

SECONDS_TO_END = 5.0
"""What is left to a server whose parent has gone."""


def main() -> None:
    """Serve until told to stop, or until standard input ends: the parent holds its other end while it lives."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import uvicorn

    config = uvicorn.Config(
        "prefect.server.api.server:create_app",
        factory=True,
        log_level="warning",
        timeout_graceful_shutdown=2,
        # Clients that keep a connection for the next call should find it open.
        timeout_keep_alive=60,
    )
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        uvicorn.Server(config).run(sockets=[listening])


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(SECONDS_TO_END)
    os._exit(1)


if __name__ == "__main__":
    main()
