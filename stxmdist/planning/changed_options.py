"""Options of stages that stand above those of the campaign file, for runs that Python or a form asks for."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from stxmdist.campaign.manifest import Campaign

ChangedOptions: TypeAlias = Mapping[str, Mapping[str, object]]
"""Stage to its options by name, groups of options as mappings: ``{"fit": {"classes": {"most_od": 2.0}}}``"""


def merged(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    """Options with others above them; of a group, only what is named is changed."""
    found = dict(below)
    for name, value in above.items():
        before = found.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        found[name] = merged(before, value) if both else value  # type: ignore[arg-type]
    return found


def merged_stages(below: ChangedOptions, above: ChangedOptions) -> dict[str, Mapping[str, object]]:
    """The options of every stage with others above them."""
    stages = {name: below.get(name) or {} for name in (*below, *(name for name in above if name not in below))}
    return {name: merged(options, above.get(name, {})) for name, options in stages.items()}


def with_changed(campaign: Campaign, changed: ChangedOptions) -> Campaign:
    """A campaign with other options; a mistake in one of them names its key and no line of the file."""
    if not changed:
        return campaign
    keys = {f"stages.{stage}.{name}" for stage, options in changed.items() for name in options}
    keys |= {"", "stages", *(f"stages.{stage}" for stage in changed)}
    lines = {
        key: line
        for key, line in campaign.lines.items()
        if key not in keys and not any(key.startswith(f"{one}.") for one in keys if one.count(".") > 1)
    }
    return replace(campaign, stages=merged_stages(campaign.stages, changed), lines=lines)
