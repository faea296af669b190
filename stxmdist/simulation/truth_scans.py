"""What is true of scans and of pairs of them: nuisances, and where one scan's coordinates lie in another's."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

SCAN_COLUMNS = (
    "energy_offset_ev", "leak_fraction", "counts", "time_h", "polarisation_deg", "offset_y_um", "offset_x_um", "shear",
    "row_drift_rms_um", "row_jitter_rms_um", "n_energies", "psf_sigma_um", "beamtime_effect", "cell_effect",
    "soc_shift",
)  # fmt: skip


def scan_table(sheet: pd.DataFrame, nuisances: Mapping[str, Mapping[str, object]]) -> pd.DataFrame:
    """One row per scan: the nuisances that are numbers; NaN where a scan has none of a kind.

    ``offset_*``: coordinates of the file less those of the sample. ``row_drift_*_um``: displacement of the first, the
    middle and the last row; all rows are in ``nuisance.json``.
    """
    rows: list[dict[str, object]] = []
    for scan in sheet.itertuples():
        nuisance = nuisances[str(scan.scan_id)]
        offset = np.asarray(nuisance.get("offset_um", (0.0, 0.0)), dtype=float)
        drift = np.asarray(nuisance.get("row_drift_um", np.zeros((1, 2))), dtype=float)
        known = {
            **nuisance,
            "offset_y_um": float(offset[0]),
            "offset_x_um": float(offset[1]),
            "shear": nuisance.get("shear", 0.0),
            "row_jitter_rms_um": nuisance.get("row_jitter_rms_um", 0.0),
            "row_drift_rms_um": float(np.sqrt((drift**2).sum(axis=1).mean())),
            "n_energies": len(np.atleast_1d(np.asarray(nuisance["energy_ev"]))),
        }
        row: dict[str, object] = {"scan_id": scan.scan_id, "region_id": scan.region_id, "modality": scan.modality}
        row.update((name, known.get(name)) for name in SCAN_COLUMNS)
        for place, index in (("first", 0), ("middle", len(drift) // 2), ("last", -1)):
            row[f"row_drift_{place}_y_um"], row[f"row_drift_{place}_x_um"] = (float(value) for value in drift[index])
        rows.append(row)
    table = pd.DataFrame.from_records(rows)
    return table.astype(dict.fromkeys(SCAN_COLUMNS, float))


def pair_table(scans: pd.DataFrame) -> pd.DataFrame:
    """One row per pair of scans of a region, an STXM stack first: the true transform between their coordinates.

    (y, x) in the second file = (y, x) in the first + offset + drift(row) + (0, shear (y - middle)), and less the same
    of the second where it is a stack. ``offset_*_um`` is the second's less the first's.
    """
    rows = []
    for region, here in scans.groupby("region_id", sort=True):
        records = here.to_dict("records")
        for index, first in enumerate(records):
            for second in records[index + 1 :]:
                if "stxm" not in (first["modality"], second["modality"]):
                    continue
                one, two = (first, second) if first["modality"] == "stxm" else (second, first)
                rows.append(
                    {
                        "region_id": region,
                        "scan_id": one["scan_id"],
                        "other_scan_id": two["scan_id"],
                        "other_modality": two["modality"],
                        "offset_y_um": two["offset_y_um"] - one["offset_y_um"],
                        "offset_x_um": two["offset_x_um"] - one["offset_x_um"],
                        "shear": one["shear"] - two["shear"],
                        "row_drift_rms_um": one["row_drift_rms_um"],
                        "other_row_drift_rms_um": two["row_drift_rms_um"],
                        "hours": two["time_h"] - one["time_h"],
                    }
                )
    columns = ["region_id", "scan_id", "other_scan_id", "other_modality", "offset_y_um", "offset_x_um", "shear",
               "row_drift_rms_um", "other_row_drift_rms_um", "hours"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)
