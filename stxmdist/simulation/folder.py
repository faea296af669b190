"""A whole simulated campaign in a folder: beamline files, sample sheet, campaign file, and the truth beside them."""

import io
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from storage.atomic import replace_file
from stxmdist.simulation.conditions import conditions_of, has_ptychography, visits_of
from stxmdist.simulation.experiment import PLANTED, coulometric_soc
from stxmdist.simulation.regions import region_keys
from stxmdist.simulation.scans import ScanReceipt, ScanTask, make_scan, receipt_of, size_record
from stxmdist.simulation.sizes import SIZES, CampaignSize
from stxmdist.simulation.truth_scans import pair_table, scan_table
from stxmdist.simulation.truth_tables import effects_table, electrode_table, variance_table

MEASURED_LEAK_SHARE = 0.96
"""The leak that a scientist measures with a thick absorber is this share of the true one."""
SOC_NOMINAL = 0.5

SHEET_COLUMNS = (
    "scan_id", "file", "modality", "electrode_id", "cell_id", "beamtime_id", "region_id", "cycle", "c_rate",
    "direction", "soc_nominal", "soc_coulometric", "chemistry", "pair_id", "roi_rule", "exclude", "reason",
)  # fmt: skip


@dataclass(frozen=True)
class SimulatedCampaign:
    """What was simulated."""

    folder: Path
    paths: tuple[Path, ...]
    """campaign.yaml first, then samples.csv, then the files that the sheet names."""
    n_scans: int
    bytes: int
    """Of the beamline files."""
    seconds: float


def simulate(folder: Path, size: str, seed: int, *, workers: int, report: Callable[[str], None]) -> SimulatedCampaign:
    """Simulate a campaign of a named size into a folder; scans that are complete there already are kept.

    Parameters
    ----------
    size
        a name of ``stxmdist.simulation.sizes.SIZES``
    seed
        the same files for the same seed, whatever the number of workers and whatever was there before
    workers
        processes; 1 computes in this one
    report
        takes one line of progress at a time

    Raises
    ------
    InputError
        if there is no size of this name
    """
    return simulate_size(Path(folder), SIZES[size].load(), seed, workers=workers, report=report)


def simulate_size(
    folder: Path, size: CampaignSize, seed: int, *, workers: int, report: Callable[[str], None]
) -> SimulatedCampaign:
    """Simulate a campaign of any size; see ``simulate``."""
    started = time.perf_counter()
    folder = Path(folder).absolute()
    (folder / "truth").mkdir(parents=True, exist_ok=True)
    tasks = scan_tasks(folder, size, seed)
    sheet = sample_sheet(tasks)
    receipts: dict[str, ScanReceipt] = {}
    for receipt, was_there in _made(tasks, workers):
        receipts[receipt.scan_id] = receipt
        took = "(was there)" if was_there else f"{receipt.seconds:.1f} s"
        report(f"{len(receipts)}/{len(tasks)} {receipt.scan_id} {took}")
    # The sheet and the campaign file are written last: a campaign that can be opened is complete.
    _write_truth(folder, size, seed, tasks, sheet, receipts)
    replace_file(folder / "samples.csv", [sheet.to_csv(index=False, lineterminator="\n").encode()])
    replace_file(folder / "campaign.yaml", [campaign_text(size, seed).encode()])
    total = sum(sum(receipt.files.values()) for receipt in receipts.values())
    return SimulatedCampaign(
        folder=folder,
        paths=(folder / "campaign.yaml", folder / "samples.csv", *(folder / task.file for task in tasks)),
        n_scans=len(tasks),
        bytes=total,
        seconds=time.perf_counter() - started,
    )


def scan_tasks(folder: Path, size: CampaignSize, seed: int) -> tuple[ScanTask, ...]:
    """Every scan of a campaign, those of a region one after the other."""
    tasks: list[ScanTask] = []
    for key in region_keys(size):
        with_ptychography = has_ptychography(size, key)
        for look, visit in visits_of(size, key):
            for modality in visit.modalities:
                if modality == "stxm" or with_ptychography:
                    tasks.append(ScanTask(folder, size, seed, key, modality, len(tasks), visit, look))
    return tuple(tasks)


def sample_sheet(tasks: tuple[ScanTask, ...]) -> pd.DataFrame:
    """The sample sheet, one row per scan: what the scientist knows.

    Columns of times and polarisations are there where they differ.
    """
    size, seed = tasks[0].size, tasks[0].seed
    coulometry: dict[tuple[int, int, float], float] = {}
    rows: list[dict[str, object]] = []
    for task in tasks:
        key = task.region_key
        conditions = conditions_of(size, seed, key)
        measured = (key.electrode, key.cycle, task.visit.time_h)
        if measured not in coulometry:
            coulometry[measured] = round(coulometric_soc(size, seed, *measured[:2], visit=task.visit), 4)
        paired = len(task.visit.modalities) == 2 and has_ptychography(size, key)
        by_eye = task.modality == "ptychography" or conditions.roi_rule == "convenience"
        rows.append(
            {
                "scan_id": task.scan_id,
                "file": task.file.as_posix(),
                "modality": task.modality,
                "electrode_id": key.electrode_id,
                "cell_id": conditions.cell_id,
                "beamtime_id": conditions.beamtime_id,
                "region_id": key.region_id,
                "cycle": key.cycle,
                "c_rate": conditions.c_rate,
                "direction": conditions.direction,
                "soc_nominal": SOC_NOMINAL,
                "soc_coulometric": coulometry[measured],
                "chemistry": "LFP",
                "pair_id": key.region_id if paired else "",
                # STXM fields lie where the raster falls; ptychography is taken where there is something to see.
                "roi_rule": "convenience" if by_eye else "systematic",
                "exclude": "",
                "reason": "",
                "time_h": task.visit.time_h,
                "polarisation_deg": task.visit.polarisation_deg,
            }
        )
    asked = {"time_h": size.design.has_times, "polarisation_deg": size.design.is_polarised}
    return pd.DataFrame(rows, columns=[*SHEET_COLUMNS, *(name for name, wanted in asked.items() if wanted)])


def campaign_text(size: CampaignSize, seed: int) -> str:
    """campaign.yaml, with what a scientist would have measured of the instrument."""
    leak = round(size.stxm.leak_fraction * MEASURED_LEAK_SHARE, 5)
    return f"""\
# A simulated campaign ({size.name}); what is true of it lies in truth/.
name: simulated-{size.name}
store: store
samples: samples.csv
chemistry: LFP
seed: {seed}

stages:
  absorbance:
    # Light of other orders, measured behind a thick absorber, as a fraction of the open beam.
    leak_fraction: {leak}
  segment:
    # The zone plate of the wide-field scans: sets their point spread function.
    outer_zone_nm: {size.stxm.zone_plate.outer_zone_nm}
    central_stop_fraction: {size.stxm.zone_plate.central_stop_fraction}
    # The simulation was made with the very end-members that the fit uses: they add no error here.
    end_member_sd: 0.0
  reconstruct:
    model:
      n_modes: 2

cluster:
  workers: 2
  memory_limit: 1GB
"""


def _made(tasks: tuple[ScanTask, ...], workers: int) -> Iterator[tuple[ScanReceipt, bool]]:
    """The receipt of each scan as it is done, and whether it was there before.

    Long scans are made first, so that no core waits for the last one.
    """
    missing = []
    for task in tasks:
        receipt = receipt_of(task)
        if receipt is None:
            missing.append(task)
        else:
            yield receipt, True
    ordered = sorted(missing, key=lambda task: task.modality != "ptychography")
    if workers <= 1 or len(missing) < 2:
        yield from ((make_scan(task), False) for task in ordered)
        return
    # Spawned, not forked: a forked child of a process with threads (Dask, Prefect) may never wake.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(ordered)), mp_context=context) as pool:
        futures = [pool.submit(make_scan, task) for task in ordered]
        try:
            for future in as_completed(futures):
                yield future.result(), False
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _write_truth(
    folder: Path,
    size: CampaignSize,
    seed: int,
    tasks: tuple[ScanTask, ...],
    sheet: pd.DataFrame,
    receipts: dict[str, ScanReceipt],
) -> None:
    """Tables over all scans, with the column names of a campaign's own tables."""
    truth = folder / "truth"
    rows = pd.concat([pd.read_parquet(task.rows_path) for task in tasks], ignore_index=True)
    conditions = sheet.drop(columns=["file", "exclude", "reason"])
    particles = conditions.merge(rows, on="scan_id", how="inner", validate="one_to_many")
    tables = {
        "particles": particles,
        "electrodes": electrode_table(size, particles),
        "effects": effects_table(size, particles),
        "variance": variance_table(size, particles),
    }
    if not size.design.is_benign:
        tables["scans"] = scan_table(sheet, {name: receipt.nuisance for name, receipt in receipts.items()})
        tables["pairs"] = pair_table(tables["scans"])
    for name, table in tables.items():
        content = io.BytesIO()
        table.to_parquet(content, index=False)
        replace_file(truth / f"{name}.parquet", [content.getvalue()])
    nuisance = {
        "seed": seed,
        "size": size_record(size),
        "planted": asdict(PLANTED),
        "scans": {task.scan_id: receipts[task.scan_id].nuisance for task in tasks},
    }
    replace_file(truth / "nuisance.json", [json.dumps(nuisance, indent=1).encode()])
