"""Tables of parts: imported on use and not before, and wrong names are refused with the nearest right one."""

import subprocess
import sys

import pytest

from stxmdist.errors import InputError
from stxmdist.planning.stages import STAGES
from stxmdist.ptychography.engines.contract import ENGINES
from stxmdist.readers import READERS
from stxmdist.registry import Entry, Table
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.spectra.fitters.contract import FITTERS

PARTS: Table[Entry[object]] = Table(
    "part",
    {"square root": Entry("math:sqrt"), "mathematics": Entry("math"), "absent": Entry("stxmdist.no_such_module")},
)


def test_parts_are_modules_or_their_attributes() -> None:
    import math

    assert PARTS["square root"].load() is math.sqrt
    assert PARTS["mathematics"].load() is math
    assert list(PARTS) == ["square root", "mathematics", "absent"]
    assert len(PARTS) == 3


def test_a_name_can_be_asked_for_without_importing_the_part() -> None:
    assert "absent" in PARTS
    assert "nothing" not in PARTS
    assert PARTS.get("nothing") is None
    assert PARTS.get("absent") is PARTS["absent"]
    PARTS.require("absent")
    with pytest.raises(ModuleNotFoundError):
        PARTS["absent"].load()


@pytest.mark.parametrize("ask", [PARTS.__getitem__, PARTS.require])
def test_a_wrong_name_is_refused_with_the_nearest(ask) -> None:
    with pytest.raises(InputError, match=r"no part of this name; got 'sqare root'.*Did you mean 'square root'"):
        ask("sqare root")
    with pytest.raises(InputError, match=r"one of square root, mathematics, absent\. Choose one of those"):
        ask("zzz")


@pytest.mark.parametrize("table", [ENGINES, READERS, FITTERS, CHEMISTRIES, STAGES], ids=lambda table: table.kind)
def test_every_part_that_a_table_names_is_there(table: Table) -> None:
    assert all(entry.load() is not None for entry in table.values())


def test_reading_a_table_imports_none_of_its_parts() -> None:
    program = (
        "import sys, stxmdist.planning.stages; print([n for n in sys.modules if n.startswith('stxmdist.stages.')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
