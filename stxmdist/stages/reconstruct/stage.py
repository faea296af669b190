"""Reconstruct: the diffraction frames of a tile become its complex transmission and the probe, at each energy."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from storage.layout import ArrayPlan
from stxmdist.arrays import F64
from stxmdist.campaign.clusters import GPU
from stxmdist.errors import InputError
from stxmdist.measures import ReconstructFigures, ReconstructMeasures, TileMeasures
from stxmdist.planning.end_members import (
    EndMemberSource,
    end_member_source,
    identity_of_end_members,
    strongest_absorption_per_nm,
    strongest_mass_absorption,
)
from stxmdist.planning.survey import Stage, Survey
from stxmdist.ptychography.chain import Carried, chain_order
from stxmdist.ptychography.checkpoint import Checkpoint
from stxmdist.ptychography.cost import tile_core_seconds, tile_peak_bytes
from stxmdist.ptychography.light import unsteady_words
from stxmdist.ptychography.options import ReconstructOptions
from stxmdist.ptychography.tile import in_shard, reconstruct_tile
from stxmdist.ptychography.tile_measures import not_reconstructed, reconstruct_figures, tile_measures
from stxmdist.ptychography.tiling import Tiling, tiling_of
from stxmdist.ptychography.verdict import VERDICTS
from stxmdist.readers.recording import PtychographyRecording
from stxmdist.records import Json
from stxmdist.runner.perform import Outcome, threads_lent
from stxmdist.runner.unit import Estimate, Plan, Refusal, Unit
from stxmdist.runner.writing import ShardWriter
from stxmdist.stages.inputs.tiles import geometry_of
from stxmdist.stages.reconstruct.scan_frames import scan_frames
from stxmdist.stages.reconstruct.tile_problem import (
    FrameTile,
    ReconstructPart,
    Seed,
    TileUnit,
    device_of,
    seed_of,
    seeds_along,
    start_of,
)
from stxmdist.stages.reconstruct.together import Alone, together

NAME = "reconstruct"


def upstream(survey: Survey, scan_id: str) -> tuple[tuple[str, str], ...]:
    """The frames."""
    return (("ingest", scan_id),)


def concerns(survey: Survey, scan_id: str) -> bool:
    """Ptychography scans."""
    return survey.scans[scan_id].modality == "ptychography"


def identity(survey: Survey, scan_id: str) -> Json:
    """The seed: positions are visited in a drawn order. Where energies share end-members, these too."""
    seed: dict[str, Json] = {"seed": survey.campaign.seed}
    source = _shared_end_members(survey, scan_id)
    return seed if source is None else seed | {"end_members": identity_of_end_members(survey, scan_id)}


def _shared_end_members(survey: Survey, scan_id: str) -> EndMemberSource | None:
    """The end-members that all energies are reconstructed of together; None where none are wanted or known before."""
    wanted = survey.options_of(NAME, ReconstructOptions, scan_id).joint.spectra == "references"
    if not wanted or survey.scans[scan_id].images_only:
        return None
    source = end_member_source(survey, scan_id)
    # What explorations find comes after reconstruction.
    return source if source.explored is None else None


def plan(survey: Survey, options: ReconstructOptions) -> Plan:
    """One unit for each tile with all its energies, or for each tile and energy where these do not need each other."""
    units: list[Unit[object, ReconstructPart]] = []
    refusals: list[Refusal] = []
    for scan in survey.of_modality("ptychography"):
        if survey.ready(NAME, scan.scan_id):
            try:
                units += _units(survey, scan.scan_id)
            except InputError as error:
                # Positions that cannot be cut into tiles stop their own scan, not the others.
                refusals.append(Refusal(scan.scan_id, "tiles", **error.as_dict()))
    return Plan(tuple(units), tuple(refusals))


def tiling(recording: PtychographyRecording, options: ReconstructOptions) -> Tiling:
    """The tiles of a scan."""
    return tiling_of(
        recording.energy_ev,
        recording.positions_um,
        recording.distance_m,
        recording.detector_pixel_um,
        recording.frame_shape,
        most_positions=options.positions_per_tile,
        halo_um=options.halo_um,
    )


def _units(survey: Survey, scan_id: str) -> list[Unit[object, ReconstructPart]]:
    recording = survey.ptychography(scan_id)
    options = survey.options_of(NAME, ReconstructOptions, scan_id)
    tiles = tiling(recording, options)
    arrays = _arrays(recording, tiles, options)
    count = len(recording.energy_ev)
    in_one = options.chain or options.joint.wanted
    shared = _shared_end_members(survey, scan_id)
    groups = [tuple(range(count))] if in_one else [(energy,) for energy in range(count)]
    return [
        survey.unit(
            NAME,
            scan_id,
            f"tile-{tile:04d}" if in_one else f"energy-{energies[0]:04d}-tile-{tile:04d}",
            owns={
                plan.name: tuple((energy, tile, *([0] * (len(plan.shape) - 2))) for energy in energies)
                for plan in arrays
            },
            arrays=arrays,
            part=ReconstructPart(energies, tile, survey.campaign.seed, shared),
            estimate=_estimate(recording, tiles, options, arrays, tile, energies),
            resources={GPU: 1.0} if options.device == "gpu" else {},
        )
        for energies in groups
        for tile in range(tiles.n_tiles)
    ]


def _estimate(
    recording: PtychographyRecording,
    tiles: Tiling,
    options: ReconstructOptions,
    arrays: Sequence[ArrayPlan],
    tile: int,
    energies: Sequence[int],
) -> Estimate:
    windows = [tiles.windows[energy][tile] for energy in energies]
    shape = recording.frame_shape
    return Estimate(
        bytes_out=len(energies) * sum(plan.layout().shard_bytes for plan in arrays),
        peak_bytes=tile_peak_bytes(options, windows, shape, recording.frame_dtype.itemsize),
        core_seconds=tile_core_seconds(options, windows, tiles.n_tiles, shape),
    )


def _arrays(recording: PtychographyRecording, tiles: Tiling, options: ReconstructOptions) -> tuple[ArrayPlan, ...]:
    energy = {"energy": (recording.energy_ev, "eV")}
    front = (len(recording.energy_ev), tiles.n_tiles)
    shapes = {
        "object_tile": tiles.largest,
        "object_half_a": tiles.largest,
        "object_half_b": tiles.largest,
        "tile_illumination": tiles.largest,
        "probe": (options.model.n_modes, *recording.frame_shape),
        "tile_start_positions_px": (tiles.most_positions, 2),
        "tile_positions_px": (tiles.most_positions, 2),
        "tile_verdict": (),
        "error": (options.iterations,),
        "frc": (min(tiles.largest) // 2,),
    }
    # From these, and the positions of the file, anybody can tell which position each row of a tile belongs to.
    cut = {"positions_per_tile": options.positions_per_tile, "halo_um": options.halo_um}
    attrs = {"tile_start_positions_px": cut, "tile_positions_px": cut}
    return tuple(
        ArrayPlan(name, (*front, *shape), (1, 1, *shape), None, energy, attrs.get(name, {}))
        for name, shape in shapes.items()
    )


def work(unit: TileUnit) -> Outcome:
    """Reconstruct one tile at one energy after the other: its frames as a whole, and in halves for its noise."""
    options, part = unit.options, unit.part
    ingest = unit.source("ingest")
    geometry = geometry_of(ingest)
    energy_ev = geometry.energy_ev
    tiles = tiling_of(*geometry, most_positions=options.positions_per_tile, halo_um=options.halo_um)
    write = ShardWriter(unit)
    device = device_of(options)
    # All tiles take their energies in the same order: seams would otherwise show which energy each started with.
    frames = [scan_frames(ingest, energy, options.counts_per_photon) for energy in part.energies]
    photons = np.array([one.photons_per_frame[one.usable].mean() if one.usable.any() else 0.0 for one in frames])
    order = [
        (part.energies[place], None if neighbour is None else part.energies[neighbour])
        for place, neighbour in chain_order(energy_ev[list(part.energies)], photons)
    ]
    at = {
        energy: FrameTile(unit, one, tiles.windows[energy][part.tile], float(energy_ev[energy]), device, None)
        for energy, one in zip(part.energies, frames, strict=True)
    }
    # What tiles that know nothing of one another must agree in, each finds at the same place.
    agree = part.end_members is not None and tiles.n_tiles > 1
    seeds = seeds_along([(at[energy], neighbour) for energy, neighbour in order], tiles) if agree else {}
    carried_by: dict[int, Carried] = {}
    measures: dict[int, TileMeasures] = {}
    alone: dict[int, Alone] = {}
    for energy, neighbour in order:
        tile = at[energy]
        count = len(tile.window.tile.positions)
        carried = carried_by.get(neighbour) if options.chain and neighbour is not None else None
        if carried is None and options.seeded(count, tiles.n_tiles):
            seed = seeds.get(energy) or seed_of(tile, tiles)
            carried = None if seed is None else seed.carried(count, seed.for_tiles)
        found = _reconstructed(replace(tile, carried=carried), tiles, write)
        if not isinstance(found, Alone):
            measures[energy] = found
            continue
        _write(write, energy, part.tile, found)
        measures[energy] = _measures(found)
        # No energy starts from a probe that cannot be trusted.
        if found.result.verdict.word == "good":
            carried_by[energy] = found.carried
        if options.joint.wanted:
            alone[energy] = found
    if options.joint.wanted:
        of_tile = f", tile {part.tile}" if tiles.n_tiles > 1 else ""
        _take_together(unit, alone, measures, energy_ev, write, seeds, of_tile)
    return write.outcome(ReconstructMeasures(part.tile, part.energies, tuple(measures[e] for e in part.energies)))


def _take_together(
    unit: TileUnit,
    alone: Mapping[int, Alone],
    measures: dict[int, TileMeasures],
    energy_ev: F64,
    write: ShardWriter,
    seeds: Mapping[int, Seed],
    of_tile: str,
) -> None:
    """Reconstruct the energies of a tile together; where that is better, it takes the place of each alone."""
    shared = together(alone, energy_ev, unit.options.joint, unit.part.end_members, seeds, of_tile)
    if shared.tile is not None:
        for energy, result in zip(shared.energies, shared.tile.results, strict=True):
            joined = replace(alone[energy], result=result)
            _write(write, energy, unit.part.tile, joined)
            measures[energy] = _measures(joined)
    for energy, one in measures.items():
        measures[energy] = replace(one, notes=one.notes + shared.notes)


def _reconstructed(tile: FrameTile, tiles: Tiling, write: ShardWriter) -> Alone | TileMeasures:
    """A tile at one energy, or why it could not be reconstructed."""
    unit, number = tile.unit, tile.unit.part.tile
    placement = tiles.placements[tile.energy]
    pixel_nm = placement.pixel_nm
    usable = tile.usable()
    try:
        start = start_of(tile, usable, pixel_nm)
        overlap = start.overlap
    except InputError as error:
        if tiles.n_tiles == 1:
            raise
        # The other tiles of the scan go on: this one leaves a hole.
        _write_nothing(write, tile.energy, number)
        return not_reconstructed(f"{error.problem}; got {error.got}", usable)
    origin = None if tile.carried is None else tile.carried.origin
    result = reconstruct_tile(
        start.problem,
        tile.options.recipe(origin, len(start.problem.probe)),
        tile.window.tile.positions[usable],
        pixel_nm,
        [*tile.key, number],
        threads=threads_lent(),
        namespace=tile.device.namespace,
        checkpoint=Checkpoint(write.scratch(f"{unit.name}-{tile.energy:04d}.npz")),
        trials=tile.options.geometry_trials(tiles.n_tiles, origin),
        motion=tile.options.motion_trials(origin),
        starts=tile.options.other_starts(start.origin),
        halves_key=tile.halves_key,
    )
    told = replace(start, problem=start.problem.subset(np.arange(0)))
    return Alone(tile, placement, usable, told, overlap, result)


def _measures(found: Alone) -> TileMeasures:
    tile, whole = found.tile, found.result.whole
    notes = tile.frames.notes + unsteady_words(whole.intensity)
    return tile_measures(
        found.result,
        found.start,
        found.overlap,
        found.of_file_px,
        found.usable,
        found.placement.pixel_nm,
        tile.device.words,
        notes,
    )


def _write(write: ShardWriter, energy: int, number: int, found: Alone) -> None:
    result, layout = found.result, write.output.layout
    whole, halves = result.whole, result.halves
    # A beam that moved has more modes than were asked for: the strongest are stored.
    write("probe", (energy, number, 0, 0, 0), whole.probe[None, None, : layout("probe").shape[2]])
    for name, values in (
        ("object_tile", whole.object_),
        ("object_half_a", halves[0].object_),
        ("object_half_b", halves[1].object_),
        ("tile_illumination", whole.illumination),
        ("tile_start_positions_px", found.of_file_px),
        ("tile_positions_px", whole.positions_px),
        ("error", whole.error),
        ("frc", result.frc.correlation[: layout("frc").shape[2]].astype(np.float32)),
    ):
        write(name, (energy, number, *([0] * values.ndim)), in_shard(values, layout(name).shape[2:]))
    write("tile_verdict", (energy, number), np.full((1, 1), VERDICTS.index(result.verdict.word), np.uint8))


def _write_nothing(write: ShardWriter, energy: int, number: int) -> None:
    """The shards of a tile that could not be reconstructed: nothing is known, and nothing is zero."""
    for name, owned in write.unit.owns.items():
        layout = write.output.layout(name)
        nothing = VERDICTS.index("failed") if name == "tile_verdict" else np.nan
        if (energy, number) in {shard[:2] for shard in owned}:
            shard = (energy, number, *([0] * (len(layout.shape) - 2)))
            write(name, shard, np.full((1, 1, *layout.shape[2:]), nothing, layout.dtype))


def finish(survey: Survey, measured: Mapping[str, Sequence[ReconstructMeasures]]) -> Mapping[str, ReconstructFigures]:
    """Quality figures of each scan: those of its tiles side by side, at one energy after the other."""
    found = {}
    for scan_id, units in measured.items():
        energy_ev = survey.ptychography(scan_id).energy_ev
        # Here and not in the units: another chemistry of a scan is no reason to reconstruct it again.
        absorption = (by(survey, scan_id, energy_ev) for by in (strongest_mass_absorption, strongest_absorption_per_nm))
        found[scan_id] = reconstruct_figures(units, energy_ev, *absorption)
    return found


STAGE = Stage(
    name=NAME,
    version=16,
    options=ReconstructOptions,
    measures=ReconstructMeasures,
    upstream=upstream,
    plan=plan,
    work=work,
    concerns=concerns,
    identity=identity,
    finish=finish,
    finished_every_run=True,
    worker_bytes=500_000_000,
)
