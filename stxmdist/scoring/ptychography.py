"""Ptychography of a simulated campaign against its truth: the object, its resolution, its light and its place."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr
from scipy.ndimage import map_coordinates

from stxmdist.arrays import C128, F64, Array, Mask
from stxmdist.measures import ReconstructFigures, RegisterMeasures
from stxmdist.pixel_pitch import axis_pitch_um, pitch_yx_um
from stxmdist.planning.published import PublishedCampaign
from stxmdist.ptychography.gauge import fit_gauge, register_pair
from stxmdist.simulation.chemistry import BENIGN, transmission
from stxmdist.simulation.raster import Raster

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
    pitch_um = pitch_yx_um(*axes_um)
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
        (axis - shift - true[0]) / axis_pitch_um(true)
        for axis, true, shift in zip(axes_um, truth_axes_um, shift_um, strict=True)
    ]
    within = [(step >= RIM_PX) & (step <= n - 1 - RIM_PX) for step, n in zip(steps, truth.shape, strict=True)]
    rows, columns = np.meshgrid(*steps, indexing="ij")
    parts = [map_coordinates(part, (rows, columns), order=3, mode="nearest") for part in (truth.real, truth.imag)]
    return np.asarray(parts[0] + 1j * parts[1]), np.logical_and.outer(*within)


@dataclass(frozen=True)
class PlantedScan:
    """What was planted in a scan and is no part of its maps."""

    modality: str
    energy_offset_ev: float
    energy_ev: tuple[float, ...] = ()
    counts: float | None = None
    """Photons of the open beam in a pixel of a stack"""
    offset_um: tuple[float, float] = (0.0, 0.0)
    """(y, x): coordinates of the file less those of the sample"""
    second_mode: float = math.nan
    """Share of the light of ptychography that is in its second mode"""
    shift_um: tuple[tuple[float, float], ...] = ()
    """(ENERGY, 2) drift (y, x) of a stack"""
    shear: float = 0.0
    row_drift_um: tuple[tuple[float, float], ...] = ()
    """(Y, 2) slow displacement of the rows of a stack"""
    field_centre_um: tuple[float, float] = (0.0, 0.0)
    """Middle of ptychography on the sample"""
    polarisation_deg: float | None = None
    dichroism: float = 0.0

    def displaced_um(self, y_um: F64, at_um: float) -> F64:
        """(y, x) by which a stack of rows (Y,) um shows a place of the sample short of where it lies."""
        if not self.row_drift_um:
            return np.zeros(2)
        raster = Raster(self.offset_um, self.shear, np.array(self.row_drift_um), np.zeros((0, y_um.size, 2)))
        return np.asarray(raster.shift_at(np.array([at_um]), y_um - self.offset_um[0])[0], dtype=np.float64)


@dataclass(frozen=True)
class PtychographyScore:
    """How a ptychography scan was recovered; NaN where nothing says it."""

    scan_id: str
    object_error: float
    """Median over energies of the complex error"""
    object_error_worst: float
    amplitude_error: float
    object_shift_nm: float
    half_bit_nm: float
    residual: float
    second_mode: float
    """Share of the light beyond the first mode"""
    second_mode_true: float
    registered: bool | None
    """Whether the registration was accepted; None where none was published, written as null"""
    registration_error_nm: float


def score_scan(
    published: PublishedCampaign, truth_folder: Path, scan_id: str, planted: Mapping[str, PlantedScan]
) -> PtychographyScore | None:
    """The row of one ptychography scan; None where none of its stages is published."""
    if not any(published.has(stage, scan_id) for stage in ("stitch", "reconstruct", "register")):
        return None
    errors = _object_errors(published, truth_folder / "maps" / f"{scan_id}.zarr", scan_id, planted[scan_id])
    whole = [error.whole for error in errors]
    reconstruct = published.figures(ReconstructFigures, "reconstruct", scan_id)
    register = published.figures(RegisterMeasures, "register", scan_id)
    return PtychographyScore(
        scan_id=scan_id,
        object_error=_median(whole),
        object_error_worst=float(np.max(whole)) if whole else math.nan,
        amplitude_error=_median(error.amplitude for error in errors),
        object_shift_nm=_median(1e3 * math.hypot(*error.shift_um) for error in errors),
        half_bit_nm=math.nan if reconstruct is None else _half_bit_nm(reconstruct),
        residual=math.nan if reconstruct is None else _median(reconstruct.residual),
        second_mode=math.nan if reconstruct is None else _beyond_first_mode(reconstruct),
        second_mode_true=planted[scan_id].second_mode,
        registered=None if register is None else register.accepted,
        registration_error_nm=math.nan
        if register is None
        else _registration_error_nm(published, scan_id, register, planted),
    )


def _object_errors(published: PublishedCampaign, maps: Path, scan_id: str, planted: PlantedScan) -> list[ObjectError]:
    """How far the object is from the truth, at each energy."""
    output = published.output("stitch", scan_id)
    if output is None or not maps.is_dir():
        return []
    group = zarr.open_group(maps, mode="r")
    thickness = np.asarray(group["thickness_nm"][:], dtype=np.float64)  # type: ignore[index]
    components = tuple(map(str, group.attrs.get("component", BENIGN)))  # type: ignore[arg-type]
    true_y, true_x = (np.asarray(group[name][:], dtype=np.float64) for name in ("y", "x"))  # type: ignore[index]
    axes = (output.read("y_um"), output.read("x_um"))
    errors = []
    for index, energy_ev in enumerate(output.read("energy_ev")):
        energy = float(energy_ev) + planted.energy_offset_ev
        truth = transmission(thickness, energy, components, planted.polarisation_deg, planted.dichroism)
        box = (slice(index, index + 1), slice(None), slice(None))
        object_, light = (output.read(name, box)[0] for name in ("object", "illumination_weight"))
        errors.append(object_error(object_, light, axes, truth, (true_y, true_x)))
    return errors


def _half_bit_nm(figures: ReconstructFigures) -> float:
    """Half-period at the half-bit criterion, the median over tiles and energies."""
    pixel_nm = math.nan if figures.pixel_nm is None else float(np.mean(figures.pixel_nm))
    return _median(figures.half_bit_half_period_px) * pixel_nm


def _beyond_first_mode(figures: ReconstructFigures) -> float:
    """Share of the light beyond the first mode, the median over tiles and energies."""
    powers = [power for power in figures.mode_power if power is not None and power.size and power.sum() > 0]
    return _median(1.0 - float(power[0]) / float(power.sum()) for power in powers)


def _registration_error_nm(
    published: PublishedCampaign, scan_id: str, register: RegisterMeasures, planted: Mapping[str, PlantedScan]
) -> float:
    """How far the registration misses the stage offset that was planted, in the middle of the ptychography.

    The aligned stack stands where its reference frame stood, which had drifted: what was planted of that, and taken out
    again by the alignment's own shifts, belongs to the expected shift.
    """
    expected = -np.array(planted[scan_id].offset_um, dtype=np.float64)
    align = published.output("align", register.stxm) if register.stxm in planted else None
    if align is not None:
        pitch_um = pitch_yx_um(align.read("y_um"), align.read("x_um"))
        used = align.read("energy_used").astype(bool)
        stack = planted[register.stxm]
        drift_um = np.array(stack.shift_um)
        expected += np.array(stack.offset_um)
        expected -= stack.displaced_um(align.read("y_um").astype(np.float64), planted[scan_id].field_centre_um[0])
        expected += np.median((drift_um + align.read("shift_px") * pitch_um)[used], axis=0)
    return float(np.hypot(*(register.shift_um - expected))) * 1e3


def _median(values: Iterable[float]) -> float:
    known = np.array([value for value in values if math.isfinite(value)])
    return float(np.median(known)) if known.size else math.nan
