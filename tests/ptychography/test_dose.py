"""Dose against the figures of the reference shelf, and what fluence is."""

import numpy as np
import pytest

from stxmdist.ptychography.dose import absorbed_dose_mgy, photons_per_um2
from stxmdist.spectra.end_members.library import lithium_iron_phosphate

PEAK_EV = 708.2
"""Of the L3 edge of LiFePO4"""
MU_PER_NM = 0.01086
"""There, as the table has it from which the figures were made"""
TWO_DIGITS = 0.005
CONTINUUM = 0.07
"""That table was made with Henke's continuum, 3 to 5 % above ours: see tests/spectra/test_references"""


def fluence_per_um2(photons: float, pixel_nm: float) -> float:
    lit = np.full((9, 11), photons, np.float32)
    lit[:, 0] = 0.05 * photons
    return photons_per_um2(lit, (pixel_nm, pixel_nm))


def test_fluence_is_that_of_the_lit_pixels() -> None:
    assert fluence_per_um2(100.0, 7.2) == pytest.approx(100.0 / 0.0072**2)


@pytest.mark.parametrize(("pixel_nm", "photons", "dose_mgy"), [(7.2, 1e2, 0.66), (30.0, 1e4, 3.8)])
def test_dose_at_the_peak_of_lithium_iron_phosphate(pixel_nm: float, photons: float, dose_mgy: float) -> None:
    fluence = fluence_per_um2(photons, pixel_nm)
    # 1e7 nm in a cm; 3.6 g/cm3.
    of_table = absorbed_dose_mgy(fluence, PEAK_EV, MU_PER_NM * 1e7 / 3.6)
    assert of_table == pytest.approx(dose_mgy, abs=TWO_DIGITS * 10 ** np.floor(np.log10(dose_mgy) + 1))
    absorption = lithium_iron_phosphate.end_members().mass_absorption(np.array([PEAK_EV]))
    assert absorption is not None
    assert absorbed_dose_mgy(fluence, PEAK_EV, absorption[0, 0]) == pytest.approx(dose_mgy, rel=CONTINUUM)
