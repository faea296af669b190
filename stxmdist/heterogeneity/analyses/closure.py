"""Whether each electrode's state of charge is the one that the charge which was passed gives."""

import numpy as np
import pandas as pd

from stxmdist.heterogeneity.analyses.electrode_columns import CLOSURE
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.columns import numbers
from stxmdist.heterogeneity.electrodes import coulometric, mass_weighted_means
from stxmdist.heterogeneity.intervals import UNKNOWN, t_interval
from stxmdist.heterogeneity.places import Cell, place_keys, places_of

TOLERANCE = 0.05
"""Difference from coulometry that is accepted: references and coulometry are not known better together"""
ALL = "all electrodes"


def closure(evidence: Evidence) -> pd.DataFrame:
    """Mass-weighted state of charge less coulometry, of each electrode in each condition, and of all together.

    The interval is that of the mean; coulometry is taken as exact, because the sheet does not say its error. A
    difference that all electrodes share is the scale's: references, shift of the energies, leak; so the last row gives
    its mean with an interval over electrodes.

    Source: own; equivalence by interval as Schuirmann, J. Pharmacokinet. Biopharm. 15, 657 (1987).
    """
    sheet = evidence.sheet
    if len(sheet) and "modality" in sheet.columns:
        sheet = sheet[sheet["modality"] == evidence.modality]
    seen = places_of(evidence.kept, evidence.modality, sheet if len(sheet) else None)
    passed = coulometric([seen.frame, sheet])
    names = place_keys(seen.table)
    means = mass_weighted_means(seen)
    rows: list[dict[str, Cell]] = []
    for index, mean in enumerate(means):
        wanted = passed.get(str(names[index]), UNKNOWN)
        row = _row(mean.estimate - wanted, mean.low - wanted, mean.high - wanted)
        notes = [mean.note] + (["the sheet does not say the charge that was passed"] if np.isnan(wanted) else [])
        known = int(np.isfinite(numbers(seen.frame, "soc_mean")[seen.of(index)]).sum())
        said: dict[str, Cell] = {"n_particles": known, "soc_mean": mean.estimate, "soc_coulometric": wanted}
        rows.append(seen.row(index) | said | row | {"note": "; ".join(note for note in notes if note)})
    deltas = pd.DataFrame({"electrode": [row["electrode_id"] for row in rows], "delta": [row["delta"] for row in rows]})
    of_electrodes = deltas.dropna().groupby("electrode")["delta"].mean() if len(rows) else pd.Series(dtype=float)
    if len(of_electrodes) > 1:
        mean = t_interval(of_electrodes.to_numpy(dtype=np.float64))
        everything: dict[str, Cell] = {"electrode_id": ALL, "cycle": UNKNOWN, "c_rate": UNKNOWN, "direction": ""}
        said = {"n_particles": sum(int(row["n_particles"]) for row in rows)}
        said |= {"soc_mean": UNKNOWN, "soc_coulometric": UNKNOWN}
        note = f"mean over {len(of_electrodes)} electrodes"
        rows.append(everything | said | _row(mean.estimate, mean.low, mean.high) | {"note": note})
    return pd.DataFrame(rows, columns=[column.name for column in CLOSURE])


def _row(delta: float, low: float, high: float) -> dict[str, Cell]:
    return {"delta": delta, "delta_low": low, "delta_high": high, "verdict": verdict(delta, low, high)}


def verdict(delta: float, low: float, high: float) -> str:
    """What a difference with its interval shows: ``closes``, ``does not close``, or how far either is seen."""
    if not np.isfinite(delta):
        return "not known"
    if abs(delta) <= TOLERANCE:
        within = np.isfinite([low, high]).all() and low >= -TOLERANCE and high <= TOLERANCE
        return "closes" if within else "closes, as far as can be seen"
    beyond = np.isfinite([low, high]).all() and (low > TOLERANCE or high < -TOLERANCE)
    return "does not close" if beyond else "does not close, as far as can be seen"
