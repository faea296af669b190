"""Mask classes, array namespaces, and what the one compiler setting keeps: NaN, infinity, division by zero."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest

from storage.schema import ARRAYS, MISSING
from stxmdist.arrays import F64, MaskClass, compiled, compiled_from, namespace_of


@compiled
def ratio(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    for i in range(a.size):
        out[i] = a[i] / b[i] if not np.isnan(a[i]) else -1.0


@compiled
def total(values: np.ndarray) -> float:
    found = 0.0
    for i in range(values.size):
        found += values[i]
    return found


def test_classes_are_numbered_for_good() -> None:
    # They stand in files: a new one takes a new number.
    names = [
        "valid",
        "background",
        "edge",
        "thick",
        "low_count",
        "missing",
        "saturated",
        "outside",
        "poor_fit",
        "overlap",
    ]
    assert [kind.name for kind in sorted(MaskClass)] == names
    assert [int(kind) for kind in sorted(MaskClass)] == list(range(len(names)))
    assert all(kind in np.arange(10, dtype=np.uint8) for kind in MaskClass)


def test_the_store_knows_what_missing_is() -> None:
    assert MaskClass.missing == MISSING
    assert ARRAYS["mask_class"].fill == ARRAYS["frame_class"].fill == MaskClass.missing


def test_compiled_kernels_respect_nan_and_infinity() -> None:
    out = np.empty(4)
    ratio(np.array([1.0, -1.0, 0.0, np.nan]), np.array([0.0, 0.0, 0.0, 1.0]), out)
    assert out[0] == np.inf
    assert out[1] == -np.inf
    assert np.isnan(out[2])
    assert out[3] == -1.0
    assert np.isnan(total(np.array([1.0, np.nan, 2.0])))
    assert total(np.array([1.0, np.inf])) == np.inf


def test_sums_may_be_reordered_but_not_wrong() -> None:
    values = np.random.default_rng(0).normal(size=10_007)
    assert total(values) == pytest.approx(float(np.sum(values)), abs=1e-9)


@pytest.mark.parametrize(("switch", "cached"), [("0", False), ("1", True), (None, True)])
def test_the_cache_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, switch: str | None, cached: bool) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(numba, "njit", lambda **settings: asked.update(settings) or (lambda function: function))
    monkeypatch.delenv("STXMDIST_JIT_CACHE", raising=False)
    if switch is not None:
        monkeypatch.setenv("STXMDIST_JIT_CACHE", switch)
    compiled(total)
    assert asked["cache"] is cached


def test_the_cache_tells_the_sources_of_a_kernel_apart(tmp_path: Path) -> None:
    names = []
    for text in ("one", "another", "one"):
        source = ModuleType("source")
        source.__file__ = str(tmp_path / "source.py")
        Path(source.__file__).write_text(text)

        def kernel(values: F64) -> float:
            return float(values[0])

        found = compiled_from(source)(kernel)
        assert found(np.array([2.0])) == 2.0
        names.append(kernel.__qualname__)
    assert names[0] != names[1]
    assert names[0] == names[2]


class Elsewhere:
    """An array of another library, as the standard has it."""

    def __array_namespace__(self) -> object:
        return "the other library"


def test_arrays_say_which_library_they_are_of() -> None:
    assert namespace_of(np.zeros(3)) is np
    assert namespace_of([1.0, 2.0]) is np
    assert namespace_of(Elsewhere()) == "the other library"
