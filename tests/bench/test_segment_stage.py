"""The benchmark of homogeneous twins, on a small scan."""

from dataclasses import replace

import pytest

from stxmdist.bench.segment_stage import TWINS_OVER_FIT, bench_segment, one_scan
from stxmdist.simulation.sizes import SMALL


@pytest.mark.slow
@pytest.mark.alone
def test_twins_are_timed_beside_the_description_and_the_fit(capsys: pytest.CaptureFixture[str]) -> None:
    size = one_scan(SMALL)
    rows = bench_segment(replace(size, stxm=replace(size.stxm, n_px=96, oversample=2)), rounds=1)
    with capsys.disabled():
        for row in rows:
            print(f"\n  {row['benchmark']}: {row['figure']} {row['unit']} ({row['remark']})", end="")
    without, whole, twins = rows
    assert without["figure"] > 0.0
    assert whole["figure"] > 1.0
    assert twins["limit"] == TWINS_OVER_FIT
