"""What is published and is not what the campaign asks for now: it stays shown, and is named, until a run renews it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from storage.publication import Publication, PublishedScan
from stxmdist.planning.published import TABLES_STAGE, sources_of
from stxmdist.planning.survey import Survey
from stxmdist.records import Json
from stxmdist.runner import CAMPAIGN

ANCHOR = "fit"
"""The stage whose maps a reader came for: where outputs of a scan do not fit together, those that fit them are kept."""
REPORT = "report"
"""Made of what is published: it is never out of date by itself"""
RESTS = "rests on what is out of date"

Key = tuple[str, str]
"""(stage, scan)"""


@dataclass(frozen=True)
class Outdated:
    """The published outputs of a stage that were made in another way than is asked for now."""

    stage: str
    scans: tuple[str, ...]
    why: str
    """In words that follow the name of the stage; ``RESTS`` where only what it read is another"""


def outdated(survey: Survey) -> tuple[Outdated, ...]:
    """What is out of date, in the order of the stages, those of one stage and reason together."""
    found: dict[tuple[str, str], list[str]] = {}
    unreadable = {refusal.scan_id for refusal in survey.refusals}
    published = _done(survey)
    for (stage, scan_id), scan in published.items():
        if scan_id in survey.scans or scan_id == CAMPAIGN:
            if survey.stopped(stage, scan_id):
                found.setdefault((stage, "is of scans that are refused now"), []).append(scan_id)
            elif scan.digest != survey.digest(stage, scan_id):
                why = _why(survey, survey.publication(stage), scan, stage, scan_id)
                found.setdefault((stage, why), []).append(scan_id)
        elif scan_id in unreadable:
            found.setdefault((stage, "is of files that cannot be read now"), []).append(scan_id)
    return tuple(Outdated(stage, tuple(scans), why) for (stage, why), scans in found.items())


def sentences(found: Sequence[Outdated]) -> tuple[str, ...]:
    """What is out of date and what to do, for people; empty where nothing is."""
    if not found:
        return ()
    by_why: dict[str, list[str]] = {}
    for each in found:
        by_why.setdefault(each.why, []).append(_named(each))
    # What rests on the others comes after them.
    reasons = sorted(by_why, key=lambda why: why == RESTS)
    return (
        "Out of date: what is shown was not made as the campaign asks for now. `stxmdist run` brings it up to date.",
        *(f"{', '.join(by_why[why])}: {why}." for why in reasons),
    )


def _named(each: Outdated) -> str:
    if each.scans == (CAMPAIGN,):
        return "the tables" if each.stage == TABLES_STAGE else each.stage
    few = each.scans if len(each.scans) <= 3 else (f"{len(each.scans)} scans",)
    return f"{each.stage} of {' and '.join(few)}"


def shown(survey: Survey) -> dict[Key, str]:
    """(stage, scan) to digest of all published outputs that fit together, out of date or not."""
    if survey.forecast:
        planned = [key for key in _concerned(survey) if key[1] in survey.scans or key[1] == CAMPAIGN]
        return {(stage, name): survey.digest(stage, name) for stage, name in planned}
    return coherent(_done(survey))


def coherent(published: Mapping[Key, PublishedScan]) -> dict[Key, str]:
    """Of published outputs, those that belong together: (stage, scan) to digest, in the order of the stages.

    A run that was interrupted, or of one stage alone, leaves outputs beside one another that were made with other
    options: images on one grid, and labels on another. For every scan the maps of the fit count, what they were made
    from, and what was made from that; without a fit, the output that came furthest. Tables stand by themselves.
    """
    furthest: dict[str, Key] = {}
    for stage, scan_id in published:
        if furthest.get(scan_id, ("", ""))[0] != ANCHOR:
            furthest[scan_id] = (stage, scan_id)
    kept: dict[Key, str] = {}
    pending = list(furthest.values())
    while pending:
        key = pending.pop()
        if key in kept:
            continue
        kept[key] = published[key].digest
        if key[1] != CAMPAIGN:
            pending += [source for source, digest in _sources(published[key]) if _is(published.get(source), digest)]
    for key, scan in published.items():
        sources = _sources(scan)
        fits = all(kept.get(source, digest) == digest for source, digest in sources)
        if key[1] == CAMPAIGN or (fits and any(source in kept for source, _ in sources)):
            kept[key] = scan.digest
    return {key: kept[key] for key in published if key in kept}


def _sources(scan: PublishedScan) -> list[tuple[Key, str]]:
    return [((stage, of_scan), digest) for stage, of_scan, digest in sources_of(scan)]


def _is(scan: PublishedScan | None, digest: str) -> bool:
    return scan is not None and scan.digest == digest


def _concerned(survey: Survey) -> Iterator[Key]:
    """Stages and scans that are in the campaign now, in the order of the stages; of files that can be read or not."""
    for stage in survey.stages:
        member = survey.stage(stage)
        if stage == REPORT:
            continue
        if member.whole_campaign:
            yield stage, CAMPAIGN
            continue
        for scan in survey.campaign.scans:
            # Each scan is asked for: reconstruct, stitch and register concern only some.
            if scan.scan_id not in survey.scans or member.concerns(survey, scan.scan_id):
                yield stage, scan.scan_id


def _done(survey: Survey) -> dict[Key, PublishedScan]:
    """What is published whole of what is in the campaign now."""
    publications = {stage: survey.publication(stage) for stage in survey.stages}
    found: dict[Key, PublishedScan] = {}
    for stage, name in _concerned(survey):
        publication = publications[stage]
        scan = None if publication is None else publication.scans.get(name)
        if scan is not None and scan.state == "done":
            found[stage, name] = scan
    return found


def _why(survey: Survey, publication: Publication | None, scan: PublishedScan, stage: str, scan_id: str) -> str:
    assert publication is not None
    if publication.version != survey.stage(stage).version:
        return "was computed by an earlier version of stxmdist"
    now = survey.options_as_dict(stage, None if scan_id == CAMPAIGN else scan_id)
    changes = differences(scan.options or publication.options, now)
    if changes:
        return f"was made with other options ({', '.join(changes)})"
    planned = {(source.stage, source.scan_id): source.digest for source in survey.sources(stage, scan_id)}
    if planned != dict(_sources(scan)):
        return RESTS
    return "was made from other files, references or rows of the sample sheet"


def differences(before: Mapping[str, Json], now: Mapping[str, Json], above: str = "") -> list[str]:
    """What differs between the options of a stage: ``background was none, is auto`` each, with its place in dots."""
    found: list[str] = []
    for name in [*before, *(name for name in now if name not in before)]:
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{above}{name}.")
        elif _plain(old) != _plain(new):
            found.append(f"{above}{name} was {_said(old)}, is {_said(new)}")
    return found


def _plain(value: Json) -> Json:
    # Options hold tuples, and their record in JSON lists.
    return list(map(_plain, value)) if isinstance(value, list | tuple) else value


def _said(value: Json) -> str:
    return "not given" if value is None else str(value)
