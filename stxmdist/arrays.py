"""What every package needs to know of arrays: names of their types, mask classes, the array library, compilation."""

import hashlib
import importlib
import os
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from types import ModuleType
from typing import Any, ParamSpec, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")

Array: TypeAlias = NDArray[Any]
"""An array of any type, or of one that only its user knows."""
F64: TypeAlias = NDArray[np.float64]
F32: TypeAlias = NDArray[np.float32]
Real: TypeAlias = NDArray[np.floating]
"""Single or double precision."""
C64: TypeAlias = NDArray[np.complex64]
C128: TypeAlias = NDArray[np.complex128]
I8: TypeAlias = NDArray[np.int8]
I32: TypeAlias = NDArray[np.int32]
I64: TypeAlias = NDArray[np.int64]
Index: TypeAlias = NDArray[np.intp]
"""Places in an array."""
Integer: TypeAlias = NDArray[np.integer]
"""Whole numbers of any width."""
U8: TypeAlias = NDArray[np.uint8]
"""Codes, such as `MaskClass`."""
U16: TypeAlias = NDArray[np.uint16]
U32: TypeAlias = NDArray[np.uint32]
Mask: TypeAlias = NDArray[np.bool_]
Text: TypeAlias = NDArray[np.str_]


class MaskClass(IntEnum):
    """Why a pixel or frame carries no number (or may not be trusted): masked is never zero."""

    valid = 0
    background = 1
    """No particle here: too thin to say anything of its chemistry."""
    edge = 2
    """Within the point spread function of a particle's boundary."""
    thick = 3
    """Optical density above what the detector's leak and dark level allow."""
    low_count = 4
    missing = 5
    """Not measured: the scan was aborted or the frame is unreadable."""
    saturated = 6
    outside = 7
    """Left the field of view by drift."""
    poor_fit = 8
    overlap = 9
    """Two plates lie across one another here: what it holds is of neither alone."""


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a kernel with numba: nopython, fused multiply-add and reassociation allowed, NaN and infinity respected.

    The machine code is cached beside the source unless ``STXMDIST_JIT_CACHE=0``: numba's cache may race when several
    hosts share one file system, so switch it off there.
    """
    from numba import njit

    cache = os.environ.get("STXMDIST_JIT_CACHE", "1") != "0"
    # A kernel that is called, not inlined, exists twice: compiled on its own and with its caller. Which of the two runs
    # depends on whether this process compiled or loaded them, and they may round differently.
    return njit(  # type: ignore[no-any-return]
        cache=cache,
        nogil=True,
        forceinline=True,
        fastmath={"contract", "reassoc", "nsz"},
        error_model="numpy",
    )(function)


def compiled_from(*modules: ModuleType) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """As :func:`compiled`, for a kernel that inlines others from other files.

    Numba's cache notices changes of the kernel's own file only, so that its name in the cache tells the others' apart.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        sources = b"".join(Path(str(module.__file__)).read_bytes() for module in modules)
        function.__qualname__ += "_" + hashlib.sha256(sources).hexdigest()[:12]
        return compiled(function)

    return decorate


def namespace_of(array: Any) -> Any:
    """The array library (numpy, cupy, ...) that an array belongs to."""
    namespace = getattr(array, "__array_namespace__", None)
    if namespace is not None:
        return namespace()
    # cupy's arrays say so themselves from its version 14 on.
    library = type(array).__module__.partition(".")[0]
    return importlib.import_module("cupy" if library == "cupy" else "numpy")


def numpy_of(array: Any) -> Any:
    """The same numbers in the host's memory as a numpy array: itself if it is one, a copy if not."""
    import numpy

    if isinstance(array, numpy.ndarray):
        return array
    if hasattr(array, "get"):  # cupy's way: it goes to the host only when asked
        return array.get()
    return numpy.from_dlpack(array).copy()
