"""Fixtures that every test may use."""

from pathlib import Path

import pytest

CAMPAIGN_FOLDERS = {"cli", "flows", "report", "runner", "scoring", "stages"}
"""Tests of what stands above the physics run campaigns or clusters; the quick tier leaves them out."""
CAMPAIGN_FIXTURES = {"simulated", "processed"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs a campaign, so that `./run test --quick` leaves it out."""
    tests = Path(__file__).resolve().parent
    for item in items:
        folder = item.path.relative_to(tests).parts[0]
        if folder in CAMPAIGN_FOLDERS or CAMPAIGN_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("campaign")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real measurements beside the checkout; tests that want it skip where it is not."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real measurements (../shared/data) are not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The campaign file of a tiny campaign that was simulated and not run; to look at, not to change."""
    from tests.stages.tiny import tiny_campaign

    return tiny_campaign(tmp_path_factory.mktemp("tiny") / "campaign")


@pytest.fixture(scope="session")
def processed(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after a run of all stages but the report; to look at, not to change."""
    from shutil import copytree

    from tests.stages.tiny import tiny_run

    folder = copytree(simulated.parent, tmp_path_factory.mktemp("processed") / "campaign")
    tiny_run(folder / "campaign.yaml")
    return folder / "campaign.yaml"
