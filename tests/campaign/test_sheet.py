"""The sample sheet: rows become scans, and every kind of mistake is told with its row, its column and its mend."""

import os
import time
from pathlib import Path

import pytest

from stxmdist.campaign.scan import COLUMNS, NEEDED
from stxmdist.campaign.sheet import Sheet, read_sheet

from .conftest import MANIFEST, WriteCampaign

MOST_GROWTH = 3.0
"""Room for noise; comparing every row with all others would be ten times slower."""
"""A large campaign is planned in ten seconds; reading its sheet must not be most of them, on a busy machine either."""


def sheet_of(path: Path) -> Sheet:
    return read_sheet(path.parent / "samples.csv")


def write_header(path: Path, header: str) -> Sheet:
    rows = (path.parent / "samples.csv").read_text().splitlines()
    (path.parent / "samples.csv").write_text("\n".join([header, *rows[1:]]))
    return sheet_of(path)


def test_a_row_becomes_a_scan(write_campaign: WriteCampaign) -> None:
    path = write_campaign(MANIFEST, first={"cell_id": "", "cycle": "", "direction": "", "soc_nominal": " 0.25 "})
    sheet = sheet_of(path)
    first, _, third = sheet.scans
    assert sheet.rejected == sheet.fatal == sheet.warnings == ()
    assert first.file == path.parent / "data/a.hdr"
    assert first.file.is_absolute()
    assert (first.cell_id, first.cycle, first.direction) == (None, None, None)
    assert (first.soc_nominal, first.c_rate, first.line) == (0.25, 0.5, 2)
    assert (first.chemistry, third.chemistry) == ("LFP", "NMC")
    assert not first.exclude


@pytest.mark.parametrize(
    ("cell", "mend"),
    [
        ({"modality": "STXM"}, "Did you mean 'stxm'"),
        ({"modality": "ptycho"}, "Did you mean 'ptychography'"),
        ({"modality": ""}, "Fill the cell"),
        ({"electrode_id": ""}, "Fill the cell"),
        ({"chemistry": "LPF"}, "Did you mean 'LFP'"),
        ({"chemistry": "graphite"}, "Choose one of those, or leave the cell empty"),
        ({"direction": "discharging"}, "Did you mean 'discharge'"),
        ({"roi_rule": "randomly"}, "Did you mean 'random'"),
        ({"cycle": "first"}, "Write a number, or leave the cell empty where it is not known"),
        ({"cycle": "-1"}, "Correct the number"),
        ({"c_rate": "C/10"}, "Write 0.1"),
        ({"c_rate": "2C"}, "Write 2"),
        ({"c_rate": "nan"}, "Leave the cell empty where it is not known"),
        ({"c_rate": "inf"}, "Leave the cell empty where it is not known"),
        ({"soc_nominal": "50"}, "Write 0.5"),
        ({"soc_nominal": "50%"}, "Write it as a fraction, for example 0.5 for 50 %"),
        ({"soc_coulometric": "0,52"}, "Write 0.52, with a decimal point"),
        ({"file": "data/a.hdx"}, "Did you mean 'a.hdr'"),
        ({"file": ""}, "Fill the cell"),
        ({"file": "data"}, "Correct the path, which is relative to the sheet's folder, or exclude the scan"),
        ({"exclude": "maybe"}, "Write true or false"),
        ({"exclude": "true"}, "Say why: it is published with the statistics"),
        ({"scan_id": "a/b"}, "Rename the scan"),
        ({"scan_id": "../up"}, "Rename the scan"),
        ({"scan_id": ".hidden"}, "Rename the scan"),
        ({"scan_id": ""}, "Rename the scan"),
    ],
)
def test_one_wrong_cell_rejects_its_row_and_no_other(
    write_campaign: WriteCampaign, cell: dict[str, str], mend: str
) -> None:
    sheet = sheet_of(write_campaign(MANIFEST, {"scan_id": "spoilt"} | cell))
    ((row, problem),) = sheet.rejected
    assert row.line == problem.line == 5
    assert problem.mend == mend
    column = next(iter(cell))
    assert problem.where.endswith("reason" if cell == {"exclude": "true"} else column)
    assert len(sheet.scans) == 3


def test_all_mistakes_of_a_row_are_told(write_campaign: WriteCampaign) -> None:
    sheet = sheet_of(write_campaign(MANIFEST, {"scan_id": "x", "cycle": "?", "modality": "?", "file": "?"}))
    assert sorted(problem.where for _, problem in sheet.rejected) == ["x, cycle", "x, file", "x, modality"]


def test_twins_are_both_rejected_for_nobody_knows_which_is_right(write_campaign: WriteCampaign) -> None:
    sheet = sheet_of(write_campaign(MANIFEST, {"scan_id": "b_STXM"}))
    assert [scan.scan_id for scan in sheet.scans] == ["A_stxm", "A_ptycho"]
    assert [(row.scan_id, problem.line) for row, problem in sheet.rejected] == [("B_stxm", 4), ("b_STXM", 5)]
    assert "line 5" in sheet.rejected[0][1].got


def test_an_excluded_scan_needs_a_reason_and_neither_file_nor_electrode(write_campaign: WriteCampaign) -> None:
    row = {"scan_id": "x", "exclude": "TRUE", "reason": "no beam", "file": "gone.hdr", "electrode_id": ""}
    sheet = sheet_of(write_campaign(MANIFEST, row))
    assert sheet.rejected == ()
    assert (sheet.scans[-1].exclude, sheet.scans[-1].reason) == (True, "no beam")


@pytest.mark.parametrize(
    ("change", "where", "mend"),
    [
        (("electrode_id", "electrode"), "column 'electrode'", "Did you mean 'electrode_id'"),
        (("modality", "Modality"), "column 'Modality'", "Did you mean 'modality'"),
        (
            ("soc_nominal", "state of charge"),
            "column 'state of charge'",
            "Remove it; options of a stage for single scans are written stage.option, as in fit.background",
        ),
        (("file", "fit.background"), "file", "Add the column"),
        (("cycle", "c_rate"), "c_rate", "Remove one"),
        (("cell_id", ""), "", "Remove the column, or name it"),
    ],
)
def test_wrong_columns_are_fatal(write_campaign: WriteCampaign, change: tuple[str, str], where: str, mend: str) -> None:
    sheet = write_header(write_campaign(), ",".join(change[1] if name == change[0] else name for name in COLUMNS))
    assert sheet.scans == ()
    assert (where, mend, 1) in [(problem.where, problem.mend, problem.line) for problem in sheet.fatal]


def test_four_columns_are_enough(write_campaign: WriteCampaign) -> None:
    path = write_campaign()
    rows = [f"{scan.scan_id},{scan.file},{scan.modality},E1" for scan in sheet_of(path).scans]
    (path.parent / "samples.csv").write_text("\n".join(["scan_id,file,modality,electrode_id", *rows]))
    sheet = sheet_of(path)
    assert sheet.fatal == sheet.rejected == sheet.warnings == ()
    assert [scan.electrode_id for scan in sheet.scans] == ["E1"] * 3
    assert {scan.cycle for scan in sheet.scans} == {scan.pair_id for scan in sheet.scans} == {None}
    # Each of the four is wanted.
    for name in NEEDED:
        kept = [column for column in ("scan_id", "file", "modality", "electrode_id", "cycle") if column != name]
        (path.parent / "samples.csv").write_text(",".join(kept) + "\n" + ",".join("x" for _ in kept))
        assert [(problem.where, problem.problem) for problem in sheet_of(path).fatal] == [
            (name, "this column is missing")
        ]


def test_columns_of_options_are_kept_with_the_cells_that_are_filled(write_campaign: WriteCampaign) -> None:
    path = write_campaign()
    lines = (path.parent / "samples.csv").read_text().splitlines()
    ends = ["fit.background,fit.classes.most_od", "constant,", ",2.5", ","]
    (path.parent / "samples.csv").write_text("\n".join(f"{line},{end}" for line, end in zip(lines, ends, strict=True)))
    sheet = sheet_of(path)
    assert sheet.option_columns == {"fit.background": 1, "fit.classes.most_od": 1}
    assert [scan.options for scan in sheet.scans] == [
        {"fit.background": "constant"},
        {"fit.classes.most_od": "2.5"},
        {},
    ]


def test_columns_may_stand_in_any_order_and_a_spreadsheet_may_mark_its_utf8(write_campaign: WriteCampaign) -> None:
    path = write_campaign()
    sheet_path = path.parent / "samples.csv"
    rows = [line.split(",") for line in sheet_path.read_text().splitlines()]
    turned = "\r\n".join(",".join(reversed(row)) for row in rows) + "\r\n\r\n" + "," * (len(COLUMNS) - 1) + "\r\n"
    expected = sheet_of(path).scans
    sheet_path.write_bytes(b"\xef\xbb\xbf" + turned.encode())
    assert sheet_of(path).scans == expected


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the sample sheet is empty"),
        (b"  \n\n", "the sample sheet is empty"),
        (",".join(COLUMNS).encode(), "the sample sheet has no scans"),
        (";".join(COLUMNS).encode() + b"\na;b", "the cells are not separated by commas"),
        (",".join(COLUMNS).encode() + b'\n"open', "a row cannot be split into cells"),
        (",".join(COLUMNS).encode() + b"\nM\xfcller", "the sample sheet is not text in UTF-8"),
        (b"\x89HDF\r\n\x1a\n\x00\x00", "the sample sheet is not text"),
        (b"PK\x03\x04\x00\x00", "the sample sheet is not text"),
    ],
)
def test_what_is_no_sheet(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "samples.csv").write_bytes(content)
    sheet = read_sheet(tmp_path / "samples.csv")
    assert sheet.scans == ()
    assert any(found.problem.startswith(problem) for found in sheet.fatal), sheet.fatal


def test_a_sheet_that_is_not_there_names_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "samples.csv").write_text("x")
    (problem,) = read_sheet(tmp_path / "sample.csv").fatal
    assert problem.mend == "Did you mean 'samples.csv'"


def test_a_row_with_too_many_cells_is_rejected_and_a_short_one_is_filled(write_campaign: WriteCampaign) -> None:
    path = write_campaign()
    text = (path.parent / "samples.csv").read_text().splitlines()
    text[1] += ",stray"
    text[2] = text[2].rstrip(",")
    (path.parent / "samples.csv").write_text("\n".join(text))
    sheet = sheet_of(path)
    assert [(row.line, problem.got) for row, problem in sheet.rejected] == [(2, f"{len(COLUMNS) + 1} cells")]
    assert [scan.scan_id for scan in sheet.scans] == ["A_ptycho", "B_stxm"]


def test_pairs_that_do_not_join_two_modalities_are_warned_of(write_campaign: WriteCampaign) -> None:
    def pairs(*rows: dict[str, str]) -> list[str]:
        return [
            problem.problem for problem in sheet_of(write_campaign(MANIFEST, *rows)).warnings if "pair" in problem.where
        ]

    assert pairs() == []
    assert pairs({"scan_id": "x", "pair_id": "lonely", "region_id": "2"}) == ["this pair has one scan"]
    same = [{"scan_id": name, "pair_id": "same", "region_id": name} for name in ("x", "y")]
    assert pairs(*same) == ["this pair does not join STXM with ptychography"]
    assert pairs({"scan_id": "x", "pair_id": "A", "region_id": "2"}) == ["this pair has more than two scans"]
    # The partner of a spoilt or excluded row is not told that it is lonely for a reason that stands elsewhere.
    spoilt = {"scan_id": "x", "pair_id": "P", "region_id": "2", "modality": "ptycho"}
    assert pairs({"scan_id": "y", "pair_id": "P", "region_id": "3"}, spoilt) == []


def test_a_file_listed_twice_for_one_region_is_warned_of(write_campaign: WriteCampaign) -> None:
    warnings = sheet_of(
        write_campaign(MANIFEST, {"scan_id": "again"}, {"scan_id": "other", "region_id": "r2"})
    ).warnings
    assert [(warning.where, warning.warning) for warning in warnings] == [("again, file", True)]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_a_pipe_is_no_file(write_campaign: WriteCampaign) -> None:
    path = write_campaign(MANIFEST, {"scan_id": "pipe", "file": "data/pipe"})
    os.mkfifo(path.parent / "data" / "pipe")
    assert [problem.where for _, problem in sheet_of(path).rejected] == ["pipe, file"]


@pytest.mark.long
def test_time_grows_no_faster_than_the_number_of_rows(write_campaign: WriteCampaign) -> None:
    """Ten times the rows in about ten times the time, both measured in one run: no row is compared with all others."""
    seconds = {}
    for rows in (1_000, 10_000):
        path = write_campaign(MANIFEST, *({"scan_id": f"s{i}", "region_id": str(i)} for i in range(rows)))
        rounds = []
        for _ in range(3):
            start = time.process_time()
            assert len(sheet_of(path).scans) == rows + 3
            rounds.append(time.process_time() - start)
        seconds[rows] = min(rounds)
    assert seconds[10_000] < MOST_GROWTH * 10.0 * seconds[1_000]
