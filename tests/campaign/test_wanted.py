"""What may be written is said in plain words of our own, for every key of the campaign file and every kind of type."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from stxmdist.campaign.manifest import examine
from stxmdist.campaign.wanted import nearest_choice, wanted
from tests.campaign.conftest import MANIFEST, WriteCampaign

DENSITY = "a number of more than 0.0 and less than 25.0"


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (int, "a whole number"),
        (float | None, "a number"),
        (bool, "true or false"),
        (str, "text"),
        (Path, "the path of a file"),
        (Literal["nm", "reference"], "one of nm, reference"),
        (Literal["cpu", "gpu"] | None, "one of cpu, gpu"),
        (int | str, "a whole number or text"),
        (list[int] | None, "a list of whole numbers"),
        (tuple[float, float], "a list of two numbers"),
        (tuple[int, str, int, int, int], "a list of 5 values"),
        (tuple[Literal["a", "b"], ...], "a list with any of a, b"),
        (dict[str, float], "`key: value` lines"),
        (Annotated[int, Field(ge=1)], "a whole number of at least 1"),
        (Annotated[float, Field(gt=0.0, lt=25.0)], "a number of more than 0.0 and less than 25.0"),
        (Annotated[str, Field(min_length=1, max_length=200)], "text that is not empty, at most 200 characters"),
        (Annotated[str, Field(pattern="x", description="an address")] | None, "an address"),
    ],
)
def test_words_for_types(hint: object, words: str) -> None:
    assert wanted(hint) == words


def test_the_nearest_of_a_few_words() -> None:
    assert nearest_choice(Literal["field", "file"] | None, "feild", "Choose") == "Did you mean 'field'"
    assert nearest_choice(Literal["field", "file"], 3, "Choose") == "Choose"
    assert nearest_choice(int, "three", "Correct it") == "Correct it"


@pytest.mark.parametrize(
    ("line", "where", "words"),
    [
        ("name: ''", "name", "text that is not empty, at most 200 characters"),
        ("seed: -1", "seed", "a whole number of at least 0 and less than 9223372036854775808"),
        ("seed: 1.5", "seed", "a whole number of at least 0 and less than 9223372036854775808"),
        ("chemistry: gold", "chemistry", "one of LFP, NMC, NCA, LCO, LMO, custom, none"),
        ("stages: 3", "stages", "`key: value` lines"),
        ("stages: {fit: 3}", "stages.fit", "`key: value` lines"),
        ("cluster: 3", "cluster", "`key: value` lines"),
        ("cluster: {workers: 0}", "cluster.workers", "a whole number of at least 1 and at most 100000"),
        ("cluster: {workers: many}", "cluster.workers", "a whole number of at least 1 and at most 100000"),
        ("cluster: {memory_limit: much}", "cluster.memory_limit", "an amount of memory such as 1GB, 512MB or 2GiB"),
        ("cluster: {address: localhost}", "cluster.address", "an address such as tcp://host:8786"),
        ("cluster: {address: 3}", "cluster.address", "an address such as tcp://host:8786"),
        ("references: text", "references", "`key: value` lines"),
        ("references: {thickness_unit: mm}", "references.thickness_unit", "one of nm, reference"),
        ("references: {density_g_cm3: -1}", "references.density_g_cm3", DENSITY),
        (
            "references: {density_g_cm3: .inf}",
            "references.density_g_cm3",
            "a number of more than 0.0 and less than 25.0",
        ),
        ("references: {formulas: LiFePO4}", "references.formulas", "a list of two formulas, [discharged, charged]"),
        ("references: {formulas: [a]}", "references.formulas.1", "a list of two formulas, [discharged, charged]"),
        ("references: {formulas: [a, 3]}", "references.formulas.1", "a list of two formulas, [discharged, charged]"),
        ("references: {i0: [a]}", "references.i0", "the path of a file"),
        ("references: {discharged: 3}", "references.discharged", "a path, or explore:SCAN:NAME"),
    ],
)
def test_every_kind_of_mistake_in_words_of_our_own(
    write_campaign: WriteCampaign, line: str, where: str, words: str
) -> None:
    key = line.partition(":")[0]
    kept = [text for text in MANIFEST.splitlines() if not text.startswith((key + ":", " "))]
    kept = [text for text in kept if text not in ("stages:", "cluster:")]
    _, problems = examine(write_campaign("\n".join([*kept, line]) + "\n"))
    found = {problem.where: problem.wanted for problem in problems}
    assert found.get(where) == words, found
