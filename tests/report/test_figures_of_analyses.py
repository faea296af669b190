"""Figures that draw tables of analyses: drawn where the tables say something, and the reason where they do not."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from stxmdist.particles.metrics.depth import PROFILE
from stxmdist.report.budget import budget
from stxmdist.report.canvas import Absent, Picture, drawing
from stxmdist.report.directions import _axial_resultant, directions
from stxmdist.report.evidence import Evidence
from stxmdist.report.inside import _band, inside_particles
from stxmdist.report.neighbours import neighbours
from stxmdist.report.profiles import profiles
from stxmdist.report.rates import rates
from stxmdist.report.reactions import reaction_maps

DRAWN: dict[str, tuple[Callable[[Evidence], Picture | Absent], dict[str, pd.DataFrame]]] = {
    "rates": (
        rates,
        {
            "transport": pd.DataFrame(
                {
                    "electrode_id": ["E1", "E2", "E3"],
                    "c_rate": [0.2, 1.0, 4.0],
                    "active_fraction": [0.2, 0.4, 0.9],
                    "active_fraction_low": [0.1, 0.3, 0.8],
                    "active_fraction_high": [0.3, 0.5, 1.0],
                    "current_density_a_m2": [0.1, 0.3, np.nan],
                    "current_density_low_a_m2": [0.05, 0.2, np.nan],
                    "current_density_high_a_m2": [0.2, 0.4, np.nan],
                }
            ),
            "rate_exponents": pd.DataFrame(
                {
                    "quantity": ["active share"],
                    "exponent": [0.5],
                    "ci_low": [0.4],
                    "ci_high": [0.6],
                    "n_electrodes": [3],
                    "note": [""],
                }
            ),
        },
    ),
    "neighbours": (
        neighbours,
        {
            "neighbours": pd.DataFrame(
                {
                    "electrode_id": ["all electrodes", "E1"],
                    "low_um": 0.2,
                    "high_um": 0.6,
                    "n_pairs": 40,
                    "soc_correlation": [0.2, 0.3],
                    "soc_null_low": -0.1,
                    "soc_null_high": 0.1,
                    "soc_p": 0.02,
                    "active_joins": 1.1,
                    "joins_null_low": 0.9,
                    "joins_null_high": 1.1,
                }
            )
        },
    ),
    "inside": (
        inside_particles,
        {
            "null_bands": pd.DataFrame(
                {
                    "scan_id": "wide-1",
                    "particle_id": range(1, 25),
                    "core_shell_index_null_low": -0.1,
                    "core_shell_index_null_high": 0.1,
                }
            )
        },
    ),
    "profiles": (
        profiles,
        {
            "particles": pd.DataFrame(
                {"scan_id": "wide-1", "particle_id": range(1, 25), "modality": "stxm", "touches_border": False}
                | {name: np.linspace(0.3 - 0.1 * i, 0.2 - 0.1 * i, 24) for i, name in enumerate(PROFILE)}
            ),
            "null_bands": pd.DataFrame(
                {"scan_id": "wide-1", "particle_id": range(1, 25)}
                | {f"{name}_null_{end}": side * 0.02 for name in PROFILE for end, side in (("low", -1), ("high", 1))}
            ),
        },
    ),
}


@pytest.fixture
def evidence(bench: SimpleNamespace) -> Iterator[Evidence]:
    """The made-up campaign; what a test puts in place of its tables is taken out again."""
    before = dict(bench.evidence._tables)
    yield bench.evidence
    bench.evidence._tables.clear()
    bench.evidence._tables.update(before)


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_drawn_of_its_tables_and_says_why_without(name: str, evidence: Evidence) -> None:
    draw, tables = DRAWN[name]
    assert isinstance(draw(evidence), Absent)
    evidence._tables.update(tables)
    with drawing():
        found = draw(evidence)
    assert isinstance(found, Picture)
    assert "nan" not in found.caption


def test_an_exponent_is_told_with_its_interval(evidence: Evidence) -> None:
    evidence._tables.update(DRAWN["rates"][1])
    found = rates(evidence)
    assert isinstance(found, Picture)
    assert "to the power of 0.500 (0.400 to 0.600)" in found.caption


def test_without_two_times_the_sheet_is_named(evidence: Evidence) -> None:
    found = reaction_maps(evidence)
    assert isinstance(found, Absent)
    assert "time_h" in found.why


def test_directions_and_budget_need_their_columns(evidence: Evidence) -> None:
    table = evidence.table("particles")
    assert isinstance(directions(evidence), Absent)
    angles = np.linspace(0.0, 170.0, len(table))
    evidence._tables["particles"] = table.assign(
        boundary_normal_deg=angles,
        boundary_to_long_axis_deg=angles % 90.0,
        boundary_coherence=1.0,
        soc_correlation_nm=100.0,
    )
    with drawing():
        assert isinstance(directions(evidence), Picture)
        assert isinstance(budget(evidence), Picture)
    evidence._tables["particles"] = table.drop(columns=[name for name in table if str(name).startswith("soc_se")])
    assert isinstance(budget(evidence), Absent)


def test_axes_that_are_opposite_are_the_same() -> None:
    assert _axial_resultant(np.array([10.0, 190.0])) == pytest.approx(1.0)
    assert _axial_resultant(np.array([0.0, 90.0])) == pytest.approx(0.0, abs=1e-12)


def test_a_standard_deviation_has_the_band_of_its_variance() -> None:
    table = pd.DataFrame({"soc_var_intra_null_low": [-0.01, 0.0], "soc_var_intra_null_high": [0.04, 0.09]})
    low, high = _band(table, "soc_sd")
    assert low.tolist() == [0.0, 0.0]
    assert high.tolist() == pytest.approx([0.2, 0.3])


def test_a_profile_says_who_lies_beyond_the_band_and_leaves_out_who_is_cut(evidence: Evidence) -> None:
    particles, bands = (DRAWN["profiles"][1][name] for name in ("particles", "null_bands"))
    flat = particles.assign(**{name: np.where(particles["particle_id"] > 4, 0.01, particles[name]) for name in PROFILE})
    cut = flat.assign(touches_border=flat["particle_id"] == 1)
    evidence._tables.update({"particles": cut, "null_bands": bands})
    found = profiles(evidence)
    assert isinstance(found, Picture)
    assert "3 of 23 have a point beyond" in found.caption
    evidence._tables["particles"] = cut.head(2)
    assert isinstance(profiles(evidence), Absent)
