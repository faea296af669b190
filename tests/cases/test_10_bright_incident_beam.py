"""An incident beam from a file is held against the free pixels of the scan, bright and faint alike."""

from pathlib import Path

import numpy as np
import pytest

from tests.cases import planted
from tests.cases.campaigns import Case, case
from tests.cases.planted import STAGES

SENTENCE = "the free pixels absorb 0.41 at every energy: the beam is another one's"


def why(here: Case) -> str:
    """Runs, and the one reason why nothing came out."""
    done = here.run(*STAGES)
    assert done.exit_code == 1
    (said,) = here.table("exclusions")["why"].drop_duplicates()
    print(said)
    return str(said)


def test_a_beam_half_as_bright_again_is_refused_or_borne_and_said(tmp_path: Path) -> None:
    here = case("10-bright-incident-beam", tmp_path / "bright")
    here.fill()
    beam = {"absorbance": {"i0": "file"}}
    here.set(references={"i0": "i0.txt"}, stages=beam | {"fit": {"background": "none"}})
    said = why(here)
    assert SENTENCE in said
    assert "i0: field" in said
    # A constant background stands for a film, and for a beam of other slits as well.
    here.set(stages=beam | {"fit": {"background": "constant"}})
    done = here.run(*STAGES)
    assert done.exit_code == 0, done.output
    assert here.soc() == pytest.approx([0.19, 0.82], abs=0.015)
    scans = here.table("scans")
    (quality,) = scans.loc[scans["stage"] == "absorbance", "quality"]
    assert SENTENCE in quality
    # The mend that is named mends it.
    here.set(references=None, stages={"absorbance": {"i0": "field"}, "fit": {"background": "none"}})
    assert here.run(*STAGES).exit_code == 0
    assert here.soc() == pytest.approx([0.19, 0.84], abs=0.02)


def with_beam(folder: Path, beam: np.ndarray, background: str = "constant") -> Case:
    """Two discs and a beam's file (ENERGY,)."""
    here = planted.written(folder, planted.counts())
    np.savetxt(folder / "beam.txt", np.c_[planted.ENERGY_EV, beam])
    here.set(references={"i0": "beam.txt"}, stages={"absorbance": {"i0": "file"}, "fit": {"background": background}})
    return here


def test_a_beam_that_is_too_faint_at_some_energies_is_refused(tmp_path: Path) -> None:
    """Its median is right: half of the field would not have shown it."""
    own = 8000.0 * np.linspace(1.0, 0.8, len(planted.ENERGY_EV))
    said = why(with_beam(tmp_path / "some", np.where(planted.ENERGY_EV > 710.0, 0.7, 1.0) * own))
    assert "weaker than what came through the sample" in said
    assert "1.43 times the incident beam in the free pixels" in said


def test_ten_times_the_beam_is_no_film(tmp_path: Path) -> None:
    own = 8000.0 * np.linspace(1.0, 0.8, len(planted.ENERGY_EV))
    assert "absorb 2.30 at every energy: the beam is another one's" in why(with_beam(tmp_path / "ten", 10.0 * own))
