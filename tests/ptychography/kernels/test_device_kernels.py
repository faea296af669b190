"""The kernels for GPUs are compiled for every kind of card by NVRTC, which needs neither a card nor a driver."""

import ctypes
import importlib.util
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from stxmdist.ptychography.kernels import device_sweep
from stxmdist.ptychography.kernels.array_sweep import ArraySweep
from stxmdist.ptychography.kernels.device import sweep_on
from stxmdist.ptychography.kernels.device_sweep import OPTIONS, SOURCE, DeviceSweep
from stxmdist.ptychography.problem import Problem
from tests.ptychography.kernels.host_kernels import COMPILER, HOST, WHY_NOT, signatures

ARCHITECTURES = ("sm_70", "sm_80", "sm_90")
"""Volta (the oldest that compilers of CUDA 12 keep), Ampere and Hopper"""


class Refused(Exception):
    """What the compiler said."""


def nvrtc() -> ctypes.CDLL:
    """The run-time compiler of the package ``nvidia-cuda-nvrtc-cu12``."""
    found = importlib.util.find_spec("nvidia")
    places = [] if found is None else [Path(place) for place in found.submodule_search_locations or ()]
    libraries = [path for place in places for path in sorted((place / "cuda_nvrtc/lib").glob("libnvrtc.so*"))]
    if not libraries:
        pytest.skip("nvidia-cuda-nvrtc-cu12 is not installed: it exists for Linux")
    return ctypes.CDLL(str(libraries[0]))


def compiled(source: str, architecture: str) -> tuple[str, int]:
    """PTX of a source, and how many bytes of machine code were made of it.

    Raises
    ------
    Refused
        with the compiler's words.
    """
    library, program = nvrtc(), ctypes.c_void_p()
    text = source.encode()
    assert library.nvrtcCreateProgram(ctypes.byref(program), text, b"device_kernels.cu", 0, None, None) == 0
    options = [f"--gpu-architecture={architecture}".encode(), *(option.encode() for option in OPTIONS)]
    status = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))

    def read(what: str) -> bytes:
        size = ctypes.c_size_t()
        assert getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)) == 0
        content = ctypes.create_string_buffer(size.value)
        assert getattr(library, f"nvrtcGet{what}")(program, content) == 0
        return content.raw

    log = read("ProgramLog").rstrip(b"\0").decode()
    if status:
        raise Refused(log)
    ptx, code = read("PTX").rstrip(b"\0").decode(), read("CUBIN")
    library.nvrtcDestroyProgram(ctypes.byref(program))
    # What it says of other than the source is that the oldest cards will not be known for ever.
    assert "device_kernels.cu" not in log, log
    return ptx, len(code)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_kernel_is_compiled(architecture: str) -> None:
    source = SOURCE.read_text(encoding="utf-8")
    ptx, size = compiled(source, architecture)
    assert f".target {architecture}" in ptx
    entries = dict(re.findall(r"\.visible \.entry (\w+)\((.*?)\)", ptx, re.DOTALL))
    taken = signatures(source)
    assert set(entries) == set(taken)
    for name, parameters in entries.items():
        widths = [8 if array or kind == "long long" else 4 for kind, array in taken[name]]
        found = [int(width) // 8 for width in re.findall(r"\.param \.\w(\d+)", parameters)]
        assert found == widths, name
    assert size > 1000


@pytest.mark.parametrize("wrong", ["fmaxg(", "fmaxf(1.0f, "])
def test_an_error_in_the_source_is_found(wrong: str) -> None:
    source = SOURCE.read_text(encoding="utf-8")
    assert source.count("fmaxf(") == 1
    with pytest.raises(Refused, match=r"device_kernels.cu\(\d+\): error"):
        compiled(source.replace("fmaxf(", wrong), ARCHITECTURES[0])


def test_every_kernel_is_launched_and_every_launch_has_its_kernel() -> None:
    launched = set(re.findall(r'_launch\(\s*"(\w+)"', inspect.getsource(device_sweep)))
    assert launched == set(signatures(SOURCE.read_text(encoding="utf-8")))


def small_problem() -> Problem:
    frames = np.random.default_rng(2).poisson(5.0, (3, 8, 8))
    return Problem(frames, np.ones((8, 8), bool), np.array([[0.0, 0.0], [1.5, 2.0], [3.0, 1.0]]),
                   np.ones((1, 8, 8), np.complex64), (13, 13))  # fmt: skip


@pytest.mark.skipif(COMPILER is None, reason=WHY_NOT)
def test_a_library_that_compiles_has_the_kernels_and_others_have_array_code() -> None:
    assert type(sweep_on(HOST, small_problem())) is DeviceSweep
    assert type(sweep_on(np, small_problem())) is ArraySweep
