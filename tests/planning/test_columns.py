"""Columns and rows of tables: what is missing is NaN, or no text, whatever pandas made of it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stxmdist.planning.columns import column, number, rows_of, text_of, words


@dataclass(frozen=True)
class Row:
    name: str
    size: float
    whole: bool
    absent: float


TABLE = pd.DataFrame({"name": ["a", None, "c"], "size": [1, None, 3.5], "whole": [True, None, False]})


def test_rows_are_records_in_the_order_of_the_table() -> None:
    rows = rows_of(Row, TABLE)
    assert [(row.name, row.whole) for row in rows] == [("a", True), ("", False), ("c", False)]
    np.testing.assert_array_equal([row.size for row in rows], [1.0, np.nan, 3.5])
    assert np.isnan([row.absent for row in rows]).all()
    assert rows_of(Row, TABLE[:0]) == []


def test_columns_that_a_table_lacks_are_empty() -> None:
    assert np.isnan(column(TABLE, "gone")).all()
    assert words(TABLE, "gone").tolist() == ["", "", ""]


def test_what_is_no_number_is_not_known() -> None:
    assert np.isnan([number(value) for value in (None, "", "words", float("nan"), [1.0])]).all()
    assert [number(value) for value in ("1.5", 2, np.float32(0.5), True)] == [1.5, 2.0, 0.5, 1.0]
    assert [text_of(value, "-") for value in (None, "", float("nan"), 3, "x")] == ["-", "-", "-", "3", "x"]
