"""NXstxm and its relatives in HDF5: PolLux, Diamond I08, HERMES, SoftiMAX, pyStxm (CLS), pystxmcontrol (ALS).

One entry of the file is one region; within it each NXdata group is one detector channel. Source: the application
definition NXstxm 1.1 of NeXus, and what those beamlines write instead.
"""

from functools import partial
from pathlib import Path

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import UnsupportedError
from stxmdist.readers import axes, hdf5
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.conversions import positions_um
from stxmdist.readers.description import described, stxm_facts
from stxmdist.readers.frames.frame_class import refuse_without_counts
from stxmdist.readers.hdf5 import Tree
from stxmdist.readers.nxstxm.channel import Channel
from stxmdist.readers.nxstxm.conditions import dwell_of, energies_of, ring_current_of
from stxmdist.readers.nxstxm.entry import Entry, entries_of, kind_of, with_channel
from stxmdist.readers.nxstxm.layout import layout_of, looked_through, read_frame
from stxmdist.readers.nxstxm.zone_plate import outer_zone_nm
from stxmdist.readers.pystxmcontrol.scan import camera_of
from stxmdist.readers.recording import Description, Facts, StxmRecording
from stxmdist.readers.settled import settled

READ = {"image": 2, "image stack": 2, "line scan": 1, "point spectrum": 0}
"""Kind to how many axes of the sample it is scanned along"""


def detects(path: Path, head: bytes) -> bool:
    """Whether the file is HDF5 with an NXstxm entry, or with a detector channel over sample_x and sample_y.

    The camera frames of a ptychography scan have a reader of their own.
    """
    if not hdf5.has_signature(head):
        return False
    with hdf5.opened(path) as tree:
        return camera_of(tree) is None and bool(entries_of(tree))


def describe(path: Path) -> Description:
    """What the entries of the file hold."""
    with hdf5.opened(path) as tree:
        entries = entries_of(tree)
        kinds = [kind_of(entry) for entry in entries]
        facts: Facts = {
            "title": tree.text("title", entries[0].group) if entries else "",
            "regions": len(entries),
            "definition": entries[0].definition if entries else "",
            "start_time": tree.text("start_time", entries[0].group) if entries else "",
            "scan_type": entries[0].channels[0].scan_type if entries and entries[0].channels else "",
        }
        for number, entry in enumerate(entries):
            suffix = "" if number == 0 else f"_region_{number}"
            for channel in entry.channels[:1]:
                facts[f"shape{suffix}"] = list(channel.data.shape)
                for name, values in channel.axes.items():
                    if values.size and np.isfinite(values).all():
                        facts[f"{name}_range{suffix}"] = [float(values.min()), float(values.max())]
    kind = " and ".join(dict.fromkeys(kinds)) or "unknown"
    return described(path, "nxstxm", kind, facts, open, stxm_facts)


def open(path: Path, choices: ReadChoices) -> tuple[StxmRecording, ...]:
    """The images, image stacks, line scans and point spectra of a file, one per entry.

    Raises
    ------
    InputError
        for a damaged file, or axes that do not fit the data.
    UnsupportedError
        where no entry is one of these.
    """
    with hdf5.opened(path) as tree:
        entries = tuple(with_channel(path, entry, choices.channel) for entry in entries_of(tree))
        kinds = [kind_of(entry) for entry in entries]
        readable = [entry for entry, kind in zip(entries, kinds, strict=True) if _is_readable(entry, kind)]
        if not readable:
            raise UnsupportedError(
                where=path,
                problem=f"a {' and '.join(dict.fromkeys(kinds))} is not processed",
                got=", ".join(f"{entry.name}: {kind}" for entry, kind in zip(entries, kinds, strict=True)),
                wanted="an image, an image stack, a line scan or a point spectrum",
                mend="Leave it out of the sample sheet (exclude)",
            )
        left_out = tuple(
            f"{entry.name} is a {kind}: not read"
            for entry, kind in zip(entries, kinds, strict=True)
            if entry not in readable
        )
        regions = [entry.name if len(readable) > 1 else "" for entry in readable]
        opened = zip(readable, regions, strict=True)
        found = [_recording(tree, entry, region, choices, left_out) for entry, region in opened]
        recordings = tuple(settled(recording, choices) for recording in found)
    refuse_without_counts(path, recordings)
    return recordings


def _is_readable(entry: Entry, kind: str) -> bool:
    """Whether the data are laid out as the kind of scan says: a scan with rows and columns is no line."""
    if kind not in READ:
        return False
    channel = entry.channels[0]
    lengths = [
        length
        for length, role in zip(channel.data.shape, channel.roles, strict=True)
        if role != "energy" and length > 1
    ]
    return READ[kind] == 2 or len(lengths) <= READ[kind]


def _recording(tree: Tree, entry: Entry, region: str, choices: ReadChoices, left_out: tuple[str, ...]) -> StxmRecording:
    path = tree.path
    channel = entry.channels[0]
    lengths = zip(channel.data.shape, channel.roles, strict=True)
    tree.check_size(channel.data, tuple(length for length, role in lengths if role != "energy"))
    energies = energies_of(tree, channel, choices)
    energy_ev, notes, lacks = energies.values, energies.notes, energies.lacks
    order, order_notes = axes.energy_order(energy_ev, path)
    coordinates: dict[str, F64] = {}
    flips: dict[str, bool] = {}
    for letter, (values, name) in (_image_axes(channel) or _line_axes(channel)).items():
        found = positions_um(values, channel.units.get(name, ""), name, choices, f"{path}:{channel.path}/{name}")
        lacks += found.lacks
        coordinates[letter], flips[letter], more = axes.ascending(found.values, name, path)
        notes += found.notes + more
    if _image_axes(channel) is None:
        notes += ("x is the distance along the line from its first point, there is one row",)
    layout, frame_class, missing = looked_through(tree, layout_of(tree, entry, channel, order, coordinates, flips))
    if len(entry.channels) > 1:
        others = ", ".join(other.name for other in entry.channels[1:])
        chosen = "" if choices.channel is None else ", as was chosen"
        notes += (f"channel {channel.name} is read{chosen}, not {others}",)
    dwell_ms, dwell_lacks = dwell_of(tree, entry, channel, len(energy_ev))
    ring_ma, ring_lacks = ring_current_of(tree, entry, channel, layout)
    return StxmRecording(
        source=path,
        format="nxstxm",
        region=region,
        energy_ev=energy_ev[order],
        y_um=coordinates["y"],
        x_um=coordinates["x"],
        dwell_ms=dwell_ms[order],
        ring_current_ma=ring_ma,
        frame_class=frame_class,
        read=partial(read_frame, layout),
        files=tree.files,
        start_time=tree.text("start_time", entry.group),
        outer_zone_nm=outer_zone_nm(tree, entry.group),
        lacks=lacks + ring_lacks + dwell_lacks,
        notes=notes + missing + order_notes + left_out,
    )


def _image_axes(channel: Channel) -> dict[str, tuple[F64, str]] | None:
    """Coordinates of rows and columns with their names in the file; None for a line or a point."""
    if "point" not in channel.roles and not {"sample_y", "sample_x"} <= set(channel.roles):
        return None
    return {letter: (channel.axes[f"sample_{letter}"], f"sample_{letter}") for letter in "yx"}


def _line_axes(channel: Channel) -> dict[str, tuple[F64, str]]:
    """A line as one row: y where it begins, x the distance from there; a point is a line of one."""
    at = [channel.axes.get(f"sample_{letter}", np.empty(0)) for letter in "yx"]
    n_points = next((channel.data.shape[axis] for axis, role in enumerate(channel.roles) if role != "energy"), 1)
    if all(values.size == n_points for values in at):
        along, name = np.hypot(*(values - values[:1] for values in at)), "sample_x"
    else:
        along, name = channel.axes.get("line_position", np.zeros(n_points)), "line_position"
    return {"y": (at[0][:1] if at[0].size else np.zeros(1), "sample_y"), "x": (along, name)}


__all__ = ["describe", "detects", "open"]
