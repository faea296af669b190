"""What was assumed and decided of a campaign's scans, as their stages measured it."""

from collections.abc import Mapping, Sequence

from stxmdist.measures import AbsorbanceMeasures, FitMeasures, IngestMeasures, ReconstructFigures, SegmentMeasures
from stxmdist.planning.survey import Survey

LEAST_ENERGIES = 3
"""Fewer do not tell a background from two end-members"""


def notes_of(survey: Survey, only: frozenset[str] | None = None) -> dict[str, list[str]]:
    """Scan to what its reader assumed, what was found of its frames, beam and background, and what it cannot exclude.

    Only scans of which there is something to say; of those in ``only``, None for all.
    """
    found = {scan_id: _notes(survey, scan_id) for scan_id in survey.scans if only is None or scan_id in only}
    for scan_id, words in survey.growth.ended.items():
        if scan_id in found:
            found[scan_id].insert(0, words)
    return {scan_id: notes for scan_id, notes in found.items() if notes}


def _notes(survey: Survey, scan_id: str) -> list[str]:
    ingest = survey.figures(IngestMeasures, "ingest", scan_id)
    absorbance = survey.figures(AbsorbanceMeasures, "absorbance", scan_id)
    fit = survey.figures(FitMeasures, "fit", scan_id)
    reconstruct = survey.figures(ReconstructFigures, "reconstruct", scan_id)
    notes = [note for stage in (ingest, reconstruct, absorbance) if stage is not None for note in stage.notes]
    # Of two energies the sentence says that they tell no background, and what the error allows for.
    if fit is not None and fit.background_said and (fit.background != "none" or fit.energies_used < LEAST_ENERGIES):
        notes.append(fit.background_said)
    segment = survey.figures(SegmentMeasures, "segment", scan_id)
    if segment is not None and segment.third_phase_not_excluded:
        notes.append(segment.third_phase)
    if segment is not None and segment.overlaps_suspected:
        parted = f"; {segment.plates_parted} plates were parted" if segment.plates_parted else ""
        notes.append(
            f"{segment.overlaps_suspected} particles may be plates across one another that were not parted: the "
            f"smaller of them are not counted{parted}"
        )
    return list(dict.fromkeys(notes))


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
