"""What is published of a campaign, as exporters need it: images upright, and where every number came from."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np

from storage.output import Output
from storage.publication import Publication, PublishedScan
from storage.store import Store
from stxmdist import __version__
from stxmdist.arrays import F32, F64, U8, Array
from stxmdist.campaign.manifest import Campaign
from stxmdist.campaign.scan import Scan
from stxmdist.planning.stages import STAGES

DATES = ("%Y %B %d %H:%M:%S", "%Y %b %d %H:%M:%S", "%Y-%m-%d %H:%M:%S")
"""As SDF headers and others write them; ISO 8601 is tried first."""


@dataclass(frozen=True)
class Stack:
    """Aligned transmission of one scan; rows grow with y, columns with x."""

    energy_ev: F64
    """(ENERGY,)"""
    y_um: F64
    """(Y,) pixel centres, ascending"""
    x_um: F64
    """(X,) pixel centres, ascending"""
    transmission: F32
    """(ENERGY, Y, X), NaN where the frame was not measured or has left the field"""
    effective_counts: F64
    """(ENERGY,) such that Var(T) = T / effective_counts"""
    energy_used: U8
    """(ENERGY,) 1 where the energy takes part in the fit"""

    def transmission_se(self, energy: int) -> F32:
        """Standard error (Y, X) of the transmission: sqrt(T / N)."""
        plane = self.transmission[energy]
        error: F32 = np.sqrt(np.maximum(plane, 0.0) / self.effective_counts[energy]).astype(np.float32)
        return error

    def optical_density(self, energy: int) -> F32:
        """-ln T (Y, X); NaN where the transmission is not positive."""
        plane = self.transmission[energy]
        density = np.full(plane.shape, np.nan, np.float32)
        np.log(plane, out=density, where=plane > 0)
        return -density

    def optical_density_se(self, energy: int) -> F32:
        """Standard error (Y, X) of the optical density: sqrt(1 / (T N)), by propagation through the logarithm."""
        plane = self.transmission[energy].astype(np.float64)
        variance = np.full(plane.shape, np.nan)
        np.divide(1.0, plane * self.effective_counts[energy], out=variance, where=plane > 0)
        error: F32 = np.sqrt(variance).astype(np.float32)
        return error


@dataclass(frozen=True)
class Source:
    """A campaign's store, the scans that were asked for, and when."""

    campaign: Campaign
    store: Store
    scans: tuple[Scan, ...]
    named: bool
    """Whether the scans were named one by one: then each of them must have what the format is for."""
    time: str
    """Of the export, ISO 8601"""

    @property
    def simulated(self) -> bool:
        """Whether the data were never measured: truth lies beside the campaign, or its name says so."""
        return self.campaign.name.lower().startswith("simulated") or (self.campaign.path.parent / "truth").is_dir()

    @cached_property
    def publications(self) -> dict[str, Publication]:
        """Stage to what is visible of it."""
        found = {stage: self.store.publication(stage) for stage in STAGES}
        return {stage: publication for stage, publication in found.items() if publication is not None}

    def published(self, stage: str, scan_id: str) -> PublishedScan | None:
        """What is said of a scan in a stage's publication."""
        publication = self.publications.get(stage)
        return None if publication is None else publication.scans.get(scan_id)

    def lack(self, stage: str, scan_id: str) -> str:
        """Why a stage's output of a scan cannot be exported; empty where it can.

        An output that was made from others than the published ones belongs to an older run: its pixels are not those
        of the images beside it.
        """
        scan = self.published(stage, scan_id)
        if scan is None:
            return f"{stage} has published nothing for it; run the campaign"
        if scan.state == "failed":
            return f"{stage} failed for it; stxmdist status says why"
        for upstream, upstream_scan, digest in _inputs(scan):
            there = self.published(upstream, upstream_scan)
            if there is None or there.digest != digest:
                return f"{stage} was made from another {upstream} than the published one; run the campaign"
            deeper = self.lack(upstream, upstream_scan)
            if deeper:
                return deeper
        return ""

    def output(self, stage: str, scan_id: str) -> Output:
        """A published output; ask :meth:`lack` before."""
        scan = self.published(stage, scan_id)
        assert scan is not None, (stage, scan_id)
        return self.store.output(stage, scan_id, scan.digest)

    def axes(self, stage: str, scan_id: str) -> tuple[F64, F64]:
        """y (Y,) and x (X,) of an output's images in um, ascending."""
        output = self.output(stage, scan_id)
        y_um, x_um = (np.asarray(output.read(name), np.float64) for name in ("y_um", "x_um"))
        return np.sort(y_um), np.sort(x_um)

    def image(self, stage: str, scan_id: str, name: str) -> Array:
        """An array (..., Y, X) with rows along +y and columns along +x."""
        output = self.output(stage, scan_id)
        turned = [-1 if len(axis) > 1 and axis[0] > axis[-1] else 1 for axis in map(output.read, ("y_um", "x_um"))]
        values: Array = output.read(name)[..., :: turned[0], :: turned[1]]
        return values

    def stack(self, scan_id: str) -> Stack:
        """The images on which the fit, and with it every map and label, stands."""
        align = self.output("align", scan_id)
        return Stack(
            np.asarray(align.read("energy_ev"), np.float64),
            *self.axes("align", scan_id),
            self.image("align", scan_id, "transmission"),
            align.read("effective_counts"),
            align.read("energy_used"),
        )

    def condition(self, scan_id: str) -> dict[str, Any]:
        """What the sample sheet says of a scan; nothing where the cell is empty."""
        row = asdict(self.campaign.scan(scan_id))
        left_out = ("file", "line", "exclude", "reason")
        return {name: value for name, value in row.items() if value is not None and name not in left_out}

    def provenance(self, scan_id: str, stages: Iterable[str]) -> dict[str, Any]:
        """Where an exported file comes from: every output that led to it, with its stage's version, options and time.

        ``scan_id`` may be the campaign's, whose outputs were made from those of many scans.
        """
        found: dict[str, dict[str, Any]] = {}
        files: dict[str, Any] = {}
        pending = [(stage, scan_id) for stage in stages]
        while pending:
            stage, of_scan = pending.pop()
            scan = self.published(stage, of_scan)
            if scan is None or of_scan in found.get(stage, {}):
                continue
            found.setdefault(stage, {})[of_scan] = {"digest": scan.digest, "state": scan.state, "inputs": scan.inputs}
            if "sha256" in scan.quality:
                files[of_scan] = scan.quality["sha256"]
            pending += [(upstream, upstream_scan) for upstream, upstream_scan, _ in _inputs(scan)]
        known = {scan.scan_id for scan in self.campaign.scans}
        return {
            "campaign": self.campaign.name,
            "scan_id": scan_id,
            "simulated": self.simulated,
            "exported": self.time,
            "software": {"stxmdist": __version__},
            "condition": self.condition(scan_id) if scan_id in known else {},
            "files_sha256": files,
            "stages": {stage: self._record(stage) | {"outputs": found[stage]} for stage in STAGES if stage in found},
        }

    def _record(self, stage: str) -> dict[str, Any]:
        publication = self.publications[stage]
        return {
            "version": publication.version,
            "options": publication.options,
            "seed": publication.seed,
            "time": publication.time,
            "software": publication.software,
        }


def _inputs(scan: PublishedScan) -> list[tuple[str, str, str]]:
    """(stage, scan, digest) of the outputs from which an output was made; files are not among them."""
    keys = [(key.partition("/"), digest) for key, digest in scan.inputs.items() if isinstance(digest, str)]
    return [(stage, of_scan, digest) for (stage, _, of_scan), digest in keys if stage in STAGES]


def moment_of(text: str) -> datetime | None:
    """A time as beamlines write it, None for other words."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    for pattern in DATES:
        try:
            return datetime.strptime(text, pattern)
        except ValueError:
            continue
    return None
