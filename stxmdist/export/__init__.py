"""What other programs read: published results as OME-Zarr, NeXus, CXI, TIFF and CSV, counts as beamlines write them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from stxmdist.registry import Entry, Table
from stxmdist.writers.table import WRITERS

if TYPE_CHECKING:
    from stxmdist.export.offer import Offer
    from stxmdist.export.source import ExportSource

Exporter: TypeAlias = "Callable[[ExportSource, str], Offer]"
"""What a format offers of one scan, or of the campaign for formats of the whole campaign."""


@dataclass(frozen=True)
class ExporterEntry(Entry[Exporter]):
    """A format, with what it asks of a campaign."""

    what: str = ""
    """What it writes, in few words: named where it cannot be exported"""
    needs: tuple[str, ...] = ()
    """Stages without whose published output a scan (or the campaign) is not exported at all"""
    modalities: tuple[str, ...] = ("stxm", "ptychography")
    """Of the scans that it can hold"""
    ending: str = ""
    """Of every file or folder that it leaves for a scan; empty where it leaves a folder of the scan's name"""
    whole_campaign: bool = False
    """Whether it is offered once for the campaign, and not for each scan"""
    writes_counts: bool = False
    """Whether it holds the counts of ingest, and nothing that was computed from them"""


@dataclass(frozen=True)
class CountsEntry(ExporterEntry):
    """A format of a beamline, in which counts are written by one of ``WRITERS``."""

    writer: str = ""

    def load(self) -> Exporter:
        """The exporter of counts, with its writer."""
        exporter: Callable[..., Offer] = super().load()
        return partial(exporter, writer=self.writer)


def _counts(writer: str) -> CountsEntry:
    return CountsEntry(
        "stxmdist.export.counts:offer",
        what="counts",
        needs=("ingest",),
        modalities=("stxm",),
        writes_counts=True,
        writer=writer,
    )


EXPORTERS: Table[ExporterEntry] = Table(
    "format to export to",
    {
        "ome-zarr": ExporterEntry(
            "stxmdist.export.ome_zarr:offer", what="image of optical density", needs=("align",), ending=".ome.zarr"
        ),
        "ome-zarr-plate": ExporterEntry(
            "stxmdist.export.plate:offer", what="plate of all maps", ending=".ome.zarr", whole_campaign=True
        ),
        "nexus": ExporterEntry(
            "stxmdist.export.nexus:offer", what="stack of transmission", needs=("align",), ending=".nxs"
        ),
        "cxi": ExporterEntry(
            "stxmdist.export.cxi:offer",
            what="reconstruction",
            needs=("ingest", "reconstruct", "stitch"),
            modalities=("ptychography",),
            ending=".cxi",
        ),
        "cxi-frames": ExporterEntry(
            "stxmdist.export.cxi_single:offer_frames",
            what="frames",
            needs=("ingest",),
            modalities=("ptychography",),
            ending="eV.cxi",
        ),
        "cxi-product": ExporterEntry(
            "stxmdist.export.cxi_single:offer_product",
            what="reconstruction",
            needs=("ingest", "reconstruct"),
            modalities=("ptychography",),
            ending="eV.cxi",
        ),
        "csv": ExporterEntry("stxmdist.export.csv:offer", what="tables", needs=("infer",), whole_campaign=True),
        "ro-crate": ExporterEntry("stxmdist.export.ro_crate:offer", what="research object", whole_campaign=True),
        # Optical density and maps are files of their own: either may be exported without the other.
        "tiff": ExporterEntry("stxmdist.export.tiff:offer", what="optical density and maps", ending=".tif"),
        **{writer: _counts(writer) for writer in WRITERS},
    },
)
"""The formats, in the order in which they are named to people: adding one is one file and one line."""
