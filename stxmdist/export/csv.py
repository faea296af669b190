"""CSV: the campaign's tables with their data dictionary, for spreadsheets and for R."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import pyarrow.parquet as pq

from storage.atomic import read_json_object, replace_file, replace_json
from storage.csv_text import csv_bytes
from storage.place import Place, matching
from storage.tables import arrow_source, columns_of
from stxmdist.export.offer import Offer, Piece
from stxmdist.export.source import ExportSource
from stxmdist.records import Json, read_from_json

SCAN_COLUMNS = ("scan_id", "scan_id_stxm", "scan_id_ptychography")
"""Columns that tie a row to a scan."""


@dataclass(frozen=True)
class TableWords:
    """What ``data_dictionary.json`` says of a table."""

    description: str
    columns: Mapping[str, Json]


def offer(source: ExportSource, campaign: str) -> Offer:
    """Every table as CSV, ``data_dictionary.json`` and ``provenance.json``.

    Where scans are named, the rows of these; tables of the whole campaign, which have no rows of a scan, stay out.
    """
    folder = source.output("infer", campaign).path / "tables"
    paths = matching(folder, "*.parquet")
    scans = frozenset(scan.scan_id for scan in source.scans) if source.named else None
    notes: tuple[str, ...] = ()
    if scans is not None:
        kept = [path for path in paths if set(SCAN_COLUMNS) & set(columns_of(path))]
        whole = [path.stem for path in paths if path not in kept]
        notes = (f"left out, because these tables describe the campaign and not single scans: {', '.join(whole)}",)
        paths = kept
    names = [path.stem for path in paths]
    provenance = {**source.provenance(campaign, ("infer",)), "tables": names}
    pieces = [Piece(campaign, f"{path.stem}.csv", partial(_write_table, path, scans)) for path in paths]
    pieces.append(Piece(campaign, "data_dictionary.json", partial(_write_dictionary, folder, names)))
    pieces.append(Piece(campaign, "provenance.json", partial(_write_json, provenance)))
    return Offer(tuple(pieces), notes=notes)


def _write_table(path: Place, scans: frozenset[str] | None, target: Path) -> None:
    """Floats with all digits that give the same float64 back, empty cells where nothing is known."""
    # Whole numbers stay whole beside empty cells, which in a column of floats they would not.
    table = pq.read_table(arrow_source(path), partitioning=None).to_pandas(integer_object_nulls=True)
    if scans is not None:
        columns = [name for name in SCAN_COLUMNS if name in table.columns]
        table = table[table[columns].isin(scans).any(axis=1)]
    replace_file(target, [csv_bytes(table)])


def _write_dictionary(folder: Place, names: list[str], target: Path) -> None:
    """Type, unit and meaning of every column of the tables that are written."""
    known = table_words(folder / "data_dictionary.json")
    tables = {}
    for name in names:
        table = known[name]
        present = set(columns_of(folder / f"{name}.parquet"))
        tables[name] = replace(table, columns={key: value for key, value in table.columns.items() if key in present})
    replace_json(target, tables)


def table_words(path: Place) -> dict[str, TableWords]:
    """Table to what a data dictionary says of it."""
    known = read_json_object(path)
    return {name: read_from_json(TableWords, cast(Mapping[str, object], said)) for name, said in known.items()}


def _write_json(content: dict[str, object], target: Path) -> None:
    replace_json(target, content)
