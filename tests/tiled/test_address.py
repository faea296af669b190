"""A cell names a run by the address that Tiled gives it; keys stay in the environment."""

import pytest

from stxmdist.tiled.address import address_of, is_address


def test_the_address_that_tiled_shows_names_a_run() -> None:
    found = address_of("https://beam.example/tiled/api/v1/metadata/raw/2026/ab-12")
    assert (found.server, found.path, found.uid) == ("https://beam.example/tiled", "raw/2026/ab-12", "ab-12")
    assert address_of(str(found)) == found


def test_a_short_name_lies_in_the_catalogue_of_the_campaign() -> None:
    found = address_of("tiled:ab-12", "http://127.0.0.1:8000/", "/raw/")
    assert str(found) == "http://127.0.0.1:8000/api/v1/metadata/raw/ab-12"


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("tiled:ab-12", "live: {tiled: {server"),
        ("http://127.0.0.1:8000/raw/ab-12", "the address of a run"),
        ("http://user:secret@127.0.0.1:8000/api/v1/metadata/ab", "without a key"),
        ("http://127.0.0.1:8000/api/v1/metadata/ab?api_key=secret", "without a key"),
    ],
)
def test_other_cells_say_what_may_be_written(cell: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        address_of(cell)
    assert "secret" not in str(refused.value)


def test_files_are_no_addresses() -> None:
    assert not any(is_address(cell) for cell in ("scan.hdr", "tiled/scan.hdr", "a.hdr;b.hdr#PMT"))
