"""What was assumed when beamline files were read, and what they do not say."""

from stxmdist.planning.published import Reading
from stxmdist.report.evidence import Evidence
from stxmdist.report.tables import MOST_ROWS, Sheet

FEW = 4
"""Scans named one by one"""


def readings(evidence: Evidence) -> Sheet:
    """T3, third part: one row for each assumption, with the scans of which it was made."""
    by_words: dict[tuple[str, str], list[str]] = {}
    for scan in evidence.having("ingest"):
        for key in _said(evidence.reading(scan.scan_id)):
            by_words.setdefault(key, []).append(scan.scan_id)
    rows = [(kind, words, _named(scans), str(len(scans))) for (kind, words), scans in by_words.items()]
    return Sheet(
        "T3-reading",
        "What was assumed on reading",
        "What the readers took for granted of the beamline files, and what these files do not say.",
        ("what", "why", "scans", "how many"),
        tuple(sorted(rows, key=lambda row: row[0])[:MOST_ROWS]),
        (3,),
        empty="Every file says all that is asked of it.",
    )


def _said(reading: Reading) -> list[tuple[str, str]]:
    return [*(("assumed", note) for note in reading.notes), *(("not in the file", what) for what in reading.lacks)]


def _named(scans: list[str]) -> str:
    more = f" and {len(scans) - FEW} more" if len(scans) > FEW else ""
    return ", ".join(scans[:FEW]) + more
