"""The section `live` and the addresses of runs: what they become, and each mistake at its line, without its key."""

from pathlib import Path

import pytest

from stxmdist.campaign.manifest import examine, load
from stxmdist.campaign.schema import LiveSpec

from .conftest import MANIFEST, WriteCampaign

RUN = {"scan_id": "T_stxm", "file": "tiled:ab-12", "region_id": "t"}
TILED = "live: {tiled: {server: 'http://127.0.0.1:8000/', catalogue: raw}}\n"


def sentences(path: Path) -> list[str]:
    return [problem.sentence for problem in examine(path)[1]]


def test_without_a_section_scans_are_followed_as_usual(write_campaign: WriteCampaign) -> None:
    assert load(write_campaign()).live == LiveSpec()


def test_a_run_becomes_an_address_and_a_file_of_the_store(write_campaign: WriteCampaign) -> None:
    campaign = load(write_campaign(MANIFEST + TILED, RUN))
    scan = campaign.scan("T_stxm")
    assert scan.address == "http://127.0.0.1:8000/api/v1/metadata/raw/ab-12"
    assert scan.cell == scan.cell_from(campaign.path.parent) == scan.address
    assert scan.file == campaign.store / "live" / "received" / "T_stxm.hdf5"


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("live: {look_every_s: 0}", "live.look_every_s: this value cannot be used; got 0"),
        ("live: {finish_after: 5}", "Did you mean 'finish_after_s'"),
        ("live: {tiled: {servr: x}}", "Did you mean 'server'"),
        ("live: {tiled: {server: 'http://me:secret@h'}}", "live.tiled.server: this value cannot be used"),
        ("live: {tiled: {server: 'ftp://h'}}", "the address of a server, such as"),
    ],
)
def test_mistakes_have_their_line(write_campaign: WriteCampaign, section: str, words: str) -> None:
    path = write_campaign(MANIFEST + section + "\n")
    line = MANIFEST.count("\n") + 1
    assert any(words in said and f"campaign.yaml:{line}:" in said for said in sentences(path)), sentences(path)


@pytest.mark.parametrize(
    ("manifest", "row", "words"),
    [
        (MANIFEST, {}, "live: {tiled: {server"),
        (MANIFEST, {"file": "http://me:secret@h/api/v1/metadata/x"}, "an address without a key"),
        (MANIFEST + TILED, {"modality": "ptychography"}, "runs of a Tiled server are wide-field stacks"),
    ],
)
def test_a_row_that_names_no_run_stands_aside(
    write_campaign: WriteCampaign, manifest: str, row: dict[str, str], words: str
) -> None:
    path = write_campaign(manifest, RUN | row)
    (said,) = sentences(path)
    assert words in said
    assert "secret" not in said
    assert "samples.csv:5:" in said
    assert [scan.scan_id for scan in load(path, lenient=True).scans] == ["A_stxm", "A_ptycho", "B_stxm"]


def test_two_rows_of_one_run_are_told(write_campaign: WriteCampaign) -> None:
    path = write_campaign(MANIFEST + TILED, RUN, RUN | {"scan_id": "U_stxm"})
    assert any("another scan names the same file" in said for said in sentences(path))
