"""The particles that the statistics of a campaign rest on, as arrays for pages."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stxmdist.arrays import F64, I64, Mask, Text
from stxmdist.dashboard.conditions import Condition, condition_of
from stxmdist.dashboard.snapshot import Snapshot
from stxmdist.heterogeneity.columns import codes_of, text
from stxmdist.heterogeneity.rows import of_modality
from stxmdist.planning.columns import column, text_of

MODALITY = "stxm"
COLUMNS = (
    "scan_id", "particle_id", "modality", "electrode_id", "cycle", "c_rate", "direction", "touches_border",
    "d_eq_um", "soc_mean", "soc_se", "soc_sd", "phase_class", "flags",
)  # fmt: skip
"""Of the hundred and more that the table has"""


@dataclass(frozen=True)
class Place:
    """An electrode in one condition."""

    electrode: str
    condition: Condition


@dataclass(frozen=True, eq=False)
class Population:
    """Particles with a state of charge that no field cuts; each (PARTICLE,)."""

    scan_id: Text
    particle_id: I64
    place: I64
    """Code of `places`"""
    places: tuple[Place, ...]
    """By electrode, then by condition"""
    d_eq_um: F64
    soc: F64
    soc_se: F64
    soc_sd: F64
    phase_class: Text
    flags: Text
    n_left_out: int
    """Without a state of charge, or cut by the edge of the field"""

    def __len__(self) -> int:
        return len(self.soc)

    def of(self, electrode: str, condition: str) -> Mask:
        """(PARTICLE,) those of an electrode and of a condition, by its key; an empty word means all."""
        wanted = [
            electrode in ("", place.electrode) and condition in ("", place.condition.key) for place in self.places
        ]
        return np.array([*wanted, False], bool)[self.place]

    @cached_property
    def counts(self) -> I64:
        """(PLACE,) particles."""
        return np.bincount(self.place, minlength=len(self.places))


def population(now: Snapshot) -> Population | None:
    """The wide-field particles of the published table, all where it has none of these; None where there is no table."""
    return now.once("population", lambda: _population(now))


def _population(now: Snapshot) -> Population | None:
    table = now.published.table("particles", COLUMNS)
    if table is None:
        return None
    table = of_modality(table, MODALITY)
    kept = np.isfinite(column(table, "soc_mean")) & (column(table, "touches_border") != 1.0)
    chosen = table[kept]
    names = ("electrode_id", "cycle", "c_rate", "direction")
    codes = codes_of(chosen, names)
    first = np.unique(codes, return_index=True)[1] if len(chosen) else np.zeros(0, int)
    cells = chosen.iloc[first].reindex(columns=list(names)).itertuples(index=False, name=None)
    places = [Place(text_of(cell[0]), condition_of(*cell[1:])) for cell in cells]
    order = sorted(range(len(places)), key=lambda i: (places[i].electrode, places[i].condition))
    rank = np.argsort(order) if order else np.zeros(0, int)
    return Population(
        text(chosen, "scan_id"),
        column(chosen, "particle_id").astype(np.int64),
        np.asarray(rank[codes], dtype=np.int64) if len(chosen) else np.zeros(0, np.int64),
        tuple(places[i] for i in order),
        column(chosen, "d_eq_um"),
        column(chosen, "soc_mean"),
        column(chosen, "soc_se"),
        column(chosen, "soc_sd"),
        text(chosen, "phase_class"),
        text(chosen, "flags"),
        len(table) - len(chosen),
    )
