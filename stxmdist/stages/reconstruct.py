"""Reconstruct: the diffraction frames of a tile become its complex transmission and the beam, at each energy."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from storage.layout import ArrayPlan
from storage.output import Output
from stxmdist.arrays import MaskClass
from stxmdist.campaign.schema import GPU
from stxmdist.errors import InputError
from stxmdist.ptychography.chain import NEIGHBOUR, Carried, chain_order
from stxmdist.ptychography.checkpoint import Checkpoint
from stxmdist.ptychography.frc import RingCorrelation, fourier_ring_correlation
from stxmdist.ptychography.geometry import overlap, probe_diameter_px
from stxmdist.ptychography.memory import peak_bytes
from stxmdist.ptychography.probe import clipped_share, probe_from_mean_pattern, propagate, zone_plate_probe
from stxmdist.ptychography.problem import Problem, Reconstruction
from stxmdist.ptychography.quality import (
    VERDICTS,
    Verdict,
    absorbed_dose_mgy,
    photons_per_um2,
    shot_noise_residual,
    verdict,
)
from stxmdist.ptychography.raster import steps_of
from stxmdist.ptychography.reconstruct import Recipe, Step, reconstruct
from stxmdist.ptychography.refinement import PositionOptions
from stxmdist.ptychography.start import ORIENTATIONS, TrialOptions, find_defocus, find_orientation, middle, turned
from stxmdist.ptychography.state import ModelOptions, refuse_unless
from stxmdist.ptychography.sweep_arrays import found_cupy
from stxmdist.readers.recording import PtychographyRecording
from stxmdist.runner.perform import Outcome, threads_lent
from stxmdist.runner.unit import Estimate, Plan, Receipt, Refusal, Unit
from stxmdist.stages.spectral_model import strongest_mass_absorption
from stxmdist.stages.survey import Survey
from stxmdist.stages.tiling import TileWindow, Tiling, tiling_of
from stxmdist.stages.writing import ShardWriter

NAME = "reconstruct"
VERSION = 5

LEAST_FRAMES = 4
"""Fewer usable frames than this do not hold a reconstruction."""


@dataclass(frozen=True)
class ProbeOptions:
    """Where the illumination starts when the file does not bring one."""

    outer_zone_nm: float | None = None
    """Outermost zone of the zone plate; without it the start is the root of the mean frame"""
    central_stop_fraction: float = 0.0
    """Diameter of the central stop, as a share of the zone plate's"""
    defocus_um: float | None = None
    """Distance from the focus to the sample; unknown: short trials on both sides of the focus find it"""
    use_file: bool = True
    """Prefer the illumination that the file holds"""
    orientation: Literal["as read", "find"] = "as read"
    """Whether trials of all eight orientations of the detector are to say how its frames must be turned"""


@dataclass(frozen=True)
class Options:
    """Which engines, from which start, in which tiles."""

    schedule: tuple[Step, ...] = Recipe().schedule
    """Engines in a row, each with its number of iterations"""
    next_energy: tuple[Step, ...] = (Step("lsqml", 20),)
    """The same for an energy that begins with what its neighbour found"""
    chain: bool = True
    """Begin each energy with the probe and the positions of its neighbour, from the brightest one outward"""
    model: ModelOptions = field(default_factory=ModelOptions)
    """What is unknown beside the object"""
    positions: PositionOptions = field(default_factory=PositionOptions)
    """How positions are corrected"""
    probe: ProbeOptions = field(default_factory=ProbeOptions)
    """Where the illumination starts"""
    trials: TrialOptions = field(default_factory=TrialOptions)
    """How an unknown defocus is found"""
    positions_per_tile: int = 1500
    """More positions than this are cut into tiles"""
    halo_um: float = 0.5
    """How far tiles reach into each other on every side: about a beam's width"""
    seed_positions: int = 300
    """Positions in the middle of one tile from which the beam is found that all tiles of a scan begin with; a scan of
    one tile too, if it has more than twice as many
    """
    device: Literal["cpu", "gpu"] = "cpu"
    """Where engines run; without cupy or a GPU they run on the CPU, and the quality figures say why"""

    def __post_init__(self) -> None:
        refuse_unless(
            self,
            schedule=(len(self.schedule) > 0, "at least one engine"),
            next_energy=(len(self.next_energy) > 0, "at least one engine"),
            positions_per_tile=(self.positions_per_tile >= LEAST_FRAMES, f"at least {LEAST_FRAMES}"),
            seed_positions=(self.seed_positions >= LEAST_FRAMES, f"at least {LEAST_FRAMES}"),
        )

    def recipe(self, origin: str | None) -> Recipe:
        """What is chosen of a reconstruction that begins with what a neighbour in energy, a seed, or nobody found."""
        if origin is None:
            return Recipe(self.schedule, self.model, self.positions)
        # All modes are there already; the object, which is not, has the first word.
        schedule = self.next_energy if origin == NEIGHBOUR else self.schedule
        return Recipe(schedule, replace(self.model, modes_from=0.0), self.positions)

    def seeded(self, positions: int, n_tiles: int) -> bool:
        """Whether a tile begins with a beam found from a few frames: if it has neighbours, or so many that this pays.

        From a bad beam a wide field needs several times the iterations for what is widest in it to settle.
        """
        return n_tiles > 1 or positions > 2 * self.seed_positions

    @property
    def iterations(self) -> int:
        """The most that any energy takes."""
        return max(self.recipe(origin).iterations for origin in (None, NEIGHBOUR))


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
            index={"energies": list(energies), "tile": tile, "seed": survey.campaign.seed},
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
    energies, number = unit.index["energies"], unit.index["tile"]
    write = ShardWriter(unit)
    device = _device(options)
    # The same order for all tiles, whose seams would otherwise tell which energy each began with.
    counts = np.array([_few_counts(ingest, energy, np.arange(ingest.layout("frames").shape[1])) for energy in energies])
    found: dict[int, Carried] = {}
    measures: dict[int, dict[str, Any]] = {}
    for place, neighbour in chain_order(energy_ev[energies], counts.mean(axis=1)):
        energy = energies[place]
        tile = _Tile(unit, ingest, tiles.windows[energy][number], energy, float(energy_ev[energy]), device, None)
        carried = found.get(energies[neighbour]) if neighbour is not None else None
        if carried is None and options.seeded(len(tile.window.tile.positions), tiles.n_tiles):
            carried = _seed(tile, tiles)
        measures[energy], result = _reconstructed(replace(tile, carried=carried), tiles, write)
        if result is not None:
            found[energy] = result
    rows = [measures[energy] for energy in energies]
    return write.outcome(
        {"tile": number, "energies": energies} | {name: [row[name] for row in rows] for name in rows[0]}
    )


@dataclass(frozen=True)
class _Device:
    # Where engines run: the array library, None for the loops on the CPU, and in words.
    namespace: Any
    words: str


def _device(options: Options) -> _Device:
    if options.device == "cpu":
        return _Device(None, "cpu")
    cupy, reason = found_cupy()
    return _Device(cupy, "gpu" if cupy is not None else f"cpu ({reason})")


@dataclass(frozen=True)
class _Tile:
    # One tile at one energy, and where it may begin.
    unit: Unit
    ingest: Output
    window: TileWindow
    energy: int
    energy_ev: float
    device: _Device
    carried: Carried | None

    @property
    def options(self) -> Options:
        options: Options = self.unit.options
        return options

    @property
    def key(self) -> list[int]:
        return [self.unit.index["seed"], zlib.crc32(self.unit.scan_id.encode()), self.energy]

    @property
    def where(self) -> str:
        return f"reconstruct of {self.unit.scan_id}, {self.unit.name} at {self.energy_ev:g} eV"


def _seed(tile: _Tile, tiles: Tiling) -> Carried | None:
    """The beam that all tiles begin with, in the middle of the tile that shows most; found by each of them once more.

    Begun each for itself, neighbours could end with an object and its conjugate twin, and meet in a seam.
    """
    windows = tiles.windows[tile.energy]
    valid = tile.ingest.read("frame_class", (tile.energy, slice(None))) == MaskClass.valid
    usable = [int(valid[window.tile.positions].sum()) for window in windows]
    contrast = np.zeros(len(windows))
    for number, window in enumerate(windows):
        if 2 * usable[number] > max(usable):
            counts = _few_counts(tile.ingest, tile.energy, window.tile.positions[valid[window.tile.positions]])
            contrast[number] = counts.std() / max(counts.mean(), 1.0)
    number = int(np.argmax(contrast))
    seed = replace(tile, window=windows[number])
    try:
        here = valid[seed.window.tile.positions]
        problem, origin, orientation = _problem(seed, here, tiles.placements[tile.energy].pixel_nm)
    except InputError:
        return None
    rng = np.random.default_rng([*tile.key, number, 4])
    sample = middle(problem, tile.options.seed_positions)
    result = reconstruct(
        sample, tile.options.recipe(None), rng, threads=threads_lent(), namespace=tile.device.namespace
    )
    if result.stopped != "finished":
        return None
    unmoved = np.zeros((len(tile.window.tile.positions), 2))
    return Carried(result.probe, orientation, unmoved, f"seed of tile {number}, {origin}")


def _reconstructed(tile: _Tile, tiles: Tiling, write: ShardWriter) -> tuple[dict[str, Any], Carried | None]:
    unit, window, options = tile.unit, tile.window, tile.options
    placement = tiles.placements[tile.energy]
    number = unit.index["tile"]
    usable = tile.ingest.read("frame_class", (tile.energy, slice(None)))[window.tile.positions] == MaskClass.valid
    try:
        problem, origin, orientation = _problem(tile, usable, placement.pixel_nm)
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


def _measures(tile: _Tile, judged: Verdict, usable: np.ndarray[Any, Any]) -> dict[str, Any]:
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


def _problem(
    tile: _Tile, usable: np.ndarray[Any, np.dtype[np.bool_]], pixel_nm: tuple[float, float]
) -> tuple[Problem, str, int]:
    """What is to be reconstructed, in words where it begins, and by which orientation its frames are turned."""
    if usable.sum() < LEAST_FRAMES:
        raise InputError(
            where=tile.where,
            problem="too few frames of the tile can be used",
            got=f"{int(usable.sum())} of {len(usable)}",
            wanted=f"at least {LEAST_FRAMES} frames with counts below the detector's ceiling",
            mend="Look at the scan with `stxmdist inspect`; exclude it if the beam was lost",
        )
    window, options = tile.window, tile.options.probe
    frames = _frames(tile.ingest, tile.energy, window.tile.positions[usable])
    good = tile.ingest.read("detector_mask") == 0
    positions = window.positions_px[usable]
    if tile.carried is not None:
        moved = positions + tile.carried.moves_um[usable] / (np.array(pixel_nm) * 1e-3)
        room = np.array(window.shape) - np.array(frames.shape[1:]) - 1
        orientation = tile.carried.orientation
        frames, good = turned(frames, orientation), turned(good, orientation)
        problem = Problem(frames, good, np.clip(moved, 0.0, room), tile.carried.probe, window.shape)
        return problem, tile.carried.origin, orientation
    empty = np.zeros((1, *frames.shape[1:]), np.complex64)
    problem, orientation = Problem(frames, good, positions, empty, window.shape), 0
    if options.orientation == "find":
        orientation = find_orientation(problem, pixel_nm, tile.energy_ev, tile.options.trials).orientation
        problem = replace(problem, frames=turned(frames, orientation), good=turned(good, orientation))
    return *_started(tile, problem, pixel_nm), orientation


def _started(tile: _Tile, problem: Problem, pixel_nm: tuple[float, float]) -> tuple[Problem, str]:
    options = tile.options.probe
    shape = (problem.frames.shape[1], problem.frames.shape[2])
    if options.use_file and "illumination" in tile.ingest.arrays():
        return replace(problem, probe=tile.ingest.read("illumination")), "file"
    if options.outer_zone_nm is not None:
        focused = zone_plate_probe(
            shape,
            pixel_nm,
            tile.energy_ev,
            outer_zone_nm=options.outer_zone_nm,
            central_stop_fraction=options.central_stop_fraction,
        )
        origin = "zone plate"
    else:
        focused = probe_from_mean_pattern(problem.frames.mean(axis=0, dtype=np.float64) * problem.good)
        origin = "mean frame"
    if options.defocus_um is None:
        scan = find_defocus(problem, focused, pixel_nm, tile.energy_ev, tile.options.trials)
        return replace(problem, probe=scan.probe), f"{origin}, defocus {scan.defocus_um:.4g} um by trials"
    probe = propagate(focused, pixel_nm, tile.energy_ev, options.defocus_um)[None]
    return replace(problem, probe=probe), f"{origin}, defocus {options.defocus_um:.4g} um"


def _write(
    write: ShardWriter,
    energy: int,
    number: int,
    start_px: np.ndarray[Any, Any],
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


def _few_counts(ingest: Output, energy: int, positions: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Counts of some frames, a few that lie apart."""
    frames = ingest.array("frames")
    few = positions[:: max(1, len(positions) // 16)]
    return np.array([np.nansum(np.asarray(frames[energy, int(position)], np.float64)) for position in few])


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


def _padded(values: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    padded = np.full((1, 1, *shape), np.nan, values.dtype)
    padded[(0, 0, *(slice(n) for n in values.shape))] = values
    return padded


def finish(survey: Survey, receipts: Mapping[str, Sequence[Receipt]]) -> dict[str, dict[str, Any]]:
    """Quality figures of each scan: those of its tiles side by side, at one energy after the other."""
    found = {}
    for scan_id, units in receipts.items():
        energy_ev = survey.ptychography(scan_id).energy_ev
        # Here and not in the units: the chemistry of a scan is no reason to reconstruct it again.
        found[scan_id] = _quality(units, energy_ev, strongest_mass_absorption(survey, scan_id, energy_ev))
    return found


def _quality(
    units: Sequence[Receipt], energy_ev: np.ndarray[Any, Any], mass_absorption_cm2_g: np.ndarray[Any, Any]
) -> dict[str, Any]:
    rows = []
    for unit in units:
        measures = unit.measures
        names = [name for name in measures if name not in ("tile", "energies")]
        for place, energy in enumerate(measures["energies"]):
            row = {name: measures[name][place] for name in names} | {"at": (energy, measures["tile"])}
            row["dose_mgy"] = _dose(row["photons_per_um2"], energy_ev[energy], mass_absorption_cm2_g[energy])
            rows.append(row)
    rows.sort(key=lambda row: row["at"])
    known = next((row["pixel_nm"] for row in rows if row["pixel_nm"] is not None), None)
    return {"tiles": 1 + max(unit.measures["tile"] for unit in units), "pixel_nm": known} | {
        name: [row[name] for row in rows] for name in rows[0] if name not in ("at", "pixel_nm")
    }


def _dose(photons: float | None, energy_ev: float, mass_absorption_cm2_g: float) -> float | None:
    if photons is None or not np.isfinite(mass_absorption_cm2_g):
        return None
    return absorbed_dose_mgy(photons, float(energy_ev), float(mass_absorption_cm2_g))
