"""Writers of wide-field scans in the formats of beamlines: what is written reads back as it was.

A writer is a module with ``ENDING``, the ending of the file to be read, and ``write_stack`` from frames, axes and
conditions to every path written, that file first. Adding one is one module and one line in `TABLE`.
"""

from stxmdist.registry import Table

TABLE = Table(
    "writer",
    {
        "sdf": "stxmdist.writers.sdf",
        "nxstxm": "stxmdist.writers.nxstxm",
        "ncb": "stxmdist.writers.ncb",
    },
)

__all__ = ["TABLE"]
