"""What there is to report: the campaign's scans, what is published of them, and why the rest is missing."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
import pandas as pd

from storage.errors import StoreError
from storage.output import Output
from storage.publication import Publication
from storage.store import Store
from stxmdist.arrays import Array
from stxmdist.campaign.scan import Scan
from stxmdist.measures import IngestMeasures, ReconstructFigures
from stxmdist.planning.columns import column, number, text_of, words
from stxmdist.planning.exclusions import Exclusion
from stxmdist.planning.published import TABLES_STAGE, PublishedCampaign, Reading
from stxmdist.planning.tables import table_specs
from stxmdist.report.part import Options, ReportPart
from stxmdist.runner import CAMPAIGN
from stxmdist.runner.unit import Unit

FiguresT = TypeVar("FiguresT")


@dataclass(frozen=True)
class Evidence:
    """Everything that figures and tables draw on. Arrays, tables and figures are read when they are asked for."""

    campaign: ReportPart
    published: PublishedCampaign
    options: Options = field(default_factory=Options)

    @classmethod
    def of(cls, unit: Unit[Options, ReportPart]) -> "Evidence":
        """What the unit of the report carries, with its store."""
        return cls.from_part(unit.part, Store(unit.store), unit.options)

    @classmethod
    def from_part(cls, part: ReportPart, store: Store, options: Options | None = None) -> "Evidence":
        """What a part of the report says of a store."""
        return cls(part, PublishedCampaign(store, part.published), Options() if options is None else options)

    @property
    def scans(self) -> tuple[Scan, ...]:
        """Rows of the sample sheet that are not excluded, readable or not."""
        return self.campaign.scans

    @property
    def images_alone(self) -> bool:
        """Whether no state of charge is wanted of any scan."""
        return bool(self.scans) and all(scan.images_only for scan in self.scans)

    @property
    def last_published(self) -> str:
        """When the youngest of the published stages was published, ISO 8601; empty if none is."""
        return max((publication.time for publication in self.publications.values()), default="")

    @property
    def publications(self) -> dict[str, Publication]:
        """Stage to what is visible of it, in the order of the stages; the report itself is not among them."""
        return {stage: found for stage, found in self.published.publications.items() if stage != "report"}

    def has(self, stage: str, scan_id: str) -> bool:
        """Whether a stage is published for a scan."""
        return self.published.has(stage, scan_id)

    def output(self, stage: str, scan_id: str) -> Output | None:
        """The published output of a stage for a scan, or None."""
        return self.published.output(stage, scan_id)

    def figures(self, kind: type[FiguresT], stage: str, scan_id: str) -> FiguresT | None:
        """Quality figures of a stage for a scan; None where it is not published.

        None as well where another version of stxmdist wrote them: a run of other scans leaves them as they were.
        """
        with suppress(StoreError):
            return self.published.figures(kind, stage, scan_id)
        return None

    def reading(self, scan_id: str) -> Reading:
        """What was assumed of a scan's file; nothing where another version of stxmdist read it."""
        with suppress(StoreError):
            return self.published.reading(scan_id)
        return Reading()

    def label(self, scan: Scan) -> str:
        """What a panel of one scan is called: `label_of`, and how much of it there is while it is being measured."""
        ingest = self.figures(IngestMeasures, "ingest", scan.scan_id)
        so_far = "" if ingest is None else ingest.so_far
        return ", ".join(part for part in (label_of(scan), so_far) if part)

    @property
    def inferred(self) -> bool:
        """Whether the tables of the campaign are published."""
        return self.has(TABLES_STAGE, CAMPAIGN)

    def unless_inferred(self, otherwise: str) -> str:
        """Why something of the tables is missing: nothing was inferred yet, or the reason given."""
        return otherwise if self.inferred else "The stage infer has not been published for what is here now."

    def having(self, *stages: str, modality: str | None = None) -> list[Scan]:
        """Scans, of one modality if one is named, for which all of these stages are published."""
        return [
            scan
            for scan in self.scans
            if modality in (None, scan.modality) and all(self.has(stage, scan.scan_id) for stage in stages)
        ]

    @cached_property
    def _tables(self) -> dict[str, pd.DataFrame]:
        return {}

    def table(self, name: str) -> pd.DataFrame:
        """A table of the campaign; without rows where nothing was inferred."""
        if name not in self._tables:
            found = self.published.table(name)
            if found is None:
                spec = table_specs().get(name)
                found = pd.DataFrame(columns=[] if spec is None else [c.name for c in spec.columns])
            self._tables[name] = found
        return self._tables[name]

    @cached_property
    def exclusions(self) -> list[Exclusion]:
        """The exclusions known from planning and those of the table, each once."""
        table = self.table("exclusions")
        n = np.nan_to_num(column(table, "n"), nan=1.0)
        what, scan_id, stage, where, why = (
            words(table, name).tolist() for name in ("what", "scan_id", "stage", "where", "why")
        )
        written = map(Exclusion, what, scan_id, stage, where, why, map(int, n))
        return list(dict.fromkeys([*self.campaign.exclusions, *written]))

    @cached_property
    def _why_stopped(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for row in self.exclusions:
            if row.what in ("scan", "unit"):
                found.setdefault(row.scan_id, []).append(row.why)
        return found

    def why_stopped(self, scan_id: str) -> str:
        """Why a scan did not get further, in a sentence."""
        found = self._why_stopped.get(scan_id)
        if found:
            return found[0] + (f" (and {len(found) - 1} more units)" if len(found) > 1 else "")
        done = self.published.stages_of(scan_id)
        return f"Nothing after the stage {done[-1]} has run yet." if done else "No stage has run yet."

    def half_period_nm(self, scan_id: str) -> float:
        """Half-bit half-period of a ptychography scan, the median over tiles and energies; NaN where not known.

        Half-bit criterion: van Heel and Schatz, J. Struct. Biol. 151, 250 (2005).
        """
        figures = self.figures(ReconstructFigures, "reconstruct", scan_id)
        if figures is None or figures.pixel_nm is None:
            return float("nan")
        return median_of(figures.half_bit_half_period_px) * float(np.mean(figures.pixel_nm))


def median_of(values: Array) -> float:
    """Median of the numbers that are known; NaN where none is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")


def label_of(scan: Scan) -> str:
    """Electrode, cycle and region of a scan in few words."""
    parts = [text_of(scan.electrode_id, "no electrode")]
    cycle = number(scan.cycle)
    if np.isfinite(cycle):
        parts.append(f"cycle {cycle:g}")
    region = text_of(scan.region_id)
    if region and not region.startswith(parts[0]):
        parts.append(region)
    return ", ".join(parts)


def not_drawn(rows: Sequence[object], shown: Sequence[object], one: str = "scan", several: str = "scans") -> str:
    """A sentence on how many are not drawn, with a blank before; empty if all are."""
    left_out = len(rows) - len(shown)
    if not left_out:
        return ""
    return f" 1 more {one} is not drawn." if left_out == 1 else f" {left_out} more {several} are not drawn."
