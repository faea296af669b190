"""Other programs' fits of one stack: seconds, and their coefficients beside the stack. Run by the peers' own Python.

    peer/bin/python spectra_peers.py FOLDER --rounds 3

FOLDER holds `transmission.npy` (ENERGY, PIXEL) float32, `design.npy` (ENERGY, 2), `energy_ev.npy` and `side.txt`, as
compare_spectra.py writes them. Prints one line of JSON: name to [seconds, core-seconds], the least of the rounds, or
why there are none.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    """Measure what is installed here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    found: dict[str, Any] = {}
    for run in (mantis, pyxas):
        try:
            found |= run(asked.folder, asked.rounds)
        except Exception as error:  # whatever another program does not like about this machine
            found[run.__name__] = f"did not run: {type(error).__name__}: {error}"[:200]
    print(json.dumps(found))


def mantis(folder: Path, rounds: int) -> dict[str, tuple[float, float]]:
    """Mantis' optical density and its maps: by singular values of the references, and through principal components."""
    from mantis_xray.analysis import analyze, data_stack, data_struct

    energy_ev, side = np.load(folder / "energy_ev.npy"), int((folder / "side.txt").read_text())
    stack = data_stack.data(data_struct.h5())
    stack.new_data()
    stack.n_cols = stack.n_rows = side
    stack.n_ev, stack.ev = energy_ev.size, energy_ev
    # Axes (x, y, energy); pixels in the order in which Mantis takes them apart, which is Fortran's.
    stack.absdata = np.load(folder / "transmission.npy").T.reshape(side, side, -1, order="F").astype(np.float64)
    stack.data_dwell = np.ones(energy_ev.size)
    seconds = {"mantis, optical density": _least(rounds, lambda: stack.set_i0(np.ones(energy_ev.size), energy_ev))}
    analysis = analyze.analyze(stack)
    analysis.target_spectra = np.load(folder / "design.npy").T
    analysis.n_target_spectra = 2
    seconds["mantis, SVD maps"] = _least(rounds, analysis.calc_svd_maps)
    np.save(folder / "mantis, SVD maps.npy", analysis.target_svd_maps.reshape(-1, 2, order="F").T)
    seconds["mantis, PCA and target maps"] = _least(1, analysis.calculate_pca)
    np.save(folder / "mantis, PCA and target maps.npy", analysis.target_pcafit_maps.reshape(-1, 2, order="F").T)
    return seconds


def pyxas(folder: Path, rounds: int) -> dict[str, tuple[float, float]]:
    """PyXAS' fit of all pixels at once: references and an offset, unbounded."""
    from pyxas.xanes_util import fit_2D_xanes_non_iter

    energy_ev, design = np.load(folder / "energy_ev.npy"), np.load(folder / "design.npy")
    side = int((folder / "side.txt").read_text())
    od = -np.log(np.load(folder / "transmission.npy").astype(np.float64)).reshape(-1, side, side)
    references = {f"ref{n}": np.column_stack([energy_ev, design[:, n]]) for n in (0, 1)}
    result: list[Any] = []
    seconds = _least(rounds, lambda: result.append(fit_2D_xanes_non_iter(od, energy_ev, references)))
    np.save(folder / "pyxas, all at once with offset.npy", result[-1][0].reshape(2, -1))
    return {"pyxas, all at once with offset": seconds}


def _least(rounds: int, do: Callable[[], Any]) -> tuple[float, float]:
    least, core_least = float("inf"), float("inf")
    for _ in range(rounds):
        start, core_start = time.perf_counter(), time.process_time()
        do()
        least = min(least, time.perf_counter() - start)
        core_least = min(core_least, time.process_time() - core_start)
    return least, core_least


if __name__ == "__main__":
    main()
