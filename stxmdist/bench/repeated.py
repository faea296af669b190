"""A campaign of many scans from a small one that was run: files, rows and published outputs repeated, none computed."""

import csv
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import h5py
import pyarrow as pa
import pyarrow.parquet as pq

from storage.digests import sha256_of_file
from storage.output import Output
from storage.publication import PublishedScan
from storage.store import Store
from stxmdist.planning.execute import campaign_and_options
from stxmdist.planning.headers import survey_of
from stxmdist.planning.stages import STAGES
from stxmdist.planning.survey import Survey

ELECTRODES = 20
"""The copies are dealt out to so many: the unit of the statistics"""
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Copy:
    """One copy of a scan."""

    scan_id: str
    of: str
    row: Mapping[str, str]
    """Of the sample sheet"""


def repeated(campaign: Path, folder: Path, scans: int) -> Path:
    """The file of a campaign of so many scans (rounded up), each a copy of one of a campaign that was run.

    The copies' files differ in the time at which they began, so that none is another's double; what is published of a
    copy is that of its original, as links, under the digest that the copy has. Stages of the whole campaign are left
    to be run.
    """
    rows = list(csv.DictReader((campaign.parent / "samples.csv").open(newline="")))
    folder.mkdir(parents=True)
    shutil.copy(campaign, folder / "campaign.yaml")
    copies = [copy for number in range(-(-scans // len(rows))) for copy in _copies(rows, number)]
    for number, copy in enumerate(copies):
        _copy_file(campaign.parent / rows[number % len(rows)]["file"], folder / copy.row["file"], number)
    with (folder / "samples.csv").open("w", newline="") as sheet:
        writer = csv.DictWriter(sheet, list(rows[0]))
        writer.writeheader()
        writer.writerows(copy.row for copy in copies)
    made, options = campaign_and_options(folder / "campaign.yaml")
    before = Store(campaign_and_options(campaign)[0].store).open()
    Store(made.store).create()
    _publish_copies(survey_of(made, options), before, copies)
    return folder / "campaign.yaml"


def _copies(rows: list[dict[str, str]], number: int) -> Iterator[Copy]:
    electrode = f"E{number % ELECTRODES + 1:02d}"
    for row in rows:
        own = {name: f"{row[name]}-{number:05d}" for name in ("scan_id", "region_id", "pair_id")}
        file = Path(row["file"])
        own["file"] = f"beamline/{own['scan_id']}/{file.name}"
        yield Copy(own["scan_id"], row["scan_id"], {**row, **own, "electrode_id": electrode, "cell_id": electrode})


def _copy_file(source: Path, target: Path, number: int) -> None:
    """A file, and those that belong to a header, as another scan would have left them: begun at another time."""
    target.parent.mkdir(parents=True)
    began = BEGAN + timedelta(minutes=number)
    if source.suffix == ".hdr":
        for image in source.parent.glob(f"{source.stem}_*"):
            os.link(image, target.parent / image.name)
        lines = source.read_text().splitlines(keepends=True)
        said = f' Time = "{began:%Y %B %d %H:%M:%S}";'
        target.write_text(
            "".join(said + line.split(";", 1)[1] if line.startswith(" Time =") else line for line in lines)
        )
        return
    shutil.copy(source, target)
    with h5py.File(target, "r+") as file:
        entry = next(group for group in file.values() if isinstance(group, h5py.Group))
        entry.pop("start_time", None)
        entry["start_time"] = began.isoformat()


def _publish_copies(survey: Survey, before: Store, copies: list[Copy]) -> None:
    for stage, entry in STAGES.items():
        publication = before.publication(stage)
        if publication is None or entry.load().whole_campaign:
            continue
        scans: dict[str, PublishedScan] = {}
        for copy in copies:
            whole = publication.scans.get(copy.of)
            if whole is None:
                continue
            output = survey.output(stage, copy.scan_id)
            changed = _copy_output(before.output(stage, copy.of, whole.digest), output, copy)
            inputs = {
                f"{source.stage}/{source.scan_id}": source.digest for source in survey.sources(stage, copy.scan_id)
            }
            scans[copy.scan_id] = replace(whole, digest=output.digest, inputs=inputs, files={**whole.files, **changed})
        survey.store.publish(replace(publication, scans=scans, tag=None))


def _copy_output(source: Output, target: Output, copy: Copy) -> dict[str, str]:
    """A link to what a scan left; of tables, which name their scan, a copy with the copy's names, and its digests."""
    whole, place = Path(str(source.path)), Path(str(target.path))
    tables = sorted(whole.glob("*.parquet"))
    place.parent.mkdir(parents=True)
    if not tables:
        place.symlink_to(whole, target_is_directory=True)
        return {}
    shutil.copytree(whole, place, copy_function=os.link, ignore=shutil.ignore_patterns("*.parquet"))
    for table in tables:
        _copy_table(table, place / table.name, copy)
    return {table.name: sha256_of_file(place / table.name) for table in tables}


def _copy_table(source: Path, target: Path, copy: Copy) -> None:
    table = pq.read_table(source, partitioning=None)
    for name in ("scan_id", "electrode_id", "cell_id", "region_id", "pair_id"):
        place = table.schema.get_field_index(name)
        if place >= 0:
            field = table.schema.field(place)
            table = table.set_column(place, field, pa.array([copy.row[name]] * table.num_rows, field.type))
    pq.write_table(table, target)
