"""A beamtime of two electrodes, small enough to process in seconds, and ways to spoil its files."""

import csv
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stxmdist import readers
from stxmdist.arrays import Array
from stxmdist.readers.recording import StxmRecording
from stxmdist.simulation.diffraction import Detector
from stxmdist.simulation.folder import simulate_size
from stxmdist.simulation.sizes import CampaignSize, PtychographySetup, StxmSetup
from stxmdist.writers import sdf
from stxmdist.writers.nxstxm import writer as nxstxm

ENERGY_EV = (700.0, 705.0, 706.6, 707.7, 708.7, 709.7, 710.7, 716.0)
SIZE = CampaignSize(
    "tiny",
    n_electrodes=2,
    cycles=(1,),
    stxm=StxmSetup(energy_ev=ENERGY_EV, n_px=64, oversample=2),
    # 49 positions on frames of 32 x 32: enough to reconstruct something, in a second.
    ptychography=PtychographySetup(
        energy_ev=(700.0, 709.3), field_um=1.2, step_um=0.2, detector=Detector(32, 120.0, 0.0528), map_pixel_nm=40.0
    ),
)
SDF, NEXUS = "stxm-E01-c001-r1", "stxm-E02-c001-r1"
"""The wide-field scans: the first is a header with frames beside it, the second one file."""
CXI = "ptycho-E01-c001-r1"


def simulated(folder: Path) -> "Beamtime":
    """The beamtime as it should be."""
    simulate_size(folder, SIZE, 3, workers=1, report=lambda line: None)
    beamtime = Beamtime(folder)
    text = beamtime.campaign.read_text()
    # What comes out of the reconstruction is not looked at here: that it goes on is.
    beamtime.campaign.write_text(
        text.replace(
            "n_modes: 2",
            "n_modes: 1\n    schedule: [{engine: rpie, iterations: 4}]\n"
            "    next_energy: [{engine: rpie, iterations: 4}]",
        )
    )
    return beamtime


class Beamtime:
    """A campaign on disk: its sheet and its campaign file are text that tests change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.campaign = folder / "campaign.yaml"
        self.store = folder / "store"
        self.sheet = folder / "samples.csv"

    @property
    def rows(self) -> list[dict[str, str]]:
        with self.sheet.open(newline="") as file:
            return list(csv.DictReader(file))

    @rows.setter
    def rows(self, rows: list[dict[str, str]]) -> None:
        with self.sheet.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def row(self, scan_id: str) -> dict[str, str]:
        return next(row for row in self.rows if row["scan_id"] == scan_id)

    def keep(self, *scan_ids: str) -> None:
        self.rows = [row for row in self.rows if row["scan_id"] in scan_ids]

    def add(self, scan_id: str, file: Path | str, like: str = SDF, **cells: str) -> None:
        """One row more, with a region and an electrode of its own so that nothing of the others changes."""
        own = {"electrode_id": f"E-{scan_id}", "region_id": scan_id, "pair_id": ""}
        named = file if isinstance(file, str) else str(file.relative_to(self.folder))
        self.rows = [*self.rows, self.row(like) | own | cells | {"scan_id": scan_id, "file": named}]

    def set(self, *lines: str) -> None:
        """Options for stages, each written as `stage option: value`."""
        text = self.campaign.read_text()
        for line in lines:
            stage, _, option = line.partition(" ")
            head = f"  {stage}:\n"
            text = text.replace(head, f"{head}    {option}\n") if head in text else text
            if head not in text:
                text = text.replace("stages:\n", f"stages:\n{head}    {option}\n")
        self.campaign.write_text(text)

    def set_key(self, key: str, value: str) -> None:
        """One more key at the end of the campaign file."""
        self.campaign.write_text(f"{self.campaign.read_text()}{key}: {value}\n")

    def line_of(self, words: str, file: Path | None = None) -> int:
        """Number of the line in which some words stand."""
        lines = (file or self.campaign).read_text().splitlines()
        return next(number for number, line in enumerate(lines, 1) if words in line)

    def file(self, scan_id: str) -> Path:
        return self.folder / self.row(scan_id)["file"]

    def frames(self, scan_id: str = SDF) -> Array:
        """Counts (ENERGY, Y, X) float32 of a wide-field scan."""
        (recording,) = readers.read(self.file(scan_id))
        assert isinstance(recording, StxmRecording)
        return np.stack([recording.read(energy) for energy in range(len(recording.energy_ev))])

    def write_sdf(self, name: str, frames: Array, energy_ev: Any = ENERGY_EV) -> Path:
        (recording,) = readers.read(self.file(SDF))
        path = self.folder / "spoiled" / name / f"{name}.hdr"
        axes = (recording.y_um, recording.x_um)
        sdf.write_stack(path, frames.__getitem__, energy_ev, *axes, 3.0, 500.0, start_time=datetime(2026, 10, 1))
        return path

    def write_nexus(self, name: str, frames: Array, energy_ev: Any = ENERGY_EV) -> Path:
        (recording,) = readers.read(self.file(NEXUS))
        path = self.folder / "spoiled" / f"{name}.hdf5"
        path.parent.mkdir(exist_ok=True)
        axes = (recording.y_um, recording.x_um)
        dtype = np.float64 if frames.dtype.kind == "f" else None
        nxstxm.write_stack(
            path, frames.__getitem__, energy_ev, *axes, 3.0, 500.0, start_time=datetime(2026, 10, 1), dtype=dtype
        )
        return path

    def copy(self, scan_id: str, name: str, part: float = 1.0) -> Path:
        """The bytes of a scan's file under another name, or the first part of them."""
        path = self.folder / "spoiled" / name
        path.parent.mkdir(exist_ok=True)
        content = self.file(scan_id).read_bytes()
        path.write_bytes(content[: int(part * len(content))])
        return path

    def change_cxi(self, name: str, change: Callable[[h5py.File], None]) -> Path:
        """A ptychography file in which something was changed."""
        path = self.copy(CXI, f"{name}.cxi")
        with h5py.File(path, "r+") as file:
            change(file)
        return path


def replace(file: h5py.File, path: str, change: Callable[[Array], Array]) -> None:
    """Put another array in the place of a dataset, in both entries of a ptychography file."""
    for entry in ("entry_1", "entry_2"):
        values = file[f"{entry}/{path}"][()]
        del file[f"{entry}/{path}"]
        file[f"{entry}/{path}"] = change(values)
