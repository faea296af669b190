"""Reconstruct: the diffraction frames of a tile at one energy become its complex transmission and the illumination."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from storage.layout import ArrayPlan
from storage.output import Output
from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError
from stxmdist.ptychography.engines import ENGINES
from stxmdist.ptychography.frc import fourier_ring_correlation
from stxmdist.ptychography.geometry import overlap, probe_diameter_px
from stxmdist.ptychography.pie import PieOptions
from stxmdist.ptychography.probe import probe_from_mean_pattern, propagate, zone_plate_probe
from stxmdist.ptychography.problem import Problem, Reconstruction
from stxmdist.readers.recording import PtychographyRecording
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Receipt, Refusal, Unit
from stxmdist.stages.survey import Survey
from stxmdist.stages.tiling import Tiling, tiling_of
from stxmdist.stages.writing import ShardWriter

NAME = "reconstruct"
VERSION = 2

LEAST_FRAMES = 4
"""Fewer usable frames than this do not hold a reconstruction."""


@dataclass(frozen=True)
class ProbeOptions:
    """Where the illumination starts when the file does not bring one."""

    outer_zone_nm: float | None = None
    """Outermost zone of the zone plate; without it the start is the root of the mean frame"""
    central_stop_fraction: float = 0.0
    """Diameter of the central stop, as a share of the zone plate's"""
    defocus_um: float = 0.0
    """Distance from the focus to the sample"""
    use_file: bool = True
    """Prefer the illumination that the file holds"""


@dataclass(frozen=True)
class Options:
    """Which engine, from which start, in which tiles."""

    engine: str = "rpie"
    """A member of the table of engines"""
    pie: PieOptions = field(default_factory=PieOptions)
    """How the engine iterates"""
    probe: ProbeOptions = field(default_factory=ProbeOptions)
    """Where the illumination starts"""
    positions_per_tile: int = 1500
    """More positions than this are cut into tiles"""
    halo_um: float = 0.5
    """How far tiles reach into each other on every side: about a beam's width"""

    def __post_init__(self) -> None:
        ENGINES.require(self.engine)


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
    """One unit for each tile at each energy."""
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
    qy, qx = recording.frame_shape
    ty, tx = tiles.largest
    modes = options.pie.n_modes
    one = sum(plan.layout().shard_bytes for plan in arrays)
    units = []
    for energy in range(len(recording.energy_ev)):
        for number, window in enumerate(tiles.windows[energy]):
            frames = len(window.tile.positions)
            units.append(
                survey.unit(
                    NAME,
                    scan_id,
                    f"energy-{energy:04d}-tile-{number:04d}",
                    owns={plan.name: ((energy, number, *([0] * (len(plan.shape) - 2))),) for plan in arrays},
                    arrays=arrays,
                    index={"energy": energy, "tile": number, "seed": survey.campaign.seed},
                    estimate=Estimate(
                        bytes_out=one,
                        # Frames as read, those of a half, and their roots; objects of the whole and the halves, twice.
                        peak_bytes=frames * qy * qx * (2 * recording.frame_dtype.itemsize + 8)
                        + 12 * ty * tx * 8
                        + 8 * modes * qy * qx * 8,
                        core_seconds=1.0 + 2.2 * frames * options.pie.iterations * modes * qy * qx * 1.1e-8,
                    ),
                )
            )
    return units


def _arrays(recording: PtychographyRecording, tiles: Tiling, options: Options) -> tuple[ArrayPlan, ...]:
    energy = {"energy": (recording.energy_ev, "eV")}
    front = (len(recording.energy_ev), tiles.n_tiles)
    shapes = {
        "object_tile": tiles.largest,
        "object_half_a": tiles.largest,
        "object_half_b": tiles.largest,
        "tile_illumination": tiles.largest,
        "probe": (options.pie.n_modes, *recording.frame_shape),
        "tile_positions_px": (tiles.most_positions, 2),
        "error": (options.pie.iterations,),
        "frc": (min(tiles.largest) // 2,),
    }
    return tuple(ArrayPlan(name, (*front, *shape), (1, 1, *shape), None, energy) for name, shape in shapes.items())


def work(unit: Unit) -> Outcome:
    """Reconstruct one tile at one energy: all of its frames, and each half of them for resolution and noise."""
    options: Options = unit.options
    ingest = unit.source("ingest")
    energy, number = unit.index["energy"], unit.index["tile"]
    about = ingest.attrs("frames")
    tiles = tiling_of(
        ingest.read("energy_ev"),
        ingest.read("positions_um"),
        about["distance_m"],
        tuple(about["detector_pixel_um"]),
        ingest.layout("frames").shape[2:],
        most_positions=options.positions_per_tile,
        halo_um=options.halo_um,
    )
    window, placement = tiles.windows[energy][number], tiles.placements[energy]
    usable = ingest.read("frame_class", (energy, slice(None)))[window.tile.positions] == MaskClass.valid
    if usable.sum() < LEAST_FRAMES:
        raise InputError(
            where=f"reconstruct of {unit.scan_id}, {unit.name}",
            problem="too few frames of the tile can be used",
            got=f"{int(usable.sum())} of {len(usable)}",
            wanted=f"at least {LEAST_FRAMES} frames with counts below the detector's ceiling",
            mend="Look at the scan with `stxmdist inspect`; exclude it if the beam was lost",
        )
    frames = _frames(ingest, energy, window.tile.positions[usable])
    good = ingest.read("detector_mask") == 0
    probe = _start(ingest, frames, placement.pixel_nm, float(ingest.read("energy_ev")[energy]), options.probe)
    problem = Problem(frames, good, window.positions_px[usable], probe, window.shape)
    overlapped = overlap(problem.positions_px, probe_diameter_px(probe))

    engine = ENGINES[options.engine]
    key = [unit.index["seed"], zlib.crc32(unit.scan_id.encode()), energy, number]
    whole: Reconstruction = engine(problem, options.pie, np.random.default_rng([*key, 0]))
    odd = _halves(window.tile.positions[usable], np.random.default_rng([*key, 3]))
    halves = [
        engine(problem.subset(np.flatnonzero(odd == which)), options.pie, np.random.default_rng([*key, 1 + which]))
        for which in (False, True)
    ]
    weight = np.minimum(halves[0].illumination, halves[1].illumination)
    frc = fourier_ring_correlation(halves[0].object_, halves[1].object_, placement.pixel_nm[0], weight)

    write = ShardWriter(unit)
    shard = (energy, number)
    layouts = {name: unit.output().layout(name) for name in ("object_tile", "tile_positions_px", "error", "frc")}
    for name, values in (
        ("object_tile", whole.object_),
        ("object_half_a", halves[0].object_),
        ("object_half_b", halves[1].object_),
        ("tile_illumination", whole.illumination),
    ):
        write(name, (*shard, 0, 0), _padded(values, layouts["object_tile"].shape[2:]))
    write("probe", (*shard, 0, 0, 0), whole.probe[None, None])
    write("tile_positions_px", (*shard, 0, 0), _padded(whole.positions_px, layouts["tile_positions_px"].shape[2:]))
    write("error", (*shard, 0), _padded(whole.error, layouts["error"].shape[2:]))
    correlation = frc.correlation[: layouts["frc"].shape[2]].astype(np.float32)
    write("frc", (*shard, 0), _padded(correlation, layouts["frc"].shape[2:]))
    return write.outcome(
        {
            "energy": energy,
            "tile": number,
            "residual": whole.residual,
            "iterations": len(whole.error),
            "stopped": whole.stopped,
            "mode_power": whole.mode_power,
            "frames": int(usable.sum()),
            "frames_left_out": int((~usable).sum()),
            "overlap": overlapped,
            "pixel_nm": list(placement.pixel_nm),
            "half_bit_half_period_px": frc.half_bit_half_period_px,
            "one_bit_half_period_px": frc.one_bit_half_period_px,
            "counts_per_frame": float(frames[:, good].sum(dtype=np.float64) / len(frames)),
        }
    )


def _halves(positions: np.ndarray[Any, Any], rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which of two halves each position goes to: of every two in a row one, drawn, so that both cover the field alike.

    Every second position would leave whole columns of a raster to one half, whose image then has stripes.
    """
    drawn = rng.integers(0, 2, int(positions.max()) // 2 + 1).astype(bool)
    return (positions % 2).astype(bool) ^ drawn[positions // 2]


def _frames(ingest: Output, energy: int, positions: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Frames of a tile, read in runs so that no more than a shard is held beside them."""
    array = ingest.array("frames")
    run = 256
    frames = np.empty((len(positions), *array.shape[2:]), array.dtype)
    filled = 0
    for start in range(0, array.shape[1], run):
        wanted = positions[(positions >= start) & (positions < start + run)]
        if len(wanted):
            first, last = int(wanted[0]), int(wanted[-1]) + 1
            frames[filled : filled + len(wanted)] = np.asarray(array[energy, first:last])[wanted - first]
            filled += len(wanted)
    return frames


def _start(
    ingest: Output, frames: np.ndarray[Any, Any], pixel_nm: tuple[float, float], energy_ev: float, options: ProbeOptions
) -> np.ndarray[Any, Any]:
    shape = (frames.shape[1], frames.shape[2])
    if options.use_file and "illumination" in ingest.arrays():
        return ingest.read("illumination")
    if options.outer_zone_nm is not None:
        return zone_plate_probe(
            shape,
            pixel_nm,
            energy_ev,
            outer_zone_nm=options.outer_zone_nm,
            central_stop_fraction=options.central_stop_fraction,
            defocus_um=options.defocus_um,
        )[None]
    focused = probe_from_mean_pattern(frames.mean(axis=0, dtype=np.float64))
    return propagate(focused, pixel_nm, energy_ev, options.defocus_um)[None]


def _padded(values: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    padded = np.full((1, 1, *shape), np.nan, values.dtype)
    padded[(0, 0, *(slice(n) for n in values.shape))] = values
    return padded


def finish(survey: Survey, receipts: Mapping[str, Sequence[Receipt]]) -> dict[str, dict[str, Any]]:
    """Quality figures of each scan: those of its tiles, side by side."""
    names = (
        "residual",
        "iterations",
        "stopped",
        "half_bit_half_period_px",
        "one_bit_half_period_px",
        "overlap",
        "frames",
        "frames_left_out",
        "counts_per_frame",
        "mode_power",
    )
    return {
        scan_id: {"tiles": 1 + max(unit.measures["tile"] for unit in units), "pixel_nm": units[0].measures["pixel_nm"]}
        | {name: [unit.measures[name] for unit in units] for name in names}
        for scan_id, units in receipts.items()
    }
