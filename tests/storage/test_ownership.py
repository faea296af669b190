"""No shard has two owners, and none has no owner."""

import pytest

from storage.errors import StoreError
from storage.ownership import check_disjoint, check_owned, unowned


def test_two_owners_of_one_shard_are_named() -> None:
    units = [("a", {"soc": [(0, 0), (1, 0)]}), ("b", {"soc_se": [(0, 0)]}), ("c", {"soc": [(1, 0)]})]
    with pytest.raises(StoreError, match=r"shard \(1, 0\) of soc has two owners; got a and c"):
        check_disjoint(units)


def test_shards_without_owner_are_found() -> None:
    owners = check_disjoint([("a", {"soc": [(0, 0)]}), ("b", {"soc": [(2, 0)]})])
    assert owners == {("soc", (0, 0)): "a", ("soc", (2, 0)): "b"}
    assert unowned(owners, {"soc": ((13, 7), (5, 7))}) == [("soc", (1, 0))]


def test_a_foreign_shard_is_refused() -> None:
    check_owned("a", {"soc": [[1, 0]]}, "soc", (1, 0))
    with pytest.raises(StoreError, match=r"unit a: shard \(0, 0\) of soc belongs to another unit"):
        check_owned("a", {"soc": [(1, 0)]}, "soc", (0, 0))
    with pytest.raises(StoreError, match="no write of labels at all"):
        check_owned("a", {"soc": [(1, 0)]}, "labels", (1, 0))
