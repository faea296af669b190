"""What segment leaves behind agrees with itself: labels, classes and the table of particles."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from storage.store import Store
from storage.tables import read_table
from stxmdist.arrays import MaskClass
from stxmdist.spectra.checks.classes import ClassOptions
from stxmdist.stages.fit import Options as FitOptions
from stxmdist.stages.segment.stage import Options, counted_classes, described
from tests.stages.planted_stacks import fitted, plant_stack
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


def test_outlines_are_drawn_in_where_asked() -> None:
    rng = np.random.default_rng(4)
    stack = plant_stack(rng, Options(end_member_sd=0.005))
    scan, model = fitted(stack, 1000.0, rng, FitOptions())
    masked, shrunk = (
        described(scan, model, replace(Options(), edge_policy=policy), "none", ClassOptions())
        for policy in ("mask", "shrink")
    )
    edge = masked.mask_class == MaskClass.edge
    assert edge.any()
    kept = np.where(edge, 0, masked.labels)
    np.testing.assert_array_equal(shrunk.labels > 0, kept > 0)
    present = np.unique(shrunk.labels[shrunk.labels > 0])
    np.testing.assert_array_equal(present, np.arange(1, present.size + 1))
    np.testing.assert_array_equal(shrunk.table["particle_id"], present)
    for label in present:
        (before,) = np.unique(kept[shrunk.labels == label])
        assert shrunk.table["area_um2"][label - 1] < masked.table["area_um2"][before - 1]


def test_noisy_pixels_keep_their_mass_unless_a_least_count_is_asked_for() -> None:
    classes = np.array([[MaskClass.valid, MaskClass.low_count, MaskClass.low_count, MaskClass.thick]], np.uint8)
    thickness = np.array([[[50.0, 5.0, np.nan, 300.0]]] * 2).reshape(2, 1, 4)
    counted = counted_classes(classes, thickness, ClassOptions())
    assert counted.tolist() == [[MaskClass.valid, MaskClass.background, MaskClass.low_count, MaskClass.thick]]
    np.testing.assert_array_equal(counted_classes(classes, thickness, ClassOptions(least_counts=5.0)), classes)


@pytest.mark.parametrize("scan_id", STXM)
def test_components_are_counted_where_there_are_pixels_to_do_it(processed: Path, scan_id: str) -> None:
    segment = Store(processed.parent / "store").published_output("segment", scan_id)
    assert segment is not None
    table = read_table(segment.path / "particles.parquet")
    told = table["p_missing_component"].notna()
    assert told.any()
    assert table.loc[told, "p_missing_component"].between(0.0, 1.0).all()
    assert table.loc[told, "chi2_pooled"].between(0.7, 2.0).all()
    # They were made of two end-members.
    assert (table.loc[told, "components"] == 2.0).all()
    assert not table["flags"].str.contains("missing component").any()
    publication = Store(processed.parent / "store").open().publication("segment")
    assert publication is not None
    assert publication.scans[scan_id].quality["missing_component"].startswith("two end-members explain all of")
