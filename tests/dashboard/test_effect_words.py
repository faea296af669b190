"""Effects in words: what so few electrodes can show is said beside what was found."""

import itertools

import numpy as np
import pytest

from stxmdist.dashboard.effect_words import attainable_in_words, effects_of
from stxmdist.report.tables import EffectRow

NAN = float("nan")


def row(method: str, *, primary: bool = False, p: float = 0.25, least: float = NAN, low: float = NAN) -> EffectRow:
    return EffectRow(
        "soc_mean", "cycle", method, -0.0005, low, 0.0002, "per cycle", p, least, NAN, 3.0, 143.0, primary, ""
    )


@pytest.mark.parametrize("n", [3, 4, 5, 6, 7, 8])
def test_the_smallest_p_of_all_sign_flips_decides_whether_it_can_be_shown(n: int) -> None:
    slopes = np.ones(n)
    flips = np.abs([np.dot(signs, slopes) for signs in itertools.product((-1, 1), repeat=n)])
    least = float((flips >= flips.max()).mean())
    assert ("cannot show" in attainable_in_words(least, n)) == (least > 0.05)


def test_an_effect_is_one_row_with_the_exact_p_and_no_mixed_model() -> None:
    rows = [
        row("t on electrode slopes", p=0.08, low=-0.0012),
        row("exact sign flip of electrode slopes", p=0.25, least=0.25),
        row("mixed model", p=0.001),
    ]
    (effect,) = effects_of(rows)
    assert effect.estimate == "−0.0500 (−0.120 to 0.0200)"
    assert effect.step == "100 cycles"
    assert effect.p == "0.250"
    assert "cannot show it" in effect.attainable
    assert not effect.excludes_zero
