"""Names, artifacts and forms on Prefect's pages say which campaign, which stage, and what may be chosen."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from flows.environment import DASHBOARD_VARIABLE, prepare_environment
from flows.parameters import KINDS, described, options_schema
from stxmdist.campaign.manifest import load
from stxmdist.planning.described_options import described_stage
from stxmdist.planning.options import parse_options
from stxmdist.planning.stages import STAGES
from stxmdist.runner.unit import Refusal, StageReport

prepare_environment()

from flows.shown import key_of, links_of, name_of_run, stage_line  # noqa: E402 (Prefect reads its settings on import)


def test_a_run_is_named_by_its_campaign_and_what_was_asked_of_it(simulated: Path, tmp_path: Path) -> None:
    name = load(simulated, lenient=True).name
    asked: dict[str, Any] = {"path": str(simulated), "stages": None, "scans": None, "retry": False}
    assert name_of_run(asked) == name
    assert name_of_run(asked | {"stages": ["ingest", "fit"]}) == f"{name}: ingest, fit"
    many = [f"s{n}" for n in range(17)]
    assert name_of_run(asked | {"stages": ["fit"], "scans": many, "retry": True}) == f"{name}: fit, 17 scans, retry"
    assert name_of_run({"path": str(tmp_path / "beamtime-7" / "campaign.yaml")}) == "beamtime-7"


def test_keys_of_artifacts_are_as_the_server_wants_them() -> None:
    assert key_of("LiₓFePO₄: Rate series (May 2026)", "not-done") == "li-fepo-rate-series-may-2026-not-done"


def test_a_line_says_what_became_of_a_stage() -> None:
    refusal = Refusal("s1", "rows-0", "here", "broken", "this", "that", "Mend it")
    report = StageReport("fit", 30, 3, 26, (refusal,), 4, 12.34, 0)
    assert stage_line(report) == "fit: 26 units done, 3 done before, 1 failed, 12.3 s; published in part (4 outputs)"


def test_links_lead_to_the_report_and_to_the_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome: Any = {"report": str(tmp_path / "a b" / "index.html")}
    monkeypatch.setenv(DASHBOARD_VARIABLE, "http://127.0.0.1:4242/{folder}/")
    report, pages = links_of(outcome, str(tmp_path / "may" / "campaign.yaml"))
    assert report == f"[Report](file://{tmp_path}/a%20b/index.html)"
    assert pages == "[Dashboard](http://127.0.0.1:4242/may/)"
    monkeypatch.delenv(DASHBOARD_VARIABLE)
    assert links_of({"report": None}, "campaign.yaml") == []  # type: ignore[typeddict-item]


def test_the_form_offers_stages_scans_and_every_option_with_its_meaning(simulated: Path) -> None:
    campaign = load(simulated, lenient=True)
    made = {"stages": {"title": "stages", "position": 1, "anyOf": []}, "scans": {"position": 2}, "retry": {}}
    shown: Any = described(made, campaign)  # type: ignore[arg-type]
    assert shown["stages"]["items"]["enum"] == list(STAGES)
    assert shown["stages"]["position"] == 1
    assert shown["scans"]["items"]["anyOf"][0]["enum"] == [scan.scan_id for scan in campaign.scans]
    assert all(each["description"] for each in shown.values())
    schema: Any = options_schema()
    for stage in STAGES:
        for option in described_stage(stage):
            found = schema
            for part in option.key.split(".")[1:]:
                found = found["properties"][part]
            assert found["description"], option.key
            assert option.group or not option.choices or option.default is None or found["enum"] == [*option.choices]


def test_what_the_form_takes_the_stages_take(simulated: Path) -> None:
    """The defaults of all options whose type the form knows pass its check and that of the stages."""
    options: dict[str, Any] = {}
    for stage in STAGES:
        for option in described_stage(stage):
            if option.wanted in KINDS and option.default is not None:
                *groups, name = option.key.split(".")[1:]
                within = options
                for group in groups:
                    within = within.setdefault(group, {})
                within[name] = option.default
    jsonschema.validate(options, options_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"fit": {"no_such_option": 1}}, options_schema())
    _, problems = parse_options(load(simulated, lenient=True))
    assert problems == []
