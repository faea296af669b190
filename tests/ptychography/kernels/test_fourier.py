"""Transforms: against numpy, and the same plan in every process."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stxmdist.ptychography.kernels import fourier

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
