"""Network: which particles of a scan touch, and how tortuous the pores of a thin section are."""

from dataclasses import dataclass

import pandas as pd

from storage.tables import write_table
from stxmdist.arrays import I32
from stxmdist.measures import NetworkMeasures, SegmentMeasures
from stxmdist.particles.contacts import CONTACT_SIGMAS, contact_graph
from stxmdist.particles.tortuosity import pores_of, tortuosity
from stxmdist.planning.grid import grid_of
from stxmdist.planning.survey import Stage, Survey, scans_to_fit
from stxmdist.planning.tables import table_specs
from stxmdist.records import Json
from stxmdist.runner.perform import Outcome
from stxmdist.runner.unit import Estimate, Plan, Unit
from stxmdist.runner.writing import ShardWriter
from stxmdist.stages.inputs.measured import measured

NAME = "network"

NOT_A_SECTION = "tortuosity is that of an electrode's pores: it needs sample_geometry lamella, this is {}"


@dataclass(frozen=True)
class Options:
    """What counts as a contact."""

    contact_sigmas: float = CONTACT_SIGMAS
    """Outlines closer than so many sigmas of the point spread function touch."""


@dataclass(frozen=True)
class NetworkPart:
    """What the sheet says of a scan."""

    sample_geometry: str | None


def upstream(survey: Survey, scan_id: str) -> tuple[tuple[str, str], ...]:
    """The outlines of the particles."""
    return (("segment", scan_id),)


def identity(survey: Survey, scan_id: str) -> Json:
    """Whether the sample is a section."""
    return survey.scans[scan_id].sample_geometry


def plan(survey: Survey, options: Options) -> Plan:
    """One unit for each scan."""
    units = []
    for scan_id, scan in survey.scans.items():
        if survey.ready(NAME, scan_id):
            grid = grid_of(survey, scan_id)
            pixels = grid.ny * grid.nx
            estimate = Estimate(0, peak_bytes=pixels * 300, core_seconds=0.2 + pixels * 3e-6)
            units.append(survey.unit(NAME, scan_id, "scan", NetworkPart(scan.sample_geometry), estimate=estimate))
    return Plan(tuple(units))


def work(unit: Unit[Options, NetworkPart]) -> Outcome:
    """Contacts of one scan, and the tortuosity of its pores where it is a section."""
    particles = unit.source("segment")
    labels, y_um, x_um = particles.read("labels"), particles.read("y_um"), particles.read("x_um")
    gap_nm = unit.options.contact_sigmas * measured(unit, SegmentMeasures, "segment").psf_sigma_nm
    graph = contact_graph(labels, y_um, x_um, gap_nm)
    contacts = graph.edges().assign(scan_id=unit.scan_id, least_gap_nm=gap_nm)
    sections = pd.DataFrame(_sections(unit, labels))
    write = ShardWriter(unit)
    for name, table in (("contacts", contacts), ("tortuosity", sections)):
        for path in write_table(table, write.output.path / f"{name}.parquet", table_specs()[name]):
            write.keep(path)
    return write.outcome(NetworkMeasures(graph.particle_id.size, graph.one.size, gap_nm))


def _sections(unit: Unit[Options, NetworkPart], labels: I32) -> list[dict[str, object]]:
    geometry = unit.part.sample_geometry
    if geometry != "lamella":
        note = NOT_A_SECTION.format(geometry or "not said")
        nothing = dict.fromkeys(("porosity", "relative_diffusivity", "tortuosity"), float("nan"))
        return [{"scan_id": unit.scan_id, "direction_of_transport": "", **nothing, "note": note}]
    pores, known = pores_of(labels)
    found = {word: tortuosity(pores, axis, known) for axis, word in enumerate(("vertical", "horizontal"))}
    return [
        {
            "scan_id": unit.scan_id,
            "direction_of_transport": word,
            "porosity": one.porosity,
            "relative_diffusivity": one.relative_diffusivity,
            "tortuosity": one.tortuosity,
            "note": one.note,
        }
        for word, one in found.items()
    ]


STAGE = Stage(
    name=NAME,
    version=1,
    options=Options,
    measures=NetworkMeasures,
    upstream=upstream,
    plan=plan,
    work=work,
    concerns=scans_to_fit,
    identity=identity,
    worker_bytes=700_000_000,
)
