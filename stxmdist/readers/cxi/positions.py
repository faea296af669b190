"""Positions of the beam on the sample from a CXI entry: translations, or the transformations of NXcxi_ptycho."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from stxmdist.arrays import F64, Index
from stxmdist.errors import InputError
from stxmdist.readers import axes, hdf5
from stxmdist.readers.hdf5 import Tree
from stxmdist.readers.hdf5_types import Group
from stxmdist.readers.ptychography_checks import (
    LEAST_COVERAGE,
    LEAST_STEP_PX,
    checked_positions_um,
    far_field_coverage,
    lacking,
    median_step,
    unit_of_scan,
)
from stxmdist.units import wavelength_nm

TRANSLATIONS = (
    "sample_1/geometry_1/translation",
    "sample_1/geometry/translation",
    "data_1/translation",
    "instrument_1/detector_1/translation",
)
TRANSFORMATIONS = ("sample_1/transformations", "sample/transformations", "instrument/sample/transformations")
PLOTTED = ("data", "data_1")
"""NXdata groups with the axes x and y beside the frames"""
DEGREES = {"deg": 1.0, "degree": 1.0, "degrees": 1.0, "rad": 180 / np.pi, "radian": 180 / np.pi, "": 1.0}
UNIT_VECTORS = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


@dataclass(frozen=True)
class SeenBy:
    """Light and detector that positions must make sense with, where they say no unit."""

    energy_ev: float
    distance_m: float
    pixel_um: tuple[float, float]
    """Of the detector, (y, x) of the sample"""
    frame_shape: tuple[int, int]
    """(QY, QX)"""
    unit: str | None
    """What was chosen; None where nothing was"""

    @property
    def window_um(self) -> tuple[float, float]:
        """Window of a frame in the sample's plane, lambda z / p (y, x)."""
        spread = wavelength_nm(self.energy_ev) * self.distance_m * 1e3
        return spread / self.pixel_um[0], spread / self.pixel_um[1]

    @property
    def object_pixel_um(self) -> tuple[float, float]:
        """Pixel of the object (y, x)."""
        return self.window_um[0] / self.frame_shape[0], self.window_um[1] / self.frame_shape[1]


@dataclass(frozen=True, eq=False)
class BeamPositions:
    """Where the beam met the sample, for the frames of which that is known."""

    positions_um: F64
    """(POSITION, 2) float64, (y, x)"""
    kept: Index
    """(POSITION,) number of each frame in the file"""
    notes: tuple[str, ...]


def beam_positions(tree: Tree, entry: Group, scan: tuple[int, ...], where: str, seen_by: SeenBy) -> BeamPositions:
    """Positions of the beam on the sample: minus the sample's motion (x, y, z).

    ``scan`` is the shape of the frames without their rows and columns: (POSITION,), or (rows, columns) of a raster,
    whose positions come out row by row.
    """
    n_frames = int(np.prod(scan))
    for place in TRANSLATIONS:
        values = tree.numbers(place, entry)
        if values is not None:
            unit = hdf5.text_attribute(tree.get(place, entry), "units")
            factor = axes.factor_of(unit, axes.UM_PER_UNIT, f"{where}/{place}")
            motion = np.asarray(values, np.float64)
            # A raster may keep its shape; its positions are a list all the same.
            motion = motion.reshape(-1, motion.shape[-1]) if motion.shape[:-1] == scan else motion
            notes: tuple[str, ...] = ()
            if motion.shape in ((2, n_frames), (3, n_frames)) and n_frames not in (2, 3):
                motion, notes = motion.T, (f"positions are stored as {motion.shape}: one row for each axis",)
            if motion.ndim == 2 and motion.shape[1] == 2:
                notes += ("positions of two columns are taken for (x, y)",)
            return _against(motion * (factor or 1e6), n_frames, f"{where}/{place}", seen_by, bool(unit), notes)
    for place in TRANSFORMATIONS:
        group = tree.group(place, entry)
        if group is not None:
            motion_um = _sample_motion_um(tree, group, entry, scan, f"{where}/{place}")
            if np.ptp(motion_um, axis=0).any():
                said = _says_units(tree, group, tree.names(group))
                return _against(motion_um, n_frames, f"{where}/{place}", seen_by, said, ())
    for place in PLOTTED:
        group = tree.group(place, entry)
        if group is not None and all(tree.dataset(name, group) is not None for name in "xy"):
            x, y = (_moved(tree, group, name, scan, f"{where}/{place}") for name in "xy")
            said = _says_units(tree, group, "xy")
            return _against(x + y, n_frames, f"{where}/{place}", seen_by, said, ())
    raise lacking(where, "the positions", "sample_1/geometry_1/translation (POSITION, 3) in m, or transformations")


def distance_meant(positions_um: F64, seen_by: SeenBy) -> tuple[float, tuple[str, ...]]:
    """Distance of the detector in m where its unit is not said, and what is worth noting.

    It is in mm where beams would stand closer than pixels of the object if it were in m, and overlap if it is not.
    """
    distance_m = seen_by.distance_m
    nearer = replace(seen_by, distance_m=1e-3 * distance_m)
    step_um = median_step(positions_um)
    in_mm = (
        step_um < LEAST_STEP_PX * max(seen_by.object_pixel_um)
        and step_um >= LEAST_STEP_PX * max(nearer.object_pixel_um)
        and far_field_coverage(positions_um, nearer.window_um) >= LEAST_COVERAGE
    )
    if not in_mm:
        return distance_m, ()
    return nearer.distance_m, (f"the distance of the detector has no unit: {distance_m:g} is taken for mm",)


def _says_units(tree: Tree, group: Group, names: Iterable[str]) -> bool:
    return any(hdf5.text_attribute(tree.dataset(name, group), "units") for name in names)


def _against(
    motion_um: F64, n_frames: int, where: str, seen_by: SeenBy, said: bool, notes: tuple[str, ...]
) -> BeamPositions:
    """Positions of the beam from the sample's motion (POSITION, (x, y, z)), which are metres where no unit was said."""
    kept = np.arange(n_frames)
    if motion_um.ndim == 2 and len(motion_um) == n_frames:
        found = np.flatnonzero(np.isfinite(motion_um).all(axis=1))
        if 0 < len(found) < n_frames:
            notes += (f"{n_frames - len(found)} of {n_frames} frames have no position and are left out",)
            motion_um, kept, n_frames = motion_um[found], found, len(found)
    if not said and motion_um.ndim == 2 and motion_um.shape[1] in (2, 3) and np.isfinite(motion_um).all():
        unit = seen_by.unit or unit_of_scan(motion_um * 1e-6, seen_by.window_um, seen_by.object_pixel_um)
        if unit not in (None, "m"):
            motion_um = motion_um * 1e-6 * axes.UM_PER_UNIT[str(unit)]
            notes += (f"positions have no unit and are taken for {unit}",)
    places = checked_positions_um(motion_um, n_frames, where)[:, [1, 0]]
    return BeamPositions(np.ascontiguousarray(-places), kept, notes)


def _sample_motion_um(tree: Tree, group: Group, entry: Group, scan: tuple[int, ...], where: str) -> F64:
    """Where the sample's origin is in the laboratory, (POSITION, 3) in um: its transformations, one on the other."""
    names = [name for name in tree.names(group) if tree.dataset(name, group) is not None]
    on = {name: hdf5.text_attribute(tree.dataset(name, group), "depends_on", ".") for name in names}
    on = {name: below.rsplit("/", 1)[-1] for name, below in on.items()}
    sample = tree.get(group.parent.name)
    start = (tree.text("depends_on", sample) or hdf5.text_attribute(sample, "depends_on")).rsplit("/", 1)
    leaves = [start[-1]] if start[-1] in names else [name for name in names if name not in on.values()]
    motion = np.zeros((int(np.prod(scan)), 3))
    done: set[str] = set()
    for leaf in leaves:
        # Motors that depend on nothing in common stand side by side, and their motions add up.
        carried = np.zeros_like(motion)
        for name in _chain(leaf, on, where):
            if name not in done:
                carried = _transformed(tree, group, name, carried, scan, where)
                done.add(name)
        motion += carried
    return motion


def _chain(leaf: str, on: dict[str, str], where: str) -> Iterator[str]:
    """Names from a transformation down to the ground."""
    seen: list[str] = []
    while leaf in on:
        if leaf in seen:
            raise InputError(
                where=where,
                problem="the transformations depend on one another in a circle",
                got=" on ".join([*seen, leaf]),
                wanted="a chain that ends with depends_on = '.'",
                mend="Correct the attribute depends_on in the file",
            )
        seen.append(leaf)
        yield leaf
        leaf = on[leaf]


def _transformed(tree: Tree, group: Group, name: str, points: F64, scan: tuple[int, ...], where: str) -> F64:
    """Points (POSITION, 3) in um, moved or turned by one transformation."""
    kind = hdf5.text_attribute(tree.dataset(name, group), "transformation_type", "translation")
    if kind != "rotation":
        return points + _moved(tree, group, name, scan, where)
    unit = hdf5.text_attribute(tree.dataset(name, group), "units")
    angle = np.deg2rad(_values(tree, group, name, scan, where) * (axes.factor_of(unit, DEGREES, where) or 1.0))[:, None]
    axis = _vector(tree, group, name, where)
    # Rodrigues' formula.
    along = (points @ axis)[:, None] * axis
    turned: F64 = points * np.cos(angle) + np.cross(axis, points) * np.sin(angle) + along * (1 - np.cos(angle))
    return turned


def _moved(tree: Tree, group: Group, name: str, scan: tuple[int, ...], where: str) -> F64:
    """Translation (POSITION, 3) in um of one motor, along its vector."""
    unit = hdf5.text_attribute(tree.dataset(name, group), "units", "m")
    factor = axes.factor_of(unit, axes.UM_PER_UNIT, f"{where}/{name}") or 1e6
    motion: F64 = _values(tree, group, name, scan, where)[:, None] * factor * _vector(tree, group, name, where)
    return motion


def _vector(tree: Tree, group: Group, name: str, where: str) -> F64:
    """Unit vector (3,) of a transformation: its own, or that of the axis that its name begins with."""
    said = hdf5.attribute(tree.dataset(name, group), "vector")
    vector = np.asarray(UNIT_VECTORS.get(name[:1].lower(), (0, 0, 0)) if said is None else said, np.float64).reshape(-1)
    length = float(np.linalg.norm(vector))
    if vector.shape != (3,) or not np.isfinite(length) or length == 0:
        raise InputError(
            where=f"{where}/{name}",
            problem="the direction of the motor is not known",
            got=f"vector = {said}",
            wanted="the attribute vector, three numbers (x, y, z)",
            mend="Add the attribute vector to the dataset",
        )
    return vector / length


def _values(tree: Tree, group: Group, name: str, scan: tuple[int, ...], where: str) -> F64:
    """Values (POSITION,) of a motor: one for all, one per position, or along one side of a raster."""
    values = np.squeeze(np.asarray(tree.numbers(name, group), np.float64))
    n_frames = int(np.prod(scan))
    if values.size in (1, n_frames):
        return np.broadcast_to(values.reshape(-1), (n_frames,))
    # Columns of a raster run along x: so it is decided where both sides are equally long.
    sides = [axis for axis, length in enumerate(scan) if values.shape == (length,)]
    if len(scan) == 2 and sides:
        across = abs(_vector(tree, group, name, where)[0]) > 0.5
        axis = sides[-1] if across else sides[0]
        return np.broadcast_to(np.expand_dims(values, 1 - axis), scan).reshape(-1)
    raise InputError(
        where=f"{where}/{name}",
        problem="positions and frames do not match",
        got=f"{values.size} positions and {' x '.join(map(str, scan))} frames",
        wanted="one position per frame, or one per row or column of a raster",
        mend="Bring frames and positions of the same scan together",
    )
