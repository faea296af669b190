"""A run of a campaign: which stages and scans, over which cluster, one stage after another."""

import platform
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version
from logging import INFO, WARNING
from pathlib import Path
from types import TracebackType
from typing import TypedDict

from pydantic import ValidationError

from storage.place import fetched
from storage.store import LIVE_PASS, Store
from stxmdist.campaign.clusters import AnyCluster, ClusterSpec
from stxmdist.campaign.manifest import Campaign, CampaignError, load
from stxmdist.cluster.contract import Purpose
from stxmdist.cluster.start import Cluster
from stxmdist.errors import InputError
from stxmdist.logs import about, log, set_up
from stxmdist.planning.changed_options import ChangedOptions, with_changed
from stxmdist.planning.explored import named_by
from stxmdist.planning.forecast import forecast_of
from stxmdist.planning.growth import ALIVE, followed_now
from stxmdist.planning.headers import survey_of
from stxmdist.planning.notes import notes_of
from stxmdist.planning.options import mistakes_in_options, parse_options
from stxmdist.planning.received import fetch_once
from stxmdist.planning.stages import STAGES, chosen_stages
from stxmdist.planning.survey import Survey
from stxmdist.planning.verdict import Verdict, VerdictDocument, verdict_of
from stxmdist.runner import CAMPAIGN
from stxmdist.runner.lanes import NOTHING_BEYOND
from stxmdist.runner.run import RunRecord, Watcher, nobody_watches, run_stage
from stxmdist.runner.run_state import RunStateFile
from stxmdist.runner.unit import Refusal, StageReport

RECORDED = ("dask", "distributed", "numba", "numpy", "scipy", "scikit-image", "zarr")
"""Libraries whose versions may change a number."""


class StageSummary(TypedDict("StageSummary", {"peak worker memory MB": int})):
    """How one stage of a run ended, for people."""

    stage: str
    units: int
    run: int
    skipped: int
    failed: int
    scans: int
    seconds: float


class RunSummary(TypedDict):
    """How a run ended; this is what ``stxmdist run --json`` prints."""

    campaign: str
    store: str
    complete: bool
    units_run: int
    units_skipped: int
    sentence: str
    stages: list[StageSummary]
    refusals: list[dict[str, str]]
    verdict: VerdictDocument
    notes: dict[str, list[str]]
    """Scan to what its reader assumed"""
    report: str | None
    """The page that is published; None where there is none"""


@dataclass(frozen=True)
class RunRequest:
    """What a run is asked to do, by a person, a schedule or a flow."""

    path: str
    stages: tuple[str, ...] = ()
    """Only these; empty for all."""
    scans: tuple[str, ...] = ()
    """Only these; empty for all."""
    cluster: str | None = None
    """A Dask scheduler's address, a number of workers, or ``inline``; the campaign file's cluster if absent."""
    retry: bool = False
    """Try the units again that were set aside."""
    options: ChangedOptions = field(default_factory=dict)
    """Stage to options that stand above those of the campaign file."""
    live: bool = False
    """Asked by the service that follows scans while they are measured: beside a run of all the others"""


class CampaignRun:
    """Holds the store's lock and the cluster for the length of a block, and runs stages."""

    def __init__(self, request: RunRequest) -> None:
        self.request = request
        self.campaign, self._options = campaign_and_options(request.path, request.options)
        self.stages = chosen_stages(request.stages)
        for scan_id in request.scans:
            self.campaign.scan(scan_id)
        self.reports: dict[str, StageReport] = {}
        self._only = frozenset(request.scans) or None
        self._survey: Survey | None = None
        self._not_fetched: list[Refusal] = []
        self._cluster = None
        if request.cluster != "inline":
            self._cluster = Cluster(
                cluster_spec(self.campaign, request.cluster), purpose_of(self.campaign, self._options)
            )
        self._store = Store(self.campaign.store)
        self._state: RunStateFile | None = None
        self._held = ExitStack()

    def __enter__(self) -> "CampaignRun":
        self._store.create()
        self._held.enter_context(self._store.lock("live", LIVE_PASS) if self.request.live else self._store.lock())
        if not self.request.live:
            # The service that follows scans passes beside a run, whose state the file tells.
            self._state = RunStateFile(self._store.local, self.stages, self.request.scans, self.request.options)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self._state is not None:
            self._state.run_ended(error)
        self._held.close()

    def close(self) -> None:
        """End the cluster, if this run started one."""
        if self._cluster is not None:
            self._cluster.close()

    def prepare(self) -> None:
        """Read the headers and start the cluster, before the first stage asks for them."""
        _ = self.survey
        if self._cluster is not None:
            self._cluster.client()

    def pending(self) -> dict[str, int]:
        """How many units each stage has yet to run; empty when the campaign is up to date. Starts nothing."""
        if not (self.campaign.store / "store.json").exists():
            return {name: len(self.campaign.scans) for name in self.stages}
        self._store.open()
        missing: dict[str, int] = {}
        for name in self.stages:
            units = STAGES[name].load().plan(self.survey, self._options[name]).units
            units = tuple(unit for unit in units if unit.scan_id not in self._left_alone())
            outputs = {unit.scan_id: self.survey.output(name, unit.scan_id) for unit in units}
            set_aside = {scan_id: names for scan_id, out in outputs.items() if (names := out.set_aside())}
            ended = {scan_id: out.done() | set_aside.get(scan_id, frozenset()) for scan_id, out in outputs.items()}
            n = sum(unit.name not in ended[unit.scan_id] for unit in units)
            unpublished = [
                u for u in units if u.scan_id not in set_aside and not self.survey.published(name, u.scan_id)
            ]
            if n or unpublished:
                missing[name] = max(n, len(unpublished))
        return missing

    @property
    def survey(self) -> Survey:
        """The headers of the campaign, read once."""
        if self._survey is None:
            if any(scan.address for scan in self.campaign.scans) and not self._store.held(ALIVE):
                self._store.create()
                self._not_fetched = fetch_once(self.campaign)
            self._survey = survey_of(self._asked() if self.request.live else self.campaign, self._options)
        return self._survey

    def _asked(self) -> Campaign:
        """The campaign without the headers that a few scans do not want: theirs, and those of what references name."""
        named = {spectrum.scan_id for spectrum in named_by(self.campaign.references)}
        wanted = named | (self._only or set())
        return replace(self.campaign, scans=tuple(scan for scan in self.campaign.scans if scan.scan_id in wanted))

    def _left_alone(self) -> frozenset[str]:
        """Scans of the campaign that this run does not look at; those that a service follows are its own."""
        every = frozenset(scan.scan_id for scan in self.campaign.scans)
        followed = frozenset() if self.request.live else frozenset(self.survey.growth.scans) | self._followed()
        return (every - (self._only or every)) | followed

    def _followed(self) -> frozenset[str]:
        """The scans that a service follows by now."""
        return frozenset(followed_now(self._store).scans)

    def stage(self, name: str, watch: Watcher = nobody_watches) -> StageReport:
        """Run one stage."""
        set_up()
        with about(campaign=self.campaign.name, stage=name):
            log.info("begun")
            report = self._stage(name, watch)
            log.log(
                INFO if report.complete else WARNING,
                "ended" if report.complete else "ended in part",
                extra={
                    "units_done": report.units_run,
                    "units_done_before": report.units_skipped,
                    "units_failed": len(report.refusals),
                    "seconds": round(report.seconds, 3),
                },
            )
            return report

    def _stage(self, name: str, watch: Watcher) -> StageReport:
        self.survey.renew()
        scans = frozenset(scan.scan_id for scan in self.campaign.scans)
        if self._state is not None:
            watch = self._state.watching(watch, lambda: self._cluster.dashboard if self._cluster else None)
        report = run_stage(
            STAGES[name].load(),
            self.survey,
            self._options[name],
            self._store,
            RunRecord(self.campaign.seed, software_versions()),
            client=None if self._cluster is None else self._cluster.client,
            watch=watch,
            retry=self.request.retry,
            keep=self._left_alone(),
            known=scans | {CAMPAIGN},
            theirs=frozenset if self.request.live else self._followed,
            beyond=NOTHING_BEYOND if self._cluster is None else self._cluster,
        )
        self.reports[name] = report
        if self._state is not None:
            self._state.stage_ended(name)
        return report

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Everything that could not be done, once each."""
        asked = self._only
        before = (*self.survey.refusals, *self._not_fetched)
        found = tuple(r for r in before if asked is None or r.scan_id in asked) + tuple(
            r for report in self.reports.values() for r in report.refusals
        )
        return tuple(dict.fromkeys(found))

    @property
    def page(self) -> Path:
        """Where the report is shown, if there is one."""
        return fetched(self._store.report_path) / "index.html"

    def verdict(self) -> Verdict:
        """What the scans that were asked for gave, as it is published now."""
        return verdict_of(self.survey, refusals=self.refusals, only=self._only)

    def table(self) -> list[StageSummary]:
        """One row for each stage that ran, for people."""
        return [
            {
                "stage": report.stage,
                "units": report.units_total,
                "run": report.units_run,
                "skipped": report.units_skipped,
                "failed": len(report.refusals),
                "scans": report.scans_published,
                "seconds": round(report.seconds, 1),
                "peak worker memory MB": round(report.peak_rss_bytes / 1e6),
            }
            for report in self.reports.values()
        ]

    def summary(self) -> RunSummary:
        """How the run ended."""
        units_run = sum(report.units_run for report in self.reports.values())
        refusals = self.refusals
        failed = f", {len(refusals)} could not be done" if refusals else ""
        return {
            "campaign": self.campaign.name,
            "store": str(self.campaign.store),
            "complete": not refusals,
            "units_run": units_run,
            "units_skipped": sum(report.units_skipped for report in self.reports.values()),
            "sentence": f"{units_run} units computed{failed}",
            "stages": self.table(),
            "refusals": [vars(refusal) | {"sentence": refusal.sentence} for refusal in refusals],
            "verdict": self.verdict().document(),
            "notes": notes_of(self.survey, self._only),
            "report": str(self.page) if self.page.exists() else None,
        }


def campaign_and_options(
    path: str | Path, changed: ChangedOptions | None = None
) -> tuple[Campaign, Mapping[str, object]]:
    """The campaign and the options of its stages, ``changed`` ones above the file's; rows with mistakes stand aside.

    Raises
    ------
    CampaignError
        with every mistake of the campaign file, those in the stages' options among them.
    """
    try:
        campaign = load(path, lenient=True)
    except CampaignError as error:
        raise CampaignError(error.path, [*error.problems, *mistakes_in_options(path)]) from None
    campaign = with_changed(campaign, changed or {})
    options, problems = parse_options(campaign)
    if problems:
        raise CampaignError(campaign.path, problems)
    return campaign, options


def cluster_spec(campaign: Campaign, override: str | None) -> AnyCluster:
    """The campaign's cluster, or the one that the command line names.

    Raises
    ------
    InputError
        for a name that is neither a number of workers nor an address.
    """
    own = campaign.cluster
    if override is None or override == "inline":
        return own
    # What the campaign says of its workers holds for those that are named, as far as they are of the same kind.
    base = own if isinstance(own, ClusterSpec) else ClusterSpec(gpus=0, certificates=own.certificates)
    named: dict[str, object] = {"address": override}
    if override.isdecimal():
        workers = int(override)
        named = {"workers": workers, "address": None, "gpus": min(base.gpus, workers)}
    try:
        return ClusterSpec.model_validate(base.model_dump() | named)
    except ValidationError as error:
        raise InputError(
            where="cluster",
            problem="there is no cluster of this name",
            got=repr(override),
            wanted="`inline`, a number of workers, or the address of a Dask scheduler, such as tcp://127.0.0.1:8786",
            mend="Choose one of those, or leave it out to have that of the campaign file",
        ) from error


def purpose_of(campaign: Campaign, options: Mapping[str, object]) -> Purpose:
    """What a cluster must know of the campaign that it is to compute."""

    def peak_bytes() -> int:
        return forecast_of(campaign, options).peak_worker_bytes

    files = tuple(file for scan in campaign.scans for file in scan.files)
    return Purpose(campaign.name, campaign.path.parent, campaign.store, files, software_versions(), peak_bytes)


@cache
def software_versions() -> dict[str, str]:
    """Versions of Python, of stxmdist and of the libraries that numbers depend on."""
    from stxmdist import __version__

    return {
        "python": platform.python_version(),
        "stxmdist": __version__,
        "platform": platform.platform(),
    } | {name: version(name) for name in RECORDED}


__all__ = [
    "CAMPAIGN",
    "CampaignRun",
    "RunRequest",
    "RunSummary",
    "StageSummary",
    "campaign_and_options",
    "cluster_spec",
    "purpose_of",
    "software_versions",
]
