"""Particles are counted under the condition that was planted for them, and under no other."""

import numpy as np
import pandas as pd
import pytest

from stxmdist.scoring.conditions import score_conditions
from stxmdist.scoring.particles import MATCHES, Matched
from stxmdist.scoring.ptychography import PlantedScan

SE = 0.02
INSIDE, OUTSIDE = 1.9 * SE, 2.1 * SE
"""Errors on either side of 1.96 standard errors."""


def scan(name, errors, *, lost=(), flags="", thickness_nm=150.0, third=0.0, modality="stxm"):
    """A scan of particles 1, 2, ..., each off by an error of its own, some of them not found."""
    numbers = np.arange(1, len(errors) + 1)
    true = pd.DataFrame(
        {"scan_id": name, "modality": modality, "particle_id": numbers, "d_eq_um": 1.0, "psf_sigma_um": 0.02,
         "touches_border": False, "soc_mean": 0.5, "soc_se": 0.0, "thickness_nm": thickness_nm, "flags": "",
         "third_share": third}
    )  # fmt: skip
    kept = ~np.isin(numbers, lost)
    pairs = pd.DataFrame(dict.fromkeys(MATCHES, 0.0), index=range(kept.sum()))
    pairs = pairs.assign(
        scan_id=name, particle_id=numbers[kept], found_id=10 + numbers[kept], soc=0.5, soc_se=SE,
        soc_recovered=0.5 + np.asarray(errors)[kept],
    )  # fmt: skip
    recovered = pd.DataFrame({"particle_id": 10 + numbers[kept], "flags": flags})
    return Matched(modality, len(numbers), pairs, 0, true, recovered)


def planted(n_energies, counts):
    return PlantedScan("stxm", 0.0, energy_ev=tuple(700.0 + np.arange(n_energies)), counts=counts)


@pytest.fixture
def rows():
    scans = [
        scan("few", [INSIDE, OUTSIDE, -INSIDE, 0.0], lost=[4], flags="third phase not excluded", third=0.2),
        scan("many", [INSIDE, OUTSIDE], thickness_nm=250.0),
        scan("dim", [-OUTSIDE], thickness_nm=250.0, flags=None),
        scan("sharp", [9.0], modality="ptychography"),
    ]
    scans_of = {
        "few": planted(2, 100.0),
        "many": planted(35, 100.0),
        "dim": planted(35, 30.0),
        "sharp": planted(4, None),
    }
    return {row.condition: row for row in score_conditions(scans, scans_of)}


def test_each_particle_is_counted_where_it_belongs(rows) -> None:
    assert {name: (row.n_true, row.n_found) for name, row in rows.items()} == {
        "2 energies": (4, 3), "35 energies": (3, 3),
        "30 photons a pixel": (1, 1), "100 photons a pixel": (6, 5),
        "100 to 200 nm thick": (4, 3), "200 to 300 nm thick": (3, 3),
        "third phase": (4, 3),
    }  # fmt: skip


def test_figures_are_those_of_the_particles(rows) -> None:
    few = rows["2 energies"]
    assert few.lost == pytest.approx(1 / 4)
    assert few.soc_inside == pytest.approx(2 / 3)
    assert few.soc_inside_or_flagged == 1.0
    assert few.soc_bias == pytest.approx(OUTSIDE / 3)
    assert few.soc_rms_error == pytest.approx(np.sqrt((2 * INSIDE**2 + OUTSIDE**2) / 3))
    many = rows["35 energies"]
    assert many.soc_inside == many.soc_inside_or_flagged == pytest.approx(1 / 3)


def test_what_all_particles_share_is_no_condition() -> None:
    alike = [scan("one", [INSIDE, OUTSIDE]), scan("two", [0.0])]
    assert score_conditions(alike, {"one": planted(35, 100.0), "two": planted(35, 100.0)}) == []
    assert score_conditions([], {}) == []


def test_of_lost_particles_nothing_but_the_loss_is_said() -> None:
    scans = [scan("all", [0.0]), scan("none", [0.0], lost=[1])]
    rows = score_conditions(scans, {"all": planted(35, 100.0), "none": planted(2, 100.0)})
    lost = next(row for row in rows if row.condition == "2 energies")
    assert (lost.n_true, lost.n_found, lost.lost) == (1, 0, 1.0)
    assert np.isnan([lost.soc_inside, lost.soc_inside_or_flagged, lost.soc_rms_error, lost.soc_bias]).all()
