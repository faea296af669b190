"""The smallest campaign that goes through every stage: two electrodes, one cycle, both modalities, awkward sizes."""

import csv
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from stxmdist.planning.execute import CampaignRun, RunRequest
from stxmdist.planning.stages import STAGES
from stxmdist.simulation.folder import simulate_size
from stxmdist.simulation.sizes import TINY

STXM = ("stxm-E01-c001-r1", "stxm-E02-c001-r1")
PTYCHOGRAPHY = ("ptycho-E01-c001-r1", "ptycho-E02-c001-r1")

OPTIONS = {
    "fit": {"rows_per_unit": 25},
    "reconstruct": {"positions_per_tile": 40, "halo_um": 0.2, "schedule": [{"engine": "rpie", "iterations": 20}]},
}
"""Several units for each scan, blocks and tiles uneven, and few iterations."""

TIMES = ("seconds", "core_seconds")
"""Columns of the table of scans with what the work has taken; they are never the same twice."""


def tiny_campaign(folder: Path) -> Path:
    """Simulate it; its campaign file."""
    simulate_size(folder, TINY, 5, workers=1, report=lambda line: None)
    path = folder / "campaign.yaml"
    return with_options(path, OPTIONS)


def with_options(path: Path, options: dict[str, dict[str, Any]]) -> Path:
    """Change options of stages in a campaign file."""
    yaml = YAML()
    written = yaml.load(path.read_text())
    for stage, values in options.items():
        written["stages"].setdefault(stage, {}).update(values)
    with path.open("w") as file:
        yaml.dump(written, file)
    return path


def with_cluster(path: Path, section: dict[str, Any]) -> Path:
    """Change who computes in a campaign file."""
    yaml = YAML()
    written = yaml.load(path.read_text())
    written["cluster"] = section
    with path.open("w") as file:
        yaml.dump(written, file)
    return path


def assert_same_tables(store: Path, other: Path) -> None:
    """Every published table is the same to the last digit, but for the time that scans took."""
    tables = _written_in(other / "tables")
    assert len(tables) > 20
    here = _written_in(store / "tables")
    assert here.keys() == tables.keys()
    assert [name for name in tables if here[name] != tables[name]] == []


def _written_in(tables: Path) -> dict[str, list[dict[str, str]]]:
    rows = {path.name: list(csv.DictReader(path.open(newline=""))) for path in tables.glob("*.csv")}
    return {
        name: [{column: text for column, text in row.items() if column not in TIMES} for row in table]
        for name, table in rows.items()
    }


def tiny_run(campaign: Path) -> None:
    """Run it in this process, all but the report, which takes longest and computes nothing."""
    stages = tuple(name for name in STAGES if name != "report")
    with CampaignRun(RunRequest(str(campaign), stages, cluster="inline")) as run:
        for name in run.stages:
            report = run.stage(name)
            assert not report.refusals, report.refusals[0].sentence
