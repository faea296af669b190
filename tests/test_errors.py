"""Errors say what was got, what was wanted and what to do, also after they went from process to process."""

import copy
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from stxmdist.campaign.problems import CampaignError, Problem
from stxmdist.errors import Explained, InputError, StoreError, UnsupportedError

PARTS = {
    "where": "scan.hdr, line 3",
    "problem": "no energies",
    "got": "nothing",
    "wanted": "a list",
    "mend": "Export the scan again",
}
KINDS = (Explained, InputError, UnsupportedError, StoreError)


def explained(kind: type[Explained]) -> Explained:
    return kind(**PARTS)


def raise_it(kind: type[Explained]) -> None:
    raise kind(**PARTS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_part_is_in_the_sentence(kind: type[Explained]) -> None:
    error = explained(kind)
    assert str(error) == error.sentence
    assert error.sentence == "scan.hdr, line 3: no energies; got nothing, wanted a list. Export the scan again."
    assert error.as_dict() == PARTS


@pytest.mark.parametrize("kind", KINDS)
def test_copies_say_the_same(kind: type[Explained]) -> None:
    error = explained(kind)
    for again in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert type(again) is kind
        assert again.as_dict() == PARTS
        assert str(again) == str(error)


def test_anything_can_be_got_and_becomes_text() -> None:
    error = InputError(where=Path("a") / "b", problem="too few", got=3, wanted=range(5), mend="Add some")
    assert (error.where, error.got, error.wanted) == (str(Path("a/b")), "3", "range(0, 5)")
    # What cannot be pickled itself is text by then.
    assert pickle.loads(pickle.dumps(InputError(**PARTS | {"got": (n for n in ())}))).got.startswith("<generator")


def test_a_worker_raises_the_error_that_it_raised() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        error = pool.submit(raise_it, UnsupportedError).exception(timeout=120)
    assert type(error) is UnsupportedError
    assert error.as_dict() == PARTS


def test_the_mistakes_of_a_campaign_stay_with_it() -> None:
    problems = [Problem(Path("campaign.yaml"), line, "stages.fit", "wrong", "1", "2", "Mend it") for line in (3, 8)]
    error = CampaignError(Path("campaign.yaml"), problems)
    again = pickle.loads(pickle.dumps(error))
    assert again.problems == tuple(problems)
    assert str(again) == str(error)
    assert str(error).count("Mend it") == 2


def test_what_comes_from_outside_is_told_from_what_the_store_refuses() -> None:
    assert issubclass(UnsupportedError, InputError)
    assert not issubclass(StoreError, InputError)
    assert all(issubclass(kind, Explained) for kind in KINDS)
