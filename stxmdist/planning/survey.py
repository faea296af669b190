"""A campaign as it is planned: the headers of its scans, the options of its stages, and the digest of every output."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from storage.digests import digest_of
from storage.output import Output
from storage.publication import Publication
from storage.store import Store
from stxmdist import readers
from stxmdist.campaign.manifest import Campaign, Scan
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.planning.stages import STAGES
from stxmdist.readers.recording import PtychographyRecording, Recording, StxmRecording
from stxmdist.runner import CAMPAIGN
from stxmdist.runner.unit import Refusal, Source, Unit


@dataclass(frozen=True)
class Survey:
    """Everything that planning needs, and nothing of the size of an image."""

    campaign: Campaign
    options: Mapping[str, Any]
    recordings: Mapping[str, Recording]
    """Scan to what its file's header says, frames as ingest leaves them; only scans whose file can be read."""
    refusals: tuple[Refusal, ...]
    foretell: bool = False
    """Plan as if every earlier stage had succeeded, for `stxmdist plan`."""
    _digests: dict[tuple[str, str], str] = field(default_factory=dict)
    _publications: dict[str, tuple[int, Publication | None]] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        """The campaign's store."""
        return Store(self.campaign.store)

    @cached_property
    def scans(self) -> dict[str, Scan]:
        """The scans that can be processed, by identifier."""
        return {scan.scan_id: scan for scan in self.campaign.scans if scan.scan_id in self.recordings}

    @cached_property
    def pairs(self) -> dict[str, str]:
        """Ptychography scan to the wide-field scan of its pair, where both can be read."""
        by_pair: dict[str, dict[str, str]] = {}
        for scan_id, scan in self.scans.items():
            if scan.pair_id:
                by_pair.setdefault(scan.pair_id, {}).setdefault(scan.modality, scan_id)
        return {pair["ptychography"]: pair["stxm"] for pair in by_pair.values() if len(pair) == 2}

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

    def options_as_dict(self, stage: str) -> dict[str, Any]:
        """Options of a stage in JSON-able form."""
        return asdict(self.options[stage])

    def sources(self, stage: str, scan_id: str) -> tuple[Source, ...]:
        """Which outputs a stage reads for a scan."""
        return tuple(
            Source(upstream, name, self.digest(upstream, name))
            for upstream, name in STAGES[stage].upstream(self, scan_id)
        )

    def digest(self, stage: str, scan_id: str) -> str:
        """Identity of an output: the stage and its version, its options, and the identities of what it reads."""
        key = (stage, scan_id)
        if key not in self._digests:
            module = STAGES[stage]
            self._digests[key] = digest_of(
                {
                    "stage": stage,
                    "version": module.VERSION,
                    "options": self.options_as_dict(stage),
                    "identity": module.identity(self, scan_id),
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

    def published(self, stage: str, scan_id: str) -> bool:
        """Whether the output as it is planned now is published whole."""
        if self.foretell:
            return True
        publication = self.publication(stage)
        if publication is None or scan_id not in publication.scans:
            return False
        scan = publication.scans[scan_id]
        return bool(scan.state == "done" and scan.digest == self.digest(stage, scan_id))

    def ready(self, stage: str, scan_id: str) -> bool:
        """Whether everything that a stage reads for a scan is published."""
        return all(self.published(upstream, name) for upstream, name in STAGES[stage].upstream(self, scan_id))

    def unit(self, stage: str, scan_id: str, name: str, **parts: Any) -> Unit:
        """A unit of a stage with everything filled in that follows from the campaign."""
        return Unit(
            stage=stage,
            scan_id=scan_id,
            name=name,
            store=str(self.campaign.store),
            digest=self.digest(stage, scan_id),
            work=f"{STAGES[stage].__name__}:work",
            options=self.options[stage],
            sources=self.sources(stage, scan_id),
            **parts,
        )


def survey_of(
    campaign: Campaign, options: Mapping[str, Any], *, only: frozenset[str] | None = None, foretell: bool = False
) -> Survey:
    """Read the header of every scan (or of those in ``only``); a file that cannot be used becomes a refusal."""
    recordings: dict[str, Recording] = {}
    refusals: list[Refusal] = []
    for scan in campaign.scans:
        if only is not None and scan.scan_id not in only:
            continue
        try:
            recordings[scan.scan_id] = STAGES["ingest"].as_kept(_header(scan), options["ingest"])
        except InputError as error:
            refusals.append(Refusal(scan.scan_id, "header", **error.as_dict()))
    for row, problem in campaign.rejected:
        where = f"{problem.place} {problem.where}".strip()
        refusals.append(
            Refusal(
                row.scan_id or f"line {row.line}",
                "sample sheet",
                where,
                problem.problem,
                problem.got,
                problem.wanted,
                problem.mend,
            )
        )
    return Survey(campaign, options, recordings, tuple(refusals), foretell)


def _header(scan: Scan) -> Recording:
    recording = readers.read_region(scan.file, scan.file_region)
    wanted = PtychographyRecording if scan.modality == "ptychography" else StxmRecording
    if not isinstance(recording, wanted):
        raise InputError(
            where=scan.file,
            problem="the file is not of the modality that the sample sheet says",
            got="a ptychography scan" if isinstance(recording, PtychographyRecording) else "a wide-field scan",
            wanted=scan.modality,
            mend="Correct the column modality",
        )
    if isinstance(recording, StxmRecording) and len(recording.y_um) == len(recording.x_um) == 1:
        raise UnsupportedError(
            where=scan.file,
            problem="a point spectrum is no image and is not processed",
            got="one pixel",
            wanted="an image stack or a line scan",
            mend="Exclude it; its numbers, as a text file of two columns, can be a spectrum under references",
        )
    return recording


__all__ = ["CAMPAIGN", "Survey", "survey_of"]
