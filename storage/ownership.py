"""Who may write which shard: two writers in one shard corrupt it silently, so the plan proves that there are none."""

from collections.abc import Iterable, Mapping, Sequence

from storage.chunking import Shape, shard_indices
from storage.errors import StoreError

Owns = Mapping[str, Sequence[tuple[int, ...]]]
"""Array name -> indices of the shards that one unit writes."""


def check_owned(unit: str, owns: Owns, name: str, index: Sequence[int]) -> None:
    """Refuse a shard that the unit does not own.

    Raises
    ------
    StoreError
        naming the unit, the array and the shard.
    """
    mine = {tuple(int(i) for i in owned) for owned in owns.get(name, ())}
    if tuple(index) not in mine:
        raise StoreError(
            where=f"unit {unit}",
            problem=f"shard {tuple(index)} of {name} belongs to another unit",
            got=f"a write of {name} {tuple(index)}",
            wanted=f"one of {sorted(mine)}" if mine else f"no write of {name} at all",
            mend="Correct the stage's plan: every shard is written whole by the one unit that owns it",
        )


def check_disjoint(units: Iterable[tuple[str, Owns]]) -> dict[tuple[str, Shape], str]:
    """(array, shard index) -> unit, after proving that no shard has two owners.

    Raises
    ------
    StoreError
        naming the shard and both units.
    """
    owners: dict[tuple[str, Shape], str] = {}
    for unit, owns in units:
        for name, indices in owns.items():
            for index in indices:
                key = (name, tuple(int(i) for i in index))
                if key in owners:
                    raise StoreError(
                        where=f"unit {unit}",
                        problem=f"shard {key[1]} of {name} has two owners",
                        got=f"{owners[key]} and {unit}",
                        wanted="one",
                        mend="Correct the stage's plan: two writers in one shard corrupt it silently",
                    )
                owners[key] = unit
    return owners


def unowned(
    owners: Mapping[tuple[str, Shape], str], arrays: Mapping[str, tuple[Sequence[int], Sequence[int]]]
) -> list[tuple[str, Shape]]:
    """Shards of the arrays (name -> shape, shard shape) that nobody will write."""
    return [
        (name, index)
        for name, (shape, shards) in arrays.items()
        for index in shard_indices(shape, shards)
        if (name, index) not in owners
    ]
