"""What every stage promises, asked of all of them on one campaign."""

import ast
import inspect
import pickle
import re
import shutil
from collections import defaultdict
from dataclasses import MISSING, FrozenInstanceError, fields, is_dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pandas as pd
import pytest

from storage.ownership import check_disjoint, unowned
from storage.store import safe_name
from stxmdist.planning.execute import campaign_and_options
from stxmdist.planning.headers import survey_of
from stxmdist.planning.stages import STAGES
from stxmdist.planning.survey import Survey
from stxmdist.runner import CAMPAIGN
from stxmdist.runner.unit import Estimate, Plan, Unit

MOST_UNIT_BYTES = 10_000
"""A unit goes through the scheduler: identifiers and options, never pixels."""
MOST_FILE_NAME = 120


@pytest.fixture(scope="module")
def survey(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Survey:
    """The tiny campaign, with its wide-field scans said to be one region at two times: every stage has work to do."""
    path = shutil.copytree(simulated.parent, tmp_path_factory.mktemp("contract") / "campaign") / simulated.name
    sheet = path.parent / "samples.csv"
    rows = pd.read_csv(sheet, dtype=str, keep_default_na=False)
    wide = rows["modality"] == "stxm"
    rows.loc[wide, ["electrode_id", "region_id"]] = ["E01", "seen twice"]
    rows.loc[wide, "time_h"] = [f"{hours}" for hours in range(int(wide.sum()))]
    rows.to_csv(sheet, index=False)
    campaign, options = campaign_and_options(path)
    return survey_of(campaign, options, forecast=True)


@pytest.fixture(params=STAGES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def stage(name: str) -> Any:
    return STAGES[name].load()


@pytest.fixture
def units(stage: Any, survey: Survey) -> tuple[Unit, ...]:
    plan = stage.plan(survey, survey.options[stage.name])
    assert isinstance(plan, Plan)
    assert plan.refusals == ()
    assert plan.units
    return plan.units


def by_output(units: tuple[Unit, ...]) -> dict[tuple[str, str], list[Unit]]:
    found: dict[tuple[str, str], list[Unit]] = defaultdict(list)
    for unit in units:
        found[unit.scan_id, unit.digest].append(unit)
    return found


def test_a_stage_says_who_it_is_and_what_it_can(name: str, stage: Any) -> None:
    assert name == stage.name
    assert type(stage.version) is int
    assert stage.version >= 1
    for function in ("upstream", "concerns", "identity", "plan", "work", "finish"):
        assert inspect.isfunction(getattr(stage, function)), function
        assert getattr(stage, function).__doc__, function


def documented(kind: type) -> set[str]:
    """Fields of a dataclass and its bases with a docstring under them.

    The options of explorers are fields made from their table: what explains them is the docstring of their class.
    """
    (base,) = kind.__bases__
    inherited = documented(base) if base is not object else set()
    tree = ast.parse(inspect.getsource(inspect.getmodule(kind)))  # type: ignore[arg-type]
    bodies = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind.__name__]
    if not bodies:
        return inherited | {name for name, member in kind.__annotations__.items() if member.__doc__}
    (body,) = bodies
    return inherited | {
        above.target.id
        for above, below in pairwise(body)
        if isinstance(above, ast.AnnAssign)
        and isinstance(above.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
    }


def check_options(kind: type) -> None:
    default = kind()
    assert kind.__doc__
    assert kind() == default
    for field in fields(kind):
        assert field.default is not MISSING or field.default_factory is not MISSING, field.name
        with pytest.raises(FrozenInstanceError):
            setattr(default, field.name, None)
        if is_dataclass(value := getattr(default, field.name)):
            check_options(type(value))
    assert {field.name for field in fields(kind)} == documented(kind)
    assert set(get_type_hints(kind)) == documented(kind)


def test_options_are_frozen_and_every_one_is_explained(stage: Any) -> None:
    check_options(stage.options)


def test_units_are_small_and_carry_no_arrays(units: tuple[Unit, ...]) -> None:
    def check(value: Any) -> None:
        assert not isinstance(value, np.ndarray)
        value = vars(value) if is_dataclass(value) and not isinstance(value, type) else value
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        for one in inner:
            check(one)

    for unit in units:
        sent = replace(unit, arrays=())
        content = pickle.dumps(sent)
        assert len(content) < MOST_UNIT_BYTES
        assert pickle.loads(content) == sent
        check(vars(sent))
        check(vars(unit.options))


def test_every_shard_has_one_owner(units: tuple[Unit, ...]) -> None:
    for group in by_output(units).values():
        owners = check_disjoint((unit.name, unit.owns) for unit in group)
        layouts = {plan.name: plan.layout() for plan in group[0].arrays}
        assert unowned(owners, {name: (layout.shape, layout.shards) for name, layout in layouts.items()}) == []
        assert {array for unit in group for array in unit.owns} == set(layouts)
        # What is declared is the same whichever unit of the output the runner takes it from.
        assert len({tuple(plan.name for plan in unit.arrays) for unit in group}) == 1


def test_units_of_an_output_have_names_of_files(units: tuple[Unit, ...], name: str) -> None:
    for group in by_output(units).values():
        names = [unit.name for unit in group]
        assert len(set(names)) == len(names)
        for unit in group:
            assert unit.stage == name
            assert safe_name("unit", unit.name) == unit.name
            assert re.fullmatch(r"[\w.-]+", unit.name, re.ASCII)
            assert len(unit.name) < MOST_FILE_NAME


def test_a_plan_says_what_units_take(units: tuple[Unit, ...]) -> None:
    for unit in units:
        estimate: Estimate = unit.estimate
        # Bytes of arrays: the stage that leaves a scan only tables writes none.
        assert estimate.bytes_out > 0 or (estimate.bytes_out == 0 and unit.stage == "network")
        assert estimate.peak_bytes > 0
        assert estimate.core_seconds > 0
    for group in by_output(units).values():
        if group[0].arrays:
            arrays = sum(plan.layout().nbytes for plan in group[0].arrays)
            # Padded tiles are counted whole, blocks by their rows: each unit's share is rounded down to a byte.
            assert sum(unit.estimate.bytes_out for unit in group) == pytest.approx(arrays, rel=1e-3)


def test_a_unit_reads_what_its_stage_says_it_reads(units: tuple[Unit, ...], stage: Any, survey: Survey) -> None:
    for unit in units:
        assert {(s.stage, s.scan_id) for s in unit.sources} == set(stage.upstream(survey, unit.scan_id))
        assert stage.concerns(survey, unit.scan_id)
        assert all(source.digest == survey.digest(source.stage, source.scan_id) for source in unit.sources)
        # Earlier stages only: the order of the table is the order of a run.
        assert all(list(STAGES).index(s.stage) < list(STAGES).index(unit.stage) for s in unit.sources)


def test_planning_is_repeatable(units: tuple[Unit, ...], stage: Any, survey: Survey) -> None:
    assert [unit.name for unit in stage.plan(survey, survey.options[stage.name]).units] == [u.name for u in units]
    assert len({(unit.scan_id, unit.digest) for unit in units}) == len({unit.scan_id for unit in units})


def test_what_a_stage_concerns_is_planned(units: tuple[Unit, ...], stage: Any, survey: Survey) -> None:
    whole = {CAMPAIGN} if stage.whole_campaign else set(survey.scans)
    assert {unit.scan_id for unit in units} == {scan_id for scan_id in whole if stage.concerns(survey, scan_id)}
