"""The stage ``report``: all that is published of a campaign becomes figures and one HTML page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain

from storage.atomic import plain_json
from storage.tables import publish_folder
from stxmdist import __version__
from stxmdist.campaign.scan import COLUMNS, Scan
from stxmdist.measures import ReportMeasures
from stxmdist.planning.end_members import end_member_source
from stxmdist.planning.exclusions import Exclusion, exclusions
from stxmdist.planning.grid import grid_of
from stxmdist.planning.outdated import outdated, sentences, shown
from stxmdist.planning.published import TABLES_STAGE, simulated_scans
from stxmdist.planning.survey import Stage, Survey, Upstream
from stxmdist.planning.verdict import verdict_of
from stxmdist.records import Json
from stxmdist.report.part import Options, ReportPart
from stxmdist.runner import CAMPAIGN
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Refusal, Unit
from stxmdist.runner.writing import ShardWriter

NAME = "report"

FOLDER = "report"
"""Inside the output: what the store's link shows."""

DRAWING_BYTES = 230_000_000
"""What matplotlib holds for the largest figure, the gallery, beside the one image that is read."""


def upstream(survey: Survey, scan_id: str) -> Upstream:
    """Whatever is published as it is planned now; what else is shown is named in the part, with its digest."""
    return tuple(
        (stage, name)
        for (stage, name), digest in shown(survey).items()
        if (name == CAMPAIGN or name in survey.scans) and digest == survey.digest(stage, name)
    )


def concerns(survey: Survey, scan_id: str) -> bool:
    """The campaign as a whole."""
    return scan_id == CAMPAIGN


def identity(survey: Survey, scan_id: str) -> Json:
    """The campaign's name and rows, what is published, the reasons for what is not, and which scans are simulated."""
    part = part_of(survey)
    return {
        "name": part.name,
        "scans": [_row(scan) for scan in part.scans],
        "excluded": [_row(scan) for scan in part.excluded],
        "exclusions": [asdict(row) for row in part.exclusions],
        "verdict": plain_json(part.verdict.document()),
        "published": [[stage, name, digest] for (stage, name), digest in part.published.items()],
        "outdated": list(part.outdated),
        "seed": part.seed,
        "simulated": sorted(part.simulated),
    }


def _row(scan: Scan) -> dict[str, Json]:
    return {name: getattr(scan, name) for name in COLUMNS} | {"file": scan.cell}


def plan(survey: Survey, options: Options) -> Plan:
    """One unit: the page."""
    # Imported here: it knows the cluster, which a worker that draws does not need.
    from stxmdist.planning.execute import software_versions

    grids = [grid_of(survey, scan_id) for scan_id in survey.scans]
    pixels = max((grid.ny * grid.nx for grid in grids), default=0)
    n = len(survey.scans)
    unit = survey.unit(
        NAME,
        CAMPAIGN,
        "page",
        part=replace(part_of(survey), software=software_versions()),
        estimate=Estimate(
            5_000_000, peak_bytes=DRAWING_BYTES + pixels * 24, core_seconds=22.0 + 1.0 * min(n, 100) + 0.3 * n
        ),
    )
    return Plan((unit,))


def part_of(survey: Survey) -> ReportPart:
    """What the page needs of the campaign beside the store."""
    campaign = survey.campaign
    return ReportPart(
        name=campaign.name,
        seed=campaign.seed,
        scans=campaign.scans,
        excluded=campaign.excluded,
        exclusions=(*exclusions(survey), *_of_infer(survey)),
        verdict=verdict_of(survey),
        published=shown(survey),
        outdated=() if survey.forecast else sentences(outdated(survey)),
        references={scan_id: end_member_source(survey, scan_id) for scan_id in survey.scans},
        simulated=simulated_scans(campaign),
    )


def _of_infer(survey: Survey) -> tuple[Exclusion, ...]:
    """Why there are no tables, where inference itself failed."""
    set_aside = survey.output(TABLES_STAGE, CAMPAIGN).quarantined()
    return tuple(
        Exclusion("unit", CAMPAIGN, TABLES_STAGE, name, Refusal.from_dict(why).sentence)
        for name, why in set_aside.items()
    )


def work(unit: Unit[Options, ReportPart]) -> Outcome:
    """Draw every figure and write the page, one image in memory at a time."""
    # Drawing is imported by the worker that draws, not by those who plan.
    from stxmdist.report.evidence import Evidence
    from stxmdist.report.methods import methods
    from stxmdist.report.page import render, sections
    from stxmdist.report.printing import Printed, PrintedSheet
    from stxmdist.report.readme import readme
    from stxmdist.report.scan_pages import scan_pages

    evidence = Evidence.of(unit)
    parts = sections(evidence, all_files=True)
    said = methods(evidence, __version__)
    page = render(evidence, parts, __version__, said).encode()
    write = ShardWriter(unit)
    files = {"index.html": page, "methods.md": said.as_markdown().encode()}
    files |= {"references.bib": said.as_bibtex().encode()} if said.cited else {}
    files |= {"README.md": readme(evidence, parts, __version__).encode()}
    pictures = [item for section in parts for item in section.items if isinstance(item, Printed)]
    sheets = [item for section in parts for item in section.items if isinstance(item, PrintedSheet)]
    parts_in_files: list[Printed | PrintedSheet] = [*pictures, *sheets]
    for part in parts_in_files:
        files |= {part.file_of(ending): content for ending, content in part.files.items()}
    # Pages of scans are as many as these: each is written before the next is made.
    for name, content in chain(files.items(), scan_pages(evidence, __version__)):
        write.keep(write.output.path / write.output.put(f"{FOLDER}/{name}", content))
    return write.outcome(ReportMeasures(len(pictures), len(page), tuple(picture.name for picture in pictures)))


def finish(survey: Survey, measured: Mapping[str, Sequence[ReportMeasures]]) -> Mapping[str, ReportMeasures]:
    """Show the page."""
    if CAMPAIGN in measured:
        publish_folder(survey.store, NAME, survey.output(NAME, CAMPAIGN).path / FOLDER)
    return {scan_id: units[0] for scan_id, units in measured.items()}


STAGE = Stage(
    name=NAME,
    version=7,
    options=Options,
    measures=ReportMeasures,
    upstream=upstream,
    plan=plan,
    work=work,
    concerns=concerns,
    whole_campaign=True,
    identity=identity,
    finish=finish,
    finished_every_run=True,
    worker_bytes=660_000_000,
)
