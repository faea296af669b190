"""Counts in the formats of beamlines, read back by the readers."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stxmdist import readers
from stxmdist.readers import StxmRecording
from stxmdist.writers.table import WRITERS


@pytest.mark.parametrize("to", WRITERS)
def test_counts_and_axes_are_those_of_the_store(to: str, whole: Any, bench: SimpleNamespace, tmp_path: Path) -> None:
    done = whole.export(to, tmp_path)
    assert {item.scan_id for item in done.written} == {bench.WIDE, bench.DOWNWARD}
    for item in done.written:
        (recording,) = readers.read(Path(item.path) / f"{item.scan_id}{WRITERS[to].ending}")
        assert isinstance(recording, StxmRecording)
        np.testing.assert_array_equal(recording.energy_ev, bench.ENERGY_EV)
        np.testing.assert_allclose(recording.dwell_ms, 2.0, rtol=1e-14)
        counts = bench.upright(item.scan_id, bench.arrays_of("ingest", item.scan_id)["counts"])
        for index, frame in enumerate(counts):
            np.testing.assert_array_equal(recording.read(index), frame)
        np.testing.assert_allclose(recording.y_um, bench.FIRST_UM[0] + 0.05 * np.arange(bench.NY), rtol=1e-12)


def test_a_ptychography_scan_that_is_named_is_refused(whole: Any, bench: SimpleNamespace, tmp_path: Path) -> None:
    done = whole.export("sdf", tmp_path, scans=(bench.FINE,))
    assert not done.complete
    assert "ptychography" in done.lacks[0].sentence
