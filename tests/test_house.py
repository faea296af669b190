"""The house itself: its floors, its names, its lock and its wheel."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("stxmdist", "storage", "flows")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

HEAVY = ("dask", "distributed", "numba", "prefect", "cupy", "matplotlib", "pandas", "zarr", "numpy")
"""`import stxmdist` is done by every command, the shell's completion among them."""

NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "core", "misc"}

FLOORLESS = {"__init__", "__main__"}
"""Modules of stxmdist that stand on no floor: the package itself, and `python -m stxmdist`."""


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)


def test_imports_run_downward() -> None:
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = command("-c", program)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 kept, 0 broken" in done.stdout


def test_every_module_stands_on_a_floor() -> None:
    (floors,) = (c["layers"] for c in PROJECT["tool"]["importlinter"]["contracts"] if c["id"] == "floors")
    on_floors = {name.removeprefix("stxmdist.") for floor in floors for name in re.findall(r"[\w.]+", floor)}
    modules = {path.stem for path in (ROOT / "stxmdist").glob("*.py")}
    packages = {path.name for path in (ROOT / "stxmdist").iterdir() if any(path.glob("*.py"))}
    assert (modules | packages) - FLOORLESS - on_floors == set()


def test_no_package_lacks_its_first_file() -> None:
    # A folder without it is no package to the linter: what it imports would go unseen.
    assert [path for path in SOURCES if not (path.parent / "__init__.py").exists()] == []


def test_importing_stxmdist_is_light() -> None:
    done = command("-c", f"import sys, stxmdist; print([name for name in {HEAVY} if name in sys.modules])")
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_names_say_something() -> None:
    paths = [*SOURCES, *(ROOT / "tests").rglob("*.py")]
    assert [path for path in paths if NAMES_THAT_SAY_NOTHING & set(path.relative_to(ROOT).with_suffix("").parts)] == []


def test_every_file_says_what_it_is_for() -> None:
    silent = [path for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_tests_are_no_package() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def lock_lines() -> list[str]:
    return (ROOT / "requirements.lock").read_text().splitlines()


def test_the_lock_pins_everything_and_names_no_address() -> None:
    pin = re.compile(r"[a-z0-9][a-z0-9.-]*==[a-z0-9.!+]+( ; [a-z_]+ .+)?")
    assert [line for line in lock_lines() if not pin.fullmatch(line)] == []
    assert not re.search(r"://|@ |\bfile:|--(index|extra|find)", "\n".join(lock_lines()))


def test_the_lock_holds_what_the_project_asks_for() -> None:
    locked = {line.split("==")[0] for line in lock_lines()}
    asked = PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"]
    asked += PROJECT["project"]["optional-dependencies"]["fftw"]
    names = {re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace(".", "-") for requirement in asked}
    assert names - locked == set()
    # Prefect's server of this version dies at start with a later one, which its own metadata allows.
    (fastapi,) = (line for line in lock_lines() if line.startswith("fastapi=="))
    assert tuple(int(part) for part in fastapi.split("==")[1].split(".")[:2]) < (0, 151)


def test_the_wheel_holds_three_packages_and_cannot_be_uploaded(tmp_path: Path) -> None:
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == list(PACKAGES)
    assert "Private :: Do Not Upload" in PROJECT["project"]["classifiers"]
    pytest.importorskip("hatchling")
    done = command("-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = wheel.namelist()
        (metadata,) = (wheel.read(name).decode() for name in names if name.endswith("/METADATA"))
    folders = {name.split("/")[0] for name in names}
    assert folders == {*PACKAGES, next(f for f in folders if f.endswith(".dist-info"))}
    assert {path.relative_to(ROOT).as_posix() for path in SOURCES} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "Classifier: Private :: Do Not Upload" in metadata


def test_version_and_licence_are_the_same_everywhere() -> None:
    citation = YAML(typ="safe").load(ROOT / "CITATION.cff")
    version = re.search(r'^__version__ = "(.+)"$', (ROOT / "stxmdist" / "__init__.py").read_text(), re.MULTILINE)
    assert version is not None
    assert citation["version"] == PROJECT["project"]["version"] == version[1]
    assert citation["license"] == PROJECT["project"]["license"] == "BSD-3-Clause"
    assert "The stxmdist developers" in (ROOT / "LICENSE").read_text()


def test_every_local_link_of_the_readme_leads_somewhere() -> None:
    text = (ROOT / "README.md").read_text()
    links = re.findall(r"\]\(([^)#:]+)\)|(?:src|href)=\"([^\":#]+)\"", text)
    missing = [link for pair in links for link in pair if link and not (ROOT / link).exists()]
    assert missing == []


def test_code_is_in_the_style_of_the_house() -> None:
    done = command("-m", "ruff", "check", "--no-cache", ".")
    assert done.returncode == 0, done.stdout


def test_storage_and_the_pure_wings_are_typed() -> None:
    done = command("-m", "mypy")
    assert done.returncode == 0, done.stdout
