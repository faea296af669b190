"""Reading of HDF5 files from outside: every fault becomes an InputError, and no link may leave the file's folder.

This and `hdf5_filters` are the only modules of the readers that import h5py.
"""

import math
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import h5py
import numpy as np

from stxmdist.arrays import Array, Mask
from stxmdist.errors import InputError
from stxmdist.readers.hdf5_filters import provide_filters, require_filters
from stxmdist.readers.hdf5_heaps import refuse_endless
from stxmdist.readers.hdf5_signature import HEAD_BYTES, has_signature
from stxmdist.readers.hdf5_types import ChunkInfo, Dataset, File, Group, Node, Selection

MOST_LINKS = 16
# Parts of a scan that are looked into one by one: entries, regions, detectors. Frames may have a name each.
MOST_PARTS = 1 << 10
MOST_FRAMES = 1 << 20
# Most values and bytes that are read at once: more than any axis, mask or frame of a microscope has, less than fills a
# worker's memory.
MOST_ELEMENTS = 1 << 26
MOST_BYTES = 16 * MOST_ELEMENTS

# What h5py raises on damaged files; its messages come from the HDF5 library.
_FAULTS = (OSError, RuntimeError, KeyError, ValueError, TypeError, UnicodeError, MemoryError, OverflowError)


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


def names_at_root(path: Path) -> tuple[str, ...]:
    """Names at the root of a file, sorted."""
    with opened(path) as tree:
        return tuple(sorted(tree.names(tree.root)))


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
        self._files: dict[Path, File] = {}
        # By identity, with what has it: a header asks for hundreds of paths with few beginnings.
        self._steps: dict[tuple[int, str], tuple[Group, Node | None]] = {}
        self._checked: dict[int, Dataset] = {}
        self.root: Group = self._file(path)

    def _file(self, path: Path) -> File:
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

    def names(self, group: Group, most: int = MOST_PARTS) -> tuple[str, ...]:
        """Names in a group, followed or not.

        Raises
        ------
        InputError
            for more names than a scan has parts.
        """
        if len(group) > most:
            raise self._too_large(group, f"{len(group)} names in one group", f"at most {most} names", "group")
        return tuple(str(name) for name in group)

    def own_names(self, group: Group, most: int = MOST_PARTS) -> tuple[str, ...]:
        """As `names`, without those that are links to other files."""
        return tuple(
            name for name in self.names(group, most) if not isinstance(group.get(name, getlink=True), h5py.ExternalLink)
        )

    def holds(self, path: str) -> bool:
        """Whether something stands at a path from the root; links are not followed, and count as something."""
        here: Group | Dataset | None = self.root
        for part in path.split("/"):
            link = here.get(part, getlink=True) if isinstance(here, h5py.Group) else None
            if not isinstance(link, h5py.HardLink):
                return link is not None
            here = self.get(part, here)
        return True

    def leads_to_an_absent_file(self, name: str, group: Group) -> bool:
        """Whether a name in a group is a link to another file, and that file is not beside this one."""
        link = group.get(name, getlink=True)
        return isinstance(link, h5py.ExternalLink) and not (self.path.parent / str(link.filename)).is_file()

    def get(self, name: str, start: Node | None = None) -> Group | Dataset | None:
        """The group or dataset at a path, or None; soft links and links to files in the same folder are followed."""
        return self._walk(self.root if start is None else start, name, 0)

    def group(self, name: str, start: Node | None = None) -> Group | None:
        """The group at a path, or None."""
        found = self.get(name, start)
        group: Group | None = found if isinstance(found, h5py.Group) else None
        return group

    def dataset(self, name: str, start: Node | None = None) -> Dataset | None:
        """The dataset at a path, or None; its data may not lie outside the file's folder."""
        found = self.get(name, start)
        if not isinstance(found, h5py.Dataset):
            return None
        dataset: Dataset = found
        self._check_sources(dataset)
        provide_filters(dataset)
        return dataset

    def data(self, name: str) -> Dataset:
        """The dataset at a path where there was one before.

        Raises
        ------
        InputError
            where it has gone: the file was changed between two looks at it.
        """
        dataset = self.dataset(name)
        if dataset is None:
            raise damaged(self.path, KeyError(f"no dataset {name}"))
        return dataset

    def numbers(self, name: str, start: Node | None = None) -> Array | None:
        """All values of a numeric dataset, or None where there is none."""
        dataset = self.dataset(name, start)
        if dataset is None or dataset.dtype.kind not in "iufbc":
            return None
        return self.read(dataset)

    def number(self, name: str, start: Node | None = None) -> float | None:
        """The one value of a numeric dataset, or None where there is none or more than one."""
        values = self.numbers(name, start)
        return float(np.real(values.reshape(-1)[0])) if values is not None and values.size == 1 else None

    def text(self, name: str, start: Node | None = None) -> str:
        """The string in a dataset, scalar or of one element, empty where there is none."""
        dataset = self.dataset(name, start)
        return text_of(self.read(dataset)) if dataset is not None and dataset.size == 1 else ""

    def read(self, dataset: Dataset, where: Selection = ()) -> Array:
        """Values of a dataset, all or those selected.

        Raises
        ------
        InputError
            where they are more than any real file holds, or packed by a filter that is not installed.
        """
        self._check_sources(dataset)
        self.check_size(dataset, _selected(dataset, where))
        self._check_piece(dataset)
        require_filters(dataset, f"{self.path}:{dataset.name}")
        if dataset.dtype.kind == "O":
            refuse_endless(_file_name(dataset))
        return np.asarray(dataset[where])

    def check_size(self, dataset: Node, shape: tuple[int, ...] | None) -> None:
        """Refuse to read more at once than any real file holds: the shape of a damaged file may be anything."""
        if shape is None or math.prod(shape) > MOST_ELEMENTS:
            raise self._too_large(dataset, f"shape {shape}", f"at most {MOST_ELEMENTS} values at once")

    def _check_piece(self, dataset: Dataset) -> None:
        """Refuse values that are unpacked in larger pieces than fit into memory: a few bytes may stand for them."""
        piece = dataset.chunks or (1,)
        if math.prod(piece) * dataset.dtype.itemsize > MOST_BYTES:
            raise self._too_large(
                dataset,
                f"pieces of shape {piece}, {dataset.dtype.itemsize} bytes for each value",
                f"at most {MOST_BYTES >> 20} MiB in a piece",
            )

    def _too_large(self, node: Node, got: str, wanted: str, what: str = "dataset") -> InputError:
        return InputError(
            where=f"{self.path}:{node.name}",
            problem=f"the {what} has no plausible size",
            got=got,
            wanted=wanted,
            mend="Copy the file again from the beamline",
        )

    def _walk(self, start: Node, name: str, links: int) -> Group | Dataset | None:
        if links > MOST_LINKS:
            raise InputError(
                where=f"{self.path}:{name}",
                problem="the links of the file run in a circle",
                got=f"more than {MOST_LINKS} links in a row",
                wanted="links that end at data",
                mend="Write the file again with the data in place of the links",
            )
        here: Node | None = start.file["/"] if name.startswith("/") else start
        for part in (part for part in name.split("/") if part not in ("", ".")):
            if not isinstance(here, h5py.Group):
                return None
            key = (id(here), part)
            if key not in self._steps:
                self._steps[key] = (here, self._step(here, part, links))
            here = self._steps[key][1]
            if here is None:
                return None
        found: Group | Dataset | None = here if isinstance(here, h5py.Group | h5py.Dataset) else None
        return found

    def _step(self, group: Group, part: str, links: int) -> Node | None:
        link = group.get(part, getlink=True)
        if link is None:
            return None
        if isinstance(link, h5py.ExternalLink):
            file = self._file(self._inside(group.file.filename, str(link.filename), part))
            return self._walk(file["/"], str(link.path), links + 1)
        if isinstance(link, h5py.SoftLink):
            return self._walk(group, str(link.path), links + 1)
        return group[part]

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

    def _check_sources(self, dataset: Dataset, links: int = 0) -> None:
        """Refuse values that come from outside the file's folder, over however many files."""
        if id(dataset) in self._checked:
            return
        # The library looks for these files from the folder that the program runs in, not from that of the file.
        for name, _, _ in dataset.external or ():
            raise InputError(
                where=f"{self.path}:{dataset.name}",
                problem="the values are stored in a file that is not HDF5, which is not followed",
                got=str(name),
                wanted="the values in this file, or in an HDF5 file beside it",
                mend="Write the file again with its values inside",
            )
        for source in dataset.virtual_sources() if dataset.is_virtual else ():
            file = dataset.file
            if source.file_name != ".":
                file = self._file(self._inside(file.filename, source.file_name, dataset.name))
            found = self._walk(file["/"], source.dset_name, links + 1)
            if isinstance(found, h5py.Dataset):
                self._check_sources(found, links + 1)
        self._checked[id(dataset)] = dataset


def _file_name(node: Node) -> str:
    # As `node.file.filename` says, which takes ten times as long.
    return os.fsdecode(h5py.h5f.get_name(node.id))


def _selected(dataset: Dataset, where: Selection) -> tuple[int, ...] | None:
    """Shape of what a selection reads; integers count as one."""
    if dataset.shape is None:
        return None
    steps = where if isinstance(where, tuple) else (where,)
    rest = dataset.shape[len(steps) :]
    along = zip(steps, dataset.shape[: len(steps)], strict=True)
    return (*(len(range(*step.indices(n))) if isinstance(step, slice) else 1 for step, n in along), *rest)


def text_of(value: object) -> str:
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


def attribute(node: Node | None, name: str) -> object:
    """An attribute's value, or None."""
    if node is None:
        return None
    refuse_endless(_file_name(node))
    return node.attrs.get(name)


def text_attribute(node: Node | None, name: str, default: str = "") -> str:
    """The string in an attribute; the default where there is none, or an empty one."""
    value = attribute(node, name)
    return (text_of(value) if value is not None else "") or default


def word_attribute(node: Node | None, name: str) -> tuple[str, ...]:
    """Strings of an attribute such as ``axes``: an array of them, or one with colons or commas between."""
    value = attribute(node, name)
    if value is None:
        return ()
    if isinstance(value, np.ndarray) and value.size != 1:
        return tuple(text_of(item) for item in value.reshape(-1))
    return tuple(word.strip() for word in text_of(value).strip("[]").replace(",", ":").split(":"))


def written(dataset: Dataset) -> Mask | None:
    """Which chunks of a dataset exist (one axis per dimension), or None if all do.

    What was never written reads as zero; an aborted scan is to come out as missing.
    """
    chunks = dataset.chunks
    if chunks is None:
        empty = dataset.size and not dataset.is_virtual and not dataset.external and dataset.id.get_storage_size() == 0
        return np.zeros((1,) * dataset.ndim, bool) if empty else None
    grid = tuple(-(-length // chunk) for length, chunk in zip(dataset.shape, chunks, strict=True))
    if math.prod(grid) > MOST_ELEMENTS or dataset.id.get_num_chunks() >= math.prod(grid):
        return None
    present = np.zeros(grid, bool)

    def note(info: ChunkInfo) -> None:
        present[tuple(start // chunk for start, chunk in zip(info.chunk_offset, chunks, strict=True))] = True

    dataset.id.chunk_iter(note)
    return present


__all__ = [
    "HEAD_BYTES",
    "MOST_BYTES",
    "MOST_ELEMENTS",
    "MOST_FRAMES",
    "Tree",
    "attribute",
    "damaged",
    "has_signature",
    "names_at_root",
    "opened",
    "text_attribute",
    "text_of",
    "word_attribute",
    "written",
]
