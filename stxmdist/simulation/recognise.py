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
    with_truth: dict[Path, bool] = {}
    return frozenset(file for file in files if any(_is_named(file, folder, with_truth) for folder in _above(file)))


def _above(file: Path) -> list[Path]:
    return list(file.parents)[:MOST_LEVELS]


def _is_named(file: Path, campaign_folder: Path, with_truth: dict[Path, bool]) -> bool:
    receipts = campaign_folder / TRUTH_FOLDER / RECEIPTS_FOLDER
    if campaign_folder not in with_truth:
        with_truth[campaign_folder] = receipts.is_dir()
    if not with_truth[campaign_folder]:
        return False
    try:
        receipt = json.loads((receipts / f"{file.stem}.json").read_text(encoding="utf-8"))
        return bool(receipt["files"].get(file.relative_to(campaign_folder).as_posix()) == file.stat().st_size)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        # There is no receipt, or it is not one of a simulation: the file is taken for measured.
        return False
