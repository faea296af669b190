"""Campaigns as people find them: finished, half finished, not begun."""

import shutil
from pathlib import Path

import pytest

import stxmdist
from stxmdist.commands.open_campaign import OpenCampaign


@pytest.fixture(scope="session")
def results(processed: Path) -> OpenCampaign:
    return stxmdist.open(processed)


@pytest.fixture(scope="session")
def not_begun(simulated: Path) -> OpenCampaign:
    return stxmdist.open(simulated)


@pytest.fixture(scope="session")
def half_finished(processed: Path, tmp_path_factory: pytest.TempPathFactory) -> OpenCampaign:
    """Particles are found, and nothing was done for the campaign as a whole yet."""
    folder = shutil.copytree(processed.parent, tmp_path_factory.mktemp("half") / "campaign", symlinks=True)
    for stage in ("register", "network", "react", "infer"):
        (folder / "store" / "published" / f"{stage}.json").unlink(missing_ok=True)
    (folder / "store" / "tables").unlink()
    return stxmdist.open(folder / "campaign.yaml")
