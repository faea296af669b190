"""The headers of a campaign's scans, read once: what can be planned, and why the rest cannot."""

from collections.abc import Mapping
from dataclasses import replace

from storage.store import Store
from stxmdist import readers
from stxmdist.campaign.manifest import Campaign, Problem, Scan
from stxmdist.errors import InputError
from stxmdist.planning.checks import findings_of
from stxmdist.planning.findings import FROM_THE_FIRST, SHEET_ROW, Finding
from stxmdist.planning.growth import Growth, followed_now
from stxmdist.planning.scan_options import options_of_scans
from stxmdist.planning.stages import STAGES
from stxmdist.planning.survey import Survey
from stxmdist.readers.choices import ReadChoices
from stxmdist.readers.growing import of_energies
from stxmdist.readers.recording import PtychographyRecording, Recording, StxmRecording


def survey_of(campaign: Campaign, options: Mapping[str, object], *, forecast: bool = False) -> Survey:
    """Read the header of every scan and check it: what cannot be used, or cannot be fitted, is refused here."""
    recordings: dict[str, Recording] = {}
    growth = followed_now(Store(campaign.store))
    own = options_of_scans(campaign)
    found = [Finding(row.scan_id or f"line {row.line}", problem, unit=SHEET_ROW) for row, problem in campaign.rejected]
    found += [Finding(scan.scan_id, problem, unit=SHEET_ROW) for scan, problem in own.mistakes]
    aside = {scan.scan_id for scan, _ in own.mistakes}
    for scan in campaign.scans:
        followed = growth.scans.get(scan.scan_id)
        if scan.scan_id in aside or (followed is not None and followed.state == "arrives"):
            # What is not there yet is not wrong: whoever follows it says when it can be taken.
            continue
        try:
            mine = own.by_scan.get(scan.scan_id, options)
            header = _so_far(_header(scan, choices_of(mine)), followed)
            recordings[scan.scan_id] = _as_left(header, mine)
        except InputError as error:
            found.append(Finding(scan.scan_id, _of_file(campaign, scan, error)))
    readable = Survey(campaign, options, recordings, (), STAGES, own.by_scan, (), growth, forecast)
    found += findings_of(readable)
    found.sort(key=lambda finding: finding.problem.line or 0)
    refusals = tuple(finding.refusal for finding in found if finding.stage is not None)
    refused = {finding.scan_id for finding in found if finding.stage == FROM_THE_FIRST}
    processed = {scan_id: header for scan_id, header in recordings.items() if scan_id not in refused}
    return replace(readable, recordings=processed, refusals=refusals, findings=tuple(found), _digests={})


def _of_file(campaign: Campaign, scan: Scan, error: InputError) -> Problem:
    """Why a file cannot be used, at the line of the sheet that names it."""
    where = f"{scan.scan_id}, {error.where}"
    return Problem(campaign.sheet_path, scan.line, where, error.problem, error.got, error.wanted, error.mend)


def choices_of(options: Mapping[str, object]) -> ReadChoices:
    """How the files are read, which the options of ingest say."""
    choices = options["ingest"]
    assert isinstance(choices, ReadChoices)
    return choices


def _header(scan: Scan, choices: ReadChoices) -> Recording:
    if scan.address is not None and not scan.file.exists():
        raise InputError(
            where=scan.address,
            problem="nothing of the run has been fetched from its server",
            got="no file yet",
            wanted="the rows that it has measured",
            mend="Fetch it with `stxmdist watch` or `stxmdist run`",
        )
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
    return recording


def _so_far(recording: Recording, growth: Growth | None) -> Recording:
    """A scan that is being measured as far as it is complete; any other as it is."""
    if growth is None or growth.state != "grows" or not isinstance(recording, StxmRecording):
        return recording
    return of_energies(recording, growth.complete, growth.planned)


def _as_left(recording: Recording, options: Mapping[str, object]) -> Recording:
    """The header as it reads once stages have changed the frames."""
    for name, entry in STAGES.items():
        recording = entry.load().recording_after(recording, options[name])
    return recording
