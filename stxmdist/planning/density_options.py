"""Where a scan's incident beam comes from, and what its counts are corrected for: options that several stages read."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from stxmdist.errors import InputError
from stxmdist.measures import Numbers
from stxmdist.planning.survey import Survey
from stxmdist.spectra.density.absorbance import AbsorbanceOptions
from stxmdist.spectra.density.detector import DetectorOptions

STAGE_NAME = "absorbance"
"""The stage whose options these are"""


@dataclass(frozen=True)
class DensityOptions:
    """Where the incident beam comes from, and what is taken off before the logarithm."""

    absorbance: AbsorbanceOptions = field(default_factory=AbsorbanceOptions)
    """How particle-free pixels are found"""
    input: Numbers | None = None
    """What the numbers of wide-field files are: ``counts``, ``transmission`` or ``optical_density``; None: counts, and
    a stack that does not look like counts is refused
    """
    leak_fraction: float = 0.0
    """Light of other orders behind a thick absorber, as a fraction of the incident beam; wide-field scans only."""
    i0: Literal["field", "file", "scan"] = "field"
    """``field``: particle-free pixels; ``file``: the spectrum named under references: i0 in the campaign file;
    ``scan``: another row of the sample sheet, see ``i0_scan``."""
    i0_scan: str | None = None
    """The scan_id of an empty field that the incident beam is taken from; wide-field scans only"""
    detector: DetectorOptions = field(default_factory=DetectorOptions)
    """What is undone in counts; wide-field scans only"""
    shared_od_error: float = 0.002
    """Ptychography: standard error, at each energy, of optical densities that reconstructions of both halves of the
    frames share, because low spatial frequencies settle last (measured on simulated scans)"""
    region: list[int] | None = None
    """A free region instead: [first row, row after the last, first column, column after the last], from 0."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.leak_fraction < 1.0:
            raise InputError(
                where="leak_fraction",
                problem="the leak fraction is not a share of the incident beam",
                got=self.leak_fraction,
                wanted="0 to less than 1, such as 0.01",
                mend="Measure it behind a thick absorber: what still comes through, over the open beam",
            )
        if not 0.0 <= self.shared_od_error < 1.0:
            raise InputError(
                where="shared_od_error",
                problem="the value is not an error of an optical density",
                got=self.shared_od_error,
                wanted="0 to less than 1, such as 0.002",
                mend="Change it, or take it out",
            )
        if self.region is not None and not _holds_pixels(self.region):
            raise InputError(
                where="region",
                problem="the region holds no pixels",
                got=self.region,
                wanted="[first row, row after the last, first column, column after the last], counted from 0",
                mend="Correct the region, or leave it out to have particle-free pixels found",
            )


def _holds_pixels(region: list[int]) -> bool:
    return len(region) == 4 and 0 <= region[0] < region[1] and 0 <= region[2] < region[3]


def refuse_corrections_of_given(options: DensityOptions, numbers: Numbers, where: str) -> None:
    """Refuse what can be done to counts alone where a scan's numbers are transmission or optical density.

    Raises
    ------
    InputError
        with the option that asks for it.
    """
    asked = {
        "i0": options.i0 != "field",
        "detector: dark_counts": options.detector.dark_counts > 0.0,
        "detector: dead_time_us": options.detector.dead_time_us > 0.0,
    }
    for name, wanted in asked.items():
        if wanted:
            raise InputError(
                where=f"{where}, option {name.split(': ')[-1]}",
                problem=f"this cannot be done to {numbers.replace('_', ' ')}: counts are divided by their beam there",
                got=f"input: {numbers}",
                wanted="counts",
                mend=f"Take stages: absorbance: {name} out, or give the scan's counts",
            )


def density_options(survey: Survey, scan_id: str) -> DensityOptions:
    """The options of a scan."""
    return survey.options_of(STAGE_NAME, DensityOptions, scan_id)


def empty_field_of(survey: Survey, scan_id: str) -> str | None:
    """The scan that the incident beam of a wide-field scan is taken from; None for that scan itself, and if none is."""
    options = density_options(survey, scan_id)
    if options.i0 != "scan" or options.i0_scan == scan_id or survey.scans[scan_id].modality != "stxm":
        return None
    return options.i0_scan


def beam_spectrum_of(survey: Survey, scan_id: str) -> Path | None:
    """The file of the incident spectrum of a wide-field scan, None if the campaign names none."""
    references = survey.campaign.references
    if density_options(survey, scan_id).i0 != "file" or references is None or survey.scans[scan_id].modality != "stxm":
        return None
    return references.i0
