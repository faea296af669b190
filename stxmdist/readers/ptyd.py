"""Prepared ptychography data of ptypy (``.ptyd``): HDF5 with frames in pieces, ``chunks/0`` to ``chunks/N``.

A piece holds ``data`` and ``weights`` (FRAME, rows, columns) and ``positions`` (FRAME, 2) in m, (y, x) of the beam on
the sample, in the axes of the frames. ``meta`` says energy in keV, distance and detector pixel (psize) in m and the
pixel of the zero frequency (center); what it leaves out is in ``info``. An orientation in ``info`` was applied before
the frames were written. A file is one photon energy.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from stxmdist.arrays import F64, Array, Mask
from stxmdist.errors import InputError
from stxmdist.readers import hdf5
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.description import described, ptychography_facts
from stxmdist.readers.frames.centring import centred
from stxmdist.readers.frames.pixels import FRAMES_LOOKED_AT, MOSTLY_BAD, refuse_inverted, sampled_frames
from stxmdist.readers.hdf5 import MOST_FRAMES, Tree
from stxmdist.readers.hdf5_types import Dataset, Group
from stxmdist.readers.ptychography_checks import (
    checked_distance_m,
    checked_pixel_um,
    checked_positions_um,
    lacking,
    photon_energy_ev,
    refuse_near_field,
)
from stxmdist.readers.recording import Description, Facts, PtychographyRecording

WEIGHTS = "above 0 where a pixel is good, 0 where it is bad"
# So many masks of each piece are read: they are as large as the frames, and hardly ever differ from frame to frame.
WEIGHTS_LOOKED_AT = 8
# A centre farther than this from a whole pixel, in pixels, is noted.
OFF_PIXEL = 0.25


def detects(path: Path, head: bytes) -> bool:
    """Whether the file is HDF5 with the groups chunks and meta."""
    if not hdf5.has_signature(head):
        return False
    with hdf5.opened(path) as tree:
        return {"chunks", "meta"} <= set(tree.own_names(tree.root))


def describe(path: Path) -> Description:
    """What the file holds."""
    with hdf5.opened(path) as tree:
        chunks = tree.group("chunks")
        facts: Facts = {
            "chunks": len(tree.names(chunks, MOST_FRAMES)) if chunks is not None else 0,
            "label": _text(tree, "label"),
        }
    return described(path, "ptyd", "ptychography", facts, open, ptychography_facts)


def open(path: Path, choices: ReadChoices) -> tuple[PtychographyRecording, ...]:
    """The ptychography scan of a file, at its one photon energy.

    Raises
    ------
    InputError
        for a damaged file, one that lacks what a reconstruction needs, or pieces in other files.
    """
    with hdf5.opened(path) as tree:
        pieces, notes = _pieces(tree)
        shape, dtype = pieces[0].frame_shape, pieces[0].dtype
        energy_ev = photon_energy_ev(_said(tree, "energy", "the photon energy", "keV")[0], "keV", f"{path}:meta/energy")
        distance = _said(tree, "distance", "the distance of the detector", "m")[0]
        sizes = _said(tree, "psize", "the size of the detector's pixels", "m")
        distance_m = checked_distance_m(float(distance), f"{path}:meta/distance")
        pixel_um = checked_pixel_um((float(sizes[0]), float(sizes[-1])), f"{path}:meta/psize")
        centre, centre_notes = _centre(tree, shape)
        good, lacks, mask_notes = _good(tree, pieces)
        positions_um = _positions(tree, pieces)
        orientation = _numbers(tree, "orientation")
    refuse_near_field(
        path,
        path,
        "",
        energy_ev=energy_ev,
        distance_m=distance_m,
        pixel_um=pixel_um,
        positions_um=positions_um,
    )
    applied = "" if orientation is None else f" (orientation {orientation.astype(int).tolist()} was applied by ptypy)"
    recording = PtychographyRecording(
        source=path,
        format="ptyd",
        energy_ev=np.array([energy_ev]),
        positions_um=positions_um[None],
        frame_shape=shape,
        frame_dtype=dtype,
        good=centred(good, centre),
        distance_m=distance_m,
        detector_pixel_um=pixel_um,
        illumination=None,
        read=partial(_read, path, pieces, centre),
        files=(path,),
        orientation="rows of the file along +y, columns along +x" + applied,
        lacks=lacks,
        notes=notes + centre_notes + mask_notes,
    )
    if np.count_nonzero(~good) > MOSTLY_BAD * good.size:
        refuse_inverted(
            recording.good, sampled_frames(recording, FRAMES_LOOKED_AT), f"{path}:chunks/0/weights", WEIGHTS
        )
    return (recording,)


@dataclass(frozen=True)
class _Piece:
    name: str
    """Path of the group"""
    n_frames: int
    frame_shape: tuple[int, int]
    dtype: np.dtype[np.generic]


def _pieces(tree: Tree) -> tuple[tuple[_Piece, ...], tuple[str, ...]]:
    """The pieces by their number, and what is worth noting."""
    group = tree.group("chunks")
    names = [name for name in tree.names(group, MOST_FRAMES) if name.isdigit()] if group is not None else []
    names.sort(key=int)
    own = set(tree.own_names(group, MOST_FRAMES)) if group is not None else set()
    elsewhere = [name for name in names if group is not None and (name not in own or _holds_links(tree, group, name))]
    if elsewhere:
        raise InputError(
            where=f"{tree.path}:chunks/{elsewhere[0]}",
            problem="the frames lie in other files, and links to them are not followed",
            got=f"{len(elsewhere)} of {len(names)} pieces are links",
            wanted="frames in the file itself",
            mend="Write the file again with save = 'append' in place of 'link'",
        )
    pieces: list[_Piece] = []
    for name in names:
        data = tree.dataset(f"chunks/{name}/data")
        if data is not None and data.size == 0:
            continue
        first = pieces[0] if pieces else None
        if data is None or data.ndim != 3 or data.dtype.kind not in "iuf":
            raise _wrong_frames(tree, name, data, "(FRAME, rows, columns) of numbers")
        tree.check_size(data, data.shape[1:])
        piece = _Piece(
            f"chunks/{name}", int(data.shape[0]), (int(data.shape[1]), int(data.shape[2])), data.dtype.newbyteorder("=")
        )
        if first is not None and (piece.frame_shape, piece.dtype) != (first.frame_shape, first.dtype):
            raise _wrong_frames(
                tree, name, data, f"frames like those of {first.name}: {first.frame_shape} {first.dtype}"
            )
        pieces.append(piece)
    if not pieces:
        raise lacking(tree.path, "diffraction frames", "chunks/0/data (FRAME, rows, columns)")
    gaps = int(names[-1]) + 1 - len(names)
    notes: tuple[str, ...] = (f"{gaps} pieces before the last are not in the file",) if gaps else ()
    if pieces[0].dtype.kind == "f":
        notes += (f"frames are {pieces[0].dtype}, not whole counts",)
    return tuple(pieces), notes


def _holds_links(tree: Tree, chunks: Group, name: str) -> bool:
    """Whether an array of a piece is a link to another file."""
    piece = tree.group(name, chunks)
    return piece is not None and tree.own_names(piece) != tree.names(piece)


def _wrong_frames(tree: Tree, name: str, data: Dataset | None, wanted: str) -> InputError:
    return InputError(
        where=f"{tree.path}:chunks/{name}/data",
        problem="the frames are not a list of images",
        got="nothing" if data is None else f"shape {data.shape}, type {data.dtype}",
        wanted=wanted,
        mend="Prepare the file again",
    )


def _positions(tree: Tree, pieces: tuple[_Piece, ...]) -> F64:
    """Positions (POSITION, 2) of the beam on the sample in um, (y, x)."""
    listed = [tree.numbers(f"{piece.name}/positions") for piece in pieces]
    n_frames = sum(piece.n_frames for piece in pieces)
    where = f"{tree.path}:{pieces[0].name}/positions"
    for piece, values in zip(pieces, listed, strict=True):
        if values is not None and (values.ndim != 2 or len(values) != piece.n_frames):
            raise InputError(
                where=f"{tree.path}:{piece.name}/positions",
                problem="positions and frames do not match",
                got=f"positions of shape {values.shape} and {piece.n_frames} frames",
                wanted=f"shape ({piece.n_frames}, 2)",
                mend="Prepare the file again",
            )
    known = [values for values in listed if values is not None]
    if len(known) == len(listed):
        return checked_positions_um(np.concatenate(known).astype(np.float64) * 1e6, n_frames, where)
    whole = tree.numbers("info/positions_scan")
    if whole is None:
        raise lacking(where, "the positions", "chunks/0/positions (FRAME, 2) in m")
    return checked_positions_um(whole.astype(np.float64) * 1e6, n_frames, f"{tree.path}:info/positions_scan")


def _good(tree: Tree, pieces: tuple[_Piece, ...]) -> tuple[Mask, tuple[str, ...], tuple[str, ...]]:
    """Good pixels (rows, columns) by a look at the weights; what is lacking; notes."""
    shape = pieces[0].frame_shape
    masks: list[Mask] = []
    for piece in pieces:
        weights = tree.dataset(f"{piece.name}/weights")
        if weights is None or weights.size == 0:
            continue
        if weights.shape not in (shape, (piece.n_frames, *shape)) or weights.dtype.kind not in "iufb":
            raise InputError(
                where=f"{tree.path}:{piece.name}/weights",
                problem="the mask does not fit the frames",
                got=f"shape {weights.shape}, type {weights.dtype}",
                wanted=f"shape {shape} or {(piece.n_frames, *shape)}, {WEIGHTS}",
                mend="Prepare the file again",
            )
        chosen = np.unique(np.linspace(0, piece.n_frames - 1, WEIGHTS_LOOKED_AT).astype(int))
        looked_at = [tree.read(weights, int(at)) for at in chosen] if weights.ndim == 3 else [tree.read(weights)]
        masks += [np.asarray(one) > 0 for one in looked_at]
    if not masks:
        return np.ones(shape, bool), ("weights (all pixels are taken as good)",), ()
    good: Mask = np.logical_and.reduce(masks)
    if not good.any():
        raise InputError(
            where=f"{tree.path}:{pieces[0].name}/weights",
            problem="the mask leaves no pixel",
            got="weights of 0 throughout",
            wanted=WEIGHTS,
            mend="Correct the weights: if they mark the bad pixels, they have the opposite polarity",
        )
    differ = any((one != masks[0]).any() for one in masks)
    return good, (), ("the masks of the frames looked at differ and are joined to one",) if differ else ()


def _centre(tree: Tree, shape: tuple[int, int]) -> tuple[tuple[int, int], tuple[str, ...]]:
    """Pixel (row, column) of the zero frequency, and what is worth noting."""
    middle = (shape[0] // 2, shape[1] // 2)
    values = _numbers(tree, "center")
    if _text(tree, "center") == "fft":
        values = np.zeros(2)
    if values is None or values.size not in (1, 2):
        return middle, ()
    place = np.broadcast_to(values.reshape(-1), (2,))
    whole = np.floor(place + 0.5).astype(int)
    if not np.isfinite(place).all() or (whole < 0).any() or (whole >= shape).any():
        raise InputError(
            where=f"{tree.path}:meta/center",
            problem="the centre lies outside the frames",
            got=str(place.tolist()),
            wanted=f"a pixel (row, column) of {shape}",
            mend="Prepare the file again with another center",
        )
    centre = (int(whole[0]), int(whole[1]))
    notes: tuple[str, ...] = ()
    if np.abs(place - whole).max() > OFF_PIXEL:
        notes += (f"the centre {place.tolist()} lies between pixels: taken as {centre}",)
    if centre != middle:
        notes += (f"the frames' centre is pixel {centre}: brought to the middle, {middle}",)
    return centre, notes


def _read(path: Path, pieces: tuple[_Piece, ...], centre: tuple[int, int], energy: int, positions: slice) -> Array:
    """Frames (POSITION, QY, QX) in the file's type, from the pieces that hold them."""
    # A file is one photon energy.
    pieces = (pieces,)[energy]
    start, stop, step = positions.indices(sum(piece.n_frames for piece in pieces))
    if step < 1:
        raise ValueError(f"positions are read in ascending order, got {positions}")
    blocks = [np.empty((0, *pieces[0].frame_shape), pieces[0].dtype)]
    first = 0
    with hdf5.opened(path) as tree:
        for piece in pieces:
            here = slice(max(0, start - first), max(0, min(stop - first, piece.n_frames)))
            first += piece.n_frames
            if here.start < here.stop:
                dataset = tree.data(f"{piece.name}/data")
                blocks.append(tree.read(dataset, here).astype(piece.dtype, copy=False))
    return centred(np.concatenate(blocks)[::step], centre)


def _numbers(tree: Tree, name: str) -> F64 | None:
    """Numbers of meta, else of info; None where neither says, or says None."""
    for group in ("meta", "info"):
        dataset = tree.dataset(f"{group}/{name}")
        said = dataset is not None and hdf5.text_attribute(dataset, "type") != "None"
        values = tree.numbers(f"{group}/{name}") if said else None
        if values is not None and values.size:
            return np.asarray(values, np.float64)
    return None


def _text(tree: Tree, name: str) -> str:
    for group in ("meta", "info"):
        dataset = tree.dataset(f"{group}/{name}")
        if dataset is not None and dataset.dtype.kind in "OS":
            return tree.text(f"{group}/{name}")
    return ""


def _said(tree: Tree, name: str, what: str, unit: str) -> F64:
    values = _numbers(tree, name)
    if values is None:
        raise lacking(tree.path, what, f"meta/{name} in {unit}")
    return values.reshape(-1)


__all__ = ["describe", "detects", "open"]
