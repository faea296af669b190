"""Infer: the particles of all scans become electrodes, a partition of variance, and effects: the campaign's tables."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal

import numpy as np
import pandas as pd

from storage.atomic import plain_json
from storage.columns import TABLES, TableSpec
from storage.place import Place, matching
from storage.store import Store
from storage.tables import publish_folder, read_table, write_data_dictionary, write_table
from stxmdist.heterogeneity.analyses.evidence import Evidence
from stxmdist.heterogeneity.analyses.table import ANALYSES
from stxmdist.heterogeneity.effects import effects_table
from stxmdist.heterogeneity.electrodes import electrode_table
from stxmdist.heterogeneity.kept import CUT, LeftOut, kept_particles
from stxmdist.heterogeneity.variance import partitions
from stxmdist.measures import InferMeasures
from stxmdist.pixel_pitch import pixel_pitch_nm
from stxmdist.planning.exclusions import Exclusion, exclusions
from stxmdist.planning.explored import FOLDER as EXPLORED_FOLDER
from stxmdist.planning.explored import names_found
from stxmdist.planning.survey import Stage, Survey
from stxmdist.planning.tables import NULL_BANDS, table_specs
from stxmdist.records import Json
from stxmdist.runner import CAMPAIGN
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Refusal, Unit
from stxmdist.runner.writing import ShardWriter
from stxmdist.spectra.explore.explore_stack import ExploreOptions

NAME = "infer"


@dataclass(frozen=True)
class Options:
    """What is inferred."""

    modality: Literal["stxm", "ptychography"] = "stxm"
    """Which particles the statistics rest on: wide-field scans see many, without choosing."""
    mixed_models: bool = True
    """Fit a mixed model beside the tests that rest on electrodes alone."""
    drop_at_border: bool = True
    """Leave particles that the field cuts out of the statistics; they stay in the table."""
    drop_flags: tuple[str, ...] = ()
    """Leave particles with any of these flags out of the statistics, and count them among the exclusions."""
    endpoints: tuple[str, ...] = ()
    """Metrics, or columns of the particle table, on which effects are sought; empty: those of the program."""


@dataclass(frozen=True)
class SheetRow:
    """What the statistics ask of a row of the sample sheet, under the names of its columns."""

    scan_id: str
    modality: str
    electrode_id: str
    cell_id: str | None
    beamtime_id: str | None
    region_id: str | None
    cycle: float | None
    c_rate: float | None
    direction: str | None
    soc_nominal: float | None
    soc_coulometric: float | None
    chemistry: str
    pair_id: str | None
    roi_rule: str | None
    time_h: float | None
    polarisation_deg: float | None
    sample_geometry: str | None


@dataclass(frozen=True)
class InferPart:
    """What the only unit knows of the campaign from the plan."""

    seed: int
    exclusions: tuple[Exclusion, ...]
    """What was left out before any particle was seen"""
    sheet: tuple[SheetRow, ...]
    stages: tuple[str, ...]
    """All stages, in the order of a run"""


def upstream(survey: Survey, scan_id: str) -> tuple[tuple[str, str], ...]:
    """The particles of every scan that has them, the pairs of every registered pair, and spectra found by exploring."""
    particles = [("segment", name) for name in survey.scans if survey.published("segment", name)]
    pairs = [("register", name) for name in survey.pairs if survey.published("register", name)]
    explored = [
        ("explore", name)
        for name in survey.scans
        if names_found(survey.options_of("explore", ExploreOptions, name)) and survey.published("explore", name)
    ]
    reactions = [("react", name) for name in survey.reactions if survey.published("react", name)]
    networks = [("network", name) for name in survey.scans if survey.published("network", name)]
    return tuple(particles + pairs + reactions + networks + explored)


def concerns(survey: Survey, scan_id: str) -> bool:
    """There is one unit for the campaign as a whole, and none for a scan."""
    return scan_id == CAMPAIGN


def identity(survey: Survey, scan_id: str) -> Json:
    """The seed, what was left out, and the sheet's rows: no source's digest would change with them."""
    return {
        "seed": survey.campaign.seed,
        "exclusions": plain_json(exclusions(survey)),
        "sheet": plain_json(_sheet(survey)),
    }


def plan(survey: Survey, options: Options) -> Plan:
    """One unit."""
    found = upstream(survey, CAMPAIGN)
    before = survey.store.publication(NAME)
    if not any(stage == "segment" for stage, _ in found) and before is not None and not survey.forecast:
        return Plan((), (_nothing_to_infer(before.time),))
    unit = survey.unit(
        NAME,
        CAMPAIGN,
        "tables",
        part=InferPart(survey.campaign.seed, exclusions(survey), _sheet(survey), tuple(survey.stages)),
        estimate=Estimate(1_000_000, peak_bytes=50_000_000 + 200_000 * len(found), core_seconds=5.0),
    )
    return Plan((unit,))


def _nothing_to_infer(before: str) -> Refusal:
    return Refusal(
        scan_id=CAMPAIGN,
        unit="tables",
        where="infer",
        problem="no scan has particles under these inputs and options; the tables stay as they were",
        got="no published output of segment",
        wanted="at least one scan",
        mend=f"Mend what the other messages say and run again; the tables are those of {before}",
    )


def _sheet(survey: Survey) -> tuple[SheetRow, ...]:
    return tuple(
        SheetRow(**{field.name: getattr(scan, field.name) for field in fields(SheetRow)})
        for scan in survey.scans.values()
    )


def work(unit: Unit[Options, InferPart]) -> Outcome:
    """All tables of the campaign."""
    options, part = unit.options, unit.part
    particles = _gathered(unit, "segment", "particles")
    # Gathering holds a table twice for a moment: the wide ones first, before the kept particles are a copy more.
    bands = _gathered(unit, "segment", NULL_BANDS)
    pairs = _gathered(unit, "register", "pairs")
    sheet = pd.DataFrame([asdict(row) for row in part.sheet])
    kept, left = kept_particles(particles, drop_at_border=options.drop_at_border, drop_flags=options.drop_flags)
    evidence = Evidence(
        particles,
        kept,
        pairs,
        sheet,
        _fields(unit),
        options.modality,
        part.seed,
        reactions=_gathered(unit, "react", "reactions"),
        null_bands=bands,
        contacts=_gathered(unit, "network", "contacts"),
        tortuosity=_gathered(unit, "network", "tortuosity"),
    )
    tables = inferred(evidence, options) | {NULL_BANDS: bands}
    # Writing needs room for a table as Arrow has it: the kept particles are a copy that has served.
    del evidence, kept
    tables["scans"] = _scans(Store(unit.store), part.stages)
    tables["exclusions"] = pd.DataFrame(
        [asdict(row) for row in (*part.exclusions, *map(_exclusion, left))], columns=_columns("exclusions")
    )

    specs = table_specs()
    write = ShardWriter(unit)
    folder = write.output.path / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        for path in write_table(table, folder / f"{name}.parquet", specs[name]):
            write.keep(path)
    write.keep(write_data_dictionary(folder, specs))
    for source in unit.sources:
        if source.stage == "explore":
            for file in matching(unit.source("explore", source.scan_id).path / EXPLORED_FOLDER, "*.csv"):
                name = f"tables/{EXPLORED_FOLDER}/{file.name}"
                write.keep(write.output.path / write.output.put(name, file.read_bytes()))
    counted = {name: len(table) for name, table in tables.items() if name in TABLES}
    return write.outcome(InferMeasures(**counted, analyses={name: len(tables[name]) for name in ANALYSES}))


def inferred(evidence: Evidence, options: Options) -> dict[str, pd.DataFrame]:
    """The tables that follow from the particles: one after the other, so that no more than one is made at a time."""
    sheet, kept, modality = evidence.sheet, evidence.kept, evidence.modality
    wide = sheet[sheet["modality"] == modality] if len(sheet) else sheet
    units = {column.name: column.unit for column in table_specs()["particles"].columns}
    tables = {
        "particles": evidence.particles,
        "pairs": evidence.pairs,
        "electrodes": electrode_table(
            kept,
            wide,
            modality=modality,
            fields=evidence.fields,
            rng=np.random.default_rng([evidence.seed, 1]),
        ),
        "effects": effects_table(
            kept,
            endpoints=options.endpoints or None,
            modality=modality,
            mixed=options.mixed_models,
            rng=np.random.default_rng([evidence.seed, 0]),
            units=units,
        ),
        "variance": partitions(kept, modality=modality),
    }
    return tables | {name: entry.load()(evidence) for name, entry in ANALYSES.items()}


def _columns(name: str) -> list[str]:
    return [column.name for column in TABLES[name].columns]


def _gathered(unit: Unit[Options, InferPart], stage: str, name: str) -> pd.DataFrame:
    """The tables that a stage left for all scans, one below the other."""
    paths = [
        unit.source(stage, source.scan_id).path / f"{name}.parquet" for source in unit.sources if source.stage == stage
    ]
    return gathered_tables(paths, table_specs()[name])


def gathered_tables(paths: Sequence[Place], spec: TableSpec) -> pd.DataFrame:
    """Tables in files, one below the other; of no files or no rows, a table without rows."""
    tables = [table for table in map(read_table, paths) if len(table)]
    if tables:
        return pd.concat(tables, ignore_index=True)
    return read_table(paths[0]) if paths else _empty(spec)


def _fields(unit: Unit[Options, InferPart]) -> pd.DataFrame:
    """How large the field of view of each scan is."""
    rows = []
    for source in unit.sources:
        if source.stage == "segment":
            output = unit.source("segment", source.scan_id)
            y_um, x_um = output.read("y_um"), output.read("x_um")
            pixel_um = 1e-3 * pixel_pitch_nm(y_um, x_um)
            rows.append((source.scan_id, np.ptp(y_um) + pixel_um, np.ptp(x_um) + pixel_um, 1e3 * pixel_um))
    return pd.DataFrame(rows, columns=["scan_id", "height_um", "width_um", "pixel_nm"])


def _empty(spec: TableSpec) -> pd.DataFrame:
    kinds = {"string": "object", "float64": "float64", "int64": "int64", "bool": "bool"}
    return pd.DataFrame({column.name: pd.Series(dtype=kinds[column.dtype]) for column in spec.columns})


def _exclusion(left: LeftOut) -> Exclusion:
    where = "edge of the field" if left.reason == CUT else "flags"
    why = left.reason if left.reason == CUT else f"flagged {left.reason}"
    return Exclusion("particle", left.scan_id, NAME, where, why, left.n)


def _scans(store: Store, stages: Sequence[str]) -> pd.DataFrame:
    rows = []
    for stage in stages:
        publication = store.publication(stage) if stage not in (NAME, "report") else None
        for scan_id, scan in (publication.scans if publication else {}).items():
            rows.append(
                {
                    "scan_id": scan_id,
                    "stage": stage,
                    "state": scan.state,
                    "units_done": scan.units_done,
                    "units_failed": scan.units_failed,
                    "digest": scan.digest,
                    "seconds": scan.seconds,
                    "core_seconds": scan.core_seconds,
                    "bytes": scan.bytes,
                    "quality": json.dumps(scan.quality, sort_keys=True),
                }
            )
    return pd.DataFrame(rows, columns=_columns("scans"))


def finish(survey: Survey, measured: Mapping[str, Sequence[InferMeasures]]) -> Mapping[str, InferMeasures]:
    """Publish the tables, all at once."""
    if CAMPAIGN in measured:
        output = survey.output(NAME, CAMPAIGN)
        publish_folder(survey.store, "tables", output.path / "tables")
    return {scan_id: units[0] for scan_id, units in measured.items()}


STAGE = Stage(
    name=NAME,
    version=4,
    options=Options,
    measures=InferMeasures,
    upstream=upstream,
    plan=plan,
    work=work,
    concerns=concerns,
    whole_campaign=True,
    identity=identity,
    finish=finish,
    finished_every_run=True,
    worker_bytes=700_000_000,
)
