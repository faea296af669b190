"""Records as JSON and back: nothing is lost but what JSON cannot say, and another version's record is refused."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass

import numpy as np
import pytest

from storage.atomic import plain_json
from stxmdist import measures
from stxmdist.arrays import F64
from stxmdist.errors import StoreError
from stxmdist.records import figures_of, from_json


@dataclass(frozen=True)
class Inner:
    share: float
    name: str | None


@dataclass(frozen=True, eq=False)
class Outer:
    count: int
    energy_ev: F64
    inner: Inner
    parts: tuple[Inner, ...]
    by_name: Mapping[str, F64]
    pair: tuple[int, str]
    known: float | None
    absent: F64 | None = None


OUTER = Outer(
    count=3,
    energy_ev=np.array([700.0, np.nan, 715.5]),
    inner=Inner(float("nan"), None),
    parts=(Inner(0.5, "a"), Inner(0.25, None)),
    by_name={"leak": np.array([1.0, np.nan])},
    pair=(2, "b"),
    known=None,
)


def test_a_record_comes_back_as_it_was_written() -> None:
    written = json.loads(json.dumps(figures_of(OUTER), allow_nan=False))
    back = from_json(Outer, written)
    assert (back.count, back.pair, back.known, back.absent) == (3, (2, "b"), None, None)
    np.testing.assert_array_equal(back.energy_ev, OUTER.energy_ev)
    assert back.energy_ev.dtype == np.float64
    assert back.parts == OUTER.parts
    assert np.isnan(back.inner.share)
    assert back.inner.name is None
    np.testing.assert_array_equal(back.by_name["leak"], [1.0, np.nan])
    assert figures_of(back) == figures_of(OUTER)


def test_what_does_not_apply_is_left_out_and_what_is_unknown_is_null() -> None:
    written = figures_of(OUTER)
    assert "absent" not in written
    assert written["known"] is None
    assert written["energy_ev"] == [700.0, None, 715.5]


@pytest.mark.parametrize(
    ("change", "got"), [({"more": 1}, "an unknown more"), ({"count": None, "counts": 3}, "an unknown counts")]
)
def test_a_record_of_another_version_is_refused_with_what_differs(change: dict[str, object], got: str) -> None:
    with pytest.raises(StoreError, match=f"Outer: .*got {got}, wanted count, energy_ev"):
        from_json(Outer, figures_of(OUTER) | change)


def test_a_record_that_lacks_a_field_is_refused() -> None:
    written = figures_of(OUTER)
    del written["inner"]
    with pytest.raises(StoreError, match="got no inner"):
        from_json(Outer, written)


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(TypeError, match="complex has no form in JSON"):
        plain_json({"value": 1j})


@dataclass(frozen=True, eq=False)
class Measured:
    always: float | None
    spectrum: F64 | None = None
    share: float | None = None
    words: str | None = None


def test_null_of_a_field_that_may_be_left_out_is_not_a_number_and_stays_null() -> None:
    written = {"always": None, "spectrum": None, "share": None}
    assert figures_of(Measured(None, np.array(np.nan), np.nan)) == written
    read = from_json(Measured, written)
    assert read.always is None
    assert read.spectrum is not None
    assert np.isnan(read.spectrum)
    assert read.share is not None
    assert np.isnan(read.share)
    assert figures_of(read) == written


RECORDS = [kind for kind in vars(measures).values() if isinstance(kind, type) and is_dataclass(kind)]


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_records_of_measures_are_frozen_and_say_what_they_are(kind: type) -> None:
    assert kind.__doc__
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert fields(kind)
