"""Paths are called as the worker's host calls them, wherever they stand in a unit."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from stxmdist.campaign.places import PLACES_VARIABLE, as_places, place_here, with_places_here


@dataclass(frozen=True)
class Part:
    file: Path
    beside: tuple[Path, ...]
    named: dict[str, object]
    rows: int
    derived: str = "x"


PART = Part(Path("/beam/a.hdr"), (Path("/beam/raw/b.hdr"), Path("/home/c")), {"/beam/x": ["/beamline", 3, None]}, 4)


def test_nothing_changes_where_nothing_is_renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PLACES_VARIABLE, raising=False)
    assert with_places_here(PART) is PART


def test_every_path_of_a_record_is_renamed_and_the_longest_folder_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PLACES_VARIABLE, as_places({"/beam": "/data/7", "/beam/raw/": "/raw"}))
    assert with_places_here(PART) == Part(
        Path("/data/7/a.hdr"), (Path("/raw/b.hdr"), Path("/home/c")), {"/data/7/x": ["/beamline", 3, None]}, 4
    )
    assert place_here("/beam") == "/data/7"
    # A folder whose name only begins alike is another one.
    assert place_here("/beamline/a") == "/beamline/a"
