"""What segment leaves behind agrees with itself: labels, classes and the table of particles."""

from pathlib import Path

import numpy as np
import pytest

from storage.store import Store
from storage.tables import read_table
from stxmdist.arrays import MaskClass
from tests.stages.tiny import PTYCHOGRAPHY, STXM

NOT_MEASURED = (MaskClass.missing, MaskClass.outside)


@pytest.mark.parametrize("scan_id", [*STXM, *PTYCHOGRAPHY])
def test_labels_are_not_known_where_nothing_was_measured(processed: Path, scan_id: str) -> None:
    store = Store(processed.parent / "store")
    fit, segment = store.published_output("fit", scan_id), store.published_output("segment", scan_id)
    assert fit is not None
    assert segment is not None
    labels = segment.read("labels")
    unknown = np.isin(fit.read("mask_class"), NOT_MEASURED) | ~np.isfinite(fit.read("thickness_nm")).all(axis=0)
    # Drift and the tiles' rims leave some in every scan, so the test says something.
    assert unknown.any()
    np.testing.assert_array_equal(labels == -1, unknown)
    table = read_table(segment.path / "particles.parquet")
    found, pixels = np.unique(labels[labels > 0], return_counts=True)
    np.testing.assert_array_equal(table["particle_id"], found)
    np.testing.assert_array_equal(table["n_pixels"], pixels)


@pytest.mark.parametrize("scan_id", STXM)
def test_edges_are_the_only_new_class(processed: Path, scan_id: str) -> None:
    store = Store(processed.parent / "store")
    fit, segment = store.published_output("fit", scan_id), store.published_output("segment", scan_id)
    assert fit is not None
    assert segment is not None
    before, after, labels = fit.read("mask_class"), segment.read("mask_class"), segment.read("labels")
    changed = before != after
    assert changed.any()
    assert set(before[changed]) == {MaskClass.valid}
    assert set(after[changed]) == {MaskClass.edge}
    assert (labels[changed] > 0).all()
