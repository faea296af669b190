"""What other programs read: published results as OME-Zarr, NeXus, CXI, TIFF and CSV, counts as beamlines write them."""

from typing import Any

from stxmdist.registry import Entry, Table

EXPORTERS: Table[Entry[Any]] = Table(
    "format to export to",
    {
        "ome-zarr": Entry("stxmdist.export.ome_zarr:offer"),
        "nexus": Entry("stxmdist.export.nexus:offer"),
        "cxi": Entry("stxmdist.export.cxi:offer"),
        "csv": Entry("stxmdist.export.csv:offer"),
        "tiff": Entry("stxmdist.export.tiff:offer"),
        "sdf": Entry("stxmdist.export.counts:sdf"),
        "nxstxm": Entry("stxmdist.export.counts:nxstxm"),
        "ncb": Entry("stxmdist.export.counts:ncb"),
    },
)
"""Name -> function from a :class:`stxmdist.export.source.Source` to an :class:`stxmdist.export.pieces.Offer`."""
