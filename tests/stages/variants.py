"""A campaign of many small units, the same campaign under other record, and what two stores have in common."""

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from storage.publication import Publication
from storage.store import Store
from stxmdist.planning.execute import CampaignRun, RunRequest
from stxmdist.planning.stages import STAGES
from stxmdist.simulation.diffraction import Detector
from stxmdist.simulation.folder import simulate_size
from stxmdist.simulation.powder import Powder
from stxmdist.simulation.sizes import CampaignSize, PtychographySetup, StxmSetup

SIZE = CampaignSize(
    "crowded",
    n_electrodes=2,
    cycles=(1, 100),
    # A prime number of pixels, so that the last block of every size but one is uneven.
    stxm=StxmSetup(energy_ev=(700.0, 705.0, 706.6, 708.2, 709.2, 710.2, 712.6, 720.6), n_px=53),
    ptychography=PtychographySetup(
        energy_ev=(700.0, 708.2, 710.2), field_um=1.0, step_um=0.18, detector=Detector(32, 120.0, 0.0528)
    ),
    # Small and crowded, so that even a field of a micrometre holds something.
    powder=Powder(median_um=0.45, sigma_log=0.2, cover=0.2),
)
"""Eight scans of two electrodes and two cycles."""

BLOCKS = {"fit": {"rows_per_unit": 20}}
"""Three units of fit for each scan."""

FEW_PARTICLES = {"register": {"register": {"least_particles": 1}}}
"""A field of a micrometre has not the three particles that a registration rests on."""

COMPARED = tuple(name for name in STAGES if name != "report")
"""The report draws what the other stages leave, and prints how long they took."""

TIMINGS = ("seconds", "core_seconds")
"""Columns of the table ``scans`` that say how long it took; nothing else in any table does."""


def simulated(folder: Path, size: CampaignSize = SIZE, seed: int = 5) -> Path:
    """The beamline files; the folder."""
    simulate_size(folder, size, seed, workers=1, report=lambda line: None)
    sheet = folder / "samples.csv"
    rows = pd.read_csv(sheet, dtype=str, keep_default_na=False)
    # Said to be one region at two times, so that the stage that compares times has work: it will refuse them.
    twice = (rows["modality"] == "stxm") & (rows["electrode_id"] == rows["electrode_id"].iloc[0])
    rows.loc[twice, "region_id"] = "seen twice"
    rows.loc[twice, "time_h"] = [f"{hours}" for hours in range(int(twice.sum()))]
    rows.to_csv(sheet, index=False)
    return folder


def variant(
    folder: Path, name: str, stages: dict[str, dict[str, Any]] | None = None, *, backwards: bool = False
) -> Path:
    """A campaign file over the same beamline files with a store of its own, other options or a sheet from its end."""
    written = YAML(typ="safe").load((folder / "campaign.yaml").read_text())
    for stage, options in (FEW_PARTICLES | (stages or {})).items():
        written["stages"][stage] = written["stages"].get(stage, {}) | options
    written["store"] = f"store-{name}"
    if backwards:
        with (folder / "samples.csv").open(newline="") as file:
            head, *rows = csv.reader(file)
        with (folder / f"samples-{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([head, *reversed(rows)])
        written["samples"] = f"samples-{name}.csv"
    path = folder / f"campaign-{name}.yaml"
    path.write_text(json.dumps(written, indent=1))
    return path


def processed(request: RunRequest) -> Store:
    """Run a campaign, or a part of it, in this process to its end; its store."""
    with CampaignRun(request) as run:
        for name in run.stages:
            run.stage(name)
        assert not run.refusals, run.refusals[0].sentence
        return Store(run.campaign.store)


def inline(campaign: Path, cluster: str = "inline") -> Store:
    """Run everything that is compared; units one after the other unless workers are wanted."""
    return processed(RunRequest(str(campaign), stages=COMPARED, cluster=cluster))


def publication(store: Store, stage: str) -> Publication:
    """What is published of a stage; all of it done."""
    found = store.publication(stage)
    assert found is not None, stage
    assert {scan.state for scan in found.scans.values()} == {"done"}
    return found


def content(store: Store, stages: tuple[str, ...] | None = None) -> dict[str, str]:
    """Published files (path without its digest) to sha256, of all stages compared if none are named; no timings."""
    return {
        f"{stage}/{scan_id}/{path}": sha256
        for stage in stages or COMPARED
        for scan_id, scan in publication(store, stage).scans.items()
        for path, sha256 in scan.files.items()
        if Path(path).stem != "scans"
    }


def tables(store: Store) -> dict[str, pd.DataFrame]:
    """The campaign's tables by name, timings left out."""
    found = {path.stem: pd.read_parquet(path) for path in sorted(store.tables_path.glob("*.parquet"))}
    found["scans"] = found["scans"].drop(columns=list(TIMINGS))
    return found
