"""Notes say of a scan what it cannot exclude, and nothing where it can."""

from types import SimpleNamespace

import pytest

from stxmdist.measures import SegmentMeasures
from stxmdist.planning.growth import NOTHING_GROWS
from stxmdist.planning.notes import notes_of

SAID = "2 energies cannot tell a third phase"


@pytest.mark.parametrize("not_excluded", [True, False])
def test_a_third_phase_that_is_not_excluded_is_noted(not_excluded: bool) -> None:
    segment = SimpleNamespace(third_phase=SAID, third_phase_not_excluded=not_excluded)
    survey = SimpleNamespace(
        growth=NOTHING_GROWS,
        scans={"a": None},
        figures=lambda kind, stage, scan_id: segment if kind is SegmentMeasures else None,
    )
    assert notes_of(survey) == ({"a": [SAID]} if not_excluded else {})  # type: ignore[arg-type]
