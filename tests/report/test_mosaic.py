"""The contact sheet: every particle once, at one scale, from small to large, and nothing beside its outline."""

from types import SimpleNamespace

import numpy as np
import pytest

from stxmdist.report.canvas import Absent, Picture
from stxmdist.report.evidence import Evidence
from stxmdist.report.maps import SOC_MAP
from stxmdist.report.mosaic import CELL_PX, _coloured, _Field, mosaics


@pytest.fixture
def field() -> _Field:
    """Two particles on pixels of 0.1 um; the rows run downwards."""
    labels = np.zeros((11, 13), np.int32)
    labels[2:5, 3:8], labels[7:9, 9:13] = 1, 2
    soc = np.where(labels == 1, 0.25, 0.75)
    return _Field(soc, np.full(labels.shape, 0.1), labels, np.zeros(labels.shape, bool), (-0.1, 0.1))


def test_a_cell_shows_its_particle_alone_and_in_the_middle(field: _Field) -> None:
    cell = field.cell(1, 1.0, 0.2)
    assert cell is not None
    coloured = (cell[0] != 1.0).any(axis=2)
    height, width = coloured.any(axis=1).sum() / CELL_PX, coloured.any(axis=0).sum() / CELL_PX
    assert (height, width) == pytest.approx((0.3, 0.5), abs=1.0 / CELL_PX)
    rows, columns = np.nonzero(coloured)
    assert (rows.mean(), columns.mean()) == pytest.approx((CELL_PX / 2, CELL_PX / 2), abs=1.0)
    assert len(np.unique(cell[0][coloured], axis=0)) == 1


def test_what_lies_at_the_border_is_not_taken_from_the_other_side(field: _Field) -> None:
    cell = field.cell(2, 4.0, 0.2)
    assert cell is not None
    share = (cell[0] != 1.0).any(axis=2).mean()
    assert share == pytest.approx(0.2 * 0.4 / 16.0, abs=0.006)
    assert field.cell(3, 1.0, 0.2) is None


def test_what_is_not_known_is_grey_and_not_zero() -> None:
    inside, untrusted = np.ones((1, 3), bool), np.array([[False, True, False]])
    image = _coloured(np.array([[0.0, 0.5, np.nan]]), inside, untrusted, SOC_MAP, 1.0)
    assert image[0, 1].tolist() == image[0, 2].tolist() != image[0, 0].tolist()
    assert np.ptp(image[0, 1]) == 0.0


def test_both_modalities_have_a_sheet_and_none_is_drawn_of_nothing(bench: SimpleNamespace) -> None:
    found = mosaics(bench.evidence)
    assert found
    assert all(isinstance(each, Picture) for each in found)
    table = bench.evidence.table("particles")
    bench.evidence._tables["particles"] = table.assign(soc_mean=np.nan)
    try:
        (absent,) = mosaics(bench.evidence)
        assert isinstance(absent, Absent)
    finally:
        bench.evidence._tables["particles"] = table
    assert isinstance(bench.evidence, Evidence)
