"""The benchmark of a bucket: every figure is one, and nothing is left there."""

import numpy as np
import pytest

from storage.bucket import bucket_path
from stxmdist.bench.stages import run_bench
from stxmdist.bench.store import store_times
from stxmdist.errors import InputError


def test_both_ways_are_measured_and_nothing_is_left_behind(bucket: str) -> None:
    values = np.random.default_rng(0).random((5, 61, 47), np.float32)
    found = store_times(bucket_path(bucket), values, rounds=2)
    assert found.n_bytes == values.nbytes
    assert min(found.write_s, found.read_s, found.bare_put_s, found.bare_get_s) > 0
    assert not bucket_path(bucket).exists()


def test_without_an_address_it_is_said_what_to_name() -> None:
    with pytest.raises(InputError, match="no --store"):
        run_bench("store")
