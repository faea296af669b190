"""A finished campaign that tests of commands may change."""

import shutil
from pathlib import Path

import pytest

import stxmdist
from stxmdist.commands.open_campaign import OpenCampaign


@pytest.fixture
def campaign(processed: Path, tmp_path: Path) -> OpenCampaign:
    shutil.copytree(processed.parent, tmp_path / "campaign", symlinks=True)
    return stxmdist.open(tmp_path / "campaign" / "campaign.yaml")
