"""Where the passes over frames run: in compiled loops on the CPU, or in an array library on a GPU."""

import importlib
import warnings
from types import ModuleType

from stxmdist.errors import InputError
from stxmdist.ptychography.kernels.array_sweep import ArraySweep
from stxmdist.ptychography.kernels.device_sweep import DeviceSweep, compiles
from stxmdist.ptychography.kernels.fused_sweep import FusedSweep
from stxmdist.ptychography.kernels.sweep import Sweep
from stxmdist.ptychography.problem import Problem


def sweep_on(
    namespace: ModuleType | str | None, problem: Problem, threads: int = 1, library: str | None = None
) -> Sweep:
    """Passes with one mode in an array library, ``cupy`` by its name or any other as a module.

    None means compiled loops on the CPU. They also run, after a warning, where cupy finds no GPU.

    Raises
    ------
    InputError
        for another name.
    """
    if isinstance(namespace, str):
        if namespace != "cupy":
            raise InputError(
                where="namespace",
                problem="passes cannot run in this array library",
                got=namespace,
                wanted="cupy, or nothing",
                mend="Correct the name, or leave it out",
            )
        namespace = cupy_or_none()
    if namespace is None:
        return FusedSweep(problem, 1, threads, library)
    return (DeviceSweep if compiles(namespace) else ArraySweep)(problem, 1, namespace)


def cupy_or_none() -> ModuleType | None:
    """cupy where it can be imported and finds a GPU; otherwise None, after a warning that says why."""
    cupy, reason = found_cupy()
    if cupy is None:
        warnings.warn(f"cupy cannot use a GPU here ({reason}): reconstructing on the CPU instead", stacklevel=4)
    return cupy


def found_cupy() -> tuple[ModuleType | None, str]:
    """cupy where it can be imported and finds a GPU; otherwise None, and the reason."""
    try:
        cupy = importlib.import_module("cupy")
        if cupy.cuda.runtime.getDeviceCount() > 0:
            return cupy, ""
        return None, "it finds none"
    except (ImportError, RuntimeError) as error:  # RuntimeError: what cupy raises where there is no driver
        return None, str(error)
