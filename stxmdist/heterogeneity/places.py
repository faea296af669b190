"""Electrodes in a condition, and their regions, as codes: what campaign analyses summarise."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd

from stxmdist.arrays import I64, Text
from stxmdist.heterogeneity.columns import codes_of
from stxmdist.heterogeneity.rows import CONDITION, of_modality

Cell: TypeAlias = str | float
"""A number or a text in a table."""

PLACE_KEYS = ("electrode_id", *CONDITION)
"""What distinguishes one electrode in one condition from another"""


@dataclass(frozen=True, eq=False)
class Places:
    """Particles of one modality in their places; arrays are (PARTICLE,) unless they say otherwise."""

    frame: pd.DataFrame
    """The particles that belong to an electrode"""
    place: I64
    """Codes 0, 1, ... of electrode and condition, in the order of ``table``"""
    region: I64
    """Codes of regions: the same name in another place is another region"""
    table: pd.DataFrame
    """(PLACE,) rows with the columns ``PLACE_KEYS``, sorted"""

    def of(self, index: int) -> I64:
        """Which particles are in a place."""
        return np.flatnonzero(self.place == index)

    def row(self, index: int) -> dict[str, Cell]:
        """The columns ``PLACE_KEYS`` of a place."""
        return {str(key): value for key, value in self.table.iloc[index].items()}


def places_of(particles: pd.DataFrame, modality: str | None = "stxm", sheet: pd.DataFrame | None = None) -> Places:
    """Code the particles by electrode and condition, and by region.

    Parameters
    ----------
    sheet
        the sample sheet: adds the places that have no particle
    """
    frame = with_columns(of_modality(particles, modality), PLACE_KEYS)
    named = frame["electrode_id"].notna()
    frame = (frame if named.all() else frame[named]).reset_index(drop=True)
    keys = list(PLACE_KEYS)
    sheets = [frame[keys]] if sheet is None else [frame[keys], with_columns(sheet, PLACE_KEYS)[keys]]
    everything = pd.concat([one for one in sheets if len(one)] or [frame[keys]], ignore_index=True)
    everything = everything[everything["electrode_id"].notna()].reset_index(drop=True)
    _, code = _coded_keys(everything)
    present, first = np.unique(code, return_index=True)
    cells = everything.iloc[first].to_numpy(dtype=object)
    order = sorted(range(len(present)), key=lambda at: _order(cells[at]))
    rank = np.empty(len(present), dtype=np.int64)
    rank[order] = np.arange(len(present))
    # The particles stand first.
    place = rank[code[: len(frame)]]
    region_id = "region_id" if "region_id" in frame.columns else "scan_id"
    region = codes_of(with_columns(frame, (region_id,))[[region_id]].assign(place=place), ("place", region_id))
    return Places(frame, place, region, everything.iloc[first[order]].reset_index(drop=True))


def with_columns(sheet: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """The sheet with the columns that it lacks, unknown in every row."""
    return sheet.assign(**{name: np.nan for name in names if name not in sheet.columns})


def place_keys(sheet: pd.DataFrame) -> Text:
    """One text per row of the columns ``PLACE_KEYS``; numbers written alike whether integers or floats."""
    names, code = _coded_keys(sheet)
    return names[code]


def _coded_keys(sheet: pd.DataFrame) -> tuple[Text, I64]:
    """(KEY,) texts of the rows of ``PLACE_KEYS``, sorted, and (ROW,) which of them each row has."""
    # A few places stand for many particles: only what differs is put into words.
    alike = np.zeros(len(sheet), dtype=np.int64)
    for key in PLACE_KEYS:
        found, values = pd.factorize(sheet[key], use_na_sentinel=True)
        alike = np.unique(alike * (len(values) + 1) + found + 1, return_inverse=True)[1].reshape(-1)
    _, first = np.unique(alike, return_index=True)
    columns = [[_word(item) for item in sheet[key].iloc[first].astype(object)] for key in PLACE_KEYS]
    words = np.asarray(["\x1f".join(parts) for parts in zip(*columns, strict=True)], dtype=np.str_)
    names, code = np.unique(words, return_inverse=True)
    return names, np.asarray(code.reshape(-1)[alike], dtype=np.int64)


def _word(item: object) -> str:
    # None, NaN and a null of pandas are one and the same: not known.
    if item is None or item is pd.NA or item != item:
        return ""
    return str(float(item)) if isinstance(item, int | float | np.number) else str(item)


def _order(cells: Iterable[object]) -> tuple[Cell, ...]:
    """Sort numbers as numbers and the missing last."""
    out: list[Cell] = []
    for item in cells:
        missing = item is None or item != item
        if isinstance(item, int | float | np.number) and not missing:
            out += [False, float(item), ""]
        else:
            out += [missing, 0.0, "" if missing else str(item)]
    return tuple(out)
