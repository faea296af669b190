"""Which beamline files were simulated: a simulated file has a receipt among the truth of its campaign."""

import json
from collections.abc import Iterable
from pathlib import Path

TRUTH_FOLDER = "truth"
"""Beside the campaign file of a simulated campaign: what is true of it"""
RECEIPTS_FOLDER = "scans"
"""Inside the truth: a receipt for each simulated scan, which names the files of the scan with their sizes"""
MOST_LEVELS = 3
"""A simulation puts its files at most so many folders below the campaign."""


def simulated_files(files: Iterable[Path]) -> frozenset[Path]:
    """The beamline files that were simulated: those that the receipt of a simulated scan names, with their size.

    The answer does not depend on the names of campaign, scans or sample sheet, nor on where the campaign file lies.
    """
    # Asked once for each folder: 100 000 measured scans lie in few folders.
    with_truth: dict[Path, list[Path]] = {}
    found = set()
    for file in files:
        if file.parent not in with_truth:
            above = list(file.parents)[:MOST_LEVELS]
            with_truth[file.parent] = [folder for folder in above if (folder / TRUTH_FOLDER / RECEIPTS_FOLDER).is_dir()]
        if any(_is_named(file, folder) for folder in with_truth[file.parent]):
            found.add(file)
    return frozenset(found)


def _is_named(file: Path, campaign_folder: Path) -> bool:
    receipts = campaign_folder / TRUTH_FOLDER / RECEIPTS_FOLDER
    try:
        receipt = json.loads((receipts / f"{file.stem}.json").read_text(encoding="utf-8"))
        return bool(receipt["files"].get(file.relative_to(campaign_folder).as_posix()) == file.stat().st_size)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        # There is no receipt, or it is not one of a simulation: the file is taken for measured.
        return False
