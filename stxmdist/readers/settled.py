"""The last step of reading: the pixel size that was chosen, and no wide-field scan that no microscope can have made."""

from dataclasses import replace

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.plausible import DWELL_MS, FIELD_UM, PIXEL_NM
from stxmdist.readers.recording import StxmRecording

# Pixels that differ by less are the same: beamlines round coordinates.
SAME_PIXEL = 0.01


def settled(recording: StxmRecording, choices: ReadChoices) -> StxmRecording:
    """A recording with what was chosen of its pixels; dwell times that cannot be are not known.

    Raises
    ------
    InputError
        for pixels or a field of a size that no microscope has.
    """
    found = _with_known_dwell(_with_pixels_of(recording, choices.pixel_size_nm))
    for axis_um in (found.y_um, found.x_um):
        _refuse_impossible(found, axis_um)
    return found


def step_nm(axis_um: F64) -> float:
    """Distance of pixels of an axis (PIXEL,) in nm; NaN where there is one pixel."""
    return float(axis_um[-1] - axis_um[0]) / (len(axis_um) - 1) * 1e3 if len(axis_um) > 1 else np.nan


def _with_pixels_of(recording: StxmRecording, size_nm: float | None) -> StxmRecording:
    steps = {"x": step_nm(recording.x_um), "y": step_nm(recording.y_um)}
    if size_nm is None or all(not abs(step - size_nm) > SAME_PIXEL * size_nm for step in steps.values()):
        return recording
    factors = {letter: size_nm / step if np.isfinite(step) else 1.0 for letter, step in steps.items()}
    said = " x ".join(f"{step:g}" for step in steps.values() if np.isfinite(step))
    return replace(
        recording,
        x_um=recording.x_um * factors["x"],
        y_um=recording.y_um * factors["y"],
        notes=(*recording.notes, f"pixels are {size_nm:g} nm as was chosen: the file says {said} nm"),
    )


def _with_known_dwell(recording: StxmRecording) -> StxmRecording:
    known = np.isfinite(recording.dwell_ms)
    impossible = known & ~((recording.dwell_ms >= DWELL_MS.least) & (recording.dwell_ms <= DWELL_MS.most))
    if not impossible.any():
        return recording
    note = f"dwell times of {recording.dwell_ms[impossible][0]:g} ms cannot be: taken as not known"
    return replace(recording, dwell_ms=np.where(impossible, np.nan, recording.dwell_ms), notes=(*recording.notes, note))


def _refuse_impossible(recording: StxmRecording, axis_um: F64) -> None:
    pixel_nm, field_um = step_nm(axis_um), float(axis_um[-1] - axis_um[0])
    if len(axis_um) < 2 or (PIXEL_NM.holds(pixel_nm) and FIELD_UM.holds(field_um)):
        return
    in_units = {unit: pixel_nm * factor for unit, factor in (("mm", 1e3), ("m", 1e6), ("nm", 1e-3))}
    likely = [f"; in {unit} they would be {size:g} nm" for unit, size in in_units.items() if PIXEL_NM.holds(size)]
    raise InputError(
        where=recording.source,
        problem="no microscope has such pixels",
        got=f"pixels of {pixel_nm:g} nm in a field of {field_um:g} um{''.join(likely[:1])}",
        wanted=f"pixels of {PIXEL_NM} in a field of {FIELD_UM}",
        mend="Say their size with ingest: pixel_size_nm, or the unit where the file has none with position_unit",
    )
