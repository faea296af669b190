"""Who computes: the table of kinds of clusters, and the section of the campaign file for each."""

import os
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from stxmdist.campaign.problems import did_you_mean, one_of
from stxmdist.campaign.strict import Strict, WorkerMemory
from stxmdist.registry import Entry, Table

GPU = "GPU"
"""What Dask calls the resource of a worker that has a GPU to itself: a unit that asks for 1 of it runs there."""

MOST_WORKERS = 100_000
NO_SUCH_KIND = "no_such_kind"
"""The type of mistake of a word under ``kind`` that is not in the table"""


def usable_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class AnyCluster(Strict):
    """What every kind of cluster says of itself."""

    kind: ClassVar[str]
    """Its name in the table."""
    certificates: Path | None = Field(default=None, strict=False)
    """Folder with ``ca.pem``, ``cert.pem`` and ``key.pem``; without it those of ``stxmdist certificates``."""

    @property
    @abstractmethod
    def most_workers(self) -> int:
        """How many workers there may be at once."""

    @property
    def worker_bytes(self) -> int | None:
        """Memory of a worker; None where the plan of the campaign decides."""
        return None

    @property
    def gpu_workers(self) -> int:
        """How many of the workers have a GPU."""
        return 0

    @property
    def words(self) -> str:
        """Who computes, for people."""
        return f"{self.most_workers} workers ({self.kind})"

    def smallest(self) -> "AnyCluster":
        """The same with one worker, to see whether it can do the work."""
        return self

    def beside(self, folder: Path) -> "AnyCluster":
        """The same with paths that are relative to the campaign file made absolute."""
        return self if self.certificates is None else self._with(certificates=folder / self.certificates.expanduser())

    def _with(self, **changes: object) -> "AnyCluster":
        return self.model_copy(update=changes)


class Workers(Strict):
    """Between how many workers there are at once, where they come and go."""

    minimum: int = Field(default=0, ge=0, le=MOST_WORKERS)
    """Kept even while there is nothing to do."""
    maximum: int = Field(default=8, ge=1, le=MOST_WORKERS)
    """Never more than these."""

    @field_validator("maximum")
    @classmethod
    def _not_below(cls, maximum: int, info: ValidationInfo) -> int:
        if maximum < info.data.get("minimum", 0):
            raise ValueError(f"at least the minimum, {info.data['minimum']}")
        return maximum


def _range(value: object) -> object:
    """``workers: 8`` is short for ``workers: {maximum: 8}``."""
    return {"maximum": value} if isinstance(value, int) and not isinstance(value, bool) else value


WorkerRange = Annotated[Workers, BeforeValidator(_range)]

_ADDRESS = r"^(tcp|tls|ws|wss|ucx)://[^\s/]+:\d+$"


class ClusterSpec(AnyCluster):
    """Worker processes on this machine, or a running Dask scheduler."""

    workers: int = Field(default_factory=usable_cores, ge=1, le=MOST_WORKERS)
    """Worker processes; the cores of this machine unless said."""
    threads: int = Field(default=1, ge=1, le=1024)
    """Units that a worker computes at once."""
    memory_limit: WorkerMemory = 10**9
    """Bytes per worker; written as ``1GB``, ``512MB``, ``2GiB``."""
    address: Annotated[str, Field(pattern=_ADDRESS, description="an address such as tcp://host:8786")] | None = None
    """A running scheduler, ``tcp://host:port`` or ``tls://host:port``; then the numbers above describe its workers."""
    gpus: int = Field(default=0, ge=0, le=1024)
    """How many of the workers have a GPU of this machine to themselves, and offer it as a resource."""

    @field_validator("gpus")
    @classmethod
    def _a_worker_for_each(cls, gpus: int, info: ValidationInfo) -> int:
        if gpus > info.data.get("workers", gpus):
            raise ValueError(f"at most one for each of the {info.data['workers']} workers")
        return gpus

    @property
    def kind(self) -> str:  # type: ignore[override]  # one section for two kinds: the address says which
        """``tcp`` with an address, ``local`` without."""
        return "local" if self.address is None else "tcp"

    @property
    def most_workers(self) -> int:
        return self.workers

    @property
    def worker_bytes(self) -> int:
        return self.memory_limit

    @property
    def gpu_workers(self) -> int:
        return self.gpus

    def smallest(self) -> AnyCluster:
        return self._with(workers=1, gpus=min(1, self.gpus))

    @property
    def words(self) -> str:
        return self.address or f"{self.workers} worker{'s' if self.workers > 1 else ''} on this machine"


@dataclass(frozen=True)
class ClusterEntry(Entry[Callable[..., object]]):
    """A kind of cluster: what starts it (``stxmdist.cluster.contract.Start``), and its section of the campaign file."""

    section: Entry[type[AnyCluster]]
    meaning: str


_HERE = Entry[type[AnyCluster]]("stxmdist.campaign.clusters:ClusterSpec")

CLUSTERS: Table[ClusterEntry] = Table(
    "kind of cluster",
    {
        "local": ClusterEntry("stxmdist.cluster.local:start", _HERE, "worker processes of this machine"),
        "tcp": ClusterEntry("stxmdist.cluster.address:start", _HERE, "a Dask scheduler that runs already"),
        "slurm": ClusterEntry(
            "stxmdist.cluster.slurm:start", Entry("stxmdist.cluster.slurm:SlurmSpec"), "jobs of a Slurm cluster"
        ),
        "ssh": ClusterEntry("stxmdist.cluster.ssh:start", Entry("stxmdist.cluster.ssh:SshSpec"), "hosts with ssh"),
        "gateway": ClusterEntry(
            "stxmdist.cluster.gateway:start", Entry("stxmdist.cluster.gateway:GatewaySpec"), "a Dask gateway of a site"
        ),
    },
)


def section_class(value: object) -> type[AnyCluster]:
    """The model of a cluster section as it is written; that of this machine where the kind is not known."""
    kind = value.get("kind") if isinstance(value, Mapping) else None
    return CLUSTERS[kind if isinstance(kind, str) and kind in CLUSTERS else "local"].section.load()


def read_cluster(value: object) -> AnyCluster:
    """A cluster section, by its kind: a mapping; an address alone is short for ``{address: ...}``, nothing the default.

    Raises
    ------
    ValidationError
        with every mistake of the section.
    """
    if isinstance(value, AnyCluster):
        return value
    if value is None or isinstance(value, str):
        value = {} if value is None else {"address": value}
    if not isinstance(value, Mapping):
        return ClusterSpec.model_validate(value)
    given = dict(value)
    kind = given.pop("kind", None)
    if kind is not None and not (isinstance(kind, str) and kind in CLUSTERS):
        raise _mistake("kind", kind, one_of(CLUSTERS), did_you_mean(str(kind), list(CLUSTERS), "Choose one of those"))
    if kind == "local" and "address" in given:
        raise _mistake("kind", kind, "tcp, or no address", "Remove the address, or the kind")
    if kind == "tcp" and "address" not in given:
        raise _mistake("kind", kind, "an address too, such as address: tcp://host:8786", "Add the address")
    return section_class(value).model_validate(given)


def _mistake(key: str, given: object, words: str, mend: str) -> ValidationError:
    what = PydanticCustomError(NO_SUCH_KIND, "{words}", {"words": words, "mend": mend})
    return ValidationError.from_exception_data("cluster", [InitErrorDetails(type=what, loc=(key,), input=given)])
