"""Columns of the particle table as arrays: numbers, text, and codes of what belongs together."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stxmdist.arrays import F64, I64, Text


def numbers(frame: pd.DataFrame, column: str) -> F64:
    """(PARTICLE,) float64 of a column, NaN where it is missing, absent or no number; True counts 1."""
    if column not in frame.columns:
        return np.full(len(frame), np.nan)
    values = frame[column]
    if values.dtype == np.float64:
        return np.array(values, dtype=np.float64)
    return np.asarray(pd.to_numeric(values, errors="coerce").astype("Float64").to_numpy(np.float64, na_value=np.nan))


def text(frame: pd.DataFrame, column: str) -> Text:
    """(PARTICLE,) text of a column; missing is a value of its own."""
    if column not in frame.columns:
        return np.full(len(frame), "")
    found, words = _worded(frame[column])
    return np.asarray(words[found])


def _worded(column: "pd.Series | NDArray[np.object_]") -> tuple[I64, Text]:
    """(PARTICLE,) which of the (WORD,) texts each stands for; the last of these is that of the missing."""
    # Few values stand for many particles: each is put into words once.
    found, values = pd.factorize(column, use_na_sentinel=True)
    words = ["" if item is None or item != item else str(item) for item in values]
    return np.asarray(found, dtype=np.int64), np.asarray([*words, ""], dtype=np.str_)


def codes_of(frame: pd.DataFrame, names: Sequence[str]) -> I64:
    """(PARTICLE,) codes 0, 1, ... of the combinations of columns as texts, in sorted order; an absent one is empty."""
    return _coded([_worded(frame[name]) for name in names if name in frame.columns], len(frame))


def codes(columns: Sequence[Text]) -> I64:
    """(PARTICLE,) codes 0, 1, ... of the combinations of text columns, in sorted order."""
    return _coded([_worded(column.astype(object)) for column in columns], len(columns[0]))


def _coded(columns: Sequence[tuple[I64, Text]], n: int) -> I64:
    together = np.zeros(n, dtype=np.int64)
    for found, words in columns:
        # Sorted once for each value, not for each particle.
        _, rank = np.unique(words, return_inverse=True)
        place, present = pd.factorize(together * len(words) + rank.reshape(-1)[found])
        together = np.argsort(np.argsort(present))[place]
    return together
