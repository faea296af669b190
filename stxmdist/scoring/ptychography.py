"""Ptychography of a simulated campaign against its truth: the object, its resolution, its light and its place."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from scipy.ndimage import map_coordinates

from storage.store import Store
from stxmdist.arrays import C128, F64, Array, Mask
from stxmdist.ptychography.gauge import fit_gauge, register_pair
from stxmdist.simulation.chemistry import transmission

WELL_LIT = 0.5
"""Of the median illumination: darker pixels are known worse than the scan promises."""
RIM_PX = 2
"""Pixels at the rim of the truth's map over which its spline has no neighbours."""
ROUNDS = 8
"""Of registering and scaling in turn, at most: the edge of the area holds the images back by a third each time."""
STILL_PX = 0.02
"""After a smaller step the next would be lost in the registration's own error."""
LEAST_PIXELS = 256
LEAST_SHARE = 0.5
"""Of the area, that must be left after the shift: there is always a good fit in some small corner."""


@dataclass(frozen=True)
class ObjectError:
    """How far a reconstructed object is from the truth; NaN where too little of it is known."""

    whole: float = math.nan
    """Rms of object less truth over rms of the truth, complex"""
    amplitude: float = math.nan
    """The same of the moduli alone: what absorption rests on"""
    shift_um: tuple[float, float] = (math.nan, math.nan)
    """(y, x) by which the object lies off the truth"""
    ramp_rad_per_um: float = math.nan
    """Size of the phase ramp that was taken out"""


def object_error(
    object_: Array,
    illumination: Array,
    axes_um: tuple[F64, F64],
    truth: C128,
    truth_axes_um: tuple[F64, F64],
) -> ObjectError:
    """Compare an object with the truth over the well-lit area that the truth's map covers.

    What the frames do not determine is taken out first: one complex factor, one phase ramp (a tilt of the illumination
    goes against it) and one shift, to fractions of a pixel.

    Parameters
    ----------
    object_, illumination
        (Y, X) complex, NaN where not known, and the light on it
    axes_um, truth_axes_um
        pixel centres (Y,), (X,) um of either grid, in the same coordinates
    truth
        (V, U) complex transmission exp(-k beta t - i k delta t), on a pixel like the object's or a finer one
    """
    lit = np.isfinite(object_) & np.isfinite(illumination) & (illumination > 0)
    if lit.any():
        lit &= illumination > WELL_LIT * float(np.median(illumination[lit]))
    pitch_um = np.array([_pitch(axis) for axis in axes_um])
    known = np.where(lit, object_, 0.0).astype(np.complex128)
    shift_um, step_px = np.zeros(2), math.inf
    least = LEAST_PIXELS
    for turn in range(ROUNDS):
        expected, inside = on_grid(truth, truth_axes_um, axes_um, shift_um)
        area = lit & inside
        if area.sum() < least:
            return ObjectError()
        least = max(least, round(LEAST_SHARE * int(area.sum())) if turn == 0 else least)
        level, ramp = _levelled(known, expected, area)
        if step_px < STILL_PX or turn == ROUNDS - 1:
            break
        # The truth is moved, not the object: it is known on all sides.
        step = register_pair(expected, level, area.astype(np.float64))
        step_px = float(np.abs(step).max())
        shift_um = shift_um - step * pitch_um
    return ObjectError(
        whole=_relative(level, expected, area),
        amplitude=_relative(np.abs(level), np.abs(expected), area),
        shift_um=(float(shift_um[0]), float(shift_um[1])),
        ramp_rad_per_um=float(np.hypot(*(np.array(ramp) / pitch_um))),
    )


def _levelled(object_: C128, expected: C128, area: Mask) -> tuple[C128, tuple[float, float]]:
    """The object without ramp, times the factor that brings it nearest to what is expected; the ramp, rad per pixel."""
    gauge = fit_gauge(object_ * np.conj(expected), area.astype(np.float64))
    tilt = gauge.factor((object_.shape[0], object_.shape[1]))
    level = object_ * np.conj(tilt / np.abs(tilt))
    factor = np.vdot(level[area], expected[area]) / np.vdot(level[area], level[area])
    return level * factor, gauge.ramp_rad_per_px


def _relative(found: Array, expected: Array, area: Mask) -> float:
    difference = (np.abs(found[area] - expected[area]) ** 2).mean()
    return float(np.sqrt(difference / (np.abs(expected[area]) ** 2).mean()))


def on_grid(truth: C128, truth_axes_um: tuple[F64, F64], axes_um: tuple[F64, F64], shift_um: F64) -> tuple[C128, Mask]:
    """The truth (Y, X) moved and resampled by a cubic spline, and where its map reaches."""
    steps = [
        (axis - shift - true[0]) / _pitch(true)
        for axis, true, shift in zip(axes_um, truth_axes_um, shift_um, strict=True)
    ]
    within = [(step >= RIM_PX) & (step <= n - 1 - RIM_PX) for step, n in zip(steps, truth.shape, strict=True)]
    rows, columns = np.meshgrid(*steps, indexing="ij")
    parts = [map_coordinates(part, (rows, columns), order=3, mode="nearest") for part in (truth.real, truth.imag)]
    return np.asarray(parts[0] + 1j * parts[1]), np.logical_and.outer(*within)


def _pitch(axis: F64) -> float:
    return float((axis[-1] - axis[0]) / (axis.size - 1))


def score_scan(store: Store, truth_folder: Path, scan_id: str, nuisance: dict[str, Any]) -> dict[str, Any] | None:
    """The row of one ptychography scan; None where none of its stages is published."""
    row: dict[str, Any] = {"scan_id": scan_id}
    row |= _object_figures(store, truth_folder / "maps" / f"{scan_id}.zarr", scan_id, nuisance[scan_id])
    row |= _reconstruction_figures(store, scan_id, nuisance[scan_id])
    row |= _registration_figures(store, scan_id, nuisance)
    published = any(store.published_output(stage, scan_id) for stage in ("stitch", "reconstruct", "register"))
    return row if published else None


def _object_figures(store: Store, maps: Path, scan_id: str, nuisance: dict[str, Any]) -> dict[str, Any]:
    """Errors over the energies, median and worst, and how far the object lies off."""
    output = store.published_output("stitch", scan_id)
    errors: list[ObjectError] = []
    if output is not None and maps.is_dir():
        group = zarr.open_group(maps, mode="r")
        thickness = np.asarray(group["thickness_nm"][:], dtype=np.float64)  # type: ignore[index]
        true_y, true_x = (np.asarray(group[name][:], dtype=np.float64) for name in ("y", "x"))  # type: ignore[index]
        axes = (output.read("y_um"), output.read("x_um"))
        for index, energy_ev in enumerate(output.read("energy_ev")):
            truth = transmission(thickness, float(energy_ev) + nuisance["energy_offset_ev"])
            box = (slice(index, index + 1), slice(None), slice(None))
            object_, light = (output.read(name, box)[0] for name in ("object", "illumination_weight"))
            errors.append(object_error(object_, light, axes, truth, (true_y, true_x)))
    whole = [error.whole for error in errors]
    return {
        "object_error": _median(whole),
        "object_error_worst": float(np.max(whole)) if whole else math.nan,
        "amplitude_error": _median([error.amplitude for error in errors]),
        "object_shift_nm": _median([1e3 * math.hypot(*error.shift_um) for error in errors]),
    }


def _reconstruction_figures(store: Store, scan_id: str, nuisance: dict[str, Any]) -> dict[str, Any]:
    """Resolution, residual, and the light of the second mode, medians over tiles and energies."""
    quality = _quality(store, "reconstruct", scan_id)
    pixel_nm = float(np.mean(quality["pixel_nm"])) if "pixel_nm" in quality else math.nan
    beyond = [1.0 - power[0] / sum(power) for power in quality.get("mode_power", []) if power and sum(power) > 0]
    return {
        "half_bit_nm": _median(quality.get("half_bit_half_period_px", [])) * pixel_nm,
        "residual": _median(quality.get("residual", [])),
        "second_mode": _median(beyond),
        "second_mode_true": float(nuisance["second_mode"]),
    }


def _registration_figures(store: Store, scan_id: str, nuisance: dict[str, Any]) -> dict[str, Any]:
    """How far the registration misses the stage offset that was planted.

    The aligned stack stands where its reference frame stood, which had drifted: what was planted of that, and taken out
    again by the alignment's own shifts, belongs to the expected shift.
    """
    quality = _quality(store, "register", scan_id)
    nothing = {"registered": None, "registration_error_nm": math.nan}
    if "shift_um" not in quality or not np.isfinite(np.array(quality["shift_um"], dtype=float)).all():
        return nothing | {"registered": bool(quality["accepted"]) if "accepted" in quality else None}
    expected = -np.asarray(nuisance[scan_id]["offset_um"], dtype=np.float64)
    stack = str(quality.get("stxm", ""))
    align = store.published_output("align", stack) if stack in nuisance else None
    if align is not None:
        pitch_um = np.array([_pitch(align.read(name)) for name in ("y_um", "x_um")])
        used = align.read("energy_used").astype(bool)
        planted = np.asarray(nuisance[stack]["shift_um"], dtype=np.float64)
        expected += np.median((planted + align.read("shift_px") * pitch_um)[used], axis=0)
    miss_um = np.asarray(quality["shift_um"], dtype=np.float64) - expected
    return {
        "registered": bool(quality.get("accepted", False)),
        "registration_error_nm": float(np.hypot(*miss_um)) * 1e3,
    }


def _quality(store: Store, stage: str, scan_id: str) -> dict[str, Any]:
    publication = store.publication(stage)
    if publication is None or scan_id not in publication.scans:
        return {}
    return dict(publication.scans[scan_id].quality)


def _median(values: Any) -> float:
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    known = known[np.isfinite(known)]
    return float(np.median(known)) if known.size else math.nan
