"""What holds of every reader in the table, and what is no beamline file."""

from pathlib import Path

import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import InputError
from tests.readers.contract import ReaderContract


@pytest.mark.parametrize("name", readers.READERS)
class TestEveryReader(ReaderContract):
    pass


def test_every_known_format_is_named_in_messages() -> None:
    assert all(entry.words in readers.known_formats() for entry in readers.READERS.values())


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "empty"), (b"\0\1\2\3" * 50, "binary"), (b"1.0\t2.0\t3.0\n" * 9, "hdr"), (b"scan_id,file\n", "text")],
)
def test_what_is_no_beamline_file(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "scan.hdr"
    path.write_bytes(content)
    for look in (readers.detect, readers.read, readers.describe):
        with pytest.raises(InputError, match=said) as caught:
            look(path)
        assert str(path) in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        readers.read(tmp_path / "scan.hdr")
    with pytest.raises(InputError, match="cannot be read"):
        readers.read(tmp_path)


def test_hdf5_of_another_kind(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["exchange/data"] = np.zeros(3)
    with pytest.raises(InputError, match="exchange"):
        readers.read(tmp_path / "other.h5")
