"""Plain ePIE with numpy and scipy.fft as anyone would write it, one pattern after another: the third party.

Reads the same npz as ``ptychi_run.py`` and prints the same line. Positions are rounded to whole pixels.
"""

import argparse
import json
import time

import numpy as np
import scipy.fft


def epoch(object_: np.ndarray, probe: np.ndarray, corners: np.ndarray, root: np.ndarray, order: np.ndarray) -> None:
    """One pass over all patterns (``root``, their square roots, zero frequency at [0, 0]); object and probe change."""
    n = probe.shape[-1]
    for number in order:
        y, x = corners[number]
        window = object_[y : y + n, x : x + n]
        wave = window * probe
        field = scipy.fft.fft2(wave, norm="ortho")
        field *= root[number] / (np.sqrt((np.abs(field) ** 2).sum(axis=0)) + 1e-6)
        change = scipy.fft.ifft2(field, norm="ortho") - wave
        object_step = (probe.conj() * change).sum(axis=0) / (np.abs(probe) ** 2).sum(axis=0).max()
        probe += window.conj() * change / (np.abs(window) ** 2).max()
        window += object_step


def residual(object_: np.ndarray, probe: np.ndarray, corners: np.ndarray, root: np.ndarray) -> float:
    """sqrt(sum (|F| - sqrt I)^2 / sum I) over all frames."""
    n, total = probe.shape[-1], 0.0
    for (y, x), amplitude in zip(corners, root, strict=True):
        field = scipy.fft.fft2(object_[y : y + n, x : x + n] * probe, norm="ortho")
        total += float(((np.sqrt((np.abs(field) ** 2).sum(axis=0)) - amplitude) ** 2).sum(dtype=np.float64))
    return float(np.sqrt(total / (root.astype(np.float64) ** 2).sum()))


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="npz to read")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--at", type=int, nargs="*", default=[1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200])
    parser.add_argument("--out", help="npz for object and probe")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    data = dict(np.load(arguments.data))
    root = np.sqrt(np.fft.ifftshift(data["frames"], axes=(1, 2)).astype(np.float32))
    corners = np.round(data["positions_px"]).astype(int)
    object_, probe = np.ones(tuple(data["object_shape"]), np.complex64), data["probe"].astype(np.complex64)
    power = (root**2).sum(axis=(1, 2), dtype=np.float64).max()
    probe *= np.float32(np.sqrt(power / np.sum(np.abs(probe) ** 2, dtype=np.float64)))
    rng = np.random.default_rng(arguments.seed)
    times: list[float] = []
    curve = [[0, 0.0, residual(object_, probe, corners, root)]]
    for number in range(1, arguments.epochs + 1):
        order = rng.permutation(len(root))
        begin = time.perf_counter()
        epoch(object_, probe, corners, root, order)
        times.append(time.perf_counter() - begin)
        if number in arguments.at or number == arguments.epochs:
            curve.append([number, round(sum(times), 4), residual(object_, probe, corners, root)])
    if arguments.out:
        np.savez(arguments.out, object=object_, probe=probe, positions_px=corners)
    later = times[1:] or times
    line = {
        "peer": "numpy",
        "engine": "epie",
        "batch": 1,
        "epochs": arguments.epochs,
        "seconds_per_epoch": round(float(np.mean(later)), 4),
        "seconds_fastest_epoch": round(min(later), 4),
        "patterns_per_second": round(len(root) / float(np.mean(later)), 1),
        "curve": [[number, seconds, round(value, 6)] for number, seconds, value in curve],
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
