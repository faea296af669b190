"""How the frames of an NXstxm channel lie in their dataset, and which of their pixels were measured."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from stxmdist.arrays import F32, F64, U8, Index, Mask, MaskClass
from stxmdist.errors import InputError
from stxmdist.readers import hdf5
from stxmdist.readers.frames.frame_class import refuse_unless_counts, unmeasured_rows
from stxmdist.readers.hdf5 import Tree
from stxmdist.readers.nxstxm.channel import Channel
from stxmdist.readers.nxstxm.entry import Entry


@dataclass(frozen=True)
class Layout:
    """Where each frame of a channel is."""

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
    motors: tuple[str, ...]
    """Datasets of the measured positions, zero where they were not reached; none if the file has none"""
    written: Mask | None
    chunks: tuple[int, ...]
    measured: tuple[int, ...] = ()
    """File's index of each frame that holds a measurement, ascending"""


def layout_of(
    tree: Tree, entry: Entry, channel: Channel, order: Index, axes_um: Mapping[str, F64], flips: Mapping[str, bool]
) -> Layout:
    """The layout of a channel's data, on axes y and x.

    Raises
    ------
    InputError
        where the axes do not fit the data.
    """
    roles = channel.roles
    energy_axis = roles.index("energy") if "energy" in roles else None
    plane = [length for axis, length in enumerate(channel.data.shape) if axis != energy_axis]
    flat = not {"sample_y", "sample_x"} <= set(roles)
    transposed = not flat and roles.index("sample_x") < roles.index("sample_y")
    shape = (axes_um["y"].size, axes_um["x"].size)
    wanted = [shape[0] * shape[1]] if flat else list(shape[::-1] if transposed else shape)
    if flat and not plane:
        wanted = []  # a point
    if plane != wanted:
        raise InputError(
            where=f"{tree.path}:{channel.path}",
            problem="the axes do not fit the data",
            got=f"images of {' x '.join(map(str, plane))} points, {shape[0]} of sample_y, {shape[1]} of sample_x",
            wanted="as many coordinates as rows and columns",
            mend="Export the scan again",
        )
    motors = tuple(f"{entry.group.name}/instrument/{name}/data" for name in ("sample_y", "sample_x"))
    return Layout(
        path=tree.path,
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
        motors=motors if entry.pystxmcontrol else (),
        written=hdf5.written(channel.data),
        chunks=channel.data.chunks or channel.data.shape,
    )


def looked_through(tree: Tree, layout: Layout) -> tuple[Layout, U8, tuple[str, ...]]:
    """The layout with its measured frames; class (ENERGY,): missing without any measured pixel; notes of what lacks."""
    n_frames = len(layout.order)
    classes = np.full(n_frames, MaskClass.valid, np.uint8)
    may_lack = tree.data(layout.data).dtype.kind == "f" or layout.written is not None or layout.zero_is_missing
    in_part: list[int] = []
    for index, frame in enumerate(layout.order):
        if frame >= layout.n_planes:
            classes[index] = MaskClass.missing
        elif may_lack and _is_empty(layout, _plane(tree, layout, index, middle=True)).any():
            # Only where something is missing in the middle of its rows does the rest of a frame have to be read.
            empty = _is_empty(layout, _plane(tree, layout, index))
            classes[index] = MaskClass.missing if empty.all() else MaskClass.valid
            in_part += [] if empty.all() else [index]
    measured = [frame for frame, kind in zip(layout.order, classes, strict=True) if kind == MaskClass.valid]
    layout = replace(layout, measured=tuple(sorted(measured)))
    notes: tuple[str, ...] = ()
    if len(measured) < n_frames:
        notes = (f"{n_frames - len(measured)} of {n_frames} frames are missing (aborted scan): masked",)
    for index in sorted(in_part, key=lambda index: layout.order[index]):
        lost = np.isnan(_counts(tree, layout, index))
        if lost.any():
            notes += (f"frame {layout.order[index] + 1} of {n_frames} was measured in part: {_share(lost)}",)
    return layout, classes, notes


def read_frame(layout: Layout, index: int) -> F32:
    """Counts (Y, X) of one energy; NaN where they were never measured."""
    with hdf5.opened(layout.path) as tree:
        counts = _counts(tree, layout, index)
    counts = counts[:: -1 if layout.flip_y else 1, :: -1 if layout.flip_x else 1]
    refuse_unless_counts(counts, f"{layout.path}:{layout.data}, frame {index}")
    return np.ascontiguousarray(counts, np.float32)


def _share(lost: Mask) -> str:
    """How much of a frame was measured, in words."""
    rows = np.asarray(lost.all(axis=1))
    if np.array_equal(lost, np.broadcast_to(rows[:, None], lost.shape)):
        return f"{np.count_nonzero(~rows)} of {rows.size} rows"
    return f"{np.count_nonzero(~lost)} of {lost.size} pixels"


def _is_empty(layout: Layout, counts: F64) -> Mask:
    return np.asarray(np.isnan(counts) | (layout.zero_is_missing & (counts == 0)))


def _counts(tree: Tree, layout: Layout, index: int) -> F64:
    """Counts (Y, X) of one energy, rows and columns as they lie in the file; NaN where they were never measured."""
    counts = _image(tree, layout, index)
    if not layout.zero_is_missing or counts.any(axis=1).all():
        return counts
    if _is_empty(layout, counts).all():
        return np.full_like(counts, np.nan)
    frame = layout.order[index]
    before = [other for other in layout.measured if other < frame][-1:]
    after = [other for other in layout.measured if other > frame][:1]
    beside = [_image(tree, layout, layout.order.index(other)) for other in (*before, *after)]
    lost = unmeasured_rows(counts, beside, _reached(tree, layout, frame))
    counts[lost] = np.nan
    return counts


def _reached(tree: Tree, layout: Layout, frame: int) -> Mask | None:
    """Rows (Y,) in which the motors of pystxmcontrol have reported a position; None where the file does not say."""
    reached = np.zeros(layout.shape[0], bool)
    for place in layout.motors:
        positions = tree.dataset(place)
        if positions is None or positions.ndim != 2 or positions.shape[0] <= frame or positions.dtype.kind not in "iuf":
            return None
        if positions.shape[1] == 0 or positions.shape[1] % layout.shape[0]:
            return None
        reached |= tree.read(positions, frame).reshape(layout.shape[0], -1).any(axis=1)
    return reached if reached.any() else None


def _image(tree: Tree, layout: Layout, index: int) -> F64:
    """Counts (Y, X) of one energy as they stand in the file, NaN where nothing was written."""
    counts = _plane(tree, layout, index)
    if layout.flat:
        return counts.reshape(layout.shape)
    return counts.T if layout.transposed else counts


def _plane(tree: Tree, layout: Layout, index: int, *, middle: bool = False) -> F64:
    """Counts of one energy in the file's order of axes, or those in the middle of each row; NaN if never written."""
    dataset = tree.data(layout.data)
    frame = layout.order[index]
    lengths = [length for axis, length in enumerate(dataset.shape) if axis != layout.energy_axis]
    here: list[int | slice] = [slice(None) for _ in lengths]
    if middle and layout.flat and layout.shape[0] > 1:
        here = [slice(layout.shape[1] // 2, None, layout.shape[1])]
    elif middle and not layout.flat:
        across = 0 if layout.transposed else 1
        here[across] = slice(lengths[across] // 2, lengths[across] // 2 + 1)
    if frame >= layout.n_planes:
        missing: F64 = np.full(lengths, np.nan)[tuple(here)]
        return missing
    selection = list(here)
    if layout.energy_axis is not None:
        selection.insert(layout.energy_axis, frame)
    counts = np.array(tree.read(dataset, tuple(selection)), np.float64)
    if layout.written is None:
        return counts
    present = layout.written
    chunks = list(layout.chunks)
    if layout.energy_axis is not None:
        present = np.asarray(present.take(frame // chunks.pop(layout.energy_axis), axis=layout.energy_axis))
    for axis, (chunk, length) in enumerate(zip(chunks, lengths, strict=True)):
        present = present.repeat(chunk, axis=axis).take(range(length), axis=axis)
    masked: F64 = np.where(present[tuple(here)], counts, np.nan)
    return masked
