"""Options of single scans in columns of the sheet: taken for that scan alone, refused with line and nearest name."""

import csv
from pathlib import Path
from shutil import copytree

import pytest

from storage.publication import PublishedScan
from stxmdist.campaign.manifest import load
from stxmdist.errors import InputError
from stxmdist.planning.density_options import density_options
from stxmdist.planning.execute import campaign_and_options
from stxmdist.planning.headers import survey_of
from stxmdist.planning.options import parse_options
from stxmdist.planning.scan_options import mistakes_in_columns, options_of_scans
from stxmdist.planning.stages import STAGES
from stxmdist.planning.survey import Survey
from stxmdist.report.tables import differing
from stxmdist.spectra.fitting.model import FitChoices
from tests.stages.tiny import PTYCHOGRAPHY, STXM

Cells = dict[str, dict[str, str]]


def with_columns(campaign: Path, folder: Path, *columns: str, cells: Cells | None = None) -> Path:
    """A copy of a campaign whose sheet has columns more, and these cells in them."""
    copy = copytree(campaign.parent, folder / "campaign") / campaign.name
    sheet = copy.parent / "samples.csv"
    with sheet.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with sheet.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], *columns], restval="")
        writer.writeheader()
        writer.writerows(row | (cells or {}).get(row["scan_id"], {}) for row in rows)
    return copy


def surveyed(campaign: Path) -> Survey:
    return survey_of(*campaign_and_options(campaign), forecast=True)


def digests(survey: Survey) -> dict[tuple[str, str], str]:
    return {
        (name, scan_id): survey.digest(name, scan_id)
        for name, entry in STAGES.items()
        if not entry.load().whole_campaign
        for scan_id in survey.scans
        if entry.load().concerns(survey, scan_id)
    }


def test_empty_columns_change_nothing(simulated: Path, tmp_path: Path) -> None:
    copy = with_columns(simulated, tmp_path, "fit.background", "absorbance.leak_fraction")
    assert digests(surveyed(copy)) == digests(surveyed(simulated))


def test_a_cell_changes_its_scan_from_that_stage_on_and_no_other(simulated: Path, tmp_path: Path) -> None:
    cells = {STXM[0]: {"fit.classes.most_od": "1.5", "fit.fitter": "nnls"}}
    copy = with_columns(simulated, tmp_path, "fit.classes.most_od", "fit.fitter", cells=cells)
    survey, before = surveyed(copy), surveyed(simulated)
    found, expected = digests(survey), digests(before)
    changed = {key for key in expected if expected[key] != found[key]}
    partners = {("register", name) for name, stxm in before.pairs.items() if stxm == STXM[0]}
    assert changed == {(stage, STXM[0]) for stage in ("fit", "segment", "network")} | partners
    assert survey.options_of("fit", FitChoices, STXM[0]).classes.most_od == 1.5
    # What the campaign file says of other options stays, and so does what it says of the other scans.
    assert survey.options_as_dict("fit", STXM[0])["rows_per_unit"] == 25
    assert survey.options_as_dict("fit", STXM[1]) == survey.options_as_dict("fit")
    units = {unit.scan_id: unit for unit in STAGES["fit"].load().plan(survey, survey.options["fit"]).units}
    assert tuple(units[name].options.fitter for name in STXM) == ("nnls", "poisson")
    segment = {unit.scan_id: unit for unit in STAGES["segment"].load().plan(survey, survey.options["segment"]).units}
    assert segment[STXM[0]].part.fit.classes.most_od == 1.5 != segment[STXM[1]].part.fit.classes.most_od


def test_arrays_are_as_large_as_the_scan_says(simulated: Path, tmp_path: Path) -> None:
    one, other = PTYCHOGRAPHY
    copy = with_columns(
        simulated,
        tmp_path,
        "ingest.crop_px",
        "reconstruct.model.n_modes",
        "fit.rows_per_unit",
        cells={one: {"ingest.crop_px": "24", "reconstruct.model.n_modes": "2"}, STXM[0]: {"fit.rows_per_unit": "61"}},
    )
    survey = surveyed(copy)
    assert survey.ptychography(one).frame_shape == (24, 24)
    assert survey.ptychography(other).frame_shape == (32, 32)

    def shapes(stage: str, name: str) -> dict[str, tuple[int, ...]]:
        plan = STAGES[stage].load().plan(survey, survey.options[stage])
        return {u.scan_id: array.shape for u in plan.units for array in u.arrays if array.name == name}

    assert shapes("ingest", "frames")[one][2:] == (24, 24)
    assert shapes("reconstruct", "probe")[one][2:] == (2, 24, 24)
    assert shapes("reconstruct", "probe")[other][3:] == (32, 32)
    fit = STAGES["fit"].load().plan(survey, survey.options["fit"]).units
    assert [sum(unit.scan_id == scan_id for unit in fit) for scan_id in STXM] == [1, 3]


def test_the_incident_beam_of_one_scan_is_its_own(simulated: Path, tmp_path: Path) -> None:
    columns = ("absorbance.i0", "absorbance.i0_scan")
    copy = with_columns(
        simulated, tmp_path, *columns, cells={STXM[1]: dict(zip(columns, ("scan", STXM[0]), strict=True))}
    )
    survey = surveyed(copy)
    assert survey.refusals == ()
    assert [density_options(survey, scan_id).i0 for scan_id in STXM] == ["field", "scan"]
    assert survey.stage("absorbance").upstream(survey, STXM[1]) == (("ingest", STXM[1]), ("ingest", STXM[0]))


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [
        ("fit.fitter", "posson", ["'posson'", "Did you mean 'poisson'"]),
        ("fit.classes.most_od", "much", ["got 'much', wanted a number"]),
        ("ingest.crop_px", "7", ["makes no sense", "0 or at least 8"]),
        ("absorbance.i0", "file", ["no spectrum of the incident beam is named"]),
        ("absorbance.i0_scan", "[1]", ["wanted text"]),
    ],
)
def test_a_wrong_cell_is_named_with_its_line_and_sets_its_scan_aside(
    simulated: Path, tmp_path: Path, column: str, cell: str, words: list[str]
) -> None:
    copy = with_columns(simulated, tmp_path, column, cells={STXM[1]: {column: cell}})
    campaign = load(copy)
    ((scan, problem),) = options_of_scans(campaign).mistakes
    assert (scan.scan_id, problem.file, problem.line) == (STXM[1], campaign.sheet_path, scan.line)
    assert problem.where == f"{STXM[1]}, {column}"
    for word in words:
        assert word in problem.sentence
    survey = surveyed(copy)
    assert STXM[1] not in survey.scans
    assert STXM[0] in survey.scans
    (refusal,) = survey.refusals
    assert problem.problem in refusal.sentence
    assert f"samples.csv:{scan.line}" in refusal.sentence


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("fitt.background", ["there is no stage of this name", "Did you mean 'fit'"]),
        ("fit.fiter", ["fit has no option 'fiter'", "Did you mean 'fitter'"]),
        ("fit.classes.most_odd", ["fit has no option 'classes.most_odd'", "Did you mean 'most_od'"]),
        ("fit.background.deeper", ["fit has no option"]),
        ("infer.modality", ["those of the whole campaign", "under stages in the campaign file"]),
        ("report.picture_px", ["those of the whole campaign"]),
    ],
)
def test_a_column_of_nothing_is_a_mistake_of_the_header(
    simulated: Path, tmp_path: Path, column: str, words: list[str]
) -> None:
    campaign = load(with_columns(simulated, tmp_path, column, cells={STXM[0]: {column: "x"}}))
    (problem,) = mistakes_in_columns(campaign)
    assert problem in parse_options(campaign)[1]
    assert (problem.line, problem.where) == (1, f"column {column!r}")
    for word in words:
        assert word in problem.sentence
    with pytest.raises(InputError):
        campaign_and_options(campaign.path)


def test_what_differs_is_said_by_its_path() -> None:
    common = {"fitter": "poisson", "classes": {"most_od": 3.0, "least_counts": 1.0}, "energies_ev": None}
    own = {"fitter": "poisson", "classes": {"most_od": 2.5, "least_counts": 1.0}, "energies_ev": [1.0, 2.0]}
    assert differing(common, own) == '{"classes.most_od": 2.5, "energies_ev": [1.0, 2.0]}'
    assert PublishedScan("0" * 16, "done").options == {}
