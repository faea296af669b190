"""Reconstruct: the diffraction frames of a tile become its complex transmission and the beam, at each energy."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from storage.layout import ArrayPlan
from stxmdist.arrays import Array, Mask, MaskClass
from stxmdist.campaign.schema import GPU
from stxmdist.errors import InputError
from stxmdist.planning.end_members import strongest_mass_absorption
from stxmdist.planning.survey import Stage, Survey
from stxmdist.ptychography.chain import NEIGHBOUR, Carried, chain_order
from stxmdist.ptychography.checkpoint import Checkpoint
from stxmdist.ptychography.frc import RingCorrelation, fourier_ring_correlation
from stxmdist.ptychography.geometry import overlap, probe_diameter_px
from stxmdist.ptychography.memory import peak_bytes
from stxmdist.ptychography.probe import clipped_share
from stxmdist.ptychography.problem import Reconstruction
from stxmdist.ptychography.raster import steps_of
from stxmdist.ptychography.reconstruct import reconstruct
from stxmdist.ptychography.start import ORIENTATIONS
from stxmdist.ptychography.tiling import Tiling, tiling_of
from stxmdist.ptychography.verdict import (
    VERDICTS,
    Verdict,
    absorbed_dose_mgy,
    photons_per_um2,
    shot_noise_residual,
    verdict,
)
from stxmdist.readers.recording import PtychographyRecording
from stxmdist.runner.perform import Outcome, threads_lent
from stxmdist.runner.unit import Estimate, Plan, Refusal, Unit
from stxmdist.runner.writing import ShardWriter
from stxmdist.stages.reconstruct.options import Options
from stxmdist.stages.reconstruct.tile_start import FrameTile, device_of, few_counts, problem_of, seed_of

NAME = "reconstruct"


def upstream(survey: Survey, scan_id: str) -> tuple[tuple[str, str], ...]:
    """The frames."""
    return (("ingest", scan_id),)


def concerns(survey: Survey, scan_id: str) -> bool:
    """Ptychography scans."""
    return survey.scans[scan_id].modality == "ptychography"


def identity(survey: Survey, scan_id: str) -> Any:
    """The seed: positions are visited in a drawn order."""
    return {"seed": survey.campaign.seed}


def plan(survey: Survey, options: Options) -> Plan:
    """One unit for each tile with all its energies, or for each tile and energy where they are not chained."""
    units: list[Unit] = []
    refusals: list[Refusal] = []
    for scan in survey.of_modality("ptychography"):
        if survey.ready(NAME, scan.scan_id):
            try:
                units += _units(survey, scan.scan_id, options)
            except InputError as error:
                # Positions that cannot be cut into tiles stop their own scan, not the others.
                refusals.append(Refusal(scan.scan_id, "tiles", **error.as_dict()))
    return Plan(tuple(units), tuple(refusals))


def tiling(recording: PtychographyRecording, options: Options) -> Tiling:
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


def _units(survey: Survey, scan_id: str, options: Options) -> list[Unit]:
    recording = survey.ptychography(scan_id)
    tiles = tiling(recording, options)
    arrays = _arrays(recording, tiles, options)
    count = len(recording.energy_ev)
    groups = [tuple(range(count))] if options.chain else [(energy,) for energy in range(count)]
    return [
        survey.unit(
            NAME,
            scan_id,
            f"tile-{tile:04d}" if options.chain else f"energy-{energies[0]:04d}-tile-{tile:04d}",
            owns={
                plan.name: tuple((energy, tile, *([0] * (len(plan.shape) - 2))) for energy in energies)
                for plan in arrays
            },
            arrays=arrays,
            part={"energies": list(energies), "tile": tile, "seed": survey.campaign.seed},
            estimate=_estimate(recording, tiles, options, arrays, tile, energies),
            resources={GPU: 1.0} if options.device == "gpu" else {},
        )
        for energies in groups
        for tile in range(tiles.n_tiles)
    ]


def _estimate(
    recording: PtychographyRecording,
    tiles: Tiling,
    options: Options,
    arrays: Sequence[ArrayPlan],
    tile: int,
    energies: Sequence[int],
) -> Estimate:
    windows = [tiles.windows[energy][tile] for energy in energies]
    recipe = options.recipe(None)
    frames = len(windows[0].tile.positions)
    qy, qx = recording.frame_shape
    iterations = recipe.iterations + (len(energies) - 1) * options.recipe(NEIGHBOUR).iterations
    seeding = options.seeded(frames, tiles.n_tiles) * min(options.seed_positions, frames) * recipe.iterations
    largest = max((window.shape for window in windows), key=lambda shape: shape[0] * shape[1])
    return Estimate(
        bytes_out=len(energies) * sum(plan.layout().shard_bytes for plan in arrays),
        # The whole's result stays while each half, which has half the frames, is reconstructed: 48 bytes a pixel.
        peak_bytes=peak_bytes(recipe, frames, recording.frame_shape, largest, recording.frame_dtype.itemsize)
        + 48 * largest[0] * largest[1],
        core_seconds=len(energies) + (2.0 * frames * iterations + seeding) * options.model.n_modes * qy * qx * 1.3e-8,
    )


def _arrays(recording: PtychographyRecording, tiles: Tiling, options: Options) -> tuple[ArrayPlan, ...]:
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
    # With these, and the positions of the file, anybody finds out which position each row of a tile belongs to.
    cut = {"positions_per_tile": options.positions_per_tile, "halo_um": options.halo_um}
    attrs = {"tile_start_positions_px": cut, "tile_positions_px": cut}
    return tuple(
        ArrayPlan(name, (*front, *shape), (1, 1, *shape), None, energy, attrs.get(name, {}))
        for name, shape in shapes.items()
    )


def work(unit: Unit) -> Outcome:
    """Reconstruct one tile at one energy after the other: its frames as a whole, and in halves for its noise."""
    options: Options = unit.options
    ingest = unit.source("ingest")
    about = ingest.attrs("frames")
    energy_ev = ingest.read("energy_ev")
    tiles = tiling_of(
        energy_ev,
        ingest.read("positions_um"),
        about["distance_m"],
        tuple(about["detector_pixel_um"]),
        ingest.layout("frames").shape[2:],
        most_positions=options.positions_per_tile,
        halo_um=options.halo_um,
    )
    energies, number = unit.part["energies"], unit.part["tile"]
    write = ShardWriter(unit)
    device = device_of(options)
    # The same order for all tiles, whose seams would otherwise tell which energy each began with.
    counts = np.array([few_counts(ingest, energy, np.arange(ingest.layout("frames").shape[1])) for energy in energies])
    found: dict[int, Carried] = {}
    measures: dict[int, dict[str, Any]] = {}
    for place, neighbour in chain_order(energy_ev[energies], counts.mean(axis=1)):
        energy = energies[place]
        tile = FrameTile(unit, ingest, tiles.windows[energy][number], energy, float(energy_ev[energy]), device, None)
        carried = found.get(energies[neighbour]) if neighbour is not None else None
        if carried is None and options.seeded(len(tile.window.tile.positions), tiles.n_tiles):
            carried = seed_of(tile, tiles)
        measures[energy], result = _reconstructed(replace(tile, carried=carried), tiles, write)
        if result is not None:
            found[energy] = result
    rows = [measures[energy] for energy in energies]
    return write.outcome(
        {"tile": number, "energies": energies} | {name: [row[name] for row in rows] for name in rows[0]}
    )


def _reconstructed(tile: FrameTile, tiles: Tiling, write: ShardWriter) -> tuple[dict[str, Any], Carried | None]:
    unit, window, options = tile.unit, tile.window, tile.options
    placement = tiles.placements[tile.energy]
    number = unit.part["tile"]
    usable = tile.ingest.read("frame_class", (tile.energy, slice(None)))[window.tile.positions] == MaskClass.valid
    try:
        problem, origin, orientation = problem_of(tile, usable, placement.pixel_nm)
        overlapped = overlap(problem.positions_px, probe_diameter_px(problem.probe))
    except InputError as error:
        if tiles.n_tiles == 1:
            raise
        # The others of the scan go on: this one leaves a hole.
        write_nothing(write, tile.energy, number)
        return _measures(tile, Verdict("failed", f"{error.problem}; got {error.got}"), usable), None
    recipe = options.recipe(None if tile.carried is None else tile.carried.origin)
    key = [*tile.key, number]
    checkpoint = Checkpoint(write.scratch(f"{unit.name}-{tile.energy:04d}.npz"))
    how = {"threads": threads_lent(), "namespace": tile.device.namespace}
    whole = reconstruct(problem, recipe, np.random.default_rng([*key, 0]), checkpoint=checkpoint, **how)
    odd = _halves(window.tile.positions[usable], np.random.default_rng([*key, 3]))
    halves = [
        reconstruct(
            problem.subset(np.flatnonzero(odd == which)),
            recipe,
            np.random.default_rng([*key, 1 + which]),
            **how,
        )
        for which in (False, True)
    ]
    weight = np.minimum(halves[0].illumination, halves[1].illumination)
    frc = fourier_ring_correlation(halves[0].object_, halves[1].object_, placement.pixel_nm[0], weight)
    noise = shot_noise_residual(problem.frames, problem.good)
    judged = verdict(
        residual=whole.residual,
        noise=noise,
        half_period_px=frc.half_bit_half_period_px,
        stopped=whole.stopped,
    )
    # What the file says, not what a neighbour in energy handed on: moves add up along the chain.
    of_file = window.positions_px[usable]
    _write(write, tile.energy, number, of_file, whole, halves, frc)
    write("tile_verdict", (tile.energy, number), np.full((1, 1), VERDICTS.index(judged.word), np.uint8))
    counts = float(problem.frames[:, problem.good].sum(dtype=np.float64) / len(problem.frames))
    moves = whole.positions_px - of_file
    measures = _measures(tile, judged, usable) | {
        "residual": whole.residual,
        "shot_noise_residual": noise,
        "iterations": len(whole.error),
        "stopped": whole.stopped,
        "mode_power": whole.mode_power,
        "overlap": overlapped,
        "raster_px": steps_of(of_file),
        "pixel_nm": list(placement.pixel_nm),
        "half_bit_half_period_px": frc.half_bit_half_period_px,
        "one_bit_half_period_px": frc.one_bit_half_period_px,
        "device": tile.device.words,
        "counts_per_frame": counts,
        "photons_per_um2": photons_per_um2(whole.illumination, placement.pixel_nm),
        "moved_px": float(np.sqrt((moves**2).sum(axis=1).mean())),
        "affine": whole.affine,
        "clipped_share": clipped_share(whole.probe),
        "start": origin,
        "orientation": ORIENTATIONS[orientation],
    }
    pixel_um = np.array(placement.pixel_nm) * 1e-3
    moves_um = np.zeros((len(usable), 2))
    moves_um[usable] = moves * pixel_um
    # Nobody begins with a beam that is not to be believed.
    return measures, Carried(whole.probe, orientation, moves_um) if judged.word == "good" else None


def _measures(tile: FrameTile, judged: Verdict, usable: Array) -> dict[str, Any]:
    nothing = dict.fromkeys(
        (
            "residual", "shot_noise_residual", "overlap", "half_bit_half_period_px", "one_bit_half_period_px",
            "counts_per_frame", "photons_per_um2", "moved_px", "raster_px", "affine", "clipped_share", "mode_power",
            "pixel_nm",
            "device",
        )
    )  # fmt: skip
    return nothing | {
        "verdict": judged.word,
        "reason": judged.reason,
        "iterations": 0,
        "stopped": "not begun",
        "start": "none",
        "orientation": "none",
        "frames": int(usable.sum()),
        "frames_left_out": int((~usable).sum()),
    }


def _write(
    write: ShardWriter,
    energy: int,
    number: int,
    start_px: Array,
    whole: Reconstruction,
    halves: list[Reconstruction],
    frc: RingCorrelation,
) -> None:
    layouts = write.output.layout
    write("probe", (energy, number, 0, 0, 0), whole.probe[None, None])
    for name, values in (
        ("object_tile", whole.object_),
        ("object_half_a", halves[0].object_),
        ("object_half_b", halves[1].object_),
        ("tile_illumination", whole.illumination),
        ("tile_start_positions_px", start_px),
        ("tile_positions_px", whole.positions_px),
        ("error", whole.error),
        ("frc", frc.correlation[: layouts("frc").shape[2]].astype(np.float32)),
    ):
        write(name, (energy, number, *([0] * values.ndim)), _padded(values, layouts(name).shape[2:]))


def write_nothing(write: ShardWriter, energy: int, number: int) -> None:
    """The shards of a tile that could not be reconstructed: nothing is known, and nothing is zero."""
    for name, owned in write.unit.owns.items():
        layout = write.output.layout(name)
        nothing = VERDICTS.index("failed") if name == "tile_verdict" else np.nan
        if (energy, number) in {shard[:2] for shard in owned}:
            shard = (energy, number, *([0] * (len(layout.shape) - 2)))
            write(name, shard, np.full((1, 1, *layout.shape[2:]), nothing, layout.dtype))


def _halves(positions: Array, rng: np.random.Generator) -> Mask:
    """Which of two halves each position goes to: of every two in a row one, drawn, so that both cover the field alike.

    Every second position would leave whole columns of a raster to one half, whose image then has stripes.
    """
    drawn = rng.integers(0, 2, int(positions.max()) // 2 + 1).astype(bool)
    return (positions % 2).astype(bool) ^ drawn[positions // 2]


def _padded(values: Array, shape: tuple[int, ...]) -> Array:
    padded = np.full((1, 1, *shape), np.nan, values.dtype)
    padded[(0, 0, *(slice(n) for n in values.shape))] = values
    return padded


def finish(survey: Survey, measured: Mapping[str, Sequence[Any]]) -> Mapping[str, Any]:
    """Quality figures of each scan: those of its tiles side by side, at one energy after the other."""
    found = {}
    for scan_id, units in measured.items():
        energy_ev = survey.ptychography(scan_id).energy_ev
        # Here and not in the units: the chemistry of a scan is no reason to reconstruct it again.
        found[scan_id] = _quality(units, energy_ev, strongest_mass_absorption(survey, scan_id, energy_ev))
    return found


def _quality(units: Sequence[Any], energy_ev: Array, mass_absorption_cm2_g: Array) -> dict[str, Any]:
    rows = []
    for unit in units:
        measures = unit
        names = [name for name in measures if name not in ("tile", "energies")]
        for place, energy in enumerate(measures["energies"]):
            row = {name: measures[name][place] for name in names} | {"at": (energy, measures["tile"])}
            row["dose_mgy"] = _dose(row["photons_per_um2"], energy_ev[energy], mass_absorption_cm2_g[energy])
            rows.append(row)
    rows.sort(key=lambda row: row["at"])
    known = next((row["pixel_nm"] for row in rows if row["pixel_nm"] is not None), None)
    return {"tiles": 1 + max(unit["tile"] for unit in units), "pixel_nm": known} | {
        name: [row[name] for row in rows] for name in rows[0] if name not in ("at", "pixel_nm")
    }


def _dose(photons: float | None, energy_ev: float, mass_absorption_cm2_g: float) -> float | None:
    if photons is None or not np.isfinite(mass_absorption_cm2_g):
        return None
    return absorbed_dose_mgy(photons, float(energy_ev), float(mass_absorption_cm2_g))


STAGE = Stage(
    name=NAME,
    version=5,
    options=Options,
    measures=dict,
    upstream=upstream,
    plan=plan,
    work=work,
    concerns=concerns,
    identity=identity,
    finish=finish,
    worker_bytes=500_000_000,
)
