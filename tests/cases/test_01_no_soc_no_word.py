"""What absorbs beside the cathode is found from the spectrum itself, whatever its shape and wherever it lies."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from storage.store import Store
from stxmdist.arrays import F64
from stxmdist.measures import FitMeasures
from stxmdist.records import from_json
from tests.cases.campaigns import TO_THE_TABLES, Case, case

NAME, FILE, SCAN = "01-no-soc-no-word", "film.hdf5", "film"
TRUE_SOC = (0.2, 0.8)
WITHIN = 0.045
"""The default corrects for a zone plate of 60 nm, and these discs are not blurred: .03 to .04 toward the ends"""
FILM_OD = 0.12
"""What absorbs under the discs of the case at every energy"""


def run(folder: Path, film: Callable[[F64, F64, F64], F64] | None = None) -> tuple[Case, FitMeasures]:
    """The case with another film: optical density from energy_ev (ENERGY, 1, 1), row and column, under everything."""
    made = case(NAME, folder)
    if film is not None:
        with h5py.File(folder / FILE, "r+") as file:
            group = file["entry1/counter0"]
            counts, energy_ev = group["data"][()], group["energy"][()]
            rows, columns = np.mgrid[0.0 : counts.shape[1], 0.0 : counts.shape[2]]
            light = counts * np.exp(-film(energy_ev[:, None, None], rows, columns))
            group["data"][...] = np.round(light).astype(counts.dtype)
    made.fill()
    result = made.run(*TO_THE_TABLES)
    assert result.exit_code == 0, result.output
    publication = Store(folder / "store").open().publication("fit")
    assert publication is not None
    return made, from_json(FitMeasures, publication.scans[SCAN].quality)


def discs(rows: F64, columns: F64) -> F64:
    """1 under the discs, 0 beside them; the lower right one is the second."""
    return np.asarray(on_first(rows, columns) + on_second(rows, columns))


def on_first(rows: F64, columns: F64) -> F64:
    return np.asarray(np.hypot(rows - 7.0, columns - 7.0) < 4.6, dtype=np.float64)


def on_second(rows: F64, columns: F64) -> F64:
    return np.asarray(np.hypot(rows - 16.0, columns - 16.0) < 4.6, dtype=np.float64)


def assert_right(made: Case) -> None:
    table = made.table().sort_values("y_um")
    assert len(table) == 2
    error = table["soc_mean"].to_numpy() - TRUE_SOC
    assert (np.abs(error) < WITHIN).all(), table["soc_mean"]
    assert (np.abs(error) < 2.0 * table["soc_se"].to_numpy() + WITHIN / 2.0).all()


@pytest.mark.slow
def test_a_constant_film_is_fitted_without_being_asked_for(tmp_path: Path) -> None:
    made, fit = run(tmp_path)
    assert_right(made)
    assert fit.background == "constant"
    assert fit.background_said.endswith("where the end-members have 0.22: a constant is fitted")
    assert fit.background_said.startswith("0.34 +- 0.01 of optical density before the edge (704.0 eV)")
    assert fit.cause == ""


def test_a_film_that_falls_with_energy_and_is_thicker_under_one_disc_is_fitted(tmp_path: Path) -> None:
    def carbon(energy_ev: F64, rows: F64, columns: F64) -> F64:
        return np.asarray((0.05 * on_first(rows, columns) + 0.3 * on_second(rows, columns)) * (704.0 / energy_ev) ** 3)

    made, fit = run(tmp_path, carbon)
    assert_right(made)
    assert fit.background in ("constant", "power_law")


def test_a_film_only_beside_the_particles_is_a_negative_background(tmp_path: Path) -> None:
    made, fit = run(tmp_path, lambda _, rows, columns: (2.0 * FILM_OD) * (1.0 - discs(rows, columns)))
    assert_right(made)
    assert fit.background == "constant"


def test_what_was_asked_for_is_done_and_its_error_and_mend_are_said(tmp_path: Path) -> None:
    made = case(NAME, tmp_path)
    made.fill()
    made.set(stages={"fit": {"background": "none"}})
    made.run(*TO_THE_TABLES)
    publication = Store(tmp_path / "store").open().publication("fit")
    assert publication is not None
    fit = from_json(FitMeasures, publication.scans[SCAN].quality)
    assert fit.background == "none"
    assert fit.cause == "0.34 of optical density before the edge where the end-members have 0.22"
    assert fit.mend == "stages: fit: background: constant"
    table = made.table().sort_values("y_um")
    assert (np.abs(table["soc_mean"].to_numpy() - TRUE_SOC) < 2.0 * table["soc_se"].to_numpy()).all()
