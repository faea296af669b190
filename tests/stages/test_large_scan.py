"""A scan of 20,000 frames of 256 x 256 pixels, most of a stack of disks long ago, in workers of two gigabytes."""

from pathlib import Path

import pytest

from stxmdist.measures import ReconstructMeasures
from stxmdist.planning.execute import RunRequest, campaign_and_options
from stxmdist.planning.forecast import forecast_of
from stxmdist.records import from_json
from stxmdist.runner.unit import receipts_of
from stxmdist.simulation.diffraction import Detector
from stxmdist.simulation.folder import simulate_size
from stxmdist.simulation.sizes import CampaignSize, PtychographySetup, StxmSetup
from tests.stages import variants

SCAN = "ptycho-E01-c001-r1"
N_FRAMES = 20_000
WORKER_BYTES = 2_000_000_000
FORECAST_WITHIN = 0.15
"""Share by which measured peak memory may differ from the forecast."""
SIZE = CampaignSize(
    "long",
    n_electrodes=1,
    cycles=(1,),
    stxm=StxmSetup(energy_ev=(700.0, 708.2, 710.2), n_px=330, oversample=1),
    ptychography=PtychographySetup(
        energy_ev=(708.2,), field_um=14.2, step_um=0.1, detector=Detector(256, 30.0, 0.0528), map_pixel_nm=20.0
    ),
)
OPTIONS = {
    # Memory does not depend on how long it takes: a few iterations of each engine, one mode.
    "reconstruct": {
        "schedule": [{"engine": "raar", "iterations": 2}, {"engine": "lsqml", "iterations": 4}],
        "model": {"n_modes": 1},
    }
}


def long_campaign(folder: Path, size: CampaignSize = SIZE) -> Path:
    """Simulate it; its campaign file, for workers of two gigabytes."""
    simulate_size(folder, size, 1, workers=2, report=lambda line: None)
    path = variants.variant(folder, "long", OPTIONS)
    written = path.read_text()
    assert "1GB" in written
    path.write_text(written.replace("1GB", "2GB"))
    return path


@pytest.mark.slow
def test_twenty_thousand_frames_in_two_gigabytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    campaign = long_campaign(tmp_path)
    forecast = forecast_of(*campaign_and_options(campaign))
    planned = next(stage for stage in forecast.stages if stage.stage == "reconstruct")
    store = variants.processed(RunRequest(str(campaign), stages=("ingest", "reconstruct", "stitch"), scans=(SCAN,)))
    output = store.published_output("reconstruct", SCAN)
    assert output is not None
    receipts = receipts_of(output).values()
    frames = sum(from_json(ReconstructMeasures, receipt.measures).found[0].frames for receipt in receipts)
    measured = max(receipt.peak_rss_bytes for receipt in receipts)
    with capsys.disabled():
        print(
            f"\n{len(receipts)} tiles, {frames} frames with their halos; peak memory forecast"
            f" {planned.peak_worker_bytes / 1e6:.0f} MB, measured {measured / 1e6:.0f} MB"
        )
    assert frames >= N_FRAMES
    assert measured <= WORKER_BYTES
    assert abs(measured / planned.peak_worker_bytes - 1.0) <= FORECAST_WITHIN
