"""The verdict of a campaign: scans, particles, states of charge, and for scans that gave few what took them.

A scan gave few where fewer than half of its particles have a state of charge, or where no particle was found.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, TypedDict

from stxmdist.arrays import MaskClass
from stxmdist.measures import FitMeasures, SegmentMeasures
from stxmdist.planning.class_words import ClassWords, words_of
from stxmdist.planning.refused import Refused, refused_before, set_aside
from stxmdist.planning.survey import Survey
from stxmdist.runner.unit import Refusal
from stxmdist.spectra.checks.classes import ClassOptions
from stxmdist.spectra.fitting.model import FitChoices

FEW = 0.5
"""A scan gave few where a smaller share of its particles has a state of charge"""

COUNTED = (MaskClass.valid, MaskClass.edge, MaskClass.background)
"""Classes of pixels that enter the mean of a particle: they are not what took its state of charge"""

MODALITIES = {"stxm": "STXM", "ptychography": "ptychography"}
"""As people write them"""

State: TypeAlias = Literal["done", "stopped", "waits"]
"""Particles were looked for; the scan was refused on the way there; it was not processed yet"""


class ScanDocument(TypedDict):
    """What ``--json`` says of one scan: the fields of ``ScanVerdict``, and the class that took most pixels."""

    scan_id: str
    modality: str
    state: State
    stage: str
    usable: bool
    images_only: bool
    particles: int
    particles_with_soc: int
    particles_without_soc: dict[str, int]
    mask_class: str | None
    share: float | None
    cause: str | None
    mend: str | None
    sentence: str


class VerdictDocument(TypedDict):
    """What ``--json`` says of a campaign."""

    usable: bool
    scans: int
    excluded: int
    particles: int
    particles_with_soc: int
    sentence: str
    by_scan: list[ScanDocument]


@dataclass(frozen=True)
class LostPixels:
    """Pixels of one class, among those of the particles or of the field, that gave no state of charge."""

    mask_class: str
    n: int
    share: float
    place: str
    """``the particles' pixels`` or ``the field's pixels``"""
    words: ClassWords

    @property
    def sentence(self) -> str:
        """How many, why, and what mends it."""
        percent = f"{100.0 * self.share:.3g}" if self.share > 0.99 else f"{100.0 * self.share:.0f}"
        return f"{percent} % of {self.place} {self.why}"

    @property
    def why(self) -> str:
        """The same without the number."""
        return f"{self.words.are}: {self.words.cause}; {self.words.mend}"


@dataclass(frozen=True)
class ScanVerdict:
    """What one scan gave, and if that is little, why."""

    scan_id: str
    modality: str
    """Empty where the row of the sheet could not be understood"""
    state: State
    particles: int = 0
    particles_with_soc: int = 0
    without_soc: Mapping[str, int] | None = None
    """Why particles have no state of charge, to how many"""
    lost: tuple[LostPixels, ...] = ()
    """The most numerous first; only where the scan gave few"""
    stage: str = ""
    """Where it was stopped, or what is to be done next"""
    refusal: str = ""
    """Why it was stopped"""
    so_far: str = ""
    """How many energies of how many there are, of a scan that is still being measured"""
    doubt: str = ""
    """What speaks against states of charge that it gave, and what would mend it"""
    images_only: bool = False
    """Whether no state of charge is wanted of it"""

    @property
    def usable(self) -> bool:
        """Whether some particle has a state of charge; of a scan that is not whole, or not processed yet, some may."""
        unknown = self.state == "waits" or bool(self.so_far)
        return unknown or self.particles_with_soc > 0 or (self.images_only and self.state == "done")

    @property
    def few(self) -> bool:
        """Whether it gave less than half of what was there, or nothing."""
        none = not self.particles_with_soc
        return (
            not self.images_only and self.state == "done" and (none or self.particles_with_soc < FEW * self.particles)
        )

    @property
    def counted(self) -> str:
        """Particles with a state of charge among those found, in words."""
        if not self.particles:
            return "no particle was found"
        verb = "has" if self.particles_with_soc <= 1 else "have"
        return f"{self.particles_with_soc or 'none'} of {self.particles} particles {verb} a state of charge"

    @property
    def sentence(self) -> str:
        """Why it gave few, or what speaks against what it gave; empty where neither is so and it is whole."""
        if self.state == "stopped":
            return self.refusal
        if self.state == "waits" or self.images_only:
            return self.so_far
        return f"{self.so_far}: {self._said or self.counted}" if self.so_far else self._said

    @property
    def _said(self) -> str:
        if not self.few:
            return f"{self.counted}, in doubt: {self.doubt}" if self.doubt else ""
        if self.lost:
            return f"{self.counted}. {self.lost[0].sentence}"
        reasons = ", ".join(f"{n} {why}" for why, n in (self.without_soc or {}).items())
        return f"{self.counted}: {reasons or 'the field has no pixel'}"

    def document(self) -> ScanDocument:
        """For ``--json``."""
        first = self.lost[0] if self.lost else None
        return {
            "scan_id": self.scan_id,
            "modality": self.modality,
            "state": self.state,
            "stage": self.stage,
            "usable": self.usable,
            "images_only": self.images_only,
            "particles": self.particles,
            "particles_with_soc": self.particles_with_soc,
            "particles_without_soc": dict(self.without_soc or {}),
            "mask_class": None if first is None else first.mask_class,
            "share": None if first is None else first.share,
            "cause": None if first is None else first.words.cause,
            "mend": None if first is None else first.words.mend,
            "sentence": self.sentence,
        }


@dataclass(frozen=True)
class Verdict:
    """What a campaign gave."""

    scans: tuple[ScanVerdict, ...] = ()
    excluded: int = 0
    """Rows that the sample sheet leaves out"""

    @property
    def usable(self) -> bool:
        """Whether every scan that came to its end has a particle with a state of charge."""
        return all(scan.usable for scan in self.scans)

    @property
    def poor(self) -> tuple[ScanVerdict, ...]:
        """Scans that gave few or none, whose numbers are in doubt, and those that were stopped."""
        return tuple(scan for scan in self.scans if scan.sentence)

    @property
    def headline(self) -> str:
        """Scans, particles, states of charge, in a sentence."""
        to_fit = [scan for scan in self.scans if not scan.images_only]
        text = _count(len(self.scans), "scan")
        if to_fit or not self.scans:
            text += f": {_found(to_fit)}"
        kinds = [kind for kind in MODALITIES if any(scan.modality == kind for scan in to_fit)]
        if len(kinds) > 1:
            by_kind = {kind: [scan for scan in to_fit if scan.modality == kind] for kind in kinds}
            parts = (
                f"{MODALITIES[kind]} {sum(scan.particles_with_soc for scan in scans)} of "
                f"{sum(scan.particles for scan in scans)} in {_count(len(scans), 'scan')}"
                for kind, scans in by_kind.items()
            )
            text += f" ({'; '.join(parts)})"
        numbers = {
            "without a usable particle": sum(scan.state == "done" and not scan.usable for scan in self.scans),
            "stopped before particles were looked for": sum(scan.state == "stopped" for scan in self.scans),
            "processed for images alone (chemistry: none)": sum(
                scan.state == "done" and scan.images_only for scan in self.scans
            ),
            "not processed yet": sum(scan.state == "waits" for scan in self.scans),
            "excluded in the sample sheet": self.excluded,
        }
        return ". ".join([text, *(f"{_count(n, 'scan')} {what}" for what, n in numbers.items() if n)]) + "."

    def lines(self) -> list[str]:
        """One line for each scan that gave few or none, or was stopped."""
        return [f"{scan.scan_id}: {scan.sentence}" for scan in self.poor]

    def document(self) -> VerdictDocument:
        """For ``--json``: the numbers, and for each scan that gave few why."""
        return {
            "usable": self.usable,
            "scans": len(self.scans),
            "excluded": self.excluded,
            "particles": sum(scan.particles for scan in self.scans),
            "particles_with_soc": sum(scan.particles_with_soc for scan in self.scans),
            "sentence": self.headline,
            "by_scan": [scan.document() for scan in self.scans],
        }


def _found(scans: Sequence[ScanVerdict]) -> str:
    found, known = sum(scan.particles for scan in scans), sum(scan.particles_with_soc for scan in scans)
    return f"{_count(found, 'particle')} found, {known} with a state of charge"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def verdict_of(survey: Survey, *, refusals: Collection[Refusal] = (), only: frozenset[str] | None = None) -> Verdict:
    """The verdict of what is published of a campaign as it is planned now.

    ``refusals`` are those that a run met and the store does not keep; ``only`` are the scans that are asked about,
    None for all.
    """
    stopped: dict[str, Refused] = {}
    for refused in (*refused_before(survey), *set_aside(survey), *(Refused("", refusal) for refusal in refusals)):
        stopped.setdefault(refused.refusal.scan_id, refused)
    rows: dict[str, str] = {scan.scan_id: scan.modality for scan in survey.campaign.scans}
    for refusal in survey.refusals:
        rows.setdefault(refusal.scan_id, "")
    asked = [name for name in rows if only is None or name in only]
    return Verdict(
        tuple(_of_scan(survey, name, rows[name], stopped.get(name)) for name in asked), len(survey.campaign.excluded)
    )


def _of_scan(survey: Survey, scan_id: str, modality: str, stopped: Refused | None) -> ScanVerdict:
    """What is published of a scan, else why it was stopped, else what it waits for."""
    growth = survey.growth.scans.get(scan_id)
    so_far = growth.sentence if growth is not None and growth.state in ("arrives", "grows") else ""
    segment = survey.figures(SegmentMeasures, "segment", scan_id)
    if segment is not None:
        fit = survey.figures(FitMeasures, "fit", scan_id)
        limits = survey.options_of("fit", FitChoices, scan_id).classes
        return judged(ScanVerdict(scan_id, modality, "done", so_far=so_far), segment, fit, limits)
    if stopped is not None:
        return ScanVerdict(scan_id, modality, "stopped", stage=stopped.stage, refusal=stopped.refusal.sentence)
    known = scan_id in survey.scans
    concerned = [name for name in survey.stages if not known or survey.stage(name).concerns(survey, scan_id)]
    missing = (name for name in concerned if not known or survey.forecast or not survey.published(name, scan_id))
    following = next(missing, "")
    images_only = known and survey.scans[scan_id].images_only
    return ScanVerdict(
        scan_id,
        modality,
        "done" if images_only and not following else "waits",
        stage=following,
        so_far=so_far,
        images_only=images_only,
    )


def judged(scan: ScanVerdict, segment: SegmentMeasures, fit: FitMeasures | None, limits: ClassOptions) -> ScanVerdict:
    """The verdict of a scan whose particles were looked for, from the ledger of its pixels and particles."""
    counted = replace(
        scan,
        particles=segment.particles,
        particles_with_soc=segment.particles_with_soc,
        without_soc=segment.particles_without_soc,
    )
    if not counted.few:
        return replace(counted, doubt=_doubt(segment, fit))
    if segment.particles:
        lost = lost_pixels(segment.pixels_of_particles, "the particles' pixels", fit, limits, passed_over=COUNTED)
    else:
        lost = lost_pixels(segment.pixels_of_field, "the field's pixels", fit, limits, passed_over=())
    return replace(counted, lost=lost)


def _doubt(segment: SegmentMeasures, fit: FitMeasures | None) -> str:
    """What the fit says against a scan of whose particles most hold more than the end-members, or lost most pixels."""
    if fit is None or not fit.cause:
        return ""
    lost = sum(n for name, n in segment.pixels_of_particles.items() if MaskClass[name] not in COUNTED)
    looked_into = segment.particles_looked_into or segment.particles
    unexplained = (segment.particles_missing_component or 0) >= FEW * looked_into
    if not unexplained and lost < FEW * sum(segment.pixels_of_particles.values()):
        return ""
    return f"{fit.cause}; {fit.mend}".removesuffix("; ")


def lost_pixels(
    pixels: Mapping[str, int],
    place: str,
    fit: FitMeasures | None,
    limits: ClassOptions,
    *,
    passed_over: Collection[MaskClass],
) -> tuple[LostPixels, ...]:
    """The classes of a ledger, those with most pixels first; what the fit says of its misfit is said of poor fits."""
    total = sum(pixels.values())
    rows = []
    for name, n in pixels.items():
        kind = MaskClass[name]
        if kind in passed_over:
            continue
        words = words_of(kind, limits)
        if kind == MaskClass.poor_fit and fit is not None:
            words = replace(words, cause=fit.cause or words.cause, mend=fit.mend or words.mend)
        rows.append(LostPixels(name, n, n / total, place, words))
    return tuple(sorted(rows, key=lambda row: -row.n))
