"""Q2: convergence and resolution of the reconstruction of every ptychography scan."""

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from stxmdist.arrays import F64, Real
from stxmdist.measures import ReconstructFigures
from stxmdist.ptychography.frc import ring_frequencies
from stxmdist.report.canvas import DASHES, INK, Absent, Picture, blank, grid_of_axes
from stxmdist.report.evidence import Evidence, label_of, not_drawn

MOST_SCANS = 12
MOST_CURVES = 40
MOST_NAMED = 8
"""Energies in the legend of a scan"""


def convergence(evidence: Evidence) -> Picture | Absent:
    """Residual over iterations and Fourier ring correlation of every ptychography scan, a line per tile and energy."""
    title = "Convergence and resolution of ptychography"
    scans = evidence.having("reconstruct", modality="ptychography")
    if not scans:
        return Absent("Q2", title, "No ptychography scan has been reconstructed.")
    shown = scans[:MOST_SCANS]
    figure = blank(7.6, 1.8 * len(shown))
    cells = grid_of_axes(figure, len(shown), 2)
    for (left, right), scan in zip(cells, shown, strict=True):
        output = evidence.output("reconstruct", scan.scan_id)
        assert output is not None
        figures = evidence.figures(ReconstructFigures, "reconstruct", scan.scan_id)
        pixel_nm = 1.0 if figures is None or figures.pixel_nm is None else float(np.mean(figures.pixel_nm))
        error, frc = output.read("error"), output.read("frc")
        energy_ev = np.asarray(output.read("energy_ev"), np.float64)
        iterations = np.arange(1, error.shape[-1] + 1, dtype=float)
        _curves(left, error, [iterations] * (error.shape[0] * error.shape[1]), energy_ev)
        _curves(right, frc, list(ring_frequencies(frc.reshape(-1, frc.shape[-1])) / pixel_nm), energy_ev)
        _energies(right, energy_ev)
        left.set(ylabel="amplitude residual")
        noise = np.asarray([] if figures is None else figures.shot_noise_residual, dtype=np.float64)
        if np.isfinite(noise).any():
            left.axhline(float(np.nanmedian(noise)), color=INK, lw=0.8, ls=":")
        left.set_ylim(0, None)
        left.set_title(label_of(scan), fontsize=8)
        right.set(ylim=(-0.1, 1.05), ylabel="ring correlation")
        right.locator_params(axis="x", nbins=6)
        half = evidence.half_period_nm(scan.scan_id)
        if np.isfinite(half) and half > 0:
            right.axvline(0.5 / half, color=INK, lw=0.8, ls="--")
            right.set_title(f"half-bit half-period {half:.1f} nm", fontsize=8)
    cells[-1][0].set_xlabel("iteration")
    cells[-1][1].set_xlabel("spatial frequency (1/nm)")
    return Picture(
        "Q2-convergence",
        title,
        "Left: distance of modelled from measured amplitudes after each iteration, one line per tile and energy "
        "(colours and dashes are energies, in eV at the right); the dotted line is what counting noise alone would "
        "leave, median over tiles and energies. Right: Fourier ring correlation of reconstructions from two halves of "
        "the frames; the dashed line is where it falls below the half-bit criterion, median over tiles and energies."
        + not_drawn(scans, shown),
        f"Residual over iterations and Fourier ring correlation over frequency of {len(shown)} ptychography scans.",
        figure,
        ("scans",),
    )


def _curves(axes: Axes, curves: Real, x: list[F64], energy_ev: F64) -> None:
    """Draw some of the curves (ENERGY, TILE, POINT), evenly taken, each over its own ``x`` (POINT,)."""
    energies, tiles, points = curves.shape
    flat = curves.reshape(-1, points)
    for i in range(0, len(flat), max(1, -(-len(flat) // MOST_CURVES))):
        energy = i // max(1, tiles)
        axes.plot(x[i], flat[i], lw=0.9, **_style(energy, energies), label=f"_{energy_ev[energy]:g} eV")


def _style(energy: int, energies: int) -> dict[str, Any]:
    """Colour and dash of an energy by its number: along one scale, so that neighbours look alike."""
    colour = colormaps["plasma"](0.9 * energy / max(1, energies - 1))
    return {"color": colour, "ls": DASHES[energy % len(DASHES)] if energies > 1 else "-"}


def _energies(axes: Axes, energy_ev: F64) -> None:
    """Which line is which energy, some of them where there are many."""
    n = len(energy_ev)
    shown = np.unique(np.linspace(0, n - 1, min(n, MOST_NAMED)).round().astype(int)).tolist()
    handles = [Line2D([], [], lw=0.9, label=f"{energy_ev[i]:.1f}", **_style(i, n)) for i in shown]
    axes.legend(handles=handles, fontsize=6.5, loc="center left", bbox_to_anchor=(1.0, 0.5), title="eV",
                title_fontsize=6.5, handlelength=2.4, labelspacing=0.25)  # fmt: skip
