"""What a file holds, for people and for JSON: sizes, ranges, and a look at a few frames."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stxmdist.arrays import F64, MaskClass
from stxmdist.errors import InputError
from stxmdist.readers.choices import AS_THE_FILE_SAYS, ReadChoices
from stxmdist.readers.recording import (
    Description,
    Facts,
    PtychographyRecording,
    Recording,
    StxmRecording,
    refuse_no_image,
)
from stxmdist.readers.settled import step_nm
from stxmdist.records import figures_of
from stxmdist.units import wavelength_nm

# Enough to see the range of counts, few enough to be quick on the largest file.
FRAMES_LOOKED_AT = 3


@dataclass(frozen=True)
class CountsRange:
    """Smallest, mean and largest number of a few frames; None where these hold no number."""

    counts_min: float | None
    counts_mean: float | None
    counts_max: float | None


@dataclass(frozen=True)
class StxmFacts:
    """What a wide-field scan is, in numbers."""

    region: str
    n_energies: int
    energy_min_ev: float
    energy_max_ev: float
    shape: tuple[int, int]
    """(Y, X)"""
    x_min_um: float
    x_max_um: float
    y_min_um: float
    y_max_um: float
    pixel_x_nm: float | None
    pixel_y_nm: float | None
    dwell_ms: float | None
    ring_current_ma: float | None
    frames_missing: int
    start_time: str


@dataclass(frozen=True)
class PtychographyFacts:
    """What a ptychography scan is, in numbers."""

    n_energies: int
    energy_min_ev: float
    energy_max_ev: float
    n_positions: int
    frame_shape: tuple[int, int]
    """(QY, QX)"""
    frame_type: str
    scan_y_um: float
    scan_x_um: float
    distance_m: float
    detector_pixel_y_um: float
    detector_pixel_x_um: float
    object_pixel_y_nm: float
    object_pixel_x_nm: float
    bad_pixels: int
    illumination_modes: int
    dwell_ms: float | None
    orientation: str
    start_time: str


R = TypeVar("R", StxmRecording, PtychographyRecording)


def described(
    path: Path,
    format: str,
    kind: str,
    facts: Facts,
    open: Callable[[Path, ReadChoices], tuple[R, ...]],
    facts_of: Callable[[R], Facts],
    energies_ev: Sequence[float] = (),
) -> Description:
    """The description of a file: from its metadata, and from its recordings where it can be opened.

    ``energies_ev`` are the photon energies that the metadata say; those of the first recording come before them.
    """
    said = (min(energies_ev), max(energies_ev)) if energies_ev else None
    try:
        opened = open(path, AS_THE_FILE_SAYS)
        for number, recording in enumerate(opened):
            more = facts_of(recording)
            facts = facts | (more if number == 0 else {f"{name}_region_{number}": more[name] for name in more})
    except InputError as error:
        return Description(path, format, kind, False, error.sentence, said, facts)
    recordings: tuple[Recording, ...] = opened
    energy_ev = recordings[0].energy_ev
    refusal = _no_image(recordings)
    return Description(
        source=path,
        format=format,
        kind=kind,
        usable=not refusal,
        refusal=refusal,
        energies_ev=(float(energy_ev[0]), float(energy_ev[-1])),
        facts=facts | {"notes": [note for recording in recordings for note in recording.notes]},
        lacks=tuple(dict.fromkeys(lack for recording in recordings for lack in recording.lacks)),
        recordings=recordings,
    )


def _no_image(recordings: Sequence[Recording]) -> str:
    """Why nothing of a file can be processed though it can be read; empty where something can."""
    refusal = ""
    for recording in recordings:
        try:
            refuse_no_image(recording)
        except InputError as error:
            refusal = refusal or error.sentence
        else:
            return ""
    return refusal


def stxm_facts(recording: StxmRecording) -> Facts:
    """`StxmFacts` of a scan, and the `CountsRange` of a few of its frames that were measured."""
    energy_ev = recording.energy_ev
    facts = StxmFacts(
        region=recording.region,
        n_energies=len(energy_ev),
        energy_min_ev=float(energy_ev[0]),
        energy_max_ev=float(energy_ev[-1]),
        shape=(len(recording.y_um), len(recording.x_um)),
        x_min_um=float(recording.x_um[0]),
        x_max_um=float(recording.x_um[-1]),
        y_min_um=float(recording.y_um[0]),
        y_max_um=float(recording.y_um[-1]),
        pixel_x_nm=_step_nm(recording.x_um),
        pixel_y_nm=_step_nm(recording.y_um),
        dwell_ms=_median(recording.dwell_ms),
        ring_current_ma=_median(recording.ring_current_ma),
        frames_missing=int(np.count_nonzero(recording.frame_class == MaskClass.missing)),
        start_time=recording.start_time,
    )
    measured = np.flatnonzero(recording.frame_class == MaskClass.valid)
    if not measured.size:
        return figures_of(facts)
    chosen = np.unique(measured[np.linspace(0, measured.size - 1, FRAMES_LOOKED_AT).astype(int)])
    return figures_of(facts) | figures_of(_counts_range([recording.read(int(index)) for index in chosen]))


def ptychography_facts(recording: PtychographyRecording) -> Facts:
    """`PtychographyFacts` of a scan, and the `CountsRange` of a few of its frames.

    The object's pixel is lambda z / (N p).
    """
    energy_ev = recording.energy_ev
    span = np.ptp(recording.positions_um[0], axis=0)
    extent_um = [size * pixel for size, pixel in zip(recording.frame_shape, recording.detector_pixel_um, strict=True)]
    pixel_nm = [wavelength_nm(float(energy_ev[0])) * recording.distance_m * 1e6 / extent for extent in extent_um]
    n_positions = recording.positions_um.shape[1]
    facts = PtychographyFacts(
        n_energies=len(energy_ev),
        energy_min_ev=float(energy_ev[0]),
        energy_max_ev=float(energy_ev[-1]),
        n_positions=int(n_positions),
        frame_shape=recording.frame_shape,
        frame_type=str(recording.frame_dtype),
        scan_y_um=float(span[0]),
        scan_x_um=float(span[1]),
        distance_m=recording.distance_m,
        detector_pixel_y_um=recording.detector_pixel_um[0],
        detector_pixel_x_um=recording.detector_pixel_um[1],
        object_pixel_y_nm=pixel_nm[0],
        object_pixel_x_nm=pixel_nm[1],
        bad_pixels=int(np.count_nonzero(~recording.good)),
        illumination_modes=0 if recording.illumination is None else len(recording.illumination),
        dwell_ms=float(recording.dwell_ms) if np.isfinite(recording.dwell_ms) else None,
        orientation=recording.orientation,
        start_time=recording.start_time,
    )
    chosen = np.unique(np.linspace(0, n_positions - 1, FRAMES_LOOKED_AT).astype(int))
    frames = [recording.read(0, slice(int(index), int(index) + 1)) for index in chosen]
    return figures_of(facts) | figures_of(_counts_range(frames))


def _counts_range(frames: Sequence[NDArray[np.generic]]) -> CountsRange:
    counts = np.stack(frames).astype(np.float64)
    counts = counts[np.isfinite(counts)]
    if not counts.size:
        return CountsRange(None, None, None)
    return CountsRange(float(counts.min()), float(counts.mean()), float(counts.max()))


def _step_nm(axis_um: F64) -> float | None:
    return round(step_nm(axis_um), 6) if len(axis_um) > 1 else None


def _median(values: F64) -> float | None:
    """The median of what is known; None where nothing is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else None
