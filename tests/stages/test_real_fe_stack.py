"""The iron stack of ALS 11.0.2 with its authors' end-members and default options, as a user would take it."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from storage.store import Store
from storage.tables import read_table
from stxmdist.campaign.scan import COLUMNS
from stxmdist.cli import inputs, results, runs  # noqa: F401  (the commands register themselves)
from stxmdist.cli.app import app
from stxmdist.measures import FitMeasures
from stxmdist.records import from_json

SCAN = "fe-minerals"
LEAST_PARTICLES = 20
"""With a state of charge; without a background none had one"""
LEAST_SPREAD = 0.15
"""Standard deviation over particles; the published map has .32 over pixels"""
BEFORE_EDGE_OD = 1.27
UNTIL_TABLES = ("ingest", "absorbance", "align", "fit", "segment", "infer")


def run(folder: Path, iron: Path, chemistry: str) -> tuple[pd.DataFrame, FitMeasures]:
    """The particles of the stack and the figures of its fit, all options default."""
    with (folder / "samples.csv").open("w", newline="") as sheet:
        row = {"scan_id": SCAN, "file": str(iron / "71214078.hdr"), "modality": "stxm", "electrode_id": "fe"}
        writer = csv.DictWriter(sheet, COLUMNS)
        writer.writeheader()
        writer.writerow(row)
    campaign = {"name": "Iron", "samples": "samples.csv", "store": "store", "chemistry": chemistry, "seed": 1}
    if chemistry == "custom":
        campaign["references"] = {"discharged": str(iron / "reduced.t"), "charged": str(iron / "oxidized.t")}
    path = folder / "campaign.yaml"
    path.write_text(yaml.safe_dump(campaign))
    words = [word for stage in UNTIL_TABLES for word in ("--stage", stage)]
    result = CliRunner().invoke(app, ["run", str(path), "--cluster", "inline", "--no-prefect", *words])
    store = Store(folder / "store").open()
    publication = store.publication("fit")
    assert publication is not None, result.output
    return read_table(store.tables_path / "particles.parquet"), from_json(FitMeasures, publication.scans[SCAN].quality)


def test_its_authors_end_members_give_particles_with_a_state_of_charge(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, fit = run(tmp_path, shared_data / "als-11.0.2-fe-stack", "custom")
    told = table[table["soc_mean"].notna()]
    with capsys.disabled():
        print(
            f"\n  Fe stack: {len(told)} of {len(table)} particles with a state of charge, "
            f"{told['soc_mean'].mean():.2f} +- {told['soc_mean'].std():.2f}, standard error {told['soc_se'].min():.3f} "
            f"to {told['soc_se'].max():.3f}, median {told['soc_se'].median():.3f}; {fit.background_said}; {fit.cause}"
        )
    assert len(told) >= LEAST_PARTICLES
    assert told["soc_mean"].std() > LEAST_SPREAD
    # Two end-members within their errors of 0 to 1, and an error on each.
    assert (told["soc_mean"] > -2.0 * told["soc_se"]).all()
    assert (told["soc_mean"] < 1.0 + 2.0 * told["soc_se"]).all()
    assert (told["soc_se"] > told["soc_se_stat"]).all()
    assert fit.background == "power_law"
    assert fit.background_said.startswith(f"{BEFORE_EDGE_OD:.2f} +- 0.02 of optical density before the edge")
    # A misfit that is large is flagged, never silently left out.
    large = told["misfit_share"] > 0.05
    assert large.any()
    np.testing.assert_array_equal(told["flags"].str.contains("misfit"), large)


def test_the_librarys_end_members_give_a_cause_in_words(shared_data: Path, tmp_path: Path) -> None:
    _, fit = run(tmp_path, shared_data / "als-11.0.2-fe-stack", "LFP")
    assert "leave over" in fit.cause
    assert "references" in fit.mend
