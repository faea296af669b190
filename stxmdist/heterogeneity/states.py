"""Electrodes in their states: the means on which effects rest, with what else differs between them."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64, I64
from stxmdist.heterogeneity.columns import codes, codes_of, text
from stxmdist.heterogeneity.linear import Design, units_of
from stxmdist.heterogeneity.rows import CONDITION, Rows
from stxmdist.heterogeneity.terms import TERMS, Term

STATE = (*CONDITION, "beamtime_id")
"""What distinguishes one state of an electrode, as it was measured, from another."""

WORDS = {"c_rate": "rate", "beamtime_id": "beamtime"}
"""Names of columns in sentences, where they differ."""


@dataclass(frozen=True, eq=False)
class States:
    """Means of regions, averaged over each electrode's regions in each state."""

    mean: F64
    """(STATE,)"""
    design: Design
    state: I64
    """(PARTICLE,) which state each particle belongs to"""
    n_regions: int
    n_cells_shared: int
    """Cells of which more than one electrode was measured"""

    @property
    def blocks(self) -> I64:
        """(UNIT,) codes of what is alike in everything but the term: only within these may units change places."""
        n = int(self.design.unit.max()) + 1
        columns = [np.zeros((len(self.mean), 1)), *self.design.others.values()]
        sums = np.zeros((n, sum(column.shape[1] for column in columns)))
        np.add.at(sums, self.design.unit, np.column_stack(columns))
        means = np.round(sums / np.bincount(self.design.unit)[:, None], 9)
        return np.asarray(np.unique(means, axis=0, return_inverse=True)[1].reshape(-1), dtype=np.int64)

    def of_units(self, values: F64) -> F64:
        """(UNIT,) means of (STATE,) values."""
        return np.asarray(np.bincount(self.design.unit, values) / np.bincount(self.design.unit))


def states_of(chosen: Rows, term: Term) -> States:
    """States of the electrodes of chosen rows, whose regions were coded by ``STATE``, for the effect of a term.

    Other terms that vary stand as numbers, direction and beamtime as blocks; a number that is missing somewhere stands
    as a block too. The electrodes of one cell are one unit.
    """
    first = chosen.region_first
    frame = chosen.frame.iloc[first]
    state_of_region = codes_of(frame, ("electrode_id", *STATE))
    where = np.unique(state_of_region, return_index=True)[1]
    counts = np.bincount(state_of_region)
    mean = np.bincount(state_of_region, chosen.region_mean(chosen.value)) / counts
    at = frame.iloc[where]
    others = {}
    for name in STATE:
        if name == term.column:
            continue
        as_number = next((other for other in TERMS.values() if other.column == name), None)
        values = None if as_number is None else as_number.of(at)
        if values is not None and np.isfinite(values).all():
            column = (values - values.mean())[:, None]
        else:
            level = codes_of(at, (name,))
            column = np.eye(int(level.max(initial=0)) + 1)[level][:, 1:]
        if column.size and np.ptp(column, axis=0).max() > 0:
            others[WORDS.get(name, name)] = column
    electrode = chosen.region_electrode[first_of(state_of_region)]
    named = text(at, "cell_id")
    cell = np.where(named == "", -1, codes([named]))
    unit = units_of(electrode, cell)
    electrodes_per_unit = np.array([len(np.unique(electrode[unit == name])) for name in range(int(unit.max()) + 1)])
    return States(
        mean=np.asarray(mean, dtype=np.float64),
        design=Design(term.of(at), others, electrode, unit),
        state=state_of_region[chosen.region],
        n_regions=chosen.n_regions,
        n_cells_shared=int((electrodes_per_unit > 1).sum()),
    )


def first_of(groups: I64) -> I64:
    """(GROUP,) index of the first member of each of codes 0, 1, ..."""
    return np.asarray(np.unique(groups, return_index=True)[1], dtype=np.int64)
