"""What the numbers of a stack of images are: counts, or what somebody has made of them already."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F32, MaskClass
from stxmdist.errors import InputError
from stxmdist.measures import Numbers
from stxmdist.readers.recording import StxmRecording

MOST_WITHOUT_COUNT = 1.0 / 3.0
"""With more pixels than this share that hold no positive number, a stack is not one of counts"""
LARGEST_DENSITY = 3.0
"""Optical densities and transmissions lie below this, but for some pixels of noise"""
ABOUT_ONE = (0.8, 1.25)
"""Where the bright part of a frame of transmission lies, at any energy"""
ABOUT_ZERO = 0.05
"""A larger share of the pixels lies below zero in a stack of optical density: noise about zero, beside particles"""
LOOKED_AT = 3
"""So many images tell before a run what all of them will"""
WORTH_A_WORD = 0.05
"""From this share of pixels without a positive count on it is said"""
LARGEST_GIVEN = 20.0
"""No optical density and no transmission that anybody saves is as large as this"""


@dataclass(frozen=True)
class NumbersKind:
    """What the numbers of a stack seem to be."""

    kind: Numbers
    said: str
    """What that rests on, in words and figures"""
    without_count: float = 0.0
    """Share of the measured pixels that hold no positive number"""
    largest: float = 0.0
    """99 % of the numbers lie below"""


def what_numbers_are(images: F32) -> NumbersKind:
    """Judge the numbers of some images (ENERGY, Y, X) of a stack, NaN where not measured.

    Counts are whole, or large, or a signal whose bright level changes with the beam from energy to energy. Optical
    density lies about zero beside particles, transmission about one at every energy; both are small and broken.
    """
    known = images[np.isfinite(images)]
    if not known.size:
        return NumbersKind("counts", "no number was measured", 0.0)
    whole = bool((known == np.round(known)).all())
    without, below = float((known <= 0).mean()), float((known < 0).mean())
    largest = float(np.percentile(known, 99.0))
    said = (
        f"{without:.0%} of the pixels hold no positive number, {'all' if whole else 'not all'} are whole, "
        f"99 % lie below {largest:.3g}"
    )
    if below > MOST_WITHOUT_COUNT or (not whole and without > MOST_WITHOUT_COUNT):
        return NumbersKind("optical_density", said, without, largest)
    if whole or largest >= LARGEST_DENSITY:
        return NumbersKind("counts", said, without, largest)
    if below > ABOUT_ZERO:
        return NumbersKind("optical_density", said, without, largest)
    bright = np.array([np.nanpercentile(image, 90.0) for image in images if np.isfinite(image).any()])
    if len(bright) > 1 and ((bright > ABOUT_ONE[0]) & (bright < ABOUT_ONE[1])).mean() > 0.9:
        said += f", the bright part of each image about {np.median(bright):.2f}"
        return NumbersKind("transmission", said, without, largest)
    return NumbersKind("counts", said, without, largest)


def numbers_of(recording: StxmRecording) -> NumbersKind:
    """Judge a wide-field recording by some of its images, without reading all."""
    valid = np.flatnonzero(recording.frame_class == MaskClass.valid)
    some = valid[np.unique(np.linspace(0, len(valid) - 1, min(LOOKED_AT, len(valid))).round().astype(int))]
    images = [recording.read(int(energy)) for energy in some]
    return what_numbers_are(np.stack(images) if images else np.empty((0, 1, 1), np.float32))


def numbers_meant(found: NumbersKind, asked: Numbers | None, where: object) -> Numbers:
    """What the numbers are taken for: what is ``asked`` for, or counts where nothing speaks against it.

    Raises
    ------
    InputError
        where they are no counts and nobody said what they are, or are said to be what they cannot be.
    """
    if asked is None and found.without_count and found.largest < 0.0:
        raise InputError(
            where=where,
            problem="the numbers of this stack are negative, and counts are not",
            got=found.said,
            wanted="photons counted in each pixel",
            mend="Choose another channel (ingest: channel), give the file without its dark level taken off, or exclude "
            "the scan",
        )
    if asked is None and found.kind != "counts":
        raise InputError(
            where=where,
            problem="the numbers of this stack do not look like counts",
            got=f"{found.said}: {found.kind.replace('_', ' ')}, as it seems",
            wanted="photons counted in each pixel, or a word that they are something else",
            mend=f"Say what they are in campaign.yaml (stages: absorbance: input: {found.kind}; or transmission, "
            "optical_density, counts), or exclude the scan",
        )
    if asked not in (None, "counts") and found.largest > LARGEST_GIVEN:
        raise InputError(
            where=where,
            problem=f"the numbers of this stack cannot be {asked.replace('_', ' ')}",
            got=found.said,
            wanted=f"numbers about 0 to 1, below {LARGEST_GIVEN:g}",
            mend="Take stages: absorbance: input out, or say it of the scans that it is true of",
        )
    return asked or "counts"


def without_counts(found: NumbersKind) -> tuple[str, ...]:
    """A word where much of a stack of counts holds none; nothing where it does not."""
    if found.kind != "counts" or found.without_count < WORTH_A_WORD:
        return ()
    causes = "too little light, lines that were not scanned, or a dark level that was taken off twice"
    return (f"{found.without_count:.0%} of the pixels hold no positive count: {causes}",)
