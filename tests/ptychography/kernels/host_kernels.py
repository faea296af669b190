"""The kernels for GPUs as functions of the host: the same source, compiled as C, behind cupy's ``RawModule``.

What a launch hands over is held against what the kernel takes: kinds of numbers, and arrays that lie without gaps.
"""

import ctypes
import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
WHY_NOT = "there is no C compiler"
TAKES = {"float": (np.float32, np.complex64), "double": (np.float64,), "int": (np.int32,), "long long": (np.int64,)}
OF_C = {"float": ctypes.c_float, "double": ctypes.c_double, "int": ctypes.c_int, "long long": ctypes.c_longlong}


def signatures(source: str) -> dict[str, list[tuple[str, bool]]]:
    """Of every kernel of a source, by its name: type of each parameter, and whether it is an array."""
    found = {}
    for name, taken in re.findall(r"^KERNEL (\w+)\(([^)]*)\)", source, re.MULTILINE):
        words = [" ".join(word.replace("const ", "").split()) for word in taken.split(",")]
        found[name] = [(re.sub(r"[ *]+\w+$", "", word), "*" in word) for word in words]
    return found


class HostModule:
    """Kernels of a source, as ``cupy.RawModule`` has them."""

    def __init__(self, code: str, options: Sequence[str] = ()) -> None:
        self.library, self.signatures = _built(code), signatures(code)

    def get_function(self, name: str) -> Callable[..., None]:
        function, takes = getattr(self.library, name), self.signatures[name]
        function.restype = None

        def launch(grid: tuple[int, ...], block: tuple[int, ...], arguments: Sequence[Any]) -> None:
            assert grid[0] >= 1
            assert block[0] % 32 == 0
            assert len(arguments) == len(takes), f"{name} takes {len(takes)} arguments, got {len(arguments)}"
            function(*(_passed(name, *kind, value) for kind, value in zip(takes, arguments, strict=True)))

        return launch


def _passed(kernel: str, kind: str, array: bool, value: Any) -> Any:
    assert value.dtype in TAKES[kind], f"{kernel} takes {kind}, got {value.dtype}"
    if not array:
        assert not isinstance(value, np.ndarray)
        return OF_C[kind](value.item())
    assert value.flags.c_contiguous, f"an array for {kernel} has gaps"
    return ctypes.c_void_p(value.ctypes.data)


@cache
def _built(code: str) -> ctypes.CDLL:
    assert COMPILER is not None, WHY_NOT
    folder = Path(tempfile.mkdtemp(prefix="kernels"))
    library = folder / f"{hashlib.sha256(code.encode()).hexdigest()[:12]}.so"
    command = [
        COMPILER,
        "-std=c11",
        "-Wall",
        "-Werror",
        "-O2",
        "-shared",
        "-fPIC",
        "-x",
        "c",
        "-",
        "-o",
        str(library),
        "-lm",
    ]
    subprocess.run(command, input=code, text=True, check=True)
    loaded = ctypes.CDLL(str(library))
    shutil.rmtree(folder)  # what is loaded stays
    return loaded


class HostKernels(ModuleType):
    """numpy, with kernels."""

    RawModule = HostModule

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


HOST = HostKernels("numpy with kernels")
