"""Beamline files: which format a file is in, what it holds, and its measurements piece by piece.

Formats are told apart by content, never by the ending of a name. Adding one is one module with ``detects``,
``describe`` and ``open``, and one line in `READERS`.
"""

from pathlib import Path
from typing import Any

from stxmdist.errors import InputError
from stxmdist.readers import hdf5
from stxmdist.readers.recording import Description, PtychographyRecording, Recording, StxmRecording
from stxmdist.registry import Entry, Table

HEAD_BYTES = hdf5.HEAD_BYTES

READERS: Table[Entry[Any]] = Table(
    "reader",
    {
        "sdf": Entry("stxmdist.readers.sdf.reader"),
        "nxstxm": Entry("stxmdist.readers.nxstxm.reader"),
        "cxi": Entry("stxmdist.readers.cxi.reader"),
        "pystxmcontrol": Entry("stxmdist.readers.pystxmcontrol.reader"),
        "ptyd": Entry("stxmdist.readers.ptyd"),
        "tiff": Entry("stxmdist.readers.tiff"),
        "ncb": Entry("stxmdist.readers.ncb"),
        # Without a signature, and therefore last.
        "stk": Entry("stxmdist.readers.stk"),
    },
)

KNOWN_FORMATS = (
    "an SDF header (.hdr with its .xim or .xsp), NXstxm or pystxmcontrol HDF5, a stack as TIFF, .stk or .ncb with its "
    ".dat, or ptychography as CXI, NXcxi_ptycho or .ptyd"
)


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
    for name, entry in READERS.items():
        if entry.load().detects(path, head):
            return name
    raise InputError(
        where=path,
        problem="this is no beamline file that stxmdist knows",
        got=f"an HDF5 file with {names or 'nothing'} at its root" if hdf5.has_signature(head) else _first_words(head),
        wanted=KNOWN_FORMATS,
        mend=_advice(head),
    )


def read(path: Path | str) -> tuple[Recording, ...]:
    """The acquisitions in a file, one per region: described in full, their measurements read when asked for.

    Raises
    ------
    InputError
        for a file that cannot be used; `UnsupportedError` for a kind of scan that stxmdist does not process.
    """
    path = Path(path)
    recordings: tuple[Recording, ...] = READERS[detect(path)].load().open(path)
    return recordings


def read_region(path: Path | str, region: str | None = None) -> Recording:
    """The acquisition of one region of a file; of a file that holds one, ``region`` may be None.

    Raises
    ------
    InputError
        as `read`, and for a region that the file does not hold, or none named where it holds several.
    """
    recordings = read(path)
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
        mend=f"Name the region behind the file, as in {Path(path).name}#{names[0]}",
    )


def describe(path: Path | str) -> Description:
    """What a file holds, in words and numbers; also for scans that `read` refuses.

    Raises
    ------
    InputError
        for a file of no known format, or one so damaged that nothing can be said of it.
    """
    path = Path(path)
    description: Description = READERS[detect(path)].load().describe(path)
    return description


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError:
        raise InputError(
            where=path,
            problem="the file does not exist",
            got="nothing at this path",
            wanted=KNOWN_FORMATS,
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
            wanted=KNOWN_FORMATS,
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
    "HEAD_BYTES",
    "KNOWN_FORMATS",
    "READERS",
    "Description",
    "PtychographyRecording",
    "Recording",
    "StxmRecording",
    "describe",
    "detect",
    "read",
    "read_region",
]
