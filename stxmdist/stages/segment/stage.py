"""Segment: maps of thickness and state of charge become labelled particles, one row of numbers for each."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from scipy import ndimage

from storage.tables import write_table
from stxmdist.arrays import I32, U8, Array, MaskClass, Real
from stxmdist.crossmodal.psf import gaussian_kernel, zone_plate_kernel, zone_plate_sigma_nm
from stxmdist.measures import AbsorbanceMeasures, AlignMeasures
from stxmdist.particles.chemistry import PointSpread, reach_of
from stxmdist.particles.inside import ChemicalMaps, ChemistryOptions
from stxmdist.particles.psf_bias import psf_bias
from stxmdist.particles.segment import SegmentOptions, segment
from stxmdist.particles.table import particle_table
from stxmdist.planning.conditions import conditions_of
from stxmdist.planning.grid import grid_of
from stxmdist.planning.survey import Stage, Survey
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Unit
from stxmdist.runner.writing import ShardWriter, all_shards, bytes_of, single_shard
from stxmdist.spectra.checks.classes import ClassOptions, edge_zone
from stxmdist.spectra.checks.systematics import SocSensitivity, soc_sensitivity, systematic_soc_error
from stxmdist.spectra.density.mean_spectrum import soc_effects
from stxmdist.stages.inputs.measured import measured
from stxmdist.stages.inputs.spectral_model import (
    SpectralModel,
    identity_of_references,
    references_of,
    spectral_model,
    upstream_of_references,
)
from stxmdist.stages.segment.component_count import COUNTING_BYTES, FLAG, CountOptions, component_columns

NAME = "segment"


RINGS_NM = 500.0
"""How far out the rings of a zone plate's point spread function are followed."""


@dataclass(frozen=True)
class Options:
    """How particles are found and described."""

    segment: SegmentOptions = field(default_factory=SegmentOptions)
    """How the map is cut into particles."""
    chemistry: ChemistryOptions = field(default_factory=ChemistryOptions)
    """Limits of phases and of activity."""
    leak_sd: float = 0.002
    """How well the leak fraction of wide-field scans is known."""
    end_member_sd: float | None = None
    """What unlike end-members add to the error of every state of charge; None: what their own uncertainty makes of it.
    """
    outer_zone_nm: float = 60.0
    """Outermost zone of the zone plate of wide-field scans: sets their point spread function."""
    central_stop_fraction: float = 0.3
    """Diameter of its central stop, as a share of the zone plate's."""
    psf_sigma_ptychography_nm: float = 6.0
    """The same of reconstructed images: about half of their half-period resolution."""
    components: CountOptions = field(default_factory=CountOptions)
    """When particles are said to hold more than the end-members."""
    edge_policy: Literal["mask", "shrink"] = "mask"
    """``mask``: pixels at edges stay in their particle's mean and are left out of all that looks inside; ``shrink``:
    the outlines themselves are drawn in by as much, and what lies outside is no particle any more (sizes shrink too)"""
    edge_sigmas: float = 2.0
    """Pixels within so many PSF sigmas of an outline are classed as edge: their spectra are mixtures."""
    correct_psf_bias: bool = True
    """Subtract from each particle what imaging through the point spread function adds to its state of charge."""


def upstream(survey: Survey, scan_id: str) -> tuple[tuple[str, str], ...]:
    """Segment reads the maps of the fit, and what their errors rest on."""
    return (("fit", scan_id), ("align", scan_id), ("absorbance", scan_id), *upstream_of_references(survey, scan_id))


def identity(survey: Survey, scan_id: str) -> Any:
    """The conditions that go into the table, and the end-members."""
    return {"conditions": conditions_of(survey, scan_id)} | identity_of_references(survey, scan_id)


def plan(survey: Survey, options: Options) -> Plan:
    """One unit for each scan."""
    units = []
    for scan_id, scan in survey.scans.items():
        if not survey.ready(NAME, scan_id):
            continue
        grid = grid_of(survey, scan_id)
        image = {"y": (grid.y_um, "um"), "x": (grid.x_um, "um")}
        arrays = (
            single_shard("labels", (grid.ny, grid.nx), image),
            # The classes of the fit, with edges: only here is known where the outlines are.
            single_shard("mask_class", (grid.ny, grid.nx), image),
        )
        pixels = grid.ny * grid.nx
        units.append(
            survey.unit(
                NAME,
                scan_id,
                "scan",
                owns=all_shards(arrays),
                arrays=arrays,
                part={
                    "references": references_of(survey, scan_id),
                    "fit": survey.options_as_dict("fit"),
                    "conditions": conditions_of(survey, scan_id),
                    "modality": scan.modality,
                },
                estimate=Estimate(
                    bytes_of(arrays),
                    peak_bytes=pixels * 300 + len(grid.energy_ev) * COUNTING_BYTES,
                    core_seconds=0.5 + pixels * (1e-5 + len(grid.energy_ev) * 2e-7),
                ),
            )
        )
    return Plan(tuple(units))


def work(unit: Unit) -> Outcome:
    """Find the particles of one scan and describe them."""
    options: Options = unit.options
    fit, absorbance = unit.source("fit"), unit.source("absorbance")
    model = spectral_model(
        unit,
        background=unit.part["fit"]["background"],
        fit_shift=unit.part["fit"]["fit_energy_shift"],
        largest_shift_ev=unit.part["fit"]["largest_energy_shift_ev"],
        prior_sd_ev=unit.part["fit"]["energy_shift_sd_ev"],
        pre_edge_below_ev=unit.part["fit"]["pre_edge_below_ev"],
    )
    scan = FittedScan(
        **{name: fit.read(name) for name in FIT_ARRAYS},
        noise_correlation_px2=measured(unit, AlignMeasures, "align").noise_correlation_px2,
        i0_relative_variance=(absorbance.read("i0_variance") / absorbance.read("i0_counts") ** 2)[model.used],
        modality=unit.part["modality"],
    )
    found = described(scan, model, options, unit.part["fit"]["background"], ClassOptions(**unit.part["fit"]["classes"]))
    table = found.table
    counted, said = component_columns(
        unit,
        model,
        found.labels,
        found.mask_class,
        scan.noise_correlation_px2,
        scan.i0_relative_variance,
        options.components,
    )
    table = table.assign(**counted)
    lacking = (table["components"] > 2).to_numpy(dtype=bool)
    table["flags"] = [
        ";".join(word for word in (flags, FLAG if lacks else "") if word)
        for flags, lacks in zip(table["flags"], lacking, strict=True)
    ]
    for column, value in reversed(unit.part["conditions"].items()):
        table.insert(0, column, value)
    table["modality"] = unit.part["modality"]

    write = ShardWriter(unit)
    write("labels", (0, 0), found.labels)
    write("mask_class", (0, 0), found.mask_class)
    for path in write_table(table, write.output.path / "particles.parquet", "particles"):
        write.keep(path)
    return write.outcome(
        {
            "particles": len(table),
            "particles_at_border": int(table["touches_border"].sum()),
            "cover": float((found.labels > 0).mean()),
            "psf_sigma_nm": found.psf_sigma_nm,
            "soc_mean": float(table["soc_mean"].mean()) if len(table) else None,
            "thickness_unit": model.end_members.thickness_unit,
            "soc_effect": _soc_effects(measured(unit, AbsorbanceMeasures, "absorbance"), model),
            **said,
        }
    )


def _soc_effects(before: AbsorbanceMeasures, model: SpectralModel) -> dict[str, float | None]:
    """What each correction in counts does to the state of charge of the scan's mean spectrum."""
    mu = np.full((2, len(model.used)), np.nan)
    mu[:, model.used] = model.design[:, :2].T
    if before.mean_od is None or not before.mean_od_without:
        return {}
    return soc_effects(before.mean_od, before.mean_od_without, mu)


FIT_ARRAYS = ("y_um", "x_um", "thickness_nm", "thickness_covariance", "soc", "soc_se", "mask_class")


@dataclass(frozen=True, eq=False)
class FittedScan:
    """The maps of one scan as the fit leaves them, and what their errors rest on."""

    y_um: Real
    """(Y,)"""
    x_um: Real
    """(X,)"""
    thickness_nm: Real
    """(COMPONENT, Y, X) in the end-members' unit"""
    thickness_covariance: Real
    """(3, Y, X): 00, 01, 11"""
    soc: Real
    """(Y, X)"""
    soc_se: Real
    """(Y, X)"""
    mask_class: U8
    """(Y, X), edges not yet"""
    noise_correlation_px2: float
    i0_relative_variance: Real
    """(ENERGY used,) Var(I0)/I0^2"""
    modality: str

    @property
    def pixel_nm(self) -> float:
        """Pitch of the pixels, the mean of both axes."""
        return float(np.mean([np.ptp(axis) / max(1, len(axis) - 1) for axis in (self.y_um, self.x_um)])) * 1e3


@dataclass(frozen=True, eq=False)
class DescribedScan:
    """The particles of one scan."""

    table: Any
    """One row per PARTICLE, without the scan's conditions"""
    labels: I32
    """(Y, X), -1 where nothing is known"""
    mask_class: U8
    """(Y, X) with edges"""
    psf_sigma_nm: float


def described(
    scan: FittedScan, model: SpectralModel, options: Options, background: str, classes: ClassOptions
) -> DescribedScan:
    """From maps to rows of the particle table; ``background`` and ``classes`` are those of the fit."""
    fitted, pixel_nm = scan.mask_class, scan.pixel_nm
    known = ~np.isin(fitted, (MaskClass.missing, MaskClass.outside)) & np.isfinite(scan.thickness_nm).all(axis=0)
    psf_nm, psf = _point_spread(options, scan.modality, pixel_nm)
    nominal = nominal_nm(model, classes)
    thickness_nm = scan.thickness_nm * np.float32(nominal)
    labels = segment(np.where(known, thickness_nm.sum(axis=0), np.nan), known, pixel_nm, options.segment)
    at_edge = edge_zone(labels > 0, pixel_nm, options.edge_sigmas * psf_nm)
    mask = np.where(at_edge & (fitted == MaskClass.valid), np.uint8(MaskClass.edge), fitted)
    shrunk = options.edge_policy == "shrink"
    if shrunk:
        labels = without_gaps(np.where(at_edge, 0, labels))
    sensitivity = _sensitivity(scan, labels, model, background)
    # Drawn-in outlines lie where nothing is lost over them: no skirt is to be added, and no rim to be modelled.
    reach = labels if shrunk else reach_of(labels, psf_nm / pixel_nm)
    imaging = PointSpread(psf_nm / pixel_nm)
    if options.correct_psf_bias and not shrunk and (labels > 0).any():
        per_nm = model.design.copy()
        per_nm[:, :2] /= nominal
        bias = psf_bias(
            labels,
            thickness_nm,
            psf=psf,
            design_per_nm=per_nm,
            weights=model.effective_counts,
            known=known,
            reach=reach,
            interior=mask == MaskClass.valid,
        )
        imaging = replace(imaging, soc_bias=bias.soc, gain=bias.gain, variance=bias.variance)
    maps = ChemicalMaps(
        thickness_nm,
        scan.thickness_covariance * np.float32(nominal**2),
        scan.soc,
        scan.soc_se,
        counted_classes(mask, thickness_nm, classes),
        scan.noise_correlation_px2,
    )
    systematic = systematic_soc_error(
        sensitivity,
        shift_se_ev=model.shift.se_ev,
        leak_sd=options.leak_sd if scan.modality == "stxm" else 0.0,
        end_member_sd=sensitivity.end_members if options.end_member_sd is None else options.end_member_sd,
    )
    table = particle_table(
        labels,
        scan.y_um,
        scan.x_um,
        maps,
        known=known,
        reach=reach,
        soc_se_sys=systematic,
        psf=imaging,
        options=options.chemistry,
    )
    table["soc_per_ev"] = sensitivity.energy_per_ev
    table["soc_per_leak"] = sensitivity.leak
    table["soc_per_i0"] = sensitivity.i0
    if model.end_members.thickness_unit == "reference":
        table["thickness_reference"] = table["thickness_nm"] / nominal
        table["thickness_nm"] = np.nan
    return DescribedScan(table, np.where(known, labels, np.int32(-1)), mask, psf_nm)


def counted_classes(mask_class: U8, thickness_nm: Real, classes: ClassOptions) -> U8:
    """Classes (Y, X) by which a particle's mass is summed: a pixel whose state of charge is too noisy still has mass.

    Such pixels are thin ones whose noise happens to be low or high: without them the mean of a particle in few photons
    is off by .03. Where the campaign asks for a least number of counts, pixels below stay out.
    """
    noisy = (mask_class == MaskClass.low_count) & np.isfinite(thickness_nm).all(axis=0)
    if classes.least_counts > 0.0:
        return mask_class
    return np.where(noisy, np.uint8(MaskClass.background), mask_class).astype(np.uint8)


def without_gaps(labels: I32) -> I32:
    """Labels (Y, X) numbered 1, 2, ... again, in the same order; what is below 1 stays."""
    present = np.unique(labels[labels > 0])
    return np.where(labels > 0, np.searchsorted(present, labels) + 1, labels).astype(np.int32)


def nominal_nm(model: SpectralModel, classes: ClassOptions) -> float:
    """By what thickness is multiplied so that limits in nm can be applied to it: 1 where it is in nm.

    Where it counts reference samples, nobody knows their thickness. Limits in nm stand for steps of optical density at
    the edge then: the least thickness of the fit's classes for the least step of the same.
    """
    if model.end_members.thickness_unit == "nm":
        return 1.0
    step = float(np.ptp(model.design[:, :2], axis=0).mean())
    return step * classes.least_thickness_nm / classes.least_od_jump


def _point_spread(options: Options, modality: str, pixel_nm: float) -> tuple[float, Array]:
    """Gaussian-equivalent sigma in nm, and the point spread function on the map's pixels."""
    if modality == "stxm":
        zones = (options.outer_zone_nm, options.central_stop_fraction)
        half_px = max(2, round(RINGS_NM / pixel_nm))
        return zone_plate_sigma_nm(*zones), zone_plate_kernel(pixel_nm, *zones, half_px)
    sigma = options.psf_sigma_ptychography_nm
    return sigma, gaussian_kernel(pixel_nm, sigma)


def _sensitivity(scan: FittedScan, labels: I32, model: SpectralModel, background: str) -> SocSensitivity:
    """What each shared error does to each particle, at its mean thicknesses."""
    ids = np.unique(labels[labels > 0])
    means = np.empty((2, 0))
    if ids.size:
        means = np.stack([ndimage.mean(np.nan_to_num(part), labels, ids) for part in scan.thickness_nm])
    return soc_sensitivity(
        means,
        model.end_members,
        model.energy_ev,
        model.effective_counts,
        shift_ev=model.shift_ev,
        background=background,  # type: ignore[arg-type]
        i0_relative_variance=scan.i0_relative_variance,
    )


STAGE = Stage(
    name=NAME,
    version=13,
    options=Options,
    measures=dict,
    upstream=upstream,
    plan=plan,
    work=work,
    identity=identity,
    worker_bytes=700_000_000,
)
