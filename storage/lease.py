"""Locks in a bucket: an object that says who holds it and that is written again as long as its holder lives.

A folder's lock goes with its process. A bucket knows no processes, so the holder writes every few seconds that it is
still there. Whoever comes second is refused at once, and takes over what has not been written for a while, or what a
process of this machine has left that is dead. Clocks are not trusted with that: the second watches whether the first
writes. Every step is a conditional write, so that of two that come at once exactly one wins.
"""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from storage.bucket import BucketPath, Tag, age_s
from storage.folder import taken

BEAT_S = 5.0
"""Between two signs of life"""
LEASE_S = 30.0
"""Without a sign of life a lock is free: several times what a slow network or a stopped process takes to be back"""


@contextmanager
def hold(place: BucketPath, purpose: str) -> Iterator[None]:
    """Hold an object of a store against a second holder, on this machine or another.

    Raises
    ------
    StoreError
        when another holds it, saying who.
    BucketError
        when the bucket does not answer.
    """
    mine = {
        "holder": f"{purpose}, process {os.getpid()} on {socket.gethostname()}",
        "machine": _machine(),
        "process": os.getpid(),
        "token": uuid.uuid4().hex,
    }
    tag = _acquired(place, mine)
    over = threading.Event()
    beats = _Beats(place, mine, tag)
    thread = threading.Thread(target=beats.go_on, args=(over,), name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        # Freed, not removed: a removal would not ask whether it is still this holder's. A server that is away for
        # good leaves the lock to its time.
        if not beats.unheard:
            with suppress(OSError):
                place.put_instead(_text({"free": True}), beats.tag)


def holder(place: BucketPath) -> str | None:
    """Who holds a lock now, as far as its last sign of life says; None where nobody does."""
    try:
        found = _read(place.read_bytes())
        written_ns = place.stat().st_mtime_ns
    except FileNotFoundError:
        return None
    return None if _is_free(found) or age_s(written_ns) > LEASE_S else str(found.get("holder", ""))


class _Beats:
    def __init__(self, place: BucketPath, mine: Mapping[str, Any], tag: Tag) -> None:
        self.place, self.mine, self.tag = place, mine, tag
        self.unheard = False
        """Whether the last sign of life has reached nobody"""

    def go_on(self, over: threading.Event) -> None:
        count = 0
        while not over.wait(BEAT_S):
            count += 1
            # A server that is away is asked again: the lock is still this one's if nobody has taken it meanwhile.
            try:
                tag = self.place.put_instead(_text({**self.mine, "beat": count}), self.tag)
            except OSError:
                self.unheard = True
                continue
            self.unheard = tag is None
            if tag is None:
                # Taken over while this process stood still. What it publishes is compared once more then.
                return
            self.tag = tag


def _acquired(place: BucketPath, mine: Mapping[str, Any]) -> Tag:
    tag = place.put_new(_text(mine))
    if tag is not None:
        return tag
    content, there = place.read_tagged()
    found = _read(content)
    if not _is_free(found) and not _stopped(place, there):
        raise taken(
            place.parent, str(found.get("holder", "")), f"the lock of a process that died is free after {LEASE_S:.0f} s"
        )
    tag = place.put_instead(_text(mine), there)
    if tag is None:
        raise taken(place.parent, "another that came at the same time", "of two that come at once, one goes on")
    return tag


def _stopped(place: BucketPath, seen: Tag) -> bool:
    """Whether the holder gives no sign of life: at once where its last is recent, else after a while of watching."""
    if 0 <= age_s(place.stat().st_mtime_ns) <= LEASE_S:
        return False
    until = time.monotonic() + 2 * BEAT_S
    while time.monotonic() < until:
        time.sleep(BEAT_S / 4)
        if place.read_tagged()[1] != seen:
            return False
    return True


def _is_free(found: Mapping[str, Any]) -> bool:
    if found.get("free") or not found:
        return True
    return found.get("machine") == _machine() and not _lives(found.get("process"))


def _lives(process: object) -> bool:
    if not isinstance(process, int):
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _machine() -> str:
    """What tells machines apart, and containers whose processes have numbers of their own."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _text(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, sort_keys=True) + "\n").encode()


def _read(content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
