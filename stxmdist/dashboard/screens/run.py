"""Run: stages, scans and options to choose, what they cost before the start, and how far the run is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from flows.server import serving
from storage.store import Store
from stxmdist.campaign.manifest import CampaignError, Problem
from stxmdist.commands.going_run import cancel
from stxmdist.commands.run_process import LeftRun, Wanted, last_run, start
from stxmdist.commands.runs import plan
from stxmdist.dashboard.option_form import StageOptions, changes_of, elsewhere, option_form
from stxmdist.dashboard.screen import Page, Screen
from stxmdist.dashboard.snapshot import Snapshot
from stxmdist.dashboard.standing import Light, failed_units
from stxmdist.dashboard.visit import Visit
from stxmdist.errors import InputError, StoreError
from stxmdist.planning.assigned_options import assigned_options
from stxmdist.planning.changed_options import with_changed
from stxmdist.planning.described_options import as_written
from stxmdist.planning.execute import cluster_spec
from stxmdist.planning.forecast import Forecast
from stxmdist.planning.options import parse_options
from stxmdist.planning.stages import STAGES
from stxmdist.runner.run_state import RunState, StageState, run_state

OPTION, STAGE, SCAN = "o.", "stage.", "scan."
"""With which names of fields begin: ``o.fit.fitter``, ``stage.fit``, ``scan.E01``"""
LONGEST_TEXT = 2000
LIGHTS: Mapping[str, Light] = {
    "going": "wait",
    "done": "good",
    "in part": "doubt",
    "cancelled": "doubt",
    "failed": "bad",
}


@dataclass(frozen=True)
class Choice:
    """A stage or a scan that may be chosen."""

    name: str
    chosen: bool
    said: str
    """What there is of it"""


@dataclass(frozen=True)
class StageRow:
    """How far a stage of a run is."""

    name: str
    word: str
    state: StageState | None


@dataclass(frozen=True)
class RunNow:
    """The run that goes on, or that was the last one."""

    run: LeftRun | None
    light: Light
    state: RunState | None
    rows: tuple[StageRow, ...]
    elapsed_seconds: float | None
    elsewhere: str
    """Of a run that was not started here, who it is"""
    prefect: str | None
    """Address of the server that `serve` has started"""


@dataclass(frozen=True)
class Cost:
    """What a run takes."""

    forecast: Forecast
    workers: int

    @property
    def hours(self) -> float:
        """On so many workers."""
        return self.forecast.core_hours / max(1, self.workers)


@dataclass(frozen=True, kw_only=True)
class RunPage(Page):
    """What the template of the screen shows."""

    now: RunNow
    stages: tuple[Choice, ...]
    scans: tuple[Choice, ...]
    options: tuple[StageOptions, ...]
    sought: str
    failed: int
    """Units that were set aside"""
    wanted: Wanted
    fields: Mapping[str, str]
    """Names and values of the form that starts exactly this run"""
    mistakes: tuple[str, ...]
    """Those that stand beside no field"""
    wrong: bool
    cluster_problem: str
    workers_now: str
    cost: Cost | None
    command: str
    keep: str
    """Lines for the campaign file, where options are changed"""
    checked: bool


def page(visit: Visit) -> RunPage:
    """The form in the state of the address, its mistakes, and what the run would take where that is asked for."""
    now, campaign = visit.now, visit.now.campaign
    wanted = wanted_of(now, visit.query)
    problems, cluster_problem = _problems(now, wanted)
    options = option_form(campaign, wanted.options, problems, visit.text("q"))
    wrong = bool(problems or cluster_problem)
    checked = visit.text("check") == "1"
    return RunPage(
        title="Run",
        now=run_now(visit),
        stages=tuple(Choice(name, name in wanted.stages, _published(now, name)) for name in STAGES),
        scans=tuple(Choice(scan_id, scan_id in wanted.scans, _as_far_as(now, scan_id)) for scan_id in now.scans),
        options=options,
        sought=visit.text("q"),
        failed=failed_units(now),
        wanted=wanted,
        fields=dict(_fields(wanted)),
        mistakes=elsewhere(problems, options),
        wrong=wrong,
        cluster_problem=cluster_problem,
        workers_now=campaign.cluster.words,
        cost=_cost(now, wanted) if checked and not wrong else None,
        command=wanted.command(campaign.path),
        keep=_lines(assigned_options(wanted.options.items())),
        checked=checked,
    )


def run_now(visit: Visit) -> RunNow:
    """How far the run is, from its own small file and from what it has printed."""
    campaign = visit.now.campaign
    run, state = last_run(campaign), run_state(Store(campaign.store).local)
    going_on = state is not None and state.ended is None and (run is None or state.process != run.request.process)
    own = state if run is not None and state is not None and state.process == run.request.process else None
    foreign = ""
    if going_on and state is not None and not (run is not None and run.going):
        foreign = f"process {state.process} on {state.host}, begun {state.began}, last heard of {state.written}"
        own = state
    return RunNow(
        run,
        LIGHTS[run.ending] if run else "wait",
        own,
        _rows(own, over=run is not None and not run.going and not foreign),
        _elapsed(own, run),
        foreign,
        _prefect(),
    )


def wanted_of(now: Snapshot, given: Mapping[str, str]) -> Wanted:
    """What a form asks for; of options, what differs from the campaign file."""
    short = {name: text for name, text in given.items() if len(text) <= LONGEST_TEXT and "\0" not in text}
    options = {name.removeprefix(OPTION): text for name, text in short.items() if name.startswith(OPTION)}
    return Wanted(
        stages=tuple(name.removeprefix(STAGE) for name in short if name.startswith(STAGE)),
        scans=tuple(name.removeprefix(SCAN) for name in short if name.startswith(SCAN)),
        options=changes_of(now.campaign, options),
        cluster=short.get("cluster", "").strip(),
        prefect=short.get("prefect") != "no",
        retry=short.get("retry") == "1",
    )


def _start(visit: Visit) -> str:
    """Start what the form asks for; where it has a mistake, show that instead."""
    wanted = wanted_of(visit.now, visit.form)
    problems, cluster_problem = _problems(visit.now, wanted)
    if problems or cluster_problem:
        return visit.link("run", check=1, **_fields_of(wanted))
    start(visit.now.campaign, wanted)
    return visit.link("run")


def _cancel(visit: Visit) -> str:
    cancel(visit.now.campaign)
    return visit.link("run")


def _fields(wanted: Wanted) -> Iterator[tuple[str, str]]:
    yield from ((STAGE + name, "on") for name in wanted.stages)
    yield from ((SCAN + name, "on") for name in wanted.scans)
    yield from ((OPTION + key, text) for key, text in wanted.options.items())
    if wanted.cluster:
        yield "cluster", wanted.cluster
    if not wanted.prefect:
        yield "prefect", "no"
    if wanted.retry:
        yield "retry", "1"


def _fields_of(wanted: Wanted) -> dict[str, object]:
    return dict(_fields(wanted))


def _problems(now: Snapshot, wanted: Wanted) -> tuple[list[Problem], str]:
    """Mistakes in options, stages and scans, in the campaign file's own words; and that of the cluster."""
    campaign = now.campaign
    problems: list[Problem] = []
    if wanted.options:
        problems += parse_options(with_changed(campaign, assigned_options(wanted.options.items())))[1]
    for scan_id in wanted.scans:
        try:
            campaign.scan(scan_id)
        except CampaignError as error:
            problems += error.problems
    for name in wanted.stages:
        try:
            STAGES.require(name)
        except InputError as error:
            problems.append(campaign.problem_at("", error.problem, name, error.wanted, error.mend))
    try:
        cluster_spec(campaign, wanted.cluster or None)
    except InputError as error:
        return problems, error.sentence
    return problems, ""


def _cost(now: Snapshot, wanted: Wanted) -> Cost:
    """The same as ``stxmdist plan`` says of these stages, scans and options."""
    campaign = now.campaign
    options = tuple(sorted(wanted.options.items()))
    forecast = now.once(
        ("forecast", wanted.stages, wanted.scans, options),
        lambda: plan(campaign.path, wanted.stages, wanted.scans, assigned_options(options)),
    )
    inline = wanted.cluster == "inline"
    return Cost(forecast, 1 if inline else cluster_spec(campaign, wanted.cluster or None).most_workers)


def _as_far_as(now: Snapshot, scan_id: str) -> str:
    done = now.published.stages_of(scan_id)
    return f"as far as {done[-1]}" if done else "new"


def _published(now: Snapshot, stage: str) -> str:
    publication = now.published.publications.get(stage)
    if publication is None:
        return "not yet"
    failed = sum(scan.state == "failed" for scan in publication.scans.values())
    return f"{len(publication.scans) - failed} published" + (f", {failed} failed" if failed else "")


def _rows(state: RunState | None, *, over: bool) -> tuple[StageRow, ...]:
    if state is None:
        return ()
    rows = []
    for name in state.asked:
        found = state.stages.get(name)
        if found is None:
            word = "did not begin" if over or state.ended else "waits"
        elif found.ended:
            word = "done" if not found.failed else f"{found.failed} failed"
        else:
            word = "was ended" if over or state.ended else "runs"
        rows.append(StageRow(name, word, found))
    return tuple(rows)


def _elapsed(state: RunState | None, run: LeftRun | None) -> float | None:
    began = state.began if state else run.request.began if run and run.going else None
    if began is None:
        return None
    until = datetime.now(UTC)
    if state is not None and (state.ended or (run is not None and not run.going)):
        until = datetime.fromisoformat(state.ended or state.written)
    return max(0.0, (until - datetime.fromisoformat(began)).total_seconds())


def _prefect() -> str | None:
    try:
        found = serving()
    except (OSError, StoreError):
        return None
    return None if found is None else found.removesuffix("/api")


def _lines(options: Mapping[str, object], depth: int = 1) -> str:
    """Options as lines of a campaign file."""
    lines = []
    for name, value in options.items():
        inside = isinstance(value, Mapping)
        lines.append("  " * depth + f"{name}:" + ("" if inside else f" {as_written(value)}"))
        if isinstance(value, Mapping):
            lines.append(_lines(value, depth + 1))
    return "\n".join(lines)


SCREEN = Screen(page, parts={"progress": run_now}, actions={"start": _start, "cancel": _cancel})
