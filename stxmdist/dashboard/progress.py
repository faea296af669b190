"""How well each electrode is known, and what is still to be measured of it, in numbers and in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from stxmdist.dashboard.conditions import Condition, condition_of
from stxmdist.dashboard.snapshot import Snapshot
from stxmdist.dashboard.words import plural
from stxmdist.errors import InputError
from stxmdist.heterogeneity.enough import Measured, More, more_for
from stxmdist.heterogeneity.pilot import PilotSpread, pilot_spread
from stxmdist.planning.columns import rows_of
from stxmdist.report.tables import ElectrodeRow


@dataclass(frozen=True)
class ElectrodeMean:
    """The mean state of charge of an electrode in one condition, as far as it is known."""

    electrode: str
    condition: Condition
    regions: int
    particles: int
    mean: float
    low: float
    high: float
    note: str

    @property
    def half_width(self) -> float:
        """Of its 95 % interval; NaN where there is none."""
        return 0.5 * (self.high - self.low)


def electrode_means(now: Snapshot) -> tuple[ElectrodeMean, ...]:
    """A row for each electrode and condition of the published table; none where nothing was inferred."""
    table = now.table("electrodes")
    if table is None:
        return ()
    return tuple(
        ElectrodeMean(
            row.electrode_id,
            condition_of(row.cycle, row.c_rate, row.direction),
            _count(row.n_regions),
            _count(row.n_particles),
            row.soc_mean,
            row.soc_ci_low,
            row.soc_ci_high,
            row.note,
        )
        for row in rows_of(ElectrodeRow, table)
    )


def _count(number: float) -> int:
    return int(number) if math.isfinite(number) else 0


def spread_of(now: Snapshot) -> PilotSpread | str:
    """The variances that the campaign itself has published, or why there are none."""
    table = now.table("variance")
    if table is None:
        return "How much particles and regions differ is not known before the stage infer."
    try:
        return pilot_spread(table)
    except InputError as error:
        return f"{error.problem}; {error.mend}.".capitalize()


def still_to_measure(mean: ElectrodeMean, spread: PilotSpread | str, wanted: float) -> str:
    """So many more until the half-width is what is wanted, in words."""
    if isinstance(spread, str):
        return spread
    if not math.isfinite(mean.half_width) or mean.particles < 1 or mean.regions < 1:
        return "No interval yet: a second region, or another electrode of the same condition, gives one."
    now = Measured(mean.regions, mean.particles, mean.half_width)
    ends = dict.fromkeys(replace(each, electrode=0.0) for each in (spread.estimate, spread.low, spread.high))
    return in_words([more_for(each, now, wanted) for each in ends], mean.regions)


def in_words(found: Sequence[More], regions_now: int) -> str:
    """What is still to be measured, at both ends of what is not known."""
    these = "this region" if regions_now == 1 else "these regions"
    if all(more.reached for more in found):
        return "Enough."
    particles, regions = (sorted({getattr(more, name) for more in found}) for name in ("particles", "regions"))
    said = []
    if math.isfinite(particles[0]):
        least = "at least " if math.isinf(particles[-1]) else ""
        said.append(f"{least}{_range(particles, 'particle')} in {these}")
    if math.isfinite(regions[0]):
        said.append(f"{_range(regions, 'region')} like {these.split()[0]}")
    return " or ".join(said) + "." if said else "No number of particles or regions reaches it."


def _range(numbers: Sequence[float], noun: str) -> str:
    low, high = (int(number) for number in (numbers[0], max(filter(math.isfinite, numbers))))
    return plural(high, f"more {noun}") if low == high else f"{low} to {plural(high, f'more {noun}')}"
