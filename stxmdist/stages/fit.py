"""Fit: the transmission spectrum of every pixel becomes thicknesses of the end-members, with covariance and classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, Literal

import numpy as np

from storage.layout import ArrayPlan
from stxmdist.arrays import F32, U8, Array, MaskClass
from stxmdist.planning.grid import Grid, grid_of
from stxmdist.planning.survey import Stage, Survey
from stxmdist.runner.perform import Outcome, threads_lent
from stxmdist.runner.unit import Estimate, Plan, Unit
from stxmdist.runner.writing import ShardWriter, bytes_of
from stxmdist.spectra.checks.classes import ClassOptions, classify, od_range
from stxmdist.spectra.end_members.dispersion import phase_per_nm
from stxmdist.spectra.fitters.contract import (
    FITTERS,
    FROM_LOGARITHMS,
    MAPS,
    Fit,
    FitContext,
    FitOptions,
    design_slope,
    mean_residual,
    r_factor,
    state_of_charge,
)
from stxmdist.spectra.fitters.fill_factor import as_if_covered
from stxmdist.stages.inputs.spectral_model import (
    SpectralModel,
    identity_of_references,
    references_of,
    spectral_model,
    upstream_of_references,
    without_pre_edge,
)

NAME = "fit"


Fitter = Literal[
    "poisson",
    "poisson_non_negative",
    "nnls",
    "least_squares",
    "sum_to_one",
    "two_energy",
    "polar_angle",
    "white_line",
    "l3_l2",
    "complex",
    "fill_factor",
    "poisson_shift",
]
"""Names of ``stxmdist.spectra.fitters.contract.FITTERS``."""

LEAST_COUNTS = -5.0
"""Fewer counts than this in any image are no noise about zero: the dark level was taken off twice, or wrong"""

LEAST_COUNTED = 0.5
"""Fewer counts than this are none, for fitters that take logarithms"""

PIXELS_PER_UNIT = 65536
"""A block of this many pixels takes a second or less, and its 100 energies fit into 30 MB."""


@dataclass(frozen=True)
class Options:
    """How pixels are fitted."""

    fitter: Fitter = "poisson"
    """Maximum likelihood of counted photons (``poisson``; with thicknesses not below zero, ``poisson_non_negative``;
    with an energy shift or a covered share of every pixel's own, ``poisson_shift`` and ``fill_factor``); least squares
    of optical density (``least_squares``, ``nnls``, ``sum_to_one``, with the phase ``complex``); two energies
    (``two_energy``, ``polar_angle``); peaks (``white_line``, ``l3_l2``)
    """
    fitter_ptychography: Fitter | None = None
    """Another one for ptychography scans, such as ``complex``; None: the same"""
    background: Literal["none", "constant", "power_law"] = "none"
    """What absorbs beside the end-members, by its shape over energy"""
    fit: FitOptions = field(default_factory=FitOptions)
    """How the fitter iterates and weighs"""
    classes: ClassOptions = field(default_factory=ClassOptions)
    """Beyond which limits a pixel is not used"""
    fit_energy_shift: bool = True
    """Let the energy scale of each stack be off; found from its mean spectrum."""
    largest_energy_shift_ev: float = 0.6
    """Not looked for beyond"""
    energy_shift_sd_ev: float = 0.2
    """How far monochromators are usually off: taken where the energies are too few to tell."""
    pre_edge_below_ev: float | None = None
    """Take each pixel's mean before this energy off first, and the end-members' too; None: do not. Against films and
    binders, for scans of one edge with energies before it; a ``constant`` background is found from all energies instead
    """
    rows_per_unit: int = 0
    """Rows of pixels in one unit; 0 lets the size of the image decide."""


def upstream(survey: Survey, scan_id: str) -> tuple[tuple[str, str], ...]:
    """Fit reads the aligned stack, and where its end-members are found by exploring, what was found."""
    return (("align", scan_id), *upstream_of_references(survey, scan_id))


def identity(survey: Survey, scan_id: str) -> Any:
    """The end-members."""
    return identity_of_references(survey, scan_id)


def plan(survey: Survey, options: Options) -> Plan:
    """One unit for each block of rows of each scan."""
    units: list[Unit] = []
    for scan_id in survey.scans:
        if survey.ready(NAME, scan_id):
            units += _units(survey, scan_id, options)
    return Plan(tuple(units))


def rows_per_unit(grid: Grid, options: Options) -> int:
    """How many rows of an image one unit fits."""
    return min(grid.ny, options.rows_per_unit or max(1, PIXELS_PER_UNIT // grid.nx))


def fitter_of(modality: str, options: Options) -> str:
    """Name of the fitter for scans of a modality."""
    other = options.fitter_ptychography if modality == "ptychography" else None
    return other or options.fitter


def _units(survey: Survey, scan_id: str, options: Options) -> list[Unit]:
    grid = grid_of(survey, scan_id)
    rows = rows_per_unit(grid, options)
    references = references_of(survey, scan_id)
    fitter = fitter_of(survey.scans[scan_id].modality, options)
    arrays = _arrays(grid, rows, references.get("thickness_unit", "nm"), MAPS.get(fitter, ()))
    n_energy = len(grid.energy_ev)
    units = []
    for block in range(ceil(grid.ny / rows)):
        part = slice(block * rows, min((block + 1) * rows, grid.ny))
        pixels = (part.stop - part.start) * grid.nx
        units.append(
            survey.unit(
                NAME,
                scan_id,
                f"rows-{part.start:05d}-{part.stop:05d}",
                owns={plan.name: ((*([0] * (len(plan.shape) - 2)), block, 0),) for plan in arrays},
                arrays=arrays,
                part={"rows": (part.start, part.stop), "block": block, "references": references, "fitter": fitter},
                estimate=Estimate(
                    bytes_out=bytes_of(arrays) * (part.stop - part.start) // grid.ny,
                    peak_bytes=pixels * (3 * n_energy + 60) * 4,
                    core_seconds=0.1 + pixels * n_energy * 4e-8,
                ),
            )
        )
    return units


IN_REFERENCES = {
    "thickness_nm": "thickness of (discharged, charged) material in reference samples, not in nm",
    "thickness_covariance": "covariance of the two thicknesses, in reference samples: 00, 01, 11",
}
"""What arrays mean whose name speaks of nm, where the end-members are not per nm."""


def _arrays(grid: Grid, rows: int, thickness_unit: str = "nm", more: tuple[str, ...] = ()) -> tuple[ArrayPlan, ...]:
    image = {"y": (grid.y_um, "um"), "x": (grid.x_um, "um")}
    components = image | {"component": (["discharged", "charged"], "")}

    def maps(name: str, leading: int = 0) -> ArrayPlan:
        front = (leading,) if leading else ()
        shape, shard = (*front, grid.ny, grid.nx), (*front, rows, grid.nx)
        coords = components if name == "thickness_nm" else image
        relative = thickness_unit == "reference" and name in IN_REFERENCES
        about = {"units": "1", "long_name": IN_REFERENCES[name]} if relative else {}
        return ArrayPlan(name, shape, shard, None, coords, about)

    names = ("background", "soc", "soc_se", "chi2_reduced", "mask_class")
    return (maps("thickness_nm", 2), maps("thickness_covariance", 3), *(maps(name) for name in (*names, *more)))


def work(unit: Unit) -> Outcome:
    """Fit one block of rows."""
    options: Options = unit.options
    align = unit.source("align")
    model = spectral_model(
        unit,
        unit.part["references"],
        background=options.background,
        fit_shift=options.fit_energy_shift,
        largest_shift_ev=options.largest_energy_shift_ev,
        prior_sd_ev=options.energy_shift_sd_ev,
        pre_edge_below_ev=options.pre_edge_below_ev,
    )
    rows = slice(*unit.part["rows"])
    stack = align.read("transmission", (slice(None), rows, slice(None)))
    shape = stack.shape[1:]
    transmission = stack.reshape(len(stack), -1)
    if not model.used.all():
        transmission = transmission[model.used]
    transmission, level = without_pre_edge(transmission, model.before_edge)
    fitter = unit.part["fitter"]
    beside = _beside(unit, model, options, rows)
    fitted = FITTERS[fitter].load()(transmission, model.effective_counts, model.design, options.fit, beside)
    thickness = fitted.coefficients[:2]
    # The fitter knows one number of photons for each energy; a pixel has fewer by its level before the edge.
    covariance = np.stack([fitted.covariance[0, 0], fitted.covariance[0, 1], fitted.covariance[1, 1]]) / level
    fitted = replace(fitted, chi2_reduced=fitted.chi2_reduced * level)
    soc, variance = state_of_charge(thickness, covariance)
    soc_se = np.sqrt(variance)
    parts = (thickness.reshape(2, *shape), soc_se.reshape(shape), level.reshape(shape))
    classes = _classes(unit, model, *parts, fitted, rows).ravel()
    dark = (transmission < (LEAST_COUNTS / model.effective_counts[:, None]).astype(np.float32)).any(axis=0)
    if fitter in FROM_LOGARITHMS:
        dark |= (transmission < (LEAST_COUNTED / model.effective_counts[:, None]).astype(np.float32)).any(axis=0)
    classes[dark & np.isin(classes, (MaskClass.valid, MaskClass.poor_fit, MaskClass.thick))] = MaskClass.low_count
    # Where there is no particle the ratio of two noises is not a state of charge: it stays unknown, not zero.
    unknown = np.isin(classes, (MaskClass.background, MaskClass.missing, MaskClass.outside))
    soc[unknown] = np.nan
    soc_se[unknown] = np.nan
    background = fitted.coefficients[2] if len(fitted.coefficients) > 2 else np.zeros(soc.shape, np.float32)

    write = ShardWriter(unit)
    block = unit.part["block"]
    write("thickness_nm", (0, block, 0), thickness.reshape(2, *shape))
    write("thickness_covariance", (0, block, 0), covariance.reshape(3, *shape))
    for name, values in (
        ("background", background),
        ("soc", soc),
        ("soc_se", soc_se),
        ("chi2_reduced", fitted.chi2_reduced),
        *fitted.maps.items(),
        ("mask_class", classes.astype(np.uint8)),
    ):
        write(name, (block, 0), np.ascontiguousarray(values.reshape(shape)))
    good = classes == MaskClass.valid
    if "fill_factor" in fitted.maps:
        transmission = as_if_covered(transmission, fitted.maps["fill_factor"])
    residual, residual_se = mean_residual(transmission, fitted.coefficients, model.design, good)
    shares = r_factor(transmission[:, good], fitted.coefficients[:, good], model.design)
    return write.outcome(
        {
            "energy_shift_ev": model.shift_ev,
            "energy_shift_se_ev": model.shift.se_ev,
            "energy_shift_note": model.shift.why,
            "end_members": model.end_members.source,
            "thickness_unit": model.end_members.thickness_unit,
            "energies_used": int(model.used.sum()),
            "energy_ev": model.energy_ev,
            "pixels_valid": int(good.sum()),
            "pixels": {MaskClass(c).name: int((classes == c).sum()) for c in np.unique(classes)},
            "chi2_reduced": _median(fitted.chi2_reduced[good]),
            "r_factor": _median(shares),
            "residual": residual,
            "residual_se": residual_se,
        }
    )


def _beside(unit: Unit, model: SpectralModel, options: Options, rows: slice) -> FitContext:
    """What fitters want beside the stack, of a block of rows; the phase only for the one that looks at it."""
    align = unit.source("align")
    terms = model.design.shape[1]
    slope = design_slope(model.end_members, model.energy_ev, model.shift_ev, options.background)
    mean_od = align.read("mean_od")[model.used]
    if model.before_edge is not None:
        slope[:, :2] -= slope[model.before_edge, :2].mean(axis=0)
        mean_od = mean_od - mean_od[model.before_edge].mean()
    phase = phase_design = None
    if unit.part["fitter"] == "complex" and "phase" in align.arrays():
        stack = align.read("phase", (slice(None), rows, slice(None)))[model.used]
        phase = stack.reshape(len(stack), -1)
        phase_design = np.zeros((len(stack), terms))
        phase_design[:, :2] = phase_per_nm(model.end_members, model.energy_ev, model.shift_ev).T
    return FitContext(model.energy_ev, mean_od, slope, phase, phase_design, threads=threads_lent())


def _classes(unit: Unit, model: SpectralModel, thickness: F32, soc_se: F32, level: F32, fitted: Fit, rows: slice) -> U8:
    """Classes (Y, X) of a block; edges come later, with the outlines of the particles."""
    strongest, jump, steepest = od_range(model.design[:, :2], thickness)
    # All that absorbs, not the cathode alone, decides how much light is left.
    od_max = strongest - np.log(level)
    aligned = unit.source("align").read("aligned_class", (rows, slice(None)))
    return classify(
        jump,
        thickness_nm=thickness.sum(axis=0) if model.end_members.thickness_unit == "nm" else None,
        soc_se=soc_se,
        od_max=od_max,
        least_counts=model.effective_counts[steepest] * np.exp(-od_max),
        chi2_reduced=fitted.chi2_reduced.reshape(soc_se.shape),
        degrees_of_freedom=model.design.shape[0] - model.design.shape[1],
        missing=aligned == MaskClass.missing,
        outside=aligned == MaskClass.outside,
        options=unit.options.classes,
    )


def _median(values: Array) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else None


def finish(survey: Survey, measured: Mapping[str, Sequence[Any]]) -> Mapping[str, Any]:
    """Quality figures of each scan: those of its blocks, weighted by their valid pixels."""
    return {scan_id: _merged(list(units)) for scan_id, units in measured.items()}


def _merged(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    weights = np.array([block["pixels_valid"] for block in blocks], dtype=float)
    counts: dict[str, int] = {}
    for block in blocks:
        for name, number in block["pixels"].items():
            counts[name] = counts.get(name, 0) + number
    merged = dict(blocks[0]) | {"pixels": counts, "pixels_valid": int(weights.sum())}
    for name in ("chi2_reduced", "r_factor", "residual"):
        values = [np.array(b[name], dtype=float) for b in blocks if b[name] is not None and b["pixels_valid"]]
        kept = weights[[b[name] is not None and b["pixels_valid"] > 0 for b in blocks]]
        merged[name] = np.average(np.stack(values), axis=0, weights=kept).tolist() if values else None
    return merged


STAGE = Stage(
    name=NAME,
    version=3,
    options=Options,
    measures=dict,
    upstream=upstream,
    plan=plan,
    work=work,
    identity=identity,
    finish=finish,
    worker_bytes=680_000_000,
)
