"""The complex fit of a reconstructed scan: phase and amplitude together say more of soc than amplitude alone."""

from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np

from storage.output import Output
from storage.store import Store
from stxmdist.arrays import MaskClass
from stxmdist.planning.execute import CampaignRun, RunRequest
from tests.stages.tiny import PTYCHOGRAPHY, with_options

SCAN = PTYCHOGRAPHY[0]
LEAST_GAIN, MOST_GAIN = 1.03, 1.45
"""Error bars get shorter by the square root of 2 where phase and absorption part the end-members equally well; at the
three energies of this scan absorption tells most."""
AGREES = 0.1
"""Few positions on small frames: phase and amplitude of one reconstruction err by themselves."""


def fitted(campaign: Path, **options: Any) -> Output:
    with_options(campaign, {"fit": options})
    with CampaignRun(RunRequest(str(campaign), ("fit",), scans=(SCAN,), cluster="inline")) as run:
        report = run.stage("fit")
        assert not report.refusals, report.refusals[0].sentence
        output = Store(run.campaign.store).published_output("fit", SCAN)
    assert output is not None
    return output


def test_phase_and_amplitude_together_are_surer(processed: Path, tmp_path: Path, capsys: Any) -> None:
    campaign = copytree(processed.parent, tmp_path / "campaign") / processed.name
    alone = fitted(campaign, fitter_ptychography="least_squares")
    both = fitted(campaign, fitter_ptychography="complex")
    valid = (alone.read("mask_class") == MaskClass.valid) & (both.read("mask_class") == MaskClass.valid)
    gain = np.median(alone.read("soc_se")[valid] / both.read("soc_se")[valid])
    difference = np.median(both.read("soc")[valid] - alone.read("soc")[valid])
    with capsys.disabled():
        print(f"\n  {valid.sum()} pixels, error bars {gain:.2f} times shorter, soc differs by {difference:+.3f}")
    assert LEAST_GAIN < gain < MOST_GAIN
    assert abs(difference) < AGREES
