"""Campaigns small enough to run while a test waits, and processes of stxmdist to run them in."""

import os
import sys
from pathlib import Path

import pandas as pd
import psutil
from ruamel.yaml import YAML

from stxmdist.simulation.diffraction import Detector
from stxmdist.simulation.folder import simulate_size
from stxmdist.simulation.sizes import CampaignSize, PtychographySetup, StxmSetup

ROOT = Path(__file__).resolve().parents[2]

TINY = CampaignSize(
    "tiny",
    n_electrodes=2,
    cycles=(1,),
    stxm=StxmSetup(energy_ev=(700.0, 705.0, 707.2, 708.2, 709.2, 710.2, 712.6, 730.0), n_px=61, oversample=2),
    ptychography=PtychographySetup(
        energy_ev=(706.6, 708.2, 709.3, 710.2), field_um=0.8, step_um=0.16, detector=Detector(64, 120.0, 0.0528)
    ),
)
"""Four scans, of which every stage has something to do."""

SLOW_ITERATIONS = 150
"""Of a tile of `TINY`: one unit then takes a second or more."""
SLOW_COPIES = 10
"""Of a ptychography scan, so that a run of seconds' length cannot end before it is interrupted."""

STAGES = [
    "ingest",
    "reconstruct",
    "stitch",
    "absorbance",
    "align",
    "explore",
    "fit",
    "segment",
    "register",
    "network",
    "react",
    "infer",
    "report",
]


def simulate_tiny(folder: Path) -> Path:
    """Write the tiny campaign; path of its campaign file."""
    simulate_size(folder, TINY, 3, workers=1, report=lambda line: None)
    return folder / "campaign.yaml"


def slowed(campaign: Path) -> tuple[Path, int]:
    """One scan many times over, in a store of their own: path of its campaign file, units of `reconstruct`."""
    folder = campaign.parent
    sheet = pd.read_csv(folder / "samples.csv", keep_default_na=False)
    scans = sheet[sheet.modality == "ptychography"].head(1)
    copies = [scans.assign(scan_id=scans.scan_id + f"-{number}", pair_id="") for number in range(SLOW_COPIES)]
    pd.concat(copies).to_csv(folder / "slow.csv", index=False)
    yaml = YAML()
    asked = yaml.load(campaign)
    asked |= {"store": "slow", "samples": "slow.csv"}
    asked["stages"]["reconstruct"] |= {
        "schedule": [{"engine": "rpie", "iterations": SLOW_ITERATIONS}],
        "chain": False,
    }
    path = folder / "slow.yaml"
    yaml.dump(asked, path)
    return path, SLOW_COPIES * len(TINY.ptychography.energy_ev)


def units_done(store: Path, stage: str) -> int:
    """How many units of a stage have left their marker."""
    return len(list(store.glob(f"stages/{stage}/*/*/units/*.json")))


def environment(home: Path) -> dict[str, str]:
    """A user's environment: nothing of Prefect's but a folder for its database, and no tracking choice made."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "STXMDIST_", "DO_NOT_TRACK"))}
    path = os.pathsep.join([*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), str(ROOT)])
    return kept | {"PREFECT_HOME": str(home), "PYTHONPATH": path}


def command(*arguments: object) -> list[str]:
    """Command line of stxmdist with this interpreter."""
    return [sys.executable, "-m", "stxmdist", *map(str, arguments)]


def family(pid: int) -> list[psutil.Process]:
    """A process and everything that it started, directly or not."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def alive(processes: list[psutil.Process], wait_seconds: float) -> list[str]:
    """Command lines of those that still run after some grace."""
    _, left = psutil.wait_procs(processes, timeout=wait_seconds)
    return [" ".join(p.cmdline()) for p in left if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
