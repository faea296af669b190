"""How stages lay out what they leave behind, and how a work function writes it: whole shards that its unit owns."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from storage.digests import sha256_of_file
from storage.layout import ArrayPlan
from storage.place import Place
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import AnyUnit

Coordinate: TypeAlias = tuple[object, str]
"""Values along an axis, and their unit."""


def single_shard(name: str, shape: tuple[int, ...], coords: Mapping[str, Coordinate] | None = None) -> ArrayPlan:
    """An array that one unit writes at once, in one shard of one chunk."""
    return ArrayPlan(name, shape, shape, None, coords or {})


def all_shards(arrays: Sequence[ArrayPlan]) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Every shard of every array: what the only unit of an output owns."""
    return {plan.name: tuple(plan.layout().indices()) for plan in arrays}


def bytes_of(arrays: Sequence[ArrayPlan]) -> int:
    """Bytes of arrays before compression."""
    return sum(plan.layout().nbytes for plan in arrays)


class ShardWriter:
    """Writes the shards of one unit and remembers what it wrote."""

    def __init__(self, unit: AnyUnit) -> None:
        self.unit = unit
        self.output = unit.output()
        self._files: dict[str, str] = {}

    def __call__(self, array: str, shard: tuple[int, ...], values: np.ndarray) -> None:
        """Write one whole shard of an array."""
        path = self.output.write(self.unit.name, self.unit.owns, array, shard, values)
        self._files[path] = self.output.written[path]

    def scratch(self, name: str) -> Path:
        """Where a unit may keep what it has so far; it is never published."""
        return self.output.scratch(name)

    def keep(self, path: Place) -> None:
        """Count a file that was written into the output's folder by other means, such as a table."""
        name = str(path.relative_to(self.output.path))  # type: ignore[arg-type]
        self._files[name] = sha256_of_file(path)

    def outcome(self, measures: object) -> Outcome:
        """What the work function returns."""
        return Outcome(measures, self._files)
