"""The results in plain words: what was shown, what was not, and what the design could not show."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from stxmdist.heterogeneity.metrics.table import METRICS
from stxmdist.planning.columns import rows_of, words
from stxmdist.report.endpoints import meaning_of, term_of, unit_in_words, without_mathematics
from stxmdist.report.evidence import Evidence
from stxmdist.report.tables import EffectRow, figure_of, interval_of, plain, probability_of

LEVEL = 0.05
"""Of a test; an effect is called shown only where the design could have reached it"""
FACTORS = {"log_c_rate": np.log(2.0), "log_d_eq": np.log(2.0), "cycle": 100.0}
"""By what an effect is multiplied so that it can be imagined: a doubling, a hundred cycles"""
STEPS = {"log_c_rate": "a doubling of the rate", "log_d_eq": "a doubling of the diameter", "cycle": "100 cycles"}
MOST_SENTENCES = 12


def conclusions(evidence: Evidence) -> list[str]:
    """Sentences, effects first; none of them says more than the table ``effects`` can carry."""
    if evidence.images_alone:
        return []
    found = [*_effects(evidence), *_populations(evidence), *_rates(evidence)]
    return found[:MOST_SENTENCES]


def _effects(evidence: Evidence) -> Iterator[str]:
    """One sentence for each endpoint and term, from the row that rests on electrodes alone."""
    rows = rows_of(EffectRow, evidence.table("effects"))
    for key in dict.fromkeys((row.endpoint, row.term) for row in rows):
        here = [row for row in rows if (row.endpoint, row.term) == key]
        tested = next((row for row in here if row.method.startswith("t on") and np.isfinite(row.estimate)), None)
        exact = next((row for row in here if "exact" in row.method), None)
        name, term = meaning_of(key[0]), without_mathematics(key[1])
        if tested is not None:
            yield _effect(name, tested, exact)
        elif key[0] in METRICS and (notes := dict.fromkeys(row.note for row in here if row.note)):
            yield f"Of {name} over {term} nothing can be said: {next(iter(notes))}."


def _effect(name: str, row: EffectRow, exact: EffectRow | None) -> str:
    """What an interval over electrodes allows to say."""
    factor, step = FACTORS.get(row.term, 1.0), STEPS.get(row.term, f"a step of {term_of(row.term)}")
    interval = interval_of(*(factor * value for value in (row.estimate, row.ci_low, row.ci_high)))
    unit = unit_in_words(row.unit.partition("per ")[0].strip())
    step = f"{unit} for {step}" if unit else f"for {step}"
    over = f"95 % interval over {plain(row.n_electrodes)} electrodes"
    if not (np.isfinite(row.ci_low) and np.isfinite(row.ci_high)):
        return f"{name.capitalize()} differed by {figure_of(factor * row.estimate)} {step}, without an interval."
    if row.ci_low <= 0.0 <= row.ci_high:
        return f"No dependence of {name} on {without_mathematics(row.term)} was shown: {interval} {step}, {over}."
    verb = "rose" if row.estimate > 0 else "fell"
    size = sorted(abs(factor * value) for value in (row.ci_low, row.ci_high))
    said = f"{name.capitalize()} {verb} by {interval_of(abs(factor * row.estimate), *size)} {step} ({over}"
    least = exact.p_min_attainable if exact is not None else row.p_min_attainable
    if np.isfinite(least) and least > LEVEL:
        return (
            f"{said}); this rests on normally distributed electrodes alone, for no exact test of so few can give a p "
            f"below {probability_of(least)}."
        )
    if exact is not None and np.isfinite(exact.p):
        p = probability_of(exact.p)
        return f"{said}, exact p {p if p.startswith('<') else f'= {p}'})."
    return f"{said})."


def _populations(evidence: Evidence) -> Iterator[str]:
    """Whether electrodes react one particle after the other, or all together."""
    table = evidence.table("mosaic")
    said = Counter(text for text in words(table, "groups").tolist() if text) if len(table) else Counter()
    if said:
        counts = "; ".join(f"{n} of {len(table)}: {text}" for text, n in said.most_common())
        yield f"Groups of particles, electrodes in their conditions counted: {counts}."


def _rates(evidence: Evidence) -> Iterator[str]:
    """With what power of the rate activity and current grow."""
    table = evidence.table("rate_exponents")
    if not len(table):
        return
    for quantity, note in zip(words(table, "quantity").tolist(), words(table, "note").tolist(), strict=True):
        if note:
            yield f"How {quantity} depends on the rate: {note}."
