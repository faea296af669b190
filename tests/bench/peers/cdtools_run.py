"""cdtools (MIT) on the CPU: FancyPtycho by Adam, one probe mode, positions held.

Reads the npz of ``simulated_scan.py`` and prints one line of JSON: a curve of ``[epoch, seconds, residual]``, the
residual being sqrt(sum (sqrt M - sqrt I)^2 / sum I) of cdtools' own model of the frames, and the seconds those of the
optimisation alone.
"""

import argparse
import json
import os
import time

import numpy as np
import torch
from cdtools.datasets import Ptycho2DDataset
from cdtools.models import FancyPtycho

WAVELENGTH_M, PIXEL_M, DETECTOR_PIXEL_M = 1e-9, 1e-8, 2e-5
"""Any that belong together: only pixels matter"""


def dataset_of(data: dict[str, np.ndarray]) -> Ptycho2DDataset:
    """The frames as cdtools has them: rows go down along -y, columns along -x, translations are those of the beam."""
    frames, positions = data["frames"], data["positions_px"]
    n = frames.shape[-1]
    down = -PIXEL_M * np.column_stack([positions[:, 1], positions[:, 0], np.zeros(len(positions))])
    basis = np.array([[0.0, -1.0], [-1.0, 0.0], [0.0, 0.0]]) * DETECTOR_PIXEL_M
    return Ptycho2DDataset(
        torch.as_tensor(down, dtype=torch.float32),
        torch.as_tensor(frames.astype(np.float32)),
        wavelength=torch.tensor(WAVELENGTH_M),
        detector_geometry={
            "distance": torch.tensor(PIXEL_M * n * DETECTOR_PIXEL_M / WAVELENGTH_M, dtype=torch.float32),
            "basis": torch.as_tensor(basis, dtype=torch.float32),
            "corner": None,
        },
        mask=torch.ones(frames.shape[1:], dtype=torch.bool),
    )


def model_of(dataset: Ptycho2DDataset, data: dict[str, np.ndarray], start: str) -> FancyPtycho:
    """A model that begins with the truth, or with vacuum and the given probe, its power that of the brightest frame."""
    model = FancyPtycho.from_dataset(dataset, n_modes=1, obj_padding=0, propagation_distance=0)
    probe = data["true_probe" if start == "truth" else "probe"].astype(np.complex64)
    if start != "truth":
        power = data["frames"].sum(axis=(1, 2), dtype=np.float64).max()
        probe = probe * np.float32(np.sqrt(power / np.sum(np.abs(probe) ** 2, dtype=np.float64)))
    object_ = data["true_object"] if start == "truth" else np.ones(tuple(data["object_shape"]))
    model.probe_norm = torch.tensor(float(np.abs(probe).max()))
    model.probe.data = torch.as_tensor(probe) / model.probe_norm
    model.obj.data = torch.as_tensor(object_.astype(np.complex64))
    model.min_translation = torch.zeros(2)
    for held in (model.weights, model.translation_offsets, model.background):
        held.requires_grad = False
    return model


def residual(model: FancyPtycho, dataset: Ptycho2DDataset) -> float:
    """Of all frames, each with the same object and probe."""
    misfit = total = 0.0
    with torch.no_grad():
        for begin in range(0, len(dataset), 32):
            inputs, counts = dataset[begin : begin + 32]
            modelled = model.forward(*inputs)
            misfit += float(((modelled.clamp(min=0).sqrt() - counts.sqrt()) ** 2).sum(dtype=torch.float64))
            total += float(counts.sum(dtype=torch.float64))
    return (misfit / total) ** 0.5


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="npz to read")
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--rate", type=float, default=0.02, help="learning rate of Adam")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--until", type=float, default=0.0, help="stop at this residual")
    parser.add_argument("--seconds", type=float, default=np.inf, help="stop after so many")
    parser.add_argument("--start", choices=["file", "truth"], default="file")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    asked = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(asked.threads)
    data = dict(np.load(asked.data))
    dataset = dataset_of(data)
    model = model_of(dataset, data, asked.start)
    curve, seconds = [[0, 0.0, residual(model, dataset)]], 0.0
    optimisation = model.Adam_optimize(asked.epochs, dataset, lr=asked.rate, batch_size=asked.batch, thread=False)
    for epoch in range(1, asked.epochs + 1):
        begin = time.perf_counter()
        next(optimisation)
        seconds += time.perf_counter() - begin
        curve.append([epoch, seconds, residual(model, dataset)])
        if curve[-1][2] <= asked.until or seconds > asked.seconds:
            break
    print(json.dumps({"peer": "cdtools", "engine": "adam", "curve": curve}))


if __name__ == "__main__":
    main()
