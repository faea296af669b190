"""What must be said of the particles behind a number: those that lack it, flags, and how fields were chosen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stxmdist.arrays import F64, I64
from stxmdist.heterogeneity.columns import text
from stxmdist.heterogeneity.missing import NOTABLE, worst_case_sum
from stxmdist.heterogeneity.rows import Rows
from stxmdist.heterogeneity.states import States

UNKNOWN = float("nan")


@dataclass(frozen=True, eq=False)
class Reservations:
    """What is said of every row of an effect, and what particles without a number could change."""

    note: str
    lacking: F64
    """(REGION,) share of the particles of each region that lack the number"""
    region: I64
    """(PARTICLE,) codes of the regions"""
    notable: bool
    """Whether any electrode lacks the number for more than ``NOTABLE`` of its particles"""

    def bounds(self, weights: F64, states: States, limits: Sequence[float]) -> tuple[float, float]:
        """Least and greatest effect whatever the missing are; NaN where there are few."""
        if not self.notable:
            return UNKNOWN, UNKNOWN
        first = np.unique(self.region, return_index=True)[1]
        state = states.state[first]
        lacking = np.bincount(state, self.lacking) / np.bincount(state)
        return worst_case_sum(weights, states.mean, np.asarray(lacking), limits[0], limits[1])


def reservations(chosen: Rows) -> Reservations:
    """Of the particles that a statistic of ``chosen`` rows rests on, and of those that it leaves out."""
    of_electrode = np.bincount(chosen.electrode, minlength=chosen.n_electrodes)
    counts = np.bincount(chosen.region, minlength=chosen.n_regions)
    lost_regions = chosen.lost / (chosen.lost + counts)
    lost = np.bincount(chosen.region_electrode, chosen.lost, chosen.n_electrodes)
    share = lost / (lost + of_electrode)
    notes = []
    many = np.flatnonzero(share > NOTABLE)
    if many.size:
        first = np.unique(chosen.electrode, return_index=True)[1]
        names = text(chosen.frame.iloc[first], "electrode_id")
        worst = many[np.argsort(-share[many])][:3]
        said = ", ".join(f"{names[at]} {100 * share[at]:.0f} %" for at in worst)
        notes.append(f"particles without the number: {said}")
    notes += [
        f"flagged {flag}: {100 * part:.0f} %" for flag, part in flag_shares(chosen.frame).items() if part > NOTABLE
    ]
    rule = text(chosen.frame, "roi_rule")[chosen.region_first]
    chosen_fields = int((rule == "convenience").sum())
    if chosen_fields:
        notes.append(f"{chosen_fields} of {len(rule)} fields were chosen by convenience")
    return Reservations("; ".join(notes), lost_regions, chosen.region, bool(many.size))


def flag_shares(frame: pd.DataFrame) -> dict[str, float]:
    """Share of the particles that have each flag, the most frequent first."""
    counts = flag_counts(frame)
    return {flag: count / len(frame) for flag, count in counts.items()} if len(frame) else {}


def flag_counts(frame: pd.DataFrame) -> dict[str, int]:
    """How many particles have each flag, the most frequent first."""
    if "flags" not in frame.columns or not len(frame):
        return {}
    counts: dict[str, int] = {}
    for words, count in frame["flags"].value_counts().items():
        for flag in {part.strip() for part in str(words).split(";")} - {""}:
            counts[flag] = counts.get(flag, 0) + int(count)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
