"""Programs of others that are too heavy for our own environment: ``STXMDIST_PEERS`` names the Pythons that have them.

    python3.11 -m venv peers && peers/bin/pip install ome-zarr ngio napari-ome-zarr roc-validator rocrate pynxtools
    STXMDIST_PEERS=peers/bin/python ./run test tests/export

Several are separated by colons, and each program is run by the first that can import it.
"""

import os
import subprocess
from pathlib import Path

import pytest


def python_with(module: str) -> str:
    """A Python that can import a module; the test is skipped, and says why, where none is named that can."""
    named = os.environ.get("STXMDIST_PEERS", "")
    if not named:
        pytest.skip(f"STXMDIST_PEERS names no Python with {module}")
    reasons = []
    for python in named.split(os.pathsep):
        tried = subprocess.run([python, "-c", f"import {module}"], capture_output=True, text=True, env=clean())
        if not tried.returncode:
            return python
        reasons.append(f"{python}: {tried.stderr.strip().splitlines()[-1]}")
    pytest.skip(f"{module} cannot be imported by {'; '.join(reasons)}")


def beside(python: str, command: str) -> str:
    """A command that was installed with a Python."""
    return str(Path(python).parent / command)


def clean() -> dict[str, str]:
    """The environment without our own modules."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
