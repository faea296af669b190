"""Tables keep every digit, carry units, refuse what is not declared, and are switched all at once."""

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from storage.columns import TABLES
from storage.errors import StoreError
from storage.store import Store
from storage.tables import publish_folder, read_table, read_units, write_data_dictionary, write_table

N = 37


def example(name: str, optional: bool = True, seed: int = 0) -> pd.DataFrame:
    """A table with every column, awkward floats, and nulls in every column that may hold one."""
    rng = np.random.default_rng(seed)
    makers = {
        "string": lambda: [f'text "{n}", ä' if n % 5 else None for n in range(N)],
        "float64": lambda: np.where(
            rng.random(N) < 0.2, np.nan, rng.normal(size=N) * 10.0 ** rng.integers(-300, 300, N)
        ),
        "int64": lambda: rng.integers(-(2**62), 2**62, N),
        "bool": lambda: rng.random(N) < 0.5,
    }
    columns = [column for column in TABLES[name].columns if optional or column.required]
    return pd.DataFrame({column.name: makers[column.dtype]() for column in columns})


@pytest.mark.parametrize("name", TABLES)
def test_parquet_and_csv_give_back_every_digit(tmp_path: Path, name: str) -> None:
    table = example(name)
    parquet, csv = write_table(table, tmp_path / f"{name}.parquet", name)
    found = read_table(parquet)
    pd.testing.assert_frame_equal(found, table, check_exact=True, check_dtype=False)
    text = {column.name: str for column in TABLES[name].columns if column.dtype == "string"}
    from_csv = pd.read_csv(csv, dtype=text)
    pd.testing.assert_frame_equal(from_csv, found, check_exact=True, check_dtype=False)


def test_units_and_meanings_are_in_the_file_itself(tmp_path: Path) -> None:
    path, _ = write_table(example("particles"), tmp_path / "particles.parquet", "particles")
    assert read_units(path)["d_eq_um"] == ("um", TABLES["particles"].column("d_eq_um").meaning)
    assert pq.read_schema(path).metadata[b"table"] == b"particles"
    dictionary = json.loads(write_data_dictionary(tmp_path).read_text())
    assert set(dictionary) == set(TABLES)
    for column, (unit, meaning) in read_units(path).items():
        assert dictionary["particles"]["columns"][column]["unit"] == unit
        assert dictionary["particles"]["columns"][column]["description"] == meaning


def test_equal_tables_give_equal_bytes_whatever_their_index_and_column_order(tmp_path: Path) -> None:
    table = example("effects")
    other = table[table.columns[::-1]].set_index(pd.Index(range(100, 100 + N)))
    one = write_table(table, tmp_path / "a.parquet", "effects")
    two = write_table(other, tmp_path / "b.parquet", "effects")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    assert list(read_table(one[0]).columns) == [column.name for column in TABLES["effects"].columns]


def test_an_empty_table_keeps_its_columns_and_types(tmp_path: Path) -> None:
    table = example("exclusions").iloc[:0]
    path, csv = write_table(table, tmp_path / "e.parquet", "exclusions")
    assert list(read_table(path).columns) == list(table.columns)
    assert read_units(path)["n"][0] == "1"
    assert csv.read_text() == "what,scan_id,stage,where,why,n\n"


def test_integers_and_truths_that_are_not_known_stay_unknown(tmp_path: Path) -> None:
    table = example("particles").astype({"active": object})
    table.loc[3, "active"] = None
    counts = table["n_pixels"].astype("Int64")
    counts[5] = pd.NA
    path, csv = write_table(table.assign(n_pixels=counts), tmp_path / "p.parquet", "particles")
    found = pq.read_table(path)
    assert found["n_pixels"].null_count == found["active"].null_count == 1
    assert found["n_pixels"].to_pylist()[4] == counts[4]
    # A null must not turn the other integers of its column into rounded floats.
    assert f",{counts[4]}," in csv.read_text().splitlines()[5]


def test_a_table_in_several_groups_of_rows_is_the_same_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = example("particles")
    whole, text = write_table(table, tmp_path / "whole.parquet", "particles")
    monkeypatch.setattr("storage.tables.ROWS", N // 3)
    monkeypatch.setattr("storage.tables.CSV_ROWS", N // 4)
    parts, text_of_parts = write_table(table, tmp_path / "parts.parquet", "particles")
    assert pq.read_metadata(whole).num_row_groups == 1 < pq.read_metadata(parts).num_row_groups
    pd.testing.assert_frame_equal(read_table(parts), read_table(whole))
    assert text_of_parts.read_bytes() == text.read_bytes()


def test_columns_may_be_left_out_only_if_the_contract_allows(tmp_path: Path) -> None:
    path, _ = write_table(example("particles", optional=False), tmp_path / "p.parquet", "particles")
    assert "soc_se_sys" not in read_table(path)
    with pytest.raises(StoreError, match=r"missing \['soc_se'\], undeclared \['charm'\]"):
        write_table(example("particles").rename(columns={"soc_se": "charm"}), tmp_path / "q.parquet", "particles")
    assert not (tmp_path / "q.parquet").exists()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("n_pixels", 2.5),
        ("n_pixels", "many"),
        ("d_eq_um", "wide"),
        ("phase_class", 3),
        ("n_pixels", "12"),
        ("active", "y"),
    ],
)
def test_values_that_do_not_fit_their_type_are_refused(tmp_path: Path, column: str, value: object) -> None:
    table = example("particles").astype({column: object})
    table.loc[2, column] = value
    with pytest.raises(StoreError, match=f"table particles, column {column}"):
        write_table(table, tmp_path / "p.parquet", "particles")


@pytest.mark.parametrize("nothing", [np.nan, None])
def test_a_column_of_which_nothing_is_known_is_null_whatever_its_type(tmp_path: Path, nothing: float | None) -> None:
    table = example("particles").assign(direction=nothing, active=nothing, aspect=nothing)
    path, _ = write_table(table, tmp_path / "p.parquet", "particles")
    found = pq.read_table(path)
    types = {name: str(found.schema.field(name).type) for name in ("direction", "active", "aspect")}
    assert types == {"direction": "string", "active": "bool", "aspect": "double"}
    assert all(found[name].null_count == len(table) for name in types)


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.parquet").write_bytes(b"PAR1 and nothing more")
    for name in ("p.parquet", "none.parquet"):
        with pytest.raises(StoreError, match=rf"{name}: the table cannot be read"):
            read_table(tmp_path / name)


def test_current_tables_are_switched_all_at_once(store: Store) -> None:
    for digest in ("d1", "d2"):
        output = store.output("infer", "campaign", digest)
        for name in ("scans", "variance"):
            write_table(example(name, seed=len(digest)), output.path / f"{name}.parquet", name)
        (output.path / "which").write_text(digest)
        publish_folder(store, "tables", output.path)
        assert (store.tables_path / "which").read_text() == digest
        assert store.tables_path.resolve() == output.path.resolve()
    # The store may be moved as a whole: the link is relative.
    moved = store.root.with_name("moved")
    os.rename(store.root, moved)
    assert (moved / "tables" / "which").read_text() == "d2"


def test_a_link_leads_only_into_the_store(store: Store, tmp_path: Path, sample: SimpleNamespace) -> None:
    output = sample.fill(store.output("fit", "s1", "d1"))
    for name, target in (("tables", tmp_path), ("tables", output.path / "none"), ("published", output.path)):
        with pytest.raises(StoreError, match="link cannot be switched"):
            publish_folder(store, name, target)


def test_a_specification_of_ones_own_may_be_given(tmp_path: Path) -> None:
    spec = replace(TABLES["variance"], name="mine", columns=TABLES["variance"].columns[:2])
    path, _ = write_table(example("variance")[["endpoint", "component"]], tmp_path / "v.parquet", spec)
    assert pq.read_schema(path).metadata[b"table"] == b"mine"
