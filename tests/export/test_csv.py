"""CSV read by the standard library and by pandas, beside the store's own tables."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd

from stxmdist.runner import CAMPAIGN


def test_tables_are_those_of_the_store_byte_by_byte(whole: Any, tmp_path: Path) -> None:
    whole.export("csv", tmp_path)
    tables = whole.store.published_output("infer", CAMPAIGN).path / "tables"
    names = {path.name for path in tables.glob("*.csv")}
    assert names == {"particles.csv", "variance.csv"}
    assert all((tmp_path / name).read_bytes() == (tables / name).read_bytes() for name in names)


def test_every_column_has_unit_type_and_meaning(whole: Any, tmp_path: Path) -> None:
    whole.export("csv", tmp_path)
    dictionary = json.loads((tmp_path / "data_dictionary.json").read_text())
    for path in tmp_path.glob("*.csv"):
        with path.open(newline="") as file:
            columns = next(csv.reader(file))
        assert set(dictionary[path.stem]["columns"]) == set(columns)
        assert all({"type", "unit", "description"} <= set(c) for c in dictionary[path.stem]["columns"].values())
    assert dictionary["particles"]["columns"]["d_eq_um"]["unit"] == "um"


def test_floats_come_back_exactly_and_unknown_ones_are_empty(whole: Any, tmp_path: Path) -> None:
    whole.export("csv", tmp_path)
    with (tmp_path / "particles.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {float(row["d_eq_um"]) for row in rows} == {0.1 + 0.2}
    assert {row["thickness_nm"] for row in rows} == {""}
    assert {row["flags"] for row in rows} == {'a, "b"'}


def test_rows_of_named_scans_only_and_no_table_of_the_whole(whole: Any, bench: SimpleNamespace, tmp_path: Path) -> None:
    done = whole.export("csv", tmp_path, scans=(bench.DOWNWARD,))
    assert set(pd.read_csv(tmp_path / "particles.csv")["scan_id"]) == {bench.DOWNWARD}
    assert not (tmp_path / "variance.csv").exists()
    assert any("variance" in note for note in done.notes)
