"""Units in every spelling that NeXus allows, and what no scan can have."""

import numpy as np
import pytest

from stxmdist.errors import InputError
from stxmdist.readers import axes
from stxmdist.units import JOULE_PER_EV


@pytest.mark.parametrize(
    ("spelling", "factor"),
    [
        ("um", 1.0),
        ("µm", 1.0),
        ("μm", 1.0),
        ("micrometers", 1.0),
        ("Micrometre", 1.0),
        ("microns", 1.0),
        ("[um]", 1.0),
        ("millimeter", 1e3),
        ("metres", 1e6),
        ("nanometers", 1e-3),
        ("angstrom", 1e-4),
    ],
)
def test_lengths(spelling: str, factor: float) -> None:
    assert axes.factor_of(spelling, axes.UM_PER_UNIT, "here") == factor


@pytest.mark.parametrize(
    ("spelling", "factor"),
    [("eV", 1.0), ("electronvolt", 1.0), ("electron_volts", 1.0), ("keV", 1e3), ("kiloelectronvolt", 1e3)],
)
def test_energies(spelling: str, factor: float) -> None:
    assert axes.factor_of(spelling, axes.EV_PER_UNIT, "here") == factor
    assert axes.factor_of("J", axes.EV_PER_UNIT, "here") == axes.factor_of("joules", axes.EV_PER_UNIT, "here")
    assert JOULE_PER_EV * axes.EV_PER_UNIT["j"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("spelling", "factor"),
    [("s", 1e3), ("seconds", 1e3), ("sec", 1e3), ("ms", 1.0), ("msec", 1.0), ("milliseconds", 1.0), ("minutes", 6e4)],
)
def test_times(spelling: str, factor: float) -> None:
    assert axes.factor_of(spelling, axes.MS_PER_UNIT, "here") == factor


def test_an_unknown_unit_is_refused_where_it_is_needed_and_unknown_where_it_is_not() -> None:
    with pytest.raises(InputError, match="furlongs"):
        axes.factor_of("furlongs", axes.UM_PER_UNIT, "here")
    assert np.isnan(axes.factor_if_known("fortnights", axes.MS_PER_UNIT))
    assert axes.factor_if_known(" ", axes.MS_PER_UNIT) is None
    assert axes.factor_if_known("mA", axes.MA_PER_UNIT) == axes.factor_if_known("milliampere", axes.MA_PER_UNIT) == 1.0


def test_more_energies_than_any_scan_has() -> None:
    with pytest.raises(InputError, match="photon energies cannot be used"):
        axes.energy_order(np.linspace(700.0, 730.0, axes.MOST_ENERGIES + 1), "here")
