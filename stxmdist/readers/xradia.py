"""Images and energy stacks of Xradia's microscopes, ``.xrm`` and ``.txrm``: streams in an OLE container.

    ImageInfo/ImageWidth, ImageHeight, NoOfImages, ImagesTaken, DataType (int32): 5 uint16, 10 float32
    ImageInfo/Energy (eV), PixelSize (um), ExpTimes (s), XPosition, YPosition (um), Angles (degrees): float32
    ImageInfo/Date: 40 bytes for each image, of which 17 are text
    ImageData1/Image1 ... Image100, ImageData2/Image101 ...: rows of pixels

Beamlines that leave the energy at 0 write it into the file's name, as in ``_08324.0_eV_``. The field lies around the
position of the stage. Images divided by their reference (OriginalDataRefCorrected) are transmission. Layout learned
from the readers in xanespy, Mantis, dxchange and txrm2tiff, and proved on files of SSRL and APS that these
are tested with. Rows are taken to grow with y.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.description import described, stxm_facts
from stxmdist.readers.hdf5 import MOST_ELEMENTS
from stxmdist.readers.image_stack import StoredStack, pixel_or_chosen, recording_of
from stxmdist.readers.recording import Description, Facts, StxmRecording

if TYPE_CHECKING:
    from olefile import OleFileIO

SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
TYPES: dict[int, np.dtype[np.generic]] = {3: np.dtype("u1"), 5: np.dtype("<u2"), 10: np.dtype("<f4")}
MOST_IMAGES = 1 << 16
IMAGES_PER_GROUP = 100
DATE_BYTES, TEXT_BYTES = 40, 17
DATE_FORMATS = ("%m/%d/%y %H:%M:%S", "%m/%d/%Y %H:%M:%S")
MS_PER_S = 1e3
# Angles of one setting of the stage; those of a tomography lie farther apart.
SAME_ANGLE_DEG = 0.1
_INT, _FLOAT = np.dtype("<i4"), np.dtype("<f4")
_ENERGY = re.compile(r"(\d+(?:\.\d+)?)_?eV")


@dataclass(frozen=True)
class _Images:
    path: Path
    dtype: np.dtype[np.generic]
    shape: tuple[int, int]
    """(Y, X)"""
    n_images: int
    n_taken: int
    """Those after them were planned and never taken"""

    def rows(self, index: int, n_rows: int) -> F64:
        """The first rows (n, X) of an image; NaN if it was never taken."""
        wanted = self.dtype.itemsize * self.shape[0] * self.shape[1]
        with _opened(self.path) as ole:
            name = f"ImageData{index // IMAGES_PER_GROUP + 1}/Image{index + 1}"
            if index >= self.n_taken or not ole.exists(name):
                return np.full((n_rows, self.shape[1]), np.nan)
            if ole.get_size(name) != wanted:
                raise _damaged(self.path, f"{name} of {ole.get_size(name)} bytes, where an image has {wanted}")
            content = ole.openstream(name).read()
        # Some patterns of bits in a damaged file are signalling NaN, about which the processor warns.
        with np.errstate(invalid="ignore"):
            return np.frombuffer(content, self.dtype).astype(np.float64).reshape(self.shape)[:n_rows]


@dataclass(frozen=True)
class _Conditions:
    """What a file says of its images; (IMAGE,) each, or of length 1, or empty where it does not say."""

    energy_ev: F64
    exposure_s: F64
    angle_deg: F64
    y_um: F64
    x_um: F64
    pixel_um: F64
    start_time: str
    divided: bool
    """By the image without a sample"""
    has_reference: bool


def detects(path: Path, head: bytes) -> bool:
    """Whether the file is an OLE container with an image of these microscopes."""
    if not head.startswith(SIGNATURE):
        return False
    with _opened(path) as ole:
        return bool(ole.exists("ImageInfo/ImageWidth"))


def describe(path: Path) -> Description:
    """What the images are."""
    images, said = _read(path)
    facts: Facts = {
        "images": images.n_images,
        "images_taken": images.n_taken,
        "shape": list(images.shape),
        "type": str(images.dtype),
    }
    return described(path, "xradia", _kind(images, said), facts, open, stxm_facts)


def open(path: Path, choices: ReadChoices) -> tuple[StxmRecording, ...]:
    """The image or energy stack of a file.

    Raises
    ------
    InputError
        for a damaged file, and where there is not one energy for each image.
    UnsupportedError
        for tomography and other series at one energy.
    """
    images, said = _read(path)
    kind = _kind(images, said)
    if kind not in ("image", "image stack"):
        angles = (
            f", angles of {said.angle_deg.min():g} to {said.angle_deg.max():g} degrees" if said.angle_deg.size else ""
        )
        raise UnsupportedError(
            where=path,
            problem=f"a {kind} is not processed",
            got=f"{images.n_images} images at {np.unique(said.energy_ev).size} photon energies{angles}",
            wanted="an image, or images at several photon energies under one angle",
            mend="Leave it out of the sample sheet (exclude)",
        )
    if images.n_taken < 1:
        raise InputError(
            where=path,
            problem="the file holds no image",
            got=f"{images.n_taken} of {images.n_images} images taken",
            wanted="at least one image",
            mend="Leave it out of the sample sheet (exclude): the scan was given up before its first image",
        )
    energy_ev, notes = _energies(path, images, said)
    known = said.pixel_um[said.pixel_um > 0]
    pixel_um, lacks = pixel_or_chosen(float(known[0]) if known.size else None, choices)
    middle = [float(np.median(position)) if position.size else 0.0 for position in (said.y_um, said.x_um)]
    y_um, x_um = (
        at + pixel_um * (np.arange(n, dtype=np.float64) - (n - 1) / 2)
        for at, n in zip(middle, images.shape, strict=True)
    )
    if said.has_reference and not said.divided:
        notes += ("the file holds an image without a sample, which is not used",)
    stored = StoredStack(
        path=path,
        format="xradia",
        energy_ev=energy_ev,
        y_um=y_um,
        x_um=x_um,
        dwell_ms=MS_PER_S * _each(said.exposure_s, images.n_images),
        rows=images.rows,
        files=(path,),
        lacks=lacks if said.x_um.size else (*lacks, "position (the field is taken to lie around 0)"),
        notes=notes,
        quantity="transmission" if said.divided else "counts",
        start_time=said.start_time,
    )
    return (recording_of(stored, choices),)


def _energies(path: Path, images: _Images, said: _Conditions) -> tuple[F64, tuple[str, ...]]:
    """Photon energies (ENERGY,) in eV, and a note where they are not from the file itself."""
    if said.energy_ev.size == images.n_images:
        return said.energy_ev, ()
    named = _ENERGY.search(path.name)
    if images.n_images == 1 and named is not None:
        energy = float(named[1])
        return np.array([energy]), (f"the photon energy, {energy:g} eV, is that of the file's name",)
    raise InputError(
        where=path,
        problem="there is not one photon energy for each image",
        got=f"{images.n_images} images, {said.energy_ev.size} energies",
        wanted="the energy of every image in the file, or of a single one in its name, as scan_707.2_eV.xrm",
        mend="Write it into the name, or export the images again with their energies",
    )


def _kind(images: _Images, said: _Conditions) -> str:
    if images.n_images == 1:
        return "image"
    if said.angle_deg.size and np.ptp(said.angle_deg) > SAME_ANGLE_DEG:
        return "tomography"
    return "image stack" if np.unique(said.energy_ev).size > 1 else "series of images"


def _each(values: F64, n_images: int) -> F64:
    """One value for each image; NaN where a file says fewer or none."""
    return np.resize(values, n_images) if values.size in (1, n_images) else np.full(n_images, np.nan)


@contextmanager
def _opened(path: Path) -> Iterator["OleFileIO"]:
    """An open container; whatever goes wrong inside the block is an InputError with the file's name."""
    import olefile

    try:
        with olefile.OleFileIO(str(path), raise_defects=olefile.DEFECT_INCORRECT) as ole:
            yield ole
    except InputError:
        raise
    # The parser may raise any exception on the tables of a damaged file.
    except Exception as error:
        words = str(error).strip().splitlines() or [type(error).__name__]
        raise _damaged(path, words[0][:200]) from error


def _read(path: Path) -> tuple[_Images, _Conditions]:
    with _opened(path) as ole:
        width, height, code, planned = (
            _number(path, ole, name) for name in ("ImageWidth", "ImageHeight", "DataType", "NoOfImages")
        )
        mosaic = min(
            _values(ole, "MosiacRows", _INT).max(initial=0), _values(ole, "MosiacColumns", _INT).max(initial=0)
        )
        # The tiles of a mosaic are one image in the end.
        n_images = 1 if mosaic > 0 and not ole.exists("ImageData1/Image2") else planned
        taken = _values(ole, "ImagesTaken", _INT)
        plausible = width > 0 and height > 0 and width * height <= MOST_ELEMENTS and 0 < n_images <= MOST_IMAGES
        if not plausible or code not in TYPES:
            raise _damaged(path, f"{planned} images of {height} x {width} pixels of the type {code}")
        images = _Images(path, TYPES[code], (height, width), n_images, int(taken[0]) if taken.size else n_images)
        energies = _values(ole, "Energy", _FLOAT)
        said = _Conditions(
            # Room for more images than were taken is filled with zeros.
            energy_ev=energies[energies > 0][:n_images],
            exposure_s=_values(ole, "ExpTimes", _FLOAT)[:n_images],
            angle_deg=_values(ole, "Angles", _FLOAT)[:n_images],
            y_um=_values(ole, "YPosition", _FLOAT)[:planned],
            x_um=_values(ole, "XPosition", _FLOAT)[:planned],
            pixel_um=_values(ole, "PixelSize", _FLOAT),
            start_time=_start_time(ole),
            divided=bool(_values(ole, "OriginalDataRefCorrected", _INT).any()),
            has_reference=bool(ole.exists("ReferenceData/Image")),
        )
    return images, said


def _values(ole: "OleFileIO", name: str, dtype: np.dtype[np.generic]) -> F64:
    """Numbers of a stream, none where there is no such stream, or it holds something else."""
    stream = f"ImageInfo/{name}"
    if not ole.exists(stream) or not 0 < ole.get_size(stream) <= dtype.itemsize * MOST_IMAGES:
        return np.empty(0)
    content = ole.openstream(stream).read()
    with np.errstate(invalid="ignore"):
        values = np.frombuffer(content, dtype, len(content) // dtype.itemsize).astype(np.float64)
    return values[np.isfinite(values)]


def _number(path: Path, ole: "OleFileIO", name: str) -> int:
    values = _values(ole, name, _INT)
    if not values.size:
        raise _damaged(path, f"no number in ImageInfo/{name}")
    return int(values[0])


def _start_time(ole: "OleFileIO") -> str:
    """When the first image was taken, in the microscope's time; empty where that cannot be read."""
    if not ole.exists("ImageInfo/Date") or ole.get_size("ImageInfo/Date") > DATE_BYTES * MOST_IMAGES:
        return ""
    text = ole.openstream("ImageInfo/Date").read()[:DATE_BYTES].partition(b"\0")[0].decode("ascii", "replace")
    for pattern in DATE_FORMATS:
        try:
            return datetime.strptime(text[: TEXT_BYTES + 2].strip(), pattern).isoformat()
        except ValueError:
            continue
    return ""


def _damaged(path: Path, got: str) -> InputError:
    return InputError(
        where=path,
        problem="the file of the X-ray microscope is damaged",
        got=got,
        wanted="a whole .xrm or .txrm",
        mend="Copy it again",
    )
