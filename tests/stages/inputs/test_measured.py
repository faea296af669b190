"""What an earlier stage measured is read with its types."""

from pathlib import Path

import numpy as np
import pytest

from storage.store import Store
from stxmdist.errors import StoreError
from stxmdist.measures import AlignMeasures
from stxmdist.records import figures_of
from stxmdist.runner.unit import Estimate, Receipt, Source, Unit
from stxmdist.stages.inputs.measured import measured

MEASURES = AlignMeasures(
    largest_shift_px=1.5,
    frames_not_registered=1,
    energies_not_registered_ev=np.array([706.5]),
    shift_quality=None,
    outside_share=0.02,
    sample_pixels=40,
    noise_correlation_px2=1.2,
)


def unit_of(folder: Path, written: dict[str, object]) -> Unit[None, None]:
    Store(folder).create()
    unit = Unit(
        "fit", "scan-1", "scan", str(folder), "d" * 16, "", None, Estimate(1, 1, 1.0), None,
        sources=(Source("align", "scan-1", "c" * 16),),
    )  # fmt: skip
    unit.source("align").mark("scan", Receipt("scan-1", "scan", written, {}, 1.0, 1.0, 1).as_dict())
    return unit


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    found = measured(unit_of(tmp_path, figures_of(MEASURES)), AlignMeasures, "align")
    assert found.shift_quality is None
    assert found.noise_correlation_px2 == 1.2
    np.testing.assert_array_equal(found.energies_not_registered_ev, [706.5])


def test_a_record_of_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="other fields"):
        measured(unit_of(tmp_path, {"largest_shift_px": 1.5}), AlignMeasures, "align")


def test_a_stage_that_is_not_read_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="does not read absorbance"):
        measured(unit_of(tmp_path, figures_of(MEASURES)), AlignMeasures, "absorbance")
