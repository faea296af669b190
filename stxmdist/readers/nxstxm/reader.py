"""NXstxm and its relatives in HDF5: PolLux, Diamond I08, HERMES, SoftiMAX, pyStxm (CLS), pystxmcontrol (ALS).

One entry of the file is one region; within it each NXdata group is one detector channel. Source: the application
definition NXstxm 1.1 of NeXus, and what those beamlines write instead.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from stxmdist.arrays import F32, F64, U8, Index, Mask, MaskClass
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.readers import axes, hdf5
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.description import described, stxm_facts
from stxmdist.readers.frames.frame_class import refuse_unless_counts
from stxmdist.readers.hdf5 import Tree
from stxmdist.readers.nxstxm.entry import Channel, Entry, entries_of, kind_of
from stxmdist.readers.nxstxm.zone_plate import outer_zone_nm
from stxmdist.readers.pystxmcontrol.scan import camera_of
from stxmdist.readers.recording import Description, Facts, StxmRecording

# The ring current hardly changes within a frame: about this many rows of it are read for the mean.
RING_ROWS = 32
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
        entries = entries_of(tree)
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
        return tuple(_recording(tree, entry, entry.name if len(readable) > 1 else "", left_out) for entry in readable)


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


@dataclass(frozen=True)
class _Layout:
    path: Path
    data: str
    """Path of the dataset"""
    order: tuple[int, ...]
    """File's index of each energy, ascending"""
    energy_axis: int | None
    """None for a single image without an axis of energy"""
    n_planes: int
    shape: tuple[int, int]
    """(Y, X)"""
    flat: bool
    """Points of a frame in one row, as scanned"""
    transposed: bool
    flip_y: bool
    flip_x: bool
    zero_is_missing: bool
    """pystxmcontrol leaves zeros where it has not measured yet"""
    written: Mask | None
    chunks: tuple[int, ...]


def _recording(tree: Tree, entry: Entry, region: str, left_out: tuple[str, ...]) -> StxmRecording:
    path = tree.path
    channel = entry.channels[0]
    energy_ev, notes, lacks = _energies(tree, channel)
    order, order_notes = axes.energy_order(energy_ev, path)
    coordinates: dict[str, F64] = {}
    flips: dict[str, bool] = {}
    for letter, (values, name) in (_image_axes(channel) or _line_axes(channel)).items():
        unit = channel.units.get(name, "")
        factor = axes.factor_of(unit, axes.UM_PER_UNIT, f"{path}:{channel.path}/{name}")
        if factor is None:
            factor, lacks = 1.0, (*lacks, f"unit of {name} (taken as um)")
        coordinates[letter], flips[letter], more = axes.ascending(values * factor, name, path)
        notes += more
    if _image_axes(channel) is None:
        notes += ("x is the distance along the line from its first point, there is one row",)
    layout = _layout(path, entry, channel, order, coordinates, flips)
    frame_class = _frame_classes(tree, layout)
    if (frame_class == MaskClass.missing).any():
        notes += (f"{np.count_nonzero(frame_class)} of {len(order)} frames are missing (aborted scan): masked",)
    if len(entry.channels) > 1:
        others = ", ".join(other.name for other in entry.channels[1:])
        notes += (f"channel {channel.name} is read, not {others}",)
    dwell_ms, dwell_lacks = _dwell(tree, entry, channel, len(energy_ev))
    ring_ma = _ring_current(tree, entry, channel, layout)
    if np.isnan(ring_ma).all():
        lacks += ("ring current",)
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
        read=partial(_read, layout),
        files=tree.files,
        start_time=tree.text("start_time", entry.group),
        outer_zone_nm=outer_zone_nm(tree, entry.group),
        lacks=lacks + dwell_lacks,
        notes=notes + order_notes + left_out,
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


def _energies(tree: Tree, channel: Channel) -> tuple[F64, tuple[str, ...], tuple[str, ...]]:
    """Photon energies (ENERGY,) in eV in the file's order, notes, and what is lacking."""
    where = f"{tree.path}:{channel.path}/energy"
    values = channel.axes.get("energy", np.empty(0))
    if not values.size:
        raise InputError(
            where=where,
            problem="the file does not say its photon energy",
            got="no energy and no photon_energy beside the data",
            wanted="one number in eV per image",
            mend="Add the dataset energy to the group",
        )
    factor = axes.factor_of(channel.units.get("energy", ""), axes.EV_PER_UNIT, where)
    lacks = ("unit of energy (taken as eV)",) if factor is None else ()
    n_images = channel.data.shape[channel.roles.index("energy")] if "energy" in channel.roles else 1
    if n_images > values.size:
        raise InputError(
            where=where,
            problem="there are more images than photon energies",
            got=f"{n_images} images, {values.size} energies",
            wanted="one energy per image",
            mend="Correct the energies in the file",
        )
    return values * (factor or 1.0), (), lacks


def _layout(
    path: Path,
    entry: Entry,
    channel: Channel,
    order: Index,
    coordinates: dict[str, F64],
    flips: dict[str, bool],
) -> _Layout:
    roles = channel.roles
    energy_axis = roles.index("energy") if "energy" in roles else None
    plane = [length for axis, length in enumerate(channel.data.shape) if axis != energy_axis]
    flat = not {"sample_y", "sample_x"} <= set(roles)
    transposed = not flat and roles.index("sample_x") < roles.index("sample_y")
    shape = (coordinates["y"].size, coordinates["x"].size)
    wanted = [shape[0] * shape[1]] if flat else list(shape[::-1] if transposed else shape)
    if flat and not plane:
        wanted = []  # a point
    if plane != wanted:
        raise InputError(
            where=f"{path}:{channel.path}",
            problem="the axes do not fit the data",
            got=f"images of {' x '.join(map(str, plane))} points, {shape[0]} of sample_y, {shape[1]} of sample_x",
            wanted="as many coordinates as rows and columns",
            mend="Export the scan again",
        )
    return _Layout(
        path=path,
        data=channel.data_path,
        order=tuple(int(index) for index in order),
        energy_axis=energy_axis,
        n_planes=1 if energy_axis is None else channel.data.shape[energy_axis],
        shape=shape,
        flat=flat,
        transposed=transposed,
        flip_y=flips["y"],
        flip_x=flips["x"],
        zero_is_missing=entry.pystxmcontrol,
        written=hdf5.written(channel.data),
        chunks=channel.data.chunks or channel.data.shape,
    )


def _frame_classes(tree: Tree, layout: _Layout) -> U8:
    """Class (ENERGY,): missing where no value of the frame was ever written."""
    classes = np.full(len(layout.order), MaskClass.valid, np.uint8)
    may_be_nan = tree.data(layout.data).dtype.kind == "f" or layout.written is not None
    if not may_be_nan and not layout.zero_is_missing:
        classes[np.array(layout.order) >= layout.n_planes] = MaskClass.missing
        return classes
    for index in range(len(layout.order)):
        # The first row is measured first: only where it is missing does the rest of the frame have to be read.
        looked_at = (_plane(tree, layout, index, rows) for rows in (slice(0, 1), slice(None)))
        if all(_unmeasured(layout, counts) for counts in looked_at):
            classes[index] = MaskClass.missing
    return classes


def _unmeasured(layout: _Layout, counts: F64) -> bool:
    return bool(np.isnan(counts).all() or (layout.zero_is_missing and not counts.any()))


def _read(layout: _Layout, index: int) -> F32:
    """Counts (Y, X) of one energy; NaN where they were never written."""
    with hdf5.opened(layout.path) as tree:
        counts = _plane(tree, layout, index, rows=slice(None))
    if _unmeasured(layout, counts):
        counts = np.full_like(counts, np.nan)
    if layout.flat:
        counts = counts.reshape(layout.shape)
    if layout.transposed:
        counts = counts.T
    counts = counts[:: -1 if layout.flip_y else 1, :: -1 if layout.flip_x else 1]
    refuse_unless_counts(counts, f"{layout.path}:{layout.data}, frame {index}")
    return np.ascontiguousarray(counts, np.float32)


def _plane(tree: Tree, layout: _Layout, index: int, rows: slice) -> F64:
    """Counts of one energy in the file's order of axes; NaN where they were never written."""
    dataset = tree.data(layout.data)
    frame = layout.order[index]
    n_axes = dataset.ndim - (layout.energy_axis is not None)
    selection: list[int | slice] = [rows, *[slice(None)] * (n_axes - 1)] if n_axes else []
    lengths = [length for axis, length in enumerate(dataset.shape) if axis != layout.energy_axis]
    if frame >= layout.n_planes:
        missing: F64 = np.full(lengths, np.nan)[tuple(selection)]
        return missing
    if layout.energy_axis is not None:
        selection.insert(layout.energy_axis, frame)
    tree.check_size(dataset, tuple(lengths))
    counts = np.asarray(dataset[tuple(selection)], np.float64)
    if layout.written is None:
        return counts
    present = layout.written
    chunks = list(layout.chunks)
    if layout.energy_axis is not None:
        present = np.asarray(present.take(frame // chunks.pop(layout.energy_axis), axis=layout.energy_axis))
    for axis, (chunk, length) in enumerate(zip(chunks, lengths, strict=True)):
        present = present.repeat(chunk, axis=axis).take(range(length), axis=axis)
    here = (rows, *[slice(None)] * (n_axes - 1)) if n_axes else ()
    masked: F64 = np.where(present[here], counts, np.nan)
    return masked


def _dwell(tree: Tree, entry: Entry, channel: Channel, n_energies: int) -> tuple[F64, tuple[str, ...]]:
    """Dwell time (ENERGY,) in ms in the file's order, and what is lacking."""
    unknown = np.full(n_energies, np.nan)
    # Binned values of pystxmcontrol have theirs beside them.
    for place in (f"{channel.path}/count_time", f"{entry.group.name}/counter0/count_time"):
        values = tree.numbers(place)
        if values is not None and values.size:
            break
    else:
        return unknown, ("dwell time",)
    values = np.asarray(values, np.float64).reshape(-1)
    unit = hdf5.text_attribute(tree.get(place), "units")
    factor = axes.factor_of(unit, axes.MS_PER_UNIT, f"{tree.path}:{place}")
    lacks: tuple[str, ...] = ()
    if factor is None:
        # pystxmcontrol writes its dwell times in ms, NeXus wants seconds.
        factor = 1.0 if entry.pystxmcontrol else 1e3
        lacks = (f"unit of count_time (taken as {'ms' if entry.pystxmcontrol else 's'})",)
    if values.size == 1:
        values = np.repeat(values, n_energies)
    if values.size % n_energies:
        return unknown, ("dwell time",)
    dwell_ms = values.reshape(n_energies, -1).mean(axis=1) * factor
    return np.where(dwell_ms > 0, dwell_ms, np.nan), lacks


def _ring_current(tree: Tree, entry: Entry, channel: Channel, layout: _Layout) -> F64:
    """Ring current (ENERGY,) in mA, energies ascending: mean over a frame; NaN where the file does not say."""
    current = np.full(len(layout.order), np.nan)
    dataset = tree.dataset("control/data", entry.group)
    if dataset is None or dataset.dtype.kind not in "iuf":
        return current
    if dataset.shape == (len(layout.order),):
        values = np.asarray(dataset[()], np.float64)[list(layout.order)]
    elif dataset.shape == channel.data.shape:
        values = current.copy()
        axis = layout.energy_axis
        for index, frame in enumerate(layout.order):
            if frame >= layout.n_planes:
                continue
            lengths = [length for number, length in enumerate(dataset.shape) if number != axis]
            selection: list[int | slice] = [slice(None, None, max(1, length // RING_ROWS)) for length in lengths[:1]]
            selection += [slice(None)] * (len(lengths) - 1)
            if axis is not None:
                selection.insert(axis, frame)
            measured = np.asarray(dataset[tuple(selection)], np.float64)
            known = np.isfinite(measured) & (measured > 0)
            values[index] = measured[known].mean() if known.any() else np.nan
    else:
        return current
    return np.where(values > 0, values, np.nan)
