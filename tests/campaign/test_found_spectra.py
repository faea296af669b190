"""Spectra in a folder: an incident beam is counted and positive, an end-member rises at its edge."""

from pathlib import Path

import numpy as np
import pytest

from stxmdist.campaign.found_spectra import find_spectra, role_of

ENERGY_EV = np.linspace(700.0, 730.0, 61)
EDGE = 1.0 / (1.0 + np.exp(-(ENERGY_EV - 707.0))) + 0.02


@pytest.mark.parametrize(
    ("value", "name", "role"),
    [
        (900.0 + ENERGY_EV, "i0", "i0"),
        (EDGE, "reduced", "discharged"),
        (EDGE, "oxidized", "charged"),
        (EDGE, "LiFePO4", "discharged"),
        (EDGE, "FePO4", "charged"),
        (EDGE, "discharged_cell", "discharged"),
        (EDGE, "charged_cell", "charged"),
        (EDGE, "delithiated", "charged"),
        (EDGE, "sample-7", "end-member"),
        (np.full(61, 0.3), "film", None),
        (900.0 * (ENERGY_EV - 715.0), "difference", None),
    ],
)
def test_what_a_spectrum_may_be(value: np.ndarray, name: str, role: str | None) -> None:
    found = role_of(ENERGY_EV, value, name)
    assert (None if found is None else found[0]) == role


def test_few_lines_and_energies_that_are_none_are_no_spectrum() -> None:
    assert role_of(ENERGY_EV[:4], ENERGY_EV[:4], "short") is None
    assert role_of(ENERGY_EV / 1e3, 900.0 + ENERGY_EV, "kev") is None


def test_the_real_files_of_a_beamline(shared_data: Path) -> None:
    folder = shared_data / "als-11.0.2-fe-stack"
    found = {spectrum.file.name: spectrum.role for spectrum in find_spectra(folder, sorted(folder.iterdir()))}
    assert found == {"i0.xsp": "i0", "oxidized.t": "charged", "reduced.t": "discharged"}
