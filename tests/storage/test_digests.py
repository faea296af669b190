"""A digest is the same for the same thing, whoever computes it, and another for anything else."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.digests import digest_of, sha256_of_file
from storage.errors import StoreError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_digest_does_not_change_between_versions() -> None:
    # Written down by hand from `printf '{"a":[1,2.5,null],"b":"ä"}' | sha256sum` with the umlaut escaped: outputs of
    # earlier runs are found again only while this holds.
    text = b'{"a":[1,2.5,null],"b":"\\u00e4"}'
    assert digest_of({"b": "ä", "a": [1, 2.5, None]}) == hashlib.sha256(text).hexdigest()[:16]


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(), JSON, min_size=2))
def test_order_of_keys_does_not_matter(content: dict) -> None:
    assert digest_of(dict(reversed(content.items()))) == digest_of(content)


@pytest.mark.parametrize(
    ("one", "other"), [(1, "1"), (1, 1.5), ([1, 2], [2, 1]), ({"a": None}, {}), ("ab", ["a", "b"]), (True, 1)]
)
def test_different_things_have_different_digests(one: object, other: object) -> None:
    assert digest_of(one) != digest_of(other)


@pytest.mark.parametrize("content", [float("nan"), {"a": float("inf")}, object(), {"a": {1, 2}}])
def test_what_json_cannot_say_is_refused(content: object) -> None:
    with pytest.raises(StoreError, match="cannot be written as JSON"):
        digest_of(content)


def test_sha256_of_a_file_larger_than_one_block(tmp_path: Path) -> None:
    content = bytes(range(251)) * 12345
    (tmp_path / "f").write_bytes(content)
    assert sha256_of_file(tmp_path / "f") == hashlib.sha256(content).hexdigest()
