"""Text files of two columns in a folder: which of them look like an incident beam, and which like end-members."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.spectra.edges import in_words
from stxmdist.spectra.end_members.spectrum_file import read_spectrum

ENDINGS = frozenset((".txt", ".csv", ".xsp", ".xas", ".t", ".nor", ".xmu"))
FEWEST = 5
"""Fewer lines are no spectrum"""
LARGEST_BYTES = 2_000_000
X_RAYS_EV = (40.0, 20_000.0)
COUNTS = 10.0
"""An incident beam is counted; no reference sample has an optical density above this"""
LEAST_STEP = 0.5
"""By so much of its largest value an end-member rises at its edge"""

Role = Literal["i0", "discharged", "charged", "end-member"]

_DISCHARGED = re.compile(r"reduced|discharg|(?<!de)lithiat|lifepo|lfp|fe\W?(2|ii)(?!i)", re.IGNORECASE)
_CHARGED = re.compile(r"oxidi[sz]|(?<!dis)charg|delithiat|(?<!l)fp\b|(?<!li)fepo|fe\W?(3|iii)", re.IGNORECASE)


@dataclass(frozen=True)
class FoundSpectrum:
    """A file of two columns, and what it may stand for under ``references``."""

    file: Path
    """Relative to the folder"""
    role: Role
    why: str
    span_ev: tuple[float, float] = (0.0, 0.0)
    """Lowest and highest photon energy"""


def find_spectra(folder: Path, files: Iterable[Path]) -> list[FoundSpectrum]:
    """The spectra among some files; what is no two columns of numbers is passed over."""
    found = []
    for path in files:
        if path.suffix.lower() not in ENDINGS or path.stat().st_size > LARGEST_BYTES:
            continue
        try:
            energy_ev, value = read_spectrum(path)
        except InputError:
            continue
        said = role_of(energy_ev, value, path.stem)
        if said is not None:
            span_ev = (float(energy_ev.min()), float(energy_ev.max()))
            found.append(FoundSpectrum(path.relative_to(folder), *said, span_ev))
    return found


def role_of(energy_ev: F64, value: F64, name: str) -> tuple[Role, str] | None:
    """What a spectrum (ENERGY,) may stand for, and why; None where it is neither beam nor end-member.

    A beam is positive throughout and counted; an end-member is an optical density that rises at an edge. Which
    end-member it is only the name of the file can say.
    """
    low, high = X_RAYS_EV
    if len(energy_ev) < FEWEST or energy_ev.min() < low or energy_ev.max() > high or not np.isfinite(value).all():
        return None
    span = f"{in_words(energy_ev)}, values {value.min():.4g} to {value.max():.4g}"
    if value.min() > 0.0 and np.median(value) > COUNTS:
        return "i0", f"counts, positive throughout: {span}"
    if value.max() > COUNTS or np.ptp(value) < LEAST_STEP * np.abs(value).max():
        return None
    why = f"optical densities with an edge: {span}"
    if _DISCHARGED.search(name):
        return "discharged", f"{why}; which state it is, its name says"
    if _CHARGED.search(name):
        return "charged", f"{why}; which state it is, its name says"
    return "end-member", f"{why}; which state it is, nothing says"
