"""`stxmdist design` on a finished campaign, on one without results, and with wishes that cannot be met."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stxmdist.cli.app import DONE, IN_PART, WRONG_INPUT
from stxmdist.cli.process import main

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def design(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Runs the command in this process: exit status, standard output, standard error."""
    before = signal.getsignal(signal.SIGTERM)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["stxmdist", "design", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return int(left.value.code or 0), out, err

    yield run
    signal.signal(signal.SIGTERM, before)


def test_a_pilot_of_one_region_gives_a_plan_for_both_ends(design: Command, processed: Path) -> None:
    status, out, _ = design(processed, "--json")
    found: Any = json.loads(out)
    assert status == DONE
    assert [case["name"] for case in found["cases"]] == ["at best", "at worst"]
    assert "One region of each electrode" in found["unknown"][0]
    for case in found["cases"]:
        assert case["proposed"]["half_width"] <= 0.03
        assert case["proposed"]["hours"] == min(row["hours"] for row in case["designs"])
        assert case["floor"] <= case["proposed"]["half_width"]
    # By the dwell times of the scans: 61 x 61 pixels of eight energies.
    assert 0.0 < found["costs_min"]["particle"] < 5.0
    assert found["costs_min"]["region"] == 20.0
    assert len(found["energies"]) == 5
    assert sum(row["share"] for row in found["energies"]) == pytest.approx(1.0)


def test_an_effect_has_a_power_and_words(design: Command, processed: Path) -> None:
    arguments = (processed, "--effect", 0.05, "--electrode-sd", 0.02, "--soc-error", 0.02)
    status, out, _ = design(*arguments, "--json")
    (case,) = json.loads(out)["cases"]
    assert status == DONE
    power = [row["power"] for row in case["power_curve"]]
    assert power == sorted(power)
    assert case["variance"]["electrode"] == pytest.approx(0.02**2)
    assert case["variance"]["noise"] == pytest.approx(0.02**2)
    status, words, _ = design(*arguments)
    assert f"{case['electrodes_for_power']} electrodes in each condition give a power of 0.8" in words
    assert "Least beamtime" in words


def test_an_error_twice_as_small_takes_four_times_the_light(design: Command, processed: Path) -> None:
    one, other = (json.loads(design(processed, "--soc-error", error, "--json")[1]) for error in (0.02, 0.01))
    assert other["photons_per_pixel"] == pytest.approx(4.0 * one["photons_per_pixel"])
    assert other["costs_min"]["particle"] == pytest.approx(4.0 * one["costs_min"]["particle"])


def test_what_is_out_of_reach_is_done_in_part(design: Command, processed: Path) -> None:
    arguments = (processed, "--electrode-sd", 0.2, "--most-electrodes", 5, "--half-width", 0.01)
    status, out, _ = design(*arguments)
    assert status == IN_PART
    assert "out of reach" in out
    found = json.loads(design(*arguments, "--json")[1])
    assert (found["reached"], found["cases"][0]["proposed"]) == (False, None)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--half-width", 0],
        ["--half-width", "nan"],
        ["--effect", -0.1],
        ["--power", 1.0],
        ["--soc-error", 0],
        ["--region-minutes", -5],
        ["--electrode-minutes", "inf"],
        ["--electrode-sd", -0.1],
        ["--endpoint", "no-such"],
        ["--energies", 1],
    ],
)
def test_wishes_that_are_not_possible_are_wrong_input(
    design: Command, processed: Path, arguments: list[object]
) -> None:
    status, out, err = design(processed, *arguments, "--json")
    assert status == WRONG_INPUT
    assert json.loads(out)["error"]["mend"]
    assert err.startswith("stxmdist: ")


def test_a_campaign_without_results_is_wrong_input_with_its_mend(design: Command, simulated: Path) -> None:
    status, out, _ = design(simulated, "--json")
    assert status == WRONG_INPUT
    assert "Run the campaign first" in json.loads(out)["error"]["mend"]
