"""Campaigns of many scans: whole to every command, and what grows with their number grows no faster."""

import cProfile
import pstats
from pathlib import Path

import pytest

from storage.store import Store
from storage.verify import verify
from stxmdist.bench.repeated import repeated
from stxmdist.bench.scale import MOST_EXPONENT, exponent
from stxmdist.planning.execute import CampaignRun, RunRequest, campaign_and_options
from stxmdist.planning.forecast import forecast_of
from stxmdist.planning.stages import STAGES
from stxmdist.planning.status import status_of
from stxmdist.planning.validation import validate

FEW, MORE, MANY = 4, 40, 160
OF_SCANS = tuple(name for name in STAGES if not STAGES[name].load().whole_campaign)


@pytest.fixture(scope="module")
def sizes(processed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("scale")
    return {n: repeated(processed, folder / str(n), n) for n in (FEW, MORE, MANY)}


def calls(command: str, path: Path) -> int:
    """Functions that a command calls: what it does, whatever else the machine does meanwhile."""
    profile = cProfile.Profile()
    campaign, options = campaign_and_options(path)
    with profile:
        if command == "validate":
            validate(path)
        elif command == "plan":
            forecast_of(campaign, options)
        elif command == "status":
            status_of(path)
        else:
            request = RunRequest(str(path), OF_SCANS, cluster="inline")
            assert CampaignRun(request).pending() == {}
            with CampaignRun(request) as run:
                assert sum(run.stage(name).units_run for name in run.stages) == 0
    return int(pstats.Stats(profile).prim_calls)  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["validate", "plan", "status", "run with nothing to do"])
def test_what_a_command_does_grows_as_the_scans_do(
    sizes: dict[int, Path], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    calls(command, sizes[FEW])
    found = {n: calls(command, path) for n, path in sizes.items()}
    grows = exponent(found[MORE], found[MANY], found[FEW], MANY / MORE)
    with capsys.disabled():
        each = (found[MANY] - found[MORE]) / (MANY - MORE)
        print(f"\n| {command} | {found[MORE]} | {found[MANY]} | {each:.0f} a scan | {grows:.2f} |", end="")
    assert grows <= MOST_EXPONENT


@pytest.mark.slow
def test_what_is_published_grows_as_the_scans_do_and_its_files_stay_small(sizes: dict[int, Path]) -> None:
    stores = {n: Store(path.parent / "store") for n, path in sizes.items()}
    bytes_of = {n: sum(size for _, size in _files(store)) for n, store in stores.items()}
    heads = {n: sum(path.stat().st_size for path in store.published_path.glob("*.json")) for n, store in stores.items()}
    assert exponent(bytes_of[MORE], bytes_of[MANY], 0.0, MANY / MORE) <= MOST_EXPONENT
    # What one atomic write replaces: two digests for 64 scans.
    assert (heads[MANY] - heads[FEW]) / (MANY - FEW) / len(OF_SCANS) < 10.0
    assert verify(stores[MORE]) == []


def _files(store: Store) -> list[tuple[str, int]]:
    root = Path(str(store.published_path))
    return [(str(path), path.stat().st_size) for path in root.rglob("*.json")]
