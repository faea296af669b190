"""What is published of a campaign: the one place that looks outputs, tables and figures up in the store."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import pandas as pd

from storage.output import Output
from storage.place import Place
from storage.publication import Publication, PublishedScan
from storage.store import Store
from storage.tables import read_table
from stxmdist.campaign.manifest import Campaign
from stxmdist.measures import IngestMeasures
from stxmdist.planning.stages import STAGES
from stxmdist.records import from_json
from stxmdist.runner import CAMPAIGN
from stxmdist.simulation.recognise import simulated_files

FiguresT = TypeVar("FiguresT")

TABLES_STAGE = "infer"
"""The stage that leaves the tables of the campaign"""
TABLES_FOLDER = "tables"
"""Inside its output"""


@dataclass(frozen=True)
class Reading:
    """How a beamline file was understood."""

    notes: tuple[str, ...] = ()
    """What the reader assumed"""
    lacks: tuple[str, ...] = ()
    """What the file does not say"""


@dataclass(frozen=True)
class PublishedCampaign:
    """The published outputs of a campaign, as they are when they are first asked for.

    Arrays, tables and figures are read from the store on use.
    """

    store: Store
    chosen: Mapping[tuple[str, str], str] | None = None
    """(stage, scan) to digest: only these outputs count. None: all that is published."""

    @cached_property
    def publications(self) -> dict[str, Publication]:
        """Stage to what is visible of it, in the order of the stages."""
        found = {stage: self.store.publication(stage) for stage in STAGES}
        return {stage: publication for stage, publication in found.items() if publication is not None}

    def named(self, stage: str, scan_id: str) -> PublishedScan | None:
        """What the publication of a stage says of a scan, failed or not; None where it says nothing of it."""
        publication = self.publications.get(stage)
        scan = None if publication is None else publication.scans.get(scan_id)
        if scan is None or self.chosen is None:
            return scan
        return scan if scan.digest == self.chosen.get((stage, scan_id)) else None

    def scan(self, stage: str, scan_id: str) -> PublishedScan | None:
        """How a stage ended for a scan whose output is published; None where there is none, or where it failed."""
        scan = self.named(stage, scan_id)
        return None if scan is None or scan.state == "failed" else scan

    def has(self, stage: str, scan_id: str) -> bool:
        """Whether the output of a stage is published for a scan."""
        if self.chosen is not None:
            return (stage, scan_id) in self.chosen
        return self.scan(stage, scan_id) is not None

    def digests(self, stage: str) -> dict[str, str]:
        """Scan to the digest of its output of a stage, of all scans for which the output is published."""
        if self.chosen is not None:
            return {scan_id: digest for (of, scan_id), digest in self.chosen.items() if of == stage}
        publication = self.publications.get(stage)
        scans = {} if publication is None else publication.scans
        return {scan_id: scan.digest for scan_id, scan in scans.items() if scan.state != "failed"}

    def stages_of(self, scan_id: str) -> list[str]:
        """The stages whose output is published for a scan, in the order of a run."""
        return [stage for stage in STAGES if self.has(stage, scan_id)]

    def output(self, stage: str, scan_id: str) -> Output | None:
        """The published output of a stage for a scan, or None."""
        if self.chosen is not None:
            digest = self.chosen.get((stage, scan_id))
        else:
            scan = self.scan(stage, scan_id)
            digest = None if scan is None else scan.digest
        return None if digest is None else self.store.output(stage, scan_id, digest)

    def figures(self, kind: type[FiguresT], stage: str, scan_id: str) -> FiguresT | None:
        """The quality figures of a stage for a scan, as the record of ``stxmdist.measures`` that the stage writes.

        None where the output is not published, or where the stage left no figures.

        Raises
        ------
        StoreError
            where another version of stxmdist wrote them, with other fields.
        """
        scan = self.scan(stage, scan_id)
        return None if scan is None or not scan.quality else from_json(kind, scan.quality)

    def reading(self, scan_id: str) -> Reading:
        """What was assumed of a scan's file, as ingest has it; nothing where nothing is published."""
        output = self.output("ingest", scan_id)
        if output is None:
            return Reading()
        about = next((output.attrs(name) for name in ("counts", "frames") if name in output.arrays()), {})
        figures = self.figures(IngestMeasures, "ingest", scan_id)
        notes = about.get("notes", ()) if figures is None else figures.notes
        return Reading(tuple(map(str, notes)), tuple(map(str, about.get("lacks", ()))))

    def options(self, stage: str, scan_id: str = CAMPAIGN) -> Mapping[str, object]:
        """The options with which a stage was published for a scan, or as a whole; none where nothing is."""
        publication = self.publications.get(stage)
        if publication is None:
            return {}
        scan = publication.scans.get(scan_id)
        return publication.options if scan is None or not scan.options else scan.options

    def table(self, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame | None:
        """A table of the campaign, or some columns of it; None where inference has published none of this name."""
        if self.chosen is None:
            folder: Place | None = self.store.tables_path
        else:
            output = self.output(TABLES_STAGE, CAMPAIGN)
            folder = None if output is None else output.path / TABLES_FOLDER
        path = None if folder is None else folder / f"{name}.parquet"
        return read_table(path, columns) if path is not None and path.exists() else None

    def table_of(self, stage: str, scan_id: str, name: str) -> pd.DataFrame | None:
        """A table that a stage left for a scan, as there is before ``infer`` has run; None where it left none."""
        output = self.output(stage, scan_id)
        path = None if output is None else output.path / f"{name}.parquet"
        return read_table(path) if path is not None and path.exists() else None

    def why_unusable(self, stage: str, scan_id: str) -> str:
        """Why the output of a stage for a scan cannot be used together with the others; empty where it can.

        An output that was made from others than the published ones belongs to an older run: its pixels are not those
        of the images beside it.
        """
        scan = self.named(stage, scan_id)
        if scan is None:
            return f"the stage {stage} has published nothing for it; run the campaign"
        if scan.state == "failed":
            return f"the stage {stage} failed for it; stxmdist status says why"
        for upstream, upstream_scan, digest in sources_of(scan):
            there = self.named(upstream, upstream_scan)
            if there is None or there.digest != digest:
                return f"the stage {stage} used another output of {upstream} than the published one; run the campaign"
            deeper = self.why_unusable(upstream, upstream_scan)
            if deeper:
                return deeper
        return ""

    def lineage(self, stages: Iterable[str], scan_id: str) -> dict[str, dict[str, PublishedScan]]:
        """Stage to scan to output: the outputs of some stages for a scan, and all published ones they were made from.

        ``scan_id`` may be the campaign's, whose outputs were made from those of many scans.
        """
        found: dict[str, dict[str, PublishedScan]] = {}
        pending = [(stage, scan_id) for stage in stages]
        while pending:
            stage, of_scan = pending.pop()
            scan = self.named(stage, of_scan)
            if scan is None or of_scan in found.get(stage, {}):
                continue
            found.setdefault(stage, {})[of_scan] = scan
            pending += [(upstream, upstream_scan) for upstream, upstream_scan, _ in sources_of(scan)]
        return {stage: found[stage] for stage in STAGES if stage in found}


def sources_of(scan: PublishedScan) -> list[tuple[str, str, str]]:
    """(stage, scan, digest) of the outputs from which an output was made; files are not among them."""
    keys = [(key.partition("/"), digest) for key, digest in scan.inputs.items() if isinstance(digest, str)]
    return [(stage, of_scan, digest) for (stage, _, of_scan), digest in keys if stage in STAGES]


def simulated_scans(campaign: Campaign) -> frozenset[str]:
    """The scans of a campaign whose files were simulated, not measured."""
    simulated = simulated_files(scan.file for scan in campaign.scans)
    return frozenset(scan.scan_id for scan in campaign.scans if scan.file in simulated)
