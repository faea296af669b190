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
    return np.asarray(["" if item is None or item != item else str(item) for item in frame[column]], dtype=np.str_)


def codes(columns: Sequence[Text]) -> I64:
    """(PARTICLE,) codes 0, 1, ... of the combinations of text columns, in sorted order."""
    if not len(columns[0]):
        return np.zeros(0, dtype=np.int64)
    together = np.stack([column.astype(np.str_) for column in columns], axis=1)
    inverse = np.unique(together, axis=0, return_inverse=True)[1]
    return np.asarray(inverse.reshape(-1), dtype=np.int64)
