"""How what a user pays by the scan grows: commands on stores of 100 scans, 1,000 and 10,000, none of them computed."""

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stxmdist.bench.repeated import repeated
from stxmdist.bench.rows import Row, row_of
from stxmdist.planning.execute import CampaignRun, RunRequest
from stxmdist.planning.stages import STAGES
from stxmdist.simulation.folder import simulate_size
from stxmdist.simulation.sizes import TINY

SCANS = (100, 1000, 10_000)
MOST_EXPONENT = 1.1
"""Of cost over scans: what is above pays for every scan by all others"""
START = 4
"""Scans of the store from which the constant start of a command is known: its cost there is taken off"""
COMMANDS: dict[str, tuple[str, ...]] = {
    "validate": ("validate",),
    "plan": ("plan",),
    "infer": ("run", "--stage", "infer", "--cluster", "inline", "--no-prefect"),
    "report": ("report",),
    "run with nothing to do": ("run", "--cluster", "inline", "--no-prefect"),
    "status": ("status",),
}
"""In the order in which they need one another"""


@dataclass(frozen=True)
class Cost:
    """What a command took."""

    seconds: float
    """By the clock"""
    core_seconds: float
    peak_bytes: int
    """Resident memory of the process at its highest"""


# The highest memory of a process counts, to whoever waits for it, that of the process that made it.
PROGRAM = """
import runpy, sys, time
where, sys.argv = sys.argv[1], ["stxmdist", *sys.argv[2:]]
try:
    runpy.run_module("stxmdist", run_name="__main__")
finally:
    from stxmdist.runner.perform import peak_rss_bytes
    open(where, "w").write(f"{time.process_time()} {peak_rss_bytes()}")
"""


def cost_of(command: Sequence[str], campaign: Path) -> Cost:
    """Run a command of stxmdist on a campaign in a process of its own.

    Raises
    ------
    RuntimeError
        where it ends with an error; what failed in part is let pass, for tiny scans have few particles.
    """
    with tempfile.TemporaryDirectory() as folder:
        measured = Path(folder) / "measured"
        arguments = [sys.executable, "-c", PROGRAM, str(measured), command[0], str(campaign), *command[1:], "--json"]
        began = time.perf_counter()
        done = subprocess.run(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        seconds = time.perf_counter() - began
        if done.returncode not in (0, 1):
            words = done.stderr.decode(errors="replace")[-2000:]
            raise RuntimeError(f"stxmdist {' '.join(command)} ended with {done.returncode}: {words}")
        core_seconds, peak_bytes = measured.read_text().split()
    return Cost(seconds, float(core_seconds), int(peak_bytes))


def costs(
    folder: Path,
    scans: Sequence[int] = SCANS,
    commands: Sequence[str] = tuple(COMMANDS),
    note: Callable[[str], None] = lambda said: None,
) -> dict[tuple[str, int], Cost]:
    """(command, scans) to what it took, of stores that are made in a folder and removed from it again by the caller."""
    small = folder / "small"
    simulate_size(small, TINY, 5, workers=1, report=note)
    with CampaignRun(RunRequest(str(small / "campaign.yaml"), cluster="inline")) as run:
        for name in (name for name in run.stages if not STAGES[name].load().whole_campaign):
            run.stage(name)
    found = {}
    for n in (START, *scans):
        campaign = repeated(small / "campaign.yaml", folder / str(n), n)
        for command in commands:
            cost = found[command, n] = cost_of(COMMANDS[command], campaign)
            took = f"{cost.seconds:.1f} s, {cost.core_seconds:.1f} core-s, {cost.peak_bytes / 1e6:.0f} MB"
            note(f"{command}, {n} scans: {took}")
    return found


def exponent(few: float, many: float, start: float, ratio: float) -> float:
    """Of the growth of what a command takes beyond its start, from some scans to ``ratio`` times as many."""
    return math.log(max(many - start, 1e-9) / max(few - start, 1e-9)) / math.log(ratio)


def bench_scale(scans: Sequence[int] = SCANS, note: Callable[[str], None] = lambda said: None) -> list[Row]:
    """Seconds and memory of each command at each number of scans, and how both grow over the last step."""
    with tempfile.TemporaryDirectory(prefix="stxmdist-scale-") as folder:
        found = costs(Path(folder), scans, note=note)
    rows = []
    for command in COMMANDS:
        for n in scans:
            cost = found[command, n]
            remark = f"{cost.core_seconds:.1f} core-s, {cost.peak_bytes / 1e6:.0f} MB at most"
            rows.append(row_of(f"{command}, {n} scans", cost.seconds, "s", None, remark))
        start, few, many = (found[command, n] for n in (START, *scans[-2:]))
        ratio = scans[-1] / scans[-2]
        time_grows = exponent(few.core_seconds, many.core_seconds, start.core_seconds, ratio)
        memory_grows = exponent(few.peak_bytes, many.peak_bytes, start.peak_bytes, ratio)
        remark = f"of core-seconds beyond the start ({start.core_seconds:.1f}); of memory {memory_grows:.2f}"
        rows.append(row_of(f"{command}, growth", time_grows, "power of scans", MOST_EXPONENT, remark))
    return rows
