"""Run one stage: look up what is done, compute what is missing, publish what is whole."""

import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from storage.bucket import BucketError
from storage.errors import Overtaken
from storage.levels import write_levels
from storage.output import Output
from storage.ownership import check_disjoint, unowned
from storage.publication import Publication, PublishedScan
from storage.store import Store
from stxmdist.errors import Explained, StoreError
from stxmdist.logs import about, log
from stxmdist.records import Json, figures_of, from_json
from stxmdist.runner import CAMPAIGN
from stxmdist.runner.lanes import NOTHING_BEYOND, Beyond
from stxmdist.runner.over_dask import computed_on_dask
from stxmdist.runner.perform import perform, refusal_of
from stxmdist.runner.unit import AnyUnit, Plan, Receipt, Refusal, StageReport, receipts_of

if TYPE_CHECKING:
    from distributed import Client


class RunnableSurvey(Protocol):
    """What the runner asks of a survey; ``stxmdist.planning.survey.Survey`` is one."""

    def options_as_dict(self, stage: str, scan_id: str | None = None) -> Mapping[str, Json]:
        """Options of a stage, for a scan or for the campaign as a whole, in JSON-able form."""
        ...


SurveyT = TypeVar("SurveyT", bound=RunnableSurvey, contravariant=True)
OptionsT = TypeVar("OptionsT", contravariant=True)
MeasuresT = TypeVar("MeasuresT")


class RunnableStage(Protocol[SurveyT, OptionsT, MeasuresT]):
    """What the runner asks of a stage; ``stxmdist.planning.survey.Stage`` is one."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int: ...

    @property
    def measures(self) -> type[MeasuresT]:
        """The record of what its units measure."""
        ...

    @property
    def plan(self) -> Callable[[SurveyT, OptionsT], Plan]:
        """Survey and options to units."""
        ...

    @property
    def finish(self) -> Callable[[SurveyT, Mapping[str, Sequence[MeasuresT]]], Mapping[str, object]]:
        """Survey, and scan to what its units measured; returns scan to its quality figures."""
        ...

    @property
    def finished_every_run(self) -> bool:
        """Whether ``finish`` has something to do for scans that were published before, too."""
        ...


@dataclass(frozen=True)
class Progress:
    """How far a stage is; sent after every unit."""

    stage: str
    done: int
    failed: int
    skipped: int
    total: int
    seconds: float
    scan_id: str = ""
    """Of the unit that ended last, at first of the one that is computed first; empty where there is none"""


Watcher: TypeAlias = Callable[[Progress], None]
ClientOf: TypeAlias = Callable[[], "Client"]
"""Gives the Dask client; the cluster is started when it is first asked for."""


def nobody_watches(progress: Progress) -> None:
    """The watcher of runs that nobody looks at."""


@dataclass(frozen=True)
class RunRecord:
    """What is recorded with every publication beside the result itself."""

    seed: int
    software: Mapping[str, str]


def run_stage(
    stage: RunnableStage[SurveyT, OptionsT, MeasuresT],
    survey: SurveyT,
    options: OptionsT,
    store: Store,
    record: RunRecord,
    *,
    client: ClientOf | None,
    watch: Watcher = nobody_watches,
    retry: bool = False,
    keep: frozenset[str] = frozenset(),
    known: frozenset[str] = frozenset(),
    theirs: Callable[[], frozenset[str]] = frozenset,
    beyond: Beyond = NOTHING_BEYOND,
) -> StageReport:
    """Plan a stage, compute the units that are missing, and publish what is whole with one atomic write.

    ``client`` gives a Dask client, or is None to compute here; ``beyond`` knows more of its cluster. A scan with a
    failed unit is published as failed: later stages leave it out and the rest of the campaign goes on. With ``retry``,
    units set aside by an earlier run are tried again. Scans in ``keep`` are not looked at; what was published of them
    stays published. Where the store cannot be written (a full disk), the units concerned are refused and what was
    published stays. What was published also stays where no scan is whole this time, as long as it is of scans in
    ``known``, those that are still in the campaign. Another process may publish scans beside this run: those that
    ``theirs`` says when this run publishes, and those of which nothing was published before, stay as that process left
    them.

    Raises
    ------
    StoreError
        for a plan in which a shard has two owners, or none.
    """
    earlier = _published(store, stage.name)
    began = time.perf_counter()
    try:
        plan = stage.plan(survey, options)
    except Explained as error:
        # The stage stays as it was published; the others go on with that.
        refusal = Refusal(CAMPAIGN, "plan", **error.as_dict())
        return StageReport(stage.name, 0, 0, 0, (refusal,), 0, time.perf_counter() - began, 0)
    units_asked = [unit for unit in plan.units if unit.scan_id not in keep]
    by_scan: dict[str, list[AnyUnit]] = defaultdict(list)
    for unit in units_asked:
        by_scan[unit.scan_id].append(unit)
    settled = frozenset() if stage.finished_every_run else _settled(by_scan, earlier)
    found, set_aside, todo = _sorted_out(
        {scan_id: units for scan_id, units in by_scan.items() if scan_id not in settled}, retry
    )
    refusals = [*(refusal for refusal in plan.refusals if refusal.scan_id not in keep), *set_aside]
    skipped = found + sum(len(by_scan[scan_id]) for scan_id in settled)
    done = failed = peak = published = 0
    watch(Progress(stage.name, 0, 0, skipped, len(units_asked), 0.0, todo[0].scan_id if todo else ""))
    for unit, outcome in _compute(todo, client, beyond):
        if isinstance(outcome, Receipt):
            peak = max(peak, outcome.peak_rss_bytes)
            done += 1
        else:
            _set_aside(unit, outcome)
            refusals.append(outcome)
            failed += 1
        seconds = time.perf_counter() - began
        watch(Progress(stage.name, done, failed, skipped, len(units_asked), seconds, unit.scan_id))

    try:
        published = _publish_beside_others(
            lambda: theirs() | frozenset(_published(store, stage.name).keys() - earlier.keys()),
            lambda others: _publish(stage, survey, store, record, by_scan, settled, keep, known, others),
            store,
        )
    except StoreError as error:
        refusals.append(Refusal(CAMPAIGN, "publication", **error.as_dict()))
    return StageReport(
        stage=stage.name,
        units_total=len(units_asked),
        units_skipped=skipped,
        units_run=done,
        refusals=tuple(refusals),
        scans_published=published,
        seconds=time.perf_counter() - began,
        peak_rss_bytes=peak,
    )


def _set_aside(unit: AnyUnit, refusal: Refusal) -> None:
    with about(scan=unit.scan_id, unit=unit.name):
        log.warning("set aside: %s", refusal.sentence)
    try:
        unit.output().quarantine(unit.name, vars(refusal))
    except BucketError:
        # Every other unit would wait as long for a server that is away.
        raise
    except StoreError:
        # On a full disk the record has no room either: the unit is then simply missing, and tried by the next run.
        return


def _settled(by_scan: Mapping[str, Sequence[AnyUnit]], published: Mapping[str, PublishedScan]) -> frozenset[str]:
    """Scans that were published as they are planned now, and of which every unit is there still.

    Of each a single receipt is read, so that a run with nothing to do costs little where there are many units.
    """
    return frozenset(
        scan_id
        for scan_id, units in by_scan.items()
        if (scan := published.get(scan_id)) is not None
        and (scan.state, scan.digest) == ("done", units[0].digest)
        and _is_there(units)
    )


def _is_there(units: Sequence[AnyUnit]) -> bool:
    output, first = units[0].output(), units[0].name
    if not output.done() >= {unit.name for unit in units}:
        return False
    # Where another version of the program has left receipts in another format, none of an output is in this one's.
    written = output.receipt(first)
    return written is not None and Receipt.from_dict(written) is not None


def _sorted_out(by_scan: Mapping[str, Sequence[AnyUnit]], retry: bool) -> tuple[int, list[Refusal], list[AnyUnit]]:
    """How many are done, the refusals of what is set aside, and what is left to do, its arrays declared."""
    _refuse_unsound(by_scan)
    n_done = 0
    refusals: list[Refusal] = []
    todo: list[AnyUnit] = []
    for scan_id, units in by_scan.items():
        output = units[0].output()
        finished = receipts_of(output).keys()
        for name in output.done() - finished:
            # Another version of the program left a receipt in another format.
            output.forget(name)
        if retry:
            output.release(None)
        set_aside = output.quarantined()
        missing = [unit for unit in units if unit.name not in finished]
        n_done += len(units) - len(missing)
        refusals += [Refusal.from_dict(set_aside[unit.name]) for unit in missing if unit.name in set_aside]
        fresh = [unit for unit in missing if unit.name not in set_aside]
        try:
            if fresh:
                output.declare(list(fresh[0].arrays))
            todo += fresh
        except StoreError as error:
            refusals.append(Refusal(scan_id, "arrays", **error.as_dict()))
    return n_done, refusals, todo


def _refuse_unsound(by_scan: Mapping[str, Sequence[AnyUnit]]) -> None:
    """Every shard of every output has one owner: two lose data without a word, none leaves a hole."""
    for units in by_scan.values():
        owners = check_disjoint((unit.name, unit.owns) for unit in units)
        layouts = {plan.name: plan.layout() for plan in units[0].arrays}
        if holes := unowned(owners, {name: (layout.shape, layout.shards) for name, layout in layouts.items()}):
            raise StoreError(
                where=f"{units[0].stage} of {units[0].scan_id}",
                problem="shards that no unit writes",
                got=", ".join(f"{name} {index}" for name, index in holes[:5]),
                wanted="one unit for each shard",
                mend="Correct the stage's plan",
            )


def _compute(
    todo: Sequence[AnyUnit], client: ClientOf | None, beyond: Beyond
) -> Iterable[tuple[AnyUnit, Receipt | Refusal]]:
    if not todo:
        return
    if client is None:
        for unit in todo:
            try:
                yield unit, perform(replace(unit, arrays=()))
            except Exception as error:  # whatever failed is recorded with its unit, and the other units run
                yield unit, refusal_of(unit, error, traceback.format_exc())
        return
    yield from computed_on_dask(todo, client(), beyond)


def _publish_beside_others(
    others: Callable[[], frozenset[str]], publish: Callable[[frozenset[str]], int], store: Store
) -> int:
    # Once more where another run has published meanwhile: what it did then stays as well.
    while True:
        with suppress(Overtaken), store.publishing():
            return publish(others())


def _published(store: Store, stage: str) -> Mapping[str, PublishedScan]:
    try:
        publication = store.publication(stage)
    except BucketError:
        raise
    except StoreError:
        # One that cannot be read is refused where it is written.
        return {}
    return {} if publication is None else publication.scans


def _publish(
    stage: RunnableStage[SurveyT, OptionsT, MeasuresT],
    survey: SurveyT,
    store: Store,
    record: RunRecord,
    every: Mapping[str, Sequence[AnyUnit]],
    settled: frozenset[str],
    keep: frozenset[str],
    known: frozenset[str],
    others: frozenset[str],
) -> int:
    by_scan, keep = {scan_id: units for scan_id, units in every.items() if scan_id not in others}, keep | others
    before = store.publication(stage.name)
    earlier: Mapping[str, PublishedScan] = {} if before is None else before.scans
    options = survey.options_as_dict(stage.name)
    scans: dict[str, PublishedScan] = {}
    for scan_id, units in by_scan.items():
        own = survey.options_as_dict(stage.name, scan_id)
        said = {} if own == options else own
        there = earlier.get(scan_id)
        if scan_id in settled and there is not None and there.digest == units[0].digest:
            scans[scan_id] = there if there.options == said else replace(there, options=said)
        # A full disk may not even have had room for the folder.
        elif units[0].output().path.is_dir():
            scans[scan_id] = _published_scan(stage, survey, units, there, said)
    whole = sum(scan.state == "done" for scan in scans.values())
    if not whole and any(scan.state == "done" for name, scan in earlier.items() if name in known):
        return 0
    scans = {name: scan for name, scan in earlier.items() if name in keep and name not in scans} | scans
    if before is None or earlier != scans or before.version != stage.version:
        store.publish(
            Publication(
                stage=stage.name,
                version=stage.version,
                options=options,
                seed=record.seed,
                time=datetime.now(UTC).isoformat(timespec="seconds"),
                software=dict(record.software),
                scans=scans,
            ),
            before,
        )
    return whole


def _published_scan(
    stage: RunnableStage[SurveyT, OptionsT, MeasuresT],
    survey: SurveyT,
    units: Sequence[AnyUnit],
    before: PublishedScan | None,
    options: Mapping[str, Json],
) -> PublishedScan:
    """What is published of a scan, from the receipts of its units: the memory holds those of one scan at a time."""
    scan_id, output = units[0].scan_id, units[0].output()
    found = receipts_of(output)
    receipts = {unit.name: found[unit.name] for unit in units if unit.name in found}
    whole = len(receipts) == len(units)
    quality: Mapping[str, object] = {}
    if whole:
        measured = [from_json(stage.measures, receipt.measures) for receipt in receipts.values()]
        quality = stage.finish(survey, {scan_id: measured})
    return PublishedScan(
        digest=output.digest,
        state="done" if whole else "failed",
        quality=figures_of(quality.get(scan_id)),
        units_done=len(receipts),
        units_failed=len(units) - len(receipts),
        seconds=sum(receipt.seconds for receipt in receipts.values()),
        core_seconds=sum(receipt.core_seconds for receipt in receipts.values()),
        bytes=sum(unit.estimate.bytes_out for unit in units),
        inputs={f"{source.stage}/{source.scan_id}": source.digest for source in units[0].sources},
        files=_files(output, receipts, before, whole),
        options=options,
    )


def _files(
    output: Output, receipts: Mapping[str, Receipt], before: PublishedScan | None, whole: bool
) -> Mapping[str, str]:
    """Path to sha256 of what units wrote and, of an output that is whole, of what describes it: axes and metadata."""
    written = {path: sha for receipt in receipts.values() for path, sha in receipt.files.items()}
    if not whole:
        return written
    if before is not None and before.digest == output.digest and before.files.items() >= written.items():
        return before.files
    write_levels(output)
    return output.inventory(written)
