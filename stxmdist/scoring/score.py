"""A simulated campaign compared with its truth: what was recovered beside what was planted, and whether that is enough.

Everything is read from what the store has published and from ``truth/``; nothing is computed again.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from storage.store import Store
from storage.tables import read_table
from stxmdist.errors import InputError
from stxmdist.heterogeneity.variance import COMPONENTS, partition
from stxmdist.scoring import ptychography as score_ptychography
from stxmdist.scoring.particles import match_scan, summary

RMS_WANTED = {"stxm": 0.04, "ptychography": 0.02}
"""Largest rms error of a wide particle's state of charge."""
INSIDE_WANTED = (0.90, 0.99)
"""Share of true values inside the 95 % intervals: below they are too short, above too long."""
FOUND_WANTED = 0.85
SHARE_WANTED = 0.10
"""Largest difference of a share of variance."""
ALL = "both"
EFFECTS = ("cycle", "log_d_eq")
PLACE = ("electrode_id", "cycle")


def score(store_path: Path, truth_folder: Path) -> dict[str, Any]:
    """Compare what a store has published with the truth of its simulation.

    Returns
    -------
    Rows under ``particles``, ``variance``, ``electrodes``, ``effects`` and ``ptychography``; ``missing``, the scans of
    which no particles are published: they count in no figure; ``passed``, one bool for each target. Numbers that
    nothing says are None.

    Raises
    ------
    InputError
        where the campaign was not simulated, or its truth is not whole.
    """
    store, truth_folder = Store(store_path).open(), Path(truth_folder)
    true = _truth_table(truth_folder, "particles")
    nuisance = _nuisance(truth_folder)
    particles, missing = _particles(store, truth_folder, true)
    variance = _variance(store, true)
    found = {
        "particles": particles,
        "variance": variance,
        "electrodes": _electrodes(store, truth_folder, true),
        "effects": _effects(store, truth_folder),
        "ptychography": [
            row
            for scan_id, planted in nuisance.items()
            if planted["modality"] == "ptychography"
            and (row := score_ptychography.score_scan(store, truth_folder, scan_id, nuisance)) is not None
        ],
        "missing": missing,
        "passed": _passed(particles, variance, missing),
    }
    plain: dict[str, Any] = _plain(found)
    return plain


def _particles(store: Store, truth_folder: Path, true: pd.DataFrame) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for each modality and one for both, with what is wanted; and the scans without published particles."""
    matched, missing = [], []
    for scan_id, here in true.groupby("scan_id", sort=True):
        scan = match_scan(store, truth_folder, here, str(here["modality"].iloc[0]))
        if scan is None:
            missing.append(str(scan_id))
        else:
            matched.append(scan)
    rows = []
    for modality in (*RMS_WANTED, ALL):
        row = summary(modality, [scan for scan in matched if modality in (scan.modality, ALL)])
        wanted = [f"found >= {FOUND_WANTED:.2f}"]
        if modality in RMS_WANTED:
            wanted.append(f"rms <= {RMS_WANTED[modality]:.2f}")
        else:
            wanted.append(f"inside {INSIDE_WANTED[0]:.2f} to {INSIDE_WANTED[1]:.2f}")
        rows.append(row | {"wanted": ", ".join(wanted)})
    return rows, missing


def _variance(store: Store, true: pd.DataFrame) -> list[dict[str, Any]]:
    """Shares of variance by level, recovered and true, each a share of its total without noise.

    The truth's are those of its own particle table, split by the same method: the same modality, and where the
    statistics left them out, without particles that the field cuts; its particles are known without error, so it has no
    noise. The recovered noise is told, as a share of the recovered total with it.
    """
    table = _published_table(store, "variance")
    options = _infer_options(store)
    kept = true[~true["touches_border"]] if options.get("drop_at_border", True) else true
    planted = partition(kept.assign(soc_se_stat=0.0), "soc_mean", modality=options.get("modality", "stxm"))
    shares = {"true": _noise_free_shares(planted)}
    if table is not None:
        shares["recovered"] = _noise_free_shares(table[table["endpoint"] == "soc_mean"])
    rows = []
    for name in COMPONENTS[:-1]:
        recovered, right = (shares.get(which, {}).get(name, math.nan) for which in ("recovered", "true"))
        rows.append(
            {
                "component": name,
                "share": recovered,
                "share_true": right,
                "difference": recovered - right,
                "wanted": f"within {SHARE_WANTED:.2f}",
            }
        )
    noise = math.nan
    if table is not None:
        noise = float(table.loc[(table["endpoint"] == "soc_mean") & (table["component"] == "noise"), "share"].sum())
    rows.append({"component": "noise", "share": noise, "share_true": 0.0, "difference": math.nan,
                 "wanted": "not compared"})  # fmt: skip
    return rows


def _noise_free_shares(table: pd.DataFrame) -> dict[str, float]:
    """Component -> variance over the sum of all but noise; NaN for a component that the design cannot tell."""
    variance = {str(row.component): float(row.variance) for row in table.itertuples() if row.component != "noise"}
    total = sum(value for value in variance.values() if math.isfinite(value))
    return {name: value / total if total > 0 else math.nan for name, value in variance.items()}


def _electrodes(store: Store, truth_folder: Path, true: pd.DataFrame) -> list[dict[str, Any]]:
    """State of charge of each electrode at each cycle, and whether its interval holds the true one.

    ``true`` is the mass-weighted mean over all that the fields of view show; ``true_whole`` over the particles that
    their edges do not cut, on which the recovered one rests.
    """
    planted = _truth_table(truth_folder, "electrodes")
    table = _published_table(store, "electrodes")
    whole = true[(true["modality"] == "stxm") & ~true["touches_border"]]
    by_place = dict(list(whole.groupby(list(PLACE))))
    recovered = {} if table is None else {(row["electrode_id"], row["cycle"]): row for _, row in table.iterrows()}
    rows = []
    for _, right in planted.iterrows():
        key = (right["electrode_id"], right["cycle"])
        row, here = recovered.get(key), by_place.get(key)
        mean, low, high = (
            float(row[name]) if row is not None else math.nan for name in ("soc_mean", "soc_ci_low", "soc_ci_high")
        )
        value = float(right["soc_mean"])
        rows.append(
            {
                "electrode_id": str(key[0]),
                "cycle": float(key[1]),
                "soc_mean": mean,
                "ci_low": low,
                "ci_high": high,
                "true": value,
                "true_whole": math.nan if here is None else
                float(np.average(here["soc_mean"], weights=here["mass_um2_nm"])),
                "inside": _within(value, low, high),
            }
        )  # fmt: skip
    return rows


def _effects(store: Store, truth_folder: Path) -> list[dict[str, Any]]:
    """Slopes of state of charge over cycles and over size, recovered and planted.

    Of several methods, the first with an interval is compared: the one whose unit is the electrode.
    """
    planted, table = _truth_table(truth_folder, "effects"), _published_table(store, "effects")
    rows = []
    for term in EFFECTS:
        right = _first(planted[(planted["endpoint"] == "soc_mean") & (planted["term"] == term)], ["estimate"])
        names = ["estimate", "ci_low", "ci_high"]
        found = None
        if table is not None:
            found = _first(table[(table["endpoint"] == "soc_mean") & (table["term"] == term)], names)
        estimate, low, high = (float(found[name]) if found is not None else math.nan for name in names)
        value = float(right["estimate"]) if right is not None else math.nan
        rows.append(
            {
                "term": term,
                "estimate": estimate,
                "ci_low": low,
                "ci_high": high,
                "planted": value,
                "inside": _within(value, low, high),
                "method": None if found is None else str(found["method"]),
            }
        )
    return rows


def _first(table: pd.DataFrame, names: list[str]) -> pd.Series | None:
    finite = table[np.isfinite(table[names].to_numpy(dtype=float)).all(axis=1)]
    return None if finite.empty else finite.iloc[0]


def _within(value: float, low: float, high: float) -> bool | None:
    """Whether an interval holds a value; None where there is no interval."""
    return bool(low <= value <= high) if math.isfinite(low) and math.isfinite(high) else None


def _passed(particles: list[dict[str, Any]], variance: list[dict[str, Any]], missing: list[str]) -> dict[str, bool]:
    """Whether each target is met; a figure that is not known meets none.

    Intervals are judged over both modalities together: the few particles of ptychography alone would miss a share of
    0.90 to 0.99 by chance.
    """
    by_modality = {row["modality"]: row for row in particles}
    passed = {"every scan": not missing}
    for modality, wanted in RMS_WANTED.items():
        passed[f"soc rms error, {modality}"] = bool(by_modality[modality]["soc_rms_error"] <= wanted)
    passed["soc inside"] = bool(INSIDE_WANTED[0] <= by_modality[ALL]["soc_inside"] <= INSIDE_WANTED[1])
    for modality, row in by_modality.items():
        passed[f"found, {modality}"] = bool(row["found"] >= FOUND_WANTED)
    for row in variance:
        if row["component"] != "noise":
            passed[f"variance share, {row['component']}"] = bool(abs(row["difference"]) <= SHARE_WANTED)
    return passed


def _published_table(store: Store, name: str) -> pd.DataFrame | None:
    path = store.tables_path / f"{name}.parquet"
    return read_table(path) if path.exists() else None


def _infer_options(store: Store) -> Mapping[str, Any]:
    publication = store.publication("infer")
    return publication.options if publication is not None else {}


def _truth_table(truth_folder: Path, name: str) -> pd.DataFrame:
    path = truth_folder / f"{name}.parquet"
    if not path.is_file():
        raise _no_truth(path)
    return pd.read_parquet(path)


def _nuisance(truth_folder: Path) -> dict[str, Any]:
    path = truth_folder / "nuisance.json"
    if not path.is_file():
        raise _no_truth(path)
    scans: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["scans"]
    return scans


def _no_truth(path: Path) -> InputError:
    return InputError(
        where=path,
        problem="there is no truth to compare with",
        got="no such file",
        wanted="the folder truth/ of a simulated campaign",
        mend="Only campaigns that `stxmdist simulate` or `stxmdist demo` made can be scored",
    )


def _plain(value: Any) -> Any:
    """The same in JSON's types; NaN becomes None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
