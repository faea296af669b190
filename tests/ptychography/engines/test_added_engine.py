"""A new engine is one file and one line: the contract test takes it as it is, and judges it on its own merits."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from stxmdist.ptychography.cost import peak_bytes
from stxmdist.ptychography.engines.contract import ENGINES, EngineEntry, Noiseless
from stxmdist.ptychography.reconstruct import Recipe, Step
from stxmdist.registry import Entry
from tests.ptychography.engines import test_engines as contract
from tests.ptychography.kernels import test_array_sweep

pytestmark = pytest.mark.long

NAME = "descent"
FILE = '''"""Steepest descent: all frames agree on a direction, and least squares on how far."""

from dataclasses import dataclass

from stxmdist.ptychography.engines.directions import probe_direction, steps
from stxmdist.ptychography.state import refuse_unless


@dataclass(frozen=True)
class DescentOptions:
    """What may be chosen of steepest descent."""

    damping: float = 0.05
    """Light, as share of the brightest pixel's, under which object and probe are held back"""

    def __post_init__(self) -> None:
        refuse_unless(self, damping=(0.0 < self.damping < 1.0, "between 0 and 1"))


class Descent:
    """The object and the probe step after every pass over all frames."""

    def __init__(self, sweep, state, options):
        self.sweep, self.state, self.options = sweep, state, options

    def iterate(self, progress, rng, *, object_moves, probe_moves):
        sweep, state = self.sweep, self.state
        sums = sweep.gradients(state, sweep.everything)
        ahead = sweep.object_direction(sums, self.options.damping)
        probe = probe_direction(sums, self.options.damping)
        a, b = steps(sweep, state, sweep.everything, sums, ahead, probe, object_moves, probe_moves)
        state.object_[ahead.rows] += a * ahead.values
        state.probe += b * probe
        return sums.misfit
'''
LINE = EngineEntry(
    "added_engine:Descent", Entry("added_engine:DescentOptions"), noiseless=Noiseless(2000, object_error=5e-3)
)


@pytest.fixture(autouse=True)
def _added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "added_engine.py").write_text(FILE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(ENGINES._entries, NAME, LINE)
    yield
    sys.modules.pop("added_engine", None)


def over_the_table(module: ModuleType) -> list[Any]:
    """Test functions of a module that run over the whole table and take the engine's name alone."""
    found = [function for name, function in vars(module).items() if name.startswith("test_")]
    return [function for function in found if any(ENGINES is mark.args[1] for mark in marks(function))]


def marks(function: Any) -> list[Any]:
    return [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]


def others(function: Any) -> dict[str, Any]:
    """The first value of every other parameter of a test."""
    return {mark.args[0]: mark.args[1][0] for mark in marks(function) if mark.args[1] is not ENGINES}


def test_there_are_contract_tests_over_the_table() -> None:
    assert over_the_table(contract)


@pytest.mark.parametrize("function", over_the_table(contract), ids=lambda function: function.__name__)
def test_the_contract_test_runs_over_an_added_engine(function: Any, measurement: Callable[..., Any]) -> None:
    given = {"name": NAME, "measurement": measurement} | others(function)
    function(**{name: given[name] for name in inspect.signature(function).parameters})


def test_an_added_engine_runs_in_other_array_libraries(measurement: Callable[..., Any]) -> None:
    test_array_sweep.test_every_engine_finds_the_same(NAME, 0, measurement)


def test_the_memory_of_an_added_engine_is_forecast() -> None:
    assert peak_bytes(Recipe((Step(NAME, 3),)), 50, (32, 32), (64, 64), 2) > 0
