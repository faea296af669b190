"""A campaign as it is planned: its stages, the headers of its scans, and the digest of every output."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

from storage.contents import Contents, FileContent
from storage.digests import digest_of
from storage.layout import ArrayPlan
from storage.output import Output
from storage.publication import Publication
from storage.store import Store
from stxmdist.campaign.manifest import Campaign, Scan
from stxmdist.planning.findings import Finding
from stxmdist.planning.growth import NOTHING_GROWS, Growth, GrowthRecord
from stxmdist.planning.reactions import ReactionPairOptions, consecutive_scans
from stxmdist.readers.recording import PtychographyRecording, Recording, StxmRecording
from stxmdist.records import Json, from_json
from stxmdist.registry import Entry, Table
from stxmdist.runner import CAMPAIGN
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Refusal, Source, Unit

OptionsT = TypeVar("OptionsT")
PartT = TypeVar("PartT")
MeasuresT = TypeVar("MeasuresT")
KindT = TypeVar("KindT")

Upstream: TypeAlias = tuple[tuple[str, str], ...]
"""Which outputs are read: (stage, scan) each."""


def every_scan(survey: "Survey", scan_id: str) -> bool:
    """The stage looks at every scan."""
    return True


def scans_to_fit(survey: "Survey", scan_id: str) -> bool:
    """The stage looks at scans of which a state of charge is wanted."""
    return not survey.scans[scan_id].images_only


def options_alone(survey: "Survey", scan_id: str) -> Json:
    """Nothing beside options and sources makes an output another one."""
    return None


def figures_of_only_unit(survey: "Survey", measured: Mapping[str, Sequence[MeasuresT]]) -> Mapping[str, object]:
    """Each scan has one unit: what it measured are the scan's quality figures."""
    return {scan_id: units[0] for scan_id, units in measured.items()}


def as_it_was(recording: Recording, options: object) -> Recording:
    """The stage leaves a scan as its header says it is."""
    return recording


@dataclass(frozen=True)
class Stage(Generic[OptionsT, PartT, MeasuresT]):
    """All that the program asks of a stage: its options, its units, what it computes and what it measures."""

    name: str
    version: int
    """Counted up whenever the same inputs and options give other numbers: what older versions left is done again."""
    options: type[OptionsT]
    """A frozen dataclass with a default for every field"""
    measures: type[MeasuresT]
    """A frozen dataclass: what the work function measures of a unit"""
    upstream: Callable[["Survey", str], Upstream]
    """Which outputs it reads for a scan"""
    plan: Callable[["Survey", OptionsT], Plan]
    """Its units, from metadata alone"""
    work: Callable[[Unit[OptionsT, PartT]], Outcome]
    """Computes one unit on any worker and writes the shards that the unit owns"""
    concerns: Callable[["Survey", str], bool] = every_scan
    """Whether it has anything to do for a scan"""
    identity: Callable[["Survey", str], Json] = options_alone
    """What beside options and sources makes its output for a scan another one"""
    finish: Callable[["Survey", Mapping[str, Sequence[MeasuresT]]], Mapping[str, object]] = figures_of_only_unit
    """Scan to what its units measured, in their order; returns scan to its quality figures, a record for each"""
    finished_every_run: bool = False
    """Whether ``finish`` has something to do for scans that were published before, too: it shows a folder, or its
    figures rest on what is in no digest"""
    recording_after: Callable[[Recording, OptionsT], Recording] = as_it_was
    """How a scan's header reads once the stage has changed its frames"""
    moved_options: Mapping[str, str] = field(default_factory=dict)
    """Option that earlier versions had, by its key below the stage's, to a sentence that says what to write now"""
    whole_campaign: bool = False
    """Whether it has one unit for the campaign, and none for a scan"""
    worker_bytes: int = 700_000_000
    """Resident memory, without a unit's arrays, of a worker that has come as far as this stage: code, compiled kernels
    and the compiler that made them, measured on workers that compiled everything
    """


AnyStage: TypeAlias = Stage[Any, Any, Any]
"""A stage of the table, whatever the types of its options, parts and measures."""


@dataclass(frozen=True)
class Survey:
    """Everything that planning needs, and nothing of the size of an image."""

    campaign: Campaign
    options: Mapping[str, object]
    recordings: Mapping[str, Recording]
    """Scan to what its file's header says, frames as ingest leaves them; only scans whose file can be read."""
    refusals: tuple[Refusal, ...]
    stages: Table[Entry[AnyStage]]
    """All stages, in the order of a run"""
    options_of_scans: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Scan to the options of every stage, for scans to which the sample sheet gives options of their own"""
    findings: tuple[Finding, ...] = ()
    """What headers say against scans, and warnings"""
    growth: GrowthRecord = NOTHING_GROWS
    """What a service knows of scans that are still being measured"""
    forecast: bool = False
    """Plan as if every earlier stage had succeeded, for `stxmdist plan`."""
    _digests: dict[tuple[str, str], str] = field(default_factory=dict)
    _as_dicts: dict[int, dict[str, Json]] = field(default_factory=dict)
    """By the identity of options that the survey holds"""
    _publications: dict[str, tuple[int, Publication | None]] = field(default_factory=dict)

    @cached_property
    def store(self) -> Store:
        """The campaign's store."""
        return Store(self.campaign.store)

    @cached_property
    def _contents(self) -> Contents:
        contents = Contents(self.campaign.store)
        if not self.forecast:
            whole = (recording for name, recording in self.recordings.items() if name not in self.growing)
            contents.learn(path for recording in whole for path in recording.files)
        return contents

    def content_of(self, path: Path) -> FileContent:
        """What a file from outside holds: read whole once in the life of the store.

        Raises
        ------
        StoreError
            when it cannot be read.
        """
        return self._contents.of(path)

    @cached_property
    def growing(self) -> dict[str, Growth]:
        """The scans that are taken as far as they are complete; their recordings hold those energies alone."""
        return {name: growth for name, growth in self.growth.scans.items() if growth.state == "grows"}

    @cached_property
    def arriving(self) -> tuple[str, ...]:
        """The scans that are being measured and do not hold enough yet, in the order of the sample sheet."""
        followed = ((scan.scan_id, self.growth.scans.get(scan.scan_id)) for scan in self.campaign.scans)
        return tuple(name for name, growth in followed if growth is not None and growth.state == "arrives")

    @cached_property
    def scans(self) -> dict[str, Scan]:
        """The scans that can be processed, by identifier."""
        return {scan.scan_id: scan for scan in self.campaign.scans if scan.scan_id in self.recordings}

    @cached_property
    def pairs(self) -> dict[str, str]:
        """Ptychography scan to the wide-field scan of its pair, where both can be read."""
        by_pair: dict[str, dict[str, str]] = {}
        for scan_id, scan in self.scans.items():
            if scan.pair_id and not scan.images_only:
                by_pair.setdefault(scan.pair_id, {}).setdefault(scan.modality, scan_id)
        return {pair["ptychography"]: pair["stxm"] for pair in by_pair.values() if len(pair) == 2}

    @cached_property
    def named_before(self) -> dict[str, str]:
        """Scan to the earlier scan that the options of ``react`` name for it."""
        options = {scan_id: self.options_of_scans.get(scan_id, self.options).get("react") for scan_id in self.scans}
        return {
            scan_id: own.before
            for scan_id, own in options.items()
            if isinstance(own, ReactionPairOptions) and own.before is not None
        }

    @cached_property
    def reactions(self) -> dict[str, str]:
        """Scan to the scan of the same region at the time before, where both can be read."""
        return consecutive_scans((scan for scan in self.scans.values() if not scan.images_only), self.named_before)

    def of_modality(self, modality: str) -> Iterator[Scan]:
        """The scans of one modality, in the order of the sample sheet."""
        return (scan for scan in self.scans.values() if scan.modality == modality)

    def stxm(self, scan_id: str) -> StxmRecording:
        """Header of a wide-field scan."""
        recording = self.recordings[scan_id]
        assert isinstance(recording, StxmRecording)
        return recording

    def ptychography(self, scan_id: str) -> PtychographyRecording:
        """Header of a ptychography scan."""
        recording = self.recordings[scan_id]
        assert isinstance(recording, PtychographyRecording)
        return recording

    def stage(self, name: str) -> AnyStage:
        """A stage by its name."""
        return self.stages[name].load()

    def options_for(self, stage: str, scan_id: str | None = None) -> object:
        """Options of a stage: those of a scan, or of the campaign as a whole."""
        own = self.options_of_scans.get(scan_id or CAMPAIGN, self.options)
        return own[stage]

    def options_of(self, stage: str, kind: type[KindT], scan_id: str | None = None) -> KindT:
        """The same, of a kind that the caller knows."""
        options = self.options_for(stage, scan_id)
        assert isinstance(options, kind)
        return options

    def options_as_dict(self, stage: str, scan_id: str | None = None) -> dict[str, Json]:
        """The same in JSON-able form; one for all scans that have the same options, to be left as it is."""
        options = self.options_for(stage, scan_id)
        assert is_dataclass(options)
        assert not isinstance(options, type)
        if id(options) not in self._as_dicts:
            self._as_dicts[id(options)] = asdict(options)
        return self._as_dicts[id(options)]

    def sources(self, stage: str, scan_id: str) -> tuple[Source, ...]:
        """Which outputs a stage reads for a scan."""
        return tuple(
            Source(upstream, name, self.digest(upstream, name))
            for upstream, name in self.stage(stage).upstream(self, scan_id)
        )

    def digest(self, stage: str, scan_id: str) -> str:
        """Identity of an output: the stage and its version, its options, and the identities of what it reads."""
        key = (stage, scan_id)
        if key not in self._digests:
            member = self.stage(stage)
            self._digests[key] = digest_of(
                {
                    "stage": stage,
                    "version": member.version,
                    "options": self.options_as_dict(stage, scan_id),
                    "identity": member.identity(self, scan_id),
                    "sources": [[s.stage, s.scan_id, s.digest] for s in self.sources(stage, scan_id)],
                }
            )
        return self._digests[key]

    def renew(self) -> None:
        """Forget the digests of what looks at the whole campaign: they depend on what is published by now."""
        for key in [key for key in self._digests if key[1] == CAMPAIGN]:
            del self._digests[key]

    def output(self, stage: str, scan_id: str) -> Output:
        """The folder of an output."""
        return self.store.output(stage, scan_id, self.digest(stage, scan_id))

    def publication(self, stage: str) -> Publication | None:
        """What is visible of a stage; read again only when the file has changed, for every scan is looked up in it."""
        path = self.store.published_path / f"{stage}.json"
        changed = path.stat().st_mtime_ns if path.exists() else 0
        if self._publications.get(stage, (-1, None))[0] != changed:
            self._publications[stage] = (changed, self.store.publication(stage))
        return self._publications[stage][1]

    @cached_property
    def _stopped(self) -> set[tuple[str, str]]:
        order = list(self.stages)
        return {(name, f.scan_id) for f in self.findings if f.stage for name in order[order.index(f.stage) :]}

    def stopped(self, stage: str, scan_id: str) -> bool:
        """Whether a finding keeps a stage, or one before it, from looking at a scan."""
        return (stage, scan_id) in self._stopped

    def published(self, stage: str, scan_id: str) -> bool:
        """Whether the output as it is planned now is published whole."""
        if self.stopped(stage, scan_id):
            return False
        if self.forecast:
            return True
        publication = self.publication(stage)
        if publication is None or scan_id not in publication.scans:
            return False
        scan = publication.scans[scan_id]
        return bool(scan.state == "done" and scan.digest == self.digest(stage, scan_id))

    def figures(self, kind: type[KindT], stage: str, scan_id: str) -> KindT | None:
        """What a stage measured of a scan; None where the output as it is planned now is not published whole."""
        publication = None if self.forecast or scan_id not in self.scans else self.publication(stage)
        if publication is None or not self.published(stage, scan_id):
            return None
        return from_json(kind, publication.scans[scan_id].quality)

    def ready(self, stage: str, scan_id: str) -> bool:
        """Whether everything that a stage reads for a scan is published."""
        member = self.stage(stage)
        if self.stopped(stage, scan_id) or not member.concerns(self, scan_id):
            return False
        return all(self.published(upstream, name) for upstream, name in member.upstream(self, scan_id))

    def unit(
        self,
        stage: str,
        scan_id: str,
        name: str,
        part: PartT,
        *,
        estimate: Estimate,
        arrays: tuple[ArrayPlan, ...] = (),
        owns: Mapping[str, tuple[tuple[int, ...], ...]] | None = None,
        resources: Mapping[str, float] | None = None,
    ) -> Unit[object, PartT]:
        """A unit of a stage with everything filled in that follows from the campaign."""
        return Unit(
            stage=stage,
            scan_id=scan_id,
            name=name,
            store=str(self.campaign.store),
            campaign=self.campaign.name,
            digest=self.digest(stage, scan_id),
            work=f"{self.stages[stage].where}.work",
            options=self.options_for(stage, scan_id),
            estimate=estimate,
            part=part,
            sources=self.sources(stage, scan_id),
            owns=owns or {},
            arrays=arrays,
            resources=resources or {},
        )


__all__ = ["CAMPAIGN", "AnyStage", "Stage", "Survey", "Upstream", "scans_to_fit"]
