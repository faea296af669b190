"""OME-Zarr 0.5 plate: the campaign as viewers of well plates show it, a row an electrode, a column a cycle.

A well holds every scan of one electrode at one cycle: the fields, of which most viewers show only the first. Its maps
are channels: state of charge, which alone is shown at first and between the same limits everywhere, its error, total
thickness and misfit. Wide-field scans and ptychography have a plate each, because viewers lay all wells side by side
at one pixel size. They also want all images equally large: smaller ones are padded with NaN below and on the right.

What a plate has no place for stands in tables: the condition of each field, keyed by row, column and field, and the
particles of each image. They are laid out as Fractal has it (condition_table, feature_table; backend csv), and are
files that any program reads. Names of rows and columns as people know them stand in ``stxmdist.rows`` and
``stxmdist.columns``.

Source: OME-NGFF 0.5, sections 2.7 (plate) and 2.8 (well); table specification of Fractal, version 1.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import zarr

from storage.csv_text import csv_bytes
from storage.ome import VERSION
from storage.output import Output
from storage.tables import read_table
from stxmdist.arrays import F32
from stxmdist.campaign.scan import MODALITIES, Scan
from stxmdist.export.offer import Lack, Offer, Piece
from stxmdist.export.ome_parts import (
    MEAN,
    Raster,
    Window,
    declare_levels,
    in_json,
    multiscale,
    shown,
    write_channel,
    write_labels,
)
from stxmdist.export.plate_names import natural, plain_names
from stxmdist.export.source import ROWS, ExportSource, from_the_top
from stxmdist.pixel_pitch import pitch_yx_um

WHAT = "map of state of charge"
UNKNOWN = "unknown"
"""A cycle or beamtime that the sample sheet does not say"""
NAMES = {"stxm": "wide-field", "ptychography": "ptychography"}
SHOWN_PERCENTILE = 99.5
SAME_PITCH = 1.01
"""Pixel sizes whose ratio is below count as the same"""
SOC_WINDOW = Window(-0.5, 1.5, 0.0, 1.0)
"""From discharged to charged, in every well; noise goes beyond both"""
CHANNELS = {
    "soc": "state of charge",
    "soc_se": "standard error of the state of charge",
    "thickness_nm": "thickness (nm)",
    "chi2_reduced": "chi-square per degree of freedom",
}
"""Arrays of the fit to what viewers call them"""


@dataclass(frozen=True)
class Field:
    """One scan in a well."""

    scan: Scan
    row: str
    column: str
    """Plain names"""
    number: int
    """In the well, from 0: the first one is what most viewers show"""
    acquisition: int
    """Number of the beamtime"""
    labelled: bool
    """Whether its particles are known"""

    @property
    def well(self) -> str:
        """Path of the well in the plate."""
        return f"{self.row}/{self.column}"


@dataclass(frozen=True)
class Plate:
    """What lies where."""

    name: str
    rows: dict[str, str]
    """Electrode to plain name"""
    columns: dict[str, str]
    """Cycle, or ``UNKNOWN``, to plain name"""
    acquisitions: tuple[str, ...]
    """Beamtimes"""
    fields: tuple[Field, ...]
    """In the order of rows, columns and numbers"""

    def wells(self) -> dict[str, list[Field]]:
        """Path to fields, the first one first; only wells that hold some."""
        found: dict[str, list[Field]] = {}
        for field in self.fields:
            found.setdefault(field.well, []).append(field)
        return found


def offer(source: ExportSource, campaign: str) -> Offer:
    """One plate for each modality that has maps."""
    offers = []
    for modality in MODALITIES:
        scans = [scan for scan in source.scans if scan.modality == modality]
        whys = {scan.scan_id: source.published.why_unusable("fit", scan.scan_id) for scan in scans}
        lacks = [Lack(scan_id, WHAT, why) for scan_id, why in whys.items() if why]
        usable = [scan for scan in scans if not whys[scan.scan_id]]
        unlabelled = {scan.scan_id: source.published.why_unusable("segment", scan.scan_id) for scan in usable}
        lacks += [Lack(scan_id, "labels of the particles", why) for scan_id, why in unlabelled.items() if why]
        if not usable:
            offers.append(Offer(lacks=tuple(lacks)))
            continue
        labelled = frozenset(scan_id for scan_id, why in unlabelled.items() if not why)
        plate = plate_of(f"{source.campaign.name}, {NAMES[modality]}", usable, labelled)
        piece = Piece(campaign, f"{NAMES[modality]}.ome.zarr", partial(_write, source, plate))
        offers.append(Offer((piece,), tuple(lacks), tuple(_notes(source, plate, NAMES[modality]))))
    return sum(offers, Offer())


def plate_of(name: str, scans: Iterable[Scan], labelled: frozenset[str]) -> Plate:
    """Lay scans out: electrodes in natural order, cycles ascending and unknown ones last, regions in order."""
    ordered = sorted(scans, key=_order)
    rows = plain_names(dict.fromkeys(scan.electrode_id for scan in ordered), "electrode")
    cycles = sorted({_cycle(scan) for scan in ordered})
    columns = plain_names(dict.fromkeys(map(_said, cycles)), "cycle")
    beamtimes = sorted({_beamtime(scan) for scan in ordered}, key=natural)
    in_well: Counter[tuple[str, str]] = Counter()
    fields = []
    for scan in ordered:
        place = (rows[scan.electrode_id], columns[_said(_cycle(scan))])
        acquisition = beamtimes.index(_beamtime(scan))
        fields.append(Field(scan, *place, in_well[place], acquisition, scan.scan_id in labelled))
        in_well[place] += 1
    return Plate(name, rows, columns, tuple(beamtimes), tuple(fields))


def _order(scan: Scan) -> tuple[object, ...]:
    return natural(scan.electrode_id), _cycle(scan), natural(scan.region_id or ""), natural(scan.scan_id)


def _cycle(scan: Scan) -> float:
    """Infinite where the sample sheet does not say it: the last one."""
    return np.inf if scan.cycle is None else scan.cycle


def _said(cycle: float) -> str:
    return UNKNOWN if cycle == np.inf else f"{cycle:g}"


def _beamtime(scan: Scan) -> str:
    return scan.beamtime_id or UNKNOWN


def _notes(source: ExportSource, plate: Plate, name: str) -> list[str]:
    notes = []
    renamed = [f"{said} is {plain}" for said, plain in (plate.rows | plate.columns).items() if said != plain]
    if renamed:
        notes.append(f"{name}: names in a plate have letters and digits only: {', '.join(renamed)}")
    several = {well: len(fields) for well, fields in plate.wells().items() if len(fields) > 1}
    if several:
        most = max(several, key=several.__getitem__)
        held = f"{len(several)} wells hold several scans ({most} holds {several[most]})"
        notes.append(f"{name}: {held}; most viewers show the first")
    empty = len(plate.rows) * len(plate.columns) - len(plate.wells())
    if empty:
        notes.append(f"{name}: {empty} wells are empty, where no scan has a map; some viewers show 0 there")
    if UNKNOWN in plate.columns:
        notes.append(f"{name}: scans whose cycle the sample sheet does not say stand in the column {UNKNOWN}")
    pitches_nm = [1e3 * pitch_yx_um(*source.axes("fit", field.scan.scan_id)) for field in plate.fields]
    narrow_nm, wide_nm = np.min(pitches_nm), np.max(pitches_nm)
    if wide_nm > SAME_PITCH * narrow_nm:
        span = f"{narrow_nm:.1f} to {wide_nm:.1f} nm"
        notes.append(f"{name}: pixels are {span} wide; viewers lay wells side by side as if all were like the first")
    return notes


def _write(source: ExportSource, plate: Plate, target: Path) -> None:
    group = zarr.create_group(store=target, zarr_format=3)
    axes = {field.scan.scan_id: source.axes("fit", field.scan.scan_id) for field in plate.fields}
    shape = (max(len(y) for y, _ in axes.values()), max(len(x) for _, x in axes.values()))
    for row in plate.rows.values():
        group.create_group(row)
    highest = dict.fromkeys(CHANNELS, 0.0)
    images: list[zarr.Group] = []
    for well, fields in plate.wells().items():
        images_of_well = [{"path": str(field.number), "acquisition": field.acquisition} for field in fields]
        attributes = {"ome": {"version": VERSION, "well": {"images": images_of_well, "version": VERSION}}}
        group.create_group(well, attributes=in_json(attributes))
        for field in fields:
            raster = Raster.of(*axes[field.scan.scan_id], shape)
            image = group.create_group(f"{well}/{field.number}")
            images.append(image)
            for name, high in _write_field(target / image.path, image, source, field, raster).items():
                highest[name] = max(highest[name], high)
    # Only now is it known what all images are to be shown between.
    omero = {"channels": [_shown(name, highest[name]) for name in CHANNELS]}
    for image in images:
        ome = image.attrs["ome"]
        assert isinstance(ome, dict)
        image.update_attributes(in_json({"ome": {**ome, "omero": omero}}))
    _write_table(target, group, "condition", _conditions(source, plate), {"type": "condition_table"})
    group.update_attributes(in_json(_attributes(source, plate)))


def _write_field(
    folder: Path, image: zarr.Group, source: ExportSource, field: Field, raster: Raster
) -> dict[str, float]:
    """Maps, labels and particles of one scan; returns what of each map most pixels stay below."""
    scan_id = field.scan.scan_id
    fit = source.output("fit", scan_id)
    levels = declare_levels(image, raster, np.float32, np.nan, channels=len(CHANNELS))
    highest = {}
    for channel, name in enumerate(CHANNELS):
        plane = _map(source, fit, scan_id, name)
        if plane is not None:
            write_channel(levels, channel, raster.padded(from_the_top(plane), np.nan))
            known = plane[np.isfinite(plane)]
            highest[name] = float(np.percentile(known, SHOWN_PERCENTILE)) if known.size else 0.0
    stages = ("fit", "segment") if field.labelled else ("fit",)
    ny, nx = (len(axis) for axis in source.axes("fit", scan_id))
    attributes = {
        "ome": {"version": VERSION, "multiscales": [multiscale(scan_id, raster, MEAN, channels=True)]},
        "stxmdist": {
            "quantity": "; ".join(f"{name}: {words}" for name, words in CHANNELS.items()),
            "unknown": "NaN",
            "rows": ROWS,
            "measured_px": {"y": ny, "x": nx},
            "condition": source.condition(scan_id),
            "provenance": source.provenance(scan_id, stages),
        },
    }
    image.update_attributes(in_json(attributes))
    if field.labelled:
        write_labels(image, source, scan_id, raster, ("particles",))
        path = source.output("segment", scan_id).path / "particles.parquet"
        if path.is_file():
            about = {
                "type": "feature_table",
                "region": {"path": "../labels/particles"},
                "instance_key": "label",
                "index_key": "label",
                "index_type": "int",
            }
            particles = read_table(path)
            particles.insert(0, "label", particles["particle_id"].astype("int64"))
            _write_table(folder, image, "particles", particles, about)
    return highest


def _map(source: ExportSource, fit: Output, scan_id: str, name: str) -> F32 | None:
    """A map (Y, X) of the fit with rows along +y; thickness is that of all components together."""
    if name not in fit.arrays():
        return None
    values = source.image("fit", scan_id, name).astype(np.float32)
    whole: F32 = values.sum(axis=0) if name == "thickness_nm" else values
    return whole


def _shown(name: str, highest: float) -> dict[str, object]:
    high = highest if highest > 0 else 1.0
    window = SOC_WINDOW if name == "soc" else Window(0.0, 2.0 * high, 0.0, high)
    return shown(CHANNELS[name], window, active=name == "soc")


def _conditions(source: ExportSource, plate: Plate) -> pd.DataFrame:
    """What the sample sheet says of each field, keyed by row, column and field."""
    return pd.DataFrame(
        [
            {"row": field.row, "column": field.column, "field": field.number}
            | source.condition(field.scan.scan_id)
            | {"simulated": source.is_simulated(field.scan.scan_id)}
            for field in plate.fields
        ]
    )


def _attributes(source: ExportSource, plate: Plate) -> dict[str, object]:
    rows, columns = list(plate.rows.values()), list(plate.columns.values())
    wells = plate.wells()
    most = max(map(len, wells.values()))
    return {
        "ome": {
            "version": VERSION,
            "plate": {
                "name": plate.name,
                "version": VERSION,
                "field_count": most,
                "rows": [{"name": name} for name in rows],
                "columns": [{"name": name} for name in columns],
                "wells": [
                    {"path": well, "rowIndex": rows.index(first.row), "columnIndex": columns.index(first.column)}
                    for well, (first, *_) in wells.items()
                ],
                "acquisitions": [
                    {"id": number, "name": name, "maximumfieldcount": most}
                    for number, name in enumerate(plate.acquisitions)
                ],
            },
        },
        "stxmdist": {
            "rows": {plain: {"electrode_id": said} for said, plain in plate.rows.items()},
            "columns": {plain: {"cycle": said} for said, plain in plate.columns.items()},
            "conditions": "tables/condition/table.csv",
            "origin": sorted({source.origin(field.scan.scan_id) for field in plate.fields}),
            "exported": source.time,
        },
    }


def _write_table(folder: Path, parent: zarr.Group, name: str, table: pd.DataFrame, about: Mapping[str, object]) -> None:
    """A table in the group ``tables`` of an image or a plate that lies in ``folder``, as CSV."""
    known = {"fractal_tables_version": "1", "tables": [name]}
    tables = parent.create_group("tables", attributes=in_json(known))
    tables.create_group(name, attributes=in_json({"table_version": "1", "backend": "csv", **about}))
    (folder / "tables" / name / "table.csv").write_bytes(csv_bytes(table))
