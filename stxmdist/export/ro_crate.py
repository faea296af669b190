"""RO-Crate 1.3 of the whole campaign: data, tables, report, what was asked, and where every number came from.

A crate is a folder that says of itself in ``ro-crate-metadata.json`` what it holds, in words that archives know. Its
parts are exported as elsewhere: NeXus for each scan, plates of OME-Zarr, the tables as CSV. Beside them stand the
report, the campaign file and the sample sheet. Beamline files are named with their digests, and not copied.
"""

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from storage.atomic import replace_file, replace_json
from storage.digests import sha256_of_file
from storage.place import fetched
from stxmdist import __version__
from stxmdist.campaign.scan import Scan
from stxmdist.export import EXPORTERS
from stxmdist.export import crate_entities as entities
from stxmdist.export.crate_entities import Part, Run
from stxmdist.export.crate_readme import Described, DescribedTable, readme
from stxmdist.export.csv import table_words
from stxmdist.export.offer import Lack, Offer, Piece, size_of
from stxmdist.export.source import ExportSource
from stxmdist.export.write import MODALITIES, offer_of
from stxmdist.measures import IngestMeasures

NAME = "crate"
FOLDERS = {
    "data": ("nexus", "each scan as NeXus: aligned stack, maps of state of charge and thickness, particles"),
    "plates": ("ome-zarr-plate", "all maps as plates of OME-Zarr for image viewers: electrodes by cycles"),
    "tables": ("csv", "the tables of the campaign as CSV, with their data dictionary"),
}
"""Folder to the format that fills it, and what it holds in words"""
IN_A_PLATE = {
    "zarr.json": "what the plate says of itself: rows, columns, wells",
    "tables/condition/table.csv": "the condition of each field of the plate, keyed by row, column and field",
}
"""Files of a plate that are listed: its thousands of chunks are not"""
REPORT = "report"
ASKED = "campaign"
MEDIA_TYPES = {
    ".nxs": "application/x-hdf5",
    ".zarr": "OME-Zarr 0.5",
    ".csv": "text/csv",
    ".json": "application/json",
    ".html": "text/html",
    ".md": "text/markdown",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".pdf": "application/pdf",
    ".gif": "image/gif",
    ".yaml": "application/yaml",
}


def offer(source: ExportSource, campaign: str) -> Offer:
    """One folder; what a part of it lacks, the crate lacks."""
    offers = {folder: _offer_of(source, to) for folder, (to, _) in FOLDERS.items()}
    lacks = [lack for part in offers.values() for lack in part.lacks]
    why = source.published.why_unusable("report", campaign)
    if why:
        lacks.append(Lack(campaign, "report", why))
    notes = [note for part in offers.values() for note in part.notes]
    if source.licence is None:
        notes.append(
            "the crate names no licence, so that nobody may use the data without asking; name one with --licence"
        )
    if not any(part.pieces for part in offers.values()):
        return Offer(lacks=tuple(lacks), notes=tuple(notes))
    missing = tuple(dict.fromkeys(lacks))
    pieces = {folder: part.pieces for folder, part in offers.items()}
    return Offer((Piece(campaign, NAME, partial(_write, source, campaign, pieces, missing)),), missing, tuple(notes))


def _offer_of(source: ExportSource, to: str) -> Offer:
    entry = EXPORTERS[to]
    return offer_of(entry, entry.load(), source)


def _write(
    source: ExportSource,
    campaign: str,
    pieces: Mapping[str, tuple[Piece, ...]],
    missing: tuple[Lack, ...],
    target: Path,
) -> None:
    target.mkdir()
    folders = {folder: _write_folder(source, target, folder, inside) for folder, inside in pieces.items() if inside}
    folders[ASKED] = _write_asked(source, target)
    if not any(lack.what == "report" for lack in missing):
        folders[REPORT] = _write_report(source, campaign, target)
    licence = entities.licence_of(source.licence)
    words = described(source, target, set(folders), missing, f"{licence['name']}. {licence['description']}")
    replace_file(target / entities.README, [readme(words).encode()])
    replace_json(target / entities.DESCRIPTOR, _metadata(source, target, folders, licence))


def _write_folder(source: ExportSource, target: Path, folder: str, pieces: tuple[Piece, ...]) -> list[Part]:
    (target / folder).mkdir()
    parts = []
    for piece in pieces:
        path = target / folder / piece.name
        piece.write(path)
        parts.append(_part(target, path, _named(source, piece)))
    return parts


def _named(source: ExportSource, piece: Piece) -> str:
    """What a piece is, for people."""
    known = {scan.scan_id: scan for scan in source.scans}
    if piece.scan_id not in known:
        return f"{piece.name.partition('.')[0]} of the campaign {source.campaign.name}"
    scan = known[piece.scan_id]
    cycle = "" if scan.cycle is None else f", cycle {scan.cycle:g}"
    kind = MODALITIES[scan.modality]
    return f"{kind} scan {scan.scan_id}: electrode {scan.electrode_id}{cycle}, {source.origin(scan.scan_id)}"


def _write_asked(source: ExportSource, target: Path) -> list[Part]:
    """The campaign file and the sample sheet as they are now."""
    (target / ASKED).mkdir()
    campaign = source.campaign
    names = {
        campaign.path: "the campaign file: what was asked",
        campaign.sheet_path: "the sample sheet: what was measured",
    }
    parts = []
    for path, name in names.items():
        copy = target / ASKED / path.name
        shutil.copyfile(path, copy)
        parts.append(_part(target, copy, name))
    return parts


def _write_report(source: ExportSource, campaign: str, target: Path) -> list[Part]:
    shutil.copytree(fetched(source.output("report", campaign).path / REPORT), target / REPORT)
    paths = sorted(path for path in (target / REPORT).rglob("*") if path.is_file())
    return [_part(target, path, "the report" if path.name == "index.html" else path.stem) for path in paths]


def _part(target: Path, path: Path, name: str) -> Part:
    inside = path.relative_to(target).as_posix()
    media_type = MEDIA_TYPES.get(path.suffix, "application/octet-stream")
    if path.is_dir():
        files = tuple(
            _part(target, path / file, meaning) for file, meaning in IN_A_PLATE.items() if (path / file).is_file()
        )
        return Part(f"{inside}/", f"{name} ({media_type})", media_type, size_of(path), inside=files)
    return Part(inside, name, media_type, size_of(path), sha256_of_file(path))


def described(
    source: ExportSource, target: Path, folders: set[str], missing: tuple[Lack, ...], licence: str
) -> Described:
    """What the README says, from the sheet and the tables that were written."""
    scans = source.scans
    tables = target / "tables"
    words = table_words(tables / "data_dictionary.json") if "tables" in folders else {}
    holds = {folder: what for folder, (_, what) in FOLDERS.items()}
    holds |= {ASKED: "the campaign file and the sample sheet", REPORT: "the report, a page for the browser"}
    cycles = sorted({scan.cycle for scan in scans if scan.cycle is not None})
    kinds = Counter(MODALITIES[scan.modality] for scan in scans)
    return Described(
        campaign=source.campaign.name,
        origin=_origin(source, scans),
        electrodes=dict(sorted(Counter(scan.electrode_id for scan in scans).items())),
        cycles=[f"{cycle:g}" for cycle in cycles] or ["not said"],
        scans=dict(kinds),
        chemistries=sorted({scan.chemistry for scan in scans}),
        tables=[
            DescribedTable(name, _rows(tables / f"{name}.csv"), table.description) for name, table in words.items()
        ],
        folders={f"{folder}/": what for folder, what in holds.items() if folder in folders},
        missing=[lack.sentence for lack in missing],
        licence=licence,
        version=__version__,
        time=source.time,
    )


def _origin(source: ExportSource, scans: tuple[Scan, ...]) -> str:
    simulated = sum(source.is_simulated(scan.scan_id) for scan in scans)
    if simulated == len(scans):
        return "These data are simulated: nothing here was measured."
    return (
        f"{simulated} of {len(scans)} scans are simulated, not measured." if simulated else "These data were measured."
    )


def _rows(table: Path) -> int:
    return len(pd.read_csv(table, usecols=[0]))


def _metadata(
    source: ExportSource, target: Path, folders: Mapping[str, list[Part]], licence: entities.Entity
) -> dict[str, object]:
    """The graph of ``ro-crate-metadata.json``."""
    runs = _runs(source)
    about = _part(target, target / entities.README, "what the data are, in words")
    inputs = _inputs(source)
    asked = [part.identifier for part in folders[ASKED]]
    names = {folder: what for folder, (_, what) in FOLDERS.items()}
    names |= {ASKED: "what was asked: the campaign file and the sample sheet", REPORT: "the report"}
    written = [part.identifier for parts in folders.values() for part in parts]
    libraries = {name: version for run in runs for name, version in run.software.items() if name != "stxmdist"}
    actions = [*(entities.run_identifier(run.stage) for run in runs), entities.run_identifier("export")]
    sentence = _origin(source, source.scans)
    description = f"Soft X-ray microscopy of battery cathodes, processed with stxmdist {__version__}. {sentence}"
    graph: list[entities.Entity] = [
        entities.descriptor(),
        entities.root(
            source.campaign.name,
            description,
            source.time,
            str(licence["@id"]),
            (about.identifier, *(f"{folder}/" for folder in folders)),
            actions,
        ),
        licence,
        *entities.data_entities(about),
        *(entities.folder_entity(f"{folder}/", names[folder], parts) for folder, parts in folders.items()),
        *(entity for parts in folders.values() for part in parts for entity in entities.data_entities(part)),
        *inputs,
        entities.program_entity(__version__, libraries),
    ]
    for run in runs:
        first = [*asked, *(str(item["@id"]) for item in inputs)] if run.stage == "ingest" else []
        graph += entities.run_entities(run, first)
    graph.append(entities.export_entity(source.time, (run.stage for run in runs), (about.identifier, *written)))
    return {"@context": f"{entities.SPECIFICATION}/context", "@graph": graph}


def _runs(source: ExportSource) -> list[Run]:
    """The published stages in the order of a run, with the outputs of the chosen scans and of the campaign."""
    chosen = {scan.scan_id for scan in source.scans}
    others = {scan.scan_id for scan in source.campaign.scans} - chosen
    runs = []
    for stage, publication in source.published.publications.items():
        scans = {
            scan_id: scan
            for scan_id, scan in publication.scans.items()
            if scan.state != "failed" and scan_id not in others
        }
        upstream = {key.partition("/")[0] for scan in scans.values() for key in scan.inputs}
        if scans:
            runs.append(
                Run(
                    stage,
                    publication.version,
                    publication.time,
                    publication.options,
                    publication.software,
                    {scan_id: scan.digest for scan_id, scan in scans.items()},
                    tuple(name for name in source.published.publications if name in upstream),
                )
            )
    stages = {run.stage for run in runs}
    return [replace(run, upstream=tuple(name for name in run.upstream if name in stages)) for run in runs]


def _inputs(source: ExportSource) -> list[entities.Entity]:
    """The beamline files that ingest has read."""
    found = []
    for scan in source.scans:
        figures = source.published.figures(IngestMeasures, "ingest", scan.scan_id)
        files = {} if figures is None else figures.sha256
        origin = source.origin(scan.scan_id)
        found += [entities.input_entity(scan.scan_id, file, sha256, origin) for file, sha256 in files.items()]
    return found
