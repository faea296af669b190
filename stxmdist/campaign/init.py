"""A campaign file and a sample sheet to complete, from a folder of beamline files."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from stxmdist import readers
from stxmdist.campaign.scan import COLUMNS
from stxmdist.errors import InputError
from stxmdist.readers import Description

Describe = Callable[[Path], Description]

EDGES = (
    # Chemistry, edge, photon energies in eV that a scan of the edge covers: the L3 line alone, L2 is often left out.
    ("LMO", "Mn L", 640.0, 648.0),
    ("LFP", "Fe L", 706.0, 712.0),
    ("LCO", "Co L", 778.0, 784.0),
    ("NMC", "Ni L", 852.0, 858.0),
)

OTHER_ENDINGS = frozenset((".csv", ".yaml", ".yml", ".md", ".pdf", ".png", ".jpg", ".parquet", ".py", ".log", ".txt"))
"""Files that people keep beside those of the beamline."""
MOST_NAMED = 10
"""Of the files that no reader knows, so that a strange folder does not fill the screen."""


@dataclass(frozen=True)
class FoundFile:
    """One beamline file of the folder."""

    scan_id: str
    file: Path
    """Relative to the folder."""
    modality: str
    reason: str
    """Why the scan is excluded; empty if it is not."""
    about: str
    """Kind and energies in a few words."""
    energies_ev: tuple[float, float] | None
    """Lowest and highest photon energy."""


@dataclass(frozen=True)
class Started:
    """What ``init`` wrote."""

    campaign: Path
    sheet: Path
    entries: tuple[FoundFile, ...]
    not_understood: tuple[tuple[Path, str], ...]
    """Files that no reader knows, with what the readers said."""

    def __str__(self) -> str:
        excluded = sum(bool(entry.reason) for entry in self.entries)
        return "\n".join(
            [
                f"Wrote {self.campaign}",
                f"and {self.sheet}: {len(self.entries)} scans, {excluded} of them excluded with the reason.",
                *(f"  not understood: {path}" for path, _ in self.not_understood[:MOST_NAMED]),
                *([f"  and {more} more"] if (more := len(self.not_understood) - MOST_NAMED) > 0 else []),
                f"Next: fill in electrode_id and what you know of each scan, then stxmdist validate {self.campaign}",
            ]
        )


def init(folder: str | Path, describe: Describe = readers.describe) -> Started:
    """Write ``campaign.yaml`` and ``samples.csv`` into a folder of beamline files; neither is ever overwritten.

    Parameters
    ----------
    describe
        from a path to what the file holds; it raises InputError where no reader knows the file

    Raises
    ------
    InputError
        for a folder that is missing, holds no beamline file, or holds one of the two files already.
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
    campaign, sheet = folder / "campaign.yaml", folder / "samples.csv"
    for path in (campaign, sheet):
        if path.exists() or path.is_symlink():
            raise InputError(
                where=path,
                problem="the file exists already, and init never overwrites a file",
                got=f"{path.lstat().st_size} bytes",
                wanted="a folder without campaign.yaml and samples.csv",
                mend="Go on with it, or move it away first",
            )
    entries, unknown = _entries(folder, describe)
    if not entries:
        raise InputError(
            where=folder,
            problem="no beamline file was found",
            got=f"{len(unknown)} files that no reader knows" if unknown else "no files",
            wanted=f"{readers.known_formats()}, here or in folders below",
            mend="Look at one of them with `stxmdist inspect FILE`",
        )
    chemistry, why = _chemistry(entries)
    _write_new(sheet, _sheet_text(entries))
    _write_new(campaign, _campaign_text(folder.name, chemistry, why, entries))
    return Started(campaign, sheet, tuple(entries), tuple(unknown))


def _entries(folder: Path, describe: Describe) -> tuple[list[FoundFile], list[tuple[Path, str]]]:
    """Every beamline file below a folder, and the files that no reader knows."""
    entries: list[FoundFile] = []
    unknown: list[tuple[Path, str]] = []
    taken: Counter[str] = Counter()
    # A part of a scan, such as a frame of SDF, is read through the file that it belongs to.
    ignored = OTHER_ENDINGS | readers.part_endings()
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") or part.endswith(".zarr") for part in relative.parts[:-1])
        if hidden or path.name.startswith(".") or path.suffix.lower() in ignored or not path.is_file():
            continue
        try:
            described = describe(path)
        except InputError as error:
            unknown.append((relative, error.sentence))
            continue
        modality, reason = _use_of(described, path)
        energies = described.energies_ev
        name = _scan_id(path.stem)
        taken[name.casefold()] += 1
        if taken[name.casefold()] > 1:
            name = f"{name}-{taken[name.casefold()]}"
        entries.append(FoundFile(name, relative, modality, reason, _about(energies, described.kind), energies))
    return entries, unknown


def _use_of(described: Description, path: Path) -> tuple[str, str]:
    """Modality of a file and why it is left out, if it is."""
    kind = described.kind.casefold()
    modality = readers.READERS[described.format].modality
    if not described.usable:
        # The row names the file already, and `stxmdist inspect` says the rest.
        said = described.refusal
        if said.startswith(str(path)):
            said = said.removeprefix(str(path)).partition(": ")[2]
        return modality, said.partition("; got ")[0] or f"a {described.kind} is not processed"
    if modality == "stxm" and kind == "image":
        return modality, "it has one photon energy only: a state of charge needs a stack"
    if kind.endswith(("line scan", "point spectrum")):
        return modality, f"a {described.kind} shows no whole particles"
    return modality, ""


def _scan_id(stem: str) -> str:
    """A name that every file system takes, from the stem of a file."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", stem).strip("._-")[:90] or "scan"


def _about(energies_ev: tuple[float, float] | None, kind: str) -> str:
    """Kind and energies in a few words."""
    if energies_ev is None:
        return kind
    low, high = energies_ev
    return f"{kind}, {low:.1f} eV" if low == high else f"{kind}, {low:.1f} to {high:.1f} eV"


def _chemistry(entries: Iterable[FoundFile]) -> tuple[str, str]:
    """The chemistry whose edge most of the scans cover, and why."""
    votes: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        if entry.reason or entry.energies_ev is None:
            continue
        lowest, highest = entry.energies_ev
        votes.update((name, edge) for name, edge, low, high in EDGES if lowest <= low and highest >= high)
    if not votes:
        return "LFP", "a guess: no scan covers the Fe, Co, Ni or Mn L edge"
    (name, edge), count = votes.most_common(1)[0]
    return name, f"a guess: {count} scan{'' if count == 1 else 's'} over the {edge} edge"


def _sheet_text(entries: Iterable[FoundFile]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for entry in entries:
        row = {"scan_id": entry.scan_id, "file": entry.file.as_posix(), "modality": entry.modality}
        if entry.reason:
            row |= {"exclude": "true", "reason": entry.reason}
        writer.writerow(row)
    return text.getvalue()


TEMPLATE = """\
# A campaign of stxmdist: complete samples.csv, then
#     stxmdist validate campaign.yaml
#     stxmdist plan campaign.yaml
#     stxmdist run campaign.yaml

name: {name}

# Where results go: a folder, relative to this file. Results of other options are written beside, never over.
store: store

# One row per scan. Every scan needs an electrode_id; the statistics explain by cycle, c_rate, direction and soc_*.
#   cycle 0 is pristine | c_rate 0.1 is C/10 | direction charge or discharge | soc_* 0 discharged to 1 charged
#   pair_id: the same word on the STXM and the ptychography scan of one region
#   roi_rule: random, systematic or convenience, how the region was chosen
#   exclude: true leaves a scan out, with a reason
samples: samples.csv

# LFP, NMC, NCA, LCO, LMO, or custom with references. {why}
chemistry: {chemistry}

# Measured spectra, two columns: photon energy in eV and value. Without them the built-in end-members are used.
# They stand for the scans of the chemistry above and of custom; other chemistries in the sheet have the built-in ones.
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
stages: {{}}

# Worker processes on this machine; or `cluster: tcp://host:8786` for a running Dask scheduler.
cluster:
  # workers: 2                  # the cores of this machine unless said
  threads: 1
  memory_limit: 1GB
  # gpus: 0                     # so many of the workers have a GPU each; `stages: reconstruct: device: gpu` uses it

# Every random number follows from it.
seed: 0

# Found here:
{found}
"""


def _campaign_text(name: str, chemistry: str, why: str, entries: Iterable[FoundFile]) -> str:
    found = "\n".join(f"#   {entry.scan_id}: {entry.about}" for entry in entries)
    quoted = json.dumps(name, ensure_ascii=False)  # YAML reads the same quotation marks
    return TEMPLATE.format(name=quoted, chemistry=chemistry, why=why[0].upper() + why[1:] + ".", found=found)


def _write_new(path: Path, text: str) -> None:
    """Write a file that was not there; another program may have been faster."""
    with path.open("x", encoding="utf-8", newline="") as file:
        file.write(text)
