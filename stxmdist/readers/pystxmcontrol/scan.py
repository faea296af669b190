"""What a ptychography file of pystxmcontrol says of its scan: positions, exposures, energy and geometry, checked."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stxmdist.arrays import F32, F64, Array
from stxmdist.errors import InputError
from stxmdist.readers.cxi.orientation import DEFAULT, Orientation, orientation_of
from stxmdist.readers.hdf5 import MOST_FRAMES, Tree
from stxmdist.readers.hdf5_types import Group
from stxmdist.readers.ptychography_checks import (
    checked_distance_m,
    checked_pixel_um,
    checked_positions_um,
    lacking,
    photon_energy_ev,
)
from stxmdist.records import Json

# The FastCCD of COSMIC as its grabber writes it: two halves of 480 rows, each with 6 rows of overscan at the border and
# 34 that see no light towards the middle; every tile of 12 columns begins and ends with one of overscan. The three
# leading bits of its numbers are 110. Seen along the beam its rows run along +x and its columns along +y.
FAST_CCD = (1040, 1152)
FAST_CCD_ROWS = np.r_[6:486, 554:1034]
FAST_CCD_COLUMNS = np.flatnonzero((np.arange(1152) % 12 > 0) & (np.arange(1152) % 12 < 11))
FAST_CCD_CEILING = float(0b1101_1111_1111_1111)
FAST_CCD_WAY = Orientation(transposed=True, flip_y=False, flip_x=False)
FAST_CCD_DISTANCE_M, FAST_CCD_PIXEL_M = 0.121, 30e-6
# Cameras have converters of 16 bits, whatever type the numbers are kept in.
CEILING = 65535.0
# Configurations write mm and um, preprocessors write m. The number says which: no camera is 5 m away, and no pixel is
# 1 m wide.
LEAST_DISTANCE_MM, LEAST_PIXEL_UM = 5.0, 1.0


Metadata = Mapping[str, Json]
"""What a control program says of its scan, in its own words."""


@dataclass(frozen=True)
class Scan:
    """A ptychography scan at one photon energy, frames as they lie in the file."""

    camera: str
    """Path of the group with the frames, e.g. ``entry0/ccd0``"""
    points: tuple[tuple[str, ...], ...]
    """Datasets of each position's exposures, in the order in which they were taken; empty where one is missing"""
    darks: tuple[tuple[str, ...], ...]
    """Datasets with the shutter closed, for each exposure of a position"""
    dwell_ms: tuple[float, ...]
    """Of each exposure; NaN where the file does not say"""
    raw_shape: tuple[int, int]
    ceiling: float
    energy_ev: float
    positions_um: F64
    """(POSITION, 2) float64, (y, x) of the beam on the sample"""
    distance_m: float
    pixel_um: tuple[float, float]
    """Along the file's (rows, columns)"""
    orientation: Orientation
    title: str
    start_time: str
    lacks: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def frame_shape(self) -> tuple[int, int]:
        """(rows, columns) without overscan."""
        return (len(FAST_CCD_ROWS), len(FAST_CCD_COLUMNS)) if self.raw_shape == FAST_CCD else self.raw_shape


def cut(raw: Array) -> F32:
    """A frame (rows, columns) as float32, without the overscan of the FastCCD."""
    kept = raw[np.ix_(FAST_CCD_ROWS, FAST_CCD_COLUMNS)] if raw.shape == FAST_CCD else raw
    return kept.astype(np.float32)


def camera_of(tree: Tree) -> str | None:
    """Path of the group that holds camera frames, or None."""
    for entry in tree.own_names(tree.root):
        group = tree.group(entry) if re.fullmatch(r"entry\d+", entry) else None
        for camera in tree.own_names(group) if group is not None else ():
            if re.fullmatch(r"ccd\d+", camera) and frame_numbers(tree, f"{entry}/{camera}/exp"):
                return f"{entry}/{camera}"
    return None


def frame_numbers(tree: Tree, place: str) -> tuple[int, ...]:
    """Numbers of the frames in a group, ascending."""
    group = tree.group(place)
    names = tree.own_names(group, MOST_FRAMES) if group is not None else ()
    return tuple(sorted(int(name) for name in names if name.isdigit()))


def scan_of(tree: Tree) -> Scan:
    """The scan of a file.

    Raises
    ------
    InputError
        for what is missing or contradicts itself, with its path in the file.
    """
    camera = camera_of(tree)
    if camera is None:
        raise lacking(tree.path, "diffraction frames", "entry0/ccd0/exp/0, 1 ...")
    entry = tree.group(camera.split("/")[0])
    said = _metadata(tree)
    numbers = frame_numbers(tree, f"{camera}/exp")
    first = tree.dataset(f"{camera}/exp/{numbers[0]}")
    if entry is None or first is None or first.ndim != 2 or first.dtype.kind not in "iuf" or 0 in first.shape:
        raise InputError(
            where=f"{tree.path}:{camera}/exp/{numbers[0]}",
            problem="the frames are not images",
            got="nothing" if first is None else f"shape {first.shape}, type {first.dtype}",
            wanted="(rows, columns) of numbers",
            mend="Copy the file again from the beamline",
        )
    tree.check_size(first, first.shape)
    motors_um, lacks, notes = _positions(tree, entry, said)
    dwell_ms = _dwells(said, len(numbers), len(motors_um))
    points, point_notes = _points(tree, f"{camera}/exp", numbers, len(motors_um), len(dwell_ms))
    n_darks = 2 if len(set(dwell_ms)) == 2 else 1
    dark_names = [f"{camera}/dark/{number}" for number in frame_numbers(tree, f"{camera}/dark")]
    darks = tuple(tuple(dark_names[at % n_darks :: n_darks]) for at in range(len(dwell_ms)))
    if not all(darks):
        lacks += ("dark frames of one exposure" if any(darks) else "dark frames (none are subtracted)",)
    raw_shape = (int(first.shape[0]), int(first.shape[1]))
    distance_m, pixel_um, orientation, geometry_lacks = _geometry(tree, said, raw_shape)
    if raw_shape == FAST_CCD:
        notes += ("overscan rows and columns of the FastCCD are cut away, and not used for the background",)
    return Scan(
        camera=camera,
        points=points,
        darks=darks,
        dwell_ms=dwell_ms,
        raw_shape=raw_shape,
        ceiling=FAST_CCD_CEILING if raw_shape == FAST_CCD else _ceiling(first.dtype),
        energy_ev=_energy(tree, entry, said),
        positions_um=-checked_positions_um(motors_um, len(points), f"{tree.path}:{entry.name}", "micrometres"),
        distance_m=distance_m,
        pixel_um=pixel_um,
        orientation=orientation,
        title=tree.text("title", entry),
        start_time=tree.text("start_time", entry),
        lacks=lacks + geometry_lacks + (("dwell time",) if np.isnan(dwell_ms).any() else ()),
        notes=notes + point_notes,
    )


def _ceiling(dtype: np.dtype[Any]) -> float:
    """The largest number of an integer type, that of 16 bits for reals."""
    return float(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else CEILING


def _metadata(tree: Tree) -> Metadata:
    """The file's JSON, empty where there is none."""
    text = tree.text("metadata")
    try:
        said = json.loads(text) if text else {}
    except ValueError as error:
        raise InputError(
            where=f"{tree.path}:metadata",
            problem="the metadata cannot be read",
            got=str(error),
            wanted="JSON",
            mend="Copy the file again from the beamline",
        ) from error
    return said if isinstance(said, dict) else {}


def _number(said: Metadata, name: str) -> float | None:
    value = said.get(name)
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None


def _energy(tree: Tree, entry: Group, said: Metadata) -> float:
    value = _number(said, "energy")
    if value is not None:
        return photon_energy_ev(value, "eV", f"{tree.path}:metadata energy")
    value = tree.number("instrument/monochromator/energy", entry)
    if value is None:
        raise lacking(tree.path, "the photon energy of its frames", "energy in eV in the metadata")
    return photon_energy_ev(value, "eV", f"{tree.path}:{entry.name}/instrument/monochromator/energy")


def _positions(tree: Tree, entry: Group, said: Metadata) -> tuple[F64, tuple[str, ...], tuple[str, ...]]:
    """Positions (POSITION, 2) of the motors in um, (y, x): measured, else commanded; what is lacking; notes."""
    try:
        commanded = np.asarray(said.get("translations", ()), np.float64)
    except (TypeError, ValueError):
        commanded = np.empty(0)
    has_commanded = commanded.ndim == 2 and commanded.shape[1] == 2
    row = int(_number(said, "energyIndex") or 0)
    axes_um = []
    for name in ("sample_y", "sample_x"):
        values = tree.numbers(f"instrument/{name}/data", entry)
        rows = np.empty((0, 0)) if values is None or values.ndim == 0 else values.reshape(-1, values.shape[-1])
        axes_um.append(rows[min(row, len(rows) - 1)].astype(np.float64) if len(rows) else np.empty(0))
    same = axes_um[0].shape == axes_um[1].shape and axes_um[0].size > 0
    measured = np.stack(axes_um, axis=1) if same else np.empty((0, 2))
    usable = len(measured) > 1 and bool(np.isfinite(measured).all()) and bool(np.ptp(measured, axis=0).any())
    if usable and (not has_commanded or len(measured) == len(commanded)):
        # What was not reached before an abort is still zero.
        unreached = ~measured.any(axis=1)
        if has_commanded and unreached.any():
            measured[unreached] = commanded[unreached]
        return measured, (), ()
    if has_commanded:
        return commanded, ("measured positions (the commanded ones are taken)",), ()
    raise lacking(tree.path, "the positions", "entry0/instrument/sample_x/data and sample_y/data in um")


def _dwells(said: Metadata, n_frames: int, n_points: int) -> tuple[float, ...]:
    """Dwell time of each exposure of a position in ms, in the order in which they are taken: the short one first."""
    long = _number(said, "dwell1")
    short = _number(said, "dwell2")
    repeats = min(int(_number(said, "n_repeats") or 1), n_frames)
    if said.get("double_exposure") or said.get("isDoubleExp") or (short and n_frames == 2 * n_points):
        if not long or not short:
            raise lacking("metadata", "the dwell times of its two exposures", "dwell1 and dwell2 in ms in the metadata")
        return short, long
    return (long or float("nan"),) * (repeats if repeats > 1 and n_frames > n_points else 1)


def _points(
    tree: Tree, place: str, numbers: tuple[int, ...], n_points: int, n_exposures: int
) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """Frames of each position by their numbers, and what is worth noting."""
    first = numbers[0] if numbers[0] == 1 and 0 not in numbers else 0
    there = set(numbers)
    if numbers[-1] - first >= n_points * n_exposures:
        raise InputError(
            where=f"{tree.path}:{place}",
            problem="positions and frames do not match",
            got=f"{n_points} positions, {numbers[-1] - first + 1} frames, {n_exposures} for each position",
            wanted="as many frames as positions times exposures",
            mend="Check double_exposure and n_repeats in the metadata, or bring frames and positions together",
        )
    points = []
    for at in range(n_points):
        wanted = range(first + at * n_exposures, first + (at + 1) * n_exposures)
        points.append(tuple(f"{place}/{number}" for number in wanted) if there.issuperset(wanted) else ())
    missing = sum(not names for names in points)
    note = f"{missing} of {n_points} frames were never written (aborted scan): they read as NaN"
    return tuple(points), (note,) if missing else ()


def _geometry(
    tree: Tree, said: Metadata, raw_shape: tuple[int, int]
) -> tuple[float, tuple[float, float], Orientation, tuple[str, ...]]:
    """Distance in m, pixel (rows, columns) in um, orientation, and what is lacking."""
    geometry = said.get("geometry")
    geometry = geometry if isinstance(geometry, dict) else {}
    lacks: tuple[str, ...] = ()
    fast_ccd = raw_shape == FAST_CCD
    distance, pixel = _number(geometry, "distance"), _number(geometry, "psize")
    if fast_ccd and (distance is None or pixel is None):
        distance, pixel = distance or FAST_CCD_DISTANCE_M, pixel or FAST_CCD_PIXEL_M
        lacks += (f"geometry (taken as that of the FastCCD at COSMIC, {distance:g} m and {pixel:g} m)",)
    if distance is None or pixel is None:
        raise lacking(f"{tree.path}:metadata", "the geometry of the detector", "geometry with distance and psize")
    distance_m = distance / 1e3 if distance >= LEAST_DISTANCE_MM else distance
    pixel_m = pixel / 1e6 if pixel >= LEAST_PIXEL_UM else pixel
    way = FAST_CCD_WAY if fast_ccd else None
    if "basis_vectors" in geometry and not fast_ccd:
        try:
            way = orientation_of(geometry["basis_vectors"])
        except (TypeError, ValueError):
            way = None
    if way is None:
        lacks += (f"basis_vectors (taken as {DEFAULT.words})",)
    where = f"{tree.path}:metadata geometry"
    return checked_distance_m(distance_m, where), checked_pixel_um((pixel_m, pixel_m), where), way or DEFAULT, lacks
