"""The unknowns of a reconstruction, which change from iteration to iteration, and which of them are held fixed."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stxmdist.arrays import C64, F32, F64, I32, namespace_of
from stxmdist.errors import InputError
from stxmdist.ptychography.kernels import interpolation, operators

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

NOISE = ("gaussian", "poisson")
"""Likelihoods: of amplitudes that all have the same error, or of counts."""


@dataclass(frozen=True)
class ModelOptions:
    """Which unknowns there are beside the object, and which are held fixed; the same for every engine."""

    n_modes: int = 2
    """Incoherent modes of the probe; modes that the start lacks are made from its strongest one"""
    second_mode_power: float = 0.05
    """Power, as share of the first mode's, that each added mode starts with"""
    modes_from: float = 0.2
    """Share of all iterations after which all modes are there; until then they are added one by one"""
    probe_from: float = 0.1
    """Share of all iterations after which the probe changes; before it is left as it starts"""
    n_variations: int = 0
    """Orthogonal probe relaxation: number of patterns by which the strongest mode may vary from position to position"""
    intensities: bool | None = None
    """Find the intensity of the beam in each frame, relative to its mean; null: of frames whose sums the sample does
    not explain, and of all where the light is unsteady
    """
    background: bool = False
    """Find a background that is the same in every frame"""
    background_smooth_px: float = 1.0
    """Width over which the background is smoothed: frames hardly determine it under the bright field"""
    amplitude_limit: float = 1.3
    """Largest |O|, vacuum being 1: after each iteration larger amplitudes are brought down to it. 0: no limit"""
    total_variation: float = 0.0
    """Weight, in amplitude per pixel, with which after each iteration the object goes to one that varies less: .005 to
    .02 where light is scarce and the sample has flat parts. It smooths halves alike: their agreement then says more
    than they resolve. 0: none
    """
    keep_power: bool = True
    """Hold the power of the probe at the counts of vacuum frames, so that |O| = 1 in vacuum; the object is rescaled"""
    sub_pixel: bool = True
    """Move the probe by the fractions of positions; False rounds positions to whole pixels"""
    freeze_object: bool = False
    """Leave the object as it starts"""
    freeze_probe: bool = False
    """Leave the probe as it starts"""
    raster_to_probe: bool = False
    """Where positions lie on a raster, move a pattern that repeats with its steps from the object to the probe after
    each iteration: frames cannot tell which of the two has it
    """
    divergence: float = 1.5
    """Stop when the error exceeds its smallest value by this factor, and keep the best state"""

    def __post_init__(self) -> None:
        limit = self.amplitude_limit
        refuse_unless(
            self,
            n_modes=(1 <= self.n_modes <= 16, "1 to 16"),
            second_mode_power=(0.0 < self.second_mode_power < 1.0, "between 0 and 1"),
            modes_from=(0.0 <= self.modes_from < 1.0, "0 or more, below 1"),
            probe_from=(0.0 <= self.probe_from < 1.0, "0 or more, below 1"),
            n_variations=(0 <= self.n_variations <= 16, "0 to 16"),
            background_smooth_px=(self.background_smooth_px >= 0.0, "0 or more"),
            amplitude_limit=(limit == 0.0 or limit >= 1.0, "0 or at least 1"),
            total_variation=(0.0 <= self.total_variation <= 1.0, "0 to 1"),
            divergence=(self.divergence > 1.0, "above 1"),
        )


def refuse_unless(options: DataclassInstance, **rules: tuple[bool, str]) -> None:
    """Refuse the first value of an options record that breaks its rule: name=(whether it is kept, what is wanted).

    Raises
    ------
    InputError
        naming the option.
    """
    known = {entry.name for entry in fields(options)}
    for name, (kept, wanted) in rules.items():
        assert name in known
        if not kept:
            raise InputError(
                where=f"{type(options).__name__}.{name}",
                problem="the value makes no sense",
                got=getattr(options, name),
                wanted=wanted,
                mend="Change it",
            )


class Placed(NamedTuple):
    """Positions as the compiled loops want them."""

    corners: I32
    """(POSITION, 2)"""
    fractions: F64
    """(POSITION, 2)"""
    weights: F32
    """(POSITION, 2, TAPS), see ``interpolation.shift_weights``"""
    back: F32
    """(POSITION, 2, BACK_TAPS), see ``interpolation.back_weights``"""
    moved: bool
    """Whether the probe is computed for each position: any of them has a fraction, or the probe varies"""


@dataclass
class State:
    """The unknowns of one tile; arrays are replaced or changed in place by engines and refinements.

    Object, probe, background and variations lie where the passes run, see ``Sweep.adopt``; the others in numpy's.
    """

    object_: C64
    """(Y, X)"""
    probe: C64
    """(MODE, QY + 2 PAD_ROWS, QX + 2 PAD): with the margins of ``fourier``, always zero"""
    positions_px: F64
    """(POSITION, 2) first pixel of each window"""
    intensity: F32
    """(POSITION,) intensity of the beam relative to its mean"""
    background: F32
    """(QY, QX) counts, zero frequency at [0, 0]"""
    variations: C64
    """(VARIATION, QY + 2 PAD_ROWS, QX + 2 PAD)"""
    shares: F32
    """(POSITION, VARIATION) how much of each variation is added to the strongest mode"""
    error: float = np.inf
    """Amplitude residual of the last iteration"""
    sub_pixel: bool = True
    placed: Placed = field(init=False)

    def __post_init__(self) -> None:
        self.place(self.positions_px)

    def place(self, positions_px: F64) -> None:
        """Take other positions."""
        self.positions_px = positions_px if self.sub_pixel else np.round(positions_px)
        corners, fractions = operators.split_positions(self.positions_px)
        self.placed = Placed(
            corners=corners,
            fractions=fractions,
            weights=interpolation.shift_weights(fractions),
            back=interpolation.back_weights(fractions),
            moved=bool(fractions.any()) or len(self.variations) > 0,
        )

    def copy(self) -> State:
        """A state that shares no array with this one but those of ``placed``, which are never changed in place."""
        other = copy(self)
        for entry in ("object_", "probe", "positions_px", "intensity", "background", "variations", "shares"):
            setattr(other, entry, getattr(self, entry).copy())
        return other

    @property
    def finite(self) -> bool:
        """Whether error, object and probe are all finite."""
        xp = namespace_of(self.object_)
        return bool(np.isfinite(self.error) and xp.isfinite(self.object_).all() and xp.isfinite(self.probe).all())
