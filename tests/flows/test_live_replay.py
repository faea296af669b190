"""Scans replayed at the pace of a beamline, to a growing file and to a Tiled server, beside a running reconstruction.

Counts are simulated. The latency is from the last row of an energy, written, to the publication of the fit of it.
"""

import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest

from storage.store import Store
from stxmdist import readers
from stxmdist.campaign.manifest import load
from stxmdist.planning.execute import CampaignRun, RunRequest
from stxmdist.planning.growth import record_of
from stxmdist.planning.live import STAGES
from stxmdist.planning.written_back import WritesBack
from stxmdist.readers.recording import StxmRecording
from stxmdist.simulation.replay import replay
from stxmdist.tiled.client import TiledClient
from stxmdist.tiled.results import CONTAINER
from tests.flows.campaigns import SLOW_COPIES, SLOW_ITERATIONS, command, environment, simulate_tiny
from tests.tiled.beamline import KEY, Replica, Run, begin, client_of, real_server, served, start_document

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(900)]

MOST_S = 10.0
"""From the last row of an energy on disk to its published map, beside a reconstruction on two cores"""
ENERGY_S = 6.0
"""Of each energy, optics and rows together: real stacks take longer"""
READY_S = 240.0
ENDED_S = 120.0
TILED = os.environ.get("STXMDIST_TILED")
TABLES = ("particles", "electrodes", "variance")
FILE, SERVER = "stxm-E01-c001-r1", "stxm-E02-c001-r1"


@dataclass
class Beamline:
    """Two scans that are being measured, one to a file, one to a server, in a campaign with much to reconstruct."""

    whole: Path
    campaign: Path
    run: Run
    counts: np.ndarray
    home: Path

    @property
    def store(self) -> Store:
        return Store(self.campaign.parent / "store")

    @contextmanager
    def process(self, *words: object) -> Iterator[subprocess.Popen[str]]:
        """A command of stxmdist, and what it started: nothing of it stays."""
        process = subprocess.Popen(
            command(*words),
            env=environment(self.home) | {"TILED_API_KEY": KEY, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def energies_shown(self, scan_id: str) -> int:
        """Energies of a scan in the particles, and in all that they were computed from, as it is published; or 0."""
        published = {stage: self.store.publication(stage) for stage in STAGES}
        found = {stage: one.scans[scan_id] for stage, one in published.items() if one and scan_id in one.scans}
        if len(found) < len(STAGES) or any(one.state != "done" for one in found.values()):
            return 0
        read = [(*source.split("/"), digest) for one in found.values() for source, digest in one.inputs.items()]
        if any(found[stage].digest != digest for stage, name, digest in read if name == scan_id):
            return 0
        return int(str(found["ingest"].quality["frames"]))


def ready(watching: subprocess.Popen[str]) -> None:
    """Wait until a service says so."""
    assert watching.stdout is not None
    until = time.monotonic() + READY_S
    for line in watching.stdout:
        if line.strip() == "ready":
            return
        assert time.monotonic() < until
    raise AssertionError("the service ended")


def latency_of(beamline: Beamline, energies: int) -> dict[str, float]:
    """Seconds from now until the maps of both scans are of so many energies."""
    began, found = time.monotonic(), {}
    while len(found) < 2:
        for scan_id in {FILE, SERVER} - found.keys():
            if beamline.energies_shown(scan_id) >= energies:
                found[scan_id] = time.monotonic() - began
        assert time.monotonic() - began < 6 * MOST_S, (found, record_of(beamline.store))
        time.sleep(0.05)
    return found


@pytest.fixture(params=["replica", "real"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "replica":
        with served(Replica()) as address:
            yield address
    elif TILED is None:
        pytest.skip("STXMDIST_TILED names no Python with tiled[server]==0.2.20")
    else:
        with real_server(TILED, tmp_path / "tiled") as address:
            yield address


@pytest.fixture
def beamline(tmp_path: Path, server: str) -> Beamline:
    whole = simulate_tiny(tmp_path / "whole")
    sheet = pd.read_csv(whole.parent / "samples.csv", keep_default_na=False, dtype=str)
    wide = sheet[sheet.modality == "stxm"].assign(pair_id="")
    many = sheet[sheet.modality == "ptychography"].head(1)
    copies = [many.assign(scan_id=many.scan_id + f"-{n}", pair_id="") for n in range(SLOW_COPIES)]
    finished = load(whole).scan(SERVER)
    recording = readers.read_scan(finished.files)
    assert isinstance(recording, StxmRecording)
    counts = np.stack([recording.read(index) for index in range(len(recording.energy_ev))])
    axes = (recording.energy_ev, recording.y_um, recording.x_um)
    run = begin(client_of(server), start_document(counts, *axes, uid=str(uuid.uuid4())), counts)
    folder = tmp_path / "grows"
    shutil.copytree(whole.parent, folder)
    named = {FILE: wide.set_index("scan_id").file[FILE], SERVER: f"tiled:{run.path}"}
    shutil.rmtree((folder / named[FILE]).parent)
    (folder / named[FILE]).parent.mkdir(parents=True)
    rows = pd.concat([*copies, wide.assign(file=wide.scan_id.map(named))])
    rows.to_csv(folder / "samples.csv", index=False)
    text = (folder / "campaign.yaml").read_text()
    text = text.replace(
        "n_modes: 2",
        f"n_modes: 2\n    schedule: [{{engine: rpie, iterations: {4 * SLOW_ITERATIONS}}}]\n    chain: false",
    )
    live = f"live: {{look_every_s: 0.5, tiled: {{server: '{server}', results: true}}}}\n"
    (folder / "campaign.yaml").write_text(text + live)
    whole.write_text(whole.read_text() + live)
    of_run = {SERVER: f"{server}/api/v1/metadata/{run.path}"}
    wide.assign(file=wide.scan_id.map(of_run).fillna(wide.file)).to_csv(whole.parent / "samples.csv", index=False)
    return Beamline(whole, folder / "campaign.yaml", run, counts, tmp_path / "home")


def tables(campaign: Path, stages: tuple[str, ...]) -> dict[str, pd.DataFrame]:
    with CampaignRun(RunRequest(str(campaign), stages, (FILE, SERVER), cluster="inline")) as run:
        for stage in stages:
            run.stage(stage)
        assert not run.refusals
    return {name: pd.read_parquet(campaign.parent / "store" / "tables" / f"{name}.parquet") for name in TABLES}


def assert_written_back(beamline: Beamline) -> None:
    """The run holds the maps, with axes and units, and the particles, as they are published at the end."""
    client = TiledClient(of := str(beamline.run.http.base_url).split("/api/")[0], of, key=lambda: KEY)
    path = f"{beamline.run.path}/{CONTAINER}"
    output = beamline.store.published_output("fit", SERVER)
    assert output is not None
    assert (said := client.said(path)) is not None
    assert (said["state"], said["energies"], said["digest"]) == ("whole", "all", output.digest)
    node = client.array(f"{path}/soc")
    np.testing.assert_array_equal(client.rows(f"{path}/soc", node, slice(None)), output.read("soc"))
    said = client.metadata(f"{path}/soc_se")["metadata"]
    assert (said["dims"], said["unit"]) == (["y", "x"], "1")
    columns = client.metadata(f"{path}/particles")["metadata"]["columns"]
    assert columns["d_eq_um"]["unit"] == "um"
    before = client.metadata(path)
    campaign = load(beamline.campaign)
    writes_back = WritesBack(pytest.fail)
    writes_back(beamline.store, campaign.scan(SERVER), of)
    assert client.metadata(path) == before


@pytest.mark.faults
def test_maps_follow_within_ten_seconds_and_a_killed_service_loses_nothing(
    beamline: Beamline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TILED_API_KEY", KEY)
    n_energies, n_rows, _ = beamline.counts.shape
    file = load(beamline.whole).scan(FILE).file
    steps = replay(file, beamline.campaign.parent / file.relative_to(beamline.whole.parent))
    latencies: list[float] = []

    def measure() -> None:
        began = time.monotonic()
        for row in range(n_rows):
            beamline.run.measure(1)
            next(steps)
            # The last row comes when all of the time is over.
            time.sleep(max(0.0, ENERGY_S * (row + 1) / n_rows - (time.monotonic() - began)) if row < n_rows - 1 else 0)

    watching = ("watch", beamline.campaign, "--no-run")
    reconstructing = ("run", beamline.campaign, "--stage", "ingest", "--stage", "reconstruct", "--no-prefect")
    with beamline.process(*reconstructing, "--cluster", "2") as run:
        with beamline.process(*watching) as service:
            ready(service)
            measure()
            for energies in range(2, n_energies // 2 + 1):
                measure()
                latencies += latency_of(beamline, energies).values()
            # In mid-energy, and in the middle of whatever it does.
            next(steps)
            os.killpg(service.pid, signal.SIGKILL)
        for _ in range(n_rows - 1):
            next(steps)
        beamline.run.measure(n_rows)
        with beamline.process(*watching) as service:
            ready(service)
            for energies in range(n_energies // 2 + 2, n_energies + 1):
                measure()
                latencies += latency_of(beamline, energies).values()
            assert run.poll() is None, "the reconstruction ended before the scans did"
            beamline.run.stop()
            until = time.monotonic() + ENDED_S
            while record_of(beamline.store).scans:
                assert time.monotonic() < until, record_of(beamline.store)
                time.sleep(0.2)
    with capsys.disabled():
        print(
            f"\nlatency of {len(latencies)} maps: median {np.median(latencies):.1f} s, largest {max(latencies):.1f} s"
        )
    assert_written_back(beamline)
    stages = (*STAGES, "network", "infer")
    grown, finished = tables(beamline.campaign, stages), tables(beamline.whole, stages)
    for name in TABLES:
        pd.testing.assert_frame_equal(grown[name], finished[name], check_exact=True)
    assert len(grown["particles"]) > 0
    assert max(latencies) <= MOST_S
    assert httpx.get(f"{beamline.run.http.base_url}metadata/{beamline.run.path}").status_code == 401
