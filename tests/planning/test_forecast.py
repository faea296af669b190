"""The forecast of a campaign: every unit, every byte, and memory that no worker exceeds."""

import time
from pathlib import Path

import pytest

from storage.store import Store
from stxmdist.planning.execute import campaign_and_options
from stxmdist.planning.forecast import forecast_of
from stxmdist.planning.stages import STAGES
from stxmdist.simulation.sizes import LARGE
from tests.stages.hollow import hollow_campaign

BYTES = 0.10
"""The plan's bytes may err by a tenth. Arrays are known exactly, tables and pages not."""


@pytest.mark.slow
def test_a_large_campaign_is_planned_from_headers(tmp_path: Path) -> None:
    campaign = hollow_campaign(tmp_path, LARGE)
    began = time.perf_counter()
    forecast = forecast_of(*campaign_and_options(campaign))
    print(
        f"large: {forecast.units} units, {forecast.bytes_out / 1e9:.1f} GB of arrays, planned in "
        f"{time.perf_counter() - began:.1f} s"
    )
    places = LARGE.n_electrodes * len(LARGE.cycles) * LARGE.n_regions
    units = {stage.stage: stage.units for stage in forecast.stages}
    assert units["ingest"] == 2 * places
    assert units["stitch"] == places * len(LARGE.ptychography.energy_ev)
    assert units["register"] == places
    assert units["infer"] == units["report"] == 1
    assert forecast.refusals == ()
    assert forecast.bytes_out > 45e9
    assert forecast.peak_worker_bytes <= forecast.memory_limit


def test_what_was_planned_is_what_is_written(simulated: Path, processed: Path) -> None:
    forecast = forecast_of(*campaign_and_options(simulated))
    assert forecast_of(*campaign_and_options(processed)) == forecast
    store = Store(processed.parent / "store")
    for stage in forecast.stages:
        # No region was seen at two times: ``react`` has nothing to do, and publishes nothing.
        if stage.stage in ("infer", "report") or not stage.units:
            continue
        publication = store.publication(stage.stage)
        assert publication is not None
        arrays = 0
        units = 0
        for scan_id, scan in publication.scans.items():
            output = store.output(stage.stage, scan_id, scan.digest)
            arrays += sum(output.array(name).nbytes for name in output.arrays())
            units += scan.units_done
        assert units == stage.units
        assert stage.bytes_out == pytest.approx(arrays, rel=BYTES)
    assert [stage.stage for stage in forecast.stages] == list(STAGES)
