"""What CONTRIBUTING.md shows works: each part is added as its file and its line, and a campaign runs with them."""

import importlib.util
import re
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from storage.store import Store
from storage.tables import read_table
from stxmdist import readers
from stxmdist.campaign.manifest import load
from stxmdist.export.write import export
from stxmdist.planning.execute import CampaignRun, RunRequest, campaign_and_options
from stxmdist.planning.forecast import forecast_of
from stxmdist.planning.status import status_of
from stxmdist.registry import Entry, Table
from tests.stages.tiny import STXM, tiny_campaign, with_options

ROOT = Path(__file__).resolve().parents[1]
ADDED = re.compile(
    r"^### An? (?P<kind>[\w ]+)\n+`(?P<file>[\w/]+\.py)`\n+```python\n(?P<source>.*?)```\n+"
    r"`(?P<table>[\w/]+\.py)`\n+```diff\n(?P<diff>.*?)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Addition:
    """One part as the page shows it."""

    kind: str
    file: str
    source: str
    table: str
    diff: str

    @property
    def module(self) -> str:
        return self.file.removesuffix(".py").replace("/", ".")

    @property
    def line(self) -> str:
        """The line that is added."""
        (line,) = [line[1:].strip() for line in self.diff.splitlines() if line.startswith("+")]
        return line

    @property
    def context(self) -> str:
        """What stands before it in the table's file."""
        return "".join(f"{line[1:]}\n" for line in self.diff.split("\n+")[0].splitlines())


ADDITIONS = {
    found["kind"]: Addition(**found.groupdict()) for found in ADDED.finditer((ROOT / "CONTRIBUTING.md").read_text())
}


def table_of(addition: Addition) -> Table[Entry[object]]:
    module = import_module(addition.table.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    (table,) = (value for value in vars(module).values() if isinstance(value, Table) and value.kind != "writer")
    return table


def entries_of(addition: Addition) -> dict[str, Entry[object]]:
    """The added line, evaluated where it would stand."""
    module = sys.modules[addition.table.removesuffix(".py").removesuffix("/__init__").replace("/", ".")]
    found: dict[str, Entry[object]] = eval("{" + addition.line + "}", dict(vars(module)))  # our own page
    return found


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All parts of the page, as if their files and lines were in the tree."""
    for addition in ADDITIONS.values():
        path = tmp_path / "added" / addition.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(addition.source)
        spec = importlib.util.spec_from_file_location(addition.module, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, addition.module, module)
        spec.loader.exec_module(module)
        table = table_of(addition)
        before = re.findall(r'"([\w-]+)": \w*Entry', addition.context)
        members = dict(table.items())
        place = list(members).index(before[-1]) + 1 if before else len(members)
        items = list(members.items())
        monkeypatch.setattr(table, "_entries", dict([*items[:place], *entries_of(addition).items(), *items[place:]]))


def test_the_page_shows_one_of_each_kind() -> None:
    assert set(ADDITIONS) == {
        "fitter",
        "engine",
        "reader",
        "explorer",
        "metric",
        "particle metric",
        "analysis",
        "figure",
        "export",
        "stage",
    }


@pytest.mark.parametrize("addition", ADDITIONS.values(), ids=ADDITIONS)
def test_the_line_has_its_place_in_the_table_as_it_is_now(addition: Addition) -> None:
    assert addition.context in (ROOT / addition.table).read_text()
    assert not (ROOT / addition.file).exists()


@pytest.mark.slow
@pytest.mark.long
def test_a_campaign_runs_with_one_more_of_each_kind(added: None, tmp_path: Path) -> None:
    campaign = tiny_campaign(tmp_path / "campaign")
    with_options(
        campaign,
        {
            "fit": {"fitter": "unweighted"},
            "explore": {"methods": ["pca", "leading"]},
            "reconstruct": {"schedule": [{"engine": "descent", "iterations": 20, "options": {"damping": 0.1}}]},
            "contrast": {"strong_od": 0.25},
        },
    )
    saved_by_numpy(campaign, STXM[0])
    assert "contrast" in {stage.stage for stage in forecast_of(*campaign_and_options(campaign)).stages}
    with CampaignRun(RunRequest(str(campaign), cluster="inline")) as run:
        for name in run.stages:
            report = run.stage(name)
            assert not report.refusals, report.refusals[0].sentence
    assert status_of(campaign).complete
    store = Store(campaign.parent / "store").open()

    published = {name: store.publication(name) for name in ("reconstruct", "contrast", "explore", "fit")}
    assert {scan.state for found in published.values() if found for scan in found.scans.values()} == {"done"}
    contrast = published["contrast"]
    assert contrast is not None
    assert contrast.scans[STXM[0]].quality["strong"] is True
    explored = store.published_output("explore", STXM[0])
    assert explored is not None
    assert explored.read("lead_maps").shape[0] == 2
    fit = published["fit"]
    assert fit is not None
    assert fit.options["fitter"] == "unweighted"
    tables = campaign.parent / "store" / "tables"
    scans = read_table(tables / "scans.parquet")
    assert "contrast" in set(scans["stage"])
    assert {"soc_halves", "soc_halves_se"} <= set(read_table(tables / "particles.parquet").columns)
    assert read_table(tables / "counted.parquet")["n_particles"].sum() > 0
    effects = read_table(tables / "effects.parquet")
    assert "length" in set(effects["endpoint"])

    assert len(pd.read_csv(campaign.parent / "store" / "report" / "figures" / "F14-thickness.csv")) >= 12

    written = export(campaign, "text", out=tmp_path / "out")
    assert not written.lacks
    table = np.loadtxt(tmp_path / "out" / f"{STXM[0]}.txt")
    soc = store.published_output("fit", STXM[0])
    assert soc is not None
    np.testing.assert_allclose(table[:, 2], soc.read("soc").ravel(), rtol=1e-6)


def saved_by_numpy(campaign: Path, scan_id: str) -> None:
    """Let a scan of the campaign be a file of the added format."""
    (scan,) = (scan for scan in load(campaign).scans if scan.scan_id == scan_id)
    (recording,) = readers.read(scan.file)
    assert isinstance(recording, readers.StxmRecording)
    path = scan.file.with_suffix(".npz")
    counts = np.stack([recording.read(index) for index in range(len(recording.energy_ev))])
    np.savez(path, counts=counts, energy_ev=recording.energy_ev, y_um=recording.y_um, x_um=recording.x_um)
    assert readers.detect(path) == "npz"
    sheet = campaign.parent / "samples.csv"
    rows = pd.read_csv(sheet, dtype=str, keep_default_na=False)
    rows.loc[rows["scan_id"] == scan_id, "file"] = str(path.relative_to(campaign.parent))
    rows.to_csv(sheet, index=False)
