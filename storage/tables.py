"""Tables as Parquet with unit and meaning of each column in the schema, CSV beside, and which of them are current."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pat

from storage.atomic import Json, refusal, remove, replace_file, replace_json, replacing
from storage.bucket import BucketError
from storage.columns import TABLES, ColumnSpec, TableSpec, table_spec
from storage.csv_text import csv_bytes
from storage.digests import sha256_of_file
from storage.errors import StoreError
from storage.place import Place, kind_of
from storage.publication import published_files
from storage.store import Store

_TYPES = {"string": pa.string(), "float64": pa.float64(), "int64": pa.int64(), "bool": pa.bool_()}
_ADMITS: dict[str, Callable[["pa.DataType"], bool]] = {
    "string": lambda kind: (
        pat.is_null(kind) or _is_text(kind) or (pat.is_dictionary(kind) and _is_text(kind.value_type))
    ),
    "float64": lambda kind: pat.is_null(kind) or pat.is_floating(kind) or pat.is_integer(kind),
    "int64": lambda kind: pat.is_null(kind) or pat.is_floating(kind) or pat.is_integer(kind),
    "bool": lambda kind: pat.is_null(kind) or pat.is_boolean(kind),
}


def _is_text(kind: "pa.DataType") -> bool:
    return bool(pat.is_string(kind) or pat.is_large_string(kind))


ROWS = 100_000
"""Rows of a group in Parquet, which is what is converted at a time."""

CSV_ROWS = 10_000
"""Rows that are put into text at a time."""

LINKS = ("tables", "report")
"""Links in the store's folder that a stage may switch to its output."""


def write_table(table: "pd.DataFrame", path: Place, spec: TableSpec | str) -> tuple[Place, Place]:
    """Write a table as ``path`` (.parquet) and as CSV beside it, each in place with one rename; return both paths.

    Columns are ordered as the specification orders them; the index is not written. Equal tables give equal bytes.
    Floats stand in the CSV with all digits that are needed to get the same float64 back.

    Raises
    ------
    StoreError
        when a column of the contract is missing, when one is not declared, or holds what its type cannot say.
    """
    spec = table_spec(spec) if isinstance(spec, str) else spec
    given = [str(column) for column in table.columns]
    missing = [column.name for column in spec.columns if column.required and column.name not in given]
    unknown = [name for name in given if spec.column(name) is None]
    if missing or unknown or len(set(given)) < len(given):
        raise StoreError(
            where=f"table {spec.name}",
            problem="the columns are not those that are declared",
            got=f"missing {missing}, undeclared {unknown}" if missing or unknown else f"columns twice: {given}",
            wanted="every column of the contract, and no column without unit and meaning",
            mend="Fill the missing ones (null where not known), declare the others in storage/columns.py",
        )
    columns = [column for column in spec.columns if column.name in given]
    schema = pa.schema(
        [
            pa.field(column.name, _TYPES[column.dtype], metadata={"unit": column.unit, "description": column.meaning})
            for column in columns
        ],
        metadata={"table": spec.name, "description": spec.meaning},
    )
    beside = path.with_suffix(".csv")
    arrow = partial(_arrow_block, columns=columns, schema=schema, name=spec.name)
    # A block is converted at a time: a second copy of a table of a million rows would be the most that is held.
    try:
        with replacing(path) as unfinished, pq.ParquetWriter(unfinished, schema, compression="zstd") as file:
            for block in _blocks(table, ROWS):
                file.write_table(arrow(block))
    except OSError as error:
        raise refusal(path, error, 0) from error
    replace_file(beside, _csv(arrow(block) for block in _blocks(table, CSV_ROWS)))
    return path, beside


def _blocks(table: "pd.DataFrame", rows: int) -> "Iterator[pd.DataFrame]":
    """A table in blocks of rows; one of no rows is one block."""
    for start in range(0, max(len(table), 1), rows):
        yield table.iloc[start : start + rows]


def _arrow_block(block: "pd.DataFrame", columns: Sequence[ColumnSpec], schema: "pa.Schema", name: str) -> "pa.Table":
    return pa.Table.from_arrays([_arrow_column(name, column, block[column.name]) for column in columns], schema=schema)


def _csv(blocks: "Iterable[pa.Table]") -> "Iterator[bytes]":
    """The text of a table, block by block: all of it at once is larger than the table."""
    for index, block in enumerate(blocks):
        rows = block.to_pandas(integer_object_nulls=True)
        yield csv_bytes(rows, header=index == 0)


def _arrow_column(table: str, column: ColumnSpec, values: "pd.Series") -> "pa.Array":
    # The type is found first and converted then: asked for directly, Arrow cuts 2.5 to 2, and a cast alone reads "12".
    try:
        found = pa.array(values, from_pandas=True)
        if found.null_count == len(found):
            # Nothing is known: pandas has no null of its own, and says NaN also where words would stand.
            return pa.nulls(len(found), _TYPES[column.dtype])
        if not _ADMITS[column.dtype](found.type):
            raise TypeError(f"values of type {found.type}")
        return found.cast(_TYPES[column.dtype], safe=True)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise StoreError(
            where=f"table {table}, column {column.name}",
            problem="a value does not fit the column's type",
            got=str(error).splitlines()[0],
            wanted=f"{column.dtype} or null: {column.meaning}",
            mend="Convert the column before writing",
        ) from error


def read_table(path: Place, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """A table as :func:`write_table` wrote it; of wide tables only some columns, those of them that there are.

    Raises
    ------
    StoreError
        when the file is not there or not Parquet.
    """
    try:
        source = arrow_source(path)
        wanted = None if columns is None else [name for name in pq.read_schema(source).names if name in columns]
        table: pd.DataFrame = pq.read_table(source, columns=wanted, partitioning=None).to_pandas()
        return table
    except BucketError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            where=path,
            problem="the table cannot be read",
            got=f"{type(error).__name__}: {error}",
            wanted="a Parquet file that stxmdist wrote",
            mend="Run the campaign again; stxmdist verify says what else is damaged",
        ) from error


def arrow_source(path: Place) -> "Path | pa.BufferReader":
    """What Arrow reads from: a path, or the bytes of an object."""
    return path if isinstance(path, Path) else pa.BufferReader(path.read_bytes())


def columns_of(path: Place) -> list[str]:
    """Names of the columns of a table that :func:`write_table` wrote."""
    return list(pq.read_schema(arrow_source(path)).names)


def read_units(path: Place) -> dict[str, tuple[str, str]]:
    """Column -> (unit, meaning), from the file's own schema."""
    return {
        field.name: (field.metadata[b"unit"].decode(), field.metadata[b"description"].decode())
        for field in pq.read_schema(arrow_source(path))
    }


def data_dictionary(tables: Mapping[str, TableSpec] = TABLES) -> dict[str, Json]:
    """Every table and column with type, unit and meaning."""
    return {
        name: {
            "description": spec.meaning,
            "columns": {
                column.name: {"type": column.dtype, "unit": column.unit, "description": column.meaning}
                for column in spec.columns
            },
        }
        for name, spec in tables.items()
    }


def write_data_dictionary(folder: Place, tables: Mapping[str, TableSpec] = TABLES) -> Place:
    """Write ``data_dictionary.json`` beside the tables; return its path."""
    path = folder / "data_dictionary.json"
    replace_json(path, data_dictionary(tables))
    return path


def publish_folder(store: Store, name: str, target: Place) -> None:
    """Make ``<store>/<name>`` show a folder of an output, with one atomic switch of a link.

    A reader of several files resolves the link once, and reads them from the folder that it gave.

    Raises
    ------
    StoreError
        when the target is not a folder under the store's stages, or the link's place is taken.
    """
    stages = store.stages_path.resolve()
    inside = target.resolve().is_relative_to(stages)  # type: ignore[arg-type]
    if name not in LINKS or not inside or not target.is_dir():
        raise StoreError(
            where=store.root / name,
            problem="the link cannot be switched",
            got=f"{name} -> {target}",
            wanted=f"one of {json.dumps(LINKS)}, to a folder inside {store.stages_path}",
            mend="Write the folder as a file of a stage's output first",
        )
    if _is_copy(store, name):
        remove(store.root / name)
    kind_of(target).point(store.root / name, target)


def _is_copy(store: Store, name: str) -> bool:
    """Whether a folder of published files stands in a link's place, as archives leave it that do not keep links."""
    place = store.root / name
    if not isinstance(place, Path) or place.is_symlink() or not place.is_dir():
        return False
    publications = filter(None, map(store.publication, store.published_stages()))
    known = {(path, sha) for each in publications for (_, _, path), sha in published_files(each)}
    files = [path for path in place.rglob("*") if not path.is_dir()]
    return all((f"{name}/{path.relative_to(place).as_posix()}", sha256_of_file(path)) in known for path in files)
