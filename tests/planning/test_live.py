"""Scans are analysed while they are measured, from files that grow; what others spoil stops nothing.

Counts are simulated. One service follows two scans, an SDF folder and an HDF5 file, energy after energy.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from storage.store import Store
from stxmdist.campaign.manifest import LiveSpec
from stxmdist.measures import FitMeasures, IngestMeasures
from stxmdist.planning.execute import CampaignRun, RunRequest
from stxmdist.planning.growth import ALIVE, STILL_S, record_of
from stxmdist.planning.live import STAGES, LiveService
from stxmdist.planning.status import status_of
from stxmdist.records import from_json
from stxmdist.simulation.replay import Written, replay
from tests.stages import beamtime as made

SCANS = (made.SDF, made.NEXUS)
N_ENERGIES = len(made.ENERGY_EV)
TABLES = ("particles", "electrodes", "variance", "exclusions")

pytestmark = pytest.mark.long


@dataclass
class Following:
    """A service over a campaign whose files are written by the test, and whose seconds pass when the test says so."""

    whole: made.Beamtime
    grows: made.Beamtime
    now_s: float = 1e9
    said: list[str] = field(default_factory=list)
    runs: int = 0

    def __post_init__(self) -> None:
        self.store = Store(self.grows.store).create()
        self.service = self.started()

    def started(self) -> LiveService:
        return LiveService(self.grows.campaign, self.said.append, self._run, clock=lambda: self.now_s)

    def _run(self) -> bool:
        self.runs += 1
        return True

    def replay(self, scan_id: str, *, order: tuple[int, ...] | None = None) -> Iterator[Written]:
        return replay(self.whole.file(scan_id), self.grows.file(scan_id), order=order)

    def look(self, times: int = 1, seconds: float = 0.5) -> None:
        for _ in range(times):
            self.now_s += seconds
            self.service.step()

    def measure(self, steps: Iterator[Written], energies: int) -> None:
        """Let so many energies more become whole."""
        for written in steps:
            energies -= written.whole
            if not energies:
                return

    def figures(self, scan_id: str) -> tuple[IngestMeasures, FitMeasures]:
        found = []
        for kind, stage in ((IngestMeasures, "ingest"), (FitMeasures, "fit")):
            publication = self.store.publication(stage)
            assert publication is not None
            found.append(from_json(kind, publication.scans[scan_id].quality))
        return found[0], found[1]  # type: ignore[return-value]

    def outputs(self, scan_id: str) -> int:
        return max(len(list((self.store.stages_path / stage / scan_id).iterdir())) for stage in STAGES)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> made.Beamtime:
    """The finished scans, alone in their campaign."""
    beamtime = made.simulated(tmp_path_factory.mktemp("whole"))
    beamtime.keep(*SCANS)
    return beamtime


@pytest.fixture
def following(whole: made.Beamtime, tmp_path: Path) -> Iterator[Following]:
    folder = tmp_path / "grows"
    shutil.copytree(whole.folder, folder, ignore=shutil.ignore_patterns("beamline", "store"))
    grows = made.Beamtime(folder)
    for scan_id in SCANS:
        grows.file(scan_id).parent.mkdir(parents=True, exist_ok=True)
    found = Following(whole, grows)
    with found.store.lock("watch", ALIVE):
        yield found


def tables(campaign: made.Beamtime) -> dict[str, pd.DataFrame]:
    """What a run of all stages of statistics leaves, by an ordinary run."""
    stages = (*STAGES, "network", "infer")
    with CampaignRun(RunRequest(str(campaign.campaign), stages, cluster="inline")) as run:
        for stage in stages:
            run.stage(stage)
        assert not run.refusals
    return {name: pd.read_parquet(campaign.store / "tables" / f"{name}.parquet") for name in TABLES}


def test_maps_grow_with_each_energy_and_end_as_those_of_the_finished_files(following: Following) -> None:
    steps = {scan_id: following.replay(scan_id) for scan_id in SCANS}
    for energies in range(1, N_ENERGIES + 1):
        for scan_id in SCANS:
            following.measure(steps[scan_id], 1)
            if energies < N_ENERGIES:
                # Some rows of the next energy are there as well, and the last of them to a half.
                next(steps[scan_id])
        following.look()
        if energies == 1:
            assert following.store.publication("fit") is None
            continue
        for scan_id in SCANS:
            ingest, fit = following.figures(scan_id)
            assert (ingest.frames, ingest.energies_planned) == (energies, N_ENERGIES)
            assert fit.energies_used <= energies
            assert following.outputs(scan_id) <= 2
            assert f"{scan_id}: {energies} of {N_ENERGIES} energies so far" in following.said
        verdict = status_of(following.grows.campaign).verdict
        assert all(scan.sentence.startswith(f"{energies} of {N_ENERGIES} energies so far") for scan in verdict.scans)
    for steps_left in steps.values():
        assert next(steps_left, None) is None
    following.look(times=2, seconds=STILL_S)
    assert record_of(following.store).scans == {}
    assert following.runs >= 1
    for scan_id in SCANS:
        assert following.figures(scan_id)[0].energies_planned is None
    grown, finished = tables(following.grows), tables(following.whole)
    for name in TABLES:
        pd.testing.assert_frame_equal(grown[name], finished[name], check_exact=True)
    assert len(grown["particles"]) > 0


def test_an_aborted_scan_is_finished_on_what_is_there_and_says_so(following: Following) -> None:
    following.grows.keep(made.SDF)
    steps = following.replay(made.SDF)
    following.measure(steps, 5)
    next(steps)
    following.look()
    following.look(seconds=LiveSpec().finish_after_s - 1)
    assert following.figures(made.SDF)[0].energies_planned == N_ENERGIES
    following.look(seconds=1)
    ingest, _ = following.figures(made.SDF)
    # The row of the sixth energy is taken as those of any aborted scan.
    assert (ingest.energies_planned, ingest.frames) == (None, N_ENERGIES)
    assert (ingest.frames_missing, ingest.frames_in_part) == (N_ENERGIES - 6, 1)
    words = "ended at 5 of 8 energies: nothing came for 600 s"
    assert f"{made.SDF}: {words}" in following.said
    assert words in status_of(following.grows.campaign).notes[made.SDF]


def test_energies_out_of_order_fill_the_stack_where_they_belong(following: Following) -> None:
    following.grows.keep(made.NEXUS)
    steps = following.replay(made.NEXUS, order=(7, 2, 5, 0, 1, 3, 4, 6))
    for energies, known in ((2, [707.7, 706.6]), (2, [700.0, 706.6, 709.7, 716.0])):
        following.measure(steps, energies)
        following.look()
        if len(known) == 4:
            _, fit = following.figures(made.NEXUS)
            np.testing.assert_allclose(fit.energy_ev, known)


def test_spoilt_scans_stop_nothing(following: Following) -> None:
    """One file is cut off, then becomes another scan, then is deleted; the other scan goes on all the while."""
    spoilt = following.grows.file(made.NEXUS)
    content = following.whole.file(made.NEXUS).read_bytes()
    steps = following.replay(made.SDF)
    spoilt.write_bytes(content[: len(content) // 3])
    following.measure(steps, 2)
    following.look()
    assert following.figures(made.SDF)[0].frames == 2
    assert any(line.startswith(f"{made.NEXUS}: it cannot be read yet") for line in following.said)

    # It grows after all, and then another scan takes its place, with fewer energies.
    spoilt.unlink()
    of_spoilt = following.replay(made.NEXUS)
    following.measure(of_spoilt, 4)
    following.look()
    assert following.figures(made.NEXUS)[0].frames == 4
    del of_spoilt
    spoilt.unlink()
    shorter = made.Beamtime(following.whole.folder).write_nexus(
        "shorter", following.whole.frames(made.NEXUS)[:3] + 1, made.ENERGY_EV[:3]
    )
    shutil.copyfile(shorter, spoilt)
    following.measure(steps, 1)
    following.look(times=2, seconds=STILL_S)
    assert following.figures(made.NEXUS)[0].frames == 3
    assert following.figures(made.SDF)[0].frames == 3

    spoilt.unlink()
    following.measure(steps, 1)
    following.look()
    assert following.figures(made.SDF)[0].frames == 4


def test_numbers_that_change_where_a_scan_was_complete_are_read_anew(following: Following) -> None:
    following.grows.keep(made.SDF)
    steps = following.replay(made.SDF)
    following.measure(steps, 3)
    following.look()
    first = following.grows.file(made.SDF).with_name(f"{made.SDF}_a000.xim")
    first.write_bytes(first.read_bytes().replace(b"1", b"2"))
    following.measure(steps, 1)
    following.look()
    assert any("the scan changed where it was complete" in line for line in following.said)
    following.look()
    assert following.figures(made.SDF)[0].frames == 4


@pytest.mark.faults
def test_a_service_that_died_goes_on_where_it_was(following: Following) -> None:
    following.grows.keep(made.SDF)
    steps = following.replay(made.SDF)
    following.measure(steps, 3)
    following.look()
    left = {path: path.stat().st_mtime_ns for path in following.store.stages_path.glob("*/*/*/units/*.json")}
    following.service = following.started()
    following.look()
    assert left == {path: path.stat().st_mtime_ns for path in following.store.stages_path.glob("*/*/*/units/*.json")}
    following.measure(steps, 1)
    following.service = following.started()
    following.look()
    assert following.figures(made.SDF)[0].frames == 4


def test_a_run_leaves_alone_what_a_service_follows(following: Following) -> None:
    steps = following.replay(made.SDF)
    shutil.copyfile(following.whole.file(made.NEXUS), following.grows.file(made.NEXUS))
    following.look(times=2, seconds=STILL_S)
    following.measure(steps, 2)
    following.look()
    following.measure(steps, 1)
    with CampaignRun(RunRequest(str(following.grows.campaign), ("ingest", "absorbance"), cluster="inline")) as run:
        for stage in run.stages:
            run.stage(stage)
        # The service analyses beside it, and neither loses what the other published.
        following.look()
        run.stage("absorbance")
    assert following.figures(made.SDF)[0].frames == 3
    publication = following.store.publication("absorbance")
    assert publication is not None
    assert set(publication.scans) == set(SCANS)


def test_a_run_is_whole_though_scans_are_followed_and_waits_for_them(following: Following) -> None:
    """Nothing of theirs failed: the run leaves them to the service, and says so."""
    shutil.copyfile(following.whole.file(made.NEXUS), following.grows.file(made.NEXUS))
    following.measure(following.replay(made.SDF), 1)
    following.look()
    with CampaignRun(RunRequest(str(following.grows.campaign), cluster="inline")) as run:
        for stage in run.stages:
            run.stage(stage)
        outcome = run.summary()
    assert outcome["refusals"] == []
    assert outcome["verdict"]["usable"]
    states = {scan["scan_id"]: (scan["state"], scan["sentence"]) for scan in outcome["verdict"]["by_scan"]}
    assert states[made.SDF] == ("waits", f"1 of {N_ENERGIES} energies so far")
    row = next(row for row in status_of(following.grows.campaign).summary() if row["scan"] == made.SDF)
    assert row["state"] == "ingest waits"


def test_a_service_that_begins_takes_no_scan_from_a_run_unless_it_changes(following: Following) -> None:
    for scan_id in SCANS:
        shutil.copytree(following.whole.file(scan_id).parent, following.grows.file(scan_id).parent, dirs_exist_ok=True)
    with following.store.lock():
        following.look()
        assert record_of(following.store).scans == {}
        following.grows.file(made.NEXUS).touch()
        following.look()
        assert set(record_of(following.store).scans) == {made.NEXUS}
    # What came while the run went on is nobody's else.
    following.look(times=2, seconds=STILL_S)
    assert following.runs == 1


@pytest.mark.faults
@pytest.mark.parametrize("ahead_s", [3600.0, -3600.0])
def test_a_file_server_with_another_clock_changes_nothing(following: Following, ahead_s: float) -> None:
    following.grows.keep(made.SDF)
    steps = following.replay(made.SDF)

    def measured(energies: int) -> None:
        following.measure(steps, energies)
        for path in following.grows.file(made.SDF).parent.iterdir():
            time_s = following.now_s + ahead_s
            os.utime(path, (time_s, time_s + 1e-3 * path.stat().st_size))

    measured(1)
    following.look()
    measured(1)
    following.look()
    assert following.figures(made.SDF)[0].frames == 2
    following.look(seconds=LiveSpec().finish_after_s - 1)
    assert following.figures(made.SDF)[0].energies_planned == N_ENERGIES
