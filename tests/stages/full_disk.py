"""A disk that is full: made up below every writer, or a small file system that really is."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.stages.beamtime import Beamtime

IN_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


def leave(patch: pytest.MonkeyPatch, store: Path, room: int) -> None:
    """Let the process write so many bytes more through `os.write`, into files, and then no byte and no folder."""
    left = [room]
    write, mkdir = os.write, os.mkdir

    def full() -> OSError:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def limited_write(descriptor: int, part: Any) -> int:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if not path.startswith(str(store)):
            return write(descriptor, part)
        if not left[0]:
            raise full()
        # A disk takes what it can before it refuses.
        taken = write(descriptor, memoryview(part)[: left[0]])
        left[0] -= taken
        return taken

    def limited_mkdir(path: Any, *mode: Any, **where: Any) -> None:
        if not left[0] and str(path).startswith(str(store)) and not os.path.exists(path):
            raise full()
        mkdir(path, *mode, **where)

    patch.setattr(os, "write", limited_write)
    patch.setattr(os, "mkdir", limited_mkdir)


def can_mount() -> bool:
    """Whether this user may have a file system of its own."""
    try:
        made = subprocess.run(
            [*IN_NAMESPACE, "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/mnt"], capture_output=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return made.returncode == 0


def in_small_file_system(beamtime: Beamtime, stages: tuple[str, ...], *, size_kb: int, then_kb: int) -> dict[str, Any]:
    """Run a campaign whose store has little room, give it more, retry; what was said, in a process of its own."""
    command = [*IN_NAMESPACE, sys.executable, "-m", "tests.stages.full_disk", str(beamtime.folder), f"{size_kb}"]
    done = subprocess.run([*command, f"{then_kb}", *stages], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def _main(folder: str, size_kb: str, then_kb: str, *stages: str) -> None:
    from storage.store import Store
    from storage.verify import verify
    from tests.stages.test_bad_input import run

    beamtime = Beamtime(Path(folder))
    beamtime.store.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(beamtime.store)]
    subprocess.run(mount, check=True)
    full = run(beamtime, stages=stages)
    findings = len(verify(Store(beamtime.store)))
    subprocess.run(["mount", "-o", f"remount,size={then_kb}k", str(beamtime.store)], check=True)
    retried = run(beamtime, stages=stages, retry=True)
    last = Store(beamtime.store).publication(stages[-1])
    print(
        json.dumps(
            {
                "full": [refusal.sentence + refusal.traceback for refusal in full],
                "findings": findings,
                "retried": [refusal.sentence for refusal in retried],
                "published": sorted(name for name, scan in last.scans.items() if scan.state == "done") if last else [],
            }
        )
    )


if __name__ == "__main__":
    _main(*sys.argv[1:])
