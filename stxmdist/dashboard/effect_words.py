"""Effects over electrodes in plain words: what was estimated, and what so few electrodes can show at all."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from stxmdist.report.conclusions import FACTORS, LEVEL, STEPS
from stxmdist.report.endpoints import meaning_of, unit_in_words, without_mathematics
from stxmdist.report.tables import EffectRow, interval_of, probability_of


@dataclass(frozen=True)
class Effect:
    """An endpoint over a term, in one row."""

    endpoint: str
    term: str
    step: str
    """What the estimate is for, such as ``100 cycles``"""
    estimate: str
    """With its interval"""
    p: str
    attainable: str
    """What the exact test can show at all, in a sentence"""
    electrodes: int
    particles: int
    excludes_zero: bool
    primary: bool
    note: str


def effects_of(rows: Iterable[EffectRow]) -> tuple[Effect, ...]:
    """One row for each endpoint and term, primary ones first: the t test over electrodes, and the exact test beside it.

    The mixed model gives no row: with few electrodes it rejects too often.
    """
    by_effect: dict[tuple[str, str], list[EffectRow]] = {}
    for row in rows:
        by_effect.setdefault((row.endpoint, row.term), []).append(row)
    found = [_effect(*key, here) for key, here in by_effect.items()]
    return tuple(sorted(found, key=lambda effect: (not effect.primary, bool(effect.note))))


def _effect(endpoint: str, term: str, rows: list[EffectRow]) -> Effect:
    tested = next((row for row in rows if row.method.startswith("t on")), rows[0])
    exact = next((row for row in rows if "exact" in row.method), None)
    factor = FACTORS.get(term, 1.0)
    ends = [factor * value for value in (tested.estimate, tested.ci_low, tested.ci_high)]
    p = next((row.p for row in (exact, tested) if row is not None and math.isfinite(row.p)), math.nan)
    n = tested.n_electrodes
    electrodes = int(n) if math.isfinite(n) else 0
    least = math.nan if exact is None else exact.p_min_attainable
    return Effect(
        meaning_of(endpoint),
        without_mathematics(term),
        STEPS.get(term, unit_in_words(tested.unit) or "a step"),
        interval_of(*ends),
        probability_of(p),
        attainable_in_words(least, electrodes),
        electrodes,
        int(tested.n_particles) if math.isfinite(tested.n_particles) else 0,
        bool(math.isfinite(ends[1]) and not ends[1] <= 0.0 <= ends[2]),
        tested.primary,
        "" if math.isfinite(tested.estimate) else tested.note,
    )


def attainable_in_words(least: float, electrodes: int) -> str:
    """What the smallest p of an exact test means: with few electrodes no data whatever can give a smaller one."""
    if not math.isfinite(least):
        return "No exact test."
    of_so_many = f"With {electrodes} electrode{'' if electrodes == 1 else 's'}"
    if least > LEVEL:
        return f"{of_so_many} no data could give p below {probability_of(least)}: this design cannot show it."
    text = probability_of(least)
    return f"{of_so_many} p could be as small as {text.removeprefix('< ')}: this design can show it."
