"""The entries of an NXstxm file, in all dialects: which there are, and what kind of scan each is."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from stxmdist.errors import InputError
from stxmdist.readers import hdf5
from stxmdist.readers.hdf5 import Tree
from stxmdist.readers.hdf5_types import Group
from stxmdist.readers.nxstxm.channel import BINNED, REQUESTED, Channel, channel_of, in_order

# Groups of an entry that hold arrays beside the images.
NO_CHANNELS = frozenset(("instrument", "collection", "sample", "control", "motors", "requested_values", "monitor"))
# Of a scan: energy, rows and columns.
MOST_AXES = 3


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


def with_channel(path: Path, entry: Entry, name: str | None) -> Entry:
    """An entry of which another channel is read, where one is chosen by name.

    Raises
    ------
    InputError
        for a channel that the entry does not hold.
    """
    if name is None or not entry.channels:
        return entry
    chosen = [channel for channel in entry.channels if channel.name.casefold() == name.strip().casefold()]
    if not chosen:
        first = entry.channels[0].name
        raise InputError(
            where=f"{path}:{entry.name}",
            problem="the file holds no channel of this name",
            got=repr(name),
            wanted=" or ".join(channel.name for channel in entry.channels),
            mend=f"Write {path.name}#{first} into the sample sheet, or ingest: channel: {first}",
        )
    others = tuple(channel for channel in entry.channels if channel.name != chosen[0].name)
    return replace(entry, channels=(chosen[0], *others))


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
    if channel.over:
        return f"stack over {' and '.join(channel.over)}"
    if "zone_plate" in channel.roles:
        return "focus scan"
    if "line_position" in channel.roles:
        return "line scan"
    if {"sample_y", "sample_x"} <= set(channel.roles) or "point" in channel.roles:
        has_energy = "energy" in channel.roles
        return "image stack" if has_energy and channel.axes["energy"].size > 1 else "image"
    if channel.data.ndim == 1:
        return "point spectrum"
    if channel.data.ndim > MOST_AXES:
        return f"scan of {channel.data.ndim} axes"
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
    found = (channel_of(tree, group, part) for part in tree.names(group) if part not in NO_CHANNELS)
    default = hdf5.text_attribute(group, "default")
    channels = in_order(tree, (channel for channel in found if channel is not None), default, pystxmcontrol)
    if not defined and not any({"sample_x", "sample_y"} <= set(channel.axes) for channel in channels):
        return None
    return Entry(name, group, definition or "none", channels, pystxmcontrol)
