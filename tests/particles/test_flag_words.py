"""Every flag that the program gives has words, and no other has."""

import re
from pathlib import Path

import numpy as np
import pytest

import stxmdist
from stxmdist.particles.flag_words import FLAG_WORDS, flags_of

SOURCE = Path(stxmdist.__file__).parent
GIVEN = (
    # A flag is appended to the list of a row, named in a constant that `with_flag` is given, or why nothing is known.
    ("particles/chemistry.py", r'flags\.append\(\s*"([^"]+)"(?: if [^"]+ else "([^"]+)")?'),
    ("particles/chemistry.py", r'_unknown\("([^"]+)" if [^"]+ else "([^"]+)"\)'),
    ("particles/table.py", r'^[A-Z_]+ = "([^"]+)"$|present\.append\("([^"]+)"\)'),
    ("stages/segment/describe.py", r'^(?:MISSING_COMPONENT|MISFIT|GROSS_MISFIT|THIRD_PHASE) = "([^"]+)"$'),
)


def test_every_flag_has_words() -> None:
    found = {
        flag
        for name, pattern in GIVEN
        for match in re.finditer(pattern, (SOURCE / name).read_text(), re.MULTILINE)
        for flag in match.groups()
        if flag
    }
    assert found == set(FLAG_WORDS)


@pytest.mark.parametrize("empty", ["", None, np.nan])
def test_no_flags(empty: object) -> None:
    assert flags_of(empty) == {}


def test_flags_keep_their_order_and_unknown_ones_stand_for_themselves() -> None:
    assert list(flags_of("misfit; no core;of tomorrow")) == ["misfit", "no core", "of tomorrow"]
    assert flags_of("of tomorrow") == {"of tomorrow": "of tomorrow"}
