"""What both modalities measured of the same particles: wholes against the sums of their parts."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stxmdist.arrays import F64, I64, Text
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.columns import codes, numbers, text

MASS_MEANS = ("soc_mean", "f_charged", "f_mixed", "f_discharged")
"""Of a whole: the mean of its parts, weighted by mass"""

NO_METRICS = ("soc_se", "y_um", "x_um")
"""Columns with a standard error beside them, or numbers, that are no metric of a particle"""

STANDARD = ("soc_mean", "soc_sd", "core_shell_index", "f_mixed", "d_eq_um", "thickness_nm")
"""Metrics that every campaign has"""


@dataclass(frozen=True, eq=False)
class Paired:
    """One metric of wholes that both modalities have seen; every array is (PAIR,)."""

    stxm: F64
    ptychography: F64
    stxm_se: F64
    """NaN where not known"""
    ptychography_se: F64
    cluster: I64
    """Codes of regions: what one placement, one energy scale and one incident beam are common to"""
    relation: Text
    row: I64
    """Row of the STXM particle in the evidence's table; the first of a split one"""
    roi_rule: Text
    """How the ptychography field was chosen"""


def standard_error_column(metric: str) -> str:
    """Where the standard error of a metric stands."""
    return "soc_se" if metric == "soc_mean" else f"{metric}_se"


def metrics_of(particles: pd.DataFrame) -> list[str]:
    """The standard metrics, and all further columns that come with a standard error of their own."""
    own = [name.removesuffix("_se") for name in particles.columns if str(name).endswith("_se")]
    more = [name for name in own if name in particles.columns and name not in (*STANDARD, *NO_METRICS)]
    return [name for name in STANDARD if name in particles.columns] + more


class Pairs:
    """Pairs of the evidence, made ready once for all metrics."""

    def __init__(self, evidence: Evidence) -> None:
        particles = evidence.particles
        place = {
            key: row
            for row, key in enumerate(zip(text(particles, "scan_id"), numbers(particles, "particle_id"), strict=True))
        }
        pairs = evidence.pairs
        rows = [
            [
                place.get(key, -1)
                for key in zip(text(pairs, f"scan_id_{name}"), numbers(pairs, f"particle_id_{name}"), strict=True)
            ]
            for name in ("stxm", "ptychography")
        ]
        known = np.array([min(both) >= 0 for both in zip(*rows, strict=True)], dtype=bool)
        # What a field cuts is not what the other modality measured: the whole falls out with any such part.
        cut = numbers(particles, "touches_border") == 1.0
        whole = [text(pairs, "scan_id_ptychography")]
        whole += [text(pairs, "group_id") if "group_id" in pairs.columns else np.arange(len(pairs)).astype(np.str_)]
        code = codes(whole)
        parts_cut = ~known | np.any([cut[np.array(side, dtype=np.int64)] for side in rows], axis=0)
        known &= np.bincount(code, parts_cut, minlength=len(pairs) + 1)[code] == 0
        pairs = pairs[known].reset_index(drop=True)
        self._particles = particles
        self._rows = [np.array(side, dtype=np.int64)[known] for side in rows]
        group = text(pairs, "group_id") if "group_id" in pairs.columns else np.arange(len(pairs)).astype(np.str_)
        self._group = codes([text(pairs, "scan_id_ptychography"), group])
        self._first = np.unique(self._group, return_index=True)[1]
        relation = text(pairs, "relation") if "relation" in pairs.columns else np.full(len(pairs), "one-to-one")
        self.relation = relation[self._first]
        stxm = particles.iloc[self._rows[0][self._first]]
        self.row = self._rows[0][self._first]
        self._rule = text(particles.iloc[self._rows[1][self._first]], "roi_rule")
        names = ("electrode_id", "cycle", "c_rate", "direction")
        region = "region_id" if "region_id" in particles.columns else "scan_id"
        self.cluster = codes([*(text(stxm, name) for name in names), text(stxm, region)])

    def __len__(self) -> int:
        return len(self._first)

    def of(self, metric: str) -> Paired:
        """Wholes of which both modalities have the metric."""
        sides = [self._summed(metric, rows) for rows in self._rows]
        values, errors = ([side[i] for side in sides] for i in range(2))
        known = np.isfinite(values[0]) & np.isfinite(values[1])
        return Paired(
            stxm=values[0][known],
            ptychography=values[1][known],
            stxm_se=errors[0][known],
            ptychography_se=errors[1][known],
            cluster=codes([self.cluster[known].astype(np.str_)]),
            relation=self.relation[known],
            row=self.row[known],
            roi_rule=self._rule[known],
        )

    def _summed(self, metric: str, rows: I64) -> tuple[F64, F64]:
        """The metric of each whole and its standard error, from the distinct particles of one modality."""
        table = self._particles
        keys, index = np.unique(np.stack([self._group, rows], axis=1), axis=0, return_index=True)
        group, rows = keys[:, 0], rows[index]
        n = len(self._first)
        parts = np.bincount(group, minlength=n)
        value = numbers(table, metric)[rows]
        error = numbers(table, standard_error_column(metric))[rows]
        area = numbers(table, "area_um2")[rows]
        thickness = numbers(table, "thickness_nm")[rows]
        if not np.isfinite(thickness).any():
            thickness = numbers(table, "thickness_reference")[rows]
        mass = area * thickness

        def total(values: F64) -> F64:
            return np.asarray(np.bincount(group, values, minlength=n))

        if metric in MASS_MEANS:
            share = mass / total(mass)[group]
            out, out_se = total(share * value), np.sqrt(total((share * error) ** 2))
        elif metric == "soc_sd":
            share = mass / total(mass)[group]
            mean = numbers(table, "soc_mean")[rows]
            within = numbers(table, "soc_var_intra")[rows]
            within = np.where(np.isfinite(within), within, value**2)
            between = np.where(parts[group] > 1, (mean - total(share * mean)[group]) ** 2, 0.0)
            out = np.sqrt(np.maximum(total(share * (within + between)), 0.0))
            out_se = np.sqrt(total((share * error) ** 2))
        elif metric in ("d_eq_um", "area_um2"):
            together = total(area)
            out = 2.0 * np.sqrt(together / np.pi) if metric == "d_eq_um" else together
            out_se = np.sqrt(total(error**2))
        elif metric == "thickness_nm":
            out, out_se = total(mass) / total(area), np.sqrt(total((area * error) ** 2)) / total(area)
        else:
            # Of the parts nothing follows for the whole.
            out, out_se = np.full(n, np.nan), np.full(n, np.nan)
        # A whole that is one particle keeps its own number to the last digit.
        single = parts[group] == 1
        out[group[single]], out_se[group[single]] = value[single], error[single]
        return out, out_se
