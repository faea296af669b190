"""What an SDF header says of a scan: its kind, photon energies, axes, dwell times and ring current."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stxmdist.arrays import F32, F64
from stxmdist.errors import InputError
from stxmdist.readers import axes
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.conversions import energies_ev, positions_um
from stxmdist.readers.file_errors import unreadable
from stxmdist.readers.sdf.grammar import Structure, parse

# Real headers have some hundred kilobytes; each of their numbers takes twenty times its letters while it is read.
MOST_HEADER_BYTES = 8 << 20
# Frames that the regions of energies may ask for together: a damaged header may ask for any number.
MOST_PLANNED = 100_000
IMAGE_FLAGS = ("Image", "Image Stack")


@dataclass(frozen=True)
class Header:
    """The structures of a header that say what the scan is."""

    content: Structure
    definition: Structure
    regions: tuple[Structure, ...]

    @property
    def start_time(self) -> str:
        time = self.content.get("Time", "")
        return time if isinstance(time, str) else ""

    @property
    def energy_regions(self) -> tuple[Structure, ...]:
        """Runs of photon energies with one step and one dwell time."""
        return structures_of(structure_of(self.content, "ImageScan"), "EnergyRegions")


@dataclass(frozen=True)
class FrameLayout:
    """How the rows and columns of a ``.xim`` lie on y and x."""

    shape: tuple[int, int]
    """Rows and columns of the .xim files"""
    transposed: bool
    flip_y: bool
    flip_x: bool

    def upright(self, numbers: F64) -> F32:
        """Counts (Y, X) out of the rows and columns of a .xim."""
        counts = numbers.T if self.transposed else numbers
        return np.ascontiguousarray(counts[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1], np.float32)


def read_header(path: Path) -> Header:
    """The header of a scan.

    Raises
    ------
    InputError
        for a file that cannot be read, breaks the grammar of SDF, or does not define a scan.
    """
    try:
        if path.stat().st_size > MOST_HEADER_BYTES:
            raise InputError(
                where=path,
                problem="the file is too large for a header",
                got=f"{path.stat().st_size} bytes",
                wanted=f"at most {MOST_HEADER_BYTES} bytes",
                mend="Copy it again from the beamline",
            )
        raw = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    content = parse(text, path)
    definition = content.get("ScanDefinition")
    if not isinstance(definition, dict):
        raise lacking(path, "ScanDefinition")
    regions = structures_of(definition, "Regions")
    if not regions:
        raise lacking(path, "ScanDefinition.Regions")
    return Header(content, definition, regions)


def structure_of(members: Structure, name: str) -> Structure:
    """The structure of this name, empty where there is none."""
    found = members.get(name)
    return found if isinstance(found, dict) else {}


def structures_of(members: Structure, name: str) -> tuple[Structure, ...]:
    """The structures in the list of this name, none where there is no list."""
    found = members.get(name)
    return tuple(item for item in found if isinstance(item, dict)) if isinstance(found, list) else ()


def number_of(members: Structure, name: str) -> float | None:
    """The number of this name, None where there is none."""
    found = members.get(name)
    return float(found) if isinstance(found, int | float) else None


def text_of(members: Structure, name: str) -> str:
    """What stands behind this name as text, empty where nothing does."""
    return str(members.get(name, ""))


def kind_of(header: Header) -> str:
    """What a scan is, in words: image stack, image, line scan, focus scan, point spectrum ..."""
    scan_type = text_of(header.definition, "Type")
    flags = text_of(header.definition, "Flags")
    axis_names = " ".join(
        text_of(structure_of(region, axis), "Name") for region in header.regions for axis in ("PAxis", "QAxis")
    )
    words = f"{scan_type} {flags} {axis_names}".lower()
    several = "multi-region " if len(header.regions) > 1 or "multi-region" in words else ""
    for word, kind in (
        ("point", "point spectrum"),
        ("spectra", "point spectrum"),
        ("osa", "order-selecting aperture scan"),
        ("detector", "detector scan"),
        ("focus", "focus scan"),
        ("zone plate", "focus scan"),
        ("monochromator", "monochromator scan"),
        ("line", "line scan"),
        ("energy", "line scan"),
    ):
        if re.search(rf"\b{word}\b", words):
            return several + kind
    if flags.removeprefix("Multi-Region ") not in IMAGE_FLAGS and "image" not in words:
        return f"{several}scan of the unknown type {scan_type!r}"
    return several + ("image stack" if "stack" in flags.lower() else "image")


def points_of(axis: Structure) -> F64:
    """Coordinates (POINT,) of an axis in its own unit; none where they are not a list of numbers."""
    points = axis.get("Points")
    if not isinstance(points, list) or not all(isinstance(point, int | float) for point in points):
        return np.empty(0)
    return np.array(points, np.float64)


def frame_entries(header: Header, region: int) -> dict[int, Structure]:
    """Frame number to what the header says of that frame: ``Image003_0`` (region 0) from 0, ``Image3`` from 1."""
    found: dict[int, Structure] = {}
    from_zero = False
    for name, entry in header.content.items():
        match = re.fullmatch(r"Image(\d+)(?:_(\d+))?", name)
        if match and isinstance(entry, dict) and int(match[2] or region) == region:
            found[int(match[1])] = entry
            from_zero |= match[2] is not None
    if from_zero or 0 in found:
        return found
    return {number - 1: entry for number, entry in found.items()}


def dwell_ms_of(header: Header, n_energies: int) -> F64:
    """Dwell time (ENERGY,) in ms: of the energy regions, else of the whole scan."""
    dwell: list[float] = []
    for region in header.energy_regions:
        time, points = number_of(region, "DwellTime"), region.get("Points")
        if isinstance(points, int) and 0 < points <= MOST_PLANNED - len(dwell):
            dwell += [np.nan if time is None else time] * points
    if len(dwell) != n_energies or not np.nanmin([*dwell, np.inf]) > 0 or np.isnan(dwell).all():
        common = number_of(header.definition, "Dwell")
        dwell = [common if common is not None and common > 0 else np.nan] * n_energies
    return np.array(dwell)


def ring_current_of(header: Header, n_energies: int, region: int = 0) -> F64:
    """Ring current (ENERGY,) in mA; NaN where it is not said, and where it is said to be zero."""
    current = np.full(n_energies, np.nan)
    for index, entry in frame_entries(header, region).items():
        value = number_of(entry, "StorageRingCurrent")
        if value is not None and value > 0 and 0 <= index < n_energies:
            current[index] = value
    # The header is written when the first frame starts; the ALS of 2007 writes no entry for that frame.
    at_start = number_of(header.content, "StorageRingCurrent")
    if np.isnan(current[0]) and at_start is not None and at_start > 0:
        current[0] = at_start
    return current


def plane(
    path: Path, region: Structure, choices: ReadChoices
) -> tuple[F64, F64, FrameLayout, tuple[str, ...], tuple[str, ...]]:
    """x_um (X,), y_um (Y,), how a .xim maps onto them, notes, and what is lacking."""
    coordinates: dict[str, F64] = {}
    flips: dict[str, bool] = {}
    notes: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    names = [text_of(structure_of(region, axis), "Name").strip() for axis in ("PAxis", "QAxis")]
    transposed = names[0].endswith("Y") and names[1].endswith("X")
    for letter, axis in zip("yx" if transposed else "xy", ("PAxis", "QAxis"), strict=True):
        said = structure_of(region, axis)
        points = points_of(said)
        if points.size == 0:
            raise lacking(path, f"ScanDefinition.Regions.{axis}.Points")
        found = positions_um(points, text_of(said, "Unit"), axis, choices, f"{path}: {axis}")
        lacks += found.lacks
        coordinates[letter], flips[letter], more = axes.ascending(found.values, f"{axis} ({letter})", path)
        if said.get("Dir") == -1 and not flips[letter]:
            more += (f"{axis} has Dir = -1 and ascending points: frames are taken in the order of the points",)
        notes += found.notes + more
    size = {letter: values.size for letter, values in coordinates.items()}
    shape = (size["x"], size["y"]) if transposed else (size["y"], size["x"])
    return coordinates["x"], coordinates["y"], FrameLayout(shape, transposed, flips["y"], flips["x"]), notes, lacks


def centre_um(header: Header, region: int) -> dict[str, float]:
    """Where the middle of a region lies on "x" and "y" in um, as far as the header says."""
    described = (structures_of(part, "SpatialRegions") for part in header.content.values() if isinstance(part, dict))
    found = next((regions for regions in described if region < len(regions)), ())
    said = {letter: number_of(found[region], f"Centre{letter.upper()}Pos") for letter in "xy"} if found else {}
    return {letter: value for letter, value in said.items() if value is not None and np.isfinite(value)}


def line_axes(
    path: Path, region: Structure, choices: ReadChoices
) -> tuple[F64, F64, FrameLayout, str, tuple[str, ...], tuple[str, ...]] | None:
    """The axes of a line scan; None where neither of its two is the photon energy.

    Returns
    -------
        photon energy (ENERGY,) in eV in the file's order, position (X,) in um, how the ``.xim`` maps onto (ENERGY, X),
        the name of the axis of position, notes, and what is lacking
    """
    both = {axis: structure_of(region, axis) for axis in ("PAxis", "QAxis") if isinstance(region.get(axis), dict)}
    names = {axis: text_of(said, "Name") for axis, said in both.items()}
    along_energy = [axis for axis, name in names.items() if name.strip().lower() == "energy"]
    if len(names) != 2 or len(along_energy) != 1:
        return None
    (energy_axis,) = along_energy
    position_axis = "QAxis" if energy_axis == "PAxis" else "PAxis"
    energy, position = (points_of(both[axis]) for axis in (energy_axis, position_axis))
    for axis, points in ((energy_axis, energy), (position_axis, position)):
        if points.size == 0:
            raise lacking(path, f"ScanDefinition.Regions.{axis}.Points")
    units = {axis: text_of(said, "Unit") for axis, said in both.items()}
    in_ev = energies_ev(energy, units[energy_axis], energy_axis, choices, f"{path}: {energy_axis}")
    in_um = positions_um(position, units[position_axis], position_axis, choices, f"{path}: {position_axis}")
    x_um, flip_x, notes = axes.ascending(in_um.values, f"{position_axis} (along the line)", path)
    sizes = {energy_axis: energy.size, position_axis: position.size}
    layout = FrameLayout((sizes["QAxis"], sizes["PAxis"]), energy_axis == "PAxis", False, flip_x)
    notes = in_ev.notes + in_um.notes + notes
    return in_ev.values, x_um, layout, names[position_axis], notes, in_ev.lacks + in_um.lacks


def lacking(path: Path, what: str) -> InputError:
    """The error for a header that does not define its scan."""
    return InputError(
        where=path,
        problem="the header lacks what defines the scan",
        got=f"no usable {what}",
        wanted=what,
        mend="Copy the header again from the beamline",
    )
