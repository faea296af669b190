"""Ingest: a beamline file becomes counts or frames, positions, energies and conditions in the store."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import ceil
from typing import Any

import numpy as np

from storage.digests import fingerprint_of_file, sha256_of_file
from storage.layout import ArrayPlan
from stxmdist import readers
from stxmdist.arrays import U8, MaskClass
from stxmdist.errors import InputError
from stxmdist.planning.survey import Stage, Survey
from stxmdist.ptychography.state import refuse_unless
from stxmdist.readers.frames.beamstop import beamstop_masked, shadow_note, shadow_radius_px
from stxmdist.readers.frames.frame_class import frame_classes
from stxmdist.readers.frames.pixels import FRAMES_LOOKED_AT, KINDS, faults_masked, sampled_frames
from stxmdist.readers.frames.windowing import (
    LEAST_PX,
    PIECE_BYTES,
    binned,
    cropped,
    frame_bytes,
    pieces,
    run_of,
    summed,
    zero_frequency_px,
)
from stxmdist.readers.recording import PtychographyRecording, Recording, StxmRecording
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Unit
from stxmdist.runner.writing import ShardWriter, all_shards, bytes_of, single_shard

NAME = "ingest"

SHARD_BYTES = 64_000_000
"""Frames are read and written in pieces of about this size, so that a scan of any length fits a small worker."""

FRAMES_PER_CHUNK = 16
"""One read decodes this many diffraction frames: few enough for a preview, enough to compress well."""


@dataclass(frozen=True)
class Options:
    """Which frames and which pixels of the detector are trusted, and how many of them are kept."""

    saturated_fraction: float = 0.01
    """A frame with more than this share of its pixels at the detector's ceiling is set aside."""
    mask_faults: bool = True
    """Ptychography: mask hot, saturated and dead detector pixels, found by a look at some frames"""
    beamstop_px: float = 0.0
    """Ptychography: mask the file's detector pixels that lie nearer than this to the zero frequency"""
    crop_px: int = 0
    """Ptychography: keep so many of the file's detector pixels on a side, around the zero frequency; 0 keeps all"""
    bin_px: int = 1
    """Ptychography: sum so many detector pixels on a side to one, after the crop; the beam must fit a window smaller by
    as much
    """

    def __post_init__(self) -> None:
        refuse_unless(
            self,
            beamstop_px=(self.beamstop_px >= 0, "0 or a radius in pixels"),
            crop_px=(self.crop_px == 0 or self.crop_px >= LEAST_PX, f"0 or at least {LEAST_PX}"),
            bin_px=(self.bin_px >= 1, "at least 1"),
        )


def upstream(survey: Survey, scan_id: str) -> tuple[tuple[str, str], ...]:
    """Ingest reads beamline files only."""
    return ()


def identity(survey: Survey, scan_id: str) -> Any:
    """Name, size and time of every file of the scan: another file, or a changed one, is another input; its region."""
    files, region = _fingerprints(survey.recordings[scan_id]), survey.scans[scan_id].file_region
    return files if region is None else {"files": files, "region": region}


def _fingerprints(recording: Recording) -> list[dict[str, Any]]:
    return [fingerprint_of_file(path) for path in recording.files]


def as_kept(recording: Recording, options: Options) -> Recording:
    """What ingest leaves of a scan, as far as its header says: a wide-field scan whole, frames cut and summed."""
    if isinstance(recording, StxmRecording):
        return recording
    return binned(_cut(recording, options), options.bin_px)


def _cut(recording: PtychographyRecording, options: Options) -> PtychographyRecording:
    # With the file's own pixels: frames and pixels are judged before any are summed.
    return beamstop_masked(cropped(recording, options.crop_px), options.beamstop_px)


def plan(survey: Survey, options: Options) -> Plan:
    """One unit for each scan."""
    return Plan(tuple(_unit(survey, scan_id, options) for scan_id in survey.scans))


def _unit(survey: Survey, scan_id: str, options: Options) -> Unit:
    recording = survey.recordings[scan_id]
    if isinstance(recording, StxmRecording):
        arrays = _stxm_arrays(recording)
        peak_bytes = 3 * min(SHARD_BYTES, bytes_of(arrays))
    else:
        arrays = _ptychography_arrays(recording, options)
        peak_bytes = _peak_bytes(recording, options, bytes_of(arrays))
    total = bytes_of(arrays)
    return survey.unit(
        NAME,
        scan_id,
        "scan",
        owns=all_shards(arrays),
        arrays=arrays,
        part={
            "file": str(survey.scans[scan_id].file),
            "region": survey.scans[scan_id].file_region,
            "planned": _fingerprints(recording),
        },
        estimate=Estimate(
            total,
            peak_bytes=peak_bytes,
            core_seconds=0.2 + total / 100e6,
            most_stored_bytes=_most_stored_bytes(recording, arrays),
        ),
    )


def _most_stored_bytes(recording: Recording, arrays: Sequence[ArrayPlan]) -> int | None:
    """How well frames pack depends on how many photons they hold: their file has packed them already."""
    if isinstance(recording, StxmRecording):
        return None
    others = bytes_of([plan for plan in arrays if plan.name != "frames"])
    return others + sum(path.stat().st_size for path in recording.files)


def _stxm_arrays(recording: StxmRecording) -> tuple[ArrayPlan, ...]:
    n_energy, ny, nx = len(recording.energy_ev), len(recording.y_um), len(recording.x_um)
    energy = {"energy": (recording.energy_ev, "eV")}
    image = energy | {"y": (recording.y_um, "um"), "x": (recording.x_um, "um")}
    per_shard = max(1, min(n_energy, SHARD_BYTES // (4 * ny * nx)))
    about = {
        "format": recording.format,
        "start_time": recording.start_time,
        "lacks": list(recording.lacks),
        "notes": list(recording.notes),
    }
    return (
        ArrayPlan("counts", (n_energy, ny, nx), (1, ny, nx), (per_shard, ny, nx), image, about),
        single_shard("frame_class", (n_energy,), energy),
        single_shard("dwell_ms", (n_energy,), energy),
        single_shard("ring_current_ma", (n_energy,), energy),
    )


def _peak_bytes(recording: PtychographyRecording, options: Options, total: int) -> int:
    # A shard while a piece of the file is summed into it, or before that the frames that are looked at for faults:
    # as read, without those that cannot be used, and as truth values.
    n_energy, n_position = recording.positions_um.shape[:2]
    of_file = options.bin_px**2 * frame_bytes(recording)
    looked_at = min(FRAMES_LOOKED_AT, n_energy * n_position) * of_file
    piece = max(of_file, min(PIECE_BYTES, n_position * of_file))
    return max(3 * min(SHARD_BYTES, total) + 2 * piece, 5 * looked_at)


def _ptychography_arrays(recording: PtychographyRecording, options: Options) -> tuple[ArrayPlan, ...]:
    n_energy, n_position = recording.positions_um.shape[:2]
    qy, qx = recording.frame_shape
    energy = {"energy": (recording.energy_ev, "eV")}
    chunk = min(FRAMES_PER_CHUNK, n_position)
    dtype = stored_type(recording.frame_dtype)
    per_shard = SHARD_BYTES // (qy * qx * dtype.itemsize) // chunk * chunk
    per_shard = max(chunk, min(per_shard, ceil(n_position / chunk) * chunk))
    about = {
        "format": recording.format,
        "start_time": recording.start_time,
        "lacks": list(recording.lacks),
        "notes": list(recording.notes),
        "orientation": recording.orientation,
        "distance_m": recording.distance_m,
        "detector_pixel_um": list(recording.detector_pixel_um),
        "dwell_ms": recording.dwell_ms,
        "dtype": recording.frame_dtype.name,
        "crop_px": options.crop_px,
        "bin_px": options.bin_px,
        "beamstop_px": options.beamstop_px,
        "mask_faults": options.mask_faults,
        "zero_frequency_px": list(zero_frequency_px(recording.frame_shape, options.bin_px)),
    }
    plans = [
        ArrayPlan(
            "frames",
            (n_energy, n_position, qy, qx),
            (1, chunk, qy, qx),
            (1, per_shard, qy, qx),
            energy,
            about,
            dtype=dtype.name,
        ),
        single_shard("positions_um", (n_energy, n_position, 2), energy),
        single_shard("frame_class", (n_energy, n_position), energy),
        single_shard("detector_mask", (qy, qx)),
    ]
    if recording.illumination is not None:
        plans.append(single_shard("illumination", recording.illumination.shape))
    return tuple(plans)


def stored_type(of_file: np.dtype[Any]) -> np.dtype[Any]:
    """Whole counts stay whole; signed and broken numbers (dark frames taken off) keep their sign and fractions."""
    if of_file.kind == "u" and of_file.itemsize <= 4:
        return np.dtype(np.uint16 if of_file.itemsize <= 2 else np.uint32)
    return np.dtype(np.float32)


def work(unit: Unit) -> Outcome:
    """Read the file piece by piece and write it into shards; classes say which frames can be trusted."""
    write = ShardWriter(unit)
    recording = readers.read_region(unit.part["file"], unit.part["region"])
    if isinstance(recording, StxmRecording):
        measures = _ingest_stxm(recording, write, unit)
    else:
        measures = _ingest_ptychography(recording, write, unit)
    measures["sha256"] = {path.name: sha256_of_file(path) for path in recording.files}
    _refuse_if_changed(unit)
    return write.outcome(measures)


def _refuse_if_changed(unit: Unit) -> None:
    """The output bears the digest of the files as they were planned; those of a scan still running are not these."""
    recording = readers.read_region(unit.part["file"], unit.part["region"])
    for planned, path in zip_longest(unit.part["planned"], recording.files):
        found = None if path is None else fingerprint_of_file(path)
        if found != planned:
            raise InputError(
                where=path or f"{unit.part['file']}, {planned['name']}",
                problem="the file changed while it was read",
                got="no such file any more" if found is None else f"{found['bytes']} bytes and another time",
                wanted=f"{planned['bytes']} bytes as when the run began" if planned else "no such file, as before",
                mend="Wait until the scan is written, then run again",
            )


def _ingest_stxm(recording: StxmRecording, write: ShardWriter, unit: Unit) -> dict[str, Any]:
    plan = next(plan for plan in _stxm_arrays(recording) if plan.name == "counts")
    assert plan.shards is not None
    n_energy, per_shard = plan.shape[0], plan.shards[0]
    classes = recording.frame_class.copy()
    for shard, start in enumerate(range(0, n_energy, per_shard)):
        block = np.stack([recording.read(i) for i in range(start, min(start + per_shard, n_energy))])
        found = frame_classes(block, saturated_fraction=unit.options.saturated_fraction)
        part = slice(start, start + len(block))
        classes[part] = np.where(classes[part] == MaskClass.valid, found, classes[part])
        block[classes[part] != MaskClass.valid] = np.nan
        write("counts", (shard, 0, 0), block)
    _refuse_if_nothing_left(classes, recording.source, "frames")
    write("frame_class", (0,), classes)
    write("dwell_ms", (0,), recording.dwell_ms)
    write("ring_current_ma", (0,), recording.ring_current_ma)
    return {"frames": n_energy, "notes": list(recording.notes)} | count_classes(classes)


def _ingest_ptychography(recording: PtychographyRecording, write: ShardWriter, unit: Unit) -> dict[str, Any]:
    options: Options = unit.options
    of_file, found = _looked_through(_cut(recording, options), options)
    kept = binned(of_file, options.bin_px)
    plan = next(plan for plan in _ptychography_arrays(kept, options) if plan.name == "frames")
    assert plan.shards is not None
    n_energy, n_position = kept.positions_um.shape[:2]
    per_shard = plan.shards[1]
    classes = np.zeros((n_energy, n_position), np.uint8)
    photons = np.zeros(n_energy)
    for energy in range(n_energy):
        for shard, start in enumerate(range(0, n_position, per_shard)):
            part = range(start, min(start + per_shard, n_position))
            shard_frames = np.empty((1, len(part), *kept.frame_shape), plan.layout().dtype)
            for piece in pieces(part, frame_bytes(of_file)):
                here = run_of(piece)
                read = of_file.read(energy, here)
                # Judged as they are in the file: a sum shows no ceiling.
                classes[energy, here] = frame_classes(read, of_file.good, saturated_fraction=options.saturated_fraction)
                frames = summed(read, options.bin_px)
                # A pixel without a number would spread over the whole object: its frame was not measured.
                whole_frames = np.isfinite(frames[:, kept.good]).all(axis=1)
                classes[energy, here] = np.where(whole_frames, classes[energy, here], MaskClass.missing)
                photons[energy] += float(np.nansum(frames[:, kept.good], dtype=np.float64))
                shard_frames[0, here.start - start : here.stop - start] = frames
            write("frames", (energy, shard, 0, 0), shard_frames)
    _refuse_if_nothing_left(classes, kept.source, "frames")
    write("positions_um", (0, 0, 0), kept.positions_um)
    write("frame_class", (0, 0), classes)
    write("detector_mask", (0, 0), (~kept.good).astype(np.uint8))
    if kept.illumination is not None:
        write("illumination", (0, 0, 0), kept.illumination)
    return (
        {
            "frames": n_energy * n_position,
            "counts_per_frame": [float(total / n_position) for total in photons],
            "notes": [*kept.notes, *found.pop("notes")],
            "pixels": kept.good.size,
            "pixels_masked": int(np.count_nonzero(~kept.good)),
        }
        | found
        | count_classes(classes)
    )


def _looked_through(recording: PtychographyRecording, options: Options) -> tuple[PtychographyRecording, dict[str, Any]]:
    """The recording without the pixels that a look at some frames shows to be faulty, and what else that shows."""
    frames = sampled_frames(recording, FRAMES_LOOKED_AT)
    classes = frame_classes(frames, recording.good, saturated_fraction=options.saturated_fraction)
    frames = frames[classes == MaskClass.valid]
    shadow = shadow_radius_px(frames, recording.good)
    found: dict[str, Any] = {
        "crop_px": options.crop_px,
        "bin_px": options.bin_px,
        "beamstop_px": options.beamstop_px,
        "notes": [] if shadow is None else [shadow_note(shadow)],
    }
    if options.mask_faults:
        recording, faults = faults_masked(recording, frames)
        found |= {f"pixels_{name}": int(np.count_nonzero(getattr(faults, name))) for name in KINDS}
    return recording, found


def _refuse_if_nothing_left(classes: U8, source: Any, what: str) -> None:
    if not (classes == MaskClass.valid).any():
        names = ", ".join(f"{n} {name}" for name, n in count_classes(classes).items() if name.startswith("frames_"))
        raise InputError(
            where=source,
            problem=f"none of the {what} can be used",
            got=names or "no frames",
            wanted=f"at least one of the {what} with counts below the detector's ceiling",
            mend="Look at the file with `stxmdist inspect`; exclude the scan in the sample sheet if it failed",
        )


def count_classes(classes: U8) -> dict[str, int]:
    """How many frames are of each class, those of none left out."""
    values, counts = np.unique(classes, return_counts=True)
    return {f"frames_{MaskClass(value).name}": int(n) for value, n in zip(values, counts, strict=True)}


STAGE = Stage(
    name=NAME,
    version=2,
    options=Options,
    measures=dict,
    upstream=upstream,
    plan=plan,
    work=work,
    identity=identity,
    recording_after=as_kept,
    worker_bytes=300_000_000,
)
