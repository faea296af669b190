"""Results of runs of a Tiled server, written back into them where the campaign asks for it."""

import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import numpy as np

from storage.schema import array_spec
from storage.store import Store
from storage.tables import read_table, read_units
from stxmdist import __version__
from stxmdist.arrays import F64
from stxmdist.campaign.manifest import Scan
from stxmdist.errors import Explained
from stxmdist.measures import AbsorbanceMeasures, IngestMeasures
from stxmdist.records import from_json
from stxmdist.tiled.address import address_of
from stxmdist.tiled.client import PROGRAM, TiledClient, same_server
from stxmdist.tiled.results import ResultsOfRun

READ = ("absorbance", "fit", "segment")
"""Stages whose outputs are written"""
MAPS = ("soc", "soc_se", "mask_class")
"""Arrays of `fit`"""
COORDINATES = {"y_um": "y", "x_um": "x"}


def write_back(store: Store, scan: Scan, client: TiledClient) -> None:
    """Write what is published of a scan into its run: maps, the mean spectrum of the particles' stack, the particles.

    Units, axes and meanings stand in the metadata. Where the run has all of it, nothing is written.

    Raises
    ------
    InputError
        where the server does not answer, or refuses, or another program has left something of these names.
    """
    if scan.address is None:
        return
    outputs = {stage: store.published_output(stage, scan.scan_id) for stage in READ}
    ingest = store.publication("ingest")
    fit, absorbance, segment = outputs["fit"], outputs["absorbance"], outputs["segment"]
    if fit is None or absorbance is None or segment is None or ingest is None:
        return
    measured = from_json(IngestMeasures, ingest.scans[scan.scan_id].quality)
    about: dict[str, object] = {
        PROGRAM: "stxmdist",
        "version": __version__,
        "energies": measured.so_far or "all",
        "digest": fit.digest,
        "digests": {"absorbance": absorbance.digest, "fit": fit.digest, "segment": segment.digest},
    }
    results = ResultsOfRun(client, address_of(scan.address).path)
    if results.whole(about):
        return
    # All is read before the server is asked for anything: when it is slow, these outputs may be removed meanwhile.
    maps = {name: fit.read(name) for name in (*MAPS, *COORDINATES)}
    spectrum = np.stack([absorbance.read("energy_ev"), _mean_od(store, scan.scan_id)])
    particles = segment.path / "particles.parquet"
    columns = {name: {"unit": unit, "meaning": words} for name, (unit, words) in read_units(particles).items()}
    table = read_table(particles)
    results.begin(about)
    for name in MAPS:
        spec = array_spec(name)
        said = {"meaning": spec.meaning, "unit": spec.unit, "dims": ["y", "x"]}
        results.array(name, maps[name], ("y", "x"), about | said)
    for name, dim in COORDINATES.items():
        said = {"meaning": f"{dim} of pixel centres", "unit": "um", "dims": [dim]}
        results.array(name, maps[name], (dim,), about | said)
    meaning = "photon energy in eV; mean optical density of the particles"
    said = {"meaning": meaning, "units": ["eV", "1"], "dims": ["what", "energy"]}
    results.array("spectrum", spectrum, ("what", "energy"), about | said)
    results.table("particles", table, about | {"columns": columns})
    results.end(about)


def _mean_od(store: Store, scan_id: str) -> F64:
    """(ENERGY,) of the particles."""
    publication = store.publication("absorbance")
    assert publication is not None
    found = from_json(AbsorbanceMeasures, publication.scans[scan_id].quality)
    assert found.mean_od is not None
    return found.mean_od


class WritesBeside:
    """Writes in a thread of its own, one scan after another; of results that waited, only the newest are written."""

    def __init__(self, write: Callable[[Store, Scan, str], None]) -> None:
        self._write = write
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="written-back")
        self._due: dict[str, Future[None]] = {}

    def __call__(self, store: Store, scan: Scan, server: str) -> None:
        """Begin to write what is published of a scan."""
        if scan.scan_id in self._due:
            self._due[scan.scan_id].cancel()
        self._due[scan.scan_id] = self._thread.submit(self._write, store, scan, server)

    def busy(self, scan_id: str) -> bool:
        """Whether something of a scan is still to be written."""
        return scan_id in self._due and not self._due[scan_id].done()


class WritesBack:
    """Writes back for the service that follows scans; a server that refuses stops nothing."""

    def __init__(
        self, say: Callable[[str], None], client: Callable[[str, str | None], TiledClient] = TiledClient
    ) -> None:
        self._say = say
        self._client = client
        self._elsewhere: set[str] = set()

    def __call__(self, store: Store, scan: Scan, own: str) -> None:
        """Write what is published of a scan, where its run lies on the campaign file's own server."""
        if scan.address is None:
            return
        server = address_of(scan.address).server
        if not same_server(server, own):
            if scan.address not in self._elsewhere:
                self._elsewhere.add(scan.address)
                self._say(f"{scan.scan_id}: not written back: its run lies on {server}, and the campaign's is {own}")
            return
        try:
            with closing(self._client(server, own)) as client:
                write_back(store, scan, client)
        except Explained as error:
            self._say(f"{scan.scan_id}: not written back: {error.sentence}")
        except Exception:
            # Nobody waits for what is written beside: what is not said here is never said.
            self._say(f"{scan.scan_id}: not written back: {traceback.format_exc()}")
