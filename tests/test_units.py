"""Constants against CODATA, and conversions against each other."""

import numpy as np
import pytest
from scipy import constants

from stxmdist import units

CODATA = 1e-9
"""The constants are written with ten digits or more."""


def test_constants_are_those_of_codata() -> None:
    hc_ev_nm = constants.h * constants.c / constants.e * 1e9
    assert pytest.approx(hc_ev_nm, rel=CODATA) == units.HC_EV_NM
    assert pytest.approx(constants.e, rel=CODATA) == units.JOULE_PER_EV
    radius_nm = constants.physical_constants["classical electron radius"][0] * 1e9
    assert pytest.approx(radius_nm, rel=CODATA) == units.CLASSICAL_ELECTRON_RADIUS_NM


def test_the_iron_edge() -> None:
    # 710 eV are 1.746 nm: what every beamline's table says.
    assert units.wavelength_nm(710.0) == pytest.approx(1.7462, abs=1e-4)
    assert units.wavenumber_per_nm(710.0) * units.wavelength_nm(710.0) == pytest.approx(2.0 * np.pi, rel=1e-12)


@pytest.mark.parametrize("energy_ev", [1.0, 284.2, 710.0, 8047.8])
def test_joule_and_ev_undo_each_other(energy_ev: float) -> None:
    assert units.ev_from_joule(units.joule_from_ev(energy_ev)) == pytest.approx(energy_ev, rel=1e-14)
    # A photon's energy from its frequency, as files in SI have it.
    frequency = constants.c / (units.wavelength_nm(energy_ev) * 1e-9)
    assert units.joule_from_ev(energy_ev) == pytest.approx(constants.h * frequency, rel=CODATA)
