"""Transforms: against numpy, and the same plan in every process."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stxmdist.ptychography.kernels import fourier
from stxmdist.ptychography.kernels.fused_sweep import FusedSweep
from stxmdist.ptychography.kernels.sweep import margins
from stxmdist.ptychography.problem import Problem
from stxmdist.ptychography.state import State

SINGLE = 3e-6
LIBRARIES = ["scipy", *(["fftw"] if fourier.fftw_available() else [])]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 13, 17)])
def test_both_directions_against_numpy(library: str, shape: tuple[int, int, int]) -> None:
    plan = fourier.transform(shape, library)
    rng = np.random.default_rng(0)
    values = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    plan.buffer[...] = values
    plan.forward()
    wanted = np.fft.fft2(values.astype(np.complex128), axes=(-2, -1))
    assert np.abs(plan.buffer - wanted).max() < SINGLE * np.abs(wanted).max()
    plan.backward()
    assert np.abs(plan.buffer - values * shape[1] * shape[2]).max() < SINGLE * np.abs(wanted).max() * shape[1]
    margins = plan.padded.copy()
    fourier.inside(margins)[...] = 0
    assert not margins.any()


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 13, 17)])
def test_calls_from_compiled_loops_agree_to_the_last_bit(library: str, shape: tuple[int, int, int]) -> None:
    plan = fourier.transform(shape, library)
    calls = plan.calls
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)(calls.function)
    rng = np.random.default_rng(0)
    values = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    found = []
    for called in (False, True):
        plan.buffer[...] = values
        for direction, step in ((calls.forward, plan.forward), (calls.backward, plan.backward)):
            if called:
                function(direction, calls.buffer, calls.buffer)
            else:
                step()
            found.append(plan.buffer.copy())
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], found[3])


@pytest.mark.skipif("fftw" not in LIBRARIES or sys.platform == "win32", reason="FFTW's functions are not to be had")
def test_compiled_loops_call_fftw_itself() -> None:
    ours = fourier.transform((1, 32, 32), "fftw").calls
    assert (
        ours.function == fourier.transform((1, 16, 16), "fftw").calls.function
    )  # no callable of Python's, one for each
    assert min(ours.forward, ours.backward) > 1


def test_without_fftws_functions_compiled_loops_call_the_callables(monkeypatch: pytest.MonkeyPatch) -> None:
    library = LIBRARIES[-1]
    direct = _misfit(library)
    monkeypatch.setattr(fourier, "_native", lambda *_: None)
    assert _misfit(library) == direct


def _misfit(library: str) -> float:
    sweep, state = _few_frames(library)
    return sweep.gradients(state, sweep.everything).misfit


def _few_frames(library: str) -> tuple[FusedSweep, State]:
    rng = np.random.default_rng(0)
    problem = Problem(
        frames=rng.poisson(5.0, (4, 16, 16)).astype(np.uint16),
        good=np.ones((16, 16), bool),
        positions_px=rng.uniform(0, 20, (4, 2)),
        probe=(rng.normal(size=(1, 16, 16)) + 1j).astype(np.complex64),
        object_shape=(40, 40),
    )
    state = State(
        object_=np.ones((40, 40), np.complex64),
        probe=fourier.padded_copy(problem.probe),
        positions_px=problem.positions_px,
        intensity=np.ones(4, np.float32),
        background=np.zeros((16, 16), np.float32),
        variations=np.zeros(margins(0, (16, 16)), np.complex64),
        shares=np.zeros((4, 0), np.float32),
    )
    return FusedSweep(problem, 1, library=library), state


def test_what_a_transform_raises_in_a_compiled_loop_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("scipy.fft.fft2", interrupted)
    sweep, state = _few_frames("scipy")
    with pytest.raises(KeyboardInterrupt):
        sweep.gradients(state, sweep.everything)


@pytest.mark.skipif("fftw" not in LIBRARIES, reason="pyfftw is not installed")
def test_a_plan_is_found_once_and_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STXMDIST_CACHE", str(tmp_path))
    fourier.transform((1, 24, 24), "fftw")
    (path,) = (tmp_path / "fftw").iterdir()
    wisdom = path.read_bytes()
    assert b"fftw" in wisdom
    fourier.transform((1, 24, 24), "fftw")
    assert [p.name for p in (tmp_path / "fftw").iterdir()] == [path.name]
    assert path.read_bytes() == wisdom
    assert not fourier._write_first(path, b"another's") or path.read_bytes() == wisdom


@pytest.mark.skipif("fftw" not in LIBRARIES, reason="pyfftw is not installed")
def test_other_wisdom_of_the_process_survives_planning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyfftw

    monkeypatch.setenv("STXMDIST_CACHE", str(tmp_path))
    array = pyfftw.empty_aligned(360, "complex64")
    pyfftw.FFTW(array, array, flags=("FFTW_MEASURE",))
    before = sorted(pyfftw.export_wisdom()[1].splitlines())
    fourier.transform((1, 22, 22), "fftw")
    assert sorted(pyfftw.export_wisdom()[1].splitlines()) == before


@pytest.mark.parametrize("content", [b"", b"not wisdom", b"(fftw-9.9.9 fftwf_wisdom #x0 #x0 #x0 #x0\n)\n"])
@pytest.mark.skipif("fftw" not in LIBRARIES, reason="pyfftw is not installed")
def test_a_damaged_cache_is_not_fatal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setenv("STXMDIST_CACHE", str(tmp_path))
    fourier.transform((1, 20, 20), "fftw")
    (path,) = (tmp_path / "fftw").iterdir()
    path.write_bytes(content)
    plan = fourier.transform((1, 20, 20), "fftw")
    plan.buffer[0, 0, 0] = 1.0
    plan.forward()
    np.testing.assert_allclose(plan.buffer, 1.0, atol=1e-6)


@pytest.mark.skipif("fftw" not in LIBRARIES, reason="pyfftw is not installed")
def test_without_a_place_for_the_cache_plans_are_estimated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder is wanted")
    monkeypatch.setenv("STXMDIST_CACHE", str(blocked))
    plan = fourier.transform((1, 20, 20), "fftw")
    plan.buffer[0, 0, 0] = 1.0
    plan.forward()
    np.testing.assert_allclose(plan.buffer, 1.0, atol=1e-6)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STXMDIST_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert fourier.cache_folder() == Path("/somewhere/stxmdist")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert fourier.cache_folder().parts[-3:] == ("Library", "Caches", "stxmdist")


SCRIPT = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from conftest import measure, run
from stxmdist.ptychography.reconstruct import Step
problem = measure(counts=1e5, whole=False, modes=2).problem
found = run(problem, Step("epie", 6), Step("lsqml", 3), n_modes=2, seed=7)
print(hashlib.sha256(found.object_.tobytes() + found.probe.tobytes() + found.error.tobytes()).hexdigest())
"""


@pytest.mark.slow
@pytest.mark.long
def test_two_processes_that_begin_together_agree_to_the_last_bit(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    environment = os.environ | {"STXMDIST_CACHE": str(tmp_path), "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parents[1])]
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    prints = [process.communicate(timeout=200)[0].strip() for process in both]
    assert len(prints[0]) == 64
    assert prints[0] == prints[1]
