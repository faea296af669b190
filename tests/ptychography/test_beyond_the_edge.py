"""Light beyond the detector's edge: laid in larger frames, frames tell of it up to the aperture's own angle."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from stxmdist.ptychography import gauge
from stxmdist.ptychography.problem import Reconstruction
from stxmdist.ptychography.reconstruct import Step
from stxmdist.readers.frames.upsampled import finer, laid_in
from stxmdist.readers.frames.windowing import middle_of
from tests.ptychography.conftest import run

N, EDGE = 64, 32
"""Pixels of the whole pattern, and of the detector: its edge is at a quarter of a cycle a pixel"""
PIXEL_NM, ZONE_NM = 10.0, 30.0
SCHEDULE = (Step("rpie", 30), Step("lsqml", 60))


def grainy(shape: tuple[int, int]) -> np.ndarray:
    """Weak grains of a pixel: light at all angles."""
    blots = gaussian_filter(np.random.default_rng(3).normal(size=shape), 0.8)
    return np.exp(-(0.1 + 0.2j) * np.clip(blots / blots.std(), 0.0, 2.0))


def likeness(made: Any, found: Reconstruction, low: float, high: float) -> float:
    """Correlation with the truth of frequencies between two, in cycles a pixel."""
    light = found.illumination
    lit = light > 0.5 * np.median(light[light > 0])
    rows, columns = (np.flatnonzero(lit.any(axis=axis)) for axis in (1, 0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    same = gauge.remove_ramp(found.object_, made.object_, lit.astype(float))
    fade = np.hanning(lit[box].shape[0])[:, None] * np.hanning(lit[box].shape[1])
    one, other = (np.fft.fft2((v[box] - v[box][lit[box]].mean()) * fade) for v in (same, made.object_))
    at = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, fade.shape), indexing="ij"))
    ring = (at >= low) & (at < high)
    both = (one * other.conj())[ring].sum().real
    return float(both / np.sqrt((np.abs(one[ring]) ** 2).sum() * (np.abs(other[ring]) ** 2).sum()))


@pytest.mark.long
def test_what_lies_beyond_the_edge_is_found_up_to_the_aperture_and_no_farther(measurement: Callable[..., Any]) -> None:
    made = measurement(n=N, side=9, step=4.0, outer_zone_nm=ZONE_NM, defocus_um=1.5, counts=1e6, whole=False,
                       hooded=True)  # fmt: skip
    made = made.again(object_=grainy(made.object_.shape))
    measured = middle_of(made.problem.frames, (EDGE, EDGE))
    assert measured.sum() < 0.999 * made.problem.frames.sum()  # light is lost
    # The start knows of no light beyond the edge, as one that was found from the frames does not.
    spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(made.probe, axes=(-2, -1)), norm="ortho"), axes=(-2, -1))
    cut = np.fft.ifftshift(middle_of(spectrum, (EDGE, EDGE)), axes=(-2, -1))
    coarse = np.fft.fftshift(np.fft.ifft2(cut, norm="ortho"), axes=(-2, -1))
    problem = replace(
        made.problem,
        frames=laid_in(measured, (N, N)),
        good=laid_in(np.ones((EDGE, EDGE), bool), (N, N)),
        probe=finer(coarse, (N, N)),
    )
    found = run(problem, *SCHEDULE)
    edge, aperture = 0.5 * EDGE / N, PIXEL_NM / (2.0 * ZONE_NM)
    # Without larger frames the object has no frequency beyond the edge at all: its likeness there is 0.
    assert likeness(made, found, edge, edge + 0.5 * aperture) > 0.9
    assert likeness(made, found, edge + 0.5 * aperture, edge + 0.8 * aperture) > 0.6
    assert abs(likeness(made, found, edge + 1.2 * aperture, 0.5)) < 0.3
    assert found.stopped == "finished"
