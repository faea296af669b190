"""A campaign in a bucket from nothing, through Prefect, its server killed in the middle: what a folder would hold."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
from ruamel.yaml import YAML

from storage.bucket_access import client_of
from storage.place import fetched
from storage.store import Store
from tests.flows.campaigns import command, environment
from tests.seaweed import Seaweed, seaweed
from tests.stages.tiny import assert_same_tables

ADDRESS = "s3://tests/campaign"
KILLED_AT = "reconstruct"
"""The stage with most units"""
AWAY_SECONDS = 5.0
"""Less than the minute for which a server is asked again"""
RUN_SECONDS = 900.0


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Seaweed]:
    """A server of the test's own."""
    with seaweed(tmp_path / "seaweed") as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        client_of.cache_clear()
        yield running
        client_of.cache_clear()


def in_bucket(simulated: Path, folder: Path) -> Path:
    """The campaign with its store at the address."""
    copytree(simulated.parent, folder, ignore=ignore_patterns("store"))
    yaml = YAML()
    path = folder / "campaign.yaml"
    written = yaml.load(path.read_text())
    written["store"] = ADDRESS
    with path.open("w") as file:
        yaml.dump(written, file)
    return path


def begun(stage: str) -> bool:
    """Whether a unit of a stage has finished."""
    return any("/units/" in name for name, _ in (Store(ADDRESS).stages_path / stage).files())  # type: ignore[union-attr]


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_campaign_in_a_bucket_gives_the_tables_of_a_folder(
    simulated: Path, processed: Path, server: Seaweed, tmp_path: Path
) -> None:
    path = in_bucket(simulated, tmp_path / "campaign")
    settings = environment(tmp_path / "prefect") | server.environment
    with (tmp_path / "said").open("w+") as said, (tmp_path / "errors").open("w+") as errors:
        process = subprocess.Popen(command("run", path, "--json"), env=settings, stdout=said, stderr=errors, cwd="/")
        ends = time.monotonic() + RUN_SECONDS
        while not begun(KILLED_AT):
            assert process.poll() is None, (tmp_path / "errors").read_text()
            assert time.monotonic() < ends
            time.sleep(0.2)
        server.kill()
        time.sleep(AWAY_SECONDS)
        server.start()
        assert process.wait(RUN_SECONDS) == 0, (tmp_path / "errors").read_text()
    outcome = json.loads((tmp_path / "said").read_text())
    assert outcome["complete"]
    assert Path(outcome["report"]).read_text().startswith("<!DOCTYPE html>")
    # What a folder shows as links, a bucket names; here it is fetched.
    there = tmp_path / "fetched"
    copytree(fetched(Store(ADDRESS).tables_path), there / "tables")
    assert_same_tables(there, processed.parent / "store")

    for words, wanted in ((("verify",), {"whole": True, "findings": []}), (("gc",), None), (("report",), None)):
        done = subprocess.run(
            command(*words, path, "--json"), env=settings, capture_output=True, text=True, cwd="/", timeout=RUN_SECONDS
        )
        assert done.returncode == 0, done.stderr
        assert wanted is None or json.loads(done.stdout) == wanted
    again = subprocess.run(
        command("run", path, "--json"), env=settings, capture_output=True, text=True, cwd="/", timeout=RUN_SECONDS
    )
    assert (again.returncode, json.loads(again.stdout)["units_run"]) == (0, 0)
    assert server.secret not in "".join(
        file.read_text(errors="replace") for file in (tmp_path / "prefect").rglob("*.log")
    )
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == server.secret
