"""The cell ``file``: one file or several, and which part of them."""

from pathlib import Path

import pytest

from stxmdist.campaign.cells import files_and_part


@pytest.mark.parametrize(
    ("cell", "names", "part"),
    [
        ("a.hdr", ("a.hdr",), None),
        ("a.hdr#region1", ("a.hdr",), "region1"),
        ("a.hdr#region1:b", ("a.hdr",), "region1:b"),
        ("a.hdr; b.hdr ;c.hdr", ("a.hdr", "b.hdr", "c.hdr"), None),
        ("a.hdr;b.hdr#PMT", ("a.hdr", "b.hdr"), "PMT"),
        ("a#1.hdr", ("a#1.hdr",), None),
        ("a#1.hdr#b", ("a#1.hdr",), "b"),
        ("a;1.hdr#b", ("a;1.hdr",), "b"),
        ("a.hdr;a#1.hdr", ("a.hdr", "a#1.hdr"), None),
        ("", ("",), None),
    ],
)
def test_names_and_part(cell: str, names: tuple[str, ...], part: str | None, tmp_path: Path) -> None:
    for name in ("a#1.hdr", "a;1.hdr"):
        (tmp_path / name).touch()
    assert files_and_part(tmp_path, cell) == (tuple(tmp_path / name for name in names), part)
