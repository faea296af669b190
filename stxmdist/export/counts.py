"""Counts of wide-field scans as ingest has them, in the formats of beamlines: for programs that begin with those."""

from functools import partial
from pathlib import Path

import numpy as np

from stxmdist.campaign.times import moment_of
from stxmdist.export.offer import Offer, Piece
from stxmdist.export.source import ExportSource
from stxmdist.writers.table import WRITERS


def offer(source: ExportSource, scan_id: str, *, writer: str) -> Offer:
    """A folder with the counts of a scan in one of ``WRITERS``; frames that cannot be trusted are missing in it."""
    return Offer((Piece(scan_id, scan_id, partial(_write, writer, source, scan_id)),))


def _write(writer: str, source: ExportSource, scan_id: str, target: Path) -> None:
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
