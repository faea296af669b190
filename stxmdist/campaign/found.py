"""The scans that lie in a folder of beamline files, as far as each file says by itself."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from stxmdist import readers
from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.readers import Description
from stxmdist.readers.recording import Recording, StxmRecording
from stxmdist.spectra.edges import in_words

Describe = Callable[[Path], Description]

OTHER_ENDINGS = frozenset(
    (".csv", ".yaml", ".yml", ".md", ".pdf", ".png", ".jpg", ".parquet", ".py", ".log", ".txt", ".json", ".html")
)
"""Files that people keep beside those of the beamline."""
MADE_HERE = ("export", "truth")
"""Folders beside a campaign file that stxmdist wrote itself"""


@dataclass(frozen=True)
class FoundScan:
    """One acquisition of the folder, and what was inferred of it: a row of the sample sheet to complete."""

    scan_id: str
    files: tuple[Path, ...]
    """Relative to the folder; several are one stack"""
    modality: str
    about: str
    """Kind and energies in a few words."""
    energies_ev: tuple[float, float] | None
    """Lowest and highest photon energy."""
    region: str = ""
    """Which region of a file that holds several"""
    reason: str = ""
    """Why the scan is excluded; empty if it is not."""
    electrode_id: str = ""
    region_id: str = ""
    pair_id: str = ""
    beamtime_id: str = ""
    why: tuple[str, ...] = ()
    """What was inferred, and from what"""
    recording: Recording | None = field(default=None, repr=False, compare=False)
    """What the header says; None where it cannot be read"""

    @property
    def cell(self) -> str:
        """The cell ``file`` of the sample sheet."""
        return ";".join(path.as_posix() for path in self.files) + (f"#{self.region}" if self.region else "")

    @property
    def energy_ev(self) -> F64:
        """(ENERGY,) all photon energies; where only their range is known, both ends and what lies between."""
        if self.recording is not None:
            return self.recording.energy_ev
        low, high = self.energies_ev or (np.nan, np.nan)
        return np.array([low]) if low == high else np.linspace(low, high, 50)

    def as_dict(self) -> dict[str, object]:
        """Everything but the header, for JSON."""
        return {name: value for name, value in vars(self).items() if name != "recording"} | {"file": self.cell}

    def excluded(self, reason: str) -> "FoundScan":
        """The same left out for a reason; a reason that there is already stays."""
        return self if self.reason else replace(self, reason=reason)


def find_scans(folder: Path, describe: Describe) -> tuple[list[FoundScan], list[tuple[Path, str]]]:
    """Every acquisition in the files below a folder, and the files that no reader knows with what the readers said."""
    scans: list[FoundScan] = []
    unknown: list[tuple[Path, str]] = []
    # A part of a scan, such as a frame of SDF, is read through the file that it belongs to.
    ignored = OTHER_ENDINGS | readers.part_endings()
    for path in files_below(folder):
        if path.suffix.lower() in ignored:
            continue
        relative = path.relative_to(folder)
        try:
            scans += _scans_of(describe(path), path, relative)
        except InputError as error:
            unknown.append((relative, error.sentence))
    return scans, unknown


def files_below(folder: Path) -> Iterator[Path]:
    """The files of a folder and those below it, in order; without hidden ones and what stxmdist wrote itself."""
    found = []
    for here, folders, names in os.walk(folder):
        place = Path(here)
        if (place / "campaign.yaml").exists():
            folders[:] = [name for name in folders if name not in MADE_HERE]
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and not name.endswith(".zarr") and not (place / name / "store.json").exists()
        ]
        found += [place / name for name in names if not name.startswith(".")]
    return (path for path in sorted(found) if path.is_file())


def _scans_of(described: Description, path: Path, relative: Path) -> Iterator[FoundScan]:
    """A row for each region that can be processed, or one row that says why nothing can."""
    modality = readers.READERS[described.format].modality
    one = FoundScan(
        scan_id=scan_name(path.stem),
        files=(relative,),
        modality=modality,
        about=about(np.array(described.energies_ev or ()), described.kind),
        energies_ev=described.energies_ev,
        reason="" if described.usable else _why_not(described, path),
    )
    if not described.usable or not described.recordings:
        single = described.usable and modality == "stxm" and described.kind.casefold() == "image"
        yield one.excluded(ONE_ENERGY) if single else one
        return
    several = len(described.recordings) > 1
    for recording in described.recordings:
        energies = (float(recording.energy_ev.min()), float(recording.energy_ev.max()))
        yield replace(
            one,
            scan_id=scan_name(f"{path.stem}-{recording.region}") if several else one.scan_id,
            region=recording.region if several else "",
            about=about(recording.energy_ev, described.kind),
            energies_ev=energies,
            recording=recording,
            reason=_not_a_stack(recording),
        )


ONE_ENERGY = "one photon energy only: a state of charge needs a stack"


def _not_a_stack(recording: Recording) -> str:
    if not isinstance(recording, StxmRecording):
        return ""
    if recording.aborted:
        n = len(recording.energy_ev)
        return f"aborted: {n - int(recording.measured.sum())} of {n} frames are missing"
    if min(len(recording.y_um), len(recording.x_um)) == 1:
        return "a line or a point shows no whole particles"
    return ONE_ENERGY if len(recording.energy_ev) == 1 else ""


def _why_not(described: Description, path: Path) -> str:
    """What a reader said of a file, without what the row says already."""
    said = described.refusal
    if said.startswith(str(path)):
        said = said.removeprefix(str(path)).partition(": ")[2]
    return said.partition("; got ")[0] or f"a {described.kind} is not processed"


def scan_name(stem: str) -> str:
    """A name that every file system takes, from the stem of a file."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", stem).strip("._-")[:90] or "scan"


def about(energy_ev: F64, kind: str) -> str:
    """Kind and energies (ENERGY,) in a few words."""
    return f"{kind}, {in_words(energy_ev)}" if energy_ev.size else kind


def named_apart(scans: Iterable[FoundScan], taken: Iterable[str] = ()) -> list[FoundScan]:
    """The scans with a name of its own for each, none of those that are taken."""
    names = {name.casefold() for name in taken}
    apart = []
    for scan in scans:
        name, number = scan.scan_id, 1
        while name.casefold() in names:
            number += 1
            name = f"{scan.scan_id}-{number}"
        names.add(name.casefold())
        apart.append(replace(scan, scan_id=name))
    return apart
