"""Energies that were measured twice are kept, and no library warns on the screen."""

import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.cases.campaigns import TO_THE_TABLES, Case, case

NAME, FILE = "14-repeated-energies-warn", "twice.hdf5"
TRUE_SOC = (0.2, 0.8)
WITHIN = 0.045
"""The default corrects for a zone plate of 60 nm, and these discs are not blurred: .03 to .04 toward the ends"""


def run_without_warnings(made: Case, *words: str) -> None:
    made.fill()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = made.run(*words)
    assert result.exit_code == 0, result.output
    assert not [str(one.message) for one in caught if issubclass(one.category, RuntimeWarning)]
    np.testing.assert_allclose(made.soc(), TRUE_SOC, atol=WITHIN)


@pytest.mark.slow
def test_energies_measured_twice_give_right_numbers_and_no_warning(tmp_path: Path) -> None:
    run_without_warnings(case(NAME, tmp_path))


@pytest.mark.parametrize("order", ["falling", pytest.param("each thing twice in turn", marks=pytest.mark.slow)])
def test_energies_repeated_in_another_order_do_so_too(tmp_path: Path, order: str) -> None:
    made = case(NAME, tmp_path)
    with h5py.File(tmp_path / FILE, "r+") as file:
        group = file["entry1/counter0"]
        energy_ev = group["energy"][()]
        place = np.argsort(energy_ev if order != "falling" else -energy_ev, kind="stable")
        for name in ("energy", "count_time", "data"):
            group[name][...] = group[name][()][place]
    run_without_warnings(made, *TO_THE_TABLES)


@pytest.mark.parametrize("spoilt", ["a dark frame", "hardly any counts"])
def test_spoilt_frames_raise_no_warning_either(tmp_path: Path, spoilt: str) -> None:
    made = case(NAME, tmp_path)
    with h5py.File(tmp_path / FILE, "r+") as file:
        data = file["entry1/counter0/data"]
        if spoilt == "a dark frame":
            data[2] = 0
        else:
            data[...] = data[()] // 8000
    made.fill()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made.run(*TO_THE_TABLES)
    assert not [str(one.message) for one in caught if issubclass(one.category, RuntimeWarning)]
