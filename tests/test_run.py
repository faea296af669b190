"""The script ./run: it sets up once, takes up what was interrupted, and leaves standard output to the command.

The set-ups here are real but for the lock, which names no package, so that none needs a network.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[1]
MODULE = "import sys\nprint('ran', sys.argv[1:])\nraise SystemExit(7 if 'fail' in sys.argv else 0)\n"
PYTEST = "import os, sys\nprint('pytest', sys.argv[1:], os.getcwd())\n"


# Of the environment's own interpreter the one below it: that has pip, as a user's has.
PYTHON = getattr(sys, "_base_executable", sys.executable)


def write_checkout(folder: Path) -> Path:
    """A checkout whose lock is empty, in a folder with a space, with stand-ins for stxmdist and pytest."""
    checkout = folder / "a checkout"
    (checkout / "stxmdist").mkdir(parents=True)
    (checkout / "stxmdist" / "__init__.py").touch()
    (checkout / "stxmdist" / "__main__.py").write_text(MODULE)
    (checkout / "pytest.py").write_text(PYTEST)
    (checkout / "requirements.lock").write_text("# nothing\n")
    shutil.copy2(ROOT / "run", checkout / "run")
    return checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return write_checkout(tmp_path)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose environment stands."""
    checkout = write_checkout(tmp_path_factory.mktemp("standing"))
    status, out, err = run(checkout, "setup")
    assert (status, out, "4/4" in err) == (0, "", True), err
    return checkout


def start(checkout: Path, *arguments: str, shell: str = "sh", **environment: str) -> subprocess.Popen[str]:
    quiet = {name: value for name, value in os.environ.items() if name not in ("PYTHON", "STXMDIST_VENV", "PYTHONPATH")}
    return subprocess.Popen(
        [shell, str(checkout / "run"), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=checkout.parent,
        env=quiet | {"PYTHON": PYTHON} | environment,
    )


def run(checkout: Path, *arguments: str, shell: str = "sh", **environment: str) -> tuple[int, str, str]:
    process = start(checkout, *arguments, shell=shell, **environment)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize("shell", [name for name in ("sh", "dash", "bash") if shutil.which(name)])
def test_what_stands_is_used_quietly_and_arguments_are_passed_on(standing: Path, shell: str) -> None:
    expected = "ran ['plan', 'my campaign.yaml', '*', '']\n"
    assert run(standing, "plan", "my campaign.yaml", "*", "", shell=shell) == (0, expected, "")


def test_tests_run_in_the_checkout_and_leave_slow_ones_out_unless_asked(standing: Path) -> None:
    _, fast, _ = run(standing, "test", "-k", "a or b")
    _, slow, _ = run(standing, "test", "-k", "a or b", "--slow", "tests")
    spread = "'-n', 'logical', '--dist', 'loadfile', '--no-loadscope-reorder'"
    assert fast == f"pytest [{spread}, '-m', 'not slow', '-k', 'a or b'] {standing}\n"
    assert slow == f"pytest [{spread}, '-k', 'a or b', 'tests'] {standing}\n"
    assert run(standing, "test", "-n", "1")[1] == f"pytest ['-m', 'not slow', '-n', '1'] {standing}\n"


def test_a_status_is_passed_on(standing: Path) -> None:
    assert run(standing, "fail")[0] == 7


def test_the_environment_finds_its_checkout_from_anywhere(standing: Path) -> None:
    script = standing / ".venv" / "bin" / "stxmdist"
    # The tests themselves run with another checkout on the path.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    out = subprocess.run([script, "a b"], cwd="/", env=environment, capture_output=True, text=True, check=True).stdout
    assert out == "ran ['a b']\n"


def test_what_does_not_fit_is_made_again(checkout: Path) -> None:
    run(checkout, "setup")
    for reason in ("another lock", "an interrupted set-up", "a moved checkout"):
        (checkout / ".venv" / "witness").touch()
        if reason == "another lock":
            (checkout / "requirements.lock").write_text("# still nothing\n")
        elif reason == "an interrupted set-up":
            (checkout / ".venv" / "ready").unlink()
        else:
            checkout = checkout.rename(checkout.with_name("elsewhere"))
        status, _, err = run(checkout, "setup")
        assert (status, "4/4" in err) == (0, True), f"{reason}: {err}"
        assert not (checkout / ".venv" / "witness").exists(), reason
        assert run(checkout, "setup") == (0, "", ""), reason


def test_of_two_at_once_one_sets_up_and_the_other_waits(checkout: Path) -> None:
    both = [start(checkout, "plan") for _ in range(2)]
    ended = [(process.communicate(timeout=60), process.returncode) for process in both]
    assert [(out, status) for (out, _), status in ended] == [("ran ['plan']\n", 0)] * 2
    assert sorted("4/4" in err for (_, err), _ in ended) == [False, True]


def test_an_environment_of_somebody_else_is_not_touched(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "theirs").touch()
    status, _, err = run(checkout, "setup")
    assert status == 2
    assert "not made by ./run" in err
    assert (checkout / ".venv" / "theirs").exists()


def test_an_environment_of_another_checkout_is_not_taken_from_it(standing: Path, tmp_path: Path) -> None:
    venv = standing / ".venv"
    before = (venv / "ready").read_text()
    status, out, err = run(write_checkout(tmp_path), "plan", STXMDIST_VENV=str(venv))
    assert (status, out) == (2, "")
    assert f"is the environment of {standing}" in err
    assert (venv / "ready").read_text() == before
    assert run(standing, "plan") == (0, "ran ['plan']\n", "")


def test_an_interpreter_that_does_not_fit_is_named(checkout: Path) -> None:
    status, _, err = run(checkout, "setup", PYTHON="/bin/false")
    assert (status, "PYTHON=/bin/false" in err) == (2, True)


def test_without_arguments_it_says_what_there_is(checkout: Path) -> None:
    status, out, err = run(checkout)
    assert (status, out) == (2, "")
    assert "./run demo" in err
