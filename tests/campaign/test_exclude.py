"""Leaving scans out: two cells of the sheet change, and nothing else of the file, whoever wrote it and however."""

import csv
import io
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stxmdist.campaign.exclude import exclude, include, state_of_sheet, with_cells
from stxmdist.campaign.sheet import read_sheet
from stxmdist.errors import InputError

HEADER = "scan_id,file,modality,electrode_id,exclude,reason"
PATH = Path("samples.csv")
LEFT_OUT = {"exclude": "true", "reason": "out of focus"}


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_every_other_byte_stays(bom: str, end: str, last: bool) -> None:
    lines = [HEADER, '"a", x.hdr ,stxm,"E ""1""",,', "", "# note,,,,,", "b,y.hdr,stxm,E2,,", 'c,"z,1.hdr",stxm,E2,,']
    text = bom + end.join(lines) + (end if last else "")
    lines[4] = "b,y.hdr,stxm,E2,true,out of focus"
    changed = with_cells(text, "b", LEFT_OUT, PATH)
    assert changed == bom + end.join(lines) + (end if last else "")
    assert with_cells(changed, "b", {"exclude": "", "reason": ""}, PATH) == text


CELLS = st.text(st.sampled_from('ab ,"\n#;é'), max_size=6)


@given(
    st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=5),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.text(st.sampled_from('xy ,"é'), min_size=1).filter(str.strip),
    st.data(),
)
def test_another_program_reads_two_cells_changed_and_no_other(
    body: list[list[str]], end: str, quoting: int, reason: str, data: st.DataObject
) -> None:
    row = data.draw(st.integers(0, len(body) - 1))
    cells = [["scan_id", "exclude", "reason", "note"], *([f"scan{i}", *line] for i, line in enumerate(body))]
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator=end, quoting=quoting).writerows(cells)  # type: ignore[arg-type]
    changed = with_cells(written.getvalue(), f"scan{row}", {"exclude": "true", "reason": reason}, PATH)
    cells[1 + row][1:3] = ["true", reason]
    assert read(changed) == cells


@pytest.mark.parametrize("row", ["a,x.hdr,stxm,E1", "a,x.hdr,stxm,E1,", "a,x.hdr,stxm,E1,,"])
def test_short_rows_and_absent_columns_are_filled(row: str) -> None:
    short = with_cells(f"{HEADER}\n{row}\nb,y.hdr,stxm,E2\n", "a", LEFT_OUT, PATH)
    assert short == f"{HEADER}\na,x.hdr,stxm,E1,true,out of focus\nb,y.hdr,stxm,E2\n"
    header = "scan_id,file,modality,electrode_id"
    added = with_cells(f"{header}\na,x.hdr,stxm,E1\nb,y.hdr,stxm,E2\n", "b", LEFT_OUT, PATH)
    assert added == f"{header},exclude,reason\na,x.hdr,stxm,E1\nb,y.hdr,stxm,E2,true,out of focus\n"


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\nb,y,stxm,E1,,\n",
        f"{HEADER}\na,y,stxm,E1,,\na,z,stxm,E1,,\n",
        "file,modality\na,stxm\n",
        "",
        "scan_id,file\na,x,too many\n",
    ],
)
def test_what_is_not_clear_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        with_cells(text, "a", LEFT_OUT, PATH)


def test_the_sheet_says_it_as_the_program_reads_it(tmp_path: Path) -> None:
    sheet = tmp_path / "samples.csv"
    (tmp_path / "x.hdr").write_text("")
    sheet.write_bytes(f"\ufeff{HEADER}\r\na,x.hdr,stxm,E1,,\r\n".encode())
    sheet.chmod(0o640)
    before = sheet.read_bytes()
    exclude(sheet, "a", 'drift, says "AB"\n', seen=state_of_sheet(sheet))
    (scan,) = read_sheet(sheet).scans
    assert (scan.exclude, scan.reason) == (True, 'drift, says "AB"')
    assert stat.S_IMODE(sheet.stat().st_mode) == 0o640
    include(sheet, "a", seen=state_of_sheet(sheet))
    assert sheet.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir() if "partial" in file.name] == []


def test_a_sheet_that_changed_meanwhile_is_left_as_it_is(tmp_path: Path) -> None:
    sheet = tmp_path / "samples.csv"
    sheet.write_text(f"{HEADER}\na,x.hdr,stxm,E1,,\n")
    seen = state_of_sheet(sheet)
    sheet.write_text(f"{HEADER}\na,x.hdr,stxm,E1,,\nb,y.hdr,stxm,E1,,\n")
    others = sheet.read_bytes()
    with pytest.raises(InputError, match="changed meanwhile"):
        exclude(sheet, "a", "out of focus", seen=seen)
    assert sheet.read_bytes() == others


def test_a_linked_sheet_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "samples.csv"
    real.write_text(f"{HEADER}\na,x.hdr,stxm,E1,,\n")
    link.symlink_to(real)
    exclude(link, "a", "out of focus", seen=state_of_sheet(link))
    assert link.is_symlink()
    assert "true,out of focus" in real.read_text()


@pytest.mark.parametrize("reason", ["", "  \n", "=HYPERLINK(1)", "@x", "x" * 301, "a\x00b"])
def test_reasons_that_say_nothing_or_would_be_computed_are_refused(tmp_path: Path, reason: str) -> None:
    sheet = tmp_path / "samples.csv"
    sheet.write_text(f"{HEADER}\na,x.hdr,stxm,E1,,\n")
    with pytest.raises(InputError, match="reason"):
        exclude(sheet, "a", reason, seen=state_of_sheet(sheet))
