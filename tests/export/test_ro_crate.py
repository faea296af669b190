"""RO-Crate read by the library ``rocrate`` and by json alone, and judged by roc-validator.

Where the last one comes from: ``tests/export/peers.py``.
"""

import hashlib
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import h5py
import pandas as pd
import pytest
import zarr
from rocrate.rocrate import ROCrate

from tests.export.peers import clean, python_with

JUDGE = Path(__file__).parents[1] / "bench/peers/judge_crate.py"
STAGES = ["ingest", "reconstruct", "stitch", "absorbance", "align", "fit", "segment", "infer", "report"]


@pytest.fixture(scope="module")
def crate(whole: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crate")
    done = whole.export("ro-crate", folder, licence="CC-BY-4.0")
    assert done.complete
    return folder / "crate"


@pytest.fixture(scope="module")
def graph(crate: Path) -> dict[str, dict[str, Any]]:
    metadata = json.loads((crate / "ro-crate-metadata.json").read_text())
    assert metadata["@context"] == "https://w3id.org/ro/crate/1.3/context"
    found = {entity["@id"]: entity for entity in metadata["@graph"]}
    assert len(found) == len(metadata["@graph"]), "no entity stands twice"
    return found


def references(entity: dict[str, Any]) -> list[str]:
    values = (value if isinstance(value, list) else [value] for value in entity.values())
    return [item["@id"] for value in values for item in value if isinstance(item, dict)]


def test_every_reference_leads_somewhere(graph: dict[str, dict[str, Any]]) -> None:
    elsewhere = {"https://w3id.org/ro/crate/1.3"}
    for entity in graph.values():
        assert set(references(entity)) <= set(graph) | elsewhere, entity["@id"]


def test_every_file_is_listed_with_its_size_and_digest(crate: Path, graph: dict[str, dict[str, Any]]) -> None:
    files = {name: entity for name, entity in graph.items() if entity["@type"] == "File"}
    for name, entity in files.items():
        content = (crate / unquote(name)).read_bytes()
        assert entity["contentSize"] == str(len(content))
        assert entity["sha256"] == hashlib.sha256(content).hexdigest()
        assert "octet-stream" not in entity["encodingFormat"]
    plates = {name for name, entity in graph.items() if entity["@type"] == "Dataset" and name.endswith(".ome.zarr/")}
    there = {path.relative_to(crate).as_posix() for path in crate.rglob("*") if path.is_file()}
    inside = {path for path in there if any(path.startswith(plate) for plate in plates)}
    listed = {unquote(name) for name in files}
    assert there - inside - {"ro-crate-metadata.json"} == listed - inside
    assert "plates/wide-field.ome.zarr/tables/condition/table.csv" in listed
    reached: set[str] = set()
    pending = ["./"]
    while pending:
        part = pending.pop()
        reached.add(part)
        pending += references({"hasPart": graph[part].get("hasPart", [])})
    assert set(files) | plates <= reached, "what is in the crate is part of it"


def test_its_library_reads_it(crate: Path) -> None:
    read = ROCrate(crate)
    assert read.name == "made-up"
    assert read.root_dataset["license"]["name"] == "CC-BY-4.0"
    assert {entity.id for entity in read.data_entities} >= {"data/", "tables/", "plates/", "report/", "README.md"}
    fit = read.dereference("#run/fit")
    assert fit is not None
    assert fit.type == "CreateAction"
    assert fit["instrument"]["name"] == "stxmdist"
    assert [item["name"] for item in fit["object"]] == ["output of the stage align", "fit: simulated_store"]


def test_each_stage_is_an_action_with_its_inputs_options_and_time(
    graph: dict[str, dict[str, Any]], bench: SimpleNamespace
) -> None:
    assert [item["@id"] for item in graph["./"]["mentions"]] == [*(f"#run/{stage}" for stage in STAGES), "#run/export"]
    segment = graph["#run/segment"]
    assert segment["endTime"] == "2026-01-02T03:04:05+00:00"
    used = [item["@id"] for item in segment["object"]]
    assert used == ["#output/align", "#output/fit", "#option/segment/simulated_store"]
    assert graph["#option/segment/simulated_store"]["value"] == "true"
    left = segment["result"]
    digests = {f"{scan}: {bench.digest_of('segment', scan)}" for scan in (bench.WIDE, bench.DOWNWARD, bench.FINE)}
    assert set(graph[left["@id"]]["identifier"]) == digests
    given = [item["@id"] for item in graph["#run/ingest"]["object"]]
    files = [name for name in given if name.startswith("#input/")]
    assert {graph[name]["sha256"] for name in files} == {"ab12"}
    assert len(files) == 3
    assert {"campaign/campaign.yaml", "campaign/samples.csv"} <= set(given)
    assert graph["#software/stxmdist"]["version"]


def test_what_it_holds_can_be_opened(crate: Path, bench: SimpleNamespace) -> None:
    with h5py.File(crate / "data/wide-1.nxs") as file:
        assert file["entry1/maps/state_of_charge/state_of_charge"].shape == (bench.NY, bench.NX)
    assert len(pd.read_csv(crate / "tables/particles.csv")) == 4
    assert "plate" in zarr.open_group(crate / "plates/wide-field.ome.zarr", mode="r").attrs["ome"]
    assert (crate / "report/index.html").exists()
    assert (crate / "campaign/samples.csv").read_text().startswith("scan_id,")


def test_the_readme_says_what_the_data_are(crate: Path) -> None:
    words = (crate / "README.md").read_text()
    for said in (
        "# made-up",
        "These data were measured.",
        "2 wide-field and 1 ptychography scans of 2 electrodes",
        "E1 (2), E2 (1)",
        "Cycles: 1, 50",
        "`particles` (4 rows)",
        "CC-BY-4.0",
    ):
        assert said in words, said


def test_what_lacks_and_what_is_simulated_is_said(torn: Any, bench: SimpleNamespace, tmp_path: Path) -> None:
    receipts = torn.folder / "truth" / "scans"
    receipts.mkdir(parents=True)
    for scan_id in (bench.WIDE, bench.DOWNWARD):
        (receipts / f"{scan_id}.json").write_text(json.dumps({"files": {f"{scan_id}.hdr": 0}}))
    torn.change("align", bench.DOWNWARD, state="failed")
    done = torn.export("ro-crate", tmp_path)
    assert not done.complete
    assert any("--licence" in note for note in done.notes)
    words = (tmp_path / "crate/README.md").read_text()
    assert "2 of 3 scans are simulated, not measured." in words
    assert "wide-2: stack of transmission: the stage align failed for it" in words
    assert "Ask them before you use or share the data." in words
    graph = json.loads((tmp_path / "crate/ro-crate-metadata.json").read_text())["@graph"]
    assert not [entity for entity in graph if entity["@id"].startswith("data/wide-2")]
    (action,) = [entity for entity in graph if entity["@id"] == "#output/align"]
    assert len(action["identifier"]) == 2


@pytest.mark.parametrize("licence", ["CC-BY-4.0", None])
@pytest.mark.parametrize("severity", ["required", "recommended"])
def test_a_validator_finds_it_valid(severity: str, licence: str | None, whole: Any, tmp_path: Path) -> None:
    whole.export("ro-crate", tmp_path, licence=licence)
    python = python_with("rocrate_validator")
    judged = subprocess.run(
        [python, str(JUDGE), str(tmp_path / "crate"), "ro-crate-1.3", severity],
        capture_output=True,
        text=True,
        check=True,
        env=clean(),
    )
    said = json.loads(judged.stdout.splitlines()[-1])
    # Who publishes the data, and under which licence, only their owners know.
    owners = {"ro-crate-1.2_56.1": "publisher", "ro-crate-1.2_85.0": "License"} if severity == "recommended" else {}
    left = {issue.split(":")[0].split()[1] for issue in said["issues"]}
    assert left == (set(owners) if licence is None else set(owners) - {"ro-crate-1.2_85.0"}), said["issues"]
    assert said["checks"] > 50
    assert said["passed"] is not bool(left)
