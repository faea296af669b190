"""The benchmark over ten million spectra: everything is fitted, in workers that stay small."""

import pytest

from stxmdist.bench.fit_stage import LARGE_PX, LARGE_WORKER_MB, bench_large


@pytest.mark.slow
def test_ten_million_spectra_fit_small_workers(capsys: pytest.CaptureFixture[str]) -> None:
    seconds, memory = bench_large()
    pixels = LARGE_PX[0] * LARGE_PX[1]
    with capsys.disabled():
        print(f"\n  {pixels:,} spectra in {seconds['figure']} s, largest worker {memory['figure']} MB")
    assert memory["figure"] < LARGE_WORKER_MB
