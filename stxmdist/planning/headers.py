"""The headers of a campaign's scans, read once: what can be planned, and why the rest cannot."""

from collections.abc import Mapping

from stxmdist import readers
from stxmdist.campaign.manifest import Campaign, Scan
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.planning.stages import STAGES
from stxmdist.planning.survey import Survey
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.recording import PtychographyRecording, Recording, StxmRecording
from stxmdist.runner.unit import Refusal


def survey_of(
    campaign: Campaign, options: Mapping[str, object], *, only: frozenset[str] | None = None, forecast: bool = False
) -> Survey:
    """Read the header of every scan (or of those in ``only``); a file that cannot be used becomes a refusal."""
    recordings: dict[str, Recording] = {}
    refusals: list[Refusal] = []
    for scan in campaign.scans:
        if only is not None and scan.scan_id not in only:
            continue
        try:
            recordings[scan.scan_id] = _as_left(_header(scan, _choices(options)), options)
        except InputError as error:
            refusals.append(Refusal(scan.scan_id, "header", **error.as_dict()))
    for row, problem in campaign.rejected:
        where = f"{problem.place} {problem.where}".strip()
        refusals.append(
            Refusal(
                row.scan_id or f"line {row.line}",
                "sample sheet",
                where,
                problem.problem,
                problem.got,
                problem.wanted,
                problem.mend,
            )
        )
    return Survey(campaign, options, recordings, tuple(refusals), STAGES, forecast)


def _choices(options: Mapping[str, object]) -> ReadChoices:
    """How the files are read, which the options of ingest say."""
    choices = options["ingest"]
    assert isinstance(choices, ReadChoices)
    return choices


def _header(scan: Scan, choices: ReadChoices) -> Recording:
    recording = readers.read_scan(scan.files, scan.file_region, choices)
    wanted = PtychographyRecording if scan.modality == "ptychography" else StxmRecording
    if not isinstance(recording, wanted):
        raise InputError(
            where=scan.file,
            problem="the file is not of the modality that the sample sheet says",
            got="a ptychography scan" if isinstance(recording, PtychographyRecording) else "a wide-field scan",
            wanted=scan.modality,
            mend="Correct the column modality",
        )
    if isinstance(recording, StxmRecording) and len(recording.y_um) == len(recording.x_um) == 1:
        raise UnsupportedError(
            where=scan.file,
            problem="a point spectrum is no image and is not processed",
            got="one pixel",
            wanted="an image stack or a line scan",
            mend="Exclude it; its numbers, as a text file of two columns, can be a spectrum under references",
        )
    return recording


def _as_left(recording: Recording, options: Mapping[str, object]) -> Recording:
    """The header as it reads once stages have changed the frames."""
    for name, entry in STAGES.items():
        recording = entry.load().recording_after(recording, options[name])
    return recording
