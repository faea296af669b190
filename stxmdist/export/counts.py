"""Counts of wide-field scans as ingest has them, in the formats of beamlines: for programs that begin with those."""

from functools import partial
from pathlib import Path

import numpy as np

from stxmdist.export.pieces import Lack, Offer, Piece
from stxmdist.export.source import Source, moment_of
from stxmdist.writers import WRITERS


def offer(writer: str, source: Source) -> Offer:
    """A folder for each scan with its counts in one format; frames that cannot be trusted are missing in it."""
    return sum((_of_scan(writer, source, scan.scan_id, scan.modality) for scan in source.scans), Offer())


def _of_scan(writer: str, source: Source, scan_id: str, modality: str) -> Offer:
    if modality != "stxm":
        lack = Lack(scan_id, "counts", "it is a ptychography scan; take cxi")
        return Offer(lacks=(lack,)) if source.named else Offer()
    why = source.lack("ingest", scan_id)
    if why:
        return Offer(lacks=(Lack(scan_id, "counts", why),))
    piece = Piece(scan_id, scan_id, partial(_write, writer, source, scan_id))
    return Offer((piece,))


def _write(writer: str, source: Source, scan_id: str, target: Path) -> None:
    output = source.output("ingest", scan_id)
    counts = source.image("ingest", scan_id, "counts")
    present = output.arrays()
    dwell_ms, ring_current_ma = (
        np.asarray(output.read(name)) if name in present else np.nan for name in ("dwell_ms", "ring_current_ma")
    )
    entry = WRITERS[writer]
    entry.load().write_stack(
        target / f"{scan_id}{entry.ending}",
        counts.__getitem__,
        np.asarray(output.read("energy_ev"), np.float64),
        *source.axes("ingest", scan_id),
        dwell_ms,
        ring_current_ma,
        start_time=moment_of(str(output.attrs("counts").get("start_time", ""))),
    )
