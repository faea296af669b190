"""What segment leaves behind agrees with itself: labels, classes and the table of particles."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from storage.store import Store
from storage.tables import read_table
from stxmdist.arrays import F32, MaskClass
from stxmdist.measures import AbsorbanceMeasures, AlignMeasures, SegmentMeasures
from stxmdist.planning.conditions import with_conditions
from stxmdist.records import figures_of, from_json
from stxmdist.runner.perform import perform
from stxmdist.runner.unit import Receipt
from stxmdist.runner.writing import single_shard
from stxmdist.spectra.checks.classes import ClassOptions
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.stages.fit import Options as FitOptions
from stxmdist.stages.segment.describe import described, outlined, particle_numbers
from stxmdist.stages.segment.options import Options
from tests.stages.aligned import aligned_survey
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
def test_only_edges_and_poor_fits_are_judged_by_the_particles(processed: Path, scan_id: str) -> None:
    store = Store(processed.parent / "store")
    fit, segment = store.published_output("fit", scan_id), store.published_output("segment", scan_id)
    assert fit is not None
    assert segment is not None
    before, after, labels = fit.read("mask_class"), segment.read("mask_class"), segment.read("labels")
    changed = before != after
    assert changed.any()
    assert set(before[changed]) <= {MaskClass.valid, MaskClass.poor_fit}
    assert set(after[changed]) <= {MaskClass.valid, MaskClass.poor_fit, MaskClass.edge}
    assert (after == MaskClass.edge).any()
    assert (labels[changed] > 0).all()


def test_outlines_are_drawn_in_where_asked() -> None:
    rng = np.random.default_rng(4)
    stack = plant_stack(rng, Options(end_member_sd=0.005))
    scan, model = fitted(stack, 1000.0, rng, FitOptions())
    masked, shrunk = (
        outlined(scan, model, replace(Options(), edge_policy=policy), ClassOptions()) for policy in ("mask", "shrink")
    )
    edge = masked.mask_class == MaskClass.edge
    assert edge.any()
    kept = np.where(edge, 0, masked.labels)
    np.testing.assert_array_equal(shrunk.labels > 0, kept > 0)
    present = np.unique(shrunk.labels[shrunk.labels > 0])
    np.testing.assert_array_equal(present, np.arange(1, present.size + 1))
    tables = [
        described(scan, found, model, replace(Options(), edge_policy=policy), ClassOptions()).particles
        for found, policy in ((masked, "mask"), (shrunk, "shrink"))
    ]
    np.testing.assert_array_equal(tables[1]["particle_id"], present)
    for label in present:
        (before,) = np.unique(kept[shrunk.labels == label])
        assert tables[1]["area_um2"][label - 1] < tables[0]["area_um2"][before - 1]


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


LINE_ENERGY_EV = np.array([700.0, 705.0, 706.6, 708.2, 709.2, 710.2, 712.6, 720.6])
PLATE = slice(60, 80)
"""A plate of 1 um in pixels of 50 nm; in pixels of 25 nm it would be smaller than the least particle."""


def line_of_one_plate(part: slice) -> F32:
    amounts = np.zeros((2, 140))
    amounts[:, PLATE] = [[40.0], [60.0]]
    mu = CHEMISTRIES["LFP"].load().end_members().at(LINE_ENERGY_EV)
    return np.exp(-(mu.T @ amounts))[:, None, :].astype(np.float32)


def test_a_line_scan_is_segmented_at_the_pitch_of_its_steps(tmp_path: Path) -> None:
    survey = aligned_survey(tmp_path, LINE_ENERGY_EV, (1, 140), line_of_one_plate)
    n = len(LINE_ENERGY_EV)
    aligned = AlignMeasures(0.0, 0, np.zeros(0), 1.0, 0.0, 20, 1.0)
    beam = AbsorbanceMeasures(np.full(n, 1e3), np.ones(n), 1.0, 0.5, n)
    survey.output("align", "made").mark("scan", Receipt("made", "scan", figures_of(aligned), {}, 1.0, 1.0, 1).as_dict())
    absorbance = survey.output("absorbance", "made")
    absorbance.declare([single_shard(name, (n,)) for name in ("i0_counts", "i0_variance")])
    for name, value in (("i0_counts", 1e3), ("i0_variance", 1.0)):
        absorbance.write("scan", {name: [(0,)]}, name, (0,), np.full(n, value))
    absorbance.mark("scan", Receipt("made", "scan", figures_of(beam), {}, 1.0, 1.0, 1).as_dict())
    for stage in ("fit", "segment"):
        for unit in survey.stage(stage).plan(survey, survey.options[stage]).units:
            unit.output().declare(unit.arrays)
            receipt = perform(unit)
            assert isinstance(receipt, Receipt), receipt
    found = from_json(SegmentMeasures, receipt.measures)
    (row,) = read_table(survey.output("segment", "made").path / "particles.parquet").to_dict("records")
    assert (found.particles, row["n_pixels"]) == (1, 20)
    assert row["area_um2"] == pytest.approx(20 * 0.05**2)
    assert row["x_um"] == pytest.approx(0.05 * 69.5)
    # Two sigmas of 25 nm are one pixel on either side.
    classes = survey.output("segment", "made").read("mask_class")[0, PLATE]
    assert np.flatnonzero(classes == MaskClass.edge).tolist() == [0, 19]


def test_particles_are_numbered_from_nought_where_pixels_are_valid() -> None:
    labels = np.array([[-1, 0, 4, 4, 7]], np.int32)
    mask_class = np.array([[MaskClass.valid] * 3 + [MaskClass.edge, MaskClass.valid]], np.uint8)
    numbers, n = particle_numbers(labels, mask_class)
    assert (numbers.tolist(), n) == ([[-1, -1, 0, -1, 1]], 2)


def test_conditions_stand_before_the_numbers_in_the_order_of_the_sheet() -> None:
    table = with_conditions(pd.DataFrame({"particle_id": [1, 2]}), {"scan_id": "one", "cycle": 3.0, "pair_id": None})
    assert list(table.columns) == ["scan_id", "cycle", "pair_id", "particle_id"]
    assert table["cycle"].tolist() == [3.0, 3.0]
    assert len(with_conditions(pd.DataFrame({"particle_id": []}), {"scan_id": "one"})) == 0
