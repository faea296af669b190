"""What other programs read: published results as OME-Zarr, NeXus, CXI, TIFF and CSV, counts as beamlines write them."""

from stxmdist.registry import Table

EXPORTERS = Table(
    "format to export to",
    {
        "ome-zarr": "stxmdist.export.ome_zarr:offer",
        "nexus": "stxmdist.export.nexus:offer",
        "cxi": "stxmdist.export.cxi:offer",
        "csv": "stxmdist.export.csv:offer",
        "tiff": "stxmdist.export.tiff:offer",
        "sdf": "stxmdist.export.counts:sdf",
        "nxstxm": "stxmdist.export.counts:nxstxm",
        "ncb": "stxmdist.export.counts:ncb",
    },
)
"""Name -> function from a :class:`stxmdist.export.source.Source` to an :class:`stxmdist.export.pieces.Offer`."""
