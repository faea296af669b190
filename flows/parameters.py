"""What may be asked of the deployments of a campaign, as Prefect's form shows it: choices, meanings, every option."""

from collections.abc import Sequence

from stxmdist.campaign.manifest import Campaign
from stxmdist.planning.described_options import DescribedOption, described_stage
from stxmdist.planning.stages import STAGES
from stxmdist.records import Json

Schema = dict[str, Json]
"""JSON Schema, as far as Prefect's forms know it"""

MEANINGS = {
    "path": "The campaign file.",
    "stages": "Only these stages, each with what is missing of it; none: all of them.",
    "scans": "Only these scans; none: all of them.",
    "cluster": "`inline`, a number of workers, or the address of a Dask scheduler; none: the one that is served.",
    "retry": "Try the units again that failed before and were set aside.",
    "options": "Options of stages for this run, above those of the campaign file; what is not named stays as it is.",
    "dry_run": "Only say what would be removed.",
}
MOST_SCANS = 500
"""A form that offers more is slower than typing"""
KINDS: dict[str, Schema] = {
    "a number": {"type": "number"},
    "a whole number": {"type": "integer"},
    "true or false": {"type": "boolean"},
    "text": {"type": "string"},
}
"""What is wanted of an option, in words, to its type; whatever else is wanted is written as JSON"""


def described(properties: dict[str, Schema], campaign: Campaign) -> dict[str, Schema]:
    """The parameters of a flow, with what each means and what may be chosen in a campaign."""
    choices: dict[str, Schema] = {"stages": _some_of(_one_of(tuple(STAGES))), "options": options_schema()}
    scans = tuple(scan.scan_id for scan in campaign.scans)
    if 0 < len(scans) <= MOST_SCANS:
        # The sheet may have new rows by the time somebody asks: other names are not refused here, but by the run.
        choices["scans"] = _some_of({"anyOf": [_one_of(scans), {"type": "string", "title": "another scan"}]})
    return {
        name: _kept(found) | choices[name] | _meaning(name) if name in choices else found | _meaning(name)
        for name, found in properties.items()
    }


def options_schema() -> Schema:
    """Every option of every stage, grouped as in a campaign file."""
    stages: dict[str, Json] = {}
    for stage in STAGES:
        within: dict[str, Schema] = {f"stages.{stage}": _group(f"Options of {stage}.")}
        for option in described_stage(stage):
            above, _, name = option.key.rpartition(".")
            within[option.key] = _group(option.meaning) if option.group else _option(option)
            members = within[above]["properties"]
            assert isinstance(members, dict)
            members[name] = within[option.key]
        if within[f"stages.{stage}"]["properties"]:
            stages[stage] = within[f"stages.{stage}"]
    return {"type": "object", "properties": stages, "additionalProperties": False}


def _option(option: DescribedOption) -> Schema:
    unit = "" if option.unit in ("", "1") else f", in {option.unit}"
    words = f"{option.meaning.rstrip('.')}. {option.wanted}{unit}; {option.default_text} where nothing is written."
    # No default stands here: a form would send it, and with it stand above what the campaign file says.
    kind = _one_of(option.choices) if option.choices and option.default is not None else KINDS.get(option.wanted, {})
    return {**kind, "description": words.removeprefix(". ")}


def _group(meaning: str) -> Schema:
    return {"type": "object", "description": meaning, "properties": {}, "additionalProperties": False}


def _one_of(names: Sequence[str]) -> Schema:
    return {"type": "string", "enum": list(names)}


def _some_of(items: Schema) -> Schema:
    return {"type": "array", "items": items, "uniqueItems": True}


def _kept(found: Schema) -> Schema:
    return {key: found[key] for key in ("title", "default", "position") if key in found}


def _meaning(name: str) -> Schema:
    return {"description": MEANINGS[name]}
