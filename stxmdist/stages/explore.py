"""Explore: what spectra a stack holds, before anybody says what to look for, block by block from the store."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from storage.layout import ArrayPlan, Layout
from storage.output import Output
from storage.schema import array_spec
from stxmdist.arrays import F32, Array, Mask
from stxmdist.errors import InputError
from stxmdist.measures import AlignMeasures
from stxmdist.planning.explored import EXPLORED, file_of
from stxmdist.planning.grid import Grid, grid_of
from stxmdist.planning.survey import Stage, Survey
from stxmdist.runner.perform import Outcome, threads_lent
from stxmdist.runner.unit import Estimate, Plan, Unit
from stxmdist.runner.writing import ShardWriter, bytes_of, single_shard
from stxmdist.spectra.explore.clusters import SAMPLE_PIXELS, ClusterOptions
from stxmdist.spectra.explore.contract import EXPLORERS, Exploration, Exploring, require_energies
from stxmdist.spectra.explore.factorise import FactorOptions
from stxmdist.spectra.explore.pixel_stack import PIXELS_PER_BLOCK, SLAB_BYTES, Block, PixelStack, rows_per_block
from stxmdist.spectra.explore.principal import PrincipalOptions, principal_components
from stxmdist.stages.inputs.measured import measured
from stxmdist.stages.inputs.spectral_model import end_members_of, identity_of_references, references_of

NAME = "explore"

Method = Literal["pca", "nmf", "clusters", "targets"]

SHARD_BYTES = 32_000_000
"""Of one band of maps: so much is kept until it is written."""
TARGETS = ("discharged", "charged")


@dataclass(frozen=True)
class Options:
    """How a stack is explored."""

    methods: tuple[Method, ...] = ("pca",)
    """Principal components, which tell how many there are; non-negative factors; clusters of pixels with alike spectra;
    maps of the end-members within the components' space (``targets``)
    """
    principal: PrincipalOptions = field(default_factory=PrincipalOptions)
    """How components are found; all other methods rest on them"""
    nmf: FactorOptions = field(default_factory=FactorOptions)
    """How non-negative factors are found"""
    clusters: ClusterOptions = field(default_factory=ClusterOptions)
    """How pixels are put together"""
    seed: int | None = None
    """Of the pixels that are drawn at random for clusters and factors; None: the campaign's"""

    def __post_init__(self) -> None:
        if not self.methods:
            raise InputError(
                where="explore.methods",
                problem="no way to explore is named",
                got="none",
                wanted="one or more of " + ", ".join(EXPLORERS),
                mend="Name one, or take the line out to have the principal components",
            )


def upstream(survey: Survey, scan_id: str) -> tuple[tuple[str, str], ...]:
    """Explore reads the aligned stack."""
    return (("align", scan_id),)


def identity(survey: Survey, scan_id: str) -> Any:
    """The seed where one is used, the end-members where they are looked for."""
    options: Options = survey.options[NAME]
    found: dict[str, Any] = {}
    if {"nmf", "clusters"} & set(options.methods):
        found["seed"] = _seed(survey)
    if "targets" in options.methods and not _explored(references_of(survey, scan_id)):
        found["references"] = identity_of_references(survey, scan_id)
    return found or None


def _seed(survey: Survey) -> int:
    seed = survey.options[NAME].seed
    return survey.campaign.seed if seed is None else seed


def _explored(references: Mapping[str, Any]) -> bool:
    """Whether end-members are themselves what an exploration finds."""
    return bool(references.get("explored"))


def plan(survey: Survey, options: Options) -> Plan:
    """One unit for each scan."""
    return Plan(tuple(_unit(survey, scan_id, options) for scan_id in survey.scans if survey.ready(NAME, scan_id)))


def _unit(survey: Survey, scan_id: str, options: Options) -> Unit:
    grid = grid_of(survey, scan_id)
    arrays = arrays_of(grid, options)
    n, pixels = len(grid.energy_ev), grid.ny * grid.nx
    block = 4 * n * min(pixels, PIXELS_PER_BLOCK)
    drawn = 8 * n * min(pixels, SAMPLE_PIXELS) * 3 if {"nmf", "clusters"} & set(options.methods) else 0
    bands = sum(plan.layout().shard_bytes for plan in arrays if len(plan.shape) == 3)
    references = references_of(survey, scan_id) if "targets" in options.methods else {}
    return survey.unit(
        NAME,
        scan_id,
        "scan",
        owns={plan.name: tuple(plan.layout().indices()) for plan in arrays},
        arrays=arrays,
        part={
            "seed": _seed(survey),
            # Spectra that an exploration finds are no targets of another: nobody could say which comes first.
            "references": {} if _explored(references) else references,
        },
        estimate=Estimate(
            bytes_of(arrays),
            peak_bytes=min(2 * SLAB_BYTES, 4 * n * pixels) + 20 * block + drawn + 2 * bands + pixels * 9,
            core_seconds=0.2 + n * pixels * (3e-8 + 4e-7 * ("nmf" in options.methods)),
        ),
    )


def parts_of(method: str, n_energy: int, options: Options) -> int:
    """How many spectra a method finds."""
    return {
        "pca": min(options.principal.components, n_energy),
        "nmf": options.nmf.components,
        "clusters": options.clusters.number,
        "targets": len(TARGETS),
    }[method]


SPECTRA = {
    "pca": "pca_spectra",
    "nmf": "nmf_spectra",
    "clusters": "cluster_spectra",
    "targets": "target_spectra",
}
"""Method to the array of its spectra"""
MAPS = {"pca": "pca_maps", "nmf": "nmf_maps", "clusters": "cluster_labels", "targets": "target_maps"}
"""Method to the array of its maps"""


def arrays_of(grid: Grid, options: Options) -> tuple[ArrayPlan, ...]:
    """What explore leaves for a stack on this grid."""
    n, ny, nx = len(grid.energy_ev), grid.ny, grid.nx
    energy = {"energy": (grid.energy_ev, "eV")}
    image = {"y": (grid.y_um, "um"), "x": (grid.x_um, "um")}
    block = rows_per_block((ny, nx))
    plans = [single_shard("pca_eigenvalues", (n,))]
    for method in dict.fromkeys(options.methods):
        parts = parts_of(method, n, options)
        plans.append(single_shard(SPECTRA[method], (parts, n), energy))
        layers = (parts,) if method != "clusters" else ()
        rows = min(ny, block * max(1, SHARD_BYTES // (4 * parts * nx * block)))
        plans.append(ArrayPlan(MAPS[method], (*layers, ny, nx), None, (*layers, rows, nx), image))
    return tuple(plans)


def work(unit: Unit) -> Outcome:
    """Explore one scan."""
    align = unit.source("align")
    used = (align.read("energy_used") == 1) & np.isfinite(align.read("effective_counts"))
    options: Options = unit.options
    write = ShardWriter(unit)
    try:
        require_energies(int(used.sum()), where=f"explore of {unit.scan_id}")
        stack = stack_of(align, used, threads_lent())
        principal = principal_components(
            stack, options.principal, measured(unit, AlignMeasures, "align").noise_correlation_px2
        )
    except InputError as error:
        # A pair of energies is measured on purpose: a scan of them is no failure, there is only nothing to find.
        return _nothing(write, str(error.problem))
    explored: dict[str, Exploration] = {}
    measures: dict[str, Any] = {"energies": int(used.sum())}
    for number, method in enumerate(EXPLORERS):
        if method not in options.methods:
            continue
        exploring = Exploring(
            stack,
            principal,
            np.random.default_rng([unit.part["seed"], number]),
            options.nmf,
            options.clusters,
            _targets(unit, align.read("energy_ev")[used]) if method == "targets" else None,
        )
        try:
            explored[method] = EXPLORERS[method].load()(exploring)
            measures[method] = dict(explored[method].measures)
        except InputError as error:
            measures[method] = {"note": f"{error.problem}: {error.got}; wanted {error.wanted}"}
    write("pca_eigenvalues", (0,), _at(used, principal.eigenvalues))
    for method in dict.fromkeys(options.methods):
        name = SPECTRA[method]
        spectra = np.full(write.output.layout(name).shape, np.nan)
        if method in explored:
            spectra[: len(explored[method].spectra), used] = explored[method].spectra
            _write_files(write, method, explored[method], align.read("energy_ev")[used])
        write(name, (0, 0), spectra)
    _write_maps(write, stack, explored, tuple(dict.fromkeys(options.methods)))
    return write.outcome(measures)


def _at(used: Array, values: Array) -> Array:
    """Values of as many ranks as energies are used, NaN for the others."""
    return np.concatenate([values, np.full(len(used) - len(values), np.nan)])


def stack_of(align: Output, used: Mask, threads: int = 1) -> PixelStack:
    """The aligned stack as it lies in the store, of the energies that are used."""
    _, ny, nx = align.layout("transmission").shape

    def read_rows(rows: slice) -> F32:
        slab = align.read("transmission", (slice(None), rows, slice(None)))
        return slab if used.all() else slab[used]

    return PixelStack((ny, nx), align.read("effective_counts")[used], read_rows, threads, SLAB_BYTES)


def _targets(unit: Unit, energy_ev: Array) -> tuple[tuple[str, ...], Array] | None:
    """The end-members at the energies of the scan; None where they are of another edge, or not known beforehand."""
    references = dict(unit.part["references"])
    if not references:
        return None
    members = end_members_of(references)
    return (TARGETS, members.at(energy_ev)) if members.spans(energy_ev).all() else None


def _write_files(write: ShardWriter, method: str, found: Exploration, energy_ev: Array) -> None:
    """Each spectrum that can stand for a substance as a file of two columns, as every program of the field reads."""
    if method not in EXPLORED:
        return
    for name, spectrum in zip(found.names, found.spectra, strict=True):
        if not np.isfinite(spectrum).all():
            continue
        head = f"# {name} of {write.unit.scan_id}\n# photon energy (eV), optical density\n"
        rows = "".join(f"{energy:.6f},{value:.9g}\n" for energy, value in zip(energy_ev, spectrum, strict=True))
        write.keep(write.output.path / write.output.put(file_of(write.unit.scan_id, name), (head + rows).encode()))


def _write_maps(
    write: ShardWriter, stack: PixelStack, explored: Mapping[str, Exploration], methods: Sequence[str]
) -> None:
    """All maps in one pass, a band at a time."""
    bands = {method: _Band(write, MAPS[method]) for method in methods}
    made: dict[str, Callable[[Block], Any]] = {method: found.maps for method, found in explored.items()}

    def part(block: Block) -> tuple[int, int, dict[str, Any]]:
        return block.first_row, block.n_rows, {method: maps(block) for method, maps in made.items()}

    for first, rows, maps in stack.each(part):
        for method, band in bands.items():
            band.add(first, rows, maps.get(method))
    for band in bands.values():
        band.end()


class _Band:
    """Rows of a map until there are enough of them for a shard."""

    def __init__(self, write: ShardWriter, name: str) -> None:
        self.write, self.name = write, name
        self.layout = write.output.layout(name)
        self.rows = self.layout.shards[-2]
        self.number = -1
        self.values: Any = None

    def add(self, first: int, rows: int, maps: Any) -> None:
        """Some rows, in order; None leaves them unknown."""
        if first // self.rows != self.number:
            self.end()
            self.number = first // self.rows
            shape = (*self.layout.shape[:-2], *(s.stop - s.start for s in self.layout.region(self._index())[-2:]))
            self.values = _unknown(self.layout, shape)
        if maps is not None:
            start = first % self.rows
            target = self.values[..., start : start + rows, :]
            image = maps.reshape(len(maps), rows, -1)
            if target.ndim == 2:
                target[:] = image[0]
            else:
                target[: len(image)] = image

    def end(self) -> None:
        """Write what there is."""
        if self.values is not None:
            self.write(self.name, self._index(), self.values)
            self.values = None

    def _index(self) -> tuple[int, ...]:
        return (*([0] * (len(self.layout.shape) - 2)), self.number, 0)


def _nothing(write: ShardWriter, why: str) -> Outcome:
    """An output that says why there is nothing in it."""
    for name in write.unit.owns:
        layout = write.output.layout(name)
        for shard in layout.indices():
            shape = [part.stop - part.start for part in layout.region(shard)]
            write(name, shard, _unknown(layout, shape))
    return write.outcome({"note": why})


def _unknown(layout: Layout, shape: Sequence[int]) -> Array:
    """What a reader gets where nothing is known."""
    return np.full(shape, array_spec(layout.name).fill_for(layout.dtype), layout.dtype)


STAGE = Stage(
    name=NAME,
    version=1,
    options=Options,
    measures=dict,
    upstream=upstream,
    plan=plan,
    work=work,
    identity=identity,
    worker_bytes=620_000_000,
)
