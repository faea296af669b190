"""Explore: which spectra a stack holds, found without end-members, block by block from the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from storage.layout import ArrayPlan
from storage.output import Output
from storage.schema import ArraySpec
from stxmdist.arrays import F32, F64, I8, Mask
from stxmdist.errors import InputError
from stxmdist.measures import AlignMeasures, ExploreMeasures
from stxmdist.planning.end_members import (
    EndMemberSource,
    end_member_source,
    end_members_of,
    identity_of_end_members,
)
from stxmdist.planning.explored import file_of
from stxmdist.planning.grid import Grid, grid_of
from stxmdist.planning.survey import Stage, Survey, Upstream
from stxmdist.records import Json, figures_of
from stxmdist.runner.perform import Outcome, threads_lent
from stxmdist.runner.unit import Estimate, Plan, Unit
from stxmdist.runner.writing import ShardWriter, all_shards, bytes_of, single_shard
from stxmdist.spectra.align.aligned_stack import whole_energies
from stxmdist.spectra.explore.contract import EXPLORERS, LEAST_ENERGIES, Exploration, ExplorerEntry, TargetSpectra
from stxmdist.spectra.explore.explore_stack import ExploreOptions, Options, explore_stack
from stxmdist.spectra.explore.pixel_stack import PIXELS_PER_BLOCK, SLAB_BYTES, Block, PixelStack, rows_per_block
from stxmdist.stages.inputs.measured import measured

NAME = "explore"

SHARD_BYTES = 32_000_000
"""A band of maps is written when it holds so many bytes"""
DRAWN_PIXELS = 65536
"""No explorer draws more pixels at random"""
TARGETS = ("discharged", "charged")


@dataclass(frozen=True)
class ExplorePart:
    """What a unit is told beside the options of the stage."""

    seed: int
    targets: EndMemberSource | None
    """Where the end-members come from that are looked for; None: there are none"""


def upstream(survey: Survey, scan_id: str) -> Upstream:
    """Explore reads the aligned stack."""
    return (("align", scan_id),)


def concerns(survey: Survey, scan_id: str) -> bool:
    """Every scan but those of few energies of which images alone are wanted: too few spectra to tell apart."""
    return not survey.scans[scan_id].images_only or len(survey.recordings[scan_id].energy_ev) >= LEAST_ENERGIES


def identity(survey: Survey, scan_id: str) -> Json:
    """The seed where one is used, the end-members where they are looked for."""
    options = survey.options_of(NAME, ExploreOptions, scan_id)
    found: dict[str, Json] = {}
    if _draws_pixels(options):
        found["seed"] = _seed(survey, options)
    if _target_source(survey, scan_id, options) is not None:
        found["references"] = identity_of_end_members(survey, scan_id)
    return found or None


def _draws_pixels(options: ExploreOptions) -> bool:
    return any(EXPLORERS[method].draws_pixels for method in options.methods)


def _seed(survey: Survey, options: ExploreOptions) -> int:
    return survey.campaign.seed if options.seed is None else options.seed


def _target_source(survey: Survey, scan_id: str, options: ExploreOptions) -> EndMemberSource | None:
    """Where the targets of a scan come from; None where none are looked for.

    Spectra that an exploration finds are no targets of another: nobody could say which comes first.
    """
    wanted = any(EXPLORERS[method].wants_end_members for method in options.methods)
    if not wanted or survey.scans[scan_id].images_only:
        return None
    source = end_member_source(survey, scan_id)
    return None if source.explored else source


def plan(survey: Survey, options: ExploreOptions) -> Plan:
    """One unit for each scan."""
    return Plan(tuple(_unit(survey, scan_id) for scan_id in survey.scans if survey.ready(NAME, scan_id)))


def _unit(survey: Survey, scan_id: str) -> Unit[object, ExplorePart]:
    options = survey.options_of(NAME, ExploreOptions, scan_id)
    grid = grid_of(survey, scan_id)
    arrays = arrays_of(grid, options)
    n, pixels = len(grid.energy_ev), grid.ny * grid.nx
    block = 4 * n * min(pixels, PIXELS_PER_BLOCK)
    drawn = 8 * n * min(pixels, DRAWN_PIXELS) * 3 if _draws_pixels(options) else 0
    bands = sum(plan.layout().shard_bytes for plan in arrays if len(plan.shape) == 3)
    seconds = sum(EXPLORERS[method].core_seconds_per_element for method in dict.fromkeys(options.methods))
    return survey.unit(
        NAME,
        scan_id,
        "scan",
        ExplorePart(_seed(survey, options), _target_source(survey, scan_id, options)),
        owns=all_shards(arrays),
        arrays=arrays,
        estimate=Estimate(
            bytes_of(arrays),
            peak_bytes=min(2 * SLAB_BYTES, 4 * n * pixels) + 20 * block + drawn + 2 * bands + pixels * 9,
            core_seconds=0.2 + n * pixels * (3e-8 + seconds),
        ),
    )


def arrays_of(grid: Grid, options: ExploreOptions) -> tuple[ArrayPlan, ...]:
    """What explore leaves for a stack on this grid."""
    n, ny, nx = len(grid.energy_ev), grid.ny, grid.nx
    energy = {"energy": (grid.energy_ev, "eV")}
    image = {"y": (grid.y_um, "um"), "x": (grid.x_um, "um")}
    block = rows_per_block((ny, nx))
    plans = [single_shard("pca_eigenvalues", (n,))]
    for method in dict.fromkeys(options.methods):
        entry = EXPLORERS[method]
        spectra, maps = specs_of(entry)
        parts = entry.number_of_parts(options.of(method), n)
        plans.append(ArrayPlan(spectra.name, (parts, n), (parts, n), None, energy, spec=spectra))
        layers = () if entry.labels else (parts,)
        rows = min(ny, block * max(1, SHARD_BYTES // (4 * parts * nx * block)))
        plans.append(ArrayPlan(maps.name, (*layers, ny, nx), None, (*layers, rows, nx), image, spec=maps))
    return tuple(plans)


def specs_of(entry: ExplorerEntry) -> tuple[ArraySpec, ArraySpec]:
    """What the store is told of the spectra and of the maps that an explorer leaves."""
    spectra = ArraySpec(entry.spectra.name, (entry.part, "energy"), "float64", "1", entry.spectra.meaning)
    if entry.labels:
        return spectra, ArraySpec(entry.maps.name, ("y", "x"), "int8", "", entry.maps.meaning, -1, "small")
    return spectra, ArraySpec(entry.maps.name, (entry.part, "y", "x"), "float32", "1", entry.maps.meaning)


def work(unit: Unit[ExploreOptions, ExplorePart]) -> Outcome:
    """Explore one scan."""
    options, align = unit.options, unit.source("align")
    aligned = measured(unit, AlignMeasures, "align")
    used: Mask = (align.read("energy_used") == 1) & np.isfinite(align.read("effective_counts"))
    # A spectrum is explored where every energy is known: one that lacks half of the field would cost that half.
    used = whole_energies(used, aligned.known_share)
    energy_ev: F64 = align.read("energy_ev")[used]
    write = ShardWriter(unit)
    stack = stack_of(align, used, threads_lent())
    targets = target_spectra(unit.part.targets, energy_ev)
    try:
        explored = explore_stack(
            stack,
            options,
            unit.part.seed,
            aligned.noise_correlation_px2,
            targets,
            where=f"explore of {unit.scan_id}",
        )
    except InputError as error:
        # A pair of energies is measured on purpose: a scan of them is no failure, there is only nothing to find.
        return _nothing(write, str(error.problem))
    eigenvalues = np.full(len(used), np.nan)
    eigenvalues[: len(explored.eigenvalues)] = explored.eigenvalues
    write("pca_eigenvalues", (0,), eigenvalues)
    methods = tuple(dict.fromkeys(options.methods))
    for method in methods:
        _write_spectra(write, EXPLORERS[method], explored.found.get(method), used, energy_ev)
    _write_maps(write, stack, explored.found, methods)
    found = {method: figures_of(one.measures) for method, one in explored.found.items()}
    refused = {method: {"note": note} for method, note in explored.refused.items()}
    return write.outcome(ExploreMeasures(energies=int(used.sum()), explored={**found, **refused}))


def stack_of(align: Output, used: Mask, threads: int = 1) -> PixelStack:
    """The aligned stack as it lies in the store, of the energies that are used."""
    _, ny, nx = align.layout("transmission").shape

    def read_rows(rows: slice) -> F32:
        slab: F32 = align.read("transmission", (slice(None), rows, slice(None)))
        return slab if used.all() else slab[used]

    return PixelStack((ny, nx), align.read("effective_counts")[used], read_rows, threads, SLAB_BYTES)


def target_spectra(source: EndMemberSource | None, energy_ev: F64) -> TargetSpectra | None:
    """The end-members at the energies of a scan; None where they are of another edge, or not known beforehand."""
    if source is None:
        return None
    members = end_members_of(source)
    return TargetSpectra(TARGETS, members.at(energy_ev)) if members.spans(energy_ev).all() else None


def _write_spectra(
    write: ShardWriter, entry: ExplorerEntry, found: Exploration | None, used: Mask, energy_ev: F64
) -> None:
    """The spectra of an explorer; those that may stand for substances as files of two columns as well."""
    spectra = np.full(write.output.layout(entry.spectra.name).shape, np.nan)
    if found is not None:
        spectra[: len(found.spectra), used] = found.spectra
    write(entry.spectra.name, (0, 0), spectra)
    if found is None or not entry.substances:
        return
    for name, spectrum in zip(found.names, found.spectra, strict=True):
        if not np.isfinite(spectrum).all():
            continue
        head = f"# {name} of {write.unit.scan_id}\n# photon energy (eV), optical density\n"
        rows = "".join(f"{energy:.6f},{value:.9g}\n" for energy, value in zip(energy_ev, spectrum, strict=True))
        write.keep(write.output.path / write.output.put(file_of(write.unit.scan_id, name), (head + rows).encode()))


def _write_maps(
    write: ShardWriter, stack: PixelStack, found: Mapping[str, Exploration], methods: Sequence[str]
) -> None:
    """All maps in one pass, a band at a time."""
    bands = {method: _Band(write, EXPLORERS[method].maps.name) for method in methods}

    def part(block: Block) -> tuple[int, int, dict[str, F32 | I8]]:
        return block.first_row, block.n_rows, {method: one.maps(block) for method, one in found.items()}

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
        self.values: F32 | I8 | None = None

    def add(self, first: int, rows: int, maps: F32 | I8 | None) -> None:
        """Some rows, in order; None leaves them unknown."""
        if self.values is None or first // self.rows != self.number:
            self.end()
            self.number = first // self.rows
            region = self.layout.region(self._index())[-2:]
            self.values = self.layout.unknown((*self.layout.shape[:-2], *(part.stop - part.start for part in region)))
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
            write(name, shard, layout.unknown([part.stop - part.start for part in layout.region(shard)]))
    return write.outcome(ExploreMeasures(note=why))


STAGE = Stage(
    name=NAME,
    version=2,
    options=Options,
    measures=ExploreMeasures,
    upstream=upstream,
    plan=plan,
    work=work,
    concerns=concerns,
    identity=identity,
    worker_bytes=620_000_000,
)
