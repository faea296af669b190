"""What readers assumed of a campaign's files, from what ingest measured."""

from collections.abc import Mapping, Sequence

from stxmdist.measures import IngestMeasures
from stxmdist.planning.survey import Survey


def notes_of(survey: Survey, only: frozenset[str] | None = None) -> dict[str, list[str]]:
    """Scan to the notes of its reader, of ingested scans of which there are any; ``only`` these, None for all."""
    found = {
        scan_id: survey.figures(IngestMeasures, "ingest", scan_id)
        for scan_id in survey.scans
        if only is None or scan_id in only
    }
    return {scan_id: list(figures.notes) for scan_id, figures in found.items() if figures is not None and figures.notes}


def alike(notes: Mapping[str, Sequence[str]], most_names: int = 3) -> list[str]:
    """A line for each different note, with the scans that it is about; of many scans only the first are named."""
    scans: dict[str, list[str]] = {}
    for scan_id, texts in notes.items():
        for text in texts:
            scans.setdefault(text, []).append(scan_id)
    return [f"{_names(names, most_names)}: {text}" for text, names in scans.items()]


def _names(names: Sequence[str], most: int) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
