"""SDF: a text header ``.hdr`` with one text file ``.xim`` per frame (ALS, CLS, MAX IV, BESSY).

The frame ``base_a000.xim`` is channel a, energy 0; its rows are QAxis (y), its columns PAxis (x). Numbers may be counts
or reals (aligned or normalised frames, units of Hz), so all are read as reals.
"""

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.readers import axes
from stxmdist.readers.description import described, stxm_facts
from stxmdist.readers.recording import Description, StxmRecording
from stxmdist.readers.sdf_header import (
    Geometry,
    dwell_ms_of,
    energies,
    energies_said,
    kind_of,
    plane,
    points_of,
    read_header,
    ring_current_of,
    unreadable,
)

# The definition is what a header begins with.
LEAD_BYTES = 4096


def detects(path: Path, head: bytes) -> bool:
    """Whether the file is text that defines a scan."""
    head = head[:LEAD_BYTES]
    return b"\0" not in head and re.search(rb"ScanDefinition\s*=\s*\{", head) is not None


def describe(path: Path) -> Description:
    """What the header says, and what lies beside it."""
    header = read_header(path)
    kind = kind_of(header)
    facts: dict[str, Any] = {
        "title": str(header.definition.get("Label", "")),
        "regions": len(header.regions),
        "start_time": header.start_time,
    }
    for number, region in enumerate(header.regions):
        shape = [len(points_of(region.get(axis))) for axis in ("QAxis", "PAxis")]
        facts["shape" if number == 0 else f"shape_region_{number}"] = shape
    said = energies_said(header)
    if said:
        facts |= {"n_energies": len(said), "energy_min_ev": min(said), "energy_max_ev": max(said)}
    return described(path, "sdf", kind, facts, open, stxm_facts)


def open(path: Path) -> tuple[StxmRecording, ...]:
    """The image or image stack that a header defines.

    Raises
    ------
    InputError
        for a header that cannot be understood, or without frames.
    UnsupportedError
        for line, point, focus and multi-region scans.
    """
    header = read_header(path)
    kind = kind_of(header)
    if kind not in ("image", "image stack"):
        raise UnsupportedError(
            where=path,
            problem=f"a {kind} is not processed",
            got=f"Type {header.definition.get('Type')!r}, Flags {header.definition.get('Flags')!r}, "
            f"{len(header.regions)} region(s)",
            wanted="an image or an image stack of one region",
            mend="Leave it out of the sample sheet (exclude)",
        )
    frames, notes = _find_frames(path, kind)
    energy_ev, energy_notes, lacks = energies(path, header, frames)
    x_um, y_um, geometry, axis_notes, axis_lacks = plane(path, header.regions[0])
    order, order_notes = axes.energy_order(energy_ev, path)
    dwell_ms = dwell_ms_of(header, len(energy_ev))
    ring_ma = ring_current_of(header, len(energy_ev))
    measured = np.array([int(index) in frames for index in order])
    if not measured.all():
        notes += (f"{np.count_nonzero(~measured)} of {len(order)} frames are missing (aborted scan): masked",)
    lacks += axis_lacks
    if np.isnan(ring_ma).all():
        lacks += ("ring current",)
    if np.isnan(dwell_ms).all():
        lacks += ("dwell time",)
    return (
        StxmRecording(
            source=path,
            format="sdf",
            region="",
            energy_ev=energy_ev[order],
            y_um=y_um,
            x_um=x_um,
            dwell_ms=dwell_ms[order],
            ring_current_ma=ring_ma[order],
            frame_class=np.where(measured, MaskClass.valid, MaskClass.missing).astype(np.uint8),
            read=partial(_read, tuple(frames.get(int(index)) for index in order), geometry),
            files=(path, *(frames[index] for index in sorted(frames))),
            start_time=header.start_time,
            lacks=lacks,
            notes=notes + energy_notes + axis_notes + order_notes,
        ),
    )


def _find_frames(path: Path, kind: str) -> tuple[dict[int, Path], tuple[str, ...]]:
    """Energy index to .xim file of the first channel that has any, by the names beside the header."""
    pattern = re.compile(rf"{re.escape(path.stem)}_([a-z])(\d*)\.xim", re.IGNORECASE)
    channels: dict[str, dict[int, Path]] = {}
    for file in path.parent.iterdir():
        match = pattern.fullmatch(file.name)
        if match:
            frames = channels.setdefault(match[1].lower(), {})
            # A scan of one energy may go without a number; where both are there, the numbered one belongs to it.
            if match[2] or 0 not in frames:
                frames[int(match[2] or 0)] = file
    if not channels:
        raise InputError(
            where=path,
            problem="there are no frames beside the header",
            got=f"no file {path.stem}_a*.xim in the folder",
            wanted=f"{path.stem}_a{'' if kind == 'image' else '000'}.xim ...",
            mend="Copy the .xim files too, and rename none of them",
        )
    first, *others = sorted(channels)
    notes = (f"channel {first} is read, not {', '.join(others)}",) if others else ()
    return channels[first], notes


def _read(frames: tuple[Path | None, ...], geometry: Geometry, index: int) -> NDArray[np.float32]:
    """Counts (Y, X) of one energy; NaN where the frame was never written."""
    file = frames[index]
    if file is None:
        shape = geometry.shape[::-1] if geometry.transposed else geometry.shape
        return np.full(shape, np.nan, np.float32)
    counts = _read_xim(file, geometry.shape)
    counts = counts.T if geometry.transposed else counts
    counts = counts[:: -1 if geometry.flip_y else 1, :: -1 if geometry.flip_x else 1]
    return np.ascontiguousarray(counts, np.float32)


def _read_xim(file: Path, shape: tuple[int, int]) -> NDArray[np.float64]:
    try:
        lines = [line.split() for line in file.read_bytes().splitlines()]
    except OSError as error:
        raise unreadable(file, error) from error
    lines = [line for line in lines if line]
    widths = sorted({len(line) for line in lines})
    if (len(lines), widths) != (shape[0], [shape[1]]):
        raise InputError(
            where=file,
            problem="the frame does not have the size that its header says",
            got=f"{len(lines)} rows of {' or '.join(map(str, widths[:4])) or 'no'} numbers",
            wanted=f"{shape[0]} rows of {shape[1]} numbers",
            mend="Copy it again; if the scan was aborted here, remove the file, and the frame is masked as missing",
        )
    try:
        counts = np.array(lines).astype(np.float64)
    except ValueError as error:
        raise _garbage(file, str(error)) from error
    if np.isinf(counts).any():
        raise _garbage(file, "an infinite number")
    return counts


def _garbage(file: Path, got: str) -> InputError:
    return InputError(
        where=file,
        problem="the frame holds something else than counts",
        got=got,
        wanted="numbers with blanks or tabs between",
        mend="Copy it again from the beamline",
    )
