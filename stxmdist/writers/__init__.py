"""Writers of wide-field scans in the formats of beamlines: what is written reads back as it was.

A writer is a module with ``write_stack``; see `Writer`. Adding one is one module and one line in `WRITERS`.
"""

from stxmdist.registry import Table
from stxmdist.writers.contract import Fidelity, Writer, WriterEntry
from stxmdist.writers.nxstxm import DEFAULT_DIALECT, DIALECTS

WRITERS: Table[WriterEntry] = Table(
    "writer",
    {
        "sdf": WriterEntry("stxmdist.writers.sdf", ending=".hdr", keeps=Fidelity(counts=("int64",), ring_current=True)),
        "nxstxm": WriterEntry(
            "stxmdist.writers.nxstxm.writer",
            ending=".hdf5",
            keeps=DIALECTS[DEFAULT_DIALECT].keeps,
            dialects={name: dialect.keeps for name, dialect in DIALECTS.items()},
        ),
        "ncb": WriterEntry(
            "stxmdist.writers.ncb", ending=".ncb", keeps=Fidelity(counts=("int16", "float32"), uneven_axes=False)
        ),
    },
)

__all__ = ["WRITERS", "Fidelity", "Writer", "WriterEntry"]
