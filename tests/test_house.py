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


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in SOURCES}
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}


def imported(name: str) -> set[str]:
    """The modules of the house that a module imports, at its top, in a function or for types alone.

    An import of ``a.b.c`` runs ``a.b`` as well, and so imports it. The first files of the three packages are left out:
    they hold nothing that their modules want, and `stxmdist.open` in one of them is a face.
    """
    named: set[str] = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports by a relative name"
            named |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    above = {word.rpartition(".")[0] for word in named}
    return {word for word in named | above if word in MODULES} - {name, *PACKAGES}


def test_no_modules_import_one_another_in_a_circle() -> None:
    """A circle is what remains once every module that imports nothing of the remainder is taken out, from both ends."""
    imports = {name: imported(name) for name in MODULES}
    left = set(imports)
    while True:
        importing = {name for name in left if imports[name] & left}
        asked_for = {word for name in left for word in imports[name]}
        still = importing & asked_for
        if still == left:
            break
        left = still
    assert {name: sorted(imports[name] & left) for name in left} == {}


MOST_LINES_OF_FILE, MOST_LINES_OF_FUNCTION = 400, 80


def reason_for(name: str, words: str) -> bool:
    """Whether a module's docstring says why something in it is long."""
    return words.casefold() in " ".join((ast.get_docstring(TREES[name]) or "").split()).casefold()


def test_long_files_say_why() -> None:
    words = f"longer than {MOST_LINES_OF_FILE} lines because"
    lines = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    long = {name: n for name, n in lines.items() if n > MOST_LINES_OF_FILE}
    assert {name: n for name, n in long.items() if not reason_for(name, words)} == {}, f"say why: '{words} ...'"


def test_long_functions_say_why() -> None:
    long = {
        f"{name}:{node.name}": node.end_lineno - node.lineno + 1
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
        if node.end_lineno - node.lineno + 1 > MOST_LINES_OF_FUNCTION
    }
    words = f"`{{}}` is longer than {MOST_LINES_OF_FUNCTION} lines because"
    silent = {place: n for place, n in long.items() if not reason_for((p := place.split(":"))[0], words.format(p[1]))}
    assert silent == {}, f"say why in the module's docstring: '{words} ...'"


ARRAY_TYPE = re.compile(r"\b(np\.ndarray|numpy\.ndarray|npt\.NDArray|NDArray)\b")


def test_types_of_arrays_have_their_names_in_one_file() -> None:
    """An alias is a name at the top of a module that stands for a type of array and for nothing else."""
    aliases = {
        f"{name}:{node.lineno}": ast.unparse(node)
        for name, tree in TREES.items()
        if name != "stxmdist.arrays"
        for node in ast.iter_child_nodes(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        if ARRAY_TYPE.match(ast.unparse(node.value))
    }
    assert aliases == {}


def test_no_array_is_one_of_anything() -> None:
    places = {
        f"{name}:{node.lineno}": ast.unparse(node)
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and ast.unparse(node).startswith("np.ndarray[Any")
    }
    assert places == {}


def test_no_stage_imports_another() -> None:
    """A stage is what the table of stages names; what several of them read together lies in `stages.inputs`."""
    from stxmdist.planning.stages import STAGES

    homes = {entry.where.partition(":")[0].removeprefix("stxmdist.stages.").split(".")[0] for entry in STAGES.values()}
    found = {}
    for name in MODULES:
        if not name.startswith("stxmdist.stages."):
            continue
        own = name.split(".")[2]
        others = {word for word in imported(name) if word.startswith("stxmdist.stages.")}
        wrong = {word for word in others if word.split(".")[2] in homes - {own}}
        if wrong:
            found[name] = sorted(wrong)
    assert found == {}


MOST_ANY_PER_1000_LINES = 8


def test_few_things_are_of_any_type(capsys: pytest.CaptureFixture[str]) -> None:
    def share(paths: list[Path]) -> tuple[int, int]:
        texts = [path.read_text() for path in paths]
        return sum(len(re.findall(r"\bAny\b", text)) for text in texts), sum(len(text.splitlines()) for text in texts)

    rooms: dict[str, list[Path]] = {}
    for name, path in MODULES.items():
        rooms.setdefault(".".join(name.split(".")[: 2 if name.startswith("stxmdist") else 1]), []).append(path)
    count, lines = share(SOURCES)
    with capsys.disabled():
        per_room = {room: 1000 * n / max(1, total) for room, (n, total) in ((r, share(p)) for r, p in rooms.items())}
        most = sorted(((value, room) for room, value in per_room.items() if value > 0), reverse=True)
        print(f"\nAny: {count} in {lines} lines, {1000 * count / lines:.1f} per 1,000; most in", end=" ")
        print(", ".join(f"{room} {value:.0f}" for value, room in most[:8]))
    assert 1000 * count / lines <= MOST_ANY_PER_1000_LINES


STRING_KEYS = re.compile(r"""(\.(part|index)|\b(measures|quality))(\[|\.get\()["']""")


def test_units_and_measures_have_fields_and_no_keys() -> None:
    places = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in SOURCES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if STRING_KEYS.search(line)
    ]
    assert places == [], "\n".join(places)


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


def test_code_is_formatted() -> None:
    done = command("-m", "ruff", "format", "--check", "--no-cache", ".")
    assert done.returncode == 0, done.stdout


def test_words_are_spelt_right() -> None:
    done = command("-m", "codespell_lib")
    assert done.returncode == 0, done.stdout


def test_everything_is_typed() -> None:
    done = command("-m", "mypy")
    assert done.returncode == 0, done.stdout
