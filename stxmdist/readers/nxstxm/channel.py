"""The detector channels of an NXstxm entry: what their data are, on which axes, and which of several is the scan."""

import re
from collections.abc import Iterable
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
# In the order of pystxmcontrol's past: version 2.1 bins its raw points itself, 2.0 leaves it to the reader.
BINNED, REQUESTED = "binned_values", "requested_values"


DEFAULT = "default"
"""The channel that pystxmcontrol itself takes for the scan"""
# What groups are called that count photons or hold what is left of them, and those that measure something beside.
COUNTERS = re.compile(r"count|pmt|diode|apd|photon|transmission", re.IGNORECASE)
OTHERS = re.compile(r"adc|analog|volt|i0|io|monitor|ring|current|mca|amptek|xrf|electron", re.IGNORECASE)
# Whole numbers below this may be a voltage of one or two digits.
LEAST_COUNT = 3.0


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
    over: tuple[str, ...]
    """Names of axes of the data that are none of these, as the file has them"""
    scan_type: str

    @property
    def is_scan(self) -> bool:
        """Whether each axis of the data is known: a detector with an axis of its own is none of transmission."""
        return all(self.roles) and not self.over


def in_order(tree: Tree, channels: Iterable[Channel], preferred: str, pystxmcontrol: bool) -> tuple[Channel, ...]:
    """Channels of an entry, the one that is to be read first.

    Those without an axis of their own; what the control program or the entry (``preferred``) takes for the scan;
    counters, then names that say nothing, then beam monitors and voltages; whole numbers before others.
    """
    channels = tuple(channels)
    if len(channels) < 2:
        return channels
    return tuple(
        sorted(
            channels,
            key=lambda channel: (
                not channel.is_scan,
                not (pystxmcontrol and channel.name.lower() == DEFAULT),
                channel.name != preferred,
                channel.name != BINNED,
                0 if COUNTERS.search(channel.name) else 2 if OTHERS.search(channel.name) else 1,
                not _counts(tree, channel),
            ),
        )
    )


def _counts(tree: Tree, channel: Channel) -> bool:
    """Whether the first row of the data looks like counts: whole numbers, not all of them small."""
    if channel.data.dtype.kind in "iu":
        return True
    try:
        row = tree.read(channel.data, (0,) * (channel.data.ndim - 1))
    except InputError:
        # What cannot be read is for `open` to say, if it is the channel that is wanted.
        return False
    known = row[np.isfinite(row)]
    return bool(known.size and known.max() >= LEAST_COUNT and (known == np.round(known)).all())


def channel_of(tree: Tree, entry: Group, name: str) -> Channel | None:
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
    for role, names in AXIS_NAMES.items():
        found = _coordinates(tree, entry, group, role, names, data.shape[0])
        if found is not None:
            coordinates[role] = np.asarray(tree.read(found), np.float64).reshape(-1)
            units[role] = hdf5.text_attribute(found, "units")
            position = hdf5.text_attribute(found, "axis")
            if position.isdigit():
                positions[role] = int(position) - 1
    scan_type = tree.text("stxm_scan_type", group) or tree.text("scan_type", group) or tree.text("scan_type", entry)
    words = hdf5.word_attribute(group, "axes") or hdf5.word_attribute(data, "axes")
    roles = _roles(tree, data, words, positions, coordinates)
    over = _over(tree, group, data, words, roles, coordinates)
    path = f"{entry.name}/{name}"
    return Channel(name, path, f"{path}/{signal}", data, coordinates, units, roles, over, scan_type)


def _coordinates(
    tree: Tree, entry: Group, group: Group, role: str, names: tuple[str, ...], n_images: int
) -> Dataset | None:
    """The dataset with the coordinates of a role: the channel's own, or one beside it."""
    # pystxmcontrol 2 leaves the coordinates of its binned or raw values in groups beside them; 3 gives energies to its
    # first detector alone, and to one that measures a spectrum those of the spectrum.
    beside = (tree.group(part, entry) for part in (REQUESTED, "counter0", DEFAULT))
    places = [group, *(place for place in beside if place is not None)]
    datasets = [tree.dataset(part, place) for place in places for part in names]
    usable = [found for found in datasets if found is not None and found.dtype.kind in "iuf" and found.size]
    if role == "energy":
        beam = tree.dataset("instrument/monochromator/energy", entry)
        usable += [beam] if beam is not None and beam.dtype.kind in "iuf" and beam.size in (1, n_images) else []
        usable.sort(key=lambda found: found.size != n_images)
    return usable[0] if usable else None


def _over(
    tree: Tree, group: Group, data: Dataset, words: tuple[str, ...], roles: tuple[str, ...], axes: dict[str, F64]
) -> tuple[str, ...]:
    """Names of the axes of the data that are no energy, no position and no focus; none where nothing says so."""
    if len(words) == data.ndim and any(roles):
        named = zip(words, roles, strict=True)
        return tuple(word or f"axis {number}" for number, (word, role) in enumerate(named, start=1) if not role)
    n_images, n_energies = data.shape[0], axes["energy"].size if "energy" in axes else 0
    if data.ndim != 3 or n_images == 1 or n_energies > 1:
        return ()
    lists = (name for name in tree.own_names(group) if name not in ROLE_OF and name != "count_time")
    found = ((name, tree.dataset(name, group)) for name in lists)
    return tuple(name for name, values in found if values is not None and values.shape == (n_images,))[:1]


def _roles(
    tree: Tree, data: Dataset, words: tuple[str, ...], positions: dict[str, int], axes: dict[str, F64]
) -> tuple[str, ...]:
    """Role of each axis of the data: as its attributes say, else by their lengths in the order of the definition."""
    n_axes = data.ndim
    named = tuple(ROLE_OF.get(word, "") for word in words)
    if len(named) == n_axes and any(named):
        # NeXus has a dot for an axis without a name.
        unnamed = [number for number, word in enumerate(words) if word in ("", ".")]
        n_listed = axes["energy"].size if "energy" in axes else 0
        if "energy" not in named and unnamed and data.shape[unnamed[0]] == n_listed:
            named = (*named[: unnamed[0]], "energy", *named[unnamed[0] + 1 :])
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
