"""Exporting as a whole: what is written, what is refused, what is said of the rest."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stxmdist.errors import Explained, InputError
from stxmdist.export import EXPORTERS, ExporterEntry
from stxmdist.export.offer import Piece, put_in_place
from stxmdist.registry import Table
from stxmdist.runner import CAMPAIGN
from stxmdist.writers.table import WRITERS


@pytest.mark.parametrize("to", EXPORTERS)
def test_everything_is_exported_and_nothing_is_left_over(to: str, whole: Any, tmp_path: Path) -> None:
    done = whole.export(to, tmp_path / "out")
    assert done.complete
    assert done.written
    top = {Path(item.path).name for item in done.written}
    assert {path.name for path in (tmp_path / "out").iterdir()} == top
    assert all(item.bytes > 0 for item in done.written)


@pytest.mark.parametrize("to", EXPORTERS)
def test_nothing_is_overwritten_but_by_force(to: str, whole: Any, tmp_path: Path) -> None:
    first = whole.export(to, tmp_path)
    target = Path(first.written[-1].path)
    marker = target / "marker" if target.is_dir() else target
    marker.write_text("mine")
    with pytest.raises(InputError, match="--force"):
        whole.export(to, tmp_path)
    assert marker.read_text() == "mine"
    whole.export(to, tmp_path, force=True)
    assert not (marker.exists() if target.is_dir() else marker.read_bytes() == b"mine")


def test_the_default_folder_lies_beside_the_campaign(torn: Any) -> None:
    done = torn.export("csv", None)
    assert Path(done.folder) == torn.folder / "export" / "csv"


def test_the_store_is_no_place_for_exports(whole: Any) -> None:
    with pytest.raises(InputError, match="lie in the store"):
        whole.export("csv", whole.folder / "store" / "tables-again")


def test_the_store_is_not_touched(whole: Any, tmp_path: Path) -> None:
    def state() -> dict[Path, tuple[int, int]]:
        paths = (whole.folder / "store").rglob("*")
        return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}

    before = state()
    for to in EXPORTERS:
        whole.export(to, tmp_path / to)
    assert state() == before


def test_unknown_formats_and_scans_are_refused_with_the_nearest(whole: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Did you mean 'ome-zarr'"):
        whole.export("omezarr", tmp_path)
    with pytest.raises(Explained, match="wide-1"):
        whole.export("nexus", tmp_path, scans=("wide1",))
    assert not list(tmp_path.iterdir())


def test_only_the_scans_that_are_named(whole: Any, bench: SimpleNamespace, tmp_path: Path) -> None:
    done = whole.export("nexus", tmp_path, scans=(bench.WIDE,))
    assert [Path(item.path).name for item in done.written] == ["wide-1.nxs"]


@pytest.mark.parametrize("to", ["ome-zarr", "nexus", "tiff"])
def test_what_is_not_published_is_said_and_the_rest_written(
    to: str, torn: Any, bench: SimpleNamespace, tmp_path: Path
) -> None:
    torn.change("fit", bench.WIDE)
    torn.change("segment", bench.WIDE)
    torn.change("align", bench.DOWNWARD, state="failed")
    done = torn.export(to, tmp_path)
    assert not done.complete
    said = {(lack.scan_id, lack.why.split(";")[0]) for lack in done.lacks}
    assert (bench.DOWNWARD, "the stage align failed for it") in said
    assert any(scan_id == bench.WIDE and "has published nothing" in why for scan_id, why in said)
    assert {item.scan_id for item in done.written} >= {bench.WIDE, bench.FINE}


def test_outputs_of_different_runs_are_not_mixed(torn: Any, bench: SimpleNamespace, tmp_path: Path) -> None:
    """Align ran anew under other options; maps and labels of the old one lie on other pixels."""
    torn.change("segment", bench.WIDE, inputs={f"align/{bench.WIDE}": "0" * 16})
    done = torn.export("ome-zarr", tmp_path, scans=(bench.WIDE,))
    (lack,) = done.lacks
    assert "used another output of align" in lack.why
    assert not (tmp_path / "wide-1.ome.zarr" / "labels").exists()


@pytest.mark.parametrize("folder", [False, True])
def test_a_piece_that_fails_leaves_the_old_one_and_nothing_else(folder: bool, tmp_path: Path) -> None:
    target = tmp_path / "piece"
    if folder:
        target.mkdir()
        (target / "old").touch()
    else:
        target.write_text("old")

    def write(path: Path) -> None:
        if folder:
            path.mkdir()
        (path / "new" if folder else path).write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="disk is full"):
        put_in_place(Piece("scan", "piece", write), tmp_path)
    assert list(tmp_path.iterdir()) == [target]
    assert (target / "old").exists() if folder else target.read_text() == "old"


@pytest.mark.parametrize("simulated", [False, True])
def test_provenance_names_every_output_behind_a_file(
    simulated: bool, torn: Any, bench: SimpleNamespace, tmp_path: Path
) -> None:
    if simulated:
        receipts = torn.folder / "truth" / "scans"
        receipts.mkdir(parents=True)
        (receipts / f"{bench.WIDE}.json").write_text(json.dumps({"files": {"wide-1.hdr": 0}}))
    torn.export("csv", tmp_path)
    found = json.loads((tmp_path / "provenance.json").read_text())
    assert found["simulated"] is simulated
    assert set(found["stages"]) == {"ingest", "absorbance", "align", "fit", "segment", "infer"}
    fit = found["stages"]["fit"]
    assert (fit["version"], fit["options"], fit["time"]) == (4, {"simulated_store": True}, "2026-01-02T03:04:05+00:00")
    assert {scan: output["digest"] for scan, output in fit["outputs"].items()} == {
        scan: bench.digest_of("fit", scan) for scan in (bench.WIDE, bench.DOWNWARD, bench.FINE)
    }
    assert found["files_sha256"][bench.WIDE] == {"wide-1.hdr": "ab12"}


@pytest.mark.parametrize("to", EXPORTERS)
def test_a_format_is_what_its_entry_says(
    to: str, whole: Any, torn: Any, bench: SimpleNamespace, tmp_path: Path
) -> None:
    """The facts of an entry hold: scans, endings, stages it needs, counts."""
    entry = EXPORTERS[to]
    done = whole.export(to, tmp_path / "whole")
    modalities = {bench.WIDE: "stxm", bench.DOWNWARD: "stxm", bench.FINE: "ptychography"}
    fitting = {scan_id for scan_id, modality in modalities.items() if modality in entry.modalities}
    assert {item.scan_id for item in done.written} == ({CAMPAIGN} if entry.whole_campaign else fitting)
    if not entry.whole_campaign:
        assert all(item.path.endswith(entry.ending or item.scan_id) for item in done.written)
    assert entry.writes_counts is (to in WRITERS)
    for scan_id in modalities.keys() - fitting:
        (lack,) = whole.export(to, tmp_path / "named", scans=(scan_id,)).lacks
        assert (lack.scan_id, lack.what) == (scan_id, entry.what)
    for stage in entry.needs:
        scan_id = CAMPAIGN if entry.whole_campaign else sorted(fitting)[0]
        torn.change(stage, scan_id, state="failed")
        without = torn.export(to, tmp_path / stage)
        assert scan_id not in {item.scan_id for item in without.written}
        assert f"the stage {stage} failed for it" in {lack.why.split(";")[0] for lack in without.lacks}
        torn.change(stage, scan_id, state="done")


def test_a_format_is_added_by_one_file_and_one_line(
    whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "list_of_energies.py").write_text(
        "from stxmdist.export.offer import Offer, Piece\n\n\n"
        "def offer(source, scan_id):\n"
        "    energies = source.output('align', scan_id).read('energy_ev')\n"
        "    return Offer((Piece(scan_id, f'{scan_id}.txt', lambda path: path.write_text(repr(energies.tolist()))),))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    line = {"energies": ExporterEntry("list_of_energies:offer", what="energies", needs=("align",), ending=".txt")}
    monkeypatch.setattr("stxmdist.export.write.EXPORTERS", Table(EXPORTERS.kind, {**EXPORTERS, **line}))
    done = whole.export("energies", tmp_path / "out")
    assert done.complete
    assert [Path(item.path).suffix for item in done.written] == [".txt"] * 3


def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """Exit status and JSON document of a command."""
    from stxmdist.cli.process import main

    monkeypatch.setattr("sys.argv", ["stxmdist", "export", *words, "--json"])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0), json.loads(capsys.readouterr().out)


def test_the_command_says_done_in_part_and_wrong(
    whole: Any,
    bench: SimpleNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = (str(whole.campaign), "--to", "cxi", "--out", str(tmp_path))
    status, document = command(monkeypatch, capsys, *words)
    assert status == 0
    assert [Path(item["path"]).name for item in document["written"]] == ["fine-1.cxi"]
    status, document = command(monkeypatch, capsys, *words, "--force", "--scan", bench.WIDE)
    assert status == 1
    assert document["not_exported"][0]["scan_id"] == bench.WIDE
    status, document = command(monkeypatch, capsys, *words)
    assert status == 2
    assert "--force" in document["error"]["mend"]


def test_what_was_assumed_on_reading_stands_in_the_provenance(
    whole: Any, tmp_path: Path, bench: SimpleNamespace
) -> None:
    whole.export("ome-zarr", tmp_path, scans=(bench.WIDE,))
    about = json.loads((tmp_path / f"{bench.WIDE}.ome.zarr" / "zarr.json").read_text())["attributes"]["stxmdist"]
    expected = {bench.WIDE: {"notes": ["units were guessed"], "lacks": ["dwell time"]}}
    assert about["provenance"]["reading"] == expected
    whole.export("csv", tmp_path)
    assert json.loads((tmp_path / "provenance.json").read_text())["reading"].items() >= expected.items()
