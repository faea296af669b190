"""What is read is in words and units, whatever a column is called."""

import numpy as np
import pandas as pd
import pytest

from stxmdist.heterogeneity.metrics.column import COMMON, metric_of
from stxmdist.heterogeneity.metrics.table import METRICS
from stxmdist.heterogeneity.terms import TERMS
from stxmdist.report.endpoints import meaning_of, term_of, unit_in_words, without_mathematics


@pytest.mark.parametrize("endpoint", [*METRICS, *COMMON, "soc_one_sidedness", "d_eq_um"])
def test_no_endpoint_is_called_by_its_column(endpoint: str) -> None:
    said = meaning_of(endpoint)
    assert "_" not in said
    assert " um" not in said
    assert said != endpoint


def test_what_is_known_nowhere_keeps_its_name_without_strokes() -> None:
    assert meaning_of("my_own_column") == "my own column"


def test_a_column_as_endpoint_has_the_same_words() -> None:
    table = pd.DataFrame({name: np.ones(3) for name in COMMON})
    assert [metric_of(name, table).meaning for name in COMMON] == [meaning_of(name) for name in COMMON]


def test_units_and_terms_are_printed_as_they_are_spoken() -> None:
    assert unit_in_words("1/um per cycle") == "1/µm per cycle"
    assert unit_in_words("um2") == "µm²"
    assert unit_in_words("1") == ""
    assert {without_mathematics(name) for name in TERMS} == {"cycle", "rate", "diameter"}
    assert term_of("unknown") == "unknown"
