"""A spreadsheet that opens a table computes nothing of its text, and every number stays what it was."""

import csv
import io

import numpy as np
import pandas as pd
import pytest

from storage.csv_text import BEGINNINGS, csv_bytes


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_text_that_begins_like_a_formula_is_marked_as_text(beginning: str) -> None:
    hostile = f'{beginning}HYPERLINK("http://example.org";"open")'
    table = pd.DataFrame({"electrode_id": ["E01", hostile], hostile: [1.0, 2.0]})
    rows = list(csv.reader(io.StringIO(csv_bytes(table).decode(), newline="")))
    assert rows == [["electrode_id", f"'{hostile}"], ["E01", "1.0"], [f"'{hostile}", "2.0"]]


def test_numbers_and_other_text_stay_as_they_are() -> None:
    table = pd.DataFrame({"x": [-1.5, np.nan], "n": pd.array([-3, None], dtype=object), "said": ["a=b - c", None]})
    assert csv_bytes(table) == b"x,n,said\n-1.5,-3,a=b - c\n,,\n"


def test_all_digits_of_a_float_are_there() -> None:
    values = np.random.default_rng(7).normal(size=50)
    _, *lines = csv_bytes(pd.DataFrame({"x": values})).decode().splitlines()
    np.testing.assert_array_equal([float(line) for line in lines], values)
