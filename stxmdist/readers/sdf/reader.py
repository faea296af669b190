"""SDF: a text header ``.hdr`` with text files of numbers beside it (ALS, CLS, MAX IV, BESSY).

In a frame ``.xim`` rows are QAxis (y) and columns PAxis (x); in a line scan one of the two is the photon energy. A
spectrum ``.xsp`` has two columns. Numbers may be counts or reals (aligned or normalised frames, units of Hz): all are
read as reals.
"""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from stxmdist.arrays import F32, MaskClass
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.readers import axes
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.description import described, stxm_facts
from stxmdist.readers.recording import Description, Facts, StxmRecording
from stxmdist.readers.sdf.channels import channels_of, chosen
from stxmdist.readers.sdf.energies import energies, energies_said, runs_over
from stxmdist.readers.sdf.frames import Frames, find_frames, measured_rows, read_xim, read_xsp
from stxmdist.readers.sdf.header import (
    FrameLayout,
    Header,
    centre_um,
    dwell_ms_of,
    kind_of,
    line_axes,
    plane,
    points_of,
    read_header,
    ring_current_of,
    structure_of,
    text_of,
)
from stxmdist.readers.settled import settled

# The definition is what a header begins with.
LEAD_BYTES = 4096
SEVERAL = "multi-region "
RATES = "the channel's unit is Hz: these are rates, not counts"
READ = ("image", "image stack", "line scan", "point spectrum")


def detects(path: Path, head: bytes) -> bool:
    """Whether the file is text that defines a scan."""
    head = head[:LEAD_BYTES]
    return b"\0" not in head and re.search(rb"ScanDefinition\s*=\s*\{", head) is not None


def describe(path: Path) -> Description:
    """What the header says, and what lies beside it."""
    header = read_header(path)
    kind = _kind(header)
    facts: Facts = {
        "title": text_of(header.definition, "Label"),
        "regions": len(header.regions),
        "start_time": header.start_time,
    }
    for number, region in enumerate(header.regions):
        shape = [len(points_of(structure_of(region, axis))) for axis in ("QAxis", "PAxis")]
        facts["shape" if number == 0 else f"shape_region_{number}"] = shape
    said = energies_said(header)
    if said:
        facts |= {"n_energies": len(said), "energy_min_ev": min(said), "energy_max_ev": max(said)}
    return described(path, "sdf", kind, facts, open, stxm_facts, said)


def open(path: Path, choices: ReadChoices) -> tuple[StxmRecording, ...]:
    """The images, image stacks, line scans or spectra that a header defines, one for each region.

    Raises
    ------
    InputError
        for a header that cannot be understood, or without frames.
    UnsupportedError
        for focus scans and the like.
    """
    header = read_header(path)
    kind = _kind(header)
    one = kind.removeprefix(SEVERAL)
    if one not in READ:
        raise _unsupported(path, header, kind)
    several = kind != one
    by_channel = find_frames(path, one, several)
    channel, notes = chosen(path, channels_of(header, by_channel), choices.channel)
    frames = by_channel[channel.letter]
    beyond = max(frames) >= len(header.regions)
    if beyond:
        raise InputError(
            where=path,
            problem="there are frames of more regions than the header defines",
            got=f"{next(iter(frames[max(frames)].values())).name}, {len(header.regions)} region(s)",
            wanted=f"regions numbered 0 to {len(header.regions) - 1}",
            mend="Bring header and frames of the same scan together",
        )
    empty = [f"region{number}" for number in range(len(header.regions)) if number not in frames]
    if empty:
        notes += (f"no frames of {', '.join(empty)} (aborted scan): not read",)
    rates = (RATES,) if channel.unit.strip().lower() == "hz" else ()
    make = {"line scan": _line, "point spectrum": _point}.get(one, _image)
    recordings = []
    for number in sorted(frames):
        recording = make(path, header, number, frames[number], choices)
        named = replace(
            recording,
            region=f"region{number}" if several and len(frames) > 1 else "",
            lacks=recording.lacks + _not_said(recording),
            notes=notes + rates + recording.notes,
        )
        recordings.append(settled(named, choices))
    return tuple(recordings)


def _kind(header: Header) -> str:
    """What a scan is, in words; a stack that does not run over photon energy says over what."""
    kind = kind_of(header)
    over = runs_over(header) if kind.endswith("image stack") else ""
    if not over or points_of(structure_of(header.definition, "StackAxis")).size < 2:
        return kind
    return kind.replace("image stack", f"stack over {over}")


def _image(path: Path, header: Header, region: int, frames: Frames, choices: ReadChoices) -> StxmRecording:
    energy = energies(path, header, frames, region, choices)
    energy_ev = energy.values
    x_um, y_um, layout, axis_notes, axis_lacks = plane(path, header.regions[region], choices)
    order, order_notes = axes.energy_order(energy_ev, path)
    rows = measured_rows(frames, layout.shape[0])
    measured = np.array([int(index) in frames and rows.get(int(index)) != 0 for index in order])
    notes: tuple[str, ...] = ()
    if not measured.all():
        notes = (f"{np.count_nonzero(~measured)} of {len(order)} frames are missing (aborted scan): masked",)
    notes += tuple(
        f"frame {place + 1} of {len(order)} was measured in part: {rows[int(index)]} of {layout.shape[0]} rows"
        for place, index in enumerate(order)
        if rows.get(int(index))
    )
    return StxmRecording(
        source=path,
        format="sdf",
        region="",
        energy_ev=energy_ev[order],
        y_um=y_um,
        x_um=x_um,
        dwell_ms=dwell_ms_of(header, len(energy_ev))[order],
        ring_current_ma=ring_current_of(header, len(energy_ev), region)[order],
        frame_class=np.where(measured, MaskClass.valid, MaskClass.missing).astype(np.uint8),
        read=partial(
            _read, tuple(frames[int(i)] if there else None for i, there in zip(order, measured, strict=True)), layout
        ),
        files=(path, *(frames[index] for index in sorted(frames))),
        start_time=header.start_time,
        lacks=energy.lacks + axis_lacks,
        notes=notes + energy.notes + axis_notes + order_notes,
    )


def _line(path: Path, header: Header, region: int, frames: Frames, choices: ReadChoices) -> StxmRecording:
    """One row of points for each photon energy, out of the one image of energy against position."""
    found = line_axes(path, header.regions[region], choices)
    if found is None:
        raise _unsupported(path, header, "line scan without an axis of energy")
    energy_ev, x_um, layout, name, axis_notes, lacks = found
    across_um = centre_um(header, region).get("x" if name.strip().lower().endswith("y") else "y")
    if across_um is None:
        lacks += ("position across the line (taken as 0)",)
    order, order_notes = axes.energy_order(energy_ev, path)
    return StxmRecording(
        source=path,
        format="sdf",
        region="",
        energy_ev=energy_ev[order],
        y_um=np.array([across_um or 0.0]),
        x_um=x_um,
        dwell_ms=dwell_ms_of(header, len(energy_ev))[order],
        ring_current_ma=ring_current_of(header, len(energy_ev), region)[order],
        frame_class=np.full(len(order), MaskClass.valid, np.uint8),
        read=partial(_read_line, frames[0], layout, tuple(int(index) for index in order)),
        files=(path, frames[0]),
        start_time=header.start_time,
        lacks=lacks,
        notes=(*axis_notes, f"line scan: x is {name} along the line, there is one row", *order_notes),
    )


def _point(path: Path, header: Header, region: int, frames: Frames, choices: ReadChoices) -> StxmRecording:
    """One pixel for each photon energy."""
    energy_ev, _ = read_xsp(frames[0])
    at_um = centre_um(header, region)
    order, order_notes = axes.energy_order(energy_ev, frames[0])
    return StxmRecording(
        source=path,
        format="sdf",
        region="",
        energy_ev=energy_ev[order],
        y_um=np.array([at_um.get("y", 0.0)]),
        x_um=np.array([at_um.get("x", 0.0)]),
        dwell_ms=dwell_ms_of(header, len(energy_ev))[order],
        ring_current_ma=ring_current_of(header, len(energy_ev), region)[order],
        frame_class=np.full(len(order), MaskClass.valid, np.uint8),
        read=partial(_read_point, frames[0], tuple(int(index) for index in order)),
        files=(path, frames[0]),
        start_time=header.start_time,
        lacks=() if len(at_um) == 2 else ("position of the point (taken as 0)",),
        notes=order_notes,
    )


def _read(frames: tuple[Path | None, ...], layout: FrameLayout, index: int) -> F32:
    """Counts (Y, X) of one energy; NaN where the frame was never written."""
    file = frames[index]
    if file is None:
        shape = layout.shape[::-1] if layout.transposed else layout.shape
        return np.full(shape, np.nan, np.float32)
    return layout.upright(read_xim(file, layout.shape))


def _read_line(file: Path, layout: FrameLayout, order: tuple[int, ...], index: int) -> F32:
    """Counts (1, X) of one energy; rows of the upright image are energies in the file's order."""
    return layout.upright(read_xim(file, layout.shape, whole=True))[[order[index]]]


def _read_point(file: Path, order: tuple[int, ...], index: int) -> F32:
    """Counts (1, 1) of one energy."""
    return read_xsp(file)[1][[[order[index]]]].astype(np.float32)


def _not_said(recording: StxmRecording) -> tuple[str, ...]:
    said = (("ring current", recording.ring_current_ma), ("dwell time", recording.dwell_ms))
    return tuple(name for name, values in said if np.isnan(values).all())


def _unsupported(path: Path, header: Header, kind: str) -> UnsupportedError:
    return UnsupportedError(
        where=path,
        problem=f"a {kind} is not processed",
        got=f"Type {header.definition.get('Type')!r}, Flags {header.definition.get('Flags')!r}, "
        f"{len(header.regions)} region(s)",
        wanted="an image stack over photon energy, or images of one field",
        mend="Leave it out of the sample sheet (exclude)",
    )
