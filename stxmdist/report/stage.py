"""Report: all that is published of a campaign becomes figures and one HTML page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from storage.publication import Publication
from storage.tables import publish_folder
from stxmdist import __version__
from stxmdist.campaign.scan import COLUMNS, Scan
from stxmdist.planning.end_members import end_member_source
from stxmdist.planning.exclusions import exclusions
from stxmdist.planning.grid import grid_of
from stxmdist.planning.survey import Stage, Survey
from stxmdist.runner import CAMPAIGN
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Refusal, Unit
from stxmdist.runner.writing import ShardWriter

NAME = "report"

FOLDER = "report"
"""Inside the output: what the store's link shows."""

DRAWING_BYTES = 230_000_000
"""What matplotlib holds for the largest figure, the gallery, beside the one image that is read."""


@dataclass(frozen=True)
class Options:
    """How much is drawn; the tables beside always hold everything."""

    most_regions: int = 12
    """Regions in the gallery"""
    most_previews: int = 24
    """Scans that were read and not fitted"""
    picture_px: int = 320
    """Longest side of a map on the page"""


def upstream(survey: Survey, scan_id: str) -> tuple[tuple[str, str], ...]:
    """Whatever is published: a report is made of what there is, and says what is missing."""
    return tuple((stage, name) for stage, name in _published(survey) if name == CAMPAIGN or name in survey.scans)


def concerns(survey: Survey, scan_id: str) -> bool:
    """The campaign as a whole."""
    return scan_id == CAMPAIGN


def identity(survey: Survey, scan_id: str) -> Any:
    """The campaign's name and rows, what is published, and the reasons for what is not."""
    about = _about(survey)
    return {key: about[key] for key in ("name", "scans", "excluded", "exclusions", "published", "seed")}


def plan(survey: Survey, options: Options) -> Plan:
    """One unit: the page."""
    # Imported here: it knows the cluster, which a worker that draws does not need.
    from stxmdist.planning.execute import software_versions

    index = _about(survey) | {"software": software_versions()}
    grids = [grid_of(survey, scan_id) for scan_id in survey.scans]
    pixels = max((grid.ny * grid.nx for grid in grids), default=0)
    n = len(survey.scans)
    unit = survey.unit(
        NAME,
        CAMPAIGN,
        "page",
        part=index,
        estimate=Estimate(5_000_000, peak_bytes=DRAWING_BYTES + pixels * 24, core_seconds=11.0 + 0.8 * min(n, 100)),
    )
    return Plan((unit,))


def _about(survey: Survey) -> dict[str, Any]:
    """What the page needs of the campaign beside the store."""
    campaign = survey.campaign
    return {
        "name": campaign.name,
        "seed": campaign.seed,
        "scans": [_row(scan) for scan in campaign.scans],
        "excluded": [_row(scan) for scan in campaign.excluded],
        "exclusions": [asdict(row) for row in exclusions(survey)] + _of_infer(survey),
        "published": [[stage, name, digest] for (stage, name), digest in _published(survey).items()],
        "references": {scan_id: end_member_source(survey, scan_id) for scan_id in survey.scans},
    }


def _row(scan: Scan) -> dict[str, Any]:
    return {name: getattr(scan, name) for name in COLUMNS} | {"file": scan.cell}


def _of_infer(survey: Survey) -> list[dict[str, Any]]:
    """Why there are no tables, where inference itself failed."""
    set_aside = survey.output("infer", CAMPAIGN).quarantined()
    return [
        {"what": "unit", "scan_id": CAMPAIGN, "stage": "infer", "where": name, "why": refusal.sentence, "n": 1}
        for name, refusal in ((name, Refusal.from_dict(why)) for name, why in set_aside.items())
    ]


def _published(survey: Survey) -> dict[tuple[str, str], str]:
    """(stage, scan) to digest of every output that is published as it is planned now.

    Scans that a run was told to leave alone (``--scan``) keep what was published of them, with its digest.
    """
    refused = {refusal.scan_id for refusal in survey.refusals}
    left_alone = {scan.scan_id for scan in survey.campaign.scans} - set(survey.scans) - refused
    found: dict[tuple[str, str], str] = {}
    for stage in survey.stages:
        if stage == NAME:
            continue
        member = survey.stage(stage)
        publication = None if survey.forecast else survey.store.publication(stage)
        # Each scan is asked for: reconstruct, stitch and register concern only some.
        concerned = [name for name in survey.scans if not member.whole_campaign and member.concerns(survey, name)]
        for name in [*concerned, *([CAMPAIGN] if member.whole_campaign else [])]:
            if survey.forecast or _is_published(publication, name, survey.digest(stage, name)):
                found[stage, name] = survey.digest(stage, name)
        for name in sorted(left_alone):
            if publication is not None and name in publication.scans and publication.scans[name].state == "done":
                found[stage, name] = publication.scans[name].digest
    return found


def _is_published(publication: Publication | None, name: str, digest: str) -> bool:
    scan = publication.scans.get(name) if publication is not None else None
    return scan is not None and scan.state == "done" and scan.digest == digest


def work(unit: Unit) -> Outcome:
    """Draw every figure and write the page, one image in memory at a time."""
    # Drawing is imported by the worker that draws, not by those who plan.
    from stxmdist.report.canvas import Picture
    from stxmdist.report.evidence import Evidence
    from stxmdist.report.page import render, sections

    options: Options = unit.options
    evidence = Evidence.of(unit)
    parts = sections(evidence, options.most_regions, options.most_previews, options.picture_px)
    page = render(evidence, parts, __version__).encode()
    write = ShardWriter(unit)
    files = {f"{FOLDER}/index.html": page}
    pictures = [item for section in parts for item in section.items if isinstance(item, Picture)]
    files |= {f"{FOLDER}/{picture.file}": picture.content for picture in pictures}
    for name, content in files.items():
        write.keep(write.output.path / write.output.put(name, content))
    return write.outcome(
        {"figures": len(pictures), "page_bytes": len(page), "names": [picture.name for picture in pictures]}
    )


def finish(survey: Survey, measured: Mapping[str, Sequence[Any]]) -> Mapping[str, Any]:
    """Show the page."""
    if CAMPAIGN in measured:
        publish_folder(survey.store, NAME, survey.output(NAME, CAMPAIGN).path / FOLDER)
    return {scan_id: units[0] for scan_id, units in measured.items()}


STAGE = Stage(
    name=NAME,
    version=2,
    options=Options,
    measures=dict,
    upstream=upstream,
    plan=plan,
    work=work,
    concerns=concerns,
    whole_campaign=True,
    identity=identity,
    finish=finish,
    worker_bytes=660_000_000,
)
