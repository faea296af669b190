"""Options above those of the campaign file: merged by name, checked as the file's are, in every digest."""

from pathlib import Path

import pytest

from stxmdist.campaign.manifest import CampaignError
from stxmdist.planning.changed_options import merged, merged_stages
from stxmdist.planning.execute import campaign_and_options
from stxmdist.planning.headers import survey_of
from stxmdist.planning.stages import chosen_stages
from tests.stages.tiny import STXM


def test_of_a_group_only_what_is_named_changes() -> None:
    below = {"fitter": "poisson", "classes": {"most_od": 2.0, "most_chi2": 4.0}}
    above = {"classes": {"most_od": 1.5}, "background": "none"}
    assert merged(below, above) == {
        "fitter": "poisson",
        "classes": {"most_od": 1.5, "most_chi2": 4.0},
        "background": "none",
    }
    assert below["classes"] == {"most_od": 2.0, "most_chi2": 4.0}
    assert merged_stages({"fit": {"fitter": "nnls"}}, {"align": {"register": False}}) == {
        "fit": {"fitter": "nnls"},
        "align": {"register": False},
    }


def test_they_stand_above_the_file(simulated: Path) -> None:
    _, plain = campaign_and_options(simulated)
    campaign, options = campaign_and_options(simulated, {"fit": {"fitter": "nnls", "classes": {"most_od": 1.5}}})
    fit = options["fit"]
    assert (fit.fitter, fit.classes.most_od) == ("nnls", 1.5)  # type: ignore[attr-defined]
    # What the file says beside is kept: blocks of 25 rows.
    assert fit.rows_per_unit == plain["fit"].rows_per_unit == 25  # type: ignore[attr-defined]
    assert {name: value for name, value in options.items() if name != "fit"} == {
        name: value for name, value in plain.items() if name != "fit"
    }
    before, after = survey_of(*campaign_and_options(simulated)), survey_of(campaign, options)
    assert before.digest("align", STXM[0]) == after.digest("align", STXM[0])
    assert before.digest("fit", STXM[0]) != after.digest("fit", STXM[0])
    assert before.digest("segment", STXM[0]) != after.digest("segment", STXM[0])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"fitt": {"fitter": "nnls"}}, r"stages\.fitt: there is no stage.*Did you mean 'fit'"),
        ({"fit": {"fiter": "nnls"}}, r"stages\.fit\.fiter: fit has no option 'fiter'.*Did you mean 'fitter'"),
        ({"fit": {"fitter": "nnnls"}}, r"stages\.fit\.fitter.*Did you mean 'nnls'"),
        ({"fit": {"classes": {"most_od": "thick"}}}, r"stages\.fit\.classes\.most_od: .*got 'thick', wanted a number"),
    ],
)
def test_mistakes_name_the_key_and_no_line(simulated: Path, changed: dict[str, dict[str, object]], said: str) -> None:
    with pytest.raises(CampaignError, match=said) as refused:
        campaign_and_options(simulated, changed)
    (problem,) = refused.value.problems
    assert problem.line is None


def test_stages_come_in_the_order_of_a_run() -> None:
    assert chosen_stages(["fit", "ingest"]) == ("ingest", "fit")
    assert len(chosen_stages(())) == 13
