"""Options as texts: read as the campaign file's values, nested by their keys, nothing evaluated."""

import pytest

from stxmdist.errors import InputError
from stxmdist.planning.assigned_options import assigned_options, split_assignment


def test_texts_are_what_they_would_be_in_a_campaign_file() -> None:
    found = assigned_options(
        [
            ("fit.classes.most_od", "2"),
            ("stages.fit.classes.least_od_jump", "0.1"),
            ("fit.fitter", "poisson"),
            ("fit.fit_energy_shift", "false"),
            ("fit.fit.energies_ev", "[700.0, 712.5]"),
            ("fit.pre_edge_below_ev", "null"),
        ]
    )
    assert found == {
        "fit": {
            "classes": {"most_od": 2, "least_od_jump": 0.1},
            "fitter": "poisson",
            "fit_energy_shift": False,
            "fit": {"energies_ev": [700.0, 712.5]},
            "pre_edge_below_ev": None,
        }
    }


@pytest.mark.parametrize(
    "text", ["!!python/object/apply:os.system [id]", "__import__('os').system('id')", "{a: *x}", "[1", "$(id)"]
)
def test_what_is_no_value_stays_a_text(text: str) -> None:
    value = assigned_options([("fit.fitter", text)])["fit"]["fitter"]
    assert value == text


def test_a_value_may_hold_the_sign() -> None:
    assert split_assignment("fit.fitter=a=b") == ("fit.fitter", "a=b")


@pytest.mark.parametrize("text", ["fit.fitter", "=2", ""])
def test_an_assignment_without_key_or_sign_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="KEY=VALUE"):
        split_assignment(text)


def test_a_stage_without_an_option_is_left_to_those_who_read_a_campaign_file() -> None:
    assert assigned_options([("fit", "2")]) == {"fit": {"": 2}}
