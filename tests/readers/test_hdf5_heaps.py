"""Damage to the strings of an HDF5 file on which the library reads for ever."""

import struct
from pathlib import Path

import h5py
import numpy as np
import pytest

from stxmdist.errors import InputError
from stxmdist.readers import hdf5
from stxmdist.readers.hdf5_heaps import SIGNATURE, refuse_endless

HEADER, OBJECT = 16, struct.Struct("<HH4xQ")


def write(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["beamline"] = "a string of varying length"
        # The signature among numbers is no collection.
        file["data"] = np.frombuffer(SIGNATURE * 20, np.uint8)
    return path


def objects(content: bytes) -> list[int]:
    """Where the objects of the first collection begin, up to the free space."""
    at = content.index(SIGNATURE) + HEADER
    found = [at]
    while OBJECT.unpack_from(content, at)[0]:
        at += OBJECT.size + -(-OBJECT.unpack_from(content, at)[2] // 8) * 8
        found.append(at)
    return found


def test_whole_files_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.h5")
    refuse_endless(str(path))
    with hdf5.opened(path) as tree:
        assert hdf5.text_attribute(tree.root, "beamline") == "a string of varying length"


@pytest.mark.parametrize("size", [0, 2**64 - 8, 1 << 40])
@pytest.mark.parametrize("which", [0, -1])
def test_sizes_that_lead_nowhere_are_refused(which: int, size: int, tmp_path: Path) -> None:
    path = write(tmp_path / "scan.h5")
    content = bytearray(path.read_bytes())
    at = objects(bytes(content))[which]
    index, count, _ = OBJECT.unpack_from(content, at)
    # A string may be empty, free space has its own header at least.
    if index and not size:
        return
    OBJECT.pack_into(content, at, index, count, size)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"scan\.h5.*damaged"), hdf5.opened(path) as tree:
        hdf5.text_attribute(tree.root, "beamline")
