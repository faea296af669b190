"""Reading of HDF5 files from outside: every fault becomes an InputError, and no link may leave the file's folder."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stxmdist.arrays import Array, Mask
from stxmdist.errors import InputError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
# The superblock may follow a user block of 512 bytes times a power of two; PolLux keeps XMP metadata in 32 KiB.
SIGNATURE_OFFSETS = (0, *(512 << n for n in range(12)))
HEAD_BYTES = SIGNATURE_OFFSETS[-1] + len(SIGNATURE)
MOST_LINKS = 16
# Of what is read in one go: more than any axis, mask or frame of a microscope, less than what hurts a worker.
MOST_ELEMENTS = 1 << 26

# What h5py raises on damaged files; its messages come from the HDF5 library.
_FAULTS = (OSError, RuntimeError, KeyError, ValueError, TypeError, UnicodeError, MemoryError, OverflowError)


def has_signature(head: bytes) -> bool:
    """Whether the first bytes of a file are those of HDF5."""
    return any(head[offset : offset + 8] == SIGNATURE for offset in SIGNATURE_OFFSETS)


@contextmanager
def opened(path: Path) -> Iterator["Tree"]:
    """An HDF5 file open for reading; whatever goes wrong inside the block is an InputError with the file's name."""
    with ExitStack() as stack:
        try:
            yield Tree(path, stack)
        except InputError:
            raise
        except _FAULTS as error:
            raise damaged(path, error) from error


def damaged(path: Path, error: BaseException) -> InputError:
    """The error for a file that the HDF5 library cannot read."""
    words = str(error).strip().strip("'\"").splitlines() or [type(error).__name__]
    return InputError(
        where=path,
        problem="the HDF5 file is damaged or incomplete",
        got=words[0],
        wanted="a whole HDF5 file",
        mend="Copy it again from the beamline and compare its size; a file still being written has to be closed first",
    )


class Tree:
    """An open HDF5 file whose links are followed one by one, so that none leads out of the file's folder."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path = path
        self._stack = stack
        self._files: dict[Path, Any] = {}
        self.root = self._file(path)["/"]

    def _file(self, path: Path) -> Any:
        key = path.resolve()
        if key not in self._files:
            try:
                file = h5py.File(path, "r")
            except OSError as error:
                # A control program that died left the writer's mark in the file; SWMR reading does not mind it.
                if "swmr" not in str(error).lower() and "write" not in str(error).lower():
                    raise
                file = h5py.File(path, "r", swmr=True)
            self._files[key] = self._stack.enter_context(file)
        return self._files[key]

    @property
    def files(self) -> tuple[Path, ...]:
        """The file, then those that its links have led to."""
        own = self.path.resolve()
        return (self.path, *(path for path in self._files if path != own))

    def names(self, group: Any) -> tuple[str, ...]:
        """Names in a group, followed or not."""
        return tuple(str(name) for name in group)

    def own_names(self, group: Any) -> tuple[str, ...]:
        """Names in a group, without those that are links to other files."""
        return tuple(
            name for name in self.names(group) if not isinstance(group.get(name, getlink=True), h5py.ExternalLink)
        )

    def get(self, name: str, start: Any = None) -> Any:
        """The group or dataset at a path, or None; soft links and links to files in the same folder are followed."""
        return self._walk(self.root if start is None else start, name, 0)

    def group(self, name: str, start: Any = None) -> Any:
        """The group at a path, or None."""
        found = self.get(name, start)
        return found if isinstance(found, h5py.Group) else None

    def dataset(self, name: str, start: Any = None) -> Any:
        """The dataset at a path, or None; its data may not lie outside the file's folder."""
        found = self.get(name, start)
        if not isinstance(found, h5py.Dataset):
            return None
        self._check_sources(found)
        return found

    def numbers(self, name: str, start: Any = None) -> Array | None:
        """All values of a numeric dataset, or None where there is none."""
        dataset = self.dataset(name, start)
        if dataset is None or dataset.dtype.kind not in "iufbc":
            return None
        self.check_size(dataset, dataset.shape)
        return np.asarray(dataset[()])

    def number(self, name: str, start: Any = None) -> float | None:
        """The one value of a numeric dataset, or None where there is none or more than one."""
        values = self.numbers(name, start)
        return float(np.real(values.reshape(-1)[0])) if values is not None and values.size == 1 else None

    def text(self, name: str, start: Any = None) -> str:
        """The string in a dataset, scalar or of one element, empty where there is none."""
        dataset = self.dataset(name, start)
        return text_of(dataset[()]) if dataset is not None and dataset.size == 1 else ""

    def check_size(self, dataset: Any, shape: tuple[int, ...] | None) -> None:
        """Refuse to read more at once than any real file holds: the shape of a damaged file may be anything."""
        if shape is None or math.prod(shape) > MOST_ELEMENTS:
            raise InputError(
                where=f"{self.path}:{dataset.name}",
                problem="the dataset has no plausible size",
                got=f"shape {shape}",
                wanted=f"at most {MOST_ELEMENTS} values",
                mend="Copy the file again from the beamline",
            )

    def _walk(self, start: Any, name: str, links: int) -> Any:
        if links > MOST_LINKS:
            raise InputError(
                where=f"{self.path}:{name}",
                problem="the links of the file run in a circle",
                got=f"more than {MOST_LINKS} links in a row",
                wanted="links that end at data",
                mend="Write the file again with the data in place of the links",
            )
        here = start.file["/"] if name.startswith("/") else start
        for part in (part for part in name.split("/") if part not in ("", ".")):
            if not isinstance(here, h5py.Group):
                return None
            link = here.get(part, getlink=True)
            if link is None:
                return None
            if isinstance(link, h5py.ExternalLink):
                file = self._file(self._inside(here.file.filename, str(link.filename), part))
                here = self._walk(file["/"], str(link.path), links + 1)
            elif isinstance(link, h5py.SoftLink):
                here = self._walk(here, str(link.path), links + 1)
            else:
                here = here[part]
            if here is None:
                return None
        return here

    def _inside(self, of: str, filename: str, part: str) -> Path:
        target = (Path(of).parent / filename).resolve()
        if not target.is_relative_to(self.path.resolve().parent):
            raise InputError(
                where=f"{self.path}:{part}",
                problem="a link leads out of the file's folder, and is not followed",
                got=filename,
                wanted="the data in this file, or in a file beside it",
                mend="Copy the other file beside this one and link to its name alone",
            )
        if not target.is_file():
            raise InputError(
                where=f"{self.path}:{part}",
                problem="the file holds a link to another file, which is not there",
                got=filename,
                wanted="that file, beside this one",
                mend="Copy it from the beamline too",
            )
        return target

    def _check_sources(self, dataset: Any) -> None:
        sources = [str(name) for name, _, _ in dataset.external or ()]
        if dataset.is_virtual:
            sources += [str(source.file_name) for source in dataset.virtual_sources()]
        for source in sources:
            if source != ".":
                self._inside(dataset.file.filename, source, dataset.name)


def text_of(value: Any) -> str:
    """A string from HDF5, whatever its kind: scalar or one element, bytes or str, UTF-8 or Latin-1."""
    if isinstance(value, np.ndarray):
        value = value.reshape(-1)[0] if value.size else ""
    if isinstance(value, str):
        # h5py hides undecodable bytes of a variable-length string in surrogates.
        value = value.encode("utf-8", "surrogateescape")
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode("utf-8").strip("\0 \t\r\n")
    except UnicodeDecodeError:
        return value.decode("latin-1").strip("\0 \t\r\n")


def words_of(value: Any) -> tuple[str, ...]:
    """Strings of an attribute such as ``axes``: an array of them, or one with colons or commas between."""
    if value is None:
        return ()
    if isinstance(value, np.ndarray) and value.size != 1:
        return tuple(text_of(item) for item in value.reshape(-1))
    return tuple(word.strip() for word in text_of(value).strip("[]").replace(",", ":").split(":"))


def attribute(thing: Any, name: str) -> Any:
    """An attribute's value, or None."""
    return thing.attrs.get(name)


def written(dataset: Any) -> Mask | None:
    """Which chunks of a dataset exist (one axis per dimension), or None if all do.

    What was never written reads as zero; an aborted scan is to come out as missing.
    """
    if dataset.chunks is None:
        empty = dataset.size and not dataset.is_virtual and not dataset.external and dataset.id.get_storage_size() == 0
        return np.zeros((1,) * dataset.ndim, bool) if empty else None
    grid = tuple(-(-length // chunk) for length, chunk in zip(dataset.shape, dataset.chunks, strict=True))
    if math.prod(grid) > MOST_ELEMENTS or dataset.id.get_num_chunks() >= math.prod(grid):
        return None
    present = np.zeros(grid, bool)

    def note(info: Any) -> None:
        offset = tuple(start // chunk for start, chunk in zip(info.chunk_offset, dataset.chunks, strict=True))
        present[offset] = True

    dataset.id.chunk_iter(note)
    return present
