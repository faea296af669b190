"""Scans with what makes real ones hard: few energies, few photons, thick plates, films of binder, a third phase."""

from dataclasses import dataclass, replace
from functools import partial
from unittest.mock import patch

import numpy as np
import pandas as pd
from scipy import fft, ndimage

from stxmdist.arrays import F32, F64, I32, Mask, MaskClass
from stxmdist.simulation.chemistry import COMPONENTS, EndMember, absorption_per_nm
from stxmdist.simulation.crowd import lay_crowd
from stxmdist.simulation.design import Design
from stxmdist.simulation.optics import point_spread
from stxmdist.simulation.phantom import PATTERNS, Particle, Region, make_particle
from stxmdist.simulation.powder import Powder
from stxmdist.simulation.sizes import StxmSetup
from stxmdist.simulation.stxm import fine_axis, gather, scan_axes
from stxmdist.spectra.checks.component_count import CountOptions, PixelBlock, ReadPixels
from stxmdist.spectra.density.absorbance import contrast_map, incident_counts, particle_free, remove_leak
from stxmdist.spectra.density.mean_spectrum import mean_spectrum, sample_pixels, smooth_absorption
from stxmdist.spectra.density.particle_spectra import particle_pixels, particle_spectra
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.spectra.end_members.shift_of_particles import ParticleSpectra
from stxmdist.spectra.fitting.block import StackBlock, fit_block
from stxmdist.spectra.fitting.model import SpectralModel, StackSummary, model_of_stack, without_pre_edge
from stxmdist.spectra.fitting.unfitted_film import unfitted_film_map
from stxmdist.stages.fit import Options as FitOptions
from stxmdist.stages.segment import describe
from stxmdist.stages.segment.describe import FittedScan, counted, outlined
from stxmdist.stages.segment.metrics import Description
from stxmdist.stages.segment.options import Options

ENERGIES = {
    2: (708.2, 710.2),
    3: (700.0, 708.2, 710.2),
    6: (703.0, 705.0, 706.6, 708.2, 710.2, 713.0),
    7: (700.0, 705.0, 706.6, 708.2, 709.3, 710.2, 715.0),
    10: (700.0, 704.0, 706.6, 707.6, 708.2, 709.2, 710.2, 711.4, 714.0, 722.0),
    35: tuple(np.linspace(700.0, 735.0, 35).tolist()),
}
SETUP = StxmSetup(n_px=90, oversample=2)
FILM_POWER = 2.8
"""Carbon absorbs with the photon energy to minus this power"""
NORMAL_95 = 1.96
WIDE_UM = 0.21
MATCHED_IOU = 0.5
PATTERN_SHARES = (0.45, 0.25, 0.30)
OPTIONS = Options(end_member_sd=0.0)
"""The simulation was made with the very end-members that the fit uses"""


@dataclass(frozen=True)
class HardCase:
    """What one kind of scan is like."""

    energies: int = 10
    photons: float = 1000.0
    thickness_nm: tuple[float, float] = (80.0, 160.0)
    film_od: float = 0.0
    """Largest optical density of binder and carbon at 700 eV, in patches over the field"""
    third_share: float = 0.0
    """Share of the thickness of every other particle: an iron phase whose white line lies anywhere near theirs"""
    ends: bool = False
    """Every plate is one of the two end-members"""
    edge_on: float = 0.0
    """Share of plates that stand on edge"""
    overlapping: float = 0.0
    """Share of plates that lie across another"""
    offset_ev: tuple[float, float] | None = None
    """Least and largest size of the monochromator's offset; None: drawn from what the fit believes of it"""


def scanned(case: HardCase, seed: int, options: Options = OPTIONS) -> pd.DataFrame:
    """Wide true particles of one scan, with what the table says of those that were found."""
    fit = FitOptions()
    rng = np.random.default_rng([seed, case.energies])
    setup = replace(SETUP, energy_ev=ENERGIES[case.energies], counts=case.photons)
    axes = scan_axes((0.0, 0.0), setup)
    region = _region(case, setup, rng)
    offset = _offset_ev(case, fit, rng)
    leak = setup.leak_fraction + float(rng.normal(0.0, options.leak_sd))
    transmission = _transmission(case, region, setup, offset, rng)
    drift = np.exp(np.cumsum(rng.normal(0.0, setup.i0_drift, len(setup.energy_ev))))
    seen = rng.poisson(case.photons * drift[:, None, None] * transmission).astype(np.float32)
    free = particle_free(contrast_map(seen))
    i0, variance = incident_counts(seen, free)
    light = remove_leak(seen / i0[:, None, None].astype(np.float32), leak)
    scan, model = _fitted(light, i0, variance / i0**2, axes, np.array(setup.energy_ev), fit)
    found = outlined(scan, model, options, fit.classes)
    count = counted(scan, found, model, partial(_pixels, light, scan), CountOptions())
    # What looks inside particles, and its twins, take most of the time and are not asked here.
    with patch.object(describe, "with_metrics", lambda table, field, *rest: Description(table, pd.DataFrame(), field)):
        table = describe.described(scan, found, model, options, fit.classes, count).particles.set_index("particle_id")
    rows = _matched(region, region.labels(*axes), found.labels, table, setup)
    return rows.assign(seed=seed, offset=offset, shift=model.shift_ev, shift_se=model.shift.se_ev,
                       background=model.fitted_background)  # fmt: skip


def _pixels(light: F32, scan: FittedScan, model: SpectralModel) -> ReadPixels:
    """Reads the pixels of a stack as the fit saw them."""

    def read(rows: slice, chosen: Mask) -> PixelBlock:
        assert scan.background is not None
        used = light[:, rows].reshape(len(light), -1)[model.used][:, chosen]
        ratio, level = without_pre_edge(used, model.before_edge)
        thickness = np.asarray(scan.thickness_nm[:, rows].reshape(2, -1)[:, chosen], np.float32)
        return PixelBlock(ratio, thickness, np.asarray(scan.background[rows].ravel()[chosen], np.float32), level)

    return read


def _fitted(
    light: F32, i0: F64, relative_variance: F64, axes: tuple[F64, F64], energy_ev: F64, fit: FitOptions
) -> tuple[FittedScan, SpectralModel]:
    """A stack taken through mean spectrum, energy shift, background and fit, as the stages do; nothing drifts."""
    n, *shape = light.shape
    absorption, known = smooth_absorption(light, np.ones(n, bool), np.ones(shape, bool))
    mean_od, mean_variance = mean_spectrum(light, sample_pixels(absorption, known), i0, relative_variance)
    particles = ParticleSpectra(*particle_spectra(light, particle_pixels(absorption, known), i0), relative_variance)
    stack = StackSummary(
        energy_ev, mean_od, mean_variance, i0, np.ones(n, np.uint8), particles, field_transmission=lambda: light
    )
    model = model_of_stack("hard", stack, CHEMISTRIES["LFP"].load().end_members(), fit.model_options("stxm"))
    block = StackBlock(light, np.full(shape, MaskClass.valid, np.uint8))
    done = fit_block(block, model, fit.fitter, fit.fit, fit.classes)
    scan = FittedScan(
        y_um=axes[0], x_um=axes[1], thickness_nm=done.thickness, thickness_covariance=done.covariance, soc=done.soc,
        soc_se=done.soc_se, chi2_reduced=done.chi2_reduced, mask_class=done.mask_class, noise_correlation_px2=1.0,
        i0_relative_variance=relative_variance[model.used], modality="stxm", background=done.background,
    )  # fmt: skip
    film = unfitted_film_map(_pixels(light, scan, model), (shape[0], shape[1]), model)
    return replace(scan, unfitted_film=film), model


def _offset_ev(case: HardCase, fit: FitOptions, rng: np.random.Generator) -> float:
    if case.offset_ev is not None:
        return float(rng.uniform(*case.offset_ev) * rng.choice([-1.0, 1.0]))
    drawn = rng.normal(0.0, fit.energy_shift_sd_ev)
    while abs(drawn) > fit.largest_energy_shift_ev - 0.05:
        drawn = rng.normal(0.0, fit.energy_shift_sd_ev)
    return float(drawn)


def _third(rng: np.random.Generator) -> EndMember:
    """Another iron phase: the same iron, white lines of other places, widths and heights."""
    line = float(rng.uniform(707.0, 712.5))
    lines = (
        (line, float(rng.uniform(0.6, 1.2)), float(rng.uniform(2.0, 5.0))),
        (line + float(rng.uniform(12.0, 14.0)), 1.1, float(rng.uniform(0.6, 1.5))),
    )
    return EndMember("third phase", (("Fe", 1),), 2.18e-3, 2.42, lines)


def _region(case: HardCase, setup: StxmSetup, rng: np.random.Generator) -> Region:
    half = 0.5 * setup.n_px * setup.pixel_nm * 1e-3
    middle = float(np.mean(case.thickness_nm))
    powder = Powder(touching=0.0, cover=0.2, thickness_nm=middle, thickness_limits_nm=case.thickness_nm,
                    thickness_sigma_log=0.3)  # fmt: skip
    design = Design(edge_on=case.edge_on, overlapping=case.overlapping)
    plates = lay_crowd((-half, -half), (half, half), powder, design, rng)
    particles: list[Particle] = []
    for number, laid in enumerate(plates, start=1):
        plate = laid.outline
        soc = float(rng.integers(2)) if case.ends else float(rng.uniform(0.05, 0.95))
        pattern = str(rng.choice(PATTERNS, p=PATTERN_SHARES))
        one = make_particle(number, plate, pattern, np.clip(soc, 0.011, 0.989), rng)
        one = replace(one, edge_on=laid.edge_on)
        particles.append(replace(one, base=soc, amplitude=0.0, soc_mean=soc) if case.ends else one)
    return Region(tuple(particles))


def _transmission(case: HardCase, region: Region, setup: StxmSetup, offset_ev: float, rng: np.random.Generator) -> F64:
    """(ENERGY, Y, X): the specimen made transparent on a fine grid, blurred and gathered; no drift."""
    reach = 14 * setup.oversample
    y_um, x_um = scan_axes((0.0, 0.0), setup)
    axes = [fine_axis(axis, setup.oversample, reach) for axis in (y_um, x_um)]
    thickness = region.thickness_nm(axes[0], axes[1])
    third = np.zeros(thickness.shape[1:])
    if case.third_share:
        labels = ndimage.grey_dilation(region.labels(axes[0], axes[1]), size=7)
        here = (labels % 2 == 1) & (labels > 0)
        third = np.where(here, case.third_share * thickness.sum(axis=0), 0.0)
        thickness = np.where(here, (1.0 - case.third_share) * thickness, thickness)
    energy = np.asarray(setup.energy_ev) + offset_ev
    mu = np.stack([absorption_per_nm(one, energy) for one in (*COMPONENTS, _third(rng))])
    film = np.zeros(third.shape)
    if case.film_od:
        coarse = ndimage.gaussian_filter(rng.normal(size=third.shape), 0.35e3 / (setup.pixel_nm / setup.oversample))
        order = coarse.ravel().argsort().argsort().reshape(coarse.shape) / coarse.size
        film = case.film_od * np.clip((order - 0.55) / 0.45, 0.0, 1.0)
    kernel = point_spread(setup.pixel_nm / setup.oversample, 708.0, setup.zone_plate, reach)
    shape = [fft.next_fast_len(n, real=True) for n in third.shape]
    placed = np.zeros(shape)
    placed[: kernel.shape[0], : kernel.shape[1]] = kernel
    transfer = fft.rfft2(np.roll(placed, (-reach, -reach), axis=(0, 1)))
    out = []
    for k in range(energy.size):
        od = mu[0, k] * thickness[0] + mu[1, k] * thickness[1] + mu[2, k] * third
        od = od + film * (energy[k] / 700.0) ** -FILM_POWER
        blurred = fft.irfft2(fft.rfft2(np.exp(-od), shape) * transfer, shape)
        n = setup.n_px * setup.oversample
        out.append(gather(blurred[reach : reach + n, reach : reach + n], setup.oversample))
    leak = setup.leak_fraction
    return np.asarray((np.maximum(np.stack(out), 0.0) + leak) / (1.0 + leak))


FLAGGED = "missing component|misfit"
"""Flags that say of a particle itself that its number is doubtful"""
NOT_EXCLUDED = "third phase not excluded"
"""Flag that says of a scan that it could not see a third phase"""


def shown(name: str, table: pd.DataFrame) -> str:
    """A line of the table of cases: coverage, bias, rms, lost particles, and those inside or flagged."""
    error, told = table["soc_mean"] - table["soc_true"], table["soc_mean"].notna()
    inside = (error.abs() < NORMAL_95 * table["soc_se"])[told]
    flagged = table["flags"].str.contains(FLAGGED)[told]
    return (
        f"\n  {name:28} {int(told.sum()):5d} inside {inside.mean():.3f}, or flagged {(inside | flagged).mean():.3f}, "
        f"bias {error.mean():+.4f}, rms {np.sqrt((error**2).mean()):.4f}, se {table['soc_se'].median():.4f}, lost "
        f"{1.0 - told.mean():.3f}"
    )


def _matched(region: Region, true: I32, labels: I32, table: pd.DataFrame, setup: StxmSetup) -> pd.DataFrame:
    rows = []
    half = 0.5 * setup.n_px * setup.pixel_nm * 1e-3
    for particle in region.particles:
        plate = particle.outline
        if max(abs(plate.y_um), abs(plate.x_um)) + plate.reach_um > half - 0.05 or plate.diameter_um < WIDE_UM:
            continue
        mine = true == particle.particle_id
        here = labels[mine & (labels > 0)]
        row: dict[str, object] = {"found": False, "soc_mean": np.nan, "soc_se": np.nan, "flags": "not found"}
        if here.size:
            label = int(np.bincount(here).argmax())
            region_of = labels == label
            if (region_of & mine).sum() > MATCHED_IOU * (region_of | mine).sum():
                row = {"found": True} | table.loc[label].to_dict()
        rows.append(row | {"soc_true": particle.soc_mean, "d_true_um": plate.diameter_um,
                           "t_true_nm": plate.thickness_nm, "has_third": particle.particle_id % 2 == 1,
                           "edge_on": particle.edge_on})  # fmt: skip
    return pd.DataFrame(rows)
