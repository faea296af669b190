"""Current per active area and active share of each electrode, and the exponents with which both follow the rate."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stxmdist.arrays import F64, I64, Mask
from stxmdist.heterogeneity.active_fraction import is_active, recognition
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.columns import codes, codes_of, numbers, text
from stxmdist.heterogeneity.current_density import (
    CAPACITY_MAH_CM3,
    Exponent,
    current_density_a_m2,
    rate_exponent,
    ratio_influence,
)
from stxmdist.heterogeneity.intervals import UNKNOWN
from stxmdist.heterogeneity.metrics.soc_mean import soc_mean
from stxmdist.heterogeneity.places import Cell, Places, places_of
from stxmdist.heterogeneity.pooled_intervals import PlaceErrors, pooled_errors
from stxmdist.table_columns import TableColumn

TRANSPORT_COLUMNS = (
    TableColumn("electrode_id", "", "the electrode", "string"),
    TableColumn("cycle", "1", "number of cycles"),
    TableColumn("c_rate", "1/h", "rate of the last half cycle"),
    TableColumn("direction", "", "charge or discharge", "string"),
    TableColumn("n_regions", "1", "fields of view", "int64"),
    TableColumn("n_particles", "1", "particles of which area, thickness and activity are known", "int64"),
    TableColumn("n_left_out", "1", "particles of which one of them is not", "int64"),
    TableColumn("volume_um3", "um3", "of these particles, active or not"),
    TableColumn("active_area_um2", "um2", "projected area of the active ones; ions enter through twice of it"),
    TableColumn("active_fraction", "1", "share of active particles, by number"),
    TableColumn("active_fraction_low", "1", "lower end of its 95 % interval"),
    TableColumn("active_fraction_high", "1", "upper end of its 95 % interval"),
    TableColumn("active_area_fraction", "1", "share of the projected area that active particles have"),
    TableColumn("capacity_mah_cm3", "mAh/cm3", "charge by volume between the end-members, of the chemistry"),
    TableColumn(
        "current_density_a_m2", "A/m2", "rate times capacity of all these particles over both faces of the active ones"
    ),
    TableColumn("current_density_low_a_m2", "A/m2", "lower end of its 95 % interval"),
    TableColumn("current_density_high_a_m2", "A/m2", "upper end of its 95 % interval"),
    TableColumn("note", "", "why a number is missing or weak; empty if nothing is to be said", "string"),
)

EXPONENT_COLUMNS = (
    TableColumn(
        "quantity", "", "current density over active area, or active share: quantity ~ rate^exponent", "string"
    ),
    TableColumn("exponent", "1", "slope of its logarithm over that of the rate, electrodes as units"),
    TableColumn("se", "1", "standard error, over electrodes"),
    TableColumn("ci_low", "1", "lower end of the 95 % interval"),
    TableColumn("ci_high", "1", "upper end of the 95 % interval"),
    TableColumn("p", "1", "probability of as strong a dependence where there is none"),
    TableColumn("n_electrodes", "1", "independent electrodes or cells", "int64"),
    TableColumn("n_conditions", "1", "electrodes in conditions", "int64"),
    TableColumn("design", "", "whether rates are compared within electrodes or between them", "string"),
    TableColumn("note", "", "why there is no exponent; empty where there is one", "string"),
)

QUANTITIES = {
    "current_density_a_m2": "current density over active area",
    "active_fraction": "active share of particles",
    "active_area_fraction": "active share of area",
}


@dataclass(frozen=True, eq=False)
class _Material:
    """What carries current; (PARTICLE,) each."""

    seen: Places
    known: Mask
    area_um2: F64
    volume_um3: F64
    takes_part: F64
    """1 of active and 0 of inactive particles, corrected for how often either is taken for the other: means are true"""


def transport(evidence: Evidence) -> pd.DataFrame:
    """One row per electrode and condition, columns ``TRANSPORT_COLUMNS``.

    All current of the electrode is taken to pass the faces of the particles that are active, each in proportion to its
    area, and the particles that were seen to stand for those that were not. Active are particles between fixed
    thresholds or in two phases, corrected for those that their errors misplace. Intervals rest on regions, whose
    likeness is pooled over the campaign; they leave out the error of the thickness scale, which cancels in exponents.

    Source: Li et al., Nat. Mater. 13, 1149 (2014).
    """
    material = _material(evidence)
    seen, known = material.seen, material.known
    place, n = seen.place[known], len(seen.table)
    area, volume, part = material.area_um2[known], material.volume_um3[known], material.takes_part[known]
    everything = (np.ones(place.size), area, volume, area * part, part)
    counts, areas, volumes, of_active, active_counts = (_sums(weights, place, n) for weights in everything)
    rate, capacity = numbers(seen.table, "c_rate"), _capacity(seen)
    density = current_density_a_m2(rate, capacity, volumes, of_active)
    region = codes([seen.region[known].astype(np.str_)])
    of_density = pooled_errors(ratio_influence(volume, area * part, place), place, region)
    of_share = pooled_errors(ratio_influence(part, np.ones(place.size), place), place, region)
    rows = []
    for at in range(n):
        here = np.flatnonzero(seen.place == at)
        share = active_counts[at] / counts[at] if counts[at] else UNKNOWN
        rows.append(
            {
                **seen.row(at),
                "n_regions": len(np.unique(region[place == at])),
                "n_particles": int(counts[at]),
                "n_left_out": int(here.size - counts[at]),
                "volume_um3": volumes[at] if counts[at] else UNKNOWN,
                "active_area_um2": of_active[at] if counts[at] else UNKNOWN,
                "active_fraction": share,
                **_limits(share, of_share, at, "active_fraction_low", "active_fraction_high", most=1.0),
                "active_area_fraction": of_active[at] / areas[at] if areas[at] else UNKNOWN,
                "capacity_mah_cm3": capacity[at],
                "current_density_a_m2": density[at],
                **_limits(density[at], of_density, at, "current_density_low_a_m2", "current_density_high_a_m2"),
                "note": _note(material, here, at, rate, capacity, of_active, of_density),
            }
        )
    return pd.DataFrame(rows, columns=[column.name for column in TRANSPORT_COLUMNS])


def rate_exponents(evidence: Evidence) -> pd.DataFrame:
    """With what power of the rate current density and active share grow, columns ``EXPONENT_COLUMNS``.

    Of particles that are recruited one after the other the active share grows as the rate does and the current density
    stays (exponents 1 and 0); where all react at once it is the other way round.
    """
    table = transport(evidence)
    names = [column.name for column in EXPONENT_COLUMNS]
    if not len(table):
        return pd.DataFrame(columns=names)
    electrode = codes_of(table, ("electrode_id",))
    cells = _cells(evidence.sheet)
    cluster = codes([np.array([cells.get(name, name) for name in text(table, "electrode_id")], dtype=np.str_)])
    direction = text(table, "direction")
    others = {
        "the cycle": numbers(table, "cycle"),
        "the direction": np.where(direction == "", np.nan, (direction == "charge").astype(np.float64)),
    }
    rows = []
    for column, words in QUANTITIES.items():
        found = rate_exponent(numbers(table, "c_rate"), numbers(table, column), electrode, cluster, others)
        rows.append(_exponent_row(words, found))
    return pd.DataFrame(rows, columns=names)


def _exponent_row(words: str, found: Exponent) -> dict[str, Cell]:
    return {
        "quantity": words,
        "exponent": found.value.estimate,
        "se": found.se,
        "ci_low": found.value.low,
        "ci_high": found.value.high,
        "p": found.p,
        "n_electrodes": found.n_clusters,
        "n_conditions": found.n_places,
        "design": found.design,
        "note": found.value.note,
    }


def _sums(weights: F64, place: I64, n: int) -> F64:
    return np.asarray(np.bincount(place, weights, minlength=n), dtype=np.float64)


def _material(evidence: Evidence) -> _Material:
    seen = places_of(evidence.kept, evidence.modality)
    area = numbers(seen.frame, "area_um2")
    volume = area * 1e-3 * numbers(seen.frame, "thickness_nm")
    part = _taking_part(seen)
    known = np.isfinite(area) & np.isfinite(volume) & np.isfinite(part) & (volume > 0.0)
    return _Material(seen, np.asarray(known), area, volume, part)


def _taking_part(seen: Places) -> F64:
    """(PARTICLE,) ``(active + specificity - 1) / (sensitivity + specificity - 1)`` of each place; NaN where not known.

    Source: Rogan, Gladen, Am. J. Epidemiol. 107, 71 (1978).
    """
    charge = soc_mean(seen.frame)
    two_phase = text(seen.frame, "phase_class") == "two-phase"
    found = is_active(charge.value, two_phase)
    error = np.sqrt(charge.noise_variance)
    for at in range(len(seen.table)):
        here = np.flatnonzero((seen.place == at) & np.isfinite(found))
        if here.size:
            known = recognition(charge.value[here], error[here], two_phase[here])
            gain = known.sensitivity + known.specificity - 1.0
            found[here] = (found[here] + known.specificity - 1.0) / gain
    return found


def _capacity(seen: Places) -> F64:
    """(PLACE,) mAh/cm3; NaN for a chemistry whose capacity is not known, or more than one."""
    chemistry = text(seen.frame, "chemistry")
    found = np.full(len(seen.table), np.nan)
    for at in range(len(seen.table)):
        kinds = np.unique(chemistry[seen.place == at])
        if len(kinds) == 1:
            found[at] = CAPACITY_MAH_CM3.get(str(kinds[0]), np.nan)
    return found


def _limits(value: float, errors: PlaceErrors, at: int, low: str, high: str, most: float = np.inf) -> dict[str, Cell]:
    """Interval of a quantity whose logarithm has the error, and that cannot exceed ``most``."""
    if not value > 0.0 or at >= len(errors.se) or not np.isfinite(errors.se[at]):
        return {low: UNKNOWN, high: UNKNOWN}
    factor = float(np.exp(errors.half_width()[at]))
    return {low: value / factor, high: min(value * factor, most)}


def _note(
    material: _Material, here: I64, at: int, rate: F64, capacity: F64, active_area: F64, errors: PlaceErrors
) -> str:
    notes = []
    if here.size and not np.isfinite(material.volume_um3[here]).any():
        notes.append("no thickness in nm: the volume is not known")
    elif not material.known[here].any():
        notes.append("no particle of which area, thickness and activity are known, or errors too large to tell it")
    elif not active_area[at] > 0.0:
        notes.append("no active particle beyond the errors: nothing is known to carry the current")
    if not rate[at] > 0.0:
        notes.append("no rate in the sample sheet")
    if not np.isfinite(capacity[at]):
        notes.append("no capacity by volume is known for this chemistry")
    if not notes and at < len(errors.se) and errors.note(at):
        notes.append(errors.note(at))
    return "; ".join(notes)


def _cells(sheet: pd.DataFrame) -> dict[str, str]:
    """Electrode to the cell it was in, where the sheet says it."""
    named = zip(text(sheet, "electrode_id"), text(sheet, "cell_id"), strict=True)
    return {electrode: cell for electrode, cell in named if cell}
