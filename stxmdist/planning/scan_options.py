"""Options of single scans: columns of the sample sheet named ``stage.option`` stand above the campaign file's."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass, replace
from typing import get_type_hints

from stxmdist.campaign.manifest import Campaign, Problem
from stxmdist.campaign.problems import did_you_mean, one_of
from stxmdist.campaign.scan import Scan
from stxmdist.campaign.yamltext import plain_value
from stxmdist.planning.density_options import DensityOptions
from stxmdist.planning.stages import STAGES
from stxmdist.planning.written_options import ProblemAt, read_options


@dataclass(frozen=True)
class ScanOptions:
    """What the option columns of a sample sheet make of the options of its scans."""

    by_scan: Mapping[str, Mapping[str, object]]
    """Scan to the options of every stage; scans whose cells are empty have those of the campaign and are not here"""
    mistakes: tuple[tuple[Scan, Problem], ...]
    """Scans whose cells cannot be used, once per mistake"""


def mistakes_in_columns(campaign: Campaign) -> list[Problem]:
    """Option columns whose stage or option there is none of, or which cannot be told for one scan."""
    found = []
    for column, line in campaign.option_columns.items():
        stage, *path = column.split(".")
        known = [name for name, entry in STAGES.items() if not entry.load().whole_campaign]
        if stage not in known:
            problem = "the options of this stage are those of the whole campaign" if stage in STAGES else ""
            mend = "Write it under stages in the campaign file" if problem else did_you_mean(stage, known, "Remove it")
            problem = problem or "there is no stage of this name"
            found.append(_of_column(campaign, column, line, problem, stage, known, mend))
            continue
        unknown = _first_unknown(STAGES[stage].load().options, path)
        if unknown is not None:
            name, options = unknown
            problem = f"{stage} has no option {'.'.join(path)!r}"
            mend = did_you_mean(name, options, "Remove it")
            found.append(_of_column(campaign, column, line, problem, name, options, mend))
    return found


def _of_column(
    campaign: Campaign, column: str, line: int, problem: str, got: str, known: list[str], mend: str
) -> Problem:
    return Problem(campaign.sheet_path, line, f"column {column!r}", problem, repr(got), one_of(known), mend)


def _first_unknown(kind: type, path: list[str]) -> tuple[str, list[str]] | None:
    """The first part of a path of options that an options class does not have, and those that it has."""
    for name in path:
        hints = get_type_hints(kind) if is_dataclass(kind) else {}
        if name not in hints:
            return name, list(hints) or ["no options inside"]
        kind = hints[name]
    return None


def options_of_scans(campaign: Campaign) -> ScanOptions:
    """The options of every scan that has cells in option columns: the campaign file's, and the scan's own above them.

    Cells are read as values in the campaign file are. A stage whose options in the campaign file have mistakes, and
    columns of none, are left to those who name these mistakes.
    """
    wrong = {problem.where for problem in mistakes_in_columns(campaign)}
    read: dict[tuple[tuple[str, str], ...], tuple[Mapping[str, object], list[Problem]]] = {}
    by_scan: dict[str, Mapping[str, object]] = {}
    mistakes: list[tuple[Scan, Problem]] = []
    for scan in campaign.scans:
        cells = tuple((name, text) for name, text in scan.options.items() if f"column {name!r}" not in wrong)
        if not cells:
            continue
        if cells not in read:
            read[cells] = _options_with(campaign, dict(cells))
        by_scan[scan.scan_id], found = read[cells]
        mistakes += [
            (scan, replace(problem, line=scan.line, where=f"{scan.scan_id}, {problem.where}")) for problem in found
        ]
    return ScanOptions(by_scan, tuple(mistakes))


def _options_with(campaign: Campaign, cells: Mapping[str, str]) -> tuple[Mapping[str, object], list[Problem]]:
    """The options of every stage with these cells above the campaign file, and what is wrong with the cells."""

    def at(key: str, problem: str, got: object, wanted: str, mend: str) -> Problem:
        name = key.removeprefix("stages.")
        column = next((one for one in cells if name == one or name.startswith(f"{one}.")), "")
        column = column or next((one for one in cells if one.startswith(name)), name)
        return Problem(campaign.sheet_path, None, column, problem, repr(got), wanted, mend)

    options: dict[str, object] = {}
    mistakes: list[Problem] = []
    for stage, entry in STAGES.items():
        kind, key = entry.load().options, f"stages.{stage}"
        written = campaign.stages.get(stage) or {}
        options[stage], in_file = read_options(kind, written, key, at)
        own = {name.split(".", 1)[1]: text for name, text in cells.items() if name.split(".")[0] == stage}
        if own and not in_file:
            options[stage], found = read_options(kind, _with_cells(written, own), key, at)
            mistakes += found
    density = options["absorbance"]
    assert isinstance(density, DensityOptions)
    if any(name.startswith("absorbance.i0") for name in cells):
        mistakes += mistakes_of_beam(campaign, density, at)
    return options, mistakes


def _with_cells(written: Mapping[str, object], cells: Mapping[str, str]) -> dict[str, object]:
    """Options as written, nested, with cells (``classes.most_od``) in their places."""
    options = dict(written)
    for path, text in cells.items():
        place = options
        *groups, name = path.split(".")
        for group in groups:
            inside = place.get(group)
            place[group] = dict(inside) if isinstance(inside, Mapping) else {}
            place = place[group]  # type: ignore[assignment]
        place[name] = plain_value(text)
    return options


def mistakes_of_beam(campaign: Campaign, absorbance: DensityOptions, at: ProblemAt) -> Iterator[Problem]:
    """An incident beam from a file or a scan that is not named."""
    if absorbance.i0 == "file" and (campaign.references is None or campaign.references.i0 is None):
        yield at(
            "stages.absorbance.i0",
            "no spectrum of the incident beam is named",
            "file",
            "references: i0: FILE",
            "Name the file under references, or take the incident beam from the field (i0: field)",
        )
    if absorbance.i0 == "scan" and absorbance.i0_scan not in {s.scan_id for s in campaign.scans}:
        yield at(
            "stages.absorbance.i0_scan" if absorbance.i0_scan else "stages.absorbance.i0",
            "the scan of the incident beam is not in the sample sheet",
            absorbance.i0_scan or "no i0_scan",
            "the scan_id of a wide-field scan of an empty field",
            "Correct i0_scan, or add the scan to the sample sheet",
        )
