"""Every analysis has its table on the page, with units, and says where it has nothing to say."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from stxmdist.heterogeneity.analyses.table import ANALYSES, AnalysisEntry
from stxmdist.report.analyses import FIRST_NUMBER, MOST_ROWS, _sheet, analyses
from stxmdist.table_columns import TableColumn

ENTRY = AnalysisEntry(
    "nowhere:nothing",
    meaning="one row per thing",
    columns=(
        TableColumn("thing", "", "its name", "string"),
        TableColumn("length_um", "um", "how long"),
        TableColumn("rate", "1/h", "how fast"),
        TableColumn("never", "1", "not known"),
        TableColumn("particle_id", "", "its number", "int64"),
    ),
    source="own",
)


def test_a_table_has_units_and_only_columns_that_say_something() -> None:
    rows = MOST_ROWS + 3
    table = pd.DataFrame({"thing": ["a"] * rows, "length_um": 0.123456, "rate": [1.5, *[np.nan] * (rows - 1)]})
    sheet = _sheet("T9", "things_of_all", ENTRY, table.assign(never=np.nan, particle_id=1204))
    assert sheet.header == ("thing", "length um", "rate (1/h)", "particle id")
    assert sheet.rows[0] == ("a", "0.123", "1.50", "1204")
    assert sheet.rows[1][2] == "–"
    assert len(sheet.rows) == MOST_ROWS
    assert "3 more rows" in sheet.caption
    assert sheet.title == "Things of all"
    assert sheet.numeric == (1, 2, 3)


def test_every_analysis_has_a_table_of_its_own_number(bench: SimpleNamespace) -> None:
    sheets = analyses(bench.evidence)
    assert len(sheets) == len(ANALYSES)
    numbers = [sheet.name.split("-")[0] for sheet in sheets]
    assert numbers == [f"T{FIRST_NUMBER + i}" for i in range(len(sheets))]
    for sheet in sheets:
        assert sheet.rows or sheet.empty
