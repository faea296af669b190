"""The table of writers: adding one is one file and one line.

A writer is a module with ``write_stack``; see `Writer`."""

from stxmdist.registry import Table
from stxmdist.writers.contract import Fidelity, WriterEntry
from stxmdist.writers.nxstxm.table import DEFAULT_DIALECT, DIALECTS

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
