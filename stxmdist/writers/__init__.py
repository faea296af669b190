"""Writers of wide-field scans in the formats of beamlines: what is written reads back as it was.

A writer is a module with ``ENDING``, the ending of the file to be read, and ``write_stack`` from frames, axes and
conditions to every path written, that file first. Adding one is one module and one line in `WRITERS`.
"""

from typing import Any

from stxmdist.registry import Entry, Table

WRITERS: Table[Entry[Any]] = Table(
    "writer",
    {
        "sdf": Entry("stxmdist.writers.sdf"),
        "nxstxm": Entry("stxmdist.writers.nxstxm"),
        "ncb": Entry("stxmdist.writers.ncb"),
    },
)

__all__ = ["WRITERS"]
