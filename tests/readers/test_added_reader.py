"""A reader is one file and one line: one of a new format is added, and the tests of every reader are run on it."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

from stxmdist import readers
from stxmdist.campaign.init import init
from stxmdist.readers import READERS, ReaderEntry
from tests.readers.contract import EXAMPLES, ReaderContract, write_example
from tests.readers.mutants import outcomes

MODULE = '''
"""Stacks behind a line of JSON that says their axes."""

import json
from functools import partial
from pathlib import Path

import numpy as np

from stxmdist.errors import InputError
from stxmdist.readers.recording import Description
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.description import described, stxm_facts
from stxmdist.readers.image_stack import StoredStack, binary_rows, recording_of
from stxmdist.readers.recording import StxmRecording

SIGNATURE = b"ADDED "
COUNTS = np.dtype("<f4")


def detects(path: Path, head: bytes) -> bool:
    return head.startswith(SIGNATURE)


def describe(path: Path) -> Description:
    return described(path, "added", "image stack", {}, open, stxm_facts)


def open(path: Path, choices: ReadChoices) -> tuple[StxmRecording, ...]:
    line, _, counts = path.read_bytes().partition(b"\\n")
    try:
        said = json.loads(line.removeprefix(SIGNATURE))
        energy_ev, y_um, x_um = (np.array(said[name], float).reshape(-1) for name in ("energy_ev", "y_um", "x_um"))
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise _damaged(path, str(error)) from error
    wanted = COUNTS.itemsize * energy_ev.size * y_um.size * x_um.size
    if len(counts) != wanted:
        raise _damaged(path, f"{len(counts)} bytes, not {wanted}")
    stored = StoredStack(
        path=path,
        format="added",
        energy_ev=energy_ev,
        y_um=y_um,
        x_um=x_um,
        dwell_ms=np.full(energy_ev.size, np.nan),
        rows=partial(binary_rows, path, COUNTS, len(line) + 1, (y_um.size, x_um.size)),
        files=(path,),
    )
    return (recording_of(stored, choices),)


def _damaged(path: Path, got: str) -> InputError:
    return InputError(where=path, problem="the stack is damaged", got=got, wanted="a whole stack", mend="Copy it again")


def write_example(folder: Path) -> Path:
    said = {"energy_ev": [708.0, 700.0, 710.0], "y_um": list(range(11)), "x_um": [3.0, 2.8, 2.6, 2.4, 2.2]}
    path = folder / "scan.added"
    path.write_bytes(SIGNATURE + json.dumps(said).encode() + b"\\n" + np.arange(1, 166).astype(COUNTS).tobytes())
    return path
'''


@pytest.fixture(autouse=True)
def added(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of the new reader, its line in the table, and its example."""
    folder = tmp_path_factory.mktemp("added")
    (folder / "added_reader.py").write_text(MODULE)
    monkeypatch.syspath_prepend(folder)
    line = {"added": ReaderEntry("added_reader", words="stacks that were added (.added)", modality="stxm")}
    monkeypatch.setattr(READERS, "_entries", dict(READERS) | line)
    monkeypatch.setitem(sys.modules, f"{EXAMPLES}.added", import_module("added_reader"))


@pytest.mark.parametrize("name", ["added"])
class TestAddedReader(ReaderContract):
    pass


def test_it_is_named_where_a_file_is_not_understood(tmp_path: Path) -> None:
    (tmp_path / "prose").write_text("no scan")
    with pytest.raises(readers.InputError, match=r"stacks that were added"):
        readers.read(tmp_path / "prose")


def test_a_campaign_begins_with_its_files(tmp_path: Path) -> None:
    write_example("added", tmp_path)
    (entry,) = init(tmp_path).entries
    assert (entry.modality, entry.reason, entry.energies_ev) == ("stxm", "", (700.0, 710.0))


def test_its_damaged_copies_are_refused_or_read(tmp_path: Path) -> None:
    path = write_example("added", tmp_path)
    assert sum(outcomes(path, path, 50, seed=4, text=False, front=100).values()) == 50
