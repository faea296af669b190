"""What is published of a campaign: figures as records, chosen outputs, and outputs that do not belong together."""

from dataclasses import replace
from pathlib import Path

import pytest

from storage.publication import Publication, PublishedScan
from storage.store import Store
from stxmdist import measures
from stxmdist.errors import StoreError
from stxmdist.measures import IngestMeasures
from stxmdist.planning.published import PublishedCampaign
from stxmdist.records import figures_of

FIGURES: dict[str, type[object]] = {
    "ingest": measures.IngestMeasures,
    "reconstruct": measures.ReconstructFigures,
    "stitch": measures.StitchFigures,
    "absorbance": measures.AbsorbanceMeasures,
    "align": measures.AlignMeasures,
    "fit": measures.FitMeasures,
    "segment": measures.SegmentMeasures,
    "register": measures.RegisterMeasures,
    "network": measures.NetworkMeasures,
    "infer": measures.InferMeasures,
}
"""Stage to the record of its figures; explore has none yet"""


INGESTED = figures_of(IngestMeasures(3, 3, (), {"one.hdr": "ab"}))


def publish(store: Store, stage: str, scans: dict[str, PublishedScan]) -> None:
    for scan_id, scan in scans.items():
        store.output(stage, scan_id, scan.digest).path.mkdir(parents=True, exist_ok=True)
    store.publish(Publication(stage, 1, {"modality": "stxm"}, 0, "2026-01-02T03:04:05+00:00", {}, scans))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two scans, of which the alignment of one failed; the other's was made from the published ingest."""
    store = Store(tmp_path / "store").create()
    publish(store, "ingest", {name: PublishedScan("in", "done", INGESTED) for name in ("one", "two")})
    made = PublishedScan("al", "done", inputs={"ingest/one": "in", "file": "one.hdr"})
    publish(store, "align", {"one": made, "two": replace(made, state="failed", inputs={"ingest/two": "in"})})
    return store


def test_figures_of_every_stage_are_read_as_the_records_that_it_writes(processed: Path) -> None:
    published = PublishedCampaign(Store(processed.parent / "store"))
    for stage, kind in FIGURES.items():
        scans = published.digests(stage)
        assert scans, stage
        assert all(isinstance(published.figures(kind, stage, scan_id), kind) for scan_id in scans)


def test_an_output_that_failed_is_named_and_not_published(store: Store) -> None:
    published = PublishedCampaign(store)
    assert published.has("align", "one")
    assert not published.has("align", "two")
    assert published.output("align", "two") is None
    assert published.named("align", "two") is not None
    assert published.digests("align") == {"one": "al"}
    assert published.stages_of("one") == ["ingest", "align"]
    assert published.stages_of("two") == ["ingest"]
    assert published.figures(IngestMeasures, "ingest", "gone") is None
    assert published.table("particles") is None
    assert published.options("align") == {"modality": "stxm"}
    assert published.options("fit") == {}


def test_only_chosen_outputs_count(store: Store) -> None:
    published = PublishedCampaign(store, {("ingest", "one"): "in", ("ingest", "two"): "of another run"})
    assert published.digests("ingest") == {"one": "in", "two": "of another run"}
    assert published.scan("ingest", "one") is not None
    assert published.scan("ingest", "two") is None, "what is visible is not what was chosen"
    assert not published.has("align", "one")


def test_outputs_of_different_runs_do_not_belong_together(store: Store) -> None:
    assert PublishedCampaign(store).why_unusable("align", "one") == ""
    assert "failed for it" in PublishedCampaign(store).why_unusable("align", "two")
    assert "published nothing" in PublishedCampaign(store).why_unusable("fit", "one")
    publish(store, "ingest", {"one": PublishedScan("newer", "done", INGESTED)})
    assert "another output of ingest" in PublishedCampaign(store).why_unusable("align", "one")


def test_the_lineage_of_an_output_holds_all_that_it_was_made_from(store: Store) -> None:
    lineage = PublishedCampaign(store).lineage(("align",), "one")
    assert {stage: list(outputs) for stage, outputs in lineage.items()} == {"ingest": ["one"], "align": ["one"]}


def test_figures_of_another_version_are_refused(store: Store) -> None:
    publish(store, "ingest", {"one": PublishedScan("in", "done", {"frames_read": 3})})
    with pytest.raises(StoreError, match="other fields than this version"):
        PublishedCampaign(store).figures(IngestMeasures, "ingest", "one")
