"""An array library that is not numpy, though it computes with it: what runs here needs nothing of numpy's arrays."""

import operator
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np


class Foreign:
    """An array that mixes with its own kind and with Python's numbers, and with nothing else."""

    __array_ufunc__ = None  # numpy's arrays leave all operators to this class, which refuses them
    __hash__ = None

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return FOREIGN

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("a foreign array does not become numpy's by the way")

    def __dlpack__(self, **options: Any) -> Any:
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.values.__dlpack_device__()

    def __getitem__(self, key: Any) -> "Foreign":
        parts = key if isinstance(key, tuple) else (key,)
        assert all(part is None or part is ... or isinstance(part, int | slice) for part in parts)
        return Foreign(self.values[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        self.values[key] = bare(value)

    def __len__(self) -> int:
        return len(self.values)

    def __float__(self) -> float:
        return float(self.values)

    def __bool__(self) -> bool:
        return bool(self.values)

    def __getattr__(self, name: str) -> Any:
        if name in ("shape", "dtype"):
            return getattr(self.values, name)
        if name in ("real", "imag"):
            return Foreign(getattr(self.values, name))
        if name in ("sum", "max", "all", "copy", "reshape", "astype"):
            return lifted(getattr(self.values, name))
        raise AttributeError(name)


def bare(value: Any) -> Any:
    if isinstance(value, Foreign):
        return value.values
    if isinstance(value, np.ndarray | np.float32 | np.complex64):
        raise TypeError("numpy's numbers are none of these")
    return value


def lifted(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values, **options: Foreign(function(*map(bare, values), **options))


def _add_operators() -> None:
    def inplace(change: Callable[..., Any]) -> Callable[..., Any]:
        def method(self: Foreign, other: Any) -> Foreign:
            self.values = change(self.values, bare(other))
            return self

        return method

    for name in ("add", "sub", "mul", "truediv", "pow", "lt"):
        forward = getattr(operator, name)
        setattr(Foreign, f"__{name}__", lifted(forward))
        if name != "lt":
            setattr(Foreign, f"__r{name}__", lifted(lambda a, b, forward=forward: forward(b, a)))
            setattr(Foreign, f"__i{name}__", inplace(getattr(operator, f"i{name}")))


_add_operators()
_SHARED = (
    "zeros",
    "zeros_like",
    "arange",
    "take",
    "matmul",
    "sum",
    "sqrt",
    "where",
    "maximum",
    "abs",
    "conj",
    "vdot",
    "isfinite",
)
FOREIGN = SimpleNamespace(
    **{name: lifted(getattr(np, name)) for name in _SHARED},
    **{name: getattr(np, name) for name in ("float32", "float64", "complex64")},
    asarray=lambda values: values if isinstance(values, Foreign) else Foreign(values.copy()),
    fft=SimpleNamespace(fft2=lifted(np.fft.fft2), ifft2=lifted(np.fft.ifft2)),
)
