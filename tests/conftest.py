"""Fixtures that every test may use."""

from collections.abc import Generator, Iterator
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest

from storage.bucket_access import client_of
from tests.alone import turn
from tests.seaweed import Seaweed, seaweed

CAMPAIGN_FOLDERS = {
    "bench",
    "cli",
    "cluster",
    "commands",
    "dashboard",
    "export",
    "flows",
    "report",
    "results",
    "runner",
    "scoring",
    "simulation",
    "stages",
}
"""Tests of what stands above the physics run or make campaigns; the quick tier leaves them out."""
CAMPAIGN_FIXTURES = {"simulated", "processed"}


QUICK_EXAMPLES = 20
"""Draws of a property in the quick tier; hypothesis draws 100 otherwise."""


def pytest_configure(config: pytest.Config) -> None:
    """Draw fewer examples of each property in the quick tier."""
    hypothesis.settings.register_profile("quick", max_examples=QUICK_EXAMPLES)
    if "not long" in config.option.markexpr:
        hypothesis.settings.load_profile("quick")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import what the quick tier leaves out: that takes longer than many of its tests."""
    folder = collection_path.parent == Path(__file__).resolve().parent and collection_path.name in CAMPAIGN_FOLDERS
    return True if folder and "not long" in config.option.markexpr else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes longer, so that `./run test --quick` leaves it out."""
    tests = Path(__file__).resolve().parent
    for item in items:
        folder = item.path.relative_to(tests).parts[0]
        if folder in CAMPAIGN_FOLDERS or CAMPAIGN_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("long")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let tests marked ``alone`` run while those of the other processes pause."""
    run = getattr(item.config, "workerinput", {}).get("testrunuid")
    if run is None:
        return (yield)
    with turn(run, alone=item.get_closest_marker("alone") is not None):
        return (yield)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real measurements beside the checkout; tests that want it skip where it is not."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real measurements (../shared/data) are not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def seaweed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """A server of buckets for all tests of this process; to be left running."""
    with seaweed(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture
def bucket(seaweed_server: Seaweed, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty place in a bucket, with what it takes to come in in the environment."""
    for name, value in seaweed_server.environment.items():
        monkeypatch.setenv(name, value)
    client_of.cache_clear()
    yield f"s3://tests/{uuid4().hex}"
    client_of.cache_clear()


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
