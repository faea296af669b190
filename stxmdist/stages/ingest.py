"""Ingest: a beamline file becomes counts or frames, positions, energies and conditions in the store.

It is longer than 400 lines because scans of both kinds are read, judged and written here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import NoReturn, TypeAlias

import numpy as np

from storage.contents import FileContent, still_holds
from storage.layout import ArrayPlan
from stxmdist import readers
from stxmdist.arrays import F32, F64, U8, MaskClass
from stxmdist.errors import InputError
from stxmdist.measures import IngestMeasures, Numbers
from stxmdist.planning.density_options import density_options
from stxmdist.planning.growth import Growth
from stxmdist.planning.survey import Stage, Survey, Upstream
from stxmdist.ptychography.state import refuse_unless
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.frames.beamstop import beamstop_masked
from stxmdist.readers.frames.judged import (
    CheckedDetector,
    checked_detector,
    frames_by_class,
    frames_in_part,
    judge_images,
    judged_frames,
    lost_words,
    refuse_unless_some_valid,
)
from stxmdist.readers.frames.kind_of_numbers import numbers_meant, what_numbers_are, without_counts
from stxmdist.readers.frames.pixels import FRAMES_LOOKED_AT
from stxmdist.readers.frames.upsampled import laid_in, upsampled
from stxmdist.readers.frames.windowing import (
    LEAST_PX,
    PIECE_BYTES,
    binned,
    cropped,
    frame_bytes,
    pieces,
    run_of,
    stored_type,
    zero_frequency_px,
)
from stxmdist.readers.growing import axes_of, energy_keys, of_energies, sha256_of
from stxmdist.readers.recording import PtychographyRecording, Recording, StxmRecording, roles_of
from stxmdist.records import Json
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Unit
from stxmdist.runner.writing import ShardWriter, all_shards, bytes_of, single_shard

NAME = "ingest"

SHARD_BYTES = 64_000_000
"""Frames are read and written in pieces of about this size, so that a scan of any length fits a small worker."""

FRAMES_PER_CHUNK = 16
"""One read decodes this many diffraction frames: few enough for a preview, enough to compress well."""


@dataclass(frozen=True)
class Options(ReadChoices):
    """How files are read, which frames and pixels of the detector are trusted, and how many of them are kept."""

    saturated_fraction: float = 0.01
    """Wide-field scans: an image with more than this share of its pixels at the detector's ceiling is set aside"""
    lost_fraction: float = 0.25
    """Ptychography: a frame with more than this share of its good pixels saturated or without a number is set aside"""
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
    upsample: int = 1
    """Ptychography: lay frames in ones so many times as large, whose other pixels were not measured. The object has
    smaller pixels by as much: for light beyond the detector's edge, which is found up to the aperture's own angle
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_unless(
            self,
            lost_fraction=(0.0 < self.lost_fraction <= 1.0, "above 0, at most 1"),
            beamstop_px=(self.beamstop_px >= 0, "0 or a radius in pixels"),
            crop_px=(self.crop_px == 0 or self.crop_px >= LEAST_PX, f"0 or at least {LEAST_PX}"),
            bin_px=(self.bin_px >= 1, "at least 1"),
            upsample=(1 <= self.upsample <= 4, "1 to 4"),
        )


@dataclass(frozen=True)
class IngestPart:
    """Which scan of which files."""

    files: tuple[str, ...]
    """The files that the sample sheet names"""
    part: str | None
    """Which region or channel of files that hold several"""
    planned: Mapping[str, FileContent]
    """What every file of the scan held then, by its path; empty in a forecast"""
    numbers: Numbers | None = None
    """What the campaign says its numbers are; None: nothing"""
    so_far: Growth | None = None
    """What of a scan that is still being measured is taken; None: the scan is taken as it is"""

    @property
    def sha256(self) -> dict[str, str]:
        """File name to the digest of its content."""
        return {Path(path).name: content.sha256 for path, content in self.planned.items()}


IngestUnit: TypeAlias = Unit[Options, IngestPart]


def upstream(survey: Survey, scan_id: str) -> Upstream:
    """Ingest reads beamline files only."""
    return ()


def identity(survey: Survey, scan_id: str) -> Json:
    """What the files of the scan hold, which part of it, and what its numbers are said to be."""
    files = _contents(survey, scan_id)
    part, numbers = survey.scans[scan_id].file_region, density_options(survey, scan_id).input
    said: dict[str, Json] = {} if part is None else {"part": part}
    said |= {} if numbers is None else {"numbers": numbers}
    return {"files": files, **said} if said else files


def _contents(survey: Survey, scan_id: str) -> Json:
    """Role and sha256 of every file, or of a scan that is being measured its complete energies. A forecast, whose
    digests nothing is looked up by, reads no file whole.
    """
    files = survey.recordings[scan_id].files
    if scan_id in survey.growing:
        return {"so_far": survey.growing[scan_id].digest}
    if survey.forecast:
        return len(files)
    return [[role, survey.content_of(path).sha256] for role, path in zip(roles_of(files), files, strict=True)]


def as_kept(recording: Recording, options: Options) -> Recording:
    """What ingest leaves of a scan, as far as its header says: a wide-field scan whole, frames cut and summed."""
    if isinstance(recording, StxmRecording):
        return recording
    return upsampled(binned(_cut(recording, options), options.bin_px), options.upsample)


def _cut(recording: PtychographyRecording, options: Options) -> PtychographyRecording:
    # Frames and pixels are judged by the pixels of the file, before any are summed.
    return beamstop_masked(cropped(recording, options.crop_px), options.beamstop_px)


def plan(survey: Survey, options: Options) -> Plan:
    """One unit for each scan."""
    return Plan(tuple(_unit(survey, scan_id) for scan_id in survey.scans))


def _unit(survey: Survey, scan_id: str) -> Unit[object, IngestPart]:
    recording, options = survey.recordings[scan_id], survey.options_of(NAME, Options, scan_id)
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
        part=IngestPart(
            files=tuple(map(str, survey.scans[scan_id].files)),
            part=survey.scans[scan_id].file_region,
            planned={}
            if survey.forecast or scan_id in survey.growing
            else {str(path): survey.content_of(path) for path in recording.files},
            numbers=density_options(survey, scan_id).input,
            so_far=survey.growing.get(scan_id),
        ),
        estimate=Estimate(
            total,
            peak_bytes=peak_bytes,
            core_seconds=0.2 + total / 100e6,
            most_stored_bytes=_most_stored_bytes(recording, arrays),
        ),
    )


def _most_stored_bytes(recording: Recording, arrays: Sequence[ArrayPlan]) -> int | None:
    """Bytes on disk at most: how well frames are compressed depends on their photons, and their file shows it."""
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
    return int(max(3 * min(SHARD_BYTES, total) + 2 * piece, 5 * looked_at))


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
        "upsample": options.upsample,
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
        single_shard("frame_counts", (n_energy, n_position), energy),
        single_shard("detector_mask", (qy, qx)),
        single_shard("ceiling_counts", (n_energy,), energy),
    ]
    if recording.illumination is not None:
        plans.append(single_shard("illumination", recording.illumination.shape))
    return tuple(plans)


def work(unit: IngestUnit) -> Outcome:
    """Read the file piece by piece and write it into shards; classes say which frames can be trusted."""
    write = ShardWriter(unit)
    recording = _recording(unit)
    if isinstance(recording, StxmRecording):
        measures = _ingest_stxm(recording, write, unit)
    else:
        measures = _ingest_ptychography(recording, write, unit)
    if unit.part.so_far is None:
        _refuse_if_changed(unit)
    return write.outcome(measures)


def _recording(unit: IngestUnit) -> Recording:
    recording = readers.read_scan(tuple(map(Path, unit.part.files)), unit.part.part, unit.options)
    if unit.part.so_far is None or not isinstance(recording, StxmRecording):
        return recording
    return as_they_were(of_energies(recording, unit.part.so_far.complete, unit.part.so_far.planned), unit.part.so_far)


def as_they_were(recording: StxmRecording, growth: Growth) -> StxmRecording:
    """A scan that is being measured, each of whose frames is refused where it is not the one that was planned.

    Raises
    ------
    InputError
        for energies that are not there any more, and on reading a frame that has become another.
    """
    keys = energy_keys(recording)

    def refuse(got: str) -> NoReturn:
        raise InputError(
            where=recording.source,
            problem="the scan changed where it was complete",
            got=got,
            wanted="the energies that were complete when they were looked at",
            mend="Nothing: it is looked at again from its first energy",
        )

    if set(keys) != set(growth.complete) or axes_of(recording) != growth.axes:
        refuse("another scan, or fewer energies")

    def read(index: int) -> F32:
        counts = recording.read(index)
        if sha256_of(counts) != growth.frames[keys[index]].sha256:
            refuse(f"other numbers at {recording.energy_ev[index]:g} eV")
        return counts

    return replace(recording, read=read)


def _refuse_if_changed(unit: IngestUnit) -> None:
    """The output bears the digest of the files as they were planned; those of a scan still running are others."""
    now = {str(path) for path in _recording(unit).files}
    for path in sorted(now | unit.part.planned.keys()):
        planned = unit.part.planned.get(path)
        if path in now and planned is not None and still_holds(Path(path), planned):
            continue
        raise InputError(
            where=path,
            problem="the file changed while it was read",
            got=f"{Path(path).stat().st_size} bytes with another content" if path in now else "no such file any more",
            wanted=f"{planned.bytes} bytes as when the run began" if planned else "no such file, as before",
            mend="Wait until the scan is written, then run again",
        )


def _ingest_stxm(recording: StxmRecording, write: ShardWriter, unit: IngestUnit) -> IngestMeasures:
    plan = next(plan for plan in _stxm_arrays(recording) if plan.name == "counts")
    assert plan.shards is not None
    n_energy, per_shard = plan.shape[0], plan.shards[0]
    classes = recording.frame_class.copy()
    in_part, numbers = 0, None
    for shard, start in enumerate(range(0, n_energy, per_shard)):
        images = np.stack([recording.read(i) for i in range(start, min(start + per_shard, n_energy))])
        part = slice(start, start + len(images))
        classes[part] = judge_images(images, classes[part], unit.options.saturated_fraction)
        in_part += frames_in_part(images)
        if numbers is None:
            numbers = what_numbers_are(images)
            numbers_meant(numbers, unit.part.numbers, recording.source)
        write("counts", (shard, 0, 0), images)
    refuse_unless_some_valid(classes, recording.source)
    write("frame_class", (0,), classes)
    write("dwell_ms", (0,), recording.dwell_ms)
    write("ring_current_ma", (0,), recording.ring_current_ma)
    frames = frames_by_class(classes)
    assert numbers is not None
    return IngestMeasures(
        frames=n_energy,
        frames_valid=frames[MaskClass.valid],
        frames_missing=frames.get(MaskClass.missing),
        energies_planned=None if unit.part.so_far is None else unit.part.so_far.planned,
        frames_in_part=in_part or None,
        frames_saturated=frames.get(MaskClass.saturated),
        notes=(*recording.notes, *without_counts(numbers)),
        sha256=unit.part.sha256,
        numbers=numbers.kind,
        numbers_said="" if numbers.kind == "counts" else numbers.said,
    )


def _ingest_ptychography(recording: PtychographyRecording, write: ShardWriter, unit: IngestUnit) -> IngestMeasures:
    options = unit.options
    detector = checked_detector(
        _cut(recording, options), mask_faults=options.mask_faults, lost_fraction=options.lost_fraction
    )
    measured = binned(detector.recording, options.bin_px)
    kept = upsampled(measured, options.upsample)
    classes, counts, pixels = _write_frames(detector, measured, kept, write, options)
    refuse_unless_some_valid(classes, kept.source)
    # Sums of pixels, one of which is saturated, are not known at all.
    ceiling = np.nan if detector.ceiling is None or options.bin_px > 1 else detector.ceiling
    write("ceiling_counts", (0,), np.full(len(kept.energy_ev), ceiling, np.float32))
    write("positions_um", (0, 0, 0), kept.positions_um)
    write("frame_class", (0, 0), classes)
    write("frame_counts", (0, 0), counts)
    write("detector_mask", (0, 0), (~kept.good).astype(np.uint8))
    if kept.illumination is not None:
        write("illumination", (0, 0, 0), kept.illumination)
    frames, faults = frames_by_class(classes), detector.faults
    return IngestMeasures(
        frames=classes.size,
        frames_valid=frames[MaskClass.valid],
        frames_missing=frames.get(MaskClass.missing),
        frames_saturated=frames.get(MaskClass.saturated),
        counts_per_frame=counts.mean(axis=1),
        notes=(*kept.notes, *detector.notes, *lost_words(*pixels, classes.size)),
        pixels=measured.good.size,
        pixels_masked=int(np.count_nonzero(~measured.good)),
        pixels_hot=None if faults is None else int(np.count_nonzero(faults.hot)),
        pixels_unread=None if faults is None else int(np.count_nonzero(faults.unread)),
        pixels_saturated=None if faults is None else int(np.count_nonzero(faults.saturated)),
        pixels_dead=None if faults is None else int(np.count_nonzero(faults.dead)),
        crop_px=options.crop_px,
        bin_px=options.bin_px,
        upsample=options.upsample,
        beamstop_px=options.beamstop_px,
        readings_unread=pixels[0],
        readings_saturated=pixels[1],
        sha256=unit.part.sha256,
    )


def _write_frames(
    detector: CheckedDetector,
    measured: PtychographyRecording,
    kept: PtychographyRecording,
    write: ShardWriter,
    options: Options,
) -> tuple[U8, F64, tuple[int, int]]:
    """Write all frames, one shard after the other.

    Returns the class (ENERGY, POSITION) of each, the counts (ENERGY, POSITION) of each, and how many readings of good
    pixels hold no number, and are saturated.
    """
    of_file = detector.recording
    plan = next(plan for plan in _ptychography_arrays(kept, options) if plan.name == "frames")
    assert plan.shards is not None
    n_energy, n_position = kept.positions_um.shape[:2]
    per_shard = plan.shards[1]
    classes = np.zeros((n_energy, n_position), np.uint8)
    counts = np.zeros((n_energy, n_position))
    unread, clipped = 0, 0
    for energy in range(n_energy):
        for shard, start in enumerate(range(0, n_position, per_shard)):
            part = range(start, min(start + per_shard, n_position))
            shard_frames = np.empty((1, len(part), *kept.frame_shape), plan.layout().dtype)
            for piece in pieces(part, frame_bytes(of_file)):
                here = run_of(piece)
                read = of_file.read(energy, here)
                judged = judged_frames(
                    read, of_file.good, measured.good, options.bin_px, options.lost_fraction, detector.ceiling
                )
                unread, clipped = unread + judged.unread, clipped + judged.clipped
                classes[energy, here] = judged.classes
                counts[energy, here] = judged.counts
                shard_frames[0, here.start - start : here.stop - start] = laid_in(judged.frames, kept.frame_shape)
            write("frames", (energy, shard, 0, 0), shard_frames)
    return classes, counts, (unread, clipped)


STAGE = Stage(
    name=NAME,
    version=4,
    options=Options,
    measures=IngestMeasures,
    upstream=upstream,
    plan=plan,
    work=work,
    identity=identity,
    recording_after=as_kept,
    worker_bytes=300_000_000,
)
