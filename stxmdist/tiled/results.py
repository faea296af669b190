"""What was computed of a run, written into the run: arrays and a table under a container of its own.

The container is made with the first result, and each result replaces the one before: its metadata say of how many
energies it is, and whether all of it is there. What another program has left under these names stays.
"""

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from stxmdist.arrays import Array
from stxmdist.tiled.client import BYTES, TiledClient

if TYPE_CHECKING:
    import pandas as pd

CONTAINER = "stxmdist"
"""Name of the container in the run"""
STATE, WHOLE = "state", "whole"
"""What the container's metadata say of whether all results are there"""
ARROW = "application/vnd.apache.arrow.file"


class ResultsOfRun:
    """The container of one run's results."""

    def __init__(self, client: TiledClient, run: str) -> None:
        self._client = client
        self._run = run
        self._path = f"{run}/{CONTAINER}"

    def whole(self, metadata: Mapping[str, object]) -> bool:
        """Whether the results that are said to be of this are all there.

        Raises
        ------
        InputError
            as `begin`.
        """
        return self._client.said(self._path) == {**metadata, STATE: WHOLE}

    def begin(self, metadata: Mapping[str, object]) -> None:
        """Make the container where there is none; say of what the results are that follow.

        Raises
        ------
        InputError
            where the server does not let the key write there, or has something else of this name.
        """
        self._client.made_or_said(self._run, CONTAINER, "container", {**metadata, STATE: "being written"})

    def end(self, metadata: Mapping[str, object]) -> None:
        """Say that all results are there.

        Raises
        ------
        InputError
            as `begin`.
        """
        self._client.made_or_said(self._run, CONTAINER, "container", {**metadata, STATE: WHOLE})

    def array(self, name: str, values: Array, dims: tuple[str, ...], metadata: Mapping[str, object]) -> None:
        """Put an array into the place of the one before.

        Raises
        ------
        InputError
            as `begin`.
        """
        values = np.ascontiguousarray(values)
        kind = {
            "endianness": "little" if values.dtype.itemsize > 1 else "not_applicable",
            "kind": values.dtype.kind,
            "itemsize": values.dtype.itemsize,
            "dt_units": None,
        }
        structure = {
            "data_type": kind,
            "chunks": [[length] for length in values.shape],
            "shape": list(values.shape),
            "dims": list(dims),
            "resizable": False,
        }
        self._client.made_or_said(self._path, name, "array", metadata, structure)
        content = values.astype(values.dtype.newbyteorder("<")).tobytes()
        self._client.put(f"/array/full/{self._path}/{name}", content, BYTES)

    def table(self, name: str, frame: "pd.DataFrame", metadata: Mapping[str, object]) -> None:
        """Put a table into the place of the one before.

        Raises
        ------
        InputError
            as `begin`.
        """
        import pyarrow as pa

        table = pa.Table.from_pandas(frame, preserve_index=False)
        schema = base64.b64encode(table.schema.serialize().to_pybytes()).decode()
        structure = {
            "arrow_schema": f"data:{ARROW};base64,{schema}",
            "npartitions": 1,
            "columns": list(frame.columns),
            "resizable": False,
        }
        self._client.made_or_said(self._path, name, "table", metadata, structure)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        self._client.put(f"/table/full/{self._path}/{name}", sink.getvalue().to_pybytes(), ARROW)
