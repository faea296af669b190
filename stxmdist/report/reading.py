"""What was assumed when beamline files were read, what they do not say, and what the data decided."""

from stxmdist.measures import AbsorbanceMeasures, FitMeasures
from stxmdist.report.evidence import Evidence
from stxmdist.report.tables import MOST_ROWS, Sheet

FEW = 4
"""Scans named one by one"""


def readings(evidence: Evidence) -> Sheet:
    """T3, third part: one row for each assumption, with the scans of which it was made."""
    by_words: dict[tuple[str, str], list[str]] = {}
    for scan in evidence.having("ingest"):
        for key in _said(evidence, scan.scan_id):
            by_words.setdefault(key, []).append(scan.scan_id)
    rows = [(kind, words, _named(scans), str(len(scans))) for (kind, words), scans in by_words.items()]
    return Sheet(
        "T3-reading",
        "What was assumed and decided",
        "What the readers took for granted of the beamline files, what these files do not say, what was found of the "
        "incident beam, and the background that the spectra asked for.",
        ("what", "why", "scans", "how many"),
        tuple(sorted(rows, key=lambda row: row[0])[:MOST_ROWS]),
        (3,),
        empty="Every file says all that is asked of it.",
    )


def _said(evidence: Evidence, scan_id: str) -> list[tuple[str, str]]:
    reading = evidence.reading(scan_id)
    said = [*(("assumed", note) for note in reading.notes), *(("not in the file", what) for what in reading.lacks)]
    absorbance = evidence.figures(AbsorbanceMeasures, "absorbance", scan_id)
    if absorbance is not None:
        said += [("incident beam", note) for note in absorbance.notes]
    fit = evidence.figures(FitMeasures, "fit", scan_id)
    if fit is not None and fit.background_said:
        # Scans without a background stand in one row; the table of scans has the numbers of each.
        said.append(("background", fit.background_said if fit.background != "none" else "no background is fitted"))
    return said


def _named(scans: list[str]) -> str:
    more = f" and {len(scans) - FEW} more" if len(scans) > FEW else ""
    return ", ".join(scans[:FEW]) + more
