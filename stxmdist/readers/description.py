"""Facts of an acquisition for people and for JSON: sizes, ranges, and a look at a few frames."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError
from stxmdist.readers.recording import Description, PtychographyRecording, Recording, StxmRecording
from stxmdist.units import wavelength_nm

# Enough to see the range of counts, few enough to be quick on the largest file.
FRAMES_LOOKED_AT = 3

R = TypeVar("R", StxmRecording, PtychographyRecording)


def described(
    path: Path,
    format: str,
    kind: str,
    facts: dict[str, Any],
    open: Callable[[Path], tuple[R, ...]],
    facts_of: Callable[[R], dict[str, Any]],
) -> Description:
    """The description of a file: from its metadata, and from its recordings where it can be opened."""
    try:
        recordings = open(path)
        for number, recording in enumerate(recordings):
            more = facts_of(recording)
            facts = facts | (more if number == 0 else {f"{name}_region_{number}": more[name] for name in more})
    except InputError as error:
        return Description(path, format, kind, False, error.sentence, facts)
    said: tuple[Recording, ...] = recordings
    return Description(
        source=path,
        format=format,
        kind=kind,
        usable=True,
        facts=facts | {"notes": [note for recording in said for note in recording.notes]},
        lacks=tuple(dict.fromkeys(lack for recording in said for lack in recording.lacks)),
    )


def stxm_facts(recording: StxmRecording) -> dict[str, Any]:
    """Facts of a wide-field scan, JSON-able, units in the names."""
    energy_ev = recording.energy_ev
    seen = np.flatnonzero(recording.frame_class == MaskClass.valid)
    facts: dict[str, Any] = {
        "region": recording.region,
        "n_energies": len(energy_ev),
        "energy_min_ev": float(energy_ev[0]),
        "energy_max_ev": float(energy_ev[-1]),
        "shape": [len(recording.y_um), len(recording.x_um)],
        "x_min_um": float(recording.x_um[0]),
        "x_max_um": float(recording.x_um[-1]),
        "y_min_um": float(recording.y_um[0]),
        "y_max_um": float(recording.y_um[-1]),
        "pixel_x_nm": _step_nm(recording.x_um),
        "pixel_y_nm": _step_nm(recording.y_um),
        "dwell_ms": _number(np.nanmedian(recording.dwell_ms)) if np.isfinite(recording.dwell_ms).any() else None,
        "ring_current_ma": _number(np.nanmedian(recording.ring_current_ma))
        if np.isfinite(recording.ring_current_ma).any()
        else None,
        "frames_missing": int(np.count_nonzero(recording.frame_class == MaskClass.missing)),
        "start_time": recording.start_time,
    }
    if seen.size:
        chosen = np.unique(seen[np.linspace(0, seen.size - 1, FRAMES_LOOKED_AT).astype(int)])
        facts |= _counts([recording.read(int(index)) for index in chosen])
    return facts


def ptychography_facts(recording: PtychographyRecording) -> dict[str, Any]:
    """Facts of a ptychography scan, JSON-able, units in the names; the object's pixel is lambda z / (N p)."""
    energy_ev = recording.energy_ev
    span = np.ptp(recording.positions_um[0], axis=0)
    extent_um = [size * pixel for size, pixel in zip(recording.frame_shape, recording.detector_pixel_um, strict=True)]
    pixel_nm = [wavelength_nm(float(energy_ev[0])) * recording.distance_m * 1e6 / extent for extent in extent_um]
    n_positions = recording.positions_um.shape[1]
    chosen = np.unique(np.linspace(0, n_positions - 1, FRAMES_LOOKED_AT).astype(int))
    return {
        "n_energies": len(energy_ev),
        "energy_min_ev": float(energy_ev[0]),
        "energy_max_ev": float(energy_ev[-1]),
        "n_positions": int(n_positions),
        "frame_shape": list(recording.frame_shape),
        "frame_type": str(recording.frame_dtype),
        "scan_y_um": float(span[0]),
        "scan_x_um": float(span[1]),
        "distance_m": recording.distance_m,
        "detector_pixel_y_um": recording.detector_pixel_um[0],
        "detector_pixel_x_um": recording.detector_pixel_um[1],
        "object_pixel_y_nm": pixel_nm[0],
        "object_pixel_x_nm": pixel_nm[1],
        "bad_pixels": int(np.count_nonzero(~recording.good)),
        "illumination_modes": 0 if recording.illumination is None else len(recording.illumination),
        "dwell_ms": _number(recording.dwell_ms),
        "orientation": recording.orientation,
        "start_time": recording.start_time,
    } | _counts([recording.read(0, slice(int(index), int(index) + 1)) for index in chosen])


def _counts(frames: list[Any]) -> dict[str, Any]:
    counts = np.stack(frames).astype(np.float64)
    counts = counts[np.isfinite(counts)]
    if not counts.size:
        return {"counts_min": None, "counts_mean": None, "counts_max": None}
    return {"counts_min": float(counts.min()), "counts_mean": float(counts.mean()), "counts_max": float(counts.max())}


def _step_nm(axis_um: Any) -> float | None:
    return round(float(axis_um[-1] - axis_um[0]) / (len(axis_um) - 1) * 1e3, 6) if len(axis_um) > 1 else None


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
