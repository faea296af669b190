"""Every fitter of stxmdist beside other programs' fits of the same stack, 100 energies of 512 x 512 pixels, in one run.

    ./run setup
    python3.11 -m venv peer && peer/bin/pip install mantis-xray
    .venv/bin/python tests/bench/peers/compare_spectra.py --peer peer/bin/python

Ours give coefficients, covariance and chi-square, the others coefficients. Each time is the least of several rounds;
seconds of the clock grow with all else that the machine does, core-seconds (of all threads) little;
what a loop over pixels would take is scaled up from a sample where the table says so. Differences are the largest
over all pixels that both fitted, in optical density at each end-member's strongest absorption, against our
estimator of the same problem (unweighted, as the others' are). The last lines are ratios of core-seconds.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import lsq_linear, nnls

from stxmdist.bench.spectra import SimulatedStack, fit_timings, simulated_stack
from stxmdist.spectra.fitters.contract import FITTERS, FitOptions

HERE = Path(__file__).parent
COUNTS = 400.0
"""Enough that no pixel counts nothing, where every program does something else"""
GOALS = {"nnls": 0.15, "poisson": 0.8}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="Python of the environment that has mantis-xray and, if it installs, pyxas")
    parser.add_argument("--energies", type=int, default=100)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sample", type=int, default=4000, help="pixels of the loop that is scaled up")
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    ours = fit_timings(rng, asked.energies, asked.side, loop_pixels=200, threads=(1, 2), rounds=asked.rounds)
    least = {(one.name, one.threads): (one.seconds, one.core_seconds) for one in ours if one.name in FITTERS}
    stack = simulated_stack(rng, asked.energies, asked.side**2, COUNTS)
    rows = [*loops(stack, asked.sample), *peers(stack, asked)]

    print(f"\n{asked.energies} energies x {asked.side} x {asked.side}, seconds (least of {asked.rounds} rounds)\n")
    print(f"{'stxmdist, with covariance':40}{'1 thread':>10}{'2 threads':>11}{'core-seconds':>14}{'goal, 2 cores':>15}")
    for name in FITTERS:
        goal = f"{GOALS[name]:.2f}" if name in GOALS else ""
        print(f"{name:40}{least[name, 1][0]:10.3f}{least[name, 2][0]:11.3f}{least[name, 2][1]:14.3f}{goal:>15}")
    print(f"\n{'others, coefficients only':40}{'seconds':>10}{'core-seconds':>14}{'difference':>12}   against, of")
    for row in rows:
        figures = f"{row['seconds']:10.3f}{row['core_seconds']:14.3f}{row['difference']:12.1e}"
        print(f"{row['name']:40}{figures}   {row['remark']}")
    print("\ntimes as many core-seconds as ours, nnls and poisson:")
    for row in rows:
        ratios = [row["core_seconds"] / least[name, 2][1] for name in ("nnls", "poisson")]
        print(f"{row['name']:40}{ratios[0]:10.1f}{ratios[1]:10.1f}")


def loops(stack: SimulatedStack, sample: int) -> list[dict[str, Any]]:
    """What pystxmcontrol does for every pixel, and the bounded fit of PyXAS' kind for some of them."""
    od = -np.log(stack.transmission.T.astype(np.float64))
    n_pixels = len(od)
    few = np.linspace(0, n_pixels - 1, min(sample, n_pixels)).astype(np.int64)
    bounds = (0.0, np.inf)
    seconds, found = _loop(od, range(n_pixels), lambda y: nnls(stack.design, y)[0])
    rows = [_row("pystxmcontrol's way: scipy nnls, loop", seconds, found, stack, "nnls", "all pixels")]
    seconds, found = _loop(od, few, lambda y: lsq_linear(stack.design, y, bounds=bounds).x)
    remark = f"scaled up from {few.size} pixels"
    scaled = seconds[0] * n_pixels / few.size, seconds[1] * n_pixels / few.size
    return [*rows, _row("PyXAS' way: scipy lsq_linear, bounded", scaled, found, stack, "nnls", remark, few)]


def _loop(od: Any, pixels: Iterable[int], fit: Callable[[Any], Any]) -> tuple[tuple[float, float], Any]:
    start, core_start = time.perf_counter(), time.process_time()
    found = [fit(od[p]) for p in pixels]
    took = time.perf_counter() - start, time.process_time() - core_start
    return took, np.stack(found, axis=1)


def peers(stack: SimulatedStack, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Programs with an environment of their own."""
    if asked.peer is None:
        return []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "transmission.npy", stack.transmission)
        np.save(folder / "design.npy", stack.design)
        np.save(folder / "energy_ev.npy", stack.context.energy_ev)
        (folder / "side.txt").write_text(str(asked.side))
        done = subprocess.run(
            [asked.peer, HERE / "spectra_peers.py", folder, "--rounds", str(asked.rounds)],
            check=True,
            capture_output=True,
            text=True,
        )
        seconds = json.loads(done.stdout.splitlines()[-1])
        rows = []
        for peer, value in seconds.items():
            if isinstance(value, str):
                print(f"{peer}: {value}")
                continue
            path = folder / f"{peer}.npy"
            offset = "offset" in peer
            found = np.load(path) if path.exists() else None
            rows.append(_row(peer, value, found, stack, "least_squares", "all pixels", offset=offset))
    return rows


def _row(
    name: str,
    seconds: tuple[float, float],
    found: Any,
    stack: SimulatedStack,
    fitter: str,
    remark: str,
    pixels: Any = slice(None),
    *,
    offset: bool = False,
) -> dict[str, Any]:
    difference = float("nan")
    if found is not None:
        constant = [np.ones((len(stack.design), 1))] if offset else []
        design = np.concatenate([stack.design, *constant], axis=1)
        options = FitOptions(weighted=False)
        mine = FITTERS[fitter].load()(stack.transmission[:, pixels], stack.counts, design, options).coefficients[:2]
        difference = float((np.abs(found - mine) * stack.design.max(axis=0)[:, None]).max())
    return {
        "name": name,
        "seconds": seconds[0],
        "core_seconds": seconds[1],
        "difference": difference,
        "remark": f"{fitter}, {remark}",
    }


if __name__ == "__main__":
    main()
