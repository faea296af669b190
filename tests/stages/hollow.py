"""A campaign of any size whose files have headers and no counts: what planning sees, without hours of simulation."""

import os
import subprocess
from pathlib import Path

import numpy as np

from stxmdist.simulation import cxi
from stxmdist.simulation.folder import campaign_text, sample_sheet, scan_tasks
from stxmdist.simulation.scans import ScanTask
from stxmdist.simulation.sizes import CampaignSize
from stxmdist.writers import sdf
from stxmdist.writers.nxstxm import writer as nxstxm


def hollow_campaign(folder: Path, size: CampaignSize) -> Path:
    """Write the campaign; scans of one format are copies of one hollow file. Returns the campaign file."""
    tasks = scan_tasks(folder, size, seed=0)
    written: dict[tuple[str, str], ScanTask] = {}
    for number, task in enumerate(tasks):
        kind = (task.modality, task.file.suffix)
        if kind not in written:
            _write(task)
            written[kind] = task
        else:
            _copy(written[kind], task, number)
    sample_sheet(tasks).to_csv(folder / "samples.csv", index=False)
    (folder / "campaign.yaml").write_text(campaign_text(size, 0))
    return folder / "campaign.yaml"


def _write(task: ScanTask) -> None:
    path = task.folder / task.file
    path.parent.mkdir(parents=True, exist_ok=True)
    if task.modality == "ptychography":
        _write_frames(task, path)
        return
    setup = task.size.stxm
    axis = np.arange(setup.n_px) * setup.pixel_nm * 1e-3
    n = len(setup.energy_ev)
    write = sdf.write_stack if path.suffix == ".hdr" else nxstxm.write_stack
    energy = np.array(setup.energy_ev)
    empty = np.zeros((setup.n_px, setup.n_px), np.uint32)
    current = np.full(n, 500.0)
    write(path, lambda _: empty, energy, axis, axis, setup.dwell_ms, current, start_time=task.start_time)


def _write_frames(task: ScanTask, path: Path) -> None:
    setup = task.size.ptychography
    side = int(setup.field_um / setup.step_um) + 1
    axis = np.arange(side) * setup.step_um
    positions = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    n = setup.detector.n
    batch = np.zeros((64, n, n), np.uint16)

    def frames():
        for start in range(0, len(positions), 64):
            yield batch[: min(64, len(positions) - start)]

    entries = (cxi.CxiEntry(energy, frames(), len(positions), positions) for energy in setup.energy_ev)
    cxi.write_scan(path, entries, setup.detector)


def _copy(source: ScanTask, task: ScanTask, number: int) -> None:
    """The same scan of another content, as copies are refused: its zeros take no room on the disk."""
    old, new = source.folder / source.file, task.folder / task.file
    new.parent.mkdir(parents=True, exist_ok=True)
    if old.suffix != ".hdr":
        subprocess.run(["cp", "--sparse=always", old, new], check=True)
        # HDF5 passes over what stands behind its end.
        with new.open("ab") as file:
            file.write(bytes(number))
        return
    new.write_text(old.read_text().replace(old.stem, new.stem))
    for frame in old.parent.glob("*.xim"):
        os.link(frame, new.parent / frame.name.replace(old.stem, new.stem))
