"""A small energy stack as Xradia's microscopes write it, by hand: streams in an OLE container of version 3."""

import struct
from itertools import pairwise
from pathlib import Path

import numpy as np

from tests.readers.examples.planted import ENERGY_EV, planted_counts

SECTOR, SMALL_SECTOR, SMALL_BELOW = 512, 64, 4096
FREE, END, OF_TABLE = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
MIDDLE_UM = (-2.7, 21.0)
"""(y, x) of the stage"""


def container(streams: dict[str, bytes]) -> bytes:
    """An OLE container with streams by their paths, ``Storage/Stream`` or ``Stream``."""
    small_table, small = _chained(
        {name: data for name, data in streams.items() if len(data) < SMALL_BELOW}, SMALL_SECTOR
    )
    small_bytes = b"".join(data for _, data in small.values())
    big = {"": small_bytes, "table": np.array(small_table, "<u4").tobytes()}
    big |= {name: data for name, data in streams.items() if len(data) >= SMALL_BELOW}
    n_entries = 1 + len(streams) + len({name.split("/")[0] for name in streams if "/" in name})
    big["directory"] = b"\0" * (128 * n_entries)
    table, placed = _chained(big, SECTOR)
    starts = {name: start for name, (start, _) in placed.items()}
    directory = _directory(streams, starts | {name: start for name, (start, _) in small.items()}, len(small_bytes))
    body = b"".join(_padded(directory if name == "directory" else data, SECTOR) for name, (_, data) in placed.items())
    n_tables = 1
    while n_tables * SECTOR // 4 < len(table) + n_tables:
        n_tables += 1
    places = [len(table) + number for number in range(n_tables)]
    table += [OF_TABLE] * n_tables
    n_small_tables = -(-4 * len(small_table) // SECTOR)
    header = struct.pack(
        "<8s16x5H6x9I", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0x3E, 3, 0xFFFE, 9, 6, 0, n_tables, starts["directory"], 0,
        SMALL_BELOW, starts["table"] if n_small_tables else END, n_small_tables, END, 0,
    )  # fmt: skip
    header += np.array(places + [FREE] * (109 - n_tables), "<u4").tobytes()
    return header + body + _padded(np.array(table, "<u4").tobytes(), SECTOR, b"\xff")


def _padded(data: bytes, size: int, filling: bytes = b"\0") -> bytes:
    return data + filling * (-len(data) % size)


def _chained(streams: dict[str, bytes], size: int) -> tuple[list[int], dict[str, tuple[int, bytes]]]:
    """The table of sectors, each with the one after it, and where each stream begins."""
    table: list[int] = []
    placed = {}
    for name, data in streams.items():
        n_sectors = -(-len(data) // size)
        placed[name] = (len(table) if n_sectors else END, _padded(data, size))
        table += [*range(len(table) + 1, len(table) + n_sectors), END] if n_sectors else []
    return table, placed


def _directory(streams: dict[str, bytes], starts: dict[str, int], n_small: int) -> bytes:
    """Entries of root, storages and streams; those of one storage hang one behind the other."""
    storages = list(dict.fromkeys(name.split("/")[0] for name in streams if "/" in name))
    children = {"": [*storages, *(name for name in streams if "/" not in name)]}
    children |= {storage: [name for name in streams if name.startswith(f"{storage}/")] for storage in storages}
    order = ["", *(name for names in children.values() for name in names)]
    right = {one: order.index(other) for names in children.values() for one, other in pairwise(names)}
    entries = b""
    for name in order:
        kind = 5 if not name else 1 if name in storages else 2
        title = (name.split("/")[-1] or "Root Entry").encode("utf-16-le")
        child = order.index(children[name][0]) if children.get(name) else FREE
        start, size = (starts[""], n_small) if kind == 5 else (starts.get(name, 0), len(streams.get(name, b"")))
        entries += title.ljust(64, b"\0") + struct.pack(
            "<HBB3I36xIQ", len(title) + 2, kind, 1, FREE, right.get(name, FREE), child, start, size
        )
    return entries


def write(path: Path, *, counts: np.ndarray | None = None, taken: int | None = None, **changes: bytes | None) -> Path:
    """Counts (ENERGY, Y, X); ``changes`` are other contents of streams of ImageInfo, None takes one away."""
    counts = planted_counts() if counts is None else counts
    n_images = len(counts)
    taken = n_images if taken is None else taken
    real = counts.dtype.kind == "f" and bool((counts % 1).any())
    integers = {
        "ImageWidth": counts.shape[2], "ImageHeight": counts.shape[1], "NoOfImages": n_images, "ImagesTaken": taken,
        "DataType": 10 if real else 5, "MosiacRows": 0, "MosiacColumns": 0, "OriginalDataRefCorrected": 0,
    }  # fmt: skip
    reals = {
        "Energy": np.append(ENERGY_EV[:n_images], np.zeros(3)),
        "PixelSize": [0.1],
        "ExpTimes": [2.0] * n_images,
        "Angles": [0.01] * n_images,
        "YPosition": [MIDDLE_UM[0]] * n_images,
        "XPosition": [MIDDLE_UM[1]] * n_images,
    }
    info = {name: struct.pack("<i", value) for name, value in integers.items()}
    info |= {name: np.asarray(values, "<f4").tobytes() for name, values in reals.items()}
    info["Date"] = b"".join(b"11/09/15 18:19:21".ljust(40, b"\0") for _ in range(n_images))
    info = {name: content for name, content in (info | changes).items() if content is not None}
    streams = {f"ImageInfo/{name}": content for name, content in info.items()}
    for number in range(taken):
        image = counts[number].astype("<f4" if real else "<u2").tobytes()
        streams[f"ImageData{number // 100 + 1}/Image{number + 1}"] = image
    streams["Version"] = struct.pack("<f", 3.0)
    path.write_bytes(container(streams))
    return path


def write_example(folder: Path) -> Path:
    """The file to be read."""
    return write(folder / "scan.txrm")
