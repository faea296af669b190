"""What the headers of a campaign's scans say against them before anything runs, each with its line and what to do.

What would stop a scan in a later stage is found by
the same rules as there, so that a scan which cannot give a state of charge costs nothing.
"""

from collections.abc import Hashable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from stxmdist.arrays import F64, Mask
from stxmdist.campaign import copies
from stxmdist.campaign.problems import Problem
from stxmdist.campaign.scan import UNNAMED
from stxmdist.crossmodal.psf import MicroscopePsf
from stxmdist.errors import InputError
from stxmdist.pixel_pitch import pixel_pitch_nm
from stxmdist.planning.density_options import beam_spectrum_of, density_options, empty_field_of
from stxmdist.planning.end_members import EndMemberSource, end_member_source, end_members_to_fit, other_edges
from stxmdist.planning.findings import FROM_THE_FIRST, Finding
from stxmdist.planning.stages import STAGES
from stxmdist.planning.survey import Survey
from stxmdist.readers.frames.kind_of_numbers import numbers_meant, numbers_of
from stxmdist.readers.recording import Recording, StxmRecording
from stxmdist.spectra.density.incident_beam import EMPTY_FIELD_TOLERANCE_EV, beam_of_spectrum, refuse_unless_spanned
from stxmdist.spectra.edges import in_words
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.end_members.spectrum_file import read_spectrum
from stxmdist.spectra.fitters.contract import FITTERS
from stxmdist.spectra.fitting.model import FitChoices, refuse_unfittable

WITHOUT_SPECTRA = "absorbance"
"""A ptychography scan that cannot be fitted is still reconstructed and stitched: image and resolution need no edge."""
SAVED_BY_PROGRAMS = ("ncb", "tiff", "stk", "mantis", "mistral", "xanespy", "xradia", "envi")
"""Formats of programs, not of beamlines: what was done to the counts before is not known"""
MOST_PIXEL_ZONES = 5.0
"""Pixels wider than so many outermost zones of the microscope are no image of particles, or have no size at all"""


def findings_of(survey: Survey) -> tuple[Finding, ...]:
    """Everything that headers say against the scans of a survey; of several reasons against one, the first."""
    checks = _Checks(survey)
    found = [*_copies(survey), *_unnamed(survey)]
    stopped = {finding.scan_id for finding in found if finding.stage is not None}
    for scan_id in survey.scans:
        for check in (
            checks.options,
            checks.energies,
            checks.fitter,
            checks.numbers,
            checks.incident_beam,
            checks.image,
        ):
            if scan_id in stopped:
                break
            new = list(check(scan_id))
            found += new
            stopped |= {finding.scan_id for finding in new if finding.stage is not None}
    return tuple(found)


def _copies(survey: Survey) -> Iterator[Finding]:
    """Copies of files of other rows, and scans that look like the same acquisition saved twice."""
    files = {scan_id: survey.recordings[scan_id].files for scan_id in survey.scans}
    copied = copies.identical(files)
    problem, wanted = "the file is a copy of another row's", "one row for each measurement"
    for scan_id, first in copied.items():
        got = f"the bytes of {survey.scans[first].cell} of {first} (line {survey.scans[first].line})"
        mend = "Exclude one of them: its particles would count twice"
        yield Finding(scan_id, _at_row(survey, scan_id, "file", problem, got, wanted, mend))
    others = {scan_id: survey.recordings[scan_id] for scan_id in survey.scans if scan_id not in copied}
    problem = "the scan looks like another row's, saved twice"
    for scan_id, first in copies.near(others).items():
        got = f"the start time, field and energies of {first} (line {survey.scans[first].line})"
        mend = "Exclude one of them if they are the same measurement: its particles would count twice"
        yield _warning(scan_id, _at_row(survey, scan_id, "file", problem, got, wanted, mend))


def _unnamed(survey: Survey) -> Iterator[Finding]:
    """Scans of the electrode that ``init`` wrote: a warning where it is the only one, a mistake beside named ones."""
    to_fit = {scan_id: scan for scan_id, scan in survey.scans.items() if not scan.images_only}
    unnamed = [scan_id for scan_id, scan in to_fit.items() if scan.electrode_id == UNNAMED]
    wanted = "its name: the electrode is the experimental unit of the statistics"
    if len(unnamed) == len(to_fit):
        for scan_id in unnamed[:1]:
            got, problem = f"{UNNAMED!r} in every row", "init did not know the electrodes"
            mend = "Name them where there are several; as it is, nothing is said of differences between electrodes"
            yield _warning(scan_id, _at_row(survey, scan_id, "electrode_id", problem, got, wanted, mend))
        return
    for scan_id in unnamed:
        problem, mend = "the scan has still the electrode that init wrote, and others are named", "Name its electrode"
        yield Finding(scan_id, _at_row(survey, scan_id, "electrode_id", problem, repr(UNNAMED), wanted, mend))


def _at_row(survey: Survey, scan_id: str, column: str, problem: str, got: str, wanted: str, mend: str) -> Problem:
    """A problem at a scan's line of the sample sheet."""
    where = f"{scan_id}, {column}"
    return Problem(survey.campaign.sheet_path, survey.scans[scan_id].line, where, problem, got, wanted, mend)


def _warning(scan_id: str, problem: Problem) -> Finding:
    return Finding(scan_id, replace(problem, warning=True), stage=None)


def measured_energies(recording: Recording) -> Mask:
    """Which energies (ENERGY,) of a scan were measured, as far as its header says."""
    if isinstance(recording, StxmRecording):
        return recording.measured
    return np.ones(len(recording.energy_ev), dtype=np.bool_)


class _Checks:
    """The checks of single scans; what scans share is looked at once."""

    def __init__(self, survey: Survey) -> None:
        self.survey = survey
        self._empty_fields = {empty_field_of(survey, scan_id) for scan_id in survey.scans}
        self._members: dict[EndMemberSource, EndMembers | InputError] = {}
        self._tried: dict[Hashable, InputError | None] = {}
        self._spectra: dict[Path, tuple[F64, F64] | InputError] = {}

    def options(self, scan_id: str) -> Iterator[Finding]:
        """Options of a stage that has nothing to do for the scan."""
        scan = self.survey.scans[scan_id]
        for column in scan.options:
            stage = column.split(".")[0]
            if stage in STAGES and not STAGES[stage].load().concerns(self.survey, scan_id):
                problem = f"the stage {stage} has nothing to do for this scan, and would not see the option"
                mend = "Empty the cell, or write the option in the row of the scan that is meant"
                got = f"a {scan.modality} scan"
                yield Finding(scan_id, _at_row(self.survey, scan_id, column, problem, got, "an empty cell", mend))

    def numbers(self, scan_id: str) -> Iterator[Finding]:
        """Optical density or transmission where counts are wanted: a look at some images of what programs saved."""
        recording = self.survey.recordings[scan_id]
        if not isinstance(recording, StxmRecording) or recording.format not in SAVED_BY_PROGRAMS:
            return
        try:
            numbers_meant(numbers_of(recording), density_options(self.survey, scan_id).input, recording.source)
        except InputError as error:
            row = _at_row(self.survey, scan_id, "file", error.problem, str(error.got), error.wanted, error.mend)
            yield Finding(scan_id, row)

    def image(self, scan_id: str) -> Iterator[Finding]:
        """Pixels whose size does not fit the microscope."""
        recording = self.survey.recordings[scan_id]
        if not isinstance(recording, StxmRecording):
            return
        pixel_nm = pixel_pitch_nm(recording.y_um, recording.x_um)
        psf: MicroscopePsf = self.survey.options_of("segment", MicroscopePsf, scan_id)
        if pixel_nm > MOST_PIXEL_ZONES * psf.outer_zone_nm:
            problem = "the pixels are far wider than what the microscope resolves"
            wanted = f"pixels of about the outermost zone of the microscope, {psf.outer_zone_nm:g} nm"
            mend = "Say their size if the file is wrong (ingest.pixel_size_nm), and exclude overview images"
            row = _at_row(self.survey, scan_id, "file", problem, f"{pixel_nm:.4g} nm", wanted, mend)
            yield _warning(scan_id, row)

    def energies(self, scan_id: str) -> Iterator[Finding]:
        """Too few energies to fit, energies of another edge, energies that cannot tell the end-members apart."""
        if scan_id in self._empty_fields:
            # It lends others its incident beam, and nothing is fitted in it.
            return
        scan, recording = self.survey.scans[scan_id], self.survey.recordings[scan_id]
        stage = WITHOUT_SPECTRA if scan.modality == "ptychography" else FROM_THE_FIRST
        energy_ev, measured = recording.energy_ev, measured_energies(recording)

        def stopped(problem: str, got: str, wanted: str, mend: str) -> Finding:
            return Finding(scan_id, _at_row(self.survey, scan_id, "file", problem, got, wanted, mend), stage)

        n, total = int(measured.sum()), len(energy_ev)
        if isinstance(recording, StxmRecording) and recording.aborted:
            there = ", ".join(f"{energy:.1f}" for energy in energy_ev[measured])
            yield stopped(
                f"the scan was aborted: {total - n} of {total} frames are missing",
                f"{n} frames" + (f", at {there} eV" if n else ""),
                "most of the energies",
                "Exclude the scan, or bring the frames that are missing",
            )
            return
        if scan.images_only:
            return
        if total == 1:
            mend = "Join images of one field in one row (file: one.hdr;two.hdr;three.hdr), or exclude the scan"
            if scan.modality == "ptychography":
                mend = "It is reconstructed for its image and its resolution alone; exclude it if those are not wanted"
            wanted = "the same field at two energies or more"
            yield stopped("one photon energy alone gives no state of charge", in_words(energy_ev), wanted, mend)
            return
        source = end_member_source(self.survey, scan_id)
        if source.explored:
            return
        members = self._end_members(source, scan_id)
        if isinstance(members, InputError) and source.files is not None:
            campaign, found = self.survey.campaign, members
            row = campaign.problem_at("references", found.problem, "", found.wanted, found.mend)
            yield Finding(scan_id, replace(row, got=f"{found.got} in {found.where}"), stage)
            return
        error = members if isinstance(members, InputError) else self._try_to_fit(scan_id, source, members, measured)
        if error is not None:
            yield stopped(error.problem, error.got, error.wanted, error.mend)

    def _end_members(self, source: EndMemberSource, scan_id: str) -> EndMembers | InputError:
        if source not in self._members:
            try:
                self._members[source] = end_members_to_fit(source, scan_id)
            except InputError as error:
                self._members[source] = error
        return self._members[source]

    def _try_to_fit(
        self, scan_id: str, source: EndMemberSource, members: EndMembers, measured: Mask
    ) -> InputError | None:
        """What would stop the fit of a scan, None where nothing would; scans with the same energies are tried once."""
        energy_ev = self.survey.recordings[scan_id].energy_ev
        options: FitChoices = self.survey.options_of("fit", FitChoices, scan_id)
        key = (source, energy_ev.tobytes(), measured.tobytes(), options)
        if key not in self._tried:
            self._tried[key] = None
            try:
                refuse_unfittable(scan_id, energy_ev, measured, members, options, other_edges(source))
            except InputError as error:
                self._tried[key] = error
        return self._tried[key]

    def fitter(self, scan_id: str) -> Iterator[Finding]:
        """A fitter that the scan, or the background that is asked for, gives nothing to work on."""
        scan = self.survey.scans[scan_id]
        options: FitChoices = self.survey.options_of("fit", FitChoices, scan_id)
        if scan_id in self._empty_fields or scan.images_only:
            return
        name = options.fitter_of(scan.modality)
        entry = FITTERS[name]
        stage = WITHOUT_SPECTRA if scan.modality == "ptychography" else FROM_THE_FIRST
        column = next((one for one in scan.options if one.startswith("fit.")), "file")

        def stopped(problem: str, got: str, wanted: str, mend: str) -> Finding:
            return Finding(scan_id, _at_row(self.survey, scan_id, column, problem, got, wanted, mend), stage)

        if entry.two_energies and options.background in ("constant", "power_law"):
            problem = f"the fitter {name} looks at two energies and has no room for a background"
            yield stopped(problem, f"background: {options.background}", "background: none", "Leave the background out")
        elif entry.wants_phase and scan.modality == "stxm":
            problem, mend = f"the fitter {name} fits a phase, which a wide-field scan has not", "Name another fitter"
            yield stopped(problem, "a wide-field scan", "a ptychography scan (fit: fitter_ptychography)", mend)

    def incident_beam(self, scan_id: str) -> Iterator[Finding]:
        """A spectrum of the incident beam that cannot be read, or a beam that is not known at the scan's energies."""
        survey, energy_ev = self.survey, self.survey.recordings[scan_id].energy_ev
        column = next((name for name in survey.scans[scan_id].options if name.startswith("absorbance.i0")), "file")
        path, empty = beam_spectrum_of(survey, scan_id), empty_field_of(survey, scan_id)
        try:
            if path is not None:
                spectrum = self._spectrum(path)
                if isinstance(spectrum, InputError):
                    row = survey.campaign.problem_at(
                        "references.i0", spectrum.problem, "", spectrum.wanted, spectrum.mend
                    )
                    yield Finding(scan_id, replace(row, got=f"{spectrum.got} in {spectrum.where}"))
                else:
                    beam_of_spectrum(energy_ev, *spectrum, path)
            elif empty in survey.scans:
                there = survey.recordings[empty]
                refuse_unless_spanned(
                    energy_ev,
                    there.energy_ev[measured_energies(there)],
                    EMPTY_FIELD_TOLERANCE_EV,
                    empty,
                    "the scan of the incident beam does not span this scan",
                    "Name an empty field that was scanned over the same energies, or take the beam from the field",
                )
        except InputError as error:
            got = f"{error.got} of {path.name if path is not None else empty}"
            yield Finding(scan_id, _at_row(survey, scan_id, column, error.problem, got, error.wanted, error.mend))

    def _spectrum(self, path: Path) -> tuple[F64, F64] | InputError:
        if path not in self._spectra:
            try:
                self._spectra[path] = read_spectrum(path)
            except InputError as error:
                self._spectra[path] = error
        return self._spectra[path]
