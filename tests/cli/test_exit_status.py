"""What the commands say and how they end: 0 done, 1 in part, 2 wrong input; one message, no traceback, one document."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stxmdist.cli.process import main
from tests.stages.beamtime import NEXUS, SDF, Beamtime, simulated

INLINE = ("--no-prefect", "--cluster", "inline")
FAST = ("--stage", "ingest", "--stage", "absorbance")


class Said(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one document on standard output; fails if there is anything beside it."""
        return json.loads(self.out)


Command = Callable[..., Said]


@pytest.fixture
def stxmdist(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Run a command in this process, as the shell would."""
    handler = signal.getsignal(signal.SIGTERM)

    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["stxmdist", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Said(int(left.value.code or 0), out, err)

    yield run
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Beamtime:
    """Two wide-field scans, not yet processed."""
    beamtime = simulated(tmp_path_factory.mktemp("beamtime") / "whole")
    beamtime.keep(SDF, NEXUS)
    return beamtime


@pytest.fixture
def beamtime(whole: Beamtime, tmp_path: Path) -> Beamtime:
    """A copy for a test to spoil."""
    shutil.copytree(whole.folder, tmp_path / "beamtime", symlinks=True)
    return Beamtime(tmp_path / "beamtime")


# --- status 2: the campaign itself cannot be used ---------------------------------------------------------------------


def _other_version(b: Beamtime) -> None:
    b.store.mkdir()
    (b.store / "store.json").write_text('{"format": "stxmdist-store", "version": 7}')


def _strange_store(b: Beamtime) -> None:
    b.store.mkdir()
    (b.store / "thesis.tex").write_text("years of work")


def _in_campaign(old: str, new: str) -> Callable[[Beamtime], None]:
    return lambda b: _replace(b.campaign, old, new)


def _in_sheet(old: str, new: str) -> Callable[[Beamtime], None]:
    return lambda b: _replace(b.sheet, old, new)


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


CAMPAIGNS: dict[str, tuple[Callable[[Beamtime], Any], tuple[str, ...]]] = {
    # What is wrong: how it comes about, and words that the message must hold.
    "no campaign file": (lambda b: b.campaign.unlink(), ("campaign.yaml", "no such file", "Correct the path")),
    "an empty campaign file": (lambda b: b.campaign.write_text(""), ("campaign.yaml:1", "stxmdist init")),
    "no YAML": (_in_campaign("name:", "name: [unclosed"), ("campaign.yaml:",)),
    "an unknown key": (
        _in_campaign("chemistry: LFP", "chemistry: LFP\nchemistery: LFP"),
        ("campaign.yaml:6", "'chemistery'", "Did you mean 'chemistry'"),
    ),
    "an unknown stage": (
        _in_campaign("  segment:", "  segmentation:"),
        ("campaign.yaml:12", "'segmentation'", "Did you mean 'segment'"),
    ),
    "an unknown option": (
        _in_campaign("leak_fraction:", "leak_fractoin:"),
        ("campaign.yaml:11", "stages.absorbance.leak_fractoin", "Did you mean 'leak_fraction'"),
    ),
    "an unknown option of a part": (
        _in_campaign("n_modes:", "modes:"),
        ("campaign.yaml:20", "stages.reconstruct.model.modes", "Did you mean 'n_modes'"),
    ),
    "an option of another type": (
        _in_campaign("n_modes: 1", "n_modes: several"),
        ("campaign.yaml:20", "'several'", "a whole number", "take the line out"),
    ),
    "an option out of range": (
        _in_campaign("leak_fraction:", "leak_fraction: 2.5 #"),
        ("campaign.yaml:11", "2.5", "0 to less than 1", "thick absorber"),
    ),
    "an unknown chemistry": (
        _in_campaign("chemistry: LFP", "chemistry: LFQ"),
        ("campaign.yaml:5", "'LFQ'", "one of LFP, NMC", "Did you mean 'LFP'"),
    ),
    "references that are not there": (
        lambda b: b.set_key("references", "{discharged: a.txt, charged: b.txt}"),
        ("campaign.yaml:27", "references.discharged", "a.txt", "Correct the path"),
    ),
    "no sheet": (lambda b: b.sheet.unlink(), ("samples.csv", "no such file", "stxmdist init")),
    "an empty sheet": (lambda b: b.sheet.write_text(""), ("samples.csv", "the columns scan_id, file")),
    "a spreadsheet": (lambda b: b.sheet.write_bytes(b"PK\3\4\0\0"), ("samples.csv", "Save it as CSV")),
    "a wrong column": (
        _in_sheet("electrode_id", "electrod_id"),
        ("samples.csv:1", "'electrod_id'", "Did you mean 'electrode_id'"),
    ),
    "not one good row": (_in_sheet("beamline/", "beamlime/"), ("samples.csv:2", "samples.csv:3", "no such folder")),
    "a store of another version": (_other_version, ("store.json", '"version": 7', "Name a new folder")),
    "a store that is none": (_strange_store, ("store", "thesis.tex", "Name another folder")),
}


@pytest.mark.parametrize("fault", CAMPAIGNS)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_a_campaign_that_cannot_be_used(beamtime: Beamtime, stxmdist: Command, fault: str, as_json: bool) -> None:
    spoil, words = CAMPAIGNS[fault]
    spoil(beamtime)
    said = stxmdist("run", beamtime.campaign, *INLINE, *FAST, *(["--json"] if as_json else []))
    assert said.status == 2
    for word in words:
        assert word in said.err
    if as_json:
        assert said.document["error"]["sentence"] in said.err
    else:
        assert said.out == ""
    assert not (beamtime.store / "stages").exists()


def test_validate_names_every_mistake_at_once(beamtime: Beamtime, stxmdist: Command) -> None:
    _replace(beamtime.campaign, "chemistry: LFP", "chemistry: LFP\nwindow: 3")
    _replace(beamtime.campaign, "leak_fraction:", "leak_fractoin:")
    beamtime.add("empty", beamtime.copy(NEXUS, "empty.hdf5", 0.0), chemistry="LFQ")
    said = stxmdist("validate", beamtime.campaign, "--json")
    assert said.status == 2
    assert not said.document["valid"]
    lines = [(Path(problem["file"]).name, problem["line"]) for problem in said.document["problems"]]
    assert set(lines) >= {("campaign.yaml", 6), ("campaign.yaml", 12), ("samples.csv", 4)}
    assert all(problem["mend"] for problem in said.document["problems"])


@pytest.mark.parametrize(
    ("words", "said_of"),
    [
        (("run", "CAMPAIGN", *INLINE, "--stage", "fitt"), ("'fitt'", "Did you mean 'fit'")),
        (("run", "CAMPAIGN", *INLINE, "--scan", "stxm"), ("'stxm'", SDF)),
        (("run", "CAMPAIGN", "--no-prefect", "--cluster", "somewhere"), ("'somewhere'", "tcp://127.0.0.1:8786")),
        (("run", "CAMPAIGN", "--no-prefect", "--cluster", "0"), ("'0'", "a number of workers")),
        (("inspect", "FOLDER/nowhere.hdf5"), ("nowhere.hdf5", "does not exist", "Correct the path")),
        (("inspect", "FOLDER"), ("FOLDER", "Name a file, not a folder")),
        (("inspect", "FOLDER/samples.csv"), ("samples.csv", "no beamline file")),
        (("init", "FOLDER/nowhere"), ("nowhere", "no such folder")),
        (("simulate", "FOLDER/new", "--size", "huge"), ("'huge'", "small, medium, large")),
        (("simulate", "FOLDER/samples.csv"), ("samples.csv", "Not a directory", "Check the path")),
        (("verify", "CAMPAIGN"), ("no store here", "Run the campaign first")),
        (("gc", "CAMPAIGN"), ("no store here", "Run the campaign first")),
        (("score", "CAMPAIGN"), ("no store here", "Run the campaign first")),
    ],
    ids=lambda words: " ".join(words[::4]) if words[0] in ("run",) else words[0],
)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_a_command_that_cannot_be_done(
    beamtime: Beamtime, stxmdist: Command, words: tuple[str, ...], said_of: tuple[str, ...], as_json: bool
) -> None:
    def here(word: str) -> str:
        return word.replace("CAMPAIGN", str(beamtime.campaign)).replace("FOLDER", str(beamtime.folder))

    said = stxmdist(*map(here, words), *(["--json"] if as_json else []))
    assert said.status == 2
    for word in said_of:
        assert here(word) in said.err
    assert said.document["error"]["sentence"] in said.err if as_json else said.out == ""


# --- status 1: done in part -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_campaign_with_bad_scans_is_done_in_part_until_they_are_mended(beamtime: Beamtime, stxmdist: Command) -> None:
    beamtime.set("report most_regions: 1")
    beamtime.add("empty", beamtime.copy(NEXUS, "empty.hdf5", 0.0))
    beamtime.add("cobalt", beamtime.file(NEXUS), like=NEXUS, chemistry="LCO")
    said = stxmdist("run", beamtime.campaign, *INLINE, "--json")
    assert said.status == 1
    outcome = said.document
    assert not outcome["complete"]
    assert {refusal["scan_id"] for refusal in outcome["refusals"]} == {"empty", "cobalt"}
    assert {row["stage"]: row["scans"] for row in outcome["stages"]} == {
        **dict.fromkeys(("ingest", "absorbance", "align", "explore", "fit", "segment", "network"), 2),
        **dict.fromkeys(("reconstruct", "stitch", "register", "react"), 0),
        **dict.fromkeys(("infer", "report"), 1),
    }
    page = (beamtime.store / "report" / "index.html").read_text()
    assert "the file is empty" in page
    assert "cobalt" in page

    again = stxmdist("run", beamtime.campaign, *INLINE)
    assert again.status == 1
    lines = [line for line in again.out.splitlines() if line.startswith("not done: ")]
    assert [line.split(": ")[1] for line in lines] == ["empty", "cobalt"]
    assert "empty.hdf5: the file is empty; got 0 bytes, wanted" in lines[0]
    assert "Give the references of this edge in campaign.yaml" in lines[1]
    assert "0 units computed, 2 could not be done" in again.out
    assert f"Verdict: {outcome['verdict']['sentence']}" in again.out
    assert again.out.splitlines()[-1] == f"Report: {beamtime.store / 'report' / 'index.html'}"

    status = stxmdist("status", beamtime.campaign, "--json")
    assert status.status == 1
    assert not status.document["complete"]
    assert {failed["scan_id"] for failed in status.document["failed"]} == {"empty", "cobalt"}
    states = {row["scan"]: row["fit"] for row in status.document["scans"]}
    assert states == {SDF: "done", NEXUS: "done", "campaign": ""}
    assert status.document["verdict"] == outcome["verdict"]
    by_scan = {scan["scan_id"]: scan for scan in outcome["verdict"]["by_scan"]}
    assert {name: scan["state"] for name, scan in by_scan.items()} == {
        SDF: "done",
        NEXUS: "done",
        "empty": "stopped",
        "cobalt": "stopped",
    }
    assert "the file is empty" in by_scan["empty"]["sentence"]
    shown = stxmdist("status", beamtime.campaign)
    assert shown.status == 1
    assert max(len(line) for line in shown.out.splitlines()[:6]) <= 80
    assert [line.split()[1] for line in shown.out.splitlines() if line.startswith(("empty", "cobalt"))] == [
        "refused"
    ] * 2
    assert "2 scans stopped before particles were looked for" in shown.out
    assert stxmdist("verify", beamtime.campaign).status == 0

    # Mended: one is left out with its reason, the other gets the chemistry that it has.
    rows = beamtime.rows
    rows[2] |= {"exclude": "true", "reason": "the file was lost"}
    rows[3] |= {"chemistry": "LFP"}
    beamtime.rows = rows
    to_fit = [word for row in outcome["stages"][:6] for word in ("--stage", row["stage"])]
    mended = stxmdist("run", beamtime.campaign, *INLINE, *to_fit, "--json")
    assert mended.status == 0
    assert mended.document["complete"]
    assert stxmdist("validate", beamtime.campaign, "--json").document["valid"]

    damaged = next((beamtime.store / "stages" / "fit" / SDF).glob("*/data.zarr/soc/c/0/0"))
    damaged.write_bytes(damaged.read_bytes()[:-7])
    found = stxmdist("verify", beamtime.campaign, "--json")
    assert found.status == 1
    (finding,) = found.document["findings"]
    assert (finding["kind"], finding["scan_id"]) == ("changed", SDF)
    assert stxmdist("verify", beamtime.campaign).status == 1


@pytest.mark.slow
def test_the_status_reaches_the_shell(beamtime: Beamtime) -> None:
    beamtime.add("empty", beamtime.copy(NEXUS, "empty.hdf5", 0.0))
    command = [sys.executable, "-m", "stxmdist", "run", str(beamtime.campaign), *INLINE, *FAST, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["refusals"][0]["scan_id"] == "empty"
    assert "Traceback" not in done.stderr
    beamtime.sheet.unlink()
    assert subprocess.run(command, capture_output=True, timeout=120).returncode == 2
