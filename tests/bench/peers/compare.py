"""Every engine of stxmdist beside its peers, on the same frames in one run: error against wall time, as a page.

    ./run setup
    .venv/bin/python tests/bench/peers/compare.py --peer peer/bin/python --out comparison

The page (`index.html`) draws the residual over the wall time and states two ratios for pty-chi's LSQ-ML and rPIE:
patterns per second, and the time to the error at which it ends. Run it on a machine that does nothing else.
"""

import argparse
import base64
import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from stxmdist.ptychography.engines.contract import ENGINES
from stxmdist.ptychography.problem import Problem
from stxmdist.ptychography.reconstruct import Recipe, Step, reconstruct
from stxmdist.ptychography.refinement import PositionOptions
from stxmdist.ptychography.state import ModelOptions

HERE = Path(__file__).parent
THREADS = 2
BATCHED = {
    "batch": 66, "object_step": 1.0, "object_alpha": 0.1, "probe_step": 1.0, "probe_alpha": 0.1, "momentum": 0.5
}  # fmt: skip
"""What the peer does too: steps after batches, which take longer ones and leave no core idle"""
LENGTHS = (3, 5, 8, 12, 16, 20, 23, 26, 30, 45, 70)
"""Iterations of the runs that make one engine's curve: each is a run of its own, from start to finish."""
NOISE = {"ml": {"noise": "gaussian"}}
"""Options of ours that the comparison wants: the peer's likelihood is that of amplitudes"""
OURS = {name: lambda n, name=name: (Step(name, n, NOISE.get(name, {})),) for name in ENGINES} | {
    "rpie, batch 66": lambda n: (Step("rpie", n, BATCHED),),
    "raar, then lsqml": lambda n: (Step("raar", max(1, n // 5)), Step("lsqml", max(1, n - n // 5))),
}
PEERS = {
    "pty-chi lsqml, batch 25": ("lsqml", "--batch", "25"),
    "pty-chi lsqml, batch 100": ("lsqml", "--batch", "100"),
    "pty-chi rpie, batch 10": ("rpie", "--batch", "10"),
    "pty-chi rpie, batch 50": ("rpie", "--batch", "50", "--object-step", "0.5"),
}
COMPARED = (("lsqml", "lsqml"), ("rpie", "rpie"), ("rpie", "rpie, batch 66"))
"""Engines of the peer, and ours that do the same: rPIE pattern after pattern, and in batches as the peer does."""


def main() -> None:
    """Measure, print one line of JSON, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="Python of the environment that has ptychi")
    parser.add_argument("--out", type=Path, default=Path("comparison"))
    parser.add_argument("--side", type=int, default=27, help="positions along each side of the scan")
    parser.add_argument("--epochs", type=int, default=60, help="of the peers")
    parser.add_argument("--rounds", type=int, default=4, help="in which both take turns for patterns per second")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    scans = {kind: asked.out / f"{kind}.npz" for kind in ("sub-pixel", "whole")}
    for kind, path in scans.items():
        options = ["--side", str(asked.side), *(["--whole"] if kind == "whole" else [])]
        subprocess.run([sys.executable, HERE / "simulated_scan.py", path, *options], check=True, capture_output=True)
    rows = []
    for kind, path in scans.items():
        rows += [measured(path, kind, name, schedule) for name, schedule in OURS.items()]
        rows += [
            peer(asked.peer, path, kind, name, [*rest, "--epochs", str(asked.epochs)]) for name, rest in PEERS.items()
        ]
    rows.append(numpy_epie(scans["whole"], 40))
    found = {"rows": rows, "ratios": ratios(rows, in_turns(asked.peer, scans, rows, asked.rounds))}
    (asked.out / "comparison.json").write_text(json.dumps(found, indent=1))
    (asked.out / "index.html").write_text(page(found))
    print(json.dumps(found["ratios"], indent=1))


def problem_of(path: Path) -> Problem:
    """The frames of an npz as ours."""
    with np.load(path, allow_pickle=False) as kept:
        n = kept["frames"].shape[-1]
        return Problem(
            frames=kept["frames"],
            good=np.ones((n, n), bool),
            positions_px=kept["positions_px"].astype(np.float64),
            probe=kept["probe"],
            object_shape=tuple(int(side) for side in kept["object_shape"]),
        )


def measured(path: Path, kind: str, name: str, schedule: Any) -> dict[str, Any]:
    """One of our engines: runs of several lengths, each from reading nothing to its result."""
    problem = problem_of(path)
    timed(problem, schedule(2))  # compiles
    curve = []
    for length in LENGTHS:
        seconds, residual = timed(problem, schedule(length))
        curve.append([sum(step.iterations for step in schedule(length)), seconds, residual])
    lengths, seconds, _ = np.array(curve).T
    speed = len(problem.frames) / np.polyfit(lengths, seconds, 1)[0]
    return {"who": "stxmdist", "name": name, "data": kind, "patterns_per_second": speed, "curve": curve}


def peer(python: str, path: Path, kind: str, name: str, arguments: list[str]) -> dict[str, Any]:
    """One engine of pty-chi."""
    done = subprocess.run(
        [python, HERE / "ptychi_run.py", path, *arguments], check=True, capture_output=True, text=True
    )
    said = json.loads(done.stdout.strip().splitlines()[-1])
    return {
        "who": "pty-chi",
        "name": name,
        "data": kind,
        "patterns_per_second": said["patterns_per_second"],
        "cores_busy": said["cores_busy"],
        "curve": said["curve"],
    }


def numpy_epie(path: Path, epochs: int) -> dict[str, Any]:
    """ePIE in plain numpy."""
    done = subprocess.run(
        [sys.executable, HERE / "numpy_epie.py", path, "--epochs", str(epochs)],
        check=True,
        capture_output=True,
        text=True,
    )
    said = json.loads(done.stdout.strip().splitlines()[-1])
    return {
        "who": "numpy",
        "name": "numpy epie",
        "data": "whole",
        "patterns_per_second": said["patterns_per_second"],
        "curve": said["curve"],
    }


def in_turns(
    python: str, scans: dict[str, Path], rows: list[dict[str, Any]], rounds: int
) -> dict[tuple[str, str], tuple[float, float]]:
    """Patterns per second, ours and the peer's with its faster batch: each the most of several rounds in turns.

    What else a machine does slows one run or the other; it makes none faster.
    """
    found = {}
    for kind, path in scans.items():
        problem = problem_of(path)
        for theirs, ours in COMPARED:
            name = fastest(rows, kind, theirs)["name"]
            speeds = []
            for _ in range(rounds):
                there = peer(python, path, kind, name, [*PEERS[name], "--epochs", "12"])
                speeds.append((speed_of(problem, OURS[ours]), there["patterns_per_second"]))
            most = np.max(speeds, axis=0)
            found[kind, ours] = float(most[0]), float(most[1])
    return found


def speed_of(problem: Problem, schedule: Any) -> float:
    """Patterns per second of one of our engines: what 40 iterations take longer than 5."""
    seconds = [timed(problem, schedule(length))[0] for length in (5, 40)]
    return 35 * len(problem.frames) / (seconds[1] - seconds[0])


def timed(problem: Problem, steps: tuple[Step, ...]) -> tuple[float, float]:
    """Seconds of one of our runs from reading nothing to its result, and its residual."""
    recipe = Recipe(steps, ModelOptions(n_modes=1, probe_from=0.0), PositionOptions(refine=False))
    began = time.perf_counter()
    result = reconstruct(problem, recipe, np.random.default_rng(0), threads=THREADS)
    seconds = time.perf_counter() - began
    if result.stopped != "finished":
        raise RuntimeError(f"{steps} stopped after {len(result.error)} iterations: {result.stopped}")
    return seconds, result.residual


def fastest(rows: list[dict[str, Any]], kind: str, engine: str) -> dict[str, Any]:
    """The peer's run of an engine, of all batches, with most patterns per second."""
    runs = [row for row in rows if row["who"] == "pty-chi" and row["data"] == kind and f" {engine}," in row["name"]]
    return max(runs, key=lambda row: float(row["patterns_per_second"]))


def ratios(rows: list[dict[str, Any]], speeds: dict[tuple[str, str], tuple[float, float]]) -> list[dict[str, Any]]:
    """Ours over the peer's best: patterns per second, and how much sooner the error is reached at which it ends."""
    found = []
    for kind in ("sub-pixel", "whole"):
        for theirs, ours in COMPARED:
            peers = [
                row for row in rows if row["who"] == "pty-chi" and row["data"] == kind and f" {theirs}," in row["name"]
            ]
            mine = next(row for row in rows if row["who"] == "stxmdist" and row["data"] == kind and row["name"] == ours)
            speed = speeds[kind, ours]
            # The peer's run that gets to its own final error, within half a percent, soonest among those that end best.
            best = min(peers, key=lambda row: row["curve"][-1][2])
            final = best["curve"][-1][2]
            theirs_s = next(seconds for _, seconds, error in best["curve"] if error <= 1.005 * final)
            any_of_ours = [
                (seconds, row["name"])
                for row in rows
                if row["who"] == "stxmdist" and row["data"] == kind
                for _, seconds, error in row["curve"]
                if error <= 1.005 * final
            ]
            same = [seconds for _, seconds, error in mine["curve"] if error <= 1.005 * final]
            found.append(
                {
                    "data": kind,
                    "engine": ours,
                    "patterns_per_second": list(speed),
                    "times_as_many": speed[0] / speed[1],
                    "final_error_of_peer": final,
                    "seconds_to_it": [min(same, default=None), theirs_s],
                    "times_sooner": theirs_s / min(same) if same else None,
                    "soonest_of_ours": min(any_of_ours, default=None),
                }
            )
    return found


def page(found: dict[str, Any]) -> str:
    """The figures, drawn and in tables."""
    figure, axes = plt.subplots(1, 2, figsize=(13, 5), sharey=True)
    names = list(dict.fromkeys(row["name"] for row in found["rows"]))
    colours = dict(zip(names, plt.colormaps["tab20"](np.linspace(0.0, 1.0, len(names))), strict=True))
    for axis, kind in zip(axes, ("sub-pixel", "whole"), strict=True):
        for row in found["rows"]:
            if row["data"] != kind:
                continue
            points = np.array([point for point in row["curve"] if point[1] > 0])
            style = {"stxmdist": "-", "pty-chi": "--", "numpy": ":"}[row["who"]]
            colour = colours[row["name"]]
            axis.plot(points[:, 1], points[:, 2], style, marker=".", color=colour, label=row["name"])
        axis.set(xscale="log", yscale="log", xlabel="wall time / s", title=f"{kind} positions")
        axis.grid(alpha=0.3, which="both")
    axes[0].set_ylabel("amplitude residual")
    axes[1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.tight_layout()
    kept = io.BytesIO()
    figure.savefig(kept, format="png", dpi=120)
    image = base64.b64encode(kept.getvalue()).decode()
    speeds = "".join(
        f"<tr><td>{row['name']}<td>{row['data']}<td>{row['patterns_per_second']:,.0f}<td>{row['curve'][-1][2]:.4f}"
        for row in found["rows"]
    )
    said = "".join(
        f"<tr><td>{one['engine']}<td>{one['data']}<td>{one['times_as_many']:.1f}<td>{_times(one['times_sooner'])}"
        for one in found["ratios"]
    )
    return (
        "<!doctype html><meta charset=utf-8><title>stxmdist beside its peers</title>"
        "<style>body{font:15px sans-serif;margin:2em;max-width:1100px}td,th{padding:2px 14px 2px 0;text-align:left}"
        "img{width:100%}</style><h1>Residual against wall time</h1>"
        "<p>Simulated frames of 128 x 128 pixels, two cores, one mode. Solid: stxmdist, each point a run of its own"
        " from start to finish. Dashed: pty-chi. Dotted: plain numpy.</p>"
        f'<img alt="residual of every engine over wall time" src="data:image/png;base64,{image}">'
        "<h2>FitContext pty-chi</h2><table><tr><th>engine<th>positions<th>times as many patterns a second"
        f"<th>times sooner at its final error{said}</table>"
        f"<h2>Speeds</h2><table><tr><th>engine<th>positions<th>patterns a second<th>last residual{speeds}</table>"
    )


def _times(value: float | None) -> str:
    return "not reached" if value is None else f"{value:.0f}"


if __name__ == "__main__":
    main()
