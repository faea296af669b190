"""A campaign on disk that is right, for tests to spoil."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stxmdist.campaign.scan import COLUMNS

MANIFEST = """\
name: demo
store: store
samples: samples.csv
chemistry: LFP
stages:
  fit:
    fitter: poisson
cluster:
  workers: 2
  memory_limit: 512MB
seed: 7
"""

GOOD_ROWS = (
    {"scan_id": "A_stxm", "file": "data/a.hdr", "modality": "stxm", "pair_id": "A"},
    {"scan_id": "A_ptycho", "file": "data/a.cxi", "modality": "ptychography", "pair_id": "A"},
    {"scan_id": "B_stxm", "file": "data/b.hdr", "modality": "stxm", "chemistry": "NMC"},
)
CONDITIONS = {
    "electrode_id": "E1",
    "cell_id": "C1",
    "beamtime_id": "BT1",
    "region_id": "r1",
    "cycle": "20",
    "c_rate": "0.5",
    "direction": "charge",
    "soc_nominal": "0.5",
    "soc_coulometric": "0.52",
    "roi_rule": "random",
}

WriteCampaign = Callable[..., Path]


@pytest.fixture
def write_campaign(tmp_path: Path) -> WriteCampaign:
    """Write a campaign whose manifest and rows the test chooses; returns the path of campaign.yaml."""

    def write(manifest: str = MANIFEST, *extra_rows: dict[str, str], first: dict[str, Any] | None = None) -> Path:
        (tmp_path / "data").mkdir(exist_ok=True)
        for name in ("a.hdr", "a.cxi", "b.hdr"):
            (tmp_path / "data" / name).write_bytes(b"x")
        rows = [CONDITIONS | row for row in GOOD_ROWS]
        rows[0] |= first or {}
        rows += [CONDITIONS | {"file": "data/b.hdr", "modality": "stxm"} | row for row in extra_rows]
        with (tmp_path / "samples.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="")
            writer.writeheader()
            writer.writerows(rows)
        path = tmp_path / "campaign.yaml"
        path.write_text(manifest)
        return path

    return write
