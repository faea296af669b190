"""Benchmark of a store in a bucket: arrays as the demo leaves them, against the bare bytes through obstore."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import numpy as np

from storage.atomic import remove
from storage.bucket import BucketPath, bucket_path
from storage.layout import ArrayPlan
from storage.store import Store
from stxmdist.bench.rows import Row, row_of
from stxmdist.errors import InputError

STORE_LIMIT = 1 / 0.7
"""Seconds over those that obstore takes for the bare bytes: at least 70 % of its throughput"""
ROUNDS = 5
"""The shortest of so many counts: other work on the machine can only make one longer."""
SHARD_ENERGIES = 16


@dataclass(frozen=True)
class StoreTimes:
    """Seconds for the same array of ``n_bytes`` bytes, shard by shard."""

    n_bytes: int
    write_s: float
    read_s: float
    bare_put_s: float
    """Its bytes as they are, one object for each shard, by obstore alone"""
    bare_get_s: float


def demo_stack(n_energies: int = 48, n_px: int = 256) -> np.ndarray:
    """Transmission (ENERGY, Y, X), float32, with the noise of some thousand photons, like the demo's."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(2000.0, (n_energies, n_px, n_px))
    return (counts / 2000.0).astype(np.float32)


def store_times(place: BucketPath, values: np.ndarray, rounds: int = ROUNDS) -> StoreTimes:
    """Write and read an array (ENERGY, Y, X) through the store and by obstore alone; removes what it wrote."""
    shards = (min(SHARD_ENERGIES, len(values)), *values.shape[1:])
    own = place / f"bench-{uuid4().hex}"
    store = Store(own / "store").create()
    taken: dict[str, list[float]] = {name: [] for name in ("write", "read", "put", "get")}

    def timed(name: str, work: Callable[[], object]) -> None:
        began = time.perf_counter()
        work()
        taken[name].append(time.perf_counter() - began)

    try:
        for n in range(rounds):
            output = store.output("bench", "array", str(n))
            output.declare([ArrayPlan("transmission", values.shape, shards=shards)])
            layout = output.layout("transmission")
            indices = layout.indices()
            parts = [np.ascontiguousarray(values[layout.region(index)]) for index in indices]
            bare = own / f"bare-{n}"

            def write(output=output, indices=indices, parts=parts) -> None:  # type: ignore[no-untyped-def]
                for index, part in zip(indices, parts, strict=True):
                    output.write("bench", {"transmission": indices}, "transmission", index, part)

            def put(bare=bare, parts=parts) -> None:  # type: ignore[no-untyped-def]
                for i, part in enumerate(parts):
                    (bare / str(i)).put(memoryview(part).cast("B"))

            def get(bare=bare, parts=parts) -> None:  # type: ignore[no-untyped-def]
                for i in range(len(parts)):
                    (bare / str(i)).read_bytes()

            timed("put", put)
            timed("write", write)
            timed("get", get)
            timed("read", lambda output=output: output.read("transmission"))  # type: ignore[misc]
    finally:
        remove(own)
    return StoreTimes(values.nbytes, *(min(taken[name]) for name in ("write", "read", "put", "get")))


def bench_store(address: str | None) -> list[Row]:
    """Writing and reading a stack of the demo's kind, over what obstore takes for its bytes.

    Raises
    ------
    InputError
        without an address.
    """
    if address is None:
        raise InputError(
            where="stxmdist bench store",
            problem="there is no bucket to measure",
            got="no --store",
            wanted="--store s3://bucket/prefix",
            mend="Name a place that may be written; what is written there is removed again",
        )
    found = store_times(bucket_path(address), demo_stack())
    megabytes = found.n_bytes / 1e6
    rows = []
    for name, ours, bare in (
        ("write", found.write_s, found.bare_put_s),
        ("read", found.read_s, found.bare_get_s),
    ):
        remark = f"{megabytes / ours:.0f} MB/s of array, obstore {megabytes / bare:.0f} MB/s: {bare / ours:.0%}"
        title = f"store {name}, {megabytes:.0f} MB in shards"
        rows.append(row_of(title, ours / bare, "x obstore's time", STORE_LIMIT, remark))
    return rows
