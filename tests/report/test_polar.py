"""F2: pixels of two planted phases lie on the lines of the end-members, and the two Gaussians at their angles."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from stxmdist.report.canvas import Absent, Picture, drawing
from stxmdist.report.drawn_data import drawn_data
from stxmdist.report.evidence import Evidence
from stxmdist.report.polar import polar_angles
from stxmdist.spectra.checks.polar_angles import polar_angle_deg
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES

ENERGY_EV = np.array([703.0, 706.5, 708.2, 710.2, 715.0])


def planted(name: str, value: np.ndarray) -> np.ndarray:
    """Plates of many thicknesses, discharged in the left half and charged in the right one."""
    if name != "transmission":
        return value
    members = CHEMISTRIES["LFP"].load().end_members().at(ENERGY_EV)
    rng = np.random.default_rng(2)
    thickness_nm = rng.uniform(60.0, 160.0, value.shape[1:])
    charged = np.broadcast_to(np.arange(value.shape[2]) >= 9, value.shape[1:]).astype(int)
    od = thickness_nm * members.T[:, charged] + rng.normal(0.0, 0.01, value.shape)
    return np.asarray(np.exp(-od), np.float32)


def test_two_phases_are_found_at_the_angles_of_the_end_members(bench: SimpleNamespace, tmp_path: Path) -> None:
    store = bench.simulated_store(tmp_path, change=planted)
    with drawing():
        found = polar_angles(Evidence.from_part(bench.part_of(store), store))
        assert isinstance(found, Picture)
        data = drawn_data(found.image)  # type: ignore[arg-type]
    angles = [float(text) for text in re.findall(r"about ([0-9.]+)°", found.caption)]
    # The fit's record of the made-up store has its references .12 eV lower; the planted plates have not.
    members = CHEMISTRIES["LFP"].load().end_members().at(np.array([708.2, 710.2]))
    wanted = [float(polar_angle_deg(*member)) for member in members]
    assert angles[:2] == pytest.approx(wanted, abs=1.5)
    assert {"LiFePO4", "FePO4", "sum"} <= set(data.rows["series"])
    assert "optical density at 708.2 eV" in set(data.rows["x_axis"])
    assert "710.2" in " ".join(data.rows["y_axis"].dropna())


def test_without_a_fit_it_says_why(bench: SimpleNamespace, tmp_path: Path) -> None:
    store = bench.simulated_store(tmp_path, stages=("ingest", "absorbance", "align"), particles=None)
    found = polar_angles(Evidence.from_part(bench.part_of(store), store))
    assert isinstance(found, Absent)
    assert "two energies" in found.why
