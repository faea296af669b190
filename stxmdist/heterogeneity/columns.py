"""Columns of the particle table as arrays: numbers, text, and codes of what belongs together."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from stxmdist.arrays import F64, I64, Text


def numbers(frame: pd.DataFrame, column: str) -> F64:
    """(PARTICLE,) float64 of a column, NaN where it is missing, absent or no number; True counts 1."""
    if column not in frame.columns:
        return np.full(len(frame), np.nan)
    return np.asarray(
        pd.to_numeric(frame[column], errors="coerce").astype("Float64").to_numpy(np.float64, na_value=np.nan)
    )


def text(frame: pd.DataFrame, column: str) -> Text:
    """(PARTICLE,) text of a column; missing is a value of its own."""
    if column not in frame.columns:
        return np.full(len(frame), "")
    # Few values stand for many particles: each is put into words once.
    found, values = pd.factorize(frame[column], use_na_sentinel=True)
    words = np.asarray(["" if item is None or item != item else str(item) for item in values] + [""], dtype=np.str_)
    return np.asarray(words[found])


def codes(columns: Sequence[Text]) -> I64:
    """(PARTICLE,) codes 0, 1, ... of the combinations of text columns, in sorted order."""
    n = len(columns[0])
    if not n:
        return np.zeros(0, dtype=np.int64)
    together = np.zeros(n, dtype=np.int64)
    for column in columns:
        found, values = pd.factorize(column.astype(object))
        # Sorted once for each value, not for each particle.
        rank = np.argsort(np.argsort(np.asarray(values, dtype=np.str_), kind="stable"), kind="stable")
        together = np.unique(together * len(values) + rank[found], return_inverse=True)[1].reshape(-1)
    return np.asarray(together, dtype=np.int64)
