"""What compiled loops are given, in records of arrays that belong together.

Complex arrays enter as float32 views with real and imaginary parts interleaved along the last axis: the compiler
vectorises those, not complex numbers. Waves and probes lie in padded memory (``fourier.PAD`` pixels of zeros before and
after each row, ``fourier.PAD_ROWS`` rows above and below): the sub-pixel shift reads beyond the window there, and rows
of a power of two pixels would fall on the same cache lines.
"""

from typing import NamedTuple

from stxmdist.arrays import F32, I32, Array


class Light(NamedTuple):
    """The probe, and its variation from position to position."""

    probe: F32
    """(MODE, QY + 2 PAD_ROWS, 2 (QX + 2 PAD)); its coefficients, see ``interpolation``, where windows are moved"""
    vary: F32
    """(VARIATION, QY + 2 PAD_ROWS, 2 (QX + 2 PAD)) patterns by which the strongest mode varies, likewise"""
    shares: F32
    """(POSITION, VARIATION) how much of each pattern is added at a position"""


class Windows(NamedTuple):
    """Where each position's window lies in the object."""

    corners: I32
    """(POSITION, 2) first row and column"""
    weights: F32
    """(POSITION, 2, TAPS) that move the probe by a fraction of a pixel, see ``interpolation.shift_weights``"""
    back: F32
    """(POSITION, 2, BACK_TAPS) ``interpolation.back_weights``"""
    moved: bool
    """Whether the probe is moved at any position, by a fraction of a pixel, or varies"""


class Detector(NamedTuple):
    """The frames, and how counts follow from intensities."""

    frames: Array
    """(POSITION, QY, QX) counts, zero frequency at [0, 0]"""
    good: F32
    """(QY or 1, QX) 1 for pixels that may be used, 0 for others; one row stands for all where they are alike, and stays
    in the first-level cache
    """
    background: F32
    """(QY or 1, QX) counts; likewise"""
    gain: F32
    """(POSITION,) one over the intensity of the beam relative to its mean; it multiplies counts and background"""


class Buffers(NamedTuple):
    """Scratch memory of one lane."""

    psi: F32
    """(MODE, QY + 2 PAD_ROWS, 2 (QX + 2 PAD)) waves of one position; margins are zero and stay so"""
    shifted: F32
    """The same of the probe moved by a fraction of a pixel; margins are zero and stay so"""
    combined: F32
    """The same of the probe with its variation"""
    between: F32
    """(2, 2 (QX + 2 PAD) + 32) rows between both passes of the interpolation"""
    lines: F32
    """(4, 2 QX or more) sums along a row"""


class LaneSums(NamedTuple):
    """What the positions of one lane ask of object and probe, added up."""

    numerators: F32
    """(LANE, Y, 2 X) sum of conj(P) d, of all lanes; see ``lane`` and ``border``"""
    weights: F32
    """(LANE, Y, X) sum of |P|^2, likewise"""
    lane: int
    """This lane's number"""
    border: int
    """Rows from here on no lane before this one reaches: they are added to those of lane 0, others to the own"""
    brightness: F32
    """(QY, QX) sum of |O|^2"""
    probe: F32
    """(MODE, QY + 2 PAD_ROWS, 2 (QX + 2 PAD)) what the probe is asked to change by, or its coefficients"""
