"""The smallest campaign that goes through every stage: two electrodes, one cycle, both modalities, awkward sizes."""

from dataclasses import replace
from pathlib import Path

from stxmdist.simulation.campaign import simulate_size
from stxmdist.simulation.sizes import SMALL, CampaignSize
from stxmdist.stages.execute import CampaignRun, Request

TINY = replace(
    SMALL,
    name="tiny",
    n_electrodes=2,
    cycles=(1,),
    stxm=replace(SMALL.stxm, energy_ev=SMALL.stxm.energy_ev[::3], n_px=61),
    ptychography=replace(SMALL.ptychography, energy_ev=(700.0, 708.2, 710.2), field_um=1.5, photons=1e5),
)


def tiny_campaign(folder: Path, size: CampaignSize = TINY) -> Path:
    """Simulate it; its campaign file."""
    simulate_size(folder, size, 1, workers=1, report=lambda line: None)
    return folder / "campaign.yaml"


def tiny_run(folder: Path, *, plan_only: bool = False) -> Path:
    """Simulate it and run it in this process; its campaign file."""
    campaign = tiny_campaign(folder)
    if not plan_only:
        with CampaignRun(Request(str(campaign), cluster="inline")) as run:
            for name in run.stages:
                report = run.stage(name)
                assert not report.refusals, report.refusals[0].sentence
    return campaign
