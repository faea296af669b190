"""A scan that was aborted in mid-frame loses what was not measured at that energy, and nothing else."""

from pathlib import Path

import numpy as np
import pytest

from storage.store import Store
from stxmdist.arrays import MaskClass
from tests.cases import planted
from tests.cases.campaigns import Case, case
from tests.cases.planted import SOC, STAGES, TOLERANCE

SAME = 0.01
"""An energy more or less moves a state of charge by less than a fifth of its error"""


def run(name: str, folder: Path, file: str) -> Case:
    here = case(name, folder, file)
    here.fill()
    done = here.run(*STAGES)
    assert done.exit_code == 0, done.output
    return here


def classes(here: Case) -> np.ndarray:
    (scan,) = here.rows()
    output = Store(here.folder / "store").published_output("fit", scan["scan_id"])
    assert output is not None
    return np.asarray(output.read("mask_class"))


def test_half_a_frame_of_nan_costs_half_a_frame(tmp_path: Path) -> None:
    name = "03-half-measured-frame"
    filled = run(name, tmp_path / "filled", "filled.hdf5")
    without = run(name, tmp_path / "without", "without_the_half_frame.stxm")
    print(filled.soc(), without.soc())
    assert filled.soc() == pytest.approx(without.soc(), abs=SAME)
    assert filled.soc() == pytest.approx([0.19, 0.84], abs=0.015)
    assert (filled.table()["n_pixels"] == without.table()["n_pixels"]).all()
    # The electrode's mean is that of both planted.
    electrode = filled.table("electrodes")["soc_mean"]
    assert float(electrode.iloc[0]) == pytest.approx(0.52, abs=0.015)
    assert not np.isin(classes(filled), (MaskClass.outside, MaskClass.missing)).any()


def spoilt() -> np.ndarray:
    """Two frames were not measured, the eighth to a half, the second lost lines; a column and a corner never were."""
    stack = planted.counts()
    stack[8:] = np.nan
    stack[7, 16:] = np.nan
    stack[1, 7:11] = np.nan
    stack[:, :, 3] = np.nan
    stack[:, 30:, 30:] = np.nan
    return stack


def test_a_scan_that_lost_frames_lines_and_pixels_gives_both_discs(tmp_path: Path) -> None:
    whole = planted.counts()
    whole[8:] = np.nan
    found = {}
    for name, stack in (("spoilt", spoilt()), ("whole", whole)):
        here = planted.written(tmp_path / name, stack)
        done = here.run(*STAGES)
        assert done.exit_code == 0, done.output
        found[name] = here.soc(), classes(here), here.table("scans")
        print(name, here.soc(), list(here.table()["n_pixels"]))
    assert len(found["spoilt"][0]) == len(SOC)
    assert found["spoilt"][0] == pytest.approx(SOC, abs=TOLERANCE)
    assert found["spoilt"][0] == pytest.approx(found["whole"][0], abs=0.02)
    # What was never measured is missing, and nothing else is.
    missing = found["spoilt"][1] == MaskClass.missing
    never = np.isnan(spoilt()).all(axis=0)
    np.testing.assert_array_equal(missing, never)
    assert (found["whole"][1] == MaskClass.valid).sum() > 100
    (quality,) = found["spoilt"][2].loc[found["spoilt"][2]["stage"] == "ingest", "quality"]
    assert '"frames_in_part": 8' in quality
