"""Records as JSON and back."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64
from stxmdist.records import figures_of, from_json


@dataclass(frozen=True, eq=False)
class Measured:
    always: float | None
    spectrum: F64 | None = None
    share: float | None = None
    words: str | None = None


def test_what_does_not_apply_is_left_out_and_what_is_not_known_is_null() -> None:
    assert figures_of(Measured(None)) == {"always": None}
    unknown = Measured(None, np.array(np.nan), np.nan)
    assert figures_of(unknown) == {"always": None, "spectrum": None, "share": None}


def test_null_of_a_field_that_may_be_left_out_is_not_a_number_and_stays_null() -> None:
    written = {"always": None, "spectrum": None, "share": None}
    read = from_json(Measured, written)
    assert read.always is None
    assert read.spectrum is not None
    assert np.isnan(read.spectrum)
    assert read.share is not None
    assert np.isnan(read.share)
    assert figures_of(read) == written
