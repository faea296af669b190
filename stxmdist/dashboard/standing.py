"""How a scan stands: a light that a glance understands, and one sentence that says why."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from stxmdist.campaign.scan import Scan
from stxmdist.dashboard.snapshot import Snapshot
from stxmdist.errors import StoreError
from stxmdist.measures import FitMeasures, IngestMeasures, ReconstructFigures, SegmentMeasures
from stxmdist.planning.stages import STAGES
from stxmdist.planning.verdict import ScanVerdict, judged
from stxmdist.records import read_from_json
from stxmdist.runner import CAMPAIGN
from stxmdist.runner.unit import Refusal
from stxmdist.spectra.fitting.model import FitChoices

Light = Literal["good", "doubt", "bad", "wait"]

WORDS: dict[Light, str] = {"good": "good", "doubt": "in doubt", "bad": "bad", "wait": "waits"}


@dataclass(frozen=True)
class Standing:
    """How a scan stands now."""

    light: Light
    sentence: str
    particles: int = 0
    particles_with_soc: int = 0
    soc_mean: float | None = None
    """Of its particles"""

    @property
    def words(self) -> str:
        """The light in words."""
        return WORDS[self.light]


def standing_of(now: Snapshot, scan: Scan) -> Standing:
    """How a scan stands, from what is published and what has failed; worked out once for each moment."""
    return now.once(("standing", scan.scan_id), lambda: _standing(now, scan))


def _standing(now: Snapshot, scan: Scan) -> Standing:
    scan_id = scan.scan_id
    if scan.exclude:
        return Standing("wait", f"Left out in the sample sheet: {scan.reason or 'no reason is given'}.")
    failed = next(failures_of(now, scan_id), None)
    if failed is not None:
        stage, refusal = failed
        return Standing("bad", f"The stage {stage} failed: {refusal.reason}")
    segment = now.figures(SegmentMeasures, "segment", scan_id)
    if segment is None:
        done = now.published.stages_of(scan_id)
        return Standing("wait", f"Published as far as the stage {done[-1]}." if done else "No stage has run yet.")
    fit = now.figures(FitMeasures, "fit", scan_id)
    ingest = now.figures(IngestMeasures, "ingest", scan_id)
    found = ScanVerdict(scan_id, scan.modality, "done", so_far="" if ingest is None else ingest.so_far)
    verdict = judged(found, segment, fit, fit_choices(now, scan_id).classes)
    numbers = (verdict.particles, verdict.particles_with_soc, segment.soc_mean)
    if verdict.so_far and not (verdict.few or verdict.doubt):
        return Standing("wait", f"{verdict.sentence}.", *numbers)
    if verdict.sentence:
        light: Light = "doubt" if verdict.usable else "bad"
        return Standing(light, verdict.sentence.removesuffix(".") + ".", *numbers)
    poor = _poor_tiles(now, scan_id)
    if poor:
        return Standing("doubt", f"{verdict.counted.capitalize()}; {poor}.", *numbers)
    mean = "" if segment.soc_mean is None else f", {segment.soc_mean:.2f} in the mean"
    return Standing("good", f"{verdict.counted.capitalize()}{mean}.", *numbers)


def failures_of(now: Snapshot, scan_id: str) -> Iterator[tuple[str, Refusal]]:
    """Stages that failed for a scan, as it is published, each with what one of its units met."""
    for stage in STAGES:
        found = now.published.named(stage, scan_id)
        if found is None or found.state != "failed":
            continue
        for written in now.published.store.output(stage, scan_id, found.digest).quarantined().values():
            yield stage, Refusal.from_dict(written)


def failed_units(now: Snapshot) -> int:
    """How many units of the published outputs have failed: those that a run leaves aside until it is told otherwise."""
    return sum(
        scan.units_failed
        for publication in now.published.publications.values()
        for name, scan in publication.scans.items()
        if scan.state == "failed" and (name in now.scans or name == CAMPAIGN)
    )


def fit_choices(now: Snapshot, scan_id: str) -> FitChoices:
    """The options with which a scan was fitted; the defaults where nothing is published, or another version did it."""
    try:
        return read_from_json(FitChoices, now.published.options("fit", scan_id))
    except StoreError:
        return FitChoices()


def _poor_tiles(now: Snapshot, scan_id: str) -> str:
    """How many reconstructions are not good, in words; empty where all are."""
    figures = now.figures(ReconstructFigures, "reconstruct", scan_id)
    if figures is None:
        return ""
    counts = {word: figures.verdict.count(word) for word in ("poor", "failed")}
    said = [f"{n} of {len(figures.verdict)} reconstructions {word}" for word, n in counts.items() if n]
    return " and ".join(said)
