"""Numbers on the page: digits, dashes for what is not known, and never more than is known."""

from types import SimpleNamespace

import pytest

from stxmdist.report import tables
from stxmdist.report.reading import readings
from stxmdist.report.tables import figure_of, interval_of, plain, probability_of


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.37, 3, "0.370"),
        (-0.0005472, 3, "−0.000547"),
        (0.0000549, 3, "0.0000549"),
        (123.4, 3, "123"),
        (98765.0, 3, "98765"),
        (1e-12, 2, "1.0e−12"),
        (0, 3, "0"),
        (None, 3, "–"),
        (float("nan"), 3, "–"),
        ("words", 3, "–"),
    ],
)
def test_figures(value: object, digits: int, text: str) -> None:
    assert figure_of(value, digits) == text


def test_intervals_and_probabilities() -> None:
    assert interval_of(0.5, 0.4, 0.6) == "0.500 (0.400 to 0.600)"
    assert interval_of(0.5, None, 0.6) == "0.500"
    assert probability_of(0.25) == "0.250"
    assert probability_of(1e-7) == "< 0.001"
    assert probability_of(float("nan")) == "–"
    assert plain(100.0) == "100"


def test_every_row_has_a_cell_for_every_heading(bench: SimpleNamespace) -> None:
    evidence = bench.evidence
    sheets = [
        tables.electrodes(evidence),
        tables.effects(evidence),
        tables.quality(evidence),
        tables.exclusions(evidence),
        tables.software(evidence),
        tables.stages(evidence),
    ]
    for sheet in sheets:
        assert sheet.rows, sheet.name
        assert {len(row) for row in sheet.rows} == {len(sheet.header)}
        assert all(column < len(sheet.header) for column in sheet.numeric)


def test_quality_gives_medians_over_what_is_known(bench: SimpleNamespace) -> None:
    sheet = tables.quality(bench.evidence)
    row = dict(zip(sheet.header, next(r for r in sheet.rows if r[0] == "fine-1"), strict=True))
    assert row["FRC half-period (nm)"] == "15.0"
    assert row["energy shift (meV)"] == "+120 ± 10"
    assert row["registration"] == "± 4 nm, 2 pairs"
    assert row["pixels masked"] == "9.1 %"
    assert row["last stage done"] == "register"


def test_what_was_left_out_stands_there_once(bench: SimpleNamespace) -> None:
    rows = tables.exclusions(bench.evidence).rows
    assert len(set(rows)) == len(rows) == 2


def test_what_was_assumed_on_reading_stands_once_with_its_scans(bench: SimpleNamespace) -> None:
    sheet = readings(bench.evidence)
    ingested = [scan.scan_id for scan in bench.evidence.having("ingest")]
    assert sheet.rows == (("assumed", "positions are taken as micrometres", ", ".join(ingested), str(len(ingested))),)
    assert "positions are taken as micrometres" in bench.page
