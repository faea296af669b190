"""What there is to report: the campaign's rows, what is published of them, and why the rest is missing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from storage.columns import TABLES
from storage.output import Output
from storage.publication import Publication, PublishedScan
from storage.store import Store
from storage.tables import read_table
from stxmdist.arrays import F64, Array
from stxmdist.planning.end_members import EndMemberSource
from stxmdist.planning.stages import STAGES
from stxmdist.runner import CAMPAIGN
from stxmdist.runner.unit import Unit


@dataclass(frozen=True)
class Evidence:
    """Everything that figures and tables draw on. Arrays and tables are read when they are asked for."""

    store: Store
    name: str
    scans: tuple[Mapping[str, Any], ...]
    """Rows of the sample sheet that are not excluded, readable or not."""
    excluded: tuple[Mapping[str, Any], ...]
    """Rows that the sheet itself leaves out."""
    exclusions: tuple[Mapping[str, Any], ...]
    """What was left out or failed before any particle was seen; rows as in the table ``exclusions``."""
    published: Mapping[tuple[str, str], str]
    """(stage, scan) to the digest of what is published"""
    references: Mapping[str, EndMemberSource] = field(default_factory=dict)
    """Scan to where its end-members come from."""
    software: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None

    @classmethod
    def of(cls, unit: Unit) -> "Evidence":
        """What a unit of the report stage carries, with its store."""
        index = unit.part
        return cls(
            store=Store(unit.store),
            name=index["name"],
            scans=tuple(index["scans"]),
            excluded=tuple(index["excluded"]),
            exclusions=tuple(index["exclusions"]),
            published={(stage, scan_id): digest for stage, scan_id, digest in index["published"]},
            references=index["references"],
            software=index["software"],
            seed=index["seed"],
        )

    @property
    def simulated(self) -> bool:
        """Whether the data were never measured."""
        return self.name.lower().startswith("simulated")

    @cached_property
    def publications(self) -> dict[str, Publication]:
        """Stage to what is visible of it, in the order of the stages."""
        found = {stage: self.store.publication(stage) for stage in STAGES if stage != "report"}
        return {stage: publication for stage, publication in found.items() if publication is not None}

    @property
    def last_published(self) -> str:
        """When the youngest of the published stages was published, ISO 8601; empty if none is."""
        return max((publication.time for publication in self.publications.values()), default="")

    def output(self, stage: str, scan_id: str) -> Output | None:
        """The published output of a stage for a scan, or None."""
        digest = self.published.get((stage, scan_id))
        return None if digest is None else self.store.output(stage, scan_id, digest)

    def record(self, stage: str, scan_id: str) -> PublishedScan | None:
        """How a stage ended for a scan, or None where what is visible is not what this report is about."""
        publication = self.publications.get(stage)
        scan = publication.scans.get(scan_id) if publication is not None else None
        return scan if scan is not None and scan.digest == self.published.get((stage, scan_id)) else None

    def quality(self, stage: str, scan_id: str) -> Mapping[str, Any]:
        """Quality figures of a stage for a scan; empty where it is not published."""
        record = self.record(stage, scan_id)
        return record.quality if record is not None else {}

    def has(self, stage: str, scan_id: str) -> bool:
        """Whether a stage is published for a scan."""
        return (stage, scan_id) in self.published

    @property
    def inferred(self) -> bool:
        """Whether the tables of the campaign are published."""
        return self.has("infer", CAMPAIGN)

    def unless_inferred(self, otherwise: str) -> str:
        """Why something of the tables is missing: nothing was inferred yet, or the reason given."""
        return otherwise if self.inferred else "The stage infer has not been published for what is here now."

    def of_modality(self, modality: str, stage: str) -> list[Mapping[str, Any]]:
        """Rows of a modality whose output of a stage is published, in the order of the sheet."""
        return [row for row in self.scans if row["modality"] == modality and self.has(stage, row["scan_id"])]

    @cached_property
    def _tables(self) -> dict[str, Any]:
        return {}

    def table(self, name: str) -> Any:
        """A table of the campaign as DataFrame; without rows where nothing was inferred."""
        if name not in self._tables:
            output = self.output("infer", CAMPAIGN)
            path = None if output is None else output.path / "tables" / f"{name}.parquet"
            if path is not None and path.exists():
                self._tables[name] = read_table(path)
            else:
                spec = TABLES.get(name)
                self._tables[name] = pd.DataFrame(columns=[] if spec is None else [c.name for c in spec.columns])
        return self._tables[name]

    @cached_property
    def all_exclusions(self) -> list[dict[str, Any]]:
        """The exclusions known from planning and those of the table, each once."""
        rows = [dict(row) for row in self.exclusions] + self.table("exclusions").to_dict("records")
        keys = ("what", "scan_id", "stage", "where", "why", "n")
        unique = {tuple(str(row.get(key, "")) for key in keys): row for row in rows}
        return list(unique.values())

    def why_stopped(self, scan_id: str) -> str:
        """Why a scan did not get further, in a sentence."""
        found = [
            str(row["why"])
            for row in self.all_exclusions
            if row["scan_id"] == scan_id and row["what"] in ("scan", "unit")
        ]
        if found:
            return found[0] + (f" (and {len(found) - 1} more units)" if len(found) > 1 else "")
        done = [stage for stage in STAGES if self.has(stage, scan_id)]
        return f"Nothing after the stage {done[-1]} has run yet." if done else "No stage has run yet."


def label_of(row: Mapping[str, Any]) -> str:
    """Electrode, cycle and region of a scan in few words."""
    parts = [str(row.get("electrode_id") or "no electrode")]
    cycle = number(row.get("cycle"))
    if np.isfinite(cycle):
        parts.append(f"cycle {cycle:g}")
    region = str(row.get("region_id") or "")
    if region and not region.startswith(parts[0]):
        parts.append(region)
    return ", ".join(parts)


def number(value: Any) -> float:
    """A float; NaN for what is missing (JSON has no NaN)."""
    try:
        return float(value) if value is not None else float("nan")
    except (TypeError, ValueError):
        return float("nan")


def text_of(value: Any, unknown: str = "") -> str:
    """A word; ``unknown`` for what is missing."""
    return unknown if value is None or value != value or value == "" else str(value)


def numbers(values: Any) -> F64:
    """An array of floats of any depth, NaN for what is missing."""
    if values is None:
        return np.zeros(0)
    return np.asarray(np.vectorize(number, otypes=[float])(np.asarray(values, dtype=object)), dtype=float)


def column(table: Any, name: str) -> F64:
    """A column of a table as floats; NaN where it is missing or the table lacks it."""
    if name not in table.columns:
        return np.full(len(table), np.nan)
    return np.asarray(pd.to_numeric(table[name], errors="coerce").astype("Float64").to_numpy(float, na_value=np.nan))


def words(table: Any, name: str) -> Array:
    """A column of a table as text; empty where it is missing."""
    if name not in table.columns:
        return np.full(len(table), "", dtype=object)
    return np.asarray(["" if item is None or item != item else str(item) for item in table[name]], dtype=object)
