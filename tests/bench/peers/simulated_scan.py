"""A scan simulated with plain numpy, written as the npz that the peers read: one probe mode, frames of 128 x 128.

The object is a field of absorbing discs with a fine texture, the probe that of a zone plate with a central stop, out of
focus so that it is some 40 pixels across. Besides what a reconstruction may know the file holds the truth.
"""

import argparse

import numpy as np

FRAME = 128
SPAN = 40
"""Pixels across the probe."""
PUPIL = 26
"""Radius of the pupil in detector pixels."""
STEP = 8.0
"""Pixels from one position to the next. All three are those of a frame of 128 pixels, and grow with it"""
STARTS = {"near": (1.12, 0.97), "focus": (0.0, 1.0)}
"""Of the probe, by its name: span and radius over the true ones"""


def probe(counts: float, span: float = SPAN, radius: float = PUPIL, frame: int = FRAME) -> np.ndarray:
    """The beam (1, N, N) complex64 of a zone plate out of focus; its power is ``counts``."""
    span, radius = span * frame / FRAME, radius * frame / FRAME
    y, x = np.indices((frame, frame)) - frame // 2
    r = np.hypot(y, x)
    edge = 1 / (1 + np.exp((r - radius) / 0.7)) / (1 + np.exp((0.35 * radius - r) / 0.7))
    pupil = edge * np.exp(-1j * np.pi * (span / 2) / (frame * radius) * r**2)
    field = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(pupil)))
    return (field * np.sqrt(counts / np.sum(np.abs(field) ** 2)))[None].astype(np.complex64)


def specimen(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """The transmission function (Y, X) complex64: vacuum 1, discs that absorb and retard, a texture inside them."""
    y, x = np.indices(shape)
    thickness = np.zeros(shape)
    for _ in range(round(shape[0] * shape[1] / 900)):
        cy, cx, radius = rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), rng.uniform(4, 22)
        thickness += rng.uniform(0.3, 1.0) / (1 + np.exp((np.hypot(y - cy, x - cx) - radius) / 0.8))
    texture = np.fft.ifft2(
        np.fft.fft2(rng.normal(size=shape)) * np.exp(-((np.hypot(*_frequencies(shape)) / 0.15) ** 2))
    )
    thickness = np.minimum(thickness, 1.5) * (1 + 0.3 * texture.real / texture.real.std())
    return np.exp((-0.25 + 0.8j) * thickness).astype(np.complex64)


def _frequencies(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None, :]


def scan(
    side: int, counts: float, *, whole: bool, seed: int, frame: int = FRAME, start: str = "near"
) -> dict[str, np.ndarray]:
    """What the npz holds: ``side`` x ``side`` positions, jittered, frames with Poisson noise, and what noise leaves."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), -1).reshape(-1, 2)
    positions = (STEP * grid + rng.uniform(0, 5, grid.shape)) * frame / FRAME
    if whole:
        positions = np.round(positions)
    extent = int(np.ceil(positions.max())) + frame + 2
    object_, beam = specimen((extent, extent), rng), probe(counts, frame=frame)
    fy, fx = _frequencies((frame, frame))
    frames = np.empty((len(positions), frame, frame), np.uint16)
    left = 0.0
    for image, (row, column) in zip(frames, positions, strict=True):
        y, x = round(row), round(column)
        shift = np.exp(-2j * np.pi * (fy * (row - y) + fx * (column - x)))
        wave = np.fft.ifft2(np.fft.fft2(beam[0]) * shift) * object_[y : y + frame, x : x + frame]
        expected = np.abs(np.fft.fftshift(np.fft.fft2(wave, norm="ortho"))) ** 2
        image[...] = rng.poisson(expected)
        left += float(((np.sqrt(image) - np.sqrt(expected)) ** 2).sum())
    span, radius = STARTS[start]
    return {
        "frames": frames,
        "positions_px": positions,
        "noise_residual": np.sqrt(left / frames.sum(dtype=np.float64)),
        "probe": probe(0.8 * counts, span * SPAN, radius * PUPIL, frame),
        "object_shape": np.array(object_.shape),
        "true_object": object_,
        "true_probe": beam,
    }


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--side", type=int, default=27, help="positions along each side of the scan")
    parser.add_argument("--counts", type=float, default=1e6, help="counts of a frame through vacuum")
    parser.add_argument("--whole", action="store_true", help="positions on whole pixels")
    parser.add_argument("--frame", type=int, default=FRAME, help="pixels along a frame's side")
    parser.add_argument("--start", choices=sorted(STARTS), default="near", help="the probe to begin with")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    content = scan(
        arguments.side,
        arguments.counts,
        whole=arguments.whole,
        seed=arguments.seed,
        frame=arguments.frame,
        start=arguments.start,
    )
    np.savez(arguments.file, **content)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
