"""Beamline files: which format a file is in, what it holds, and its measurements piece by piece.

Formats are told apart by content, never by the ending of a name. Adding one is one module with ``detects``,
``describe`` and ``open``, and one line in `READERS`; its tests want one module more, which writes a small file
(``tests/readers/examples``).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from stxmdist.errors import InputError
from stxmdist.readers import hdf5
from stxmdist.readers.choices import AS_THE_FILE_SAYS, ReadChoices
from stxmdist.readers.recording import (
    Description,
    PtychographyRecording,
    Recording,
    StxmRecording,
    refuse_no_image,
)
from stxmdist.registry import Entry, Table

HEAD_BYTES = hdf5.HEAD_BYTES


class Reader(Protocol):
    """What the module of a format holds."""

    def detects(self, path: Path, head: bytes) -> bool:
        """Whether a file, which begins with the bytes ``head``, is of this format.

        Raises
        ------
        InputError
            for a file so damaged that it cannot be said.
        """

    def describe(self, path: Path) -> Description:
        """What the file holds, also where `open` refuses it.

        Raises
        ------
        InputError
            for a file so damaged that nothing can be said of it.
        """

    def open(self, path: Path, choices: ReadChoices) -> tuple[Recording, ...]:
        """The acquisitions of the file, one per region, read as was chosen; wide-field scans are `settled`.

        Raises
        ------
        InputError
            for a file that cannot be used; `UnsupportedError` for a kind of scan that stxmdist does not process.
        """


@dataclass(frozen=True)
class ReaderEntry(Entry[Reader]):
    """A format of beamline files and where its reader is."""

    words: str
    """The format in the words of messages: "no beamline file that stxmdist knows; wanted ... or ..." """
    modality: Literal["stxm", "ptychography"]
    parts: tuple[str, ...] = ()
    """Endings of the files beside the one that a user names, which hold its numbers and cannot be read alone"""
    has_signature: bool = True
    """Whether content alone says that a file is of this format. If not, the reader is asked after those that know."""
    has_checksums: bool = False
    """Whether damage to a number is always noticed; without checksums it may read as another number."""
    has_channels: bool = False
    """Whether a file may hold several detectors, of which one is read"""


READERS: Table[ReaderEntry] = Table(
    "reader",
    {
        "sdf": ReaderEntry(
            "stxmdist.readers.sdf.reader",
            words="an SDF header (.hdr with its .xim or .xsp)",
            modality="stxm",
            parts=(".xim", ".xsp"),
            has_channels=True,
        ),
        "nxstxm": ReaderEntry(
            "stxmdist.readers.nxstxm.reader", words="NXstxm HDF5", modality="stxm", has_channels=True
        ),
        "cxi": ReaderEntry("stxmdist.readers.cxi.reader", words="CXI or NXcxi_ptycho", modality="ptychography"),
        "pystxmcontrol": ReaderEntry(
            "stxmdist.readers.pystxmcontrol.reader", words="camera frames of pystxmcontrol", modality="ptychography"
        ),
        "ptyd": ReaderEntry("stxmdist.readers.ptyd", words="prepared data of ptypy (.ptyd)", modality="ptychography"),
        "mantis": ReaderEntry("stxmdist.readers.mantis", words="a stack that Mantis saved (.hdf5)", modality="stxm"),
        "mistral": ReaderEntry("stxmdist.readers.mistral", words="an energy stack of MISTRAL (ALBA)", modality="stxm"),
        "xanespy": ReaderEntry(
            "stxmdist.readers.xanespy", words="frame sets of xanespy", modality="stxm", has_channels=True
        ),
        "xradia": ReaderEntry("stxmdist.readers.xradia", words="images of Xradia (.xrm, .txrm)", modality="stxm"),
        "tiff": ReaderEntry("stxmdist.readers.tiff", words="a stack as TIFF", modality="stxm"),
        "envi": ReaderEntry(
            "stxmdist.readers.envi",
            words="an ENVI header (.hdr with its raw file)",
            modality="stxm",
            parts=(".img", ".bsq", ".bil", ".bip"),
        ),
        "ncb": ReaderEntry(
            "stxmdist.readers.ncb",
            words="a stack of aXis2000 (.dat with its .ncb)",
            modality="stxm",
            parts=(".ncb",),
            has_signature=False,
        ),
        "stk": ReaderEntry(
            "stxmdist.readers.stk", words="a stack of Stony Brook (.stk)", modality="stxm", has_signature=False
        ),
    },
)


JOINED: Entry[Callable[[Sequence[Recording]], StxmRecording]] = Entry("stxmdist.readers.joined:joined")
"""What makes one stack of several files: on use, for it stands on what readers stand on"""


def known_formats() -> str:
    """Every format that stxmdist reads, in words."""
    return _alternatives(entry.words for entry in READERS.values())


def part_endings() -> frozenset[str]:
    """Endings of files that belong to another, which is the one to be read."""
    return frozenset(ending for entry in READERS.values() for ending in entry.parts)


def detect(path: Path | str) -> str:
    """Name of the reader in `READERS` that a file belongs to, by its content.

    Raises
    ------
    InputError
        for a file that is missing, empty, a folder, damaged, or of no known format.
    """
    path = Path(path)
    head = _head(path)
    if hdf5.has_signature(head):
        with hdf5.opened(path) as tree:
            names = ", ".join(sorted(tree.names(tree.root))[:8])
    for name in sorted(READERS, key=lambda name: not READERS[name].has_signature):
        if READERS[name].load().detects(path, head):
            return name
    raise InputError(
        where=path,
        problem="this is no beamline file that stxmdist knows",
        got=f"an HDF5 file with {names or 'nothing'} at its root" if hdf5.has_signature(head) else _first_words(head),
        wanted=known_formats(),
        mend=_advice(head),
    )


def read(path: Path | str, choices: ReadChoices = AS_THE_FILE_SAYS) -> tuple[Recording, ...]:
    """The acquisitions in a file, one per region: described in full, their measurements read when asked for.

    Raises
    ------
    InputError
        for a file that cannot be used; `UnsupportedError` for a kind of scan that stxmdist does not process.
    """
    path = Path(path)
    return READERS[detect(path)].load().open(path, choices)


def read_scan(files: Sequence[Path], part: str | None = None, choices: ReadChoices = AS_THE_FILE_SAYS) -> Recording:
    """The acquisition that a row of the sample sheet names; several files are joined to one stack.

    Parameters
    ----------
    part
        a region of each file, a detector channel, or both as ``region:channel``; of a file with one region, read by its
        usual channel, it may be None

    Raises
    ------
    InputError
        as `read`, and for a region or channel that a file does not hold, none named where it holds several regions,
        files that are not one stack, and spectra and lines that show no particle.
    """
    recordings = [_part_of(path, part, choices) for path in files]
    recording = recordings[0] if len(recordings) == 1 else JOINED.load()(recordings)
    refuse_no_image(recording)
    return recording


def _part_of(path: Path, part: str | None, choices: ReadChoices) -> Recording:
    if part is None:
        return _region_of(path, read(path, choices), None)
    region, mark, channel = part.partition(":")
    if mark:
        _refuse_unless_channels(path, channel)
        return _region_of(path, read(path, replace(choices, channel=channel)), region or None)
    regions = read(path, replace(choices, channel=None))
    if len(regions) > 1 or part == regions[0].region:
        return _region_of(path, read(path, choices), part)
    _refuse_unless_channels(path, part)
    return _region_of(path, read(path, replace(choices, channel=part)), None)


def _refuse_unless_channels(path: Path, channel: str) -> None:
    if not READERS[detect(path)].has_channels:
        raise InputError(
            where=path,
            problem="the file holds no region or channel of this name",
            got=repr(channel),
            wanted="nothing behind the file: it holds one",
            mend=f"Write {path.name} alone into the sample sheet",
        )


def _region_of(path: Path, recordings: tuple[Recording, ...], region: str | None) -> Recording:
    """The acquisition of one region; of a file that holds one, ``region`` may be None."""
    if region is None and len(recordings) == 1:
        return recordings[0]
    names = [recording.region or "the whole" for recording in recordings]
    if region in names:
        return recordings[names.index(region)]
    raise InputError(
        where=path,
        problem="the file holds several regions" if region is None else "the file holds no region of this name",
        got=", ".join(names) if region is None else repr(region),
        wanted="one region for each row of the sample sheet" if region is None else f"one of {', '.join(names)}",
        mend="Write a row for each, and name its region behind the file: "
        + " and ".join(f"{path.name}#{name}" for name in names[:3]),
    )


def describe(path: Path | str) -> Description:
    """What a file holds, in words and numbers; also for scans that `read` refuses.

    Raises
    ------
    InputError
        for a file of no known format, or one so damaged that nothing can be said of it.
    """
    path = Path(path)
    return READERS[detect(path)].load().describe(path)


def _alternatives(words: Iterable[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError:
        raise InputError(
            where=path,
            problem="the file does not exist",
            got="nothing at this path",
            wanted=known_formats(),
            mend="Correct the path, or bring the file back",
        ) from None
    except OSError as error:
        raise InputError(
            where=path,
            problem="the file cannot be read",
            got=error.strerror or str(error),
            wanted="a readable file",
            mend="Name a file, not a folder, and check its permissions",
        ) from error
    if not head:
        raise InputError(
            where=path,
            problem="the file is empty",
            got="0 bytes",
            wanted=known_formats(),
            mend="Copy it again from the beamline",
        )
    return head


def _first_words(head: bytes) -> str:
    head = head[:4096]
    printable = sum(32 <= byte < 127 or byte in b"\r\n\t" for byte in head)
    if printable < 0.9 * len(head):
        return f"binary content that begins with the bytes {head[:8].hex(' ')}"
    return f"text that begins {head[:80].decode('ascii', 'replace').strip()[:40]!r}"


def _advice(head: bytes) -> str:
    words = head[:4096].split()[:-1] or head.split()
    try:
        [float(word) for word in words]
    except ValueError:
        return "Give the file that the beamline wrote, whole and not converted"
    return "If these are the numbers of one SDF frame, give the .hdr file that belongs to it"


__all__ = [
    "AS_THE_FILE_SAYS",
    "HEAD_BYTES",
    "READERS",
    "Description",
    "PtychographyRecording",
    "ReadChoices",
    "Reader",
    "ReaderEntry",
    "Recording",
    "StxmRecording",
    "describe",
    "detect",
    "known_formats",
    "part_endings",
    "read",
    "read_scan",
]
