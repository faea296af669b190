"""The benchmark of the scheduler runs real units over real workers."""

import pytest

from stxmdist.bench import scheduler


@pytest.mark.slow
def test_every_unit_is_waited_for_by_one_of_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "ROUNDS", 3)
    found = scheduler.scheduler_times(7)
    assert found.n_units == 21
    assert found.seconds >= 3 * scheduler.UNIT_S
    assert 0.0 < found.busy <= 1.0
    assert found.scheduler_s > 0.0
    assert found.client_s > 0.0
