"""What endpoints, terms and units are called where a reader sees them; tables in files keep the names of columns."""

from stxmdist.heterogeneity.metrics.column import COMMON
from stxmdist.heterogeneity.metrics.table import METRICS
from stxmdist.heterogeneity.terms import TERMS
from stxmdist.planning.tables import table_specs

LONGEST_MEANING = 60
"""Of a column, to stand for it in a title; a longer one is a sentence"""


def meaning_of(endpoint: str) -> str:
    """An endpoint in words: of the metrics, else what its column means, where that is short, or its name."""
    if endpoint in METRICS:
        return METRICS[endpoint].meaning
    if endpoint in COMMON:
        return COMMON[endpoint]
    meaning = next((column.meaning for column in table_specs()["particles"].columns if column.name == endpoint), "")
    return meaning if 0 < len(meaning) <= LONGEST_MEANING else endpoint.replace("_", " ")


def term_of(term: str) -> str:
    """An explanatory variable in words."""
    return TERMS[term].meaning if term in TERMS else term


def without_mathematics(term: str) -> str:
    """An explanatory variable in words, and not its logarithm."""
    return term_of(term).removeprefix("logarithm of ")


def unit_in_words(unit: str) -> str:
    """A unit of a table as it is printed: ``1/um per cycle`` is ``1/µm per cycle``, and pure numbers have none."""
    return unit.replace("um2", "µm²").replace("um", "µm") if unit != "1" else ""
