"""What the headers of a folder's scans say together: stacks, copies, the edge, order, beamtimes, regions and pairs.

Everything here is a proposal: it stands in the sheet to be corrected, with what it was inferred from.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from stxmdist.arrays import F64
from stxmdist.campaign import copies
from stxmdist.campaign.found import ONE_ENERGY, FoundScan, about
from stxmdist.campaign.scan import IMAGES_ONLY
from stxmdist.campaign.times import moment_of
from stxmdist.errors import InputError
from stxmdist.readers.joined import joined, same_field
from stxmdist.readers.recording import PtychographyRecording, Recording, StxmRecording
from stxmdist.spectra.edges import in_words
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES

GUESSED = ("LFP", "LMO", "LCO", "NMC")
"""One chemistry for each metal's edge: which of those with this metal it is, no header says"""
ONE_SITTING = timedelta(hours=12)
"""Images of one field that are one stack are taken in one go"""
SAME_ENERGY_EV = 0.05
"""An image at an energy that the stack has already begins the next one"""
WIDEST_STACK_EV = 120.0
"""Images farther apart in energy belong to different edges"""
BETWEEN_BEAMTIMES = timedelta(days=3)
OVERLAP = 0.5
"""Fields are of one region where they share so much of the smaller one"""


@dataclass(frozen=True)
class Chemistry:
    """The chemistry that a folder's scans suggest."""

    name: str
    why: str
    scans: int
    """How many scans say so; 0: it is a guess without any"""


def with_stacks(scans: Sequence[FoundScan]) -> list[FoundScan]:
    """Single-energy images of one field joined to stacks, each in the place of its first image."""
    series: list[list[FoundScan]] = []
    for scan in sorted(filter(_is_image, scans), key=_began):
        fitting = [group for group in series if _continues(group, scan)]
        if fitting:
            fitting[-1].append(scan)
        else:
            series.append([scan])
    joinable = [(group, stack) for group in series if len(group) > 1 and (stack := _stack(group)) is not None]
    stacks = {group[0].cell: stack for group, stack in joinable}
    inside = {scan.cell for group, _ in joinable for scan in group}
    return [stacks.get(scan.cell, scan) for scan in scans if scan.cell in stacks or scan.cell not in inside]


def _is_image(scan: FoundScan) -> bool:
    return scan.reason == ONE_ENERGY and isinstance(scan.recording, StxmRecording) and not scan.region


def _continues(group: Sequence[FoundScan], scan: FoundScan) -> bool:
    first, there = group[0], np.array([each.energy_ev[0] for each in group])
    here = float(scan.energy_ev[0])
    if scan.files[0].parent != first.files[0].parent or np.abs(there - here).min() <= SAME_ENERGY_EV:
        return False
    if max(there.max(), here) - min(there.min(), here) > WIDEST_STACK_EV:
        return False
    begun, last = _moment(scan), _moment(group[-1])
    if begun is not None and last is not None and abs(begun - last) > ONE_SITTING:
        return False
    one, other = first.recording, scan.recording
    assert isinstance(one, StxmRecording)
    assert isinstance(other, StxmRecording)
    return same_field(one, other)


def _stack(group: Sequence[FoundScan]) -> FoundScan | None:
    images = sorted(group, key=lambda scan: float(scan.energy_ev[0]))
    try:
        recording = joined([scan.recording for scan in images if scan.recording is not None])
    except InputError:
        return None
    energies = (float(recording.energy_ev[0]), float(recording.energy_ev[-1]))
    listed = ", ".join(f"{energy:.1f}" for energy in recording.energy_ev)
    return replace(
        images[0],
        files=tuple(scan.files[0] for scan in images),
        about=about(recording.energy_ev, f"stack of {len(images)} images"),
        energies_ev=energies,
        reason="",
        recording=recording,
        why=(f"one stack of {len(images)} images of one field at {listed} eV",),
    )


def without_copies(scans: Sequence[FoundScan]) -> list[FoundScan]:
    """Copies of a file, and scans saved twice, left out."""
    known = {number: scan for number, scan in enumerate(scans) if scan.recording is not None and not scan.reason}
    recordings = {str(number): scan.recording for number, scan in known.items() if scan.recording is not None}
    same = copies.identical({name: recording.files for name, recording in recordings.items()})
    alike = copies.near({name: recording for name, recording in recordings.items() if name not in same})
    found = list(scans)
    for name, first in same.items():
        found[int(name)] = found[int(name)].excluded(f"a copy of {scans[int(first)].cell}, byte by byte")
    for name, first in alike.items():
        reason = f"the start time, field and energies of {scans[int(first)].cell}: the same scan saved twice"
        found[int(name)] = found[int(name)].excluded(reason)
    return found


def chemistry_of(scans: Sequence[FoundScan]) -> Chemistry:
    """The chemistry whose edge most of the scans cover; those that are left out have a say where no other has."""
    votes = _votes(scan for scan in scans if not scan.reason) or _votes(scans)
    if not votes:
        return Chemistry(IMAGES_ONLY, "images only: no scan covers the Fe, Co, Ni or Mn L edge", 0)
    (name, count), *_ = votes.most_common(1)
    edge = CHEMISTRIES[name].load().edges[0].edge.name
    return Chemistry(name, f"a guess: {count} scan{'' if count == 1 else 's'} over the {edge} edge", count)


def _votes(scans: Iterable[FoundScan]) -> Counter[str]:
    known = [scan for scan in scans if scan.energies_ev is not None]
    return Counter(name for scan in known for name in GUESSED if _covers(scan.energy_ev, name))


def _covers(energy_ev: F64, chemistry: str) -> bool:
    """Whether two energies or more lie among the white lines of the chemistry's first edge."""
    low, high = CHEMISTRIES[chemistry].load().edges[0].lines_ev
    return int(((energy_ev >= low) & (energy_ev <= high)).sum()) > 1


def without_other_edges(scans: Iterable[FoundScan], chemistry: Chemistry) -> list[FoundScan]:
    """Scans over an edge that the library does not have for the chemistry, left out; of images only, none are."""
    if chemistry.name == IMAGES_ONLY:
        return [replace(scan, reason="") if scan.reason == ONE_ENERGY else scan for scan in scans]
    library = CHEMISTRIES[chemistry.name].load()
    return [
        scan
        if scan.reason or scan.energies_ev is None or library.edge_covered_by(scan.energy_ev) is not None
        else scan.excluded(
            f"another edge: {in_words(scan.energy_ev)}, where {chemistry.name} wants {library.edges_in_words}"
            + "".join(
                f"; if the electrode is {name} say so in the column chemistry"
                for name in GUESSED
                if name != chemistry.name and _covers(scan.energy_ev, name)
            )
        )
        for scan in scans
    ]


def in_order(scans: Iterable[FoundScan]) -> list[FoundScan]:
    """The scans by when they began, with their beamtimes; those whose files do not say come last, by their files.

    A pause of more than ``BETWEEN_BEAMTIMES`` begins another beamtime, which is named after its first day.
    """
    ordered = sorted(scans, key=_began)
    last: datetime | None = None
    name = ""
    found = []
    for scan in ordered:
        begun = _moment(scan)
        if begun is None:
            found.append(scan)
            continue
        if last is None or begun - last > BETWEEN_BEAMTIMES:
            name = begun.date().isoformat()
        last = begun
        found.append(replace(scan, beamtime_id=name))
    return found


def _moment(scan: FoundScan) -> datetime | None:
    said = moment_of(scan.recording.start_time) if scan.recording is not None and scan.recording.start_time else None
    return said if said is None or said.tzinfo is not None else said.replace(tzinfo=UTC)


def _began(scan: FoundScan) -> tuple[bool, datetime, str]:
    begun = _moment(scan)
    return begun is None, begun or datetime.max.replace(tzinfo=UTC), scan.cell


def with_regions(scans: Sequence[FoundScan]) -> list[FoundScan]:
    """Regions and pairs of the scans that are not left out, from where their fields overlap on the stage."""
    fields = {number: _field_um(scan) for number, scan in enumerate(scans)}
    known = [(number, field) for number, field in fields.items() if field is not None]
    root = {number: number for number, _ in known}

    def top(number: int) -> int:
        while root[number] != number:
            number = root[number]
        return number

    boxes = np.array([field for _, field in known]).reshape(-1, 4)
    for place, (number, _) in enumerate(known):
        for other in np.flatnonzero(_shared(boxes[place], boxes[:place]) >= OVERLAP):
            partner = known[int(other)][0]
            if scans[partner].beamtime_id == scans[number].beamtime_id:
                root[top(number)] = top(partner)
    members: dict[int, list[int]] = defaultdict(list)
    for number, _ in known:
        members[top(number)].append(number)
    found = list(scans)
    for place, group in enumerate(members.values(), start=1):
        _name_region(found, group, f"r{place}")
    return found


def _name_region(scans: list[FoundScan], group: Sequence[int], name: str) -> None:
    """Write a region, and a pair where it has one scan of each modality, into the scans of a group."""
    if len(group) == 1:
        scans[group[0]] = replace(scans[group[0]], region_id=name)
        return
    pair = sorted(scans[number].modality for number in group) == ["ptychography", "stxm"]
    for number in group:
        others = ", ".join(scans[other].cell for other in group if other != number)
        said = f"region {name}{' and pair' if pair else ''}: its field on the stage overlaps that of {others}"
        scans[number] = replace(
            scans[number],
            region_id=name,
            pair_id=name if pair else "",
            why=(*scans[number].why, said),
        )


def _field_um(scan: FoundScan) -> tuple[float, float, float, float] | None:
    """Lowest y and x, highest y and x of a scan that is not left out; None where its file does not say where it is."""
    recording = scan.recording
    if recording is None or scan.reason or any("position" in lack for lack in recording.lacks):
        return None
    y_um, x_um = _extent_um(recording)
    if min(np.ptp(y_um), np.ptp(x_um)) <= 0.0 or recording.format not in WITH_STAGE:
        return None
    return float(y_um.min()), float(x_um.min()), float(y_um.max()), float(x_um.max())


WITH_STAGE = ("sdf", "nxstxm", "cxi", "pystxmcontrol")
"""Formats whose coordinates are those of the sample's stage; others begin at the image's own corner"""


def _extent_um(recording: Recording) -> tuple[F64, F64]:
    if isinstance(recording, PtychographyRecording):
        return recording.positions_um[..., 0], recording.positions_um[..., 1]
    return recording.y_um, recording.x_um


def _shared(box: F64, others: F64) -> F64:
    """Area (N,) that a field (4,) shares with others (N, 4), as a share of the smaller of both."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    areas = [np.prod(each[..., 2:] - each[..., :2], axis=-1) for each in (box, others)]
    return np.asarray(np.prod(np.clip(high - low, 0.0, None), axis=1) / np.minimum(*areas))
