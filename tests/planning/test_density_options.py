"""Where the incident beam of each scan comes from, as the options say; options without a meaning are refused."""

from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from stxmdist.errors import InputError
from stxmdist.planning.density_options import DensityOptions, beam_spectrum_of, density_options, empty_field_of
from stxmdist.planning.execute import campaign_and_options
from stxmdist.planning.headers import survey_of
from stxmdist.planning.survey import Survey
from tests.stages.tiny import PTYCHOGRAPHY, STXM, with_options


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"leak_fraction": 1.0}, "leak_fraction"),
        ({"leak_fraction": float("nan")}, "leak_fraction"),
        ({"shared_od_error": -0.1}, "shared_od_error"),
        ({"region": [3, 3, 0, 5]}, "region"),
        ({"region": [0, 3, 5]}, "region"),
    ],
)
def test_options_without_a_meaning_are_refused(options: dict[str, Any], where: str) -> None:
    with pytest.raises(InputError) as refused:
        DensityOptions(**options)
    assert refused.value.where == where


def surveyed(simulated: Path, folder: Path, **options: Any) -> Survey:
    campaign = copytree(simulated.parent, folder / "campaign") / simulated.name
    return survey_of(*campaign_and_options(with_options(campaign, {"absorbance": options})))


def test_the_beam_of_a_field_is_its_own(simulated: Path) -> None:
    survey = survey_of(*campaign_and_options(simulated))
    assert density_options(survey, STXM[0]).i0 == "field"
    for scan_id in survey.scans:
        assert empty_field_of(survey, scan_id) is None
        assert beam_spectrum_of(survey, scan_id) is None


def test_wide_field_scans_take_the_beam_of_an_empty_field_which_has_its_own(simulated: Path, tmp_path: Path) -> None:
    survey = surveyed(simulated, tmp_path, i0="scan", i0_scan=STXM[0])
    assert [empty_field_of(survey, scan_id) for scan_id in STXM[:2]] == [None, STXM[0]]
    assert empty_field_of(survey, PTYCHOGRAPHY[0]) is None


def test_wide_field_scans_take_the_beam_of_a_spectrum(simulated: Path, tmp_path: Path) -> None:
    campaign = copytree(simulated.parent, tmp_path / "campaign") / simulated.name
    (campaign.parent / "i0.txt").write_text("700 1000\n730 1000\n")
    campaign.write_text(campaign.read_text() + "\nreferences:\n  i0: i0.txt\n")
    survey = survey_of(*campaign_and_options(with_options(campaign, {"absorbance": {"i0": "file"}})))
    assert beam_spectrum_of(survey, STXM[0]) == campaign.parent / "i0.txt"
    assert beam_spectrum_of(survey, PTYCHOGRAPHY[0]) is None
