"""Every command: one JSON document on standard output, the exit statuses of the contract, words that people can use."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import stxmdist
from stxmdist.cli.app import DONE, IN_PART, WRONG_INPUT
from stxmdist.cli.process import main
from tests.flows.campaigns import STAGES, simulate_tiny

COMMANDS = [
    "simulate", "inspect", "init", "validate", "plan", "run", "status", "retry", "verify", "gc", "report", "score",
    "bench", "serve", "demo", "energies", "design", "options",
]  # fmt: skip

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Runs stxmdist in this process: exit status, standard output, standard error."""
    before = signal.getsignal(signal.SIGTERM)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["stxmdist", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def document(command: Command) -> Callable[..., tuple[int, Any]]:
    """Runs a command with `--json`: exit status and the document, which is all there is on standard output."""

    def run(*arguments: object) -> tuple[int, Any]:
        status, out, _ = command(*arguments, "--json")
        return status, json.loads(out)

    return run


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate_tiny(tmp_path_factory.mktemp("cli") / "tiny")


@pytest.fixture(scope="module")
def done(processed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign that was run but for its report, to be changed."""
    return shutil.copytree(processed.parent, tmp_path_factory.mktemp("done") / "campaign") / processed.name


def test_the_version_is_that_of_the_package(command: Command) -> None:
    assert command("--version") == (DONE, f"{stxmdist.__version__}\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_and_takes_json(command: Command, name: str) -> None:
    status, out, _ = command(name, "--help")
    assert status == DONE
    assert "Usage:" in out
    assert ("--json" in out) == (name != "serve")


@pytest.mark.parametrize(
    "arguments", [["run"], ["run", "c.yaml", "--no-such"], ["no-such"], ["simulate", "d", "--seed", "x"]]
)
def test_wrong_usage_is_wrong_input(command: Command, arguments: list[str]) -> None:
    status, out, err = command(*arguments)
    assert (status, out) == (WRONG_INPUT, "")
    assert "Traceback" not in err


def test_simulate(document: Callable[..., tuple[int, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from stxmdist.simulation import sizes
    from tests.flows.campaigns import TINY

    monkeypatch.setattr(sizes, "SMALL", TINY)
    status, found = document("simulate", tmp_path / "new", "--workers", 1)
    assert (status, found["n_scans"]) == (DONE, 4)
    assert found["bytes"] == sum(f.stat().st_size for f in (tmp_path / "new/beamline").rglob("*.*") if f.is_file())
    assert Path(found["campaign"]).is_file()
    assert document("simulate", tmp_path / "new", "--size", "huge")[0] == WRONG_INPUT


def test_inspect(document: Callable[..., tuple[int, Any]], campaign: Path) -> None:
    (file,) = campaign.parent.glob("beamline/**/ptycho-E01*.cxi")
    status, found = document("inspect", file)
    assert (status, found["usable"], found["source"]) == (DONE, True, str(file))
    status, wrong = document("inspect", campaign)
    assert status == WRONG_INPUT
    assert wrong["error"]["mend"]


def test_init(document: Callable[..., tuple[int, Any]], campaign: Path, tmp_path: Path) -> None:
    shutil.copytree(campaign.parent / "beamline", tmp_path / "files")
    status, found = document("init", tmp_path / "files")
    assert status == DONE
    assert Path(found["campaign"]).is_file()
    assert {entry["modality"] for entry in found["entries"]} == {"stxm", "ptychography"}


def test_options(document: Callable[..., tuple[int, Any]], command: Command) -> None:
    status, found = document("options", "fit.classes.most_od")
    assert status == DONE
    assert [(each["key"], each["default"]) for each in found] == [("stages.fit.classes.most_od", "6.0")]
    keys = {each["key"] for each in document("options")[1]}
    assert {"stages.ingest.bin_px", "stages.segment.edge_policy", "stages.report.picture_px"} <= keys
    status, _, said = command("options", "fit.clssses")
    assert status == WRONG_INPUT
    assert "fit.classes" in said


def test_validate(document: Callable[..., tuple[int, Any]], command: Command, campaign: Path, tmp_path: Path) -> None:
    status, found = document("validate", campaign)
    assert (status, found.pop("notes") != []) == (DONE, True)
    assert found == {"valid": True, "scans": 4, "problems": []}
    wrong = campaign.with_name("wrong.yaml")
    wrong.write_text(campaign.read_text().replace("chemistry: LFP", "chemistry: LFB\nnmae: x"))
    status, found = document("validate", wrong)
    assert (status, found["valid"]) == (WRONG_INPUT, False)
    assert len(found["problems"]) == 2
    status, out, _ = command("validate", wrong)
    assert status == WRONG_INPUT
    assert "2 mistakes." in out


def test_plan(document: Callable[..., tuple[int, Any]], campaign: Path, tmp_path: Path) -> None:
    status, found = document("plan", campaign)
    assert status == DONE
    assert [row["stage"] for row in found["stages"]] == STAGES
    for name in ("beamline", "samples.csv", "campaign.yaml"):
        copy = shutil.copytree if (campaign.parent / name).is_dir() else shutil.copy
        copy(campaign.parent / name, tmp_path / name)
    (damaged,) = tmp_path.glob("beamline/**/ptycho-E01*.cxi")
    damaged.write_bytes(b"")
    status, found = document("plan", tmp_path / "campaign.yaml")
    assert status == IN_PART
    assert str(damaged) in found["refusals"][0]["sentence"]


def test_status_of_a_campaign_that_has_not_run(document: Callable[..., tuple[int, Any]], campaign: Path) -> None:
    fresh = campaign.with_name("fresh.yaml")
    fresh.write_text(campaign.read_text().replace("store: store", "store: fresh"))
    status, found = document("status", fresh)
    assert (status, found["complete"]) == (IN_PART, False)
    assert [row["ingest"] for row in found["scans"]] == ["missing"] * 4
    for name in ("verify", "gc"):
        status, found = document(name, fresh)
        assert status == WRONG_INPUT
        assert "there is no store here" in found["error"]["problem"]


def test_verify_reads_the_inputs_again_where_it_is_asked_to(
    document: Callable[..., tuple[int, Any]], command: Command, done: Path, tmp_path: Path
) -> None:
    done = shutil.copytree(done.parent, tmp_path / "copy", symlinks=True) / done.name
    status, found = document("verify", done, "--inputs")
    assert (status, found["whole"], found["changed_inputs"]) == (DONE, True, [])
    file = max((done.parent / "beamline").rglob("*.hdf5"), key=lambda path: path.stat().st_size)
    before = file.stat()
    content = bytearray(file.read_bytes())
    # Where no sample is taken.
    content[len(content) // 6] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    status, out, _ = command("verify", done, "--inputs")
    assert status == IN_PART
    assert f"{file}: holds something else than when it was read; `stxmdist run` takes it as new." in out
    assert out.splitlines()[-1].endswith("files from outside read whole, 1 of them not as they were.")
    assert "missing" in {row["ingest"] for row in document("status", done)[1]["scans"]}


def test_run_without_prefect_does_only_what_is_missing(document: Callable[..., tuple[int, Any]], done: Path) -> None:
    arguments = ["run", done, "--no-prefect", "--cluster", "inline", "--stage", "ingest", "--stage", "fit"]
    status, found = document(*arguments)
    assert (status, found["complete"], found["units_run"]) == (DONE, True, 0)
    assert [row["stage"] for row in found["stages"]] == ["ingest", "fit"]


@pytest.mark.slow
def test_report_then_status_verify_gc_and_score(
    document: Callable[..., tuple[int, Any]], command: Command, done: Path
) -> None:
    assert document("status", done)[0] == IN_PART
    status, found = document("report", done)
    assert (status, found["complete"]) == (DONE, True)
    assert Path(found["report"]).read_text().startswith("<!DOCTYPE html>")
    status, found = document("status", done)
    assert (status, found["complete"], found["failed"]) == (DONE, True, [])
    status, found = document("score", done)
    assert status == DONE
    assert {"particles", "variance", "ptychography"} <= set(found)

    assert document("verify", done) == (DONE, {"whole": True, "findings": []})
    assert document("gc", done) == (DONE, {"dry_run": False, "paths": [], "bytes": 0})
    store = done.parent / "store"
    litter = store / "stages/fit/stxm-E01-c001-r1/0123456789abcdef"
    litter.mkdir()
    (litter / "old").write_bytes(b"12345")
    expected = {"paths": [str(litter)], "bytes": 5}
    assert document("gc", done, "--dry-run") == (DONE, expected | {"dry_run": True})
    assert litter.exists()
    assert document("gc", done) == (DONE, expected | {"dry_run": False})
    assert not litter.exists()
    status, out, _ = command("gc", done)
    assert out == "0 folders and files, 0.0 MB\n"

    (shard,) = (store / "stages/fit").glob("stxm-E01-c001-r1/*/data.zarr/soc/c/0/0")
    shard.write_bytes(b"not what it was")
    status, found = document("verify", done)
    assert (status, found["whole"], len(found["findings"])) == (IN_PART, False, 1)
    assert found["findings"][0]["path"] == shard.relative_to(store).as_posix()
    status, out, _ = command("verify", done)
    assert (status, out.splitlines()[-1]) == (IN_PART, "1 file not as published.")


def test_bench_refuses_what_it_does_not_know(document: Callable[..., tuple[int, Any]]) -> None:
    status, found = document("bench", "no-such")
    assert status == WRONG_INPUT
    assert found["error"]["wanted"].startswith("one of all")


def test_bench_is_one_document(document: Callable[..., tuple[int, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    from stxmdist.bench import stages as bench

    monkeypatch.setattr(bench, "run_bench", lambda what, store, note: [{"name": what, "figure": float("nan")}])
    status, found = document("bench", "fit")
    assert (status, found["rows"]) == (DONE, [{"name": "fit", "figure": None}])


def test_energies(document: Callable[..., tuple[int, Any]], command: Command) -> None:
    status, found = document("energies", "NMC", "--n", 3, "--edge", "O K", "--dose-mgy", 5)
    assert (status, found["edge"], len(found["energies"])) == (DONE, "O K", 3)
    assert found["dose_mgy"] == pytest.approx(5.0)
    assert sum(row["share"] for row in found["energies"]) == pytest.approx(1.0)
    assert all(0.0 < row["particle_sigma"] < row["pixel_sigma"] for row in found["expected"])
    assert any("No background" in sentence for sentence in found["unseen"])
    status, out, _ = command("energies", "LFP", "--n", 2)
    assert status == DONE
    assert "No third component" in out
    for wrong in (["LFB"], ["LFP", "--edge", "O K"], ["LFP", "--n", 1], ["LFP", "--photons", 1, "--dose-mgy", 1]):
        status, found = document("energies", *wrong)
        assert status == WRONG_INPUT
        assert found["error"]["mend"]
