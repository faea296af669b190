"""What Prometheus reads: by its own parser, of nothing, of what is published, of a run that goes on, of mistakes."""

import json
import os
import re
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from storage.publication import write_publication
from storage.store import Store
from stxmdist.campaign.manifest import load
from stxmdist.dashboard.access import Access
from stxmdist.dashboard.app import application
from stxmdist.dashboard.exposition import CONTENT_TYPE, Gauge, Sample, text_of
from stxmdist.dashboard.metrics import GAUGES
from stxmdist.runner.last_good import note_good
from stxmdist.runner.run import Progress, nobody_watches
from stxmdist.runner.run_state import RunStateFile

HERE = "http://127.0.0.1"
BOARD = Path(__file__).parents[2] / "docs" / "how-to" / "grafana.json"
BASE_UNITS = ("_bytes", "_seconds", "_info")
"""Prometheus wants base units, and names that end with them"""
COUNTED = {"stxmdist_campaign_readable", "stxmdist_scans", "stxmdist_published_units", "stxmdist_runs",
           "stxmdist_watching", "stxmdist_run_units"}  # fmt: skip
"""What has no unit"""
MOST_SECONDS_OF_10_000 = 1.0
"""For a reading of ten thousand scans that are published; Prometheus gives up after ten"""

Found = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(client: TestClient) -> Found:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == CONTENT_TYPE
    families = list(text_string_to_metric_families(answer.text))
    assert all(family.documentation and family.type == "gauge" for family in families)
    samples = [sample for family in families for sample in family.samples]
    found = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
    assert len(found) == len(samples), "no series twice"
    return found


def value(found: Found, name: str, **labels: str) -> float:
    (one,) = [found[key] for key in found if key[0] == name and labels.items() <= dict(key[1]).items()]
    return one


def names(found: Found) -> set[str]:
    return {name for name, _ in found}


def client_of(*paths: Path, access: Access | None = None) -> TestClient:
    return TestClient(application(paths, access), base_url=HERE)


def test_every_gauge_is_named_and_explained_as_prometheus_recommends() -> None:
    for gauge in GAUGES:
        assert re.fullmatch(r"stxmdist_[a-z_]+", gauge.name)
        assert gauge.name.endswith(BASE_UNITS) != (gauge.name in COUNTED)
        assert gauge.meaning.endswith(".")


def test_words_of_others_stay_words() -> None:
    gauge, wild = Gauge("g", "What."), 'a"b\\c\nd{x="y"} 1'
    (family,) = text_string_to_metric_families(text_of([gauge], [Sample(gauge, {"campaign": wild}, float("inf"))]))
    (sample,) = family.samples
    assert sample.labels == {"campaign": wild}
    assert sample.value == float("inf")


def test_what_is_published_is_counted(processed: Path) -> None:
    found, campaign = read(client_of(processed)), load(processed)
    store = Store(campaign.store)
    assert value(found, "stxmdist_scans") == len(campaign.scans) == 4
    for stage in store.published_stages():
        publication = store.publication(stage)
        assert publication is not None
        units = sum(scan.units_done for scan in publication.scans.values())
        assert value(found, "stxmdist_published_units", stage=stage, state="done") == units
        n_bytes = sum(scan.bytes for scan in publication.scans.values())
        assert value(found, "stxmdist_published_bytes", stage=stage) == n_bytes
    assert value(found, "stxmdist_published_bytes", stage="fit") > 0
    assert value(found, "stxmdist_published_units", stage="fit", state="done") > 4
    newest = max(os.stat(scan.file).st_mtime for scan in campaign.scans)
    assert value(found, "stxmdist_newest_scan_timestamp_seconds") == newest
    assert 0 < time.time() - value(found, "stxmdist_last_publication_timestamp_seconds", stage="fit") < 86400
    assert value(found, "stxmdist_runs") == 0.0
    assert "stxmdist_run_units" not in names(found)


def test_a_run_that_goes_on_and_flows_that_ended_well_are_told(simulated: Path, tmp_path: Path) -> None:
    path = copytree(simulated.parent, tmp_path / "may") / "campaign.yaml"
    client = client_of(path)
    assert value(read(client), "stxmdist_runs") == 0.0
    store = Store(load(path).store).create()
    before = datetime.now(UTC) - timedelta(seconds=1)
    note_good(store.local, "nightly")
    with store.lock():
        file = RunStateFile(store.local, ("ingest", "fit"))
        file.watching(nobody_watches, lambda: None)(Progress("fit", 3, 1, 2, 10, 5.0))
        found = read(client)
    assert value(found, "stxmdist_runs", folder="may") == 1.0
    states = {state: value(found, "stxmdist_run_units", stage="fit", state=state)
              for state in ("done", "failed", "skipped", "waiting")}  # fmt: skip
    assert states == {"done": 3.0, "failed": 1.0, "skipped": 2.0, "waiting": 4.0}
    assert value(found, "stxmdist_last_good_flow_timestamp_seconds", flow="nightly") >= before.timestamp()
    # The lock is gone: the run was killed.
    assert value(read(client), "stxmdist_runs") == 0.0


def test_a_campaign_with_a_mistake_leaves_the_others_to_be_read(simulated: Path, tmp_path: Path) -> None:
    good = copytree(simulated.parent, tmp_path / "good") / "campaign.yaml"
    bad = copytree(simulated.parent, tmp_path / "bad") / "campaign.yaml"
    bad.write_text(bad.read_text() + "\nnonsense: 1\n")
    found = read(client_of(good, bad))
    assert value(found, "stxmdist_campaign_readable", folder="good") == 1.0
    assert value(found, "stxmdist_campaign_readable", folder="bad") == 0.0
    assert value(found, "stxmdist_scans", folder="good") == 4.0


def test_the_token_protects_them(simulated: Path) -> None:
    client = client_of(simulated, access=Access("a token of many letters"))
    assert client.get("/metrics").status_code == 401
    answer = client.get("/metrics", headers={"authorization": "Bearer a token of many letters"})
    assert answer.status_code == 200
    assert client.get("/metrics", headers={"host": "evil.example"}).status_code == 400


def test_ten_thousand_scans_are_read_quickly(processed: Path, tmp_path: Path) -> None:
    path = copytree(processed.parent, tmp_path / "large", symlinks=True) / "campaign.yaml"
    sheet = path.parent / "samples.csv"
    head, row, *_ = sheet.read_text().splitlines()
    name = row.split(",")[0]
    rows = [row.replace(name, f"{name}-{number}", 1) for number in range(10_000)]
    sheet.write_text("\n".join([head, *rows]) + "\n")
    store = Store(load(path, lenient=True).store)
    before = store.publication("fit")
    assert before is not None
    few = replace(next(iter(before.scans.values())), files={})
    for stage in ("ingest", "fit", "segment"):
        made = replace(before, stage=stage, scans={f"{name}-{number}": few for number in range(10_000)})
        write_publication(store.published_path / f"{stage}.json", made, None)
    client = client_of(path)
    assert value(read(client), "stxmdist_published_units", stage="fit", state="done") == 10_000 * few.units_done
    began = time.process_time()
    read(client)
    assert time.process_time() - began < MOST_SECONDS_OF_10_000


def queries(node: Any) -> Iterable[str]:
    if isinstance(node, dict):
        yield from ([node["expr"]] if "expr" in node else [])
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from queries(each)


def test_every_query_of_the_board_names_a_gauge(processed: Path) -> None:
    board = json.loads(BOARD.read_text())
    labels = {"campaign", "folder", "stage", "state", "flow", "version"}
    asked = list(queries(board["panels"]))
    for expr in asked:
        used = set(re.findall(r"stxmdist_\w+", expr))
        assert used
        assert used <= {gauge.name for gauge in GAUGES}, expr
        assert set(re.findall(r"(\w+)=~?\"", expr)) <= labels, expr
    assert {name for expr in asked for name in re.findall(r"stxmdist_\w+", expr)} >= {
        gauge.name for gauge in GAUGES if gauge.name not in ("stxmdist_build_info", "stxmdist_scans")
    }
    page = BOARD.with_name("monitoring.md").read_text()
    assert all(f"`{gauge.name}`" in page for gauge in GAUGES)


@pytest.mark.parametrize("key", ["title", "uid", "schemaVersion", "panels", "templating"])
def test_the_board_has_what_grafana_imports(key: str) -> None:
    assert json.loads(BOARD.read_text())[key]
