"""Measure pty-chi on the CPU: one engine on the data of one npz, timed epoch by epoch, one line of JSON at the end.

Stands alone: it runs in the peer's own environment and imports only numpy, torch and ptychi.

The npz holds ``frames`` (J, N, N) with the zero frequency at the centre, ``positions_px`` (J, 2) [row, column] of each
window's first pixel in the object, ``object_shape`` and the start ``probe`` (MODE, N, N); with ``true_object`` and
``true_probe``, ``--start truth`` begins at the noise. Here |P|^2 summed is the counts of a frame through vacuum, and
Fourier transforms are unitary; pty-chi's forward transform has no factor, so that its probe is ours divided by N.
"""

import argparse
import ctypes
import json
import os
import time

import numpy as np
import ptychi.api as api
import torch
from ptychi.api.task import PtychographyTask

ENGINES = {
    "lsqml": api.LSQMLOptions,
    "rpie": api.RPIEOptions,
    "epie": api.EPIEOptions,
    "dm": api.DMOptions,
    "raar": api.RAAROptions,
}


def keep_memory() -> None:
    """Let the C library keep what large arrays leave: asking the system anew each time costs pty-chi up to a third."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # not glibc
        return
    no_maps, trim_threshold = -4, -1
    mallopt(no_maps, 0)
    mallopt(trim_threshold, 2**31 - 1)


def far_fields(object_: np.ndarray, probe: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Far fields (J, MODE, N, N), zero frequency at [0, 0], by pty-chi's conventions.

    The window begins at the nearest whole pixel; what is left of a position, at most half a pixel, moves the first mode
    by a factor in its Fourier transform. pty-chi leaves the other modes where they are.
    """
    n = probe.shape[-1]
    nearest = np.round(positions)
    rows, columns = ((positions - nearest)[:, axis, None, None] for axis in (0, 1))
    frequency = np.fft.fftfreq(n).astype(np.float32)
    ramps = np.exp(-2j * np.pi * (frequency[:, None] * rows + frequency * columns)).astype(np.complex64)
    shifted = np.repeat(probe[None], len(positions), axis=0)
    shifted[:, 0] = np.fft.ifft2(np.fft.fft2(probe[0]) * ramps)
    windows = np.stack([object_[y : y + n, x : x + n] for y, x in nearest.astype(int)])
    return np.fft.fft2(windows[:, None] * shifted, norm="ortho")


def residual(object_: np.ndarray, probe: np.ndarray, positions: np.ndarray, counts: np.ndarray) -> float:
    """sqrt(sum (|F| - sqrt I)^2 / sum I) over all frames ``counts`` (J, N, N), zero frequency at [0, 0]."""
    total = 0.0
    for begin in range(0, len(counts), 32):
        part = slice(begin, begin + 32)
        field = far_fields(object_, probe, positions[part])
        amplitude = np.sqrt((field.real**2 + field.imag**2).sum(axis=1))
        total += float(((amplitude - np.sqrt(counts[part])) ** 2).sum(dtype=np.float64))
    return float(np.sqrt(total / counts.sum(dtype=np.float64)))


def options_of(arguments: argparse.Namespace, n: int) -> api.options.task.PtychographyTaskOptions:
    """pty-chi's options of an engine: its defaults but for what the command line says, object and probe free."""
    options = ENGINES[arguments.engine]()
    reconstructor = options.reconstructor_options
    reconstructor.default_device = api.Devices.CPU
    reconstructor.random_seed = arguments.seed
    if arguments.engine in ("dm", "raar"):
        reconstructor.chunk_length = arguments.batch  # all frames are one batch; this bounds what is worked on at once
    else:
        reconstructor.batch_size = arguments.batch
        reconstructor.batching_mode = api.BatchingModes(arguments.batching)
    if arguments.engine == "lsqml":
        reconstructor.noise_model = api.NoiseModels(arguments.noise)
        reconstructor.momentum_acceleration_gain = arguments.momentum
        # That epoch only finds the probe's power, which is right already.
        reconstructor.rescale_probe_intensity_in_first_epoch = False
    if arguments.engine in ("epie", "rpie"):
        options.object_options.alpha = arguments.alpha
        options.probe_options.alpha = 1.0
    options.object_options.step_size = arguments.object_step
    options.probe_options.step_size = arguments.probe_step
    options.probe_options.optimization_plan.start = arguments.probe_start
    options.probe_position_options.optimizable = False
    # With this origin a position is that of a window's first pixel; by default it is that of the window's centre, seen
    # from the centre of the object.
    options.object_options.determine_position_origin_coords_by = api.ObjectPosOriginCoordsMethods.SPECIFIED
    options.object_options.position_origin_coords = [(n - 1) / 2] * 2
    return options


def start_of(data: dict[str, np.ndarray], which: str, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Object and probe to begin with: the truth, or vacuum and the given probe with the brightest frame's power."""
    if which == "truth":
        return data["true_object"].astype(np.complex64), data["true_probe"].astype(np.complex64)
    probe = data["probe"].astype(np.complex64)
    power = counts.sum(axis=(1, 2), dtype=np.float64).max()
    probe *= np.float32(np.sqrt(power / np.sum(np.abs(probe) ** 2, dtype=np.float64)))
    return np.ones(tuple(data["object_shape"]), np.complex64), probe


def state_of(task: PtychographyTask) -> tuple[np.ndarray, np.ndarray]:
    """Object (Y, X) and probe (MODE, N, N) of a task, as the module's text has them."""
    probe = task.get_data_to_cpu("probe", as_numpy=True)[0]
    return task.get_data_to_cpu("object", as_numpy=True)[0].copy(), probe * np.float32(probe.shape[-1])


def check_conventions(task: PtychographyTask, positions: np.ndarray) -> float:
    """Largest difference between pty-chi's intensities of some frames and :func:`far_fields`, as share of the largest.

    Raises
    ------
    SystemExit
        if the two mean different things.
    """
    some = np.linspace(0, len(positions) - 1, 5).astype(int)
    with torch.no_grad():
        theirs = task.reconstructor.forward_model.forward(torch.as_tensor(some)).numpy()
    ours = (np.abs(far_fields(*state_of(task), positions[some])) ** 2).sum(axis=1)
    difference = float(np.abs(ours - theirs).max() / ours.max())
    if difference > 1e-3:
        raise SystemExit(f"pty-chi's frames and ours differ by {difference:.2g} of the brightest pixel")
    return difference


def measure(arguments: argparse.Namespace) -> dict[str, object]:
    """Run, write the result where wanted, and return what is printed."""
    data = dict(np.load(arguments.data))
    counts = np.fft.ifftshift(data["frames"], axes=(1, 2)).astype(np.float32)
    positions = data["positions_px"].astype(np.float32)
    object_, probe = start_of(data, arguments.start, counts)
    n = probe.shape[-1]
    begin = time.perf_counter()
    options = options_of(arguments, n)
    options.data_options.fft_shift = False  # done above; pty-chi's fftshift would be wrong for an odd N
    task = PtychographyTask(
        options,
        diffraction_data=counts,
        object_data=object_[None],
        probe_data=probe[None] / np.float32(n),
        probe_position_y_px=positions[:, 0],
        probe_position_x_px=positions[:, 1],
    )
    setup = time.perf_counter() - begin
    difference = check_conventions(task, positions)
    times: list[float] = []
    processor = 0.0
    curve = [[0, 0.0, residual(*state_of(task), positions, counts)]]
    for epoch in range(1, arguments.epochs + 1):
        begin, processor_begin = time.perf_counter(), time.process_time()
        task.run(1)
        times.append(time.perf_counter() - begin)
        processor += time.process_time() - processor_begin
        if epoch in arguments.at or epoch == arguments.epochs:
            curve.append([epoch, round(sum(times), 4), residual(*state_of(task), positions, counts)])
            if curve[-1][2] <= arguments.until:
                break
        if sum(times) > arguments.seconds:
            break
    object_, probe = state_of(task)
    if arguments.out:
        np.savez(arguments.out, object=object_, probe=probe, positions_px=positions)
    later = times[1:] or times
    return {
        "peer": "pty-chi",
        "engine": arguments.engine,
        "batch": arguments.batch,
        "epochs": arguments.epochs,
        "threads": torch.get_num_threads(),
        "object_step": arguments.object_step,
        "probe_step": arguments.probe_step,
        "alpha": arguments.alpha,
        "batching": arguments.batching,
        "momentum": arguments.momentum,
        "seconds_setup": round(setup, 4),
        "seconds_first_epoch": round(times[0], 4) if times else None,
        "seconds_per_epoch": round(float(np.mean(later)), 4) if times else None,
        "seconds_fastest_epoch": round(min(later), 4) if times else None,
        "patterns_per_second": round(len(counts) / float(np.mean(later)), 1) if times else None,
        "cores_busy": round(processor / sum(times), 2) if times else None,
        "convention_difference": difference,
        "curve": [[epoch, seconds, round(value, 6)] for epoch, seconds, value in curve],
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="npz to read")
    parser.add_argument("engine", choices=sorted(ENGINES))
    parser.add_argument("--batch", type=int, default=100, help="patterns in a minibatch; dm, raar: in a chunk")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--at", type=int, nargs="*", default=[1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200])
    parser.add_argument("--until", type=float, default=0.0, help="stop at this residual after an epoch of --at")
    parser.add_argument("--seconds", type=float, default=np.inf, help="stop after so many")
    parser.add_argument("--start", choices=["file", "truth"], default="file")
    parser.add_argument("--out", help="npz for object and probe")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--object-step", type=float, default=1.0, help="share of the step that the engine proposes")
    parser.add_argument("--probe-step", type=float, default=1.0, help="the same for the probe")
    parser.add_argument("--probe-start", type=int, default=0, help="epochs, from 0, before this leave the probe alone")
    parser.add_argument(
        "--alpha", type=float, default=0.1, help="rpie: regularisation of the object's step; epie: factor"
    )
    parser.add_argument("--batching", choices=["random", "uniform", "compact"], default="random")
    parser.add_argument("--momentum", type=float, default=0.0, help="lsqml: gain of the momentum acceleration")
    parser.add_argument("--noise", choices=["gaussian", "poisson"], default="gaussian", help="lsqml: noise model")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    keep_memory()
    torch.set_num_threads(arguments.threads)
    print(json.dumps(measure(arguments)))


if __name__ == "__main__":
    main()
