"""What a reader returns: one acquisition, described in full and read piece by piece."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stxmdist.arrays import C64, F32, F64, U8, Array, Mask, MaskClass
from stxmdist.errors import UnsupportedError
from stxmdist.records import Json

LEAST_OF_ABORTED = 3
"""Fewer energies of a scan most of whose frames are missing cannot be fitted with any check of the fit"""


@dataclass(frozen=True)
class StxmRecording:
    """A wide-field scan: an image of counts at each photon energy; rows grow with y, columns with x, energies rise."""

    source: Path
    format: str
    region: str
    """Which region of a multi-region file, empty if there is one."""
    energy_ev: F64
    """(ENERGY,) float64"""
    y_um: F64
    """(Y,) float64, ascending"""
    x_um: F64
    """(X,) float64, ascending"""
    dwell_ms: F64
    """(ENERGY,) float64, NaN where the file does not say"""
    ring_current_ma: F64
    """(ENERGY,) float64, NaN where the file does not say"""
    frame_class: U8
    """(ENERGY,) stxmdist.arrays.MaskClass: valid, or missing for frames that were never written"""
    read: Callable[[int], F32]
    """Energy index to counts (Y, X) float32; NaN for a missing frame"""
    files: tuple[Path, ...]
    """Every file that belongs to the acquisition"""
    start_time: str = ""
    lacks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What was corrected on reading or is unusual, such as descending axes and repeated energies"""
    outer_zone_nm: float = float("nan")
    """Width of the outermost zone of the microscope's zone plate, NaN where the file does not say"""

    @property
    def measured(self) -> Mask:
        """(ENERGY,) the energies whose frame was measured, whole or in part."""
        return np.asarray(self.frame_class == MaskClass.valid, dtype=np.bool_)

    @property
    def aborted(self) -> bool:
        """Whether so few of the frames were measured that their energies are an accident and no choice."""
        there = int(self.measured.sum())
        return there < LEAST_OF_ABORTED and 2 * there < len(self.energy_ev)


@dataclass(frozen=True)
class PtychographyRecording:
    """Far-field diffraction frames over scan positions at one or several photon energies.

    Frames are brought to one orientation: rows grow with y of the sample, columns with x, zero frequency at the
    centre (index n // 2). Positions are where the beam meets the sample, that is minus the sample's motion.
    """

    source: Path
    format: str
    energy_ev: F64
    """(ENERGY,) float64, ascending"""
    positions_um: F64
    """(ENERGY, POSITION, 2) float64, (y, x) of the beam on the sample"""
    frame_shape: tuple[int, int]
    frame_dtype: np.dtype[np.generic]
    good: Mask
    """(QY, QX) detector pixels that may be used"""
    distance_m: float
    detector_pixel_um: tuple[float, float]
    """(y, x)"""
    illumination: C64 | None
    """(MODE, QY, QX) start of the probe, if the file has one"""
    read: Callable[[int, slice], Array]
    """Energy index and slice of positions to frames (n, QY, QX) in the file's integer type"""
    files: tuple[Path, ...]
    region: str = ""
    """Which region of a file of several, empty if there is one."""
    dwell_ms: float = float("nan")
    orientation: str = ""
    """How rows and columns of the file were mapped onto y and x, in words"""
    start_time: str = ""
    lacks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


Recording = StxmRecording | PtychographyRecording


def refuse_no_image(recording: Recording) -> None:
    """Refuse what can be read and shows no particle: whoever asks whether a file can be processed asks this.

    Raises
    ------
    UnsupportedError
        for point spectra and line scans.
    """
    if not isinstance(recording, StxmRecording) or min(len(recording.y_um), len(recording.x_um)) > 1:
        return
    point = len(recording.y_um) == len(recording.x_um) == 1
    raise UnsupportedError(
        where=recording.source,
        problem=f"a {'point spectrum' if point else 'line scan'} shows no whole particles and is not processed",
        got=f"{len(recording.y_um)} x {len(recording.x_um)} pixels",
        wanted="an image stack, or images of one field",
        mend="Exclude it; its numbers, as a text file of two columns, can be a spectrum under references",
    )


Facts = dict[str, Json]
"""Shape, energies, pixel size, dwell, counts range ... by names that carry the units."""


@dataclass(frozen=True)
class Description:
    """What a file holds, in words and numbers; made from its metadata and, where asked, a look at its values."""

    source: Path
    format: str
    """Name of the reader, e.g. ``sdf``"""
    kind: str
    """``image stack``, ``image``, ``line scan``, ``focus scan``, ``point spectrum``, ``ptychography`` ..."""
    usable: bool
    """Whether it can be processed; if not, ``refusal`` says why."""
    refusal: str = ""
    energies_ev: tuple[float, float] | None = None
    """Lowest and highest photon energy (of the first region), None where the file does not say"""
    facts: Facts = field(default_factory=dict)
    lacks: tuple[str, ...] = ()
    """What the format allows and this file does not say."""
    recordings: tuple[Recording, ...] = ()
    """The acquisitions, one per region; none where the file cannot be read"""


def roles_of(files: Sequence[Path]) -> list[str]:
    """How the name of each file goes on after that of the first one, as in ``_a003.xim``: it says which frame it holds.

    Empty for the first, and for files of other names. A scan that is renamed or moved as a whole remains what it was.
    """
    stem = files[0].stem
    return ["" if path == files[0] or not path.name.startswith(stem) else path.name[len(stem) :] for path in files]
