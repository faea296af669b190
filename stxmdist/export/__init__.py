"""What other programs read: published results as OME-Zarr, NeXus, CXI, TIFF and CSV, counts as beamlines write them."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from stxmdist.registry import Entry, Table
from stxmdist.writers import WRITERS


@dataclass(frozen=True)
class CountsEntry(Entry[Any]):
    """The export of counts by one of the writers."""

    writer: str

    def load(self) -> Any:
        """The function of ``where`` with this writer."""
        return partial(super().load(), self.writer)


EXPORTERS: Table[Entry[Any]] = Table(
    "format to export to",
    {
        "ome-zarr": Entry("stxmdist.export.ome_zarr:offer"),
        "nexus": Entry("stxmdist.export.nexus:offer"),
        "cxi": Entry("stxmdist.export.cxi:offer"),
        "csv": Entry("stxmdist.export.csv:offer"),
        "tiff": Entry("stxmdist.export.tiff:offer"),
    }
    | {name: CountsEntry("stxmdist.export.counts:offer", name) for name in WRITERS},
)
"""Name -> function from a :class:`stxmdist.export.source.Source` to an :class:`stxmdist.export.pieces.Offer`."""
