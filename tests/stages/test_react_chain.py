"""Two looks at simulated regions, through the whole chain: rates of pixels against planted ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr
from scipy import ndimage

from storage.store import Store
from stxmdist.planning.execute import CampaignRun, RunRequest
from stxmdist.planning.published import PublishedCampaign
from stxmdist.simulation.design import Design, Visit
from stxmdist.simulation.folder import simulate_size
from stxmdist.simulation.sizes import SMALL, PtychographySetup

BOUND = 1.3
"""Root mean square error over the standard errors of the map, by counting and placement, from the reference"""
PSF_SIGMA_PX = 26.2 / 50.0
"""Gaussian that softens edges as the simulated zone plate does"""
LATER = Visit(time_h=0.5, modalities=("stxm",))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_rates_of_simulated_regions_are_the_planted_ones(tmp_path: Path) -> None:
    size = replace(
        SMALL, name="times", n_electrodes=1, n_regions=2, cycles=(1,),
        ptychography=PtychographySetup(field_um=0.8, energy_ev=(700.0, 708.2, 710.2)),
        design=Design(visits=(Visit(), LATER), rate_per_h=0.3, autocatalysis=0.5),
    )  # fmt: skip
    simulate_size(tmp_path / "campaign", size, 21, workers=1, report=print)
    stages = ("ingest", "absorbance", "align", "fit", "segment", "network", "react", "infer")
    with CampaignRun(RunRequest(str(tmp_path / "campaign" / "campaign.yaml"), stages, cluster="inline")) as run:
        for name in run.stages:
            run.stage(name)
    published = PublishedCampaign(Store(tmp_path / "campaign" / "store"))
    assert len(published.digests("react")) == 2
    for later in published.digests("react"):
        before = later.removesuffix("-v2")
        soc = [seen(tmp_path / "campaign" / "truth" / "maps" / f"{name}.zarr") for name in (before, later)]
        output = published.output("react", later)
        assert output is not None
        rate, se = output.read("reaction_rate_per_h"), output.read("reaction_rate_se_per_h")
        known = np.isfinite(rate)
        wrong = (rate - (soc[1] - soc[0]) / 0.5)[known]
        ratio = np.sqrt(np.mean(wrong**2)) / np.sqrt(np.mean(se[known] ** 2))
        table = pd.read_parquet(output.path / "reactions.parquet")
        print(f"{later}: {known.sum()} pixels, rms {np.sqrt(np.mean(wrong**2)):.4f}/h, {ratio:.2f} times the bound")
        assert ratio <= BOUND
        assert table["rate_per_h"].notna().mean() > 0.9


def seen(truth: Path) -> np.ndarray:
    """State of charge as sharp as the microscope is."""
    thickness = np.asarray(zarr.open_group(truth, mode="r")["thickness_nm"][:2], dtype=np.float64)
    discharged, charged = (ndimage.gaussian_filter(part, PSF_SIGMA_PX) for part in thickness)
    return charged / np.maximum(discharged + charged, 1e-9)
