"""Tests that compare times wait until the tests of other processes pause, and these wait until they have ended.

Another test on a neighbouring core takes its caches and its share of vector units: a loop over its own Fourier
transforms then takes 2.7 of them where it takes 2.3 alone.
"""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


@contextmanager
def turn(run: str, *, alone: bool) -> Iterator[None]:
    """Hold the turn of one test among the processes of a run: ``alone``, or beside others that are not alone.

    The door is held while the room is awaited. Otherwise the others would enter one after another, and the one that
    wants the room for itself would wait for the last of them.
    """
    folder = Path(tempfile.gettempdir())
    with ExitStack() as stack:
        door, room = (
            stack.enter_context(open(folder / f"stxmdist-tests-{run}.{name}", "a")) for name in ("door", "room")
        )
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        try:
            yield
        finally:
            # Closing would leave it held by processes that were forked meanwhile.
            fcntl.flock(room, fcntl.LOCK_UN)
