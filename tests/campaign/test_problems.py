"""The nearest known word is the one that was meant."""

import pytest

from stxmdist.campaign.problems import nearest
from stxmdist.campaign.scan import COLUMNS


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("electrode", "electrode_id"),
        ("Scan ID", "scan_id"),
        ("c-rate", "c_rate"),
        ("C_Rate", "c_rate"),
        ("filename", "file"),
        ("pair", "pair_id"),
        ("soc", None),
        ("temperature", None),
    ],
)
def test_nearest(word: str, meant: str | None) -> None:
    found = nearest(word, COLUMNS)
    assert found == meant if meant else found is None or found.startswith(word)
