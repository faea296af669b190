"""Kernels compiled before a scan begins: the first map of a service that has just started would wait for them."""

from pathlib import Path
from tempfile import TemporaryDirectory

from stxmdist.campaign.manifest import load
from stxmdist.planning.execute import CampaignRun, RunRequest
from stxmdist.simulation.diffraction import Detector
from stxmdist.simulation.folder import simulate_size
from stxmdist.simulation.sizes import CampaignSize, PtychographySetup, StxmSetup

SMALLEST = CampaignSize(
    "warm",
    n_electrodes=1,
    cycles=(1,),
    stxm=StxmSetup(energy_ev=(700.0, 707.7, 709.7, 716.0), n_px=48, oversample=2),
    # Every region is seen by both; this one is simulated in no time, and not processed.
    ptychography=PtychographySetup(
        energy_ev=(700.0,), field_um=0.6, step_um=0.2, detector=Detector(32, 120.0, 0.0528), map_pixel_nm=40.0
    ),
)


def warm(stages: tuple[str, ...]) -> None:
    """Run stages on a small simulated scan, in a folder that is removed, so that this process has compiled them."""
    with TemporaryDirectory(prefix="stxmdist-warm-") as folder:
        path = Path(folder) / "campaign.yaml"
        simulate_size(path.parent, SMALLEST, 0, workers=1, report=lambda line: None)
        wide = tuple(scan.scan_id for scan in load(path).scans if scan.modality == "stxm")
        with CampaignRun(RunRequest(str(path), stages, wide, "inline")) as run:
            for stage in stages:
                run.stage(stage)
