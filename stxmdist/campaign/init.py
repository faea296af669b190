"""A campaign file and a sample sheet to complete, from a folder of beamline files; and rows for files that are new."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from storage.atomic import replace_file
from stxmdist import readers
from stxmdist.campaign.cells import files_and_part
from stxmdist.campaign.found import Describe, FoundScan, files_below, find_scans, named_apart, scan_name
from stxmdist.campaign.found_spectra import FoundSpectrum, find_spectra
from stxmdist.campaign.inferred import (
    Chemistry,
    chemistry_of,
    in_order,
    with_regions,
    with_stacks,
    without_copies,
    without_other_edges,
)
from stxmdist.campaign.scan import COLUMNS, IMAGES_ONLY, NEEDED, UNNAMED
from stxmdist.campaign.yamltext import read_yaml
from stxmdist.errors import InputError
from stxmdist.readers.recording import StxmRecording

BOM = "\ufeff"
"""What spreadsheet programs put before a text in UTF-8"""
MOST_NAMED = 10
"""Of the files that no reader knows, so that a strange folder does not fill the screen."""


@dataclass(frozen=True)
class Started:
    """What ``init`` wrote."""

    campaign: Path
    sheet: Path
    entries: tuple[FoundScan, ...]
    """The rows that were written; on a later call those of files that are new"""
    not_understood: tuple[tuple[Path, str], ...]
    """Files that no reader knows, with what the readers said."""
    chemistry: Chemistry
    spectra: tuple[FoundSpectrum, ...] = ()
    kept: int | None = None
    """Rows that the sheet had before; None where there was no sheet"""
    new_campaign: bool = True

    def __str__(self) -> str:
        excluded = [entry for entry in self.entries if entry.reason]
        counted = f"{len(self.entries)} scans, {len(excluded)} of them excluded with the reason"
        if self.kept is not None:
            counted = f"{self.kept} rows kept as they were, {counted} added"
        inferred = [f"  {entry.scan_id}: {why}" for entry in self.entries for why in entry.why]
        inferred += [f"  {entry.scan_id} excluded: {entry.reason}" for entry in excluded]
        used = end_members_among(self.spectra, self.entries)
        inferred += [
            f"  {spectrum.file} {'is taken for' if spectrum in used else 'may be'} {_said(spectrum)}: {spectrum.why}"
            for spectrum in self.spectra
        ]
        next_step = f"stxmdist run {self.campaign}"
        if len(excluded) == len(self.entries):
            next_step = "nothing can be processed of these files; the sheet says why"
        elif self.chemistry.name != IMAGES_ONLY:
            next_step += "\nFor statistics, first write into the sheet the electrodes and what you know of each scan"
        return "\n".join(
            [
                f"{'Wrote' if self.new_campaign else 'Kept'} {self.campaign}",
                f"and {self.sheet}: {counted}.",
                *([f"  chemistry {self.chemistry.name}: {self.chemistry.why}"] if self.new_campaign else []),
                *inferred,
                *(f"  not understood: {path}" for path, _ in self.not_understood[:MOST_NAMED]),
                *([f"  and {more} more"] if (more := len(self.not_understood) - MOST_NAMED) > 0 else []),
                f"Next: {next_step}" if self.entries else "Nothing is new.",
            ]
        )

    def as_dict(self) -> dict[str, object]:
        """The same for JSON."""
        return vars(self) | {"entries": [entry.as_dict() for entry in self.entries]}


def _said(spectrum: FoundSpectrum) -> str:
    return "the incident beam" if spectrum.role == "i0" else f"an end-member ({spectrum.role})"


@dataclass(frozen=True)
class _Sheet:
    """A sample sheet that is there already: its text stays as it is."""

    path: Path
    text: str
    header: tuple[str, ...]
    rows: tuple[dict[str, str], ...]

    def row_of(self, scan: FoundScan, folder: Path) -> dict[str, str] | None:
        """The row that names a file of the scan, with its region where the row names one; None where none does."""
        mine = {(folder / path).absolute() for path in scan.files}
        for row in self.rows:
            files, part = files_and_part(self.path.parent, row.get("file", ""))
            if mine & {file.absolute() for file in files} and (part is None or scan.region in ("", part.split(":")[0])):
                return row
        return None


def init(folder: str | Path, describe: Describe = readers.describe) -> Started:
    """Write ``campaign.yaml`` and ``samples.csv`` into a folder of beamline files.

    What is there already is never overwritten: to a sheet only rows of files that it does not name are added, and a
    campaign file stays as it is.

    Parameters
    ----------
    describe
        from a path to what the file holds; it raises InputError where no reader knows the file

    Raises
    ------
    InputError
        for a folder that is missing or holds no beamline file, and a sheet that is there and cannot be read.
    """
    folder = Path(folder).absolute()
    if not folder.is_dir():
        got = "a file" if folder.exists() else "no such folder"
        raise InputError(
            where=folder,
            problem="the folder of beamline files cannot be found",
            got=got,
            wanted="a folder of beamline files",
            mend="Correct the path",
        )
    campaign = folder / "campaign.yaml"
    sheet = _sheet_of(folder, campaign)
    before = _read_sheet(sheet) if sheet.exists() or sheet.is_symlink() else None
    scans, unknown = find_scans(folder, describe)
    if not scans:
        raise InputError(
            where=folder,
            problem="no beamline file was found",
            got=f"{len(unknown)} files that no reader knows" if unknown else "no files",
            wanted=f"{readers.known_formats()}, here or in folders below",
            mend="Look at one of them with `stxmdist inspect FILE`",
        )
    proposed = with_stacks(without_copies(scans))
    chemistry = chemistry_of(proposed)
    proposed = with_regions(in_order(without_other_edges(proposed, chemistry)))
    if chemistry.name != IMAGES_ONLY:
        proposed = [scan if scan.reason else replace(scan, electrode_id=UNNAMED) for scan in proposed]
    entries = named_apart(proposed) if before is None else _new_of(proposed, before, folder)
    named = {(folder / path) for scan in scans for path in scan.files}
    named |= {file for scan in scans if scan.recording is not None for file in scan.recording.files}
    spectra = find_spectra(folder, (path for path in files_below(folder) if path not in {*named, sheet}))
    if before is None:
        _write_new(sheet, _rows_text(entries, COLUMNS, header=True))
    elif entries:
        replace_file(sheet, [_with_rows(before, entries).encode()])
    new_campaign = not (campaign.exists() or campaign.is_symlink())
    if new_campaign:
        _write_new(campaign, _campaign_text(folder.name, chemistry, named_apart(proposed), spectra))
    return Started(
        campaign,
        sheet,
        tuple(entries),
        tuple(one for one in unknown if one[0] not in {spectrum.file for spectrum in spectra}),
        chemistry,
        tuple(spectra),
        None if before is None else len(before.rows),
        new_campaign,
    )


def _sheet_of(folder: Path, campaign: Path) -> Path:
    """The sheet of the campaign that is there already, or the usual one."""
    samples = read_yaml(campaign).keys.get("samples") if campaign.is_file() else None
    return folder / samples if isinstance(samples, str) and samples else folder / "samples.csv"


def _read_sheet(path: Path) -> _Sheet:
    try:
        text = path.read_bytes().decode("utf-8")
        cells_of = csv.reader(io.StringIO(text.removeprefix(BOM), newline=""))
        header, *rows = [cells for cells in cells_of if any(map(str.strip, cells))]
        header = [name.strip() for name in header]
        lacking = [name for name in NEEDED if name not in header]
    except (OSError, UnicodeDecodeError, csv.Error, ValueError):
        header, rows, lacking = [], [], list(NEEDED)
    if lacking:
        raise InputError(
            where=path,
            problem="the sheet exists already and cannot be read, and init never overwrites a file",
            got=f"{path.lstat().st_size} bytes without the columns {', '.join(lacking)}",
            wanted="a sample sheet to which rows can be added, or none",
            mend="Correct it (`stxmdist validate`), or move it away first",
        )
    cells = tuple(dict(zip(header, (cell.strip() for cell in row), strict=False)) for row in rows)
    return _Sheet(path, text, tuple(header), cells)


def _new_of(proposed: Sequence[FoundScan], before: _Sheet, folder: Path) -> list[FoundScan]:
    """The scans that no row names yet; a region that rows name already keeps the name that it has there."""
    named: dict[str, str] = {}
    new: list[FoundScan] = []
    for scan in proposed:
        row = before.row_of(scan, folder)
        if row is None:
            new.append(scan)
            continue
        if scan.region_id and row.get("region_id"):
            named.setdefault(scan.region_id, row["region_id"])
        if late := tuple(path for path in scan.files if before.row_of(replace(scan, files=(path,)), folder) is None):
            # Images that came after their stack was written into the sheet, whose row is not touched.
            reason = f"images of the field of {row['scan_id']}: join them there, file: {scan.cell}"
            new.append(replace(scan, scan_id=scan_name(late[0].stem), files=late, reason=reason, region_id="", why=()))
    used = {row.get("region_id", "") for row in before.rows} | {row.get("pair_id", "") for row in before.rows}
    numbers = iter(f"r{number}" for number in range(1, len(proposed) + len(used) + 2))
    fresh = (name for name in numbers if name not in used)
    for region in dict.fromkeys(scan.region_id for scan in new if scan.region_id):
        if region not in named:
            named[region] = next(fresh)
    partners = {scan.pair_id for scan in new if scan.pair_id}
    whole = {pair for pair in partners if sum(scan.pair_id == pair for scan in new) > 1}
    renamed = [
        replace(
            scan,
            region_id=named.get(scan.region_id, ""),
            # A pair of which one row is there already is for its owner to complete: that row is not touched.
            pair_id=named.get(scan.pair_id, "") if scan.pair_id in whole else "",
        )
        for scan in new
    ]
    return named_apart(renamed, [row.get("scan_id", "") for row in before.rows])


def _cells_of(entry: FoundScan) -> dict[str, str]:
    row = {"scan_id": entry.scan_id, "file": entry.cell, "modality": entry.modality}
    row |= {
        "electrode_id": entry.electrode_id,
        "beamtime_id": entry.beamtime_id,
        "region_id": entry.region_id,
        "pair_id": entry.pair_id,
    }
    return row | ({"exclude": "true", "reason": entry.reason} if entry.reason else {})


def _rows_text(entries: Iterable[FoundScan], columns: Sequence[str], *, header: bool, end: str = "\n") -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator=end)
    if header:
        writer.writeheader()
    writer.writerows(map(_cells_of, entries))
    return text.getvalue()


def _with_rows(before: _Sheet, entries: Sequence[FoundScan]) -> str:
    """The text of a sheet with rows more, and with columns more at its end where the rows want them."""
    end = "\r\n" if "\r\n" in before.text else "\n"
    wanted = ("exclude", "reason") if any(entry.reason for entry in entries) else ()
    more = [name for name in wanted if name not in before.header]
    text = before.text if before.text.endswith("\n") else before.text + end
    if more:
        first, rest = text.split("\n", 1)
        text = first.rstrip("\r") + "".join(f",{name}" for name in more) + end + rest
    return text + _rows_text(entries, [*before.header, *more], header=False, end=end)


TEMPLATE = """\
# A campaign of stxmdist: complete samples.csv, then
#     stxmdist validate campaign.yaml
#     stxmdist plan campaign.yaml
#     stxmdist run campaign.yaml

name: {name}

# Where results go: a folder, relative to this file. Results of other options are written beside, never over.
store: store

# One row per scan. Replace the electrode_id `unnamed`: statistics compare electrodes, by cycle, c_rate and more.
#   cycle 0 is pristine | c_rate 0.1 is C/10 | direction charge or discharge | soc_* 0 discharged to 1 charged
#   pair_id: the same word on the STXM and the ptychography scan of one region
#   roi_rule: random, systematic or convenience, how the region was chosen
#   exclude: true leaves a scan out, with a reason
#   file: several images of one field are one stack (a.hdr;b.hdr;c.hdr); scan.hdr#b is a region or detector of a file
#   Only scan_id, file, modality and electrode_id are needed. A column such as fit.background or ingest.pixel_size_nm
#   gives a scan an option of its own. `stxmdist init` on this folder adds rows for files that are new.
samples: samples.csv

# LFP, NMC, NCA, LCO, LMO, custom with references, or none: images and nothing fitted. {why}
chemistry: {chemistry}

# Measured spectra, two columns: photon energy in eV and value. Without them the built-in end-members are used.
# They stand for the scans of the chemistry above and of custom; other chemistries in the sheet have the built-in ones.
{references}
# A block has:
# references:
#   discharged: spectra/discharged.txt
#   charged: spectra/charged.txt
#   i0: spectra/i0.txt          # taken with `stages: absorbance: i0: file`
#   thickness_unit: reference   # or nm, if the end-members are absorption per nm
#   formulas: [LiFePO4, FePO4]  # with the density: scale the spectra to tables, so that thickness is in nm
#   density_g_cm3: 3.6          # of the discharged compound
# Instead of a file, a spectrum that the exploration of a scan finds:  discharged: explore:SCAN:cluster-2
# with `stages: explore: methods: [pca, clusters]` (or nmf: explore:SCAN:nmf-1).

# Options of the stages; what is not written has its default.
{stages}

# Worker processes on this machine; or `cluster: tcp://host:8786` for a running Dask scheduler.
cluster:
  # workers: 2                  # the cores of this machine unless said
  threads: 1
  memory_limit: 1GB
  # gpus: 0                     # so many of the workers have a GPU each; `stages: reconstruct: device: gpu` uses it

# Every random number follows from it.
seed: 0

# Found here, and what was inferred of it:
{found}
"""


def _campaign_text(
    name: str, chemistry: Chemistry, scans: Sequence[FoundScan], spectra: Sequence[FoundSpectrum]
) -> str:
    found = []
    for scan in scans:
        found.append(f"#   {scan.scan_id}: {scan.about}" + (f"; excluded: {scan.reason}" if scan.reason else ""))
        found += [f"#     {why}" for why in scan.why]
    quoted = json.dumps(name, ensure_ascii=False)  # YAML reads the same quotation marks
    why = chemistry.why[0].upper() + chemistry.why[1:] + "."
    return TEMPLATE.format(
        name=quoted,
        chemistry=chemistry.name,
        why=why,
        found="\n".join(found),
        stages=_stages_text(scans),
        references=_references_text(spectra, end_members_among(spectra, scans)),
    )


def _references_text(spectra: Sequence[FoundSpectrum], used: Sequence[FoundSpectrum]) -> str:
    """The block of references with what can be taken for end-members, and in comments what else may be one."""
    rest = [f"#   {_line(spectrum)}" for spectrum in spectra if spectrum not in used]
    block = ["# Found here and taken for what their names say: take the block out if it is wrong.", "references:"]
    block += [f"  {_line(spectrum)}" for spectrum in used]
    found = ["# Found here; take the lines that are right into the block:", *rest]
    return "\n".join([*(block if used else []), *(found if rest else [])])


def _line(spectrum: FoundSpectrum) -> str:
    return f"{_key(spectrum)}: {json.dumps(spectrum.file.as_posix(), ensure_ascii=False)}  # {spectrum.why}"


def end_members_among(spectra: Iterable[FoundSpectrum], scans: Iterable[FoundScan]) -> tuple[FoundSpectrum, ...]:
    """The discharged and the charged end-member, where one file each says that it is one, and both span every scan."""
    of_role = {role: [one for one in spectra if one.role == role] for role in ("discharged", "charged")}
    spans_ev = [scan.energies_ev for scan in scans if not scan.reason and scan.energies_ev is not None]
    if not spans_ev or any(len(found) != 1 for found in of_role.values()):
        return ()
    both = tuple(found[0] for found in of_role.values())
    low, high = max(one.span_ev[0] for one in both), min(one.span_ev[1] for one in both)
    spanned = all(low <= lowest and highest <= high for lowest, highest in spans_ev)
    return both if spanned else ()


def _key(spectrum: FoundSpectrum) -> str:
    return "discharged or charged" if spectrum.role == "end-member" else spectrum.role


def _stages_text(scans: Iterable[FoundScan]) -> str:
    """Options that the files decide: the outermost zone of the zone plate, where those that say it say the same."""
    recordings = [scan.recording for scan in scans if isinstance(scan.recording, StxmRecording) and not scan.reason]
    zones_nm = {recording.outer_zone_nm for recording in recordings if np.isfinite(recording.outer_zone_nm)}
    if not zones_nm:
        return "stages: {}"
    listed = ", ".join(f"{zone:g}" for zone in sorted(zones_nm))
    if len(zones_nm) > 1:
        said = f"# The files name zone plates with outermost zones of {listed} nm: give each scan its own in a column"
        return f"{said}\n# segment.outer_zone_nm of the sheet.\nstages: {{}}"
    return f"stages:\n  segment:\n    outer_zone_nm: {listed}  # of the zone plate, as the files say"


def _write_new(path: Path, text: str) -> None:
    """Write a file that was not there; another program may have been faster."""
    with path.open("x", encoding="utf-8", newline="") as file:
        file.write(text)
