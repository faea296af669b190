"""Wall time from a start to the noise, ours beside pty-chi and cdtools: the same frames, machine and run.

    ./run setup
    .venv/bin/python tests/bench/peers/time_to_noise.py --peer peer/bin/python --out noise
    .venv/bin/python tests/bench/peers/time_to_noise.py --peer peer/bin/python --out noise --all     # takes an hour

Problems differ in the pixels of a frame, in counts, and in the start: the illumination nearly right, or in focus where
it is far from that. Reached is a residual of at most 1.2 times what noise leaves of the truth, of the object and the
probe of that moment. The seconds are those of the reconstruction alone. Our schedules follow what they explain, and
leave a start that is wrong; peers run with the settings of ``compare.py`` until they are there or their seconds are up.
Printed is a table; ``time_to_noise.png`` and ``time_to_noise.json`` are written into the folder. Run it on a machine
that does nothing else.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from compare import HERE, THREADS, problem_of

from stxmdist.ptychography.held_out import static_residual
from stxmdist.ptychography.kernels.device import sweep_on
from stxmdist.ptychography.problem import Problem, Reconstruction
from stxmdist.ptychography.reconstruct import Recipe, Step, noise_of, reconstruct
from stxmdist.ptychography.refinement import PositionOptions
from stxmdist.ptychography.schedule import Adaptation
from stxmdist.ptychography.state import ModelOptions, State
from stxmdist.ptychography.switching import Switched, switched
from stxmdist.ptychography.trials import TrialOptions
from stxmdist.ptychography.verdict import Evidence

REACHED = 1.2
"""Times what noise leaves of the truth"""
SIDES = {128: 14, 256: 10, 512: 7}
"""Positions along the scan's side, by the pixels of a frame"""
SOON = ((128, 1e4), (128, 1e6), (256, 1e6), (512, 1e6))
ALL = tuple((frame, counts) for frame in SIDES for counts in (1e4, 1e5, 1e6, 1e7))
"""Pixels of a frame, and counts of one through vacuum"""
STARTS = {"near": "good", "focus": "bad"}
PEERS = {
    "pty-chi LSQ-ML": ("ptychi_run.py", "lsqml", "--batch", "25"),
    "pty-chi rPIE": ("ptychi_run.py", "rpie", "--batch", "10"),
    "cdtools Adam": ("cdtools_run.py", "--batch", "10"),
}
OURS = {
    "ours, default": Recipe().schedule,
    "ours, LSQ-ML": (Step("lsqml", 40),),
    "ours, rPIE": (Step("rpie", 40),),
}


class Case(NamedTuple):
    """One problem."""

    frame: int
    counts: float
    start: str

    @property
    def words(self) -> str:
        return f"{self.frame} px, {self.counts:.0e} counts, {STARTS[self.start]} start"


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="Python of the environment that has ptychi and cdtools")
    parser.add_argument("--out", type=Path, required=True, help="folder for the figure")
    parser.add_argument("--all", action="store_true", help="all problems, not only four with both starts")
    parser.add_argument("--epochs", type=int, default=60, help="of the peers, at most")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each run of a peer")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    cases = [Case(*problem, start) for problem in (ALL if asked.all else SOON) for start in STARTS]
    print(f"{'':34}{'noise':>8}" + "".join(f"{name:>17}" for name in (*OURS, *PEERS)), flush=True)
    rows = []
    for case in cases:
        path = asked.out / "scan.npz"
        options = ("--frame", case.frame, "--counts", case.counts, "--start", case.start, "--side", SIDES[case.frame])
        subprocess.run([sys.executable, HERE / "simulated_scan.py", path, *map(str, options)], check=True)
        with np.load(path, allow_pickle=False) as kept:
            noise = float(kept["noise_residual"])
        found = {name: ours(problem_of(path), schedule, REACHED * noise) for name, schedule in OURS.items()}
        for name, command in PEERS.items():
            found[name] = peer(asked.peer, path, command, REACHED * noise, asked.epochs, asked.seconds)
        rows.append({"problem": case._asdict(), "noise": noise, "seconds": found})
        cells = "".join(f"{'no' if seconds is None else f'{seconds:.2f} s':>17}" for seconds in found.values())
        print(f"{case.words:34}{noise:8.4f}{cells}", flush=True)
        path.unlink()
    (asked.out / "time_to_noise.json").write_text(json.dumps(rows, indent=1))
    draw(cases, rows, asked.out / "time_to_noise.png")


def ours(problem: Problem, schedule: tuple[Step, ...], wanted: float) -> float | None:
    """Seconds until our state has the residual that is wanted; None where the schedule ends before.

    Residuals are looked at after each iteration, and the time that takes does not count.
    """
    recipe = Recipe(schedule, ModelOptions(n_modes=1, probe_from=0.0), PositionOptions(refine=False), Adaptation())
    warm = replace(recipe, schedule=tuple(replace(step, iterations=1) for step in schedule))
    reconstruct(problem, warm, np.random.default_rng(0), threads=THREADS)  # compiles
    sweep = sweep_on(None, problem, THREADS).with_modes(1)
    looking = 0.0
    reached: float | None = None
    begun = time.perf_counter()

    def look(iteration: int, state: State) -> None:
        nonlocal looking, reached
        now = time.perf_counter()
        if reached is None and np.sqrt(sweep.misfit(state) / sweep.counts) <= wanted:
            reached = now - begun - looking
        looking += time.perf_counter() - now

    def again(problem: Problem, recipe: Recipe, number: int) -> Reconstruction:
        return reconstruct(problem, recipe, np.random.default_rng(0), threads=THREADS, watch=look)

    found = again(problem, recipe, 0)
    if reached is None:
        noise, static = noise_of(problem), static_residual(problem.frames, problem.good)
        found = switched(
            Switched(problem, found, recipe, found.schedule),
            lambda found: Evidence(found.stopped, found.residual, noise, static).unexplained,
            again,
            TrialOptions(),
        ).found
    if reached is None and found.residual <= wanted:
        reached = time.perf_counter() - begun - looking
    return reached


def peer(python: str, path: Path, command: tuple[str, ...], wanted: float, epochs: int, seconds: float) -> float | None:
    """Seconds until a peer's state has the residual that is wanted; None where it has not by then."""
    script, *rest = command
    options = ["--until", str(wanted), "--epochs", str(epochs), "--seconds", str(seconds), "--threads", str(THREADS)]
    if script == "ptychi_run.py":
        options += ["--at", *map(str, range(1, epochs + 1))]
    engine = [rest.pop(0)] if not rest[0].startswith("-") else []
    done = subprocess.run(
        [python, HERE / script, path, *engine, *rest, *options], check=True, capture_output=True, text=True
    )
    curve = json.loads(done.stdout.strip().splitlines()[-1])["curve"]
    return next((float(at) for _, at, error in curve if error <= wanted), None)


def draw(cases: list[Case], rows: list[dict[str, Any]], path: Path) -> None:
    """Seconds to the noise, a bar for each program and problem; none where it was not reached."""
    figure, axes = plt.subplots(figsize=(10, 0.6 + 0.55 * len(cases)), layout="constrained")
    names = [*OURS, *PEERS]
    for number, name in enumerate(names):
        seconds = [row["seconds"][name] or np.nan for row in rows]
        places = np.arange(len(cases)) + (number - (len(names) - 1) / 2) * 0.8 / len(names)
        axes.barh(places, seconds, 0.8 / len(names), label=name)
        for place, value in zip(places, seconds, strict=True):
            if np.isnan(value):
                axes.text(axes.get_xlim()[0], place, " not reached", va="center", fontsize=6)
    axes.set_yticks(np.arange(len(cases)), [case.words for case in cases])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel(f"Seconds to {REACHED:g} times the residual of noise")
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
