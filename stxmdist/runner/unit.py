"""What one task computes, what it leaves behind, and what a stage says when it is over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from storage.layout import ArrayPlan
from storage.output import Output
from storage.store import Store
from stxmdist.records import Json, figures_of, from_json

RECEIPT_FORMAT = 1
"""Counted up when the fields of receipts, or the form of what stages measure, change: a unit whose receipt carries
another number, or none, is computed again.
"""
_FORMAT_KEY = "format"

OptionsT = TypeVar("OptionsT", covariant=True)
PartT = TypeVar("PartT", covariant=True)


@dataclass(frozen=True)
class Estimate:
    """What a unit will cost, forecast from metadata alone."""

    bytes_out: int
    """Bytes of the arrays it writes, before compression."""
    peak_bytes: int
    """Highest memory of the arrays it holds at once; the interpreter and its libraries come on top."""
    core_seconds: float
    most_stored_bytes: int | None = None
    """Its arrays take no more room than this on disk, where the plan knows it; None: as such arrays usually pack."""


@dataclass(frozen=True)
class Source:
    """An output that a unit reads: what the stage left for the scan under this digest."""

    stage: str
    scan_id: str
    digest: str


@dataclass(frozen=True)
class Unit(Generic[OptionsT, PartT]):
    """One task: small, picklable, without pixels. It opens the store itself and writes only the shards it owns."""

    stage: str
    scan_id: str
    """The scan, or ``campaign`` for stages that look at all of it."""
    name: str
    """Unique within the output, usable as a file name."""
    store: str
    digest: str
    work: str
    """Where the stage's work function is: ``module:attribute``, with a dot before an attribute of the attribute."""
    options: OptionsT
    estimate: Estimate
    part: PartT
    """Which part of the scan (rows, tile, energies ...) and what the plan knew of it: a frozen record of the stage."""
    sources: tuple[Source, ...] = ()
    campaign: str = ""
    """Its name, for what workers say"""
    owns: Mapping[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)
    """Array name to the indices of the shards that this unit, and no other, writes."""
    arrays: tuple[ArrayPlan, ...] = ()
    """What the output holds; declared once by the runner, not sent to workers."""
    resources: Mapping[str, float] = field(default_factory=dict)
    """What a worker should offer, by Dask's name for it; where none does, the unit runs on any and makes do."""

    def output(self) -> Output:
        """The folder that this unit writes into."""
        return Store(self.store).output(self.stage, self.scan_id, self.digest)

    def source(self, stage: str, scan_id: str | None = None) -> Output:
        """The output of an earlier stage, for this unit's scan unless another is named."""
        wanted = scan_id if scan_id is not None else self.scan_id
        for source in self.sources:
            if source.stage == stage and source.scan_id == wanted:
                return Store(self.store).output(source.stage, source.scan_id, source.digest)
        raise KeyError(f"unit {self.stage}/{self.scan_id}/{self.name} does not read {stage} of {wanted}")


AnyUnit: TypeAlias = Unit[object, object]
"""A unit of any stage."""


@dataclass(frozen=True)
class Receipt:
    """What a unit measured; kept as its marker, so that it is never computed twice."""

    scan_id: str
    unit: str
    measures: Mapping[str, object]
    files: Mapping[str, str]
    """Path below the output's folder to sha256."""
    seconds: float
    core_seconds: float
    peak_rss_bytes: int

    def as_dict(self) -> dict[str, Json]:
        """JSON-able form, with the number of the format."""
        return {_FORMAT_KEY: RECEIPT_FORMAT} | figures_of(self)

    @classmethod
    def from_dict(cls, written: Mapping[str, object]) -> "Receipt | None":
        """Read back what ``as_dict`` wrote; None where it was written in another format, which counts as no receipt."""
        if written.get(_FORMAT_KEY) != RECEIPT_FORMAT:
            return None
        return from_json(cls, {name: value for name, value in written.items() if name != _FORMAT_KEY})


def receipts_of(output: Output) -> dict[str, Receipt]:
    """The receipts of the finished units of an output, by unit; those of another format are left out."""
    read = {unit: Receipt.from_dict(written) for unit, written in output.receipts().items()}
    return {unit: receipt for unit, receipt in read.items() if receipt is not None}


@dataclass(frozen=True)
class Refusal:
    """A scan or unit that could not be processed, in words for a person."""

    scan_id: str
    unit: str
    where: str
    problem: str
    got: str
    wanted: str
    mend: str
    traceback: str = ""
    """Only for what nobody foresaw."""

    @classmethod
    def from_dict(cls, written: Mapping[str, object]) -> "Refusal":
        """Read back a refusal that was kept beside an output."""
        return from_json(cls, written)

    @property
    def sentence(self) -> str:
        """The whole message on one line."""
        return f"{self.where}: {self.reason}"

    @property
    def reason(self) -> str:
        """The message without the place."""
        return f"{self.problem}; got {self.got}, wanted {self.wanted}. {self.mend}."


@dataclass(frozen=True)
class Plan:
    """The units of a stage, and the scans that cannot be planned with the reason."""

    units: tuple[AnyUnit, ...]
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True)
class StageReport:
    """How a stage ended."""

    stage: str
    units_total: int
    units_skipped: int
    units_run: int
    refusals: tuple[Refusal, ...]
    scans_published: int
    seconds: float
    peak_rss_bytes: int

    @property
    def complete(self) -> bool:
        """Whether everything that was planned is published."""
        return not self.refusals
