"""Notes say of a scan what it cannot exclude, and nothing where it can."""

from types import SimpleNamespace

import pytest

from stxmdist.measures import SegmentMeasures
from stxmdist.planning.growth import NOTHING_GROWS
from stxmdist.planning.notes import notes_of

SAID = "2 energies cannot tell a third phase"


@pytest.mark.parametrize("not_excluded", [True, False])
def test_a_third_phase_that_is_not_excluded_is_noted(not_excluded: bool) -> None:
    found = noted(third_phase=SAID, third_phase_not_excluded=not_excluded, overlaps_suspected=0)
    assert found == ({"a": [SAID]} if not_excluded else {})


@pytest.mark.parametrize("parted", [0, 4])
def test_overlaps_that_were_not_parted_are_noted(parted: int) -> None:
    (note,) = noted(third_phase_not_excluded=False, overlaps_suspected=3, plates_parted=parted)["a"]
    assert note.startswith("3 particles may be plates across one another")
    assert ("4 plates were parted" in note) == (parted == 4)


def noted(**segment: object) -> dict[str, list[str]]:
    """Notes of a scan of which only segment has said something."""
    survey = SimpleNamespace(
        growth=NOTHING_GROWS,
        scans={"a": None},
        figures=lambda kind, stage, scan_id: SimpleNamespace(**segment) if kind is SegmentMeasures else None,
    )
    return notes_of(survey)  # type: ignore[arg-type]
