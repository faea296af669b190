"""Homogeneous particles look like cores with shells at their edges, until edge pixels are left out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from scipy import ndimage, signal

from stxmdist.arrays import F64
from stxmdist.crossmodal.psf import gaussian_kernel, zone_plate_kernel, zone_plate_sigma_nm
from stxmdist.particles.psf_bias import psf_bias
from stxmdist.particles.segment import SegmentOptions, segment
from stxmdist.spectra.checks.classes import edge_zone
from stxmdist.spectra.end_members.design_matrix import design_matrix
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitters.contract import FITTERS, FitOptions
from stxmdist.stages.segment.options import Options

ENERGIES = np.array([703.0, 706.6, 708.2, 710.2, 713.0])
FINE_NM, STEP = 5.0, 2
PIXEL_NM = FINE_NM * STEP
SHELLS_NM = (0.0, 30.0, 60.0, 90.0)
MOST_BIAS = 0.02
LEAST_PX = 20
RINGS_LEFT = 0.4
ZONES = (60.0, 0.3)


@dataclass(frozen=True, eq=False)
class Shells:
    """Bias of soc in each shell of depth below the planted outline."""

    all_pixels: F64
    trusted: F64
    """Without the edge zone; NaN where it holds the whole shell"""
    undone: F64
    """Without the edge zone, and with what imaging the sharp maps of ``psf_bias`` adds taken off"""


def shells(
    lfp: EndMembers,
    soc: float,
    thickness_nm: float,
    kernel: Callable[[float], F64],
    sigma_nm: float,
    *,
    weighted: bool = True,
) -> Shells:
    """A superellipse of 700 x 450 nm, imaged through the PSF in transmission without noise, segmented and fitted."""
    shape = (238, 262)
    y, x = np.indices(shape) * FINE_NM
    plate = (np.abs((y - 597.0) / 225.0) ** 4 + np.abs((x - 653.0) / 350.0) ** 4 < 1.0).astype(float)
    design = design_matrix(lfp, ENERGIES)
    od = design @ np.array([1.0 - soc, soc]) * thickness_nm
    cover = signal.fftconvolve(plate, kernel(FINE_NM), mode="same")
    imaged = 1.0 - (1.0 - np.exp(-od))[:, None, None] * _binned(cover)
    fit = FITTERS["poisson" if weighted else "least_squares"].load()(
        imaged.reshape(ENERGIES.size, -1).astype(np.float32),
        np.full(ENERGIES.size, 1e4),
        design,
        FitOptions(bias_removed=False, weighted=weighted),
    )
    maps = fit.coefficients.reshape(2, *imaged.shape[1:])
    labels = segment(maps.sum(axis=0), np.ones(maps.shape[1:], bool), PIXEL_NM, SegmentOptions(smoothing_px=0.0))
    assert labels.max() == 1
    edge = edge_zone(labels > 0, PIXEL_NM, Options().edge_sigmas * sigma_nm)
    model = psf_bias(labels, maps, psf=kernel(PIXEL_NM), design_per_nm=design)
    with np.errstate(invalid="ignore", divide="ignore"):
        bias = maps[1] / maps.sum(axis=0) - soc
    with np.errstate(invalid="ignore", divide="ignore"):
        added = model.imaged_nm[1] / model.imaged_nm.sum(axis=0) - model.sharp_nm[1] / model.sharp_nm.sum(axis=0)
    outline = _binned(plate) > 0.5
    depth_nm = (ndimage.distance_transform_edt(outline) - 0.5) * PIXEL_NM
    rows = []
    for values, keep in ((bias, outline), (bias, outline & ~edge), (bias - added, outline & ~edge)):
        inside = [keep & (labels > 0) & (depth_nm >= low) & (depth_nm < low + 30.0) for low in SHELLS_NM]
        # A sliver of a shell that the edge zone leaves over is no shell.
        rows.append([float(values[one].mean()) if one.sum() > LEAST_PX else np.nan for one in inside])
    return Shells(*np.array(rows))


def _binned(fine: F64) -> F64:
    return np.asarray(fine.reshape(fine.shape[0] // STEP, STEP, fine.shape[1] // STEP, STEP).mean(axis=(1, 3)))


@pytest.mark.parametrize("thickness_nm", [100.0, 200.0])
@pytest.mark.parametrize("soc", [0.0, 1.0])
def test_a_homogeneous_particle_has_no_shell_after_the_edge_policy(
    lfp: EndMembers, soc: float, thickness_nm: float, capsys: pytest.CaptureFixture[str]
) -> None:
    gaussian, zone_plate = partial(gaussian_kernel, sigma_nm=30.0), partial(_rings, zones=ZONES)
    found = {
        "Gaussian of sigma 30 nm, energies alike": shells(lfp, soc, thickness_nm, gaussian, 30.0, weighted=False),
        "Gaussian of sigma 30 nm": shells(lfp, soc, thickness_nm, gaussian, 30.0),
        "zone plate of 60 nm": shells(lfp, soc, thickness_nm, zone_plate, zone_plate_sigma_nm(*ZONES)),
    }
    with capsys.disabled():
        print(f"\n  soc {soc:g}, {thickness_nm:g} nm, bias in shells of 30 nm from the outline inwards:")
        for name, one in found.items():
            rows = [_row(values) for values in (one.all_pixels, one.trusted, one.undone)]
            print(f"    {name}: all {rows[0]}; without edges {rows[1]}; PSF undone {rows[2]}")
    for one in list(found.values())[:2]:
        assert abs(one.all_pixels[0]) > 2.0 * MOST_BIAS
        assert np.isfinite(one.trusted).sum() >= 2
        assert np.nanmax(np.abs(one.trusted)) < MOST_BIAS
    # The rings of a zone plate reach far beyond any edge zone: only the model of the imaging takes them off.
    rings = found["zone plate of 60 nm"]
    assert np.nanmax(np.abs(rings.undone)) < RINGS_LEFT * np.nanmax(np.abs(rings.trusted))


def _rings(pixel_nm: float, zones: tuple[float, float]) -> F64:
    return zone_plate_kernel(pixel_nm, *zones, round(500.0 / pixel_nm))


def _row(values: F64) -> str:
    return " ".join("   -  " if np.isnan(value) else f"{value:+.3f}" for value in values)
