"""Forecast of a campaign from the headers of its files, before anything runs: units, bytes, memory and time."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass

import pandas as pd

from stxmdist.campaign.manifest import Campaign, Problem
from stxmdist.markup import list_html, paragraph_html, table_html
from stxmdist.planning.headers import survey_of
from stxmdist.planning.stages import STAGES, chosen_stages
from stxmdist.planning.survey import AnyStage
from stxmdist.planning.validation import ScanNotes, in_words, notes_of
from stxmdist.runner import CAMPAIGN
from stxmdist.runner.unit import AnyUnit, Refusal

PACKED = {
    # Many pixels of a diffraction frame hold few bits.
    "frames": 0.5,
    "counts": 0.35,
    "optical_density": 0.88,
    "od_variance": 0.75,
    "particle_free": 0.04,
    "transmission": 0.80,
    "aligned_class": 0.03,
    "cluster_labels": 0.05,
    "thickness_covariance": 0.72,
    "background": 0.01,
    "soc": 0.27,
    "soc_se": 0.27,
    "mask_class": 0.05,
    "labels": 0.01,
    "object_tile": 0.96,
    "object_half_a": 0.96,
    "object_half_b": 0.96,
    "tile_illumination": 0.96,
    "object": 0.84,
    "object_a": 0.84,
    "object_b": 0.84,
    "illumination_weight": 0.84,
    "soc_ptychography_on_stxm": 0.1,
}
"""Compressed over uncompressed size of arrays, measured on simulated campaigns: noise hardly compresses; maps that
hold numbers only in particles compress well."""

PACKED_BY_DEFAULT = 0.9


@dataclass(frozen=True)
class StageForecast:
    """Forecast of one stage."""

    stage: str
    units: int
    bytes_out: int
    stored_bytes: int
    peak_worker_bytes: int
    core_seconds: float


@dataclass(frozen=True)
class Forecast:
    """Forecast of the campaign."""

    name: str
    workers: int
    memory_limit: int | None
    """Bytes of a worker; None where this forecast decides"""
    stages: tuple[StageForecast, ...]
    refusals: tuple[Refusal, ...]
    warnings: tuple[Problem, ...] = ()
    """What headers make look wrong, and what does not stop a run"""
    notes: tuple[ScanNotes, ...] = ()
    """What readers assumed, and what files do not say"""

    @property
    def units(self) -> int:
        """Units of all stages."""
        return sum(stage.units for stage in self.stages)

    @property
    def bytes_out(self) -> int:
        """Bytes of all arrays before compression."""
        return sum(stage.bytes_out for stage in self.stages)

    @property
    def stored_bytes(self) -> int:
        """Estimated bytes on disk."""
        return sum(stage.stored_bytes for stage in self.stages)

    @property
    def core_hours(self) -> float:
        """Estimated hours on one core."""
        return sum(stage.core_seconds for stage in self.stages) / 3600.0

    @property
    def hours(self) -> float:
        """Estimated hours on the campaign's workers."""
        return self.core_hours / self.workers

    @property
    def peak_worker_bytes(self) -> int:
        """Largest resident memory of a worker."""
        return max((stage.peak_worker_bytes for stage in self.stages), default=0)

    def rows(self) -> list[dict[str, object]]:
        """One row for each stage, for people."""
        return [
            {
                "stage": stage.stage,
                "units": stage.units,
                "arrays MB": round(stage.bytes_out / 1e6, 1),
                "on disk MB": round(stage.stored_bytes / 1e6, 1),
                "peak worker MB": round(stage.peak_worker_bytes / 1e6),
                "core minutes": round(stage.core_seconds / 60.0, 2),
            }
            for stage in self.stages
        ]

    @property
    def sentence(self) -> str:
        """What all of it takes, in one line."""
        return (
            f"{self.units} units, {self.bytes_out / 1e9:.2f} GB of arrays, about {self.stored_bytes / 1e9:.2f} GB on "
            f"disk, {self.core_hours:.2f} core-hours, about {self.hours * 60:.1f} minutes on {self.workers} workers"
        )

    def table(self) -> pd.DataFrame:
        """A row for each stage; units stand in the names of the columns."""
        return pd.DataFrame([vars(stage) for stage in self.stages])

    def _repr_html_(self) -> str:
        said = [f"left out: {refusal.sentence}" for refusal in self.refusals]
        said += [f"warning: {problem.sentence}" for problem in self.warnings]
        said += [f"note: {note}" for note in in_words(self.notes)]
        return paragraph_html(self.sentence) + table_html(self.rows()) + list_html(said)

    def as_dict(self) -> dict[str, object]:
        """JSON-able, units in the names."""
        return {
            "campaign": self.name,
            "workers": self.workers,
            "memory_limit_bytes": self.memory_limit,
            "units": self.units,
            "bytes_out": self.bytes_out,
            "stored_bytes": self.stored_bytes,
            "peak_worker_bytes": self.peak_worker_bytes,
            "fits_memory": self.memory_limit is None or self.peak_worker_bytes <= self.memory_limit,
            "core_hours": self.core_hours,
            "hours": self.hours,
            "stages": [vars(stage) for stage in self.stages],
            "refusals": [vars(refusal) | {"sentence": refusal.sentence} for refusal in self.refusals],
            "warnings": [problem.as_dict() for problem in self.warnings],
            "notes": [asdict(scan) for scan in self.notes],
        }


def forecast_of(
    campaign: Campaign, options: Mapping[str, object], stages: Collection[str] = (), scans: Collection[str] = ()
) -> Forecast:
    """Plan every stage as if all earlier ones had succeeded, and add up; opens headers only.

    ``stages`` and ``scans`` are what a run is asked for; all where they are empty.
    """
    survey = survey_of(campaign, options, forecast=True)
    forecasts = []
    refusals = list(survey.refusals)
    for name in chosen_stages(stages):
        stage = STAGES[name].load()
        plan = stage.plan(survey, options[name])
        refusals += plan.refusals
        units = (unit for unit in plan.units if not scans or unit.scan_id in {*scans, CAMPAIGN})
        forecasts.append(_sum(stage, tuple(units)))
    refusals = [refusal for refusal in refusals if not scans or refusal.scan_id in scans]
    return Forecast(
        name=campaign.name,
        workers=campaign.cluster.most_workers,
        memory_limit=campaign.cluster.worker_bytes,
        stages=tuple(forecasts),
        refusals=tuple(dict.fromkeys(refusals)),
        warnings=(*campaign.warnings, *(found.problem for found in survey.findings if found.stage is None)),
        notes=notes_of(survey),
    )


def _sum(stage: AnyStage, units: tuple[AnyUnit, ...]) -> StageForecast:
    return StageForecast(
        stage=stage.name,
        units=len(units),
        bytes_out=sum(unit.estimate.bytes_out for unit in units),
        stored_bytes=round(sum(_stored(unit) for unit in units)),
        peak_worker_bytes=stage.worker_bytes + max((unit.estimate.peak_bytes for unit in units), default=0),
        core_seconds=sum(unit.estimate.core_seconds for unit in units),
    )


def _stored(unit: AnyUnit) -> float:
    nbytes = {plan.name: plan.layout().nbytes for plan in unit.arrays}
    whole = sum(nbytes.values())
    if not whole:
        return float(unit.estimate.bytes_out)
    packed = {name: n * PACKED.get(name, PACKED_BY_DEFAULT) for name, n in nbytes.items()}
    stored = unit.estimate.bytes_out * sum(packed.values()) / whole
    most = unit.estimate.most_stored_bytes
    return stored if most is None else min(stored, float(most))
