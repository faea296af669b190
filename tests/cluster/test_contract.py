"""What a cluster tells of its workers."""

import os
from pathlib import Path

import pytest

from stxmdist.cluster.contract import Started

START = "2026-12-01 05:45:31,193 - distributed.worker - INFO -       Start worker at:     {address}\n"
DEATH = """\
2026-12-01 05:45:37,326 - distributed.nanny - INFO - Worker process 22848 was killed by signal 9
2026-12-01 05:45:37,331 - distributed.nanny - WARNING - Restarting worker (status=Status.running)
"""
CLOSE = """\
2026-12-01 05:45:41,790 - distributed._signals - INFO - Received signal SIGTERM (15)
2026-12-01 05:45:41,802 - distributed.nanny - INFO - Worker process 22937 was killed by signal 15
2026-12-01 05:45:41,843 - distributed.dask_worker - INFO - End worker
/usr/lib/python3.11/multiprocessing/resource_tracker.py:254: UserWarning: resource_tracker: There appear to be 1 leaked
  warnings.warn('resource_tracker: There appear to be %d '
"""


@pytest.mark.parametrize("after", ["", START.format(address="tcp://n1:3") + CLOSE])
def test_the_last_words_say_how_a_worker_died_and_not_how_its_job_was_ended(tmp_path: Path, after: str) -> None:
    log = tmp_path / "stxmdist-run-7.err"
    log.write_text(
        START.format(address="tcp://n1:1") + "a fault of old\n" + START.format(address="tcp://n1:2") + DEATH + after
    )
    (tmp_path / "stxmdist-run-8.err").write_text(START.format(address="tcp://n2:1"))
    os.utime(log, (0, 0))
    said = Started("", logs=tmp_path).last_words("tcp://n1:2")
    assert said.startswith("stxmdist-run-7.err ends with '2026-12-01 05:45:37,326")
    assert "killed by signal 9" in said
    assert said.endswith("Restarting worker (status=Status.running)'")
    assert Started("", logs=tmp_path).last_words("tcp://n3:1") == ""
