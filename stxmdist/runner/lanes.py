"""Which units can run at once: those that need the same of a worker wait in one lane."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict

from stxmdist.runner.unit import AnyUnit


class Beyond(Protocol):
    """What is known of a cluster beside what Dask says; ``stxmdist.cluster.start.Cluster`` is one."""

    @property
    def coming(self) -> int:
        """Threads that it grows to while there are units; 0 where it stays as it is."""
        ...

    def last_words(self, address: str) -> str:
        """The end of what the worker at an address printed; empty where nobody kept it."""
        ...


class _Nothing:
    coming = 0

    def last_words(self, address: str) -> str:
        return ""


NOTHING_BEYOND: Beyond = _Nothing()


class Worker(TypedDict):
    """What Dask says of a worker, as far as it is asked here."""

    nthreads: int
    resources: Mapping[str, float]


@dataclass(frozen=True)
class Lane:
    """Units that need the same of a worker."""

    resources: Mapping[str, float] | None
    places: int
    """How many can run at once"""
    units: int
    waiting: Iterator[AnyUnit]


def lanes_of(todo: Sequence[AnyUnit], workers: Sequence[Worker], coming: int = 0) -> list[Lane]:
    """The units by what they need; what no worker offers is not asked for, or they would wait for ever.

    ``coming`` is how many threads a cluster grows to while there are units, although there may be none yet.
    """
    nothing: frozenset[tuple[str, float]] = frozenset()
    needs = {frozenset(unit.resources.items()) for unit in todo}
    places = {need: sum(_places(worker, dict(need)) for worker in workers) for need in needs | {nothing}}
    by_need: dict[frozenset[tuple[str, float]], list[AnyUnit]] = defaultdict(list)
    for unit in todo:
        need = frozenset(unit.resources.items())
        by_need[need if places[need] else nothing].append(unit)
    return [Lane(dict(need) or None, max(1, coming, places[need]), len(us), iter(us)) for need, us in by_need.items()]


def _places(worker: Worker, need: Mapping[str, float]) -> int:
    """How many units with this need a worker can run at once."""
    offered = worker["resources"]
    return min([worker["nthreads"], *(int(offered.get(name, 0) // amount) for name, amount in need.items())])
