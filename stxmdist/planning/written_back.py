"""Results of runs of a Tiled server, written back into them where the campaign asks for it."""

from collections.abc import Callable

import numpy as np

from storage.store import Store
from storage.tables import read_table
from stxmdist import __version__
from stxmdist.arrays import F64
from stxmdist.campaign.manifest import Scan
from stxmdist.errors import Explained
from stxmdist.measures import AbsorbanceMeasures, IngestMeasures
from stxmdist.records import from_json
from stxmdist.tiled.address import address_of
from stxmdist.tiled.client import TiledClient, same_server
from stxmdist.tiled.results import ResultsOfRun

MAPS = {
    "soc": "state of charge, 0 discharged to 1 charged",
    "soc_se": "standard error of the state of charge",
    "mask_class": "why a pixel has no state of charge; 0 where it has one",
}
"""Array of `fit` to what it says"""


def write_back(store: Store, scan: Scan, client: TiledClient) -> None:
    """Write what is published of a scan into its run: maps, the mean spectrum of the particles' stack, the particles.

    Raises
    ------
    InputError
        where the server does not answer, or refuses.
    """
    if scan.address is None:
        return
    outputs = {stage: store.published_output(stage, scan.scan_id) for stage in ("absorbance", "fit", "segment")}
    ingest = store.publication("ingest")
    fit, absorbance, segment = outputs["fit"], outputs["absorbance"], outputs["segment"]
    if fit is None or absorbance is None or segment is None or ingest is None:
        return
    measured = from_json(IngestMeasures, ingest.scans[scan.scan_id].quality)
    about = {"program": "stxmdist", "version": __version__, "energies": measured.so_far or "all", "digest": fit.digest}
    results = ResultsOfRun(client, address_of(scan.address).path)
    results.begin(about)
    for name, meaning in MAPS.items():
        results.array(name, fit.read(name), ("y", "x"), about | {"meaning": meaning})
    spectrum = np.stack([absorbance.read("energy_ev"), _mean_od(store, scan.scan_id)])
    meaning = "photon energy in eV; mean optical density of the particles"
    results.array("spectrum", spectrum, ("what", "energy"), about | {"meaning": meaning})
    results.table("particles", read_table(segment.path / "particles.parquet"), about)


def _mean_od(store: Store, scan_id: str) -> F64:
    """(ENERGY,) of the particles."""
    publication = store.publication("absorbance")
    assert publication is not None
    found = from_json(AbsorbanceMeasures, publication.scans[scan_id].quality)
    assert found.mean_od is not None
    return found.mean_od


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
        client = self._client(server, own)
        try:
            write_back(store, scan, client)
        except Explained as error:
            self._say(f"{scan.scan_id}: not written back: {error.sentence}")
        finally:
            client.close()
