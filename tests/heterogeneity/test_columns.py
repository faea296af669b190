"""Columns of the particle table as arrays and codes."""

import numpy as np
import pandas as pd

from stxmdist.heterogeneity.columns import codes, codes_of, numbers, text


def table(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "region_id": rng.choice(["r10", "r2", None], n),
            "cycle": rng.choice([1.0, 50.0, np.nan], n),
            "n": rng.integers(0, 3, n),
            "mixed": rng.choice(np.array(["a", 1, None, ""], dtype=object), n),
        }
    )


def test_codes_of_columns_are_those_of_their_texts() -> None:
    frame = table()
    for names in (("region_id",), ("cycle", "region_id"), ("mixed", "n", "absent"), ("n", "mixed", "cycle")):
        expected = codes([text(frame, name) for name in names])
        np.testing.assert_array_equal(codes_of(frame, names), expected)
        # In sorted order of the texts, and each combination has one code.
        together = np.array(["\x00".join(parts) for parts in zip(*(text(frame, name) for name in names), strict=True)])
        np.testing.assert_array_equal(expected, np.unique(together, return_inverse=True)[1])


def test_no_rows_have_no_codes() -> None:
    assert codes_of(table(0), ("region_id", "cycle")).shape == codes([np.zeros(0, dtype=np.str_)]).shape == (0,)


def test_numbers_are_of_the_caller_alone() -> None:
    frame = table()
    found = numbers(frame, "cycle")
    found[:] = 7.0
    assert np.isnan(numbers(frame, "cycle")).any()
