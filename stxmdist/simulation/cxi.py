"""Ptychography scans as CXI files: SI units, energy in joule, one entry per photon energy.

Orientation. The frames that come in have rows that grow with +y of the sample and columns with +x, the zero
frequency at index n // 2. A file's ``basis_vectors`` (3, 2) hold the step in the laboratory from one row to the next
(first column) and from one column to the next (second column); the laboratory's x and y are the sample's. Frames,
mask and illumination are written in the orientation that the basis vectors say. Axes are turned about index n // 2,
index i going to (2 (n // 2) - i) mod n, so that the zero frequency stays at n // 2 in every orientation, as all
reconstruction programs expect of a file; read with the same rule, the frames come back exactly.

``translation`` is the motion of the sample: minus the position of the beam on it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import h5py
import numpy as np

from storage.atomic import replacing
from stxmdist.arrays import F64, U32, Array
from stxmdist.errors import InputError
from stxmdist.simulation.diffraction import Detector
from stxmdist.units import joule_from_ev, wavelength_nm

STANDARD = "-y-x"
ORIENTATIONS = ("+y+x", "+y-x", "-y+x", "-y-x", "+x+y", "+x-y", "-x+y", "-x-y")
"""Direction of increasing row, then of increasing column, in the laboratory."""
FAMILIES = ("geometry_1", "data_1")

_CHUNK_BYTES = 2**18
_VERSION = 160


@dataclass(frozen=True)
class CxiEntry:
    """One photon energy of a ptychography scan."""

    energy_ev: float
    frames: Iterable[Array]
    """(batch, QY, QX) integers of one type, batches of any size, consumed once"""
    n_frames: int
    positions_um: F64
    """(POSITION, 2), (y, x) of the beam on the sample"""
    illumination: Array | None = None
    """(QY, QX) or (MODE, QY, QX) complex start of the probe"""


def orientation_named(basis: str) -> str:
    """One of ``ORIENTATIONS``; ``standard`` is that of real CXI files: rows along -y, columns along -x."""
    name = STANDARD if basis == "standard" else basis
    if name not in ORIENTATIONS:
        raise InputError(
            where="CXI orientation",
            problem="there is no such orientation",
            got=repr(basis),
            wanted="standard or one of " + ", ".join(ORIENTATIONS),
            mend="Name the direction of rows, then of columns",
        )
    return name


def basis_vectors(basis: str, pixel_m: float) -> F64:
    """(3, 2) in m: the laboratory's (x, y, z) step from row to row, and from column to column."""
    name = orientation_named(basis)
    vectors = np.zeros((3, 2))
    for column, direction in enumerate((name[:2], name[2:])):
        vectors["xy".index(direction[1]), column] = pixel_m if direction[0] == "+" else -pixel_m
    return vectors


def oriented(images: Array, basis: str) -> Array:
    """Images (..., QY, QX), rows along +y and columns along +x, as a detector of another orientation records them."""
    name = orientation_named(basis)
    if name[1] == "x":
        images = np.swapaxes(images, -1, -2)
    for axis, sign in ((-2, name[0]), (-1, name[2])):
        if sign == "-":
            n = images.shape[axis]
            images = np.take(images, (2 * (n // 2) - np.arange(n)) % n, axis=axis)
    return images


def write_scan(
    path: str | Path,
    entries: Iterable[CxiEntry],
    detector: Detector,
    mask: Array | None = None,
    *,
    family: str = "geometry_1",
    basis: str = "standard",
    title: str = "",
    start_time: str = "",
) -> Path:
    """Write a scan, frame by frame; the file appears whole or not at all.

    Parameters
    ----------
    entries
        one per photon energy; taken one after the other, so that a generator may make them
    mask
        (QY, QX) in the frames' orientation, 0 good, anything else bad; None: all good
    family
        where data and translation live: ``geometry_1`` in detector_1 and geometry_1, with links in data_1;
        ``data_1`` in data_1 itself, as ALS files have it
    basis
        orientation of the detector, see the module

    Raises
    ------
    InputError
        where frames, positions and detector do not fit.

    Source: CXI file format 1.6, cxidb.org/cxi.html.
    """
    path = Path(path)
    if family not in FAMILIES:
        raise InputError(
            where=path,
            problem="there is no such family of CXI paths",
            got=repr(family),
            wanted="one of " + ", ".join(FAMILIES),
            mend="Choose one of those",
        )
    bad = np.zeros((detector.n, detector.n), np.uint32) if mask is None else (np.asarray(mask) != 0).astype(np.uint32)
    with replacing(path) as partial, h5py.File(partial, "w") as file:
        file["cxi_version"] = _VERSION
        number = 0
        for number, entry in enumerate(entries, start=1):
            group = file.create_group(f"entry_{number}")
            if title:
                group["title"] = title
            if start_time:
                group["start_time"] = start_time
            _write_entry(group, entry, detector, bad, family, basis, f"{path}, entry_{number}")
        file["number_of_entries"] = number
    return path


def _write_entry(
    group: h5py.Group,
    entry: CxiEntry,
    detector: Detector,
    bad: U32,
    family: str,
    basis: str,
    where: str,
) -> None:
    if len(entry.positions_um) != entry.n_frames:
        raise _misfit(where, f"{len(entry.positions_um)} positions", f"{entry.n_frames}, one per frame")
    pixel_m = detector.pixel_um * 1e-6
    source = group.create_group("instrument_1/source_1")
    source["energy"] = joule_from_ev(entry.energy_ev)
    source["wavelength"] = wavelength_nm(entry.energy_ev) * 1e-9
    if entry.illumination is not None:
        source["illumination"] = oriented(np.asarray(entry.illumination, dtype=np.complex64), basis)
    det = group.create_group("instrument_1/detector_1")
    det["distance"] = detector.distance_m
    det["x_pixel_size"] = pixel_m
    det["y_pixel_size"] = pixel_m
    det["basis_vectors"] = basis_vectors(basis, pixel_m)
    det["mask"] = oriented(bad, basis)
    translation = np.zeros((entry.n_frames, 3))
    translation[:, 0] = -entry.positions_um[:, 1] * 1e-6
    translation[:, 1] = -entry.positions_um[:, 0] * 1e-6
    data = group.create_group("data_1")
    if family == "geometry_1":
        group.create_group("sample_1/geometry_1")["translation"] = translation
        _write_frames(det, entry, detector.n, basis, where)
        data["data"] = h5py.SoftLink(f"{det.name}/data")
        data["translation"] = h5py.SoftLink(f"{group.name}/sample_1/geometry_1/translation")
        det["translation"] = h5py.SoftLink(f"{group.name}/sample_1/geometry_1/translation")
    else:
        group.create_group("sample_1")
        data["translation"] = translation
        _write_frames(data, entry, detector.n, basis, where)


def _write_frames(group: h5py.Group, entry: CxiEntry, n: int, basis: str, where: str) -> None:
    batches = iter(entry.frames)
    leading = next(batches, None)
    if leading is None:
        raise _misfit(where, "no frames", f"{entry.n_frames}")
    per_chunk = int(np.clip(_CHUNK_BYTES // (n * n * leading.dtype.itemsize), 1, max(entry.n_frames, 1)))
    data = group.create_dataset(
        "data",
        (entry.n_frames, n, n),
        leading.dtype,
        chunks=(per_chunk, n, n),
        compression="gzip",
        compression_opts=1,
        shuffle=True,
    )
    first = 0
    for block in _blocks(chain([leading], batches), per_chunk):
        if block.shape[1:] != (n, n) or block.dtype != data.dtype:
            raise _misfit(where, f"frames of {block.shape[1:]} {block.dtype}", f"{(n, n)} {data.dtype}")
        if first + len(block) > entry.n_frames:
            raise _misfit(where, f"more than {entry.n_frames} frames", f"{entry.n_frames}")
        data[first : first + len(block)] = oriented(block, basis)
        first += len(block)
    if first != entry.n_frames:
        raise _misfit(where, f"{first} frames", f"{entry.n_frames}")


def _blocks(frames: Iterable[Array], size: int) -> Iterator[Array]:
    """The same frames in batches of one size, so that each chunk is compressed once."""
    waiting: list[Array] = []
    count = 0
    for batch in frames:
        waiting.append(batch)
        count += len(batch)
        if count >= size:
            joined = np.concatenate(waiting)
            whole = count - count % size
            for first in range(0, whole, size):
                yield joined[first : first + size]
            waiting, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(waiting)


def _misfit(where: str, got: str, wanted: str) -> InputError:
    return InputError(
        where=where,
        problem="frames, positions and detector do not fit together",
        got=got,
        wanted=wanted,
        mend="Give as many positions as frames, and frames of the detector's size and type",
    )
