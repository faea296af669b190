"""TIFF stacks: one image per photon energy, of ImageJ, OME or plain.

TIFF has no place for photon energies. They are taken from a text file of the same name beside it (``.txt``, ``.csv`` or
``.dat``, one number in eV per line), else from the labels of the images in ImageJ's or OME's description where these
say "707.2 eV". Rows are taken to grow with y.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.readers import axes
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.description import described, stxm_facts
from stxmdist.readers.hdf5 import MOST_ELEMENTS
from stxmdist.readers.image_stack import StoredStack, pixel_or_chosen, recording_of
from stxmdist.readers.recording import Description, Facts, StxmRecording

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffFrame, TiffPage

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
ENERGY_ENDINGS = (".txt", ".csv", ".dat")
MOST_LIST_BYTES = 1 << 20
MOST_IMAGES = 1 << 16
_ENERGY = re.compile(r"(\d+(?:\.\d*)?)\s*eV\b")


@dataclass(frozen=True)
class _Stack:
    shape: tuple[int, int]
    """(Y, X)"""
    dtype: np.dtype[np.generic]
    n_images: int
    in_one: bool
    """All images behind one directory, as ImageJ writes its largest stacks"""
    labels: tuple[str, ...]
    pixel_um: tuple[float, float] | None
    """(y, x)"""
    origin_um: tuple[float, float]
    """(y, x) of the centre of the first pixel"""
    notes: tuple[str, ...]


def detects(path: Path, head: bytes) -> bool:
    """Whether the file begins as a TIFF or BigTIFF."""
    return head[:4] in SIGNATURES


def describe(path: Path) -> Description:
    """What the images are; whether there are energies to them."""
    stack = _stack(path)
    facts: Facts = {"images": stack.n_images, "shape": list(stack.shape), "type": str(stack.dtype)}
    return described(path, "tiff", "image stack" if stack.n_images > 1 else "image", facts, open, stxm_facts)


def open(path: Path, choices: ReadChoices) -> tuple[StxmRecording, ...]:
    """The one stack of a file.

    Raises
    ------
    InputError
        for a damaged file, colour images, more than one axis beside y and x, and where there is not one energy for
        each image.
    """
    stack = _stack(path)
    energy_ev, unit, files = _energies(path, stack)
    pixels = [pixel_or_chosen(said, choices) for said in stack.pixel_um or (None, None)]
    y_um, x_um = (
        start + pitch * np.arange(n, dtype=np.float64)
        for start, (pitch, _), n in zip(stack.origin_um, pixels, stack.shape, strict=True)
    )
    stored = StoredStack(
        path=path,
        format="tiff",
        energy_ev=energy_ev,
        y_um=y_um,
        x_um=x_um,
        dwell_ms=np.full(energy_ev.size, np.nan),
        rows=partial(_rows, path, stack),
        files=files,
        lacks=pixels[0][1],
        notes=stack.notes,
        energy_unit=unit,
    )
    return (recording_of(stored, choices),)


@contextmanager
def _opened(path: Path) -> Iterator["TiffFile"]:
    """An open TIFF; whatever goes wrong inside the block is an InputError with the file's name."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            yield tiff
    except InputError:
        raise
    # The parser may raise any exception on the tags of a damaged file.
    except Exception as error:
        words = str(error).strip().splitlines() or [type(error).__name__]
        raise _damaged(path, words[0][:200]) from error


def _stack(path: Path) -> _Stack:
    with _opened(path) as tiff:
        series = tiff.series[0]
        lengths = dict(zip(series.axes, series.shape, strict=True))
        others = {axis: length for axis, length in lengths.items() if axis not in "YX" and length > 1}
        if "S" in others or len(others) > 1 or "".join(axis for axis in series.axes if axis in "YX") != "YX":
            raise InputError(
                where=path,
                problem="the images are not a stack of grey images along one axis",
                got=f"axes {series.axes}, shape {tuple(series.shape)}",
                wanted="one axis beside Y and X, for the photon energy",
                mend="Save one channel of it as a stack of grey images",
            )
        n_images = int(next(iter(others.values()), 1))
        shape = (int(lengths["Y"]), int(lengths["X"]))
        if series.dtype is None or series.dtype.kind not in "iuf":
            raise _damaged(path, f"numbers of the type {series.dtype}")
        if not 0 < shape[0] * shape[1] <= MOST_ELEMENTS or n_images > MOST_IMAGES:
            raise _damaged(path, f"{n_images} images of {shape[0]} x {shape[1]} pixels")
        in_one = len(series.pages) == 1 and n_images > 1
        if not in_one and len(series.pages) != n_images:
            raise _damaged(path, f"{len(series.pages)} images where {n_images} are said to be")
        pixel_um, origin_um = _pixel(path, tiff)
        notes = (f"series 0 of {len(tiff.series)} is read",) if len(tiff.series) > 1 else ()
        return _Stack(shape, series.dtype, n_images, in_one, _labels(tiff, n_images), pixel_um, origin_um, notes)


def _pixel(path: Path, tiff: "TiffFile") -> tuple[tuple[float, float] | None, tuple[float, float]]:
    """Pixel (y, x) and centre of the first one in um, as ImageJ or OME say; None where they do not."""
    here = tiff.imagej_metadata
    if here is not None:
        name = str(here.get("unit", "")).replace("\\u00B5", "u")
        if name.strip().lower() in ("", "pixel", "pixels", "inch"):
            return None, (0.0, 0.0)
        unit = axes.factor_of(name, axes.UM_PER_UNIT, path) or 1.0
        ratios = [tiff.pages.first.tags[f"{letter}Resolution"].value for letter in "YX"]
        pitches = [unit * float(below) / float(above) for above, below in ratios]
        # Its coordinates count from the corner of the first pixel.
        origin = [(0.5 - float(here.get(f"{letter}origin", 0.5))) for letter in "yx"]
    else:
        found = [re.search(rf'\bPhysicalSize{letter}="([^"]*)"', tiff.ome_metadata or "") for letter in "YX"]
        if not all(found):
            return None, (0.0, 0.0)
        said = [re.search(rf'\bPhysicalSize{letter}Unit="([^"]*)"', tiff.ome_metadata or "") for letter in "YX"]
        units = [axes.factor_of(match[1] if match else "um", axes.UM_PER_UNIT, path) or 1.0 for match in said]
        pitches = [float(match[1]) * unit for match, unit in zip(found, units, strict=True) if match]
        origin = [0.0, 0.0]
    if not (np.isfinite(pitches).all() and min(pitches) > 0):
        raise _damaged(path, f"pixels of {pitches[0]:g} x {pitches[1]:g} um")
    return (pitches[0], pitches[1]), (origin[0] * pitches[0], origin[1] * pitches[1])


def _labels(tiff: "TiffFile", n_images: int) -> tuple[str, ...]:
    labels = (tiff.imagej_metadata or {}).get("Labels") or re.findall(
        r'<Channel\b[^>]*\bName="([^"]*)"', tiff.ome_metadata or ""
    )
    labels = [labels] if isinstance(labels, str) else labels
    return tuple(map(str, labels)) if len(labels) == n_images else ()


def _energies(path: Path, stack: _Stack) -> tuple[F64, str, tuple[Path, ...]]:
    """Photon energies (ENERGY,) in the file's order, their unit (a list says none), and every file that was read."""
    beside = [path.with_suffix(ending) for ending in ENERGY_ENDINGS]
    lists = [file for file in beside if file != path and file.is_file()]
    if lists:
        energies, unit = _listed(lists[0]), ""
        got = f"{lists[0].name} with {energies.size} energies"
    else:
        matches = [_ENERGY.search(label) for label in stack.labels]
        energies, unit = np.array([float(match[1]) for match in matches if match]), "eV"
        got = f"{energies.size} labels with an energy, and no list of them beside the file"
    if energies.size != stack.n_images:
        raise InputError(
            where=path,
            problem="there is not one photon energy for each image",
            got=f"{stack.n_images} images, {got}",
            wanted=f"{path.stem}.txt with {stack.n_images} lines, each the energy of an image in eV",
            mend="Write the energies into that file, in the order of the images",
        )
    return energies, unit, (path, *lists[:1])


def _listed(path: Path) -> F64:
    """Photon energies (ENERGY,) of a text file, one per line; comments begin with # or *, a heading is passed over."""
    try:
        content = path.read_bytes()[:MOST_LIST_BYTES].decode("utf-8-sig")
        lines = [stripped for line in content.splitlines() if (stripped := line.strip().rstrip(",;"))]
        lines = [line for line in lines if line[0] not in "#*"]
        if lines and lines[0][0].isalpha():
            lines = lines[1:]
        energies = np.array([float(line) for line in lines])
    except (OSError, ValueError) as error:
        raise _no_list(path, str(error)) from error
    if any("_" in line for line in lines) or not np.isfinite(energies).all():
        raise _no_list(path, "something other than finite numbers")
    return energies


def _no_list(path: Path, got: str) -> InputError:
    return InputError(
        where=path,
        problem="the list of photon energies cannot be read",
        got=got,
        wanted="a text file with one number in eV per line",
        mend="Correct it; if it is another file, give it another name than the TIFF",
    )


def _rows(path: Path, stack: _Stack, index: int, n_rows: int) -> F64:
    with _opened(path) as tiff:
        series = tiff.series[0]
        page = series.pages[0 if stack.in_one else index]
        if page is None:
            raise _damaged(path, f"no image {index}")
        _refuse_unless_there(path, page, 1 if not stack.in_one else stack.n_images)
        image = series.asarray().reshape(-1, *stack.shape)[index] if stack.in_one else page.asarray()
        image = np.asarray(image, np.float64).reshape(stack.shape)
    return image[:n_rows]


def _refuse_unless_there(path: Path, page: "TiffPage | TiffFrame", n_images: int) -> None:
    """Refuse an image of which strips lie beyond the end of the file, or nowhere: they would be read as zeros."""
    n_bytes = path.stat().st_size
    pieces = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    there = bool(pieces) and all(start > 0 and length > 0 and start + length <= n_bytes for start, length in pieces)
    said = sum(length for _, length in pieces)
    short = page.compression == 1 and n_images == 1 and said != page.nbytes
    if not there or short or (n_images == 1 and len(pieces) != int(np.prod(page.chunked))):
        raise _damaged(path, f"{len(pieces)} pieces of an image, {said} bytes, not all of them in the file")


def _damaged(path: Path, got: str) -> InputError:
    return InputError(
        where=path,
        problem="the TIFF is damaged, or of a kind that cannot be read",
        got=got,
        wanted="a whole TIFF of grey images, uncompressed or deflated",
        mend="Copy it again, or save it again without compression",
    )
