"""Conditions that are not known are one condition, and particles are counted where they lie."""

import math
from types import SimpleNamespace

from stxmdist.report.conditions import Condition, _particles, _steps, condition_of


def test_unknown_conditions_are_equal() -> None:
    unknown = {condition_of(None, math.nan, None), condition_of(math.nan, None, ""), condition_of("", "", math.nan)}
    assert unknown == {Condition(None, None, "")}
    assert condition_of("1", 0.5, "charge") == condition_of(1, 0.5, "charge")


def test_every_wide_field_particle_is_counted_in_one_cell(bench: SimpleNamespace) -> None:
    counts = _particles(bench.evidence)
    assert counts == {
        ("E1", Condition(1.0, 0.5, "charge")): bench.PARTICLES,
        ("E2", Condition(50.0, 0.5, "charge")): bench.PARTICLES,
    }


def test_what_is_kept_and_what_is_lost_add_up(bench: SimpleNamespace) -> None:
    steps = _steps(bench.evidence)
    assert steps[0][0] == "3 rows in the sample sheet"
    n = 2 * bench.PARTICLES
    assert steps[-2][0].startswith(f"{n} particles in wide-field scans")
    assert steps[-1] == (f"{n - 2} whole wide-field particles with state of charge", "2 cut by the field's edge")
