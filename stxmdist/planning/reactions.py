"""Which scans show one region at two times."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stxmdist.campaign.scan import Scan


@dataclass(frozen=True)
class ReactionPairOptions:
    """Which earlier scan a scan is compared with; the options of ``react`` are such."""

    before: str | None = None
    """The scan of the same region at an earlier time, by its ``scan_id``; None: what ``region_id`` and ``time_h`` say.
    Name it in a column ``react.before`` of the sample sheet."""


def consecutive_scans(scans: Iterable[Scan], named: Mapping[str, str] | None = None) -> dict[str, str]:
    """Later scan to earlier scan: same electrode, region, modality and polarisation, the nearest earlier ``time_h``.

    The order of the sheet does not matter. Scans of one time are repeats, not a reaction: each of them follows the
    first scan of the time before. Scans without a time or a region take no part.

    Parameters
    ----------
    named
        later scan to the earlier scan that somebody named; such as cannot be a pair are left out (``why_no_pair``)
    """
    by_id = {scan.scan_id: scan for scan in scans}
    groups: dict[tuple[object, ...], list[Scan]] = defaultdict(list)
    for scan in by_id.values():
        if scan.region_id and scan.time_h is not None:
            groups[scan.electrode_id, scan.region_id, scan.modality, scan.polarisation_deg].append(scan)
    found = {}
    for group in groups.values():
        for scan in group:
            earlier = [one for one in group if hours_between(one, scan) > 0.0]
            if earlier:
                found[scan.scan_id] = min(earlier, key=lambda one: hours_between(one, scan)).scan_id
    for later, before in (named or {}).items():
        found.pop(later, None)
        if later in by_id and not why_no_pair(by_id.get(before), by_id[later]):
            found[later] = before
    return found


def hours_between(before: Scan, after: Scan) -> float:
    """Time in hours from one scan to another; NaN where either has none."""
    if before.time_h is None or after.time_h is None:
        return float("nan")
    return after.time_h - before.time_h


def why_no_pair(before: Scan | None, after: Scan) -> str:
    """Why a scan cannot be compared with an earlier one; empty where it can."""
    if before is None:
        return "there is no scan of this name that can be read"
    if before.modality != after.modality:
        return f"{before.scan_id} is of the modality {before.modality}, {after.scan_id} of {after.modality}"
    hours = hours_between(before, after)
    if hours > 0.0:
        return ""
    if hours <= 0.0:
        return f"{before.scan_id} is not earlier than {after.scan_id} ({before.time_h:g} h and {after.time_h:g} h)"
    return f"time_h of {before.scan_id if before.time_h is None else after.scan_id} is not in the sample sheet"
