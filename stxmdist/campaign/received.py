"""Scans that a sample sheet names on a Tiled server: their addresses, and the files of the store that they fill."""

from dataclasses import replace
from pathlib import Path

from storage.place import Place, kind_of
from storage.store import LIVE
from stxmdist.campaign.problems import Problem
from stxmdist.campaign.scan import Row, Scan
from stxmdist.campaign.schema import TiledSpec
from stxmdist.campaign.sheet import Sheet
from stxmdist.tiled.address import address_of

FOLDER = "received"
"""Of what is known of scans in the store: the files that are filled from servers"""


def received_path(store: Place, scan_id: str) -> Path:
    """The file that a scan is filled into, as far as its server has it; of a bucket, on the machine that asks."""
    return kind_of(store).local(store) / LIVE / FOLDER / f"{scan_id}.hdf5"


def with_received(sheet: Sheet, store: Place, tiled: TiledSpec | None) -> Sheet:
    """The sheet, each scan of a server with its whole address and its file; a row whose address is none is rejected."""
    server, catalogue = (None, "") if tiled is None else (tiled.server, tiled.catalogue)
    scans: list[Scan] = []
    rejected = list(sheet.rejected)
    for scan in sheet.scans:
        if scan.address is None:
            scans.append(scan)
            continue
        try:
            address = address_of(scan.address, server, catalogue)
        except ValueError as error:
            where = f"{scan.scan_id}, file"
            # An address may hold a key, which is not repeated.
            got = repr(scan.address.partition("?")[0]) if "@" not in scan.address else "an address with a key"
            problem = Problem(
                sheet.path, scan.line, where, "this names no run of a Tiled server", got, str(error), "Correct the cell"
            )
            rejected.append((Row(scan.line, {"scan_id": scan.scan_id}), problem))
            continue
        if scan.modality != "stxm":
            where = f"{scan.scan_id}, modality"
            problem = Problem(
                sheet.path,
                scan.line,
                where,
                "runs of a Tiled server are wide-field stacks",
                repr(scan.modality),
                "stxm",
                "Name the file of a ptychography scan",
            )
            rejected.append((Row(scan.line, {"scan_id": scan.scan_id}), problem))
            continue
        scans.append(replace(scan, files=(received_path(store, scan.scan_id),), address=str(address)))
    return replace(sheet, scans=tuple(scans), rejected=tuple(rejected))
