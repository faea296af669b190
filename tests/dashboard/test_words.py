"""Numbers as people read them."""

import math

import pytest

from stxmdist.dashboard.words import UNKNOWN, figure, flags_in_words, moment, percent, plural, plus_minus
from stxmdist.particles.flag_words import FLAG_WORDS


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, UNKNOWN),
        (math.nan, UNKNOWN),
        (math.inf, UNKNOWN),
        (0.0, "0.00"),
        (0.4836, "0.484"),
        (-0.4836, "−0.484"),
        (12.345, "12.3"),
        (1574.2, "1 574"),
        (21011, "21 011"),
        (-3.14e-4, "−3.14e−4"),
    ],
)
def test_a_number_has_three_digits_that_say_something(value: float | None, said: str) -> None:
    assert figure(value) == said


def test_units_errors_shares_and_times() -> None:
    assert figure(12.2, 3, "nm") == "12.2 nm"
    assert plus_minus(0.435, 0.0034) == "0.435 ± 0.0034"
    assert plus_minus(0.435, math.nan) == "0.435"
    assert percent(0.821, 1) == "82.1 %"
    assert percent(math.nan) == UNKNOWN
    assert moment("2026-12-01T00:12:44+00:00") == "2026-12-01 00:12 UTC"
    assert [plural(n, "scan") for n in (0, 1, 2000)] == ["0 scans", "1 scan", "2 000 scans"]


def test_every_flag_is_a_sentence_and_a_new_one_stands_for_itself() -> None:
    assert flags_in_words("") == ()
    assert flags_in_words("no core;brand new") == (f"No core: {FLAG_WORDS['no core']}.", "Brand new.")
