"""The entries of an NXstxm file and their detector channels, in all dialects: what is where, and on which axes."""

import re
from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.readers import hdf5
from stxmdist.readers.hdf5 import Tree
from stxmdist.readers.hdf5_types import Dataset, Group

AXIS_NAMES = {
    "energy": ("energy", "photon_energy", "Energy"),
    "sample_y": ("sample_y", "SampleY", "y"),
    "sample_x": ("sample_x", "SampleX", "x"),
    "line_position": ("line_position",),
    "zone_plate": ("zone_plate", "zone_plate_z", "ZonePlate"),
}
ROLE_OF = {name: role for role, names in AXIS_NAMES.items() for name in names}
# Groups of an entry that hold arrays beside the images.
NO_CHANNELS = frozenset(("instrument", "collection", "sample", "control", "motors", "requested_values", "monitor"))
# In the order of pystxmcontrol's past: version 2.1 bins its raw points itself, 2.0 leaves it to the reader.
BINNED, REQUESTED = "binned_values", "requested_values"


@dataclass(frozen=True)
class Channel:
    """One detector's data over the scan."""

    name: str
    path: str
    """Of the group, by the names in this file"""
    data_path: str
    data: Dataset
    """The dataset"""
    axes: dict[str, F64]
    """Coordinates by role, in the file's units"""
    units: dict[str, str]
    roles: tuple[str, ...]
    """What each axis of the data is: energy, sample_y, sample_x, line_position, zone_plate; point for frames laid out
    in one row; empty if unknown"""
    scan_type: str


@dataclass(frozen=True)
class Entry:
    """One region of a file."""

    name: str
    group: Group
    definition: str
    channels: tuple[Channel, ...]
    pystxmcontrol: bool


def entries_of(tree: Tree) -> tuple[Entry, ...]:
    """The entries of a file that are NXstxm by their definition, or by what they hold."""
    if tree.get("cxi_version") is not None:
        return ()
    found = []
    for name in sorted(tree.own_names(tree.root), key=_by_number):
        group = tree.group(name)
        if group is not None:
            entry = _entry(tree, name, group)
            if entry is not None:
                found.append(entry)
    return tuple(found)


def _by_number(name: str) -> list[tuple[int, str]]:
    """So that entry10 comes after entry9."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def kind_of(entry: Entry) -> str:
    """What an entry is, in words: image stack, image, line scan, focus scan, point spectrum ..."""
    if not entry.channels:
        return "scan without data"
    channel = entry.channels[0]
    said = channel.scan_type.lower()
    if "ptychography" in said:
        return "ptychography scan of pystxmcontrol (without its camera frames)"
    for word, kind in (
        ("osa", "order-selecting aperture scan"),
        ("detector", "detector scan"),
        ("focus", "focus scan"),
        ("line", "line scan"),
        ("point", "point spectrum"),
        ("generic", "generic scan"),
    ):
        if word in said:
            return kind
    if "zone_plate" in channel.roles:
        return "focus scan"
    if "line_position" in channel.roles:
        return "line scan"
    if {"sample_y", "sample_x"} <= set(channel.roles) or "point" in channel.roles:
        has_energy = "energy" in channel.roles
        return "image stack" if has_energy and channel.axes["energy"].size > 1 else "image"
    if channel.data.ndim == 1:
        return "point spectrum"
    return f"scan of the unknown type {channel.scan_type!r}" if said else "scan of unknown type"


def _entry(tree: Tree, name: str, group: Group) -> Entry | None:
    definition = tree.text("definition", group)
    version = tree.get("version", group)
    defined = definition.upper() == "NXSTXM"
    if definition.upper().startswith("NX") and not defined:
        return None
    daqs = tree.group("instrument", group)
    pystxmcontrol = version is not None or any(
        tree.group(part, group) is not None for part in (BINNED, REQUESTED, "motors")
    )
    if daqs is not None and not pystxmcontrol:
        pystxmcontrol = any(
            hdf5.text_attribute(daq, "type") == "photon"
            for daq in (tree.group(part, daqs) for part in tree.own_names(daqs))
            if daq is not None
        )
    default = hdf5.text_attribute(group, "default")
    channels = [
        channel
        for part in tree.names(group)
        if part not in NO_CHANNELS and (channel := _channel(tree, group, part)) is not None
    ]
    channels.sort(
        key=lambda channel: (channel.name != default, channel.name != BINNED, "counter" not in channel.name.lower())
    )
    if not defined and not any({"sample_x", "sample_y"} <= set(channel.axes) for channel in channels):
        return None
    return Entry(name, group, definition or "none", tuple(channels), pystxmcontrol)


def _channel(tree: Tree, entry: Group, name: str) -> Channel | None:
    # Beamlines link to detector files that are left behind; only those that are there can be channels.
    if tree.leads_to_an_absent_file(name, entry):
        return None
    group = tree.group(name, entry)
    if group is None or hdf5.text_attribute(group, "NX_class", "NXdata") != "NXdata":
        return None
    signal = hdf5.text_attribute(group, "signal", "data")
    signal = signal if tree.get(signal, group) is not None else "data"
    data = tree.dataset(signal, group)
    if data is None or data.dtype.kind not in "iuf" or data.ndim == 0 or data.size == 0:
        return None
    coordinates: dict[str, F64] = {}
    units: dict[str, str] = {}
    positions: dict[str, int] = {}
    # pystxmcontrol 2 leaves the coordinates of its binned or raw values in groups beside them.
    beside = [tree.group(part, entry) for part in (REQUESTED, "counter0")]
    places = [group, *(place for place in beside if place is not None)]
    for role, names in AXIS_NAMES.items():
        for place, part in ((place, part) for place in places for part in names):
            values = tree.numbers(part, place)
            if values is None or values.dtype.kind not in "iuf":
                continue
            dataset = tree.get(part, place)
            coordinates[role] = np.asarray(values, np.float64).reshape(-1)
            units[role] = hdf5.text_attribute(dataset, "units")
            position = hdf5.text_attribute(dataset, "axis")
            if position.isdigit():
                positions[role] = int(position) - 1
            break
    scan_type = tree.text("stxm_scan_type", group) or tree.text("scan_type", group) or tree.text("scan_type", entry)
    words = hdf5.word_attribute(group, "axes") or hdf5.word_attribute(data, "axes")
    roles = _roles(tree, data, words, positions, coordinates)
    path = f"{entry.name}/{name}"
    return Channel(name, path, f"{path}/{signal}", data, coordinates, units, roles, scan_type)


def _roles(
    tree: Tree, data: Dataset, words: tuple[str, ...], positions: dict[str, int], axes: dict[str, F64]
) -> tuple[str, ...]:
    """Role of each axis of the data: as its attributes say, else by their lengths in the order of the definition."""
    n_axes = data.ndim
    named = tuple(ROLE_OF.get(word, "") for word in words)
    if len(named) == n_axes and any(named):
        return _once(tree, data, named)
    if positions and max(positions.values()) < n_axes and min(positions.values()) >= 0:
        by_position = ["" for _ in range(n_axes)]
        for role, position in positions.items():
            by_position[position] = role
        # Files of single images keep the positions of a stack.
        if all(by_position):
            return tuple(by_position)
    sizes = {role: values.size for role, values in axes.items()}
    ny, nx, n_energies = sizes.get("sample_y", 0), sizes.get("sample_x", 0), sizes.get("energy", 0)
    shape: tuple[int, ...] = tuple(data.shape)
    if n_axes == 3 and shape[1:] == (ny, nx):
        return ("energy", "sample_y", "sample_x")
    if n_axes == 3 and shape[1:] == (nx, ny):
        return ("energy", "sample_x", "sample_y")
    if n_axes == 2 and shape == (ny, nx):
        return ("sample_y", "sample_x")
    if n_axes == 2 and ny and nx and shape == (n_energies, ny * nx):
        return ("energy", "point")
    if n_axes == 2 and shape[0] == n_energies and (ny == nx == shape[1] or sizes.get("line_position", 0) == shape[1]):
        return ("energy", "line_position")
    if n_axes == 3 and ny and nx:
        return ("energy", "sample_y", "sample_x")
    if n_axes == 2 and ny and nx and n_energies <= 1:
        return ("sample_y", "sample_x")
    return tuple("" for _ in shape)


def _once(tree: Tree, data: Dataset, roles: tuple[str, ...]) -> tuple[str, ...]:
    named = [role for role in roles if role]
    if len(set(named)) == len(named):
        return roles
    raise InputError(
        where=f"{tree.path}:{data.name}",
        problem="two axes of the data have the same name",
        got=", ".join(roles),
        wanted="energy, sample_y and sample_x once each",
        mend="Correct the attribute axes in the file",
    )
