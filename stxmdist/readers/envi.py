"""ENVI: images of several bands in a raw file, and a text header ``.hdr`` that says what they are.

    ENVI
    samples = columns, lines = rows, bands = images; interleave = bsq (BAND, Y, X), bil (Y, BAND, X) or bip (Y, X, BAND)
    data type = 4, byte order = 0, header offset = 0
    wavelength = { one number for each band }, wavelength units = eV
    pixel size = { x, y, units = um }, or map info = { ..., column, row, x, y of that pixel's corner, its size in x, y }

The raw file has the header's name without ``.hdr``, or with another ending. Photon energies are taken from the
wavelengths, in whatever unit, else from names of bands such as "707.2 eV". Lines run from the top down: y falls. Layout
learned from the documentation of ENVI's header format, and proved on files written by Spectral Python 0.25.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.readers import axes
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.conversions import Converted, positions_um
from stxmdist.readers.description import described, stxm_facts
from stxmdist.readers.file_errors import header_not_understood, size_of, unreadable
from stxmdist.readers.image_stack import StoredStack, pixel_or_chosen, recording_of
from stxmdist.readers.recording import Description, StxmRecording
from stxmdist.readers.stk import MOST_ENERGIES, MOST_PIXELS
from stxmdist.units import HC_EV_NM

LEAD_BYTES = 4096
MOST_HEADER_BYTES = 16 << 20
ENDINGS = ("", ".img", ".dat", ".raw", ".bin", ".bsq", ".bil", ".bip")
TYPES = {
    1: "u1", 2: "i2", 3: "i4", 4: "f4", 5: "f8", 12: "u2", 13: "u4", 14: "i8", 15: "u8",
}  # fmt: skip
BYTE_ORDERS = {0: "<", 1: ">"}
ORDERS = {"bsq": ("band", "y", "x"), "bil": ("y", "band", "x"), "bip": ("y", "x", "band")}
NM_PER_UM = 1e3
_ENTRY = re.compile(r"^[ \t]*([^=;\n{}]+?)[ \t]*=[ \t]*(\{[^{}]*\}|[^{}\n]*)$", re.MULTILINE)
_ENERGY = re.compile(r"(\d+(?:\.\d*)?)\s*eV\b")


@dataclass(frozen=True)
class _Images:
    path: Path
    dtype: np.dtype[np.generic]
    offset: int
    lengths: dict[str, int]
    """Bands, rows and columns"""
    order: tuple[str, ...]
    scale: float
    ignored: float | None
    """The number that stands for what was not measured"""

    @property
    def n_bytes(self) -> int:
        return self.offset + self.dtype.itemsize * int(np.prod([self.lengths[axis] for axis in self.order]))

    def rows(self, index: int, n_rows: int) -> F64:
        """The first rows (n, X) of an image."""
        parts: dict[str, int | slice] = {"band": index, "y": slice(0, n_rows), "x": slice(None)}
        shape = tuple(self.lengths[axis] for axis in self.order)
        try:
            stored = np.memmap(self.path, self.dtype, "r", self.offset, shape)
        except OSError as error:
            raise unreadable(self.path, error) from error
        except ValueError as error:
            raise header_not_understood(self.path, str(error), "as many numbers as the header says") from error
        # Some patterns of bits in a damaged file are signalling NaN, about which the processor warns.
        with np.errstate(invalid="ignore"):
            values = stored[tuple(parts[axis] for axis in self.order)].astype(np.float64)
        return np.where(values == self.ignored, np.nan, values / self.scale)


def detects(path: Path, head: bytes) -> bool:
    """Whether the file is a text that begins with the word of the format on a line of its own."""
    return re.match(rb"ENVI[ \t]*\r?\n", head) is not None and b"\0" not in head[:LEAD_BYTES]


def describe(path: Path) -> Description:
    """What the header says."""
    said = _header(path)
    kind = "image" if said.get("bands") == "1" else "image stack"
    return described(path, "envi", kind, {"title": said.get("description", "").strip("{} \n")}, open, stxm_facts)


def open(path: Path, choices: ReadChoices) -> tuple[StxmRecording, ...]:
    """The one stack of a header and its raw file.

    Raises
    ------
    InputError
        for a header that lacks what is needed, a raw file that is absent or of another size, bands without energies.
    UnsupportedError
        for spectral libraries, classifications and complex numbers.
    """
    said = _header(path)
    images = _images(path, said)
    n_bytes = size_of(images.path)
    if n_bytes != images.n_bytes:
        lengths = images.lengths
        raise InputError(
            where=images.path,
            problem="the stack does not have the size that its header says",
            got=f"{n_bytes} bytes",
            wanted=f"{images.n_bytes} bytes: {lengths['band']} images of {lengths['y']} x {lengths['x']} numbers of "
            f"{images.dtype.itemsize} bytes behind {images.offset}",
            mend="Bring header and numbers of the same stack together, or copy them again",
        )
    y, x = _coordinates(path, said, images, choices)
    energies, unit = _energies(path, said, images.lengths["band"], choices)
    stored = StoredStack(
        path=path,
        format="envi",
        energy_ev=energies,
        y_um=y.values,
        x_um=x.values,
        dwell_ms=np.full(images.lengths["band"], np.nan),
        rows=images.rows,
        files=(path, images.path),
        lacks=tuple(dict.fromkeys((*y.lacks, *x.lacks))),
        notes=(*y.notes, *x.notes),
        energy_unit=unit,
    )
    return (recording_of(stored, choices),)


def _header(path: Path) -> dict[str, str]:
    """Entries of a header by their names in small letters."""
    if size_of(path) > MOST_HEADER_BYTES:
        raise header_not_understood(path, f"{size_of(path)} bytes", f"at most {MOST_HEADER_BYTES} bytes")
    try:
        text = path.read_bytes().decode("latin-1").replace("\r\n", "\n")
    except OSError as error:
        raise unreadable(path, error) from error
    if not text.endswith("\n"):
        raise header_not_understood(path, "a last line without an end", "whole lines")
    return {name.strip().lower(): value.strip() for name, value in _ENTRY.findall(text)}


def _images(path: Path, said: dict[str, str]) -> _Images:
    file_type = said.get("file type", "ENVI Standard").lower()
    if "library" in file_type or "classification" in file_type or said.get("data type") in ("6", "9"):
        raise UnsupportedError(
            where=path,
            problem="the file holds no images of real numbers",
            got=f"file type {said.get('file type', 'not said')}, data type {said.get('data type', 'not said')}",
            wanted="an image of several bands, with a data type other than 6 and 9",
            mend="Leave it out of the sample sheet (exclude)",
        )
    lengths = {axis: _whole(path, said, name) for axis, name in (("band", "bands"), ("y", "lines"), ("x", "samples"))}
    if not all(
        0 < lengths[axis] <= most for axis, most in (("band", MOST_ENERGIES), ("y", MOST_PIXELS), ("x", MOST_PIXELS))
    ):
        raise header_not_understood(
            path, f"{lengths['band']} bands of {lengths['y']} lines and {lengths['x']} samples", "positive sizes"
        )
    code, byte_order = _whole(path, said, "data type"), _whole(path, said, "byte order", 0)
    interleave = said.get("interleave", "bsq").lower()
    offset = _whole(path, said, "header offset", 0)
    if code not in TYPES or byte_order not in BYTE_ORDERS or interleave not in ORDERS or offset < 0:
        got = f"data type {code}, byte order {byte_order}, interleave {interleave}, header offset {offset}"
        wanted = f"a data type of {', '.join(map(str, TYPES))}, byte order 0 or 1, interleave {', '.join(ORDERS)}"
        raise header_not_understood(path, got, wanted)
    (scale,) = _numbers(path, said, "reflectance scale factor") or [1.0]
    if scale == 0:
        raise header_not_understood(path, "a reflectance scale factor of 0", "a number that is not 0")
    ignored = _numbers(path, said, "data ignore value")
    return _Images(
        path=_raw_file(path),
        dtype=np.dtype(BYTE_ORDERS[byte_order] + TYPES[code]),
        offset=offset,
        lengths=lengths,
        order=ORDERS[interleave],
        scale=scale,
        ignored=ignored[0] if ignored else None,
    )


def _raw_file(path: Path) -> Path:
    """The numbers beside a header: of its name without the ending, or with one of those in use."""
    beside = {file.name.lower(): file for file in path.parent.iterdir() if file != path and file.is_file()}
    for ending in ENDINGS:
        found = beside.get(path.stem.lower() + ending)
        if found is not None:
            return found
    raise InputError(
        where=path,
        problem="the numbers of the header are not beside it",
        got=f"no file {path.stem} or {', '.join(path.stem + ending for ending in ENDINGS[1:])}",
        wanted="the raw file that belongs to the header",
        mend="Copy it beside the header, under the same name",
    )


def _energies(path: Path, said: dict[str, str], n_bands: int, choices: ReadChoices) -> tuple[F64, str]:
    """Photon energies (ENERGY,) of the bands as they lie in the file, and their unit, empty where one was chosen."""
    unit = said.get("wavelength units", "").strip()
    wavelengths = np.array(_numbers(path, said, "wavelength"))
    if not wavelengths.size:
        wavelengths = np.array([float(energy) for energy in _ENERGY.findall(said.get("band names", ""))])
        unit = "eV"
    is_energy = unit.lower() in axes.EV_PER_UNIT
    if unit.lower() in ("", "unknown") and choices.energy_unit is not None:
        is_energy, unit = True, ""
    nm = (axes.UM_PER_UNIT.get(unit.lower()) or np.nan) * NM_PER_UM
    known = is_energy or np.isfinite(nm)
    if wavelengths.size != n_bands or not known:
        raise InputError(
            where=path,
            problem="there is not one photon energy for each image",
            got=f"{n_bands} bands, {wavelengths.size} wavelengths in the unit {unit or 'not said'}",
            wanted=f"wavelength = {{ {n_bands} numbers }} and wavelength units = eV",
            mend="Write these two into the header, or say a missing unit with ingest: energy_unit",
        )
    if is_energy:
        return wavelengths, unit
    if not (wavelengths > 0).all():
        raise header_not_understood(path, f"a wavelength of {wavelengths.min():g} {unit}", "wavelengths above 0")
    return HC_EV_NM / (wavelengths * nm), "eV"


def _coordinates(
    path: Path, said: dict[str, str], images: _Images, choices: ReadChoices
) -> tuple[Converted, Converted]:
    """Coordinates y (Y,) and x (X,) in um of lines and samples."""
    column, row, left, top = 1.0, 1.0, 0.0, 0.0
    lacks: tuple[str, ...] = ()
    words, unit = _listed(said, "map info")
    if words:
        column, row, left, top, width, height = _parsed(path, "map info", words[1:7], 6)
    elif "pixel size" in said:
        words, unit = _listed(said, "pixel size")
        width, height = _parsed(path, "pixel size", words, 2)
    else:
        unit, (width, lacks) = "um", pixel_or_chosen(None, choices)
        height = width
    # Pixels count from 1 at the outer corner of the first.
    y = top - height * (np.arange(images.lengths["y"], dtype=np.float64) + 1.5 - row)
    x = left + width * (np.arange(images.lengths["x"], dtype=np.float64) + 1.5 - column)
    found = [positions_um(values, unit, name, choices, path) for values, name in ((y, "y"), (x, "x"))]
    return replace(found[0], lacks=(*found[0].lacks, *lacks)), found[1]


def _listed(said: dict[str, str], name: str) -> tuple[list[str], str]:
    """Words of an entry in braces, and its unit."""
    words = [word.strip() for word in said.get(name, "").strip("{}").split(",") if word.strip()]
    units = [word.partition("=")[2].strip() for word in words if word.lower().startswith("units")]
    return [word for word in words if "=" not in word], units[0] if units else ""


def _parsed(path: Path, name: str, words: list[str], wanted: int = 0) -> list[float]:
    """Finite numbers of an entry, so many of them if said."""
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) != (wanted or len(words)) or not np.isfinite(numbers).all() or any("_" in word for word in words):
        raise header_not_understood(path, f"{name} = {', '.join(words)[:60]}", f"{wanted or 'only'} finite numbers")
    return numbers


def _numbers(path: Path, said: dict[str, str], name: str) -> list[float]:
    """The finite numbers of an entry, none where there is no such entry."""
    return _parsed(path, name, _listed(said, name)[0])


def _whole(path: Path, said: dict[str, str], name: str, default: int | None = None) -> int:
    numbers = _numbers(path, said, name) or ([default] if default is not None else [])
    if len(numbers) != 1 or numbers[0] != int(numbers[0]):
        raise header_not_understood(path, f"{name} = {said.get(name, 'not said')}", "a whole number")
    return int(numbers[0])
