"""Fourier transforms of stacks of small images in place: FFTW where pyfftw is installed, scipy.fft where it is not.

FFTW finds its fastest plan by measuring, and another plan rounds differently. So that results are equal to the last bit
from run to run and from process to process, the plan is kept in a per-user cache, one file per shape. The first writer
of a file wins, and nothing replaces it.
"""

import hashlib
import os
import platform
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Protocol

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

    return Transform(buffer, padded, forward, backward, "scipy")


def _fftw(shape: tuple[int, int, int]) -> Transform:
    import pyfftw

    padded = pyfftw.zeros_aligned(_padded(shape), "complex64")
    buffer = inside(padded)
    with _PLANNING:
        before = pyfftw.export_wisdom()
        pyfftw.forget_wisdom()
        try:
            plans = _plans(pyfftw, buffer)
        finally:
            pyfftw.forget_wisdom()
            pyfftw.import_wisdom(before)
    padded[...] = 0  # measuring leaves its own numbers behind
    return Transform(buffer, padded, plans[0].execute, plans[1].execute, "fftw")


def _plans(pyfftw: ModuleType, buffer: C64) -> list[Plan]:
    def planned(effort: str) -> list[Plan]:
        return [
            pyfftw.FFTW(buffer, buffer, axes=(-2, -1), direction=direction, flags=(effort,), threads=1)
            for direction in ("FFTW_FORWARD", "FFTW_BACKWARD")
        ]

    path = _wisdom_path(pyfftw, buffer.shape)
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
