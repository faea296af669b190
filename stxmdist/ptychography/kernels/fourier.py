"""Fourier transforms of stacks of small images in place: FFTW where pyfftw is installed, scipy.fft where it is not.

FFTW finds its fastest plan by measuring, and another plan rounds differently. So that results are equal to the last bit
from run to run and from process to process, the plan is kept in a per-user cache, one file per shape. The first writer
of a file wins, and nothing replaces it.
"""

import ctypes
import hashlib
import os
import platform
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike

from stxmdist.arrays import C64, Array, namespace_of

PAD = 8
"""Pixels of zeros before and after each row of a buffer: rows of a power of two pixels share cache lines and cost a
third more, and a sub-pixel shift reads beyond the window."""
_CACHE_LINE = 64
PAD_ROWS = 6
"""Rows of zeros above and below, for the same shift and its adjoint."""


class Plan(Protocol):
    """A planned transform."""

    def execute(self) -> object:
        """Transform the buffer in place."""
        ...


class Calls(NamedTuple):
    """How a compiled loop transforms the buffer: ``function(direction, buffer, buffer)``, all of them addresses."""

    function: int
    forward: int
    backward: int
    buffer: int


class Dimension(ctypes.Structure):
    """``fftwf_iodim``"""

    _fields_ = (("count", ctypes.c_int), ("from_", ctypes.c_int), ("to", ctypes.c_int))


class Callback:
    """The callables as one function that compiled loops call; what they raise there is raised again afterwards.

    It must live as long as loops know its address.
    """

    def __init__(self, forward: Callable[[], object], backward: Callable[[], object]) -> None:
        self._raised: BaseException | None = None
        both = (backward, forward)

        def transform_(forwards: int | None, *_: int) -> None:
            try:
                both[bool(forwards)]()
            except BaseException as raised:  # of an interrupt too: nothing can be raised through a compiled loop
                self._raised = raised

        self.function = _FUNCTION(transform_)

    def raise_again(self) -> None:
        """Raise what was raised, if anything was."""
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised


_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_EFFORT = {"FFTW_MEASURE": 1 << 21, "FFTW_ESTIMATE": 1 << 6}
"""FFTW's flags. A measured plan is taken from wisdom only (FFTW_WISDOM_ONLY; FFTW_MEASURE itself is 0), so that it is
the one that pyfftw has found just before.
"""
_PLANNING = threading.Lock()  # FFTW's planner, and the wisdom it gathers, belong to the whole process


@dataclass(frozen=True)
class Transform:
    """A buffer and what transforms it in place, not normalised: the pair multiplies by the pixel count."""

    buffer: C64
    """(MODE, QY, QX) complex64, the middle of ``padded``"""
    padded: C64
    """(MODE, QY + 2 PAD_ROWS, QX + 2 PAD) complex64; the margins are zero and stay so"""
    forward: Callable[[], object]
    """buffer <- sum over Y, X of buffer exp(-2 pi i (...)), zero frequency at [0, 0]"""
    backward: Callable[[], object]
    library: str
    """``fftw`` or ``scipy``"""
    calls: Calls
    """The same two for compiled loops: FFTW itself where its functions are found, else these callables"""
    callback: Callback
    """What must live for them, and be asked after them whether something was raised"""


def fftw_available() -> bool:
    """Whether pyfftw can be imported."""
    return find_spec("pyfftw") is not None


def transform(shape: tuple[int, int, int], library: str | None = None) -> Transform:
    """Plan the transforms over the last two axes of a (MODE, QY, QX) complex64 buffer; one thread.

    Parameters
    ----------
    library
        ``fftw`` or ``scipy``; None: fftw where it is installed.
    """
    if library is None:
        library = "fftw" if fftw_available() else "scipy"
    return _fftw(shape) if library == "fftw" else _scipy(shape)


def inside(padded: C64) -> C64:
    """The (MODE, QY, QX) middle of padded memory."""
    return padded[:, PAD_ROWS:-PAD_ROWS, PAD:-PAD]


def aligned_zeros(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Zeros in numpy's memory that begin with a cache line: vectors then lie in one each, not across two."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + _CACHE_LINE, np.uint8)
    first = -raw.ctypes.data % _CACHE_LINE
    return raw[first : first + size].view(dtype).reshape(shape)


def padded_copy(values: C64) -> C64:
    """(MODE, QY, QX) of any array library with margins of zeros around."""
    xp = namespace_of(values)
    zeros = aligned_zeros if xp is np else xp.zeros
    padded: C64 = zeros(_padded(values.shape), dtype=values.dtype)
    inside(padded)[...] = values
    return padded


def _padded(shape: tuple[int, ...]) -> tuple[int, int, int]:
    return shape[0], shape[1] + 2 * PAD_ROWS, shape[2] + 2 * PAD


def _scipy(shape: tuple[int, int, int]) -> Transform:
    from scipy.fft import fft2, ifft2

    padded = np.zeros(_padded(shape), np.complex64)
    buffer = inside(padded)

    def forward() -> None:
        buffer[...] = fft2(buffer, axes=(-2, -1), workers=1)

    def backward() -> None:
        buffer[...] = ifft2(buffer, axes=(-2, -1), workers=1, norm="forward")

    return _called(buffer, padded, forward, backward, "scipy", None)


def _called(
    buffer: C64,
    padded: C64,
    forward: Callable[[], object],
    backward: Callable[[], object],
    library: str,
    native: tuple[int, int, int] | None,
) -> Transform:
    callback = Callback(forward, backward)
    function, there, back = native or (_address(callback.function), 1, 0)
    calls = Calls(function, there, back, buffer.ctypes.data)
    return Transform(buffer, padded, forward, backward, library, calls, callback)


def _address(function: object) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0  # type: ignore[arg-type]


def _fftw(shape: tuple[int, int, int]) -> Transform:
    import pyfftw

    padded = pyfftw.zeros_aligned(_padded(shape), "complex64")
    buffer = inside(padded)
    with _PLANNING:
        before = pyfftw.export_wisdom()
        pyfftw.forget_wisdom()
        try:
            plans, native = _plans(pyfftw, buffer)
        finally:
            pyfftw.forget_wisdom()
            pyfftw.import_wisdom(before)
    padded[...] = 0  # measuring leaves its own numbers behind
    return _called(buffer, padded, plans[0].execute, plans[1].execute, "fftw", native)


def _plans(pyfftw: ModuleType, buffer: C64) -> tuple[list[Plan], tuple[int, int, int] | None]:
    path = _wisdom_path(pyfftw, buffer.shape)

    def planned(effort: str) -> tuple[list[Plan], tuple[int, int, int] | None]:
        plans = [
            pyfftw.FFTW(buffer, buffer, axes=(-2, -1), direction=direction, flags=(effort,), threads=1)
            for direction in ("FFTW_FORWARD", "FFTW_BACKWARD")
        ]
        return plans, _native(pyfftw.pyfftw.__file__, path, effort, buffer.shape)

    if path is None:
        # Without a place to remember what was measured only the estimated plan is the same every time.
        return planned("FFTW_ESTIMATE")
    if not path.exists():
        plans = planned("FFTW_MEASURE")
        if not _write_first(path, pyfftw.export_wisdom()[1]):
            return planned("FFTW_ESTIMATE")
        pyfftw.forget_wisdom()
        del plans
    wisdom = path.read_bytes()
    accepted = pyfftw.import_wisdom((b"", wisdom, b""))
    # A file that another build of FFTW refuses is not replaced: two processes might then disagree.
    return planned("FFTW_MEASURE" if accepted[1] else "FFTW_ESTIMATE")


@cache
def _native(library: str, path: Path | None, effort: str, shape: tuple[int, int, int]) -> tuple[int, int, int] | None:
    """Addresses of FFTW's function that executes a plan, and of the plans pyfftw has just found; None: not to be had.

    pyfftw hands out neither. Plans stay for as long as the process: one pair serves all buffers of one shape, with the
    wisdom of one path.
    """
    try:
        # Symbols of what the extension was linked to are found through it, on systems that search so far.
        fftw = ctypes.PyDLL(library)
        plan, function = fftw.fftwf_plan_guru_dft, fftw.fftwf_execute_dft
    except (OSError, AttributeError):
        return None
    plan.restype = ctypes.c_void_p
    dimensions, address = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    plan.argtypes = [*dimensions, *dimensions, address, address, ctypes.c_int, ctypes.c_uint]
    like = inside(aligned_zeros(_padded(shape), np.complex64))
    modes, down, along = (
        (Dimension * 1)(Dimension(n, s // 8, s // 8)) for n, s in zip(shape, like.strides, strict=True)
    )
    both, at = (Dimension * 2)(down[0], along[0]), like.ctypes.data
    found = [plan(2, both, 1, modes, at, at, sign, _EFFORT[effort]) for sign in (-1, 1)]
    return (_address(function), *found) if all(found) else None


def _wisdom_path(pyfftw: ModuleType, shape: tuple[int, ...]) -> Path | None:
    machine = " ".join([pyfftw.__version__, platform.machine(), _processor(), platform.libc_ver()[0]])
    kind = hashlib.sha256(machine.encode()).hexdigest()[:12]
    name = f"c64-pad{PAD}-{PAD_ROWS}-{'x'.join(map(str, shape))}-{kind}.wisdom"
    folder = cache_folder() / "fftw"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder / name


def _processor() -> str:
    # A home folder is often shared by machines of different kinds, whose best plans differ.
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                return hashlib.sha256(line.encode()).hexdigest()[:8]
    except OSError:
        pass
    return platform.processor()


def cache_folder() -> Path:
    """Where plans measured on this machine are kept: ``STXMDIST_CACHE``, or the platform's folder for caches."""
    named = os.environ.get("STXMDIST_CACHE")
    if named:
        return Path(named)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "stxmdist"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "stxmdist"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stxmdist"


def _write_first(path: Path, content: bytes) -> bool:
    # A hard link to a complete file appears at once or not at all, and never over another's.
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        try:
            os.link(name, path)
        except FileExistsError:
            pass
        except OSError:
            # No hard links on this file system: the rename may replace another's, within this instant only.
            if not path.exists():
                os.replace(name, path)
                return True
        os.unlink(name)
    except OSError:
        return False
    return True
