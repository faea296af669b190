"""What passes in an array library hold of some positions at once, all in its memory but the places."""

from __future__ import annotations

from typing import NamedTuple

from stxmdist.arrays import C64, F32, I32, I64


class Seen(NamedTuple):
    """Some positions (n,) with all that a pass needs of them."""

    which: I64
    corners: I32
    """(n, 2)"""
    weights: tuple[F32, F32] | None
    """(n, TAPS) down and along; None if the probe is not moved"""
    window: C64
    """(n, QY, QX) of the object"""
    light: C64
    """(n, MODE, QY, QX) probe, varied and moved"""
    wave: C64
    """(n, MODE, QY, QX) light times window"""
    counts: F32
    """(n, QY, QX)"""
    gain: F32
    """(n, 1, 1) one over the intensity: counts and background are multiplied by it"""


class Source(NamedTuple):
    """What the light of all positions is made of: the probe, or its coefficients where it is moved."""

    probe: C64
    """(MODE, QY, QX), or (MODE, QY + TAPS - 1, QX + TAPS - 1)"""
    variations: C64
    """(VARIATION, ...)"""


class Added(NamedTuple):
    """Sums over positions while they grow, see ``sweep.Sums``."""

    object_: C64
    """(Y', X)"""
    weight: F32
    """(Y', X)"""
    probe: C64
    """(MODE, QY, QX), or its coefficients"""
    brightness: F32
    """(QY, QX)"""
