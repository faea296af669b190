"""Stacks of plates of known charge, as a microscope would record them, taken through the stages' own chain of steps."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from stxmdist.arrays import F64, I32, MaskClass
from stxmdist.simulation.phantom import PATTERNS, Outline, Particle, Region, make_particle
from stxmdist.simulation.sizes import StxmSetup
from stxmdist.simulation.stxm import StxmModel, StxmNuisance, scan_axes
from stxmdist.spectra.checks.classes import ClassOptions, classify, od_range
from stxmdist.spectra.density.absorbance import contrast_map, incident_counts, particle_free, remove_leak
from stxmdist.spectra.density.mean_spectrum import mean_absorption, mean_spectrum, sample_pixels
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitters.contract import FITTERS, state_of_charge
from stxmdist.spectra.fitting.model import SpectralModel, StackSummary, model_of_stack
from stxmdist.stages.fit import Options as FitOptions
from stxmdist.stages.segment.describe import FittedScan, described, outlined
from stxmdist.stages.segment.options import Options

ENERGIES = (700.0, 703.0, 706.6, 707.7, 708.2, 709.2, 710.2, 711.2, 713.0, 716.0, 721.8, 726.0)
SETUP = StxmSetup(energy_ev=ENERGIES, n_px=80, pixel_nm=50.0)
DIAMETERS_UM = (0.2, 2.0)
THICKNESSES_NM = (60.0, 160.0)
GAP_UM = 0.25
LEAK = 0.01
ENERGY_OFFSET_SD_EV = 0.15
I0_STEP = 0.01
MATCHED_IOU = 0.5


@dataclass(frozen=True, eq=False)
class PlantedStack:
    """Light before it is counted, and what it went through."""

    particles: tuple[Particle, ...]
    true_labels: I32
    """(Y, X)"""
    y_um: F64
    x_um: F64
    transmission: F64
    """(ENERGY, Y, X) leak included"""
    i0_shape: F64
    """(ENERGY,) incident beam over its nominal value"""
    end_members: EndMembers
    """What the fit believes in: wrong by what the options say"""


def plant_stack(rng: np.random.Generator, options: Options, setup: StxmSetup = SETUP) -> PlantedStack:
    """Plates in a field and every nuisance, each drawn from what the options claim to know of it."""
    y_um, x_um = scan_axes((0.0, 0.0), setup)
    region = Region(tuple(_particles(rng, 0.5 * setup.n_px * setup.pixel_nm * 1e-3)))
    n = len(setup.energy_ev)
    nuisance = StxmNuisance(
        energy_offset_ev=float(rng.normal(0.0, ENERGY_OFFSET_SD_EV)),
        leak_fraction=LEAK + float(rng.normal(0.0, options.leak_sd)),
        shift_um=np.zeros((n, 2)),
        i0_counts=np.exp(np.cumsum(rng.normal(0.0, I0_STEP, n))),
    )
    model = StxmModel(region.thickness_nm, y_um, x_um, setup, nuisance)
    return PlantedStack(
        region.particles,
        region.labels(y_um, x_um),
        y_um,
        x_um,
        np.stack([model.transmission(k) for k in range(n)]),
        nuisance.i0_counts,
        _wrong(CHEMISTRIES["LFP"].load().end_members(), options.end_member_sd, rng),
    )


def _wrong(members: EndMembers, soc_sd: float | None, rng: np.random.Generator) -> EndMembers:
    """End-members that are wrong by what they say themselves, or both more charged than they are taken for."""
    if soc_sd is None:
        assert members.errors is not None
        causes = rng.normal(size=len(members.errors.causes))
        return replace(members, mu_per_nm=members.mu_per_nm + np.tensordot(causes, members.errors.shapes, axes=1))
    discharged, charged = members.mu_per_nm
    step = float(rng.normal(0.0, soc_sd)) * (charged - discharged)
    return replace(members, mu_per_nm=np.stack([discharged - step, charged - step]))


def _particles(rng: np.random.Generator, half_um: float) -> Iterator[Particle]:
    placed: list[Outline] = []
    for _ in range(40):
        diameter = float(np.exp(rng.uniform(*np.log(DIAMETERS_UM))))
        outline = Outline(
            y_um=0.0,
            x_um=0.0,
            diameter_um=diameter,
            aspect=float(rng.uniform(1.0, 1.6)),
            angle_rad=float(rng.uniform(0.0, np.pi)),
            exponent=4.0,
            thickness_nm=float(rng.uniform(*THICKNESSES_NM)),
        )
        room = half_um - outline.reach_um - GAP_UM
        at = rng.uniform(-room, room, 2)
        outline = replace(outline, y_um=float(at[0]), x_um=float(at[1]))
        if any(
            np.hypot(outline.y_um - one.y_um, outline.x_um - one.x_um) < outline.reach_um + one.reach_um + GAP_UM
            for one in placed
        ):
            continue
        placed.append(outline)
        yield make_particle(len(placed), outline, str(rng.choice(PATTERNS)), float(rng.uniform(0.0, 1.0)), rng)
        if len(placed) == 6:
            return


def fitted(
    stack: PlantedStack, counts: float, rng: np.random.Generator, options: FitOptions
) -> tuple[FittedScan, SpectralModel]:
    """The stack counted, and taken through incident beam, mean spectrum, energy shift and fit."""
    n, *shape = stack.transmission.shape
    expected = counts * stack.i0_shape[:, None, None] * np.maximum(stack.transmission, 0.0)
    seen = rng.poisson(expected).astype(np.float32)
    free = particle_free(contrast_map(seen))
    i0, variance = incident_counts(seen, free)
    transmission = remove_leak(seen / i0[:, None, None].astype(np.float32), LEAK)
    relative = variance / i0**2
    everywhere = np.ones(shape, bool)
    chosen = sample_pixels(mean_absorption(transmission), everywhere)
    mean_od, mean_variance = mean_spectrum(transmission, chosen, i0, relative)
    model = model_of_stack(
        "planted",
        StackSummary(np.array(ENERGIES), mean_od, mean_variance, i0, np.ones(n, np.uint8)),
        stack.end_members,
        options,
    )
    fit = FITTERS[options.fitter].load()(transmission.reshape(n, -1), model.effective_counts, model.design, options.fit)
    thickness = fit.coefficients[:2].reshape(2, *shape)
    covariance = np.stack([fit.covariance[0, 0], fit.covariance[0, 1], fit.covariance[1, 1]]).reshape(3, *shape)
    soc, soc_variance = state_of_charge(thickness, covariance)
    soc_se = np.sqrt(soc_variance)
    strongest, jump, _ = od_range(model.design[:, :2], thickness)
    classes = classify(
        jump,
        thickness_nm=thickness.sum(axis=0),
        soc_se=soc_se,
        od_max=strongest,
        chi2_reduced=fit.chi2_reduced.reshape(shape),
        degrees_of_freedom=n - model.design.shape[1],
        options=ClassOptions(),
    )
    unknown = classes == MaskClass.background
    scan = FittedScan(
        y_um=stack.y_um,
        x_um=stack.x_um,
        thickness_nm=thickness,
        thickness_covariance=covariance,
        soc=np.where(unknown, np.float32(np.nan), soc),
        soc_se=np.where(unknown, np.float32(np.nan), soc_se),
        chi2_reduced=fit.chi2_reduced.reshape(shape),
        mask_class=classes,
        noise_correlation_px2=1.0,
        i0_relative_variance=relative,
        modality="stxm",
    )
    return scan, model


def matched(stack: PlantedStack, scan: FittedScan, model: SpectralModel, options: Options) -> pd.DataFrame:
    """The table's rows of particles that were found, with their planted state of charge and diameter."""
    found = outlined(scan, model, options, ClassOptions())
    table = described(scan, found, model, options, ClassOptions()).particles.set_index("particle_id")
    rows = []
    for particle in stack.particles:
        true = stack.true_labels == particle.particle_id
        here = found.labels[true & (found.labels > 0)]
        if not here.size:
            continue
        label = int(np.bincount(here).argmax())
        region = found.labels == label
        if (region & true).sum() < MATCHED_IOU * (region | true).sum():
            continue
        row = table.loc[label].to_dict()
        rows.append(row | {"soc_true": particle.soc_mean, "d_true_um": particle.outline.diameter_um})
    return pd.DataFrame(rows)
