"""What `stxmdist bench` runs, by name."""

import pytest

from stxmdist.bench import stages
from stxmdist.bench.rows import row_of
from stxmdist.errors import InputError


def test_all_is_everything_but_the_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bench_ptychography", "bench_fit", "bench_segment"):
        monkeypatch.setattr(stages, name, lambda name=name: [row_of(name, 1.0, "s", None, "")])
    for name in ("bench_fit_stage", "bench_large"):
        monkeypatch.setattr(stages, name, lambda workers, name=name: [row_of(name, workers, "s", None, "")])
    found = [row["benchmark"] for row in stages.run_bench("all")]
    assert found == ["bench_ptychography", "bench_fit", "bench_fit_stage", "bench_segment"]
    assert stages.run_bench("large", workers=3) == [row_of("bench_large", 3, "s", None, "")]


def test_another_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"there is no benchmark of this name; got 'fitt'.*Did you mean 'fit'"):
        stages.run_bench("fitt")
