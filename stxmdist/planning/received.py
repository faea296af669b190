"""Runs of a Tiled server, brought into files of the store that grow as the runs do.

Whatever reads a file then reads them: what is complete is told apart by the same rules, and a scan that was fetched
once is there when its server is not.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from stxmdist.arrays import F32
from stxmdist.campaign.manifest import Campaign, Scan
from stxmdist.errors import InputError
from stxmdist.runner.unit import Refusal
from stxmdist.tiled.address import RunAddress, address_of
from stxmdist.tiled.client import TiledClient
from stxmdist.tiled.contract import STREAM, StackRun, stack_run
from stxmdist.writers.nxstxm.writer import write_stack

SERVER = "server"
"""What refusals of runs of servers have for a unit"""


class Mirror:
    """Fills one file from one run; asks only for rows of energies that it does not have."""

    def __init__(self, address: RunAddress, file: Path, client: TiledClient) -> None:
        self._address = address
        self._file = file
        self.client = client
        self._images: F32 | None = None
        self._written: frozenset[int] | None = None

    def fetch(self) -> bool:
        """Bring the file up to date: a frame is written when its last row is there, or the run is over.

        Returns whether the run is over.

        Raises
        ------
        InputError
            for a server that does not answer, and a run that is no stack of a version that is known.
        """
        said = self.client.metadata(self._address.path)["metadata"]
        run = stack_run(str(self._address), said.get("start") or {})
        over = bool(said.get("stop"))
        images = self._updated(run)
        there = np.isfinite(images)
        # A frame that is begun is written only where nothing more will come of it.
        taken = np.asarray(there.any(axis=(1, 2)) if over else there.all(axis=(1, 2)))
        frames = frozenset(np.flatnonzero(taken).tolist())
        if frames and (over or frames != self._written):
            self._write(run, images, sorted(frames))
            self._written = frames
        return over

    def _updated(self, run: StackRun) -> F32:
        """The images (ENERGY, Y, X): what was not complete is read, up to an energy of which nothing is there."""
        if self._images is None or self._images.shape != run.shape:
            self._images = np.full(run.shape, np.nan, np.float32)
        path = f"{self._address.path}/{STREAM}/{run.data_field}"
        node = self.client.array(path)
        if len(node.shape) != 2 or node.shape[1] != run.shape[2]:
            raise InputError(
                where=f"{self._address}/{STREAM}/{run.data_field}",
                problem="the array holds no rows of the scan",
                got=f"shape {node.shape}",
                wanted=f"(rows, {run.shape[2]})",
                mend="Exclude the scan",
            )
        for energy, image in enumerate(self._images):
            if np.isfinite(image).all():
                continue
            image[:] = run.image(self.client.rows(path, node, run.rows_of(energy)))
            if not np.isfinite(image).any():
                break
        return self._images

    def _write(self, run: StackRun, images: F32, frames: Sequence[int]) -> None:
        write_stack(
            self._file,
            lambda index: images[index],
            run.energy_ev,
            run.y_um,
            run.x_um,
            run.dwell_ms,
            np.nan,
            start_time=None if run.start_time_s is None else datetime.fromtimestamp(run.start_time_s, UTC),
            frames=frames,
            dtype=np.float32,
        )


class Received:
    """The runs of servers that a campaign names; what goes wrong with one is said and stops no other."""

    def __init__(
        self, say: Callable[[str, InputError], None], client: Callable[[str, str | None], TiledClient] = TiledClient
    ) -> None:
        self._say = say
        self._client = client
        self._clients: dict[tuple[str, str | None], TiledClient] = {}
        self._mirrors: dict[tuple[str, Path], Mirror] = {}
        self._over: set[tuple[str, Path]] = set()

    def over(self, scan: Scan) -> bool:
        """Whether the server has said that the run of a scan is over, and all of it is in the file."""
        return scan.address is not None and (scan.address, scan.file) in self._over

    def update(self, campaign: Campaign) -> None:
        """Bring the files of those scans up to date that come from a server."""
        own = own_server(campaign)
        for scan in campaign.scans:
            if scan.address is not None and not (self.over(scan) and scan.file.exists()):
                self._fetch(scan, scan.address, own)

    def _fetch(self, scan: Scan, cell: str, own: str | None) -> None:
        key = (cell, scan.file)
        try:
            address = address_of(cell)
            mirror = self._mirrors.get(key)
            client = self._client_of(address.server, own)
            if mirror is None or mirror.client is not client:
                mirror = self._mirrors[key] = Mirror(address, scan.file, client)
            over = mirror.fetch()
        except InputError as error:
            self._say(scan.scan_id, error)
            return
        if over:
            self._over.add(key)
            self._mirrors.pop(key)

    def _client_of(self, server: str, own: str | None) -> TiledClient:
        """Another one where the campaign file has come to name another server."""
        if (server, own) not in self._clients:
            self._clients[server, own] = self._client(server, own)
        return self._clients[server, own]


class Beside:
    """Fetches in a thread of its own, so that a server that does not answer keeps nobody from looking at files."""

    def __init__(self, received: Received) -> None:
        self._received = received
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="received")
        self._under_way: Future[None] | None = None

    def over(self, scan: Scan) -> bool:
        """As `Received.over`."""
        return self._received.over(scan)

    def update(self, campaign: Campaign) -> None:
        """Begin to bring files up to date, unless the last time is still under way.

        Raises
        ------
        Exception
            what the last time met and did not expect
        """
        if self._under_way is not None:
            if not self._under_way.done():
                return
            self._under_way.result()
        self._under_way = self._thread.submit(self._received.update, campaign)


def own_server(campaign: Campaign) -> str | None:
    """The Tiled server that the campaign file itself names: the only one that is sent the key, or results."""
    return None if campaign.live.tiled is None else campaign.live.tiled.server


def said_once(say: Callable[[str], None]) -> Callable[[str, InputError], None]:
    """Says of each scan what keeps it from being fetched, and again only when it is something else."""
    last: dict[str, str] = {}

    def to(scan_id: str, error: InputError) -> None:
        if last.get(scan_id) != error.sentence:
            last[scan_id] = error.sentence
            say(f"{scan_id}: {error.sentence}")

    return to


def fetch_once(campaign: Campaign) -> list[Refusal]:
    """Fetch what a campaign names on servers, for a run that no service precedes; what could not be fetched whole."""
    refusals: list[Refusal] = []
    received = Received(lambda scan_id, error: refusals.append(Refusal(scan_id, SERVER, **error.as_dict())))
    received.update(campaign)
    failed = {refusal.scan_id for refusal in refusals}
    for scan in campaign.scans:
        if scan.address is not None and not received.over(scan) and scan.scan_id not in failed:
            going_on = InputError(
                where=scan.address,
                problem="the run is still going on, and is taken as far as it is",
                got="no stop document",
                wanted="a run that is over",
                mend="Follow it with `stxmdist watch`, or run again when it is over",
            )
            refusals.append(Refusal(scan.scan_id, SERVER, **going_on.as_dict()))
    return refusals
