"""What people see of a run on Prefect's pages: names, lines of its log, and artifacts with links."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from flows.environment import DASHBOARD_VARIABLE, FOLDER
from stxmdist.campaign.yamltext import read_yaml
from stxmdist.errors import Explained
from stxmdist.logs import place_of
from stxmdist.planning.execute import RunSummary
from stxmdist.runner.unit import StageReport

MOST_LINES = 20
"""Of refusals in a log; the table `not-done` has all"""


def campaign_name(path: str | Path) -> str:
    """The name that a campaign file gives itself; of one that cannot be read, its folder's."""
    try:
        name = read_yaml(Path(path)).keys.get("name")
    except Explained:
        name = None
    return name if isinstance(name, str) and name else Path(path).resolve().parent.name


def run_name() -> str:
    """Of a flow run: its campaign, and the stages and scans that were asked for where that is not all."""
    return name_of_run(flow_run.get_parameters())


def name_of_run(parameters: Mapping[str, object]) -> str:
    """As `run_name`, of a run with these parameters."""
    name = campaign_name(str(parameters["path"]))
    stages, scans = parameters.get("stages"), parameters.get("scans")
    asked = [_few(one, what) for one, what in ((stages, "stages"), (scans, "scans")) if isinstance(one, list) and one]
    if parameters.get("retry"):
        asked.append("retry")
    return f"{name}: {', '.join(asked)}" if asked else name


def _few(names: list[str], what: str) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} {what}"


def key_of(campaign: str, what: str) -> str:
    """The key of an artifact of a campaign: of every run the newest, under the campaign's name."""
    return re.sub("[^a-z0-9]+", "-", f"{campaign} {what}".casefold()).strip("-")


def log_stage(report: StageReport, campaign: str) -> None:
    """A line of a flow run's log: what became of a stage; and one for each of the first refusals, with its place."""
    log = get_run_logger()
    (log.info if report.complete else log.warning)("%s / %s", campaign, stage_line(report))
    for refusal in report.refusals[:MOST_LINES]:
        named = {"campaign": campaign, "stage": report.stage, "scan": refusal.scan_id, "unit": refusal.unit}
        log.warning("%s: %s", place_of(named), refusal.sentence)
    if len(report.refusals) > MOST_LINES:
        log.warning("and %d more, see the table of what is not done", len(report.refusals) - MOST_LINES)


def stage_line(report: StageReport) -> str:
    """Units done, done before and failed, seconds, and whether the stage is whole, on one line."""
    failed = len(report.refusals)
    verdict = "whole" if report.complete else "in part"
    return (
        f"{report.stage}: {report.units_run} units done, {report.units_skipped} done before, {failed} failed, "
        f"{report.seconds:.1f} s; published {verdict} ({report.scans_published} outputs)"
    )


def show_outcome(outcome: RunSummary, path: str) -> None:
    """Leave the artifacts of a run that is over: its stages, what is not done, and its verdict with links."""
    name, verdict = outcome["campaign"], outcome["verdict"]
    stages = [dict(row) for row in outcome["stages"]]
    create_table_artifact(key=key_of(name, "stages"), table=stages, description=f"Stages of {name}")
    if outcome["refusals"]:
        rows = [{key: refusal[key] for key in ("scan_id", "unit", "sentence")} for refusal in outcome["refusals"]]
        create_table_artifact(
            key=key_of(name, "not-done"), table=rows, description=f"{name}: what is not done, and why"
        )
    poor = [f"- {scan['scan_id']}: {scan['sentence']}" for scan in verdict["by_scan"] if scan["sentence"]]
    links = links_of(outcome, path)
    parts = [f"**{name}**: {outcome['sentence']}.", verdict["sentence"], "\n".join(poor), " · ".join(links)]
    markdown = "\n\n".join(part for part in parts if part)
    create_markdown_artifact(key=key_of(name, "verdict"), markdown=markdown, description=f"Verdict on {name}")
    log = get_run_logger()
    (log.info if outcome["complete"] and verdict["usable"] else log.warning)("Verdict: %s", verdict["sentence"])


def links_of(outcome: RunSummary, path: str) -> list[str]:
    """The report, and the pages where `serve` shows them, in Markdown."""
    links = [] if outcome["report"] is None else [f"[Report]({Path(outcome['report']).absolute().as_uri()})"]
    if pages := os.environ.get(DASHBOARD_VARIABLE):
        links.append(f"[Dashboard]({pages.replace(FOLDER, Path(path).resolve().parent.name)})")
    return links
