"""Numbers that are no counts are told by description and header of a file; counts that look odd are not."""

from pathlib import Path

import numpy as np
import pytest

from stxmdist import readers
from tests.cases.campaigns import SPECTRA, command
from tests.readers.examples import stk

CASE = SPECTRA / "02-optical-density-as-counts"
N_ENERGIES, NY, NX = 5, 7, 11


def test_optical_density_is_asked_about() -> None:
    (recording,) = readers.read(CASE / "od.dat")
    assert any("look like optical density and not like counts" in note for note in recording.notes)
    shown = " ".join(command("inspect", CASE / "od.dat").stdout.split())
    assert "stxmdist can process it" not in shown
    assert "absorbance: input: optical_density" in shown


def absorbed() -> np.ndarray:
    """A disc's optical density at each energy, rising at the edge."""
    y, x = np.mgrid[:NY, :NX]
    rise = np.array([0.1, 0.1, 0.4, 0.9, 0.7])
    density: np.ndarray = rise[:, None, None] * (np.hypot(y - 3, x - 5) < 2.5)
    return density


def test_transmission_is_told_from_optical_density(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).normal(0, 0.004, (N_ENERGIES, NY, NX))
    path = stk.write(tmp_path / "scan.stk", counts=np.exp(-absorbed()) + noise)
    assert "absorbance: input: transmission" in readers.describe(path).refusal
    (recording,) = readers.read(path)
    assert any("look like transmission" in note for note in recording.notes)


@pytest.mark.parametrize("incident", [700.0, 25.2, 1.3e6])
def test_counts_that_are_not_whole_are_counts(incident: float, tmp_path: Path) -> None:
    path = stk.write(tmp_path / "scan.stk", counts=incident * np.exp(-absorbed()) + 0.03)
    assert readers.describe(path).usable
    (recording,) = readers.read(path)
    assert not any("look like" in note for note in recording.notes)
