"""A simulated campaign compared with its truth: what was recovered beside what was planted, and whether that is enough.

Everything is read from what the store has published and from ``truth/``; nothing is computed again.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from storage.place import Place
from storage.store import Store
from stxmdist.errors import InputError
from stxmdist.heterogeneity.variance import COMPONENTS, partition
from stxmdist.planning.columns import rows_of
from stxmdist.planning.published import PublishedCampaign
from stxmdist.records import Json, figures_of, read_from_json
from stxmdist.scoring.conditions import score_conditions
from stxmdist.scoring.metrics import score_metrics
from stxmdist.scoring.particles import Matched, ParticleScore, match_scan, summary
from stxmdist.scoring.ptychography import PlantedScan, score_scan
from stxmdist.stages.infer import Options as InferOptions

RMS_WANTED = {"stxm": 0.04, "ptychography": 0.02}
"""Largest rms error of a wide particle's state of charge."""
INSIDE_WANTED = (0.90, 0.99)
"""Share of true values inside the 95 % intervals: below they are too short, above too long."""
FOUND_WANTED = 0.85
SHARE_WANTED = 0.10
"""Largest difference of a share of variance."""
ALL = "both"
EFFECTS = ("cycle", "log_d_eq")


@dataclass(frozen=True)
class VarianceScore:
    """Share of the variance at one level, recovered and true; NaN where the design cannot tell."""

    component: str
    share: float
    share_true: float
    difference: float
    wanted: str


@dataclass(frozen=True)
class ElectrodeScore:
    """State of charge of an electrode at a cycle; NaN where nothing was recovered."""

    electrode_id: str
    cycle: float
    soc_mean: float
    ci_low: float
    ci_high: float
    true: float
    """Mean by mass over all that the fields of view show"""
    true_whole: float
    """The same over the particles that the edges of the fields do not cut, of which the recovered one is the mean"""
    inside: bool | None
    """Whether the interval holds the true one"""


@dataclass(frozen=True)
class EffectScore:
    """Slope of state of charge over a quantity, recovered and planted."""

    term: str
    estimate: float
    ci_low: float
    ci_high: float
    planted: float
    inside: bool | None
    """Whether the interval holds the planted one"""
    method: str | None


@dataclass(frozen=True)
class EffectRow:
    """What is read of a row of the table ``effects``, published or true."""

    endpoint: str
    term: str
    method: str
    estimate: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class ElectrodeRow:
    """What is read of a row of the table ``electrodes``, published or true."""

    electrode_id: str
    cycle: float
    soc_mean: float
    soc_ci_low: float
    soc_ci_high: float


@dataclass(frozen=True)
class VarianceRow:
    """What is read of a row of the table ``variance``, published or true."""

    endpoint: str
    component: str
    variance: float
    share: float


def score(store_path: Place, truth_folder: Path) -> dict[str, Json]:
    """Compare what a store has published with the truth of its simulation.

    Returns
    -------
    Rows under ``particles``, ``conditions``, ``variance``, ``electrodes``, ``effects``, ``ptychography`` and
    ``metrics`` (each column of the particle table that the truth has too); ``missing``, the scans of which no particles
    are published: they count in no figure; ``passed``, one bool for each target. Numbers that are not known are None.

    Raises
    ------
    InputError
        where the campaign was not simulated, or its truth is not complete.
    """
    published, truth_folder = PublishedCampaign(Store(store_path).open()), Path(truth_folder)
    true = _truth_table(truth_folder, "particles")
    planted = _planted(truth_folder)
    matched, missing = _matched(published, truth_folder, true)
    particles = _particles(matched)
    variance = _variance(published, true)
    ptychography = (
        score_scan(published, truth_folder, scan_id, planted)
        for scan_id, scan in planted.items()
        if scan.modality == "ptychography"
    )
    return {
        "particles": _as_rows(particles),
        "conditions": _as_rows(score_conditions(matched, planted)),
        "variance": _as_rows(variance),
        "electrodes": _as_rows(_electrodes(published, truth_folder, true)),
        "effects": _as_rows(_effects(published, truth_folder)),
        "ptychography": _as_rows([row for row in ptychography if row is not None]),
        "metrics": _as_rows(score_metrics(matched)),
        "missing": missing,
        "passed": _passed(particles, variance, missing),
    }


def _as_rows(records: Sequence[object]) -> list[dict[str, Json]]:
    return [figures_of(record) for record in records]


def _matched(published: PublishedCampaign, truth_folder: Path, true: pd.DataFrame) -> tuple[list[Matched], list[str]]:
    """The wide particles of each scan with what became of them; and the scans without published particles."""
    matched, missing = [], []
    for scan_id, here in true.groupby("scan_id", sort=True):
        scan = match_scan(published, truth_folder, here, str(here["modality"].iloc[0]))
        if scan is None:
            missing.append(str(scan_id))
        else:
            matched.append(scan)
    return matched, missing


def _particles(matched: Sequence[Matched]) -> list[ParticleScore]:
    """A row for each modality and one for both, with what is wanted."""
    rows = []
    for modality in (*RMS_WANTED, ALL):
        if modality in RMS_WANTED:
            wanted = f"rms <= {RMS_WANTED[modality]:.2f}"
        else:
            wanted = f"inside {INSIDE_WANTED[0]:.2f} to {INSIDE_WANTED[1]:.2f}"
        scans = [scan for scan in matched if modality in (scan.modality, ALL)]
        rows.append(summary(modality, scans, f"found >= {FOUND_WANTED:.2f}, {wanted}"))
    return rows


def _variance(published: PublishedCampaign, true: pd.DataFrame) -> list[VarianceScore]:
    """Shares of variance by level, recovered and true, each a share of its total without noise.

    The truth's are those of its own particle table, split by the same method: the same modality, and where the
    statistics left them out, without particles that the field cuts; its particles are known without error, so it has no
    noise. The recovered noise is given as a share of the recovered total, noise included.
    """
    table = published.table("variance")
    recovered = [] if table is None else [row for row in rows_of(VarianceRow, table) if row.endpoint == "soc_mean"]
    options = {**figures_of(InferOptions()), **published.options("infer")}
    kept = true[~true["touches_border"]] if options["drop_at_border"] else true
    split = partition(kept.assign(soc_se_stat=0.0), "soc_mean", modality=str(options["modality"]))
    share, share_true = _noise_free_shares(recovered), _noise_free_shares(rows_of(VarianceRow, split))
    rows = []
    for name in COMPONENTS[:-1]:
        found, right = share.get(name, math.nan), share_true.get(name, math.nan)
        rows.append(VarianceScore(name, found, right, found - right, f"within {SHARE_WANTED:.2f}"))
    noise = math.nan
    if table is not None:
        known = [row.share for row in recovered if row.component == "noise" and math.isfinite(row.share)]
        noise = float(sum(known))
    return [*rows, VarianceScore("noise", noise, 0.0, math.nan, "not compared")]


def _noise_free_shares(rows: Sequence[VarianceRow]) -> dict[str, float]:
    """Component to variance over the sum of all but noise; NaN for a component that the design cannot tell."""
    variance = {row.component: row.variance for row in rows if row.component != "noise"}
    total = sum(value for value in variance.values() if math.isfinite(value))
    return {name: value / total if total > 0 else math.nan for name, value in variance.items()}


def _electrodes(published: PublishedCampaign, truth_folder: Path, true: pd.DataFrame) -> list[ElectrodeScore]:
    """State of charge of each electrode at each cycle, and whether its interval holds the true one."""
    table = published.table("electrodes")
    recovered = {} if table is None else {(row.electrode_id, row.cycle): row for row in rows_of(ElectrodeRow, table)}
    whole = true[(true["modality"] == "stxm") & ~true["touches_border"]]
    rows = []
    electrodes = _truth_table(truth_folder, "electrodes")
    if "time_h" in electrodes:
        # Of regions that were seen again, the first look.
        electrodes = electrodes[electrodes["time_h"] == electrodes["time_h"].min()]
        whole = whole[whole["time_h"] == whole["time_h"].min()]
    for right in rows_of(ElectrodeRow, electrodes):
        row = recovered.get((right.electrode_id, right.cycle))
        low, high = (math.nan, math.nan) if row is None else (row.soc_ci_low, row.soc_ci_high)
        here = whole[(whole["electrode_id"] == right.electrode_id) & (whole["cycle"] == right.cycle)]
        rows.append(
            ElectrodeScore(
                electrode_id=right.electrode_id,
                cycle=right.cycle,
                soc_mean=math.nan if row is None else row.soc_mean,
                ci_low=low,
                ci_high=high,
                true=right.soc_mean,
                true_whole=float(np.average(here["soc_mean"], weights=here["mass_um2_nm"])) if len(here) else math.nan,
                inside=_within(right.soc_mean, low, high),
            )
        )
    return rows


def _effects(published: PublishedCampaign, truth_folder: Path) -> list[EffectScore]:
    """Slopes of state of charge over cycles and over size, recovered and planted.

    Of several methods, the first with an interval is compared: the one whose unit is the electrode.
    """
    table = published.table("effects")
    recovered = [] if table is None else rows_of(EffectRow, table)
    planted = rows_of(EffectRow, _truth_table(truth_folder, "effects"))
    rows = []
    for term in EFFECTS:
        right = next((row.estimate for row in _of_term(planted, term) if math.isfinite(row.estimate)), math.nan)
        found = next((row for row in _of_term(recovered, term) if _has_interval(row)), None)
        low, high = (math.nan, math.nan) if found is None else (found.ci_low, found.ci_high)
        rows.append(
            EffectScore(
                term=term,
                estimate=math.nan if found is None else found.estimate,
                ci_low=low,
                ci_high=high,
                planted=right,
                inside=_within(right, low, high),
                method=None if found is None else found.method,
            )
        )
    return rows


def _of_term(rows: Sequence[EffectRow], term: str) -> list[EffectRow]:
    return [row for row in rows if row.endpoint == "soc_mean" and row.term == term]


def _has_interval(row: EffectRow) -> bool:
    return all(map(math.isfinite, (row.estimate, row.ci_low, row.ci_high)))


def _within(value: float, low: float, high: float) -> bool | None:
    """Whether an interval holds a value; None where there is no interval."""
    return bool(low <= value <= high) if math.isfinite(low) and math.isfinite(high) else None


def _passed(
    particles: Sequence[ParticleScore], variance: Sequence[VarianceScore], missing: Sequence[str]
) -> dict[str, bool]:
    """Whether each target is met; a figure that is not known meets none.

    Intervals are judged over both modalities together: the few particles of ptychography alone would miss a share of
    0.90 to 0.99 by chance.
    """
    by_modality = {row.modality: row for row in particles}
    passed = {"every scan": not missing}
    for modality, wanted in RMS_WANTED.items():
        passed[f"soc rms error, {modality}"] = by_modality[modality].soc_rms_error <= wanted
    passed["soc inside"] = INSIDE_WANTED[0] <= by_modality[ALL].soc_inside <= INSIDE_WANTED[1]
    for modality, row in by_modality.items():
        passed[f"found, {modality}"] = row.found >= FOUND_WANTED
    for share in variance:
        if share.component != "noise":
            passed[f"variance share, {share.component}"] = abs(share.difference) <= SHARE_WANTED
    return passed


def _truth_table(truth_folder: Path, name: str) -> pd.DataFrame:
    path = truth_folder / f"{name}.parquet"
    if not path.is_file():
        raise _no_truth(path)
    return pd.read_parquet(path)


def _planted(truth_folder: Path) -> dict[str, PlantedScan]:
    """What was planted in each scan beside its particles."""
    path = truth_folder / "nuisance.json"
    if not path.is_file():
        raise _no_truth(path)
    scans: Mapping[str, Mapping[str, object]] = json.loads(path.read_text(encoding="utf-8"))["scans"]
    return {scan_id: read_from_json(PlantedScan, scan) for scan_id, scan in scans.items()}


def _no_truth(path: Path) -> InputError:
    return InputError(
        where=path,
        problem="there is no truth to compare with",
        got="no such file",
        wanted="the folder truth/ of a simulated campaign",
        mend="Only campaigns that `stxmdist simulate` or `stxmdist demo` made can be scored",
    )
