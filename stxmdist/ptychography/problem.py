"""What a reconstruction is given and what it returns: arrays in pixels, without files and physical units."""

from dataclasses import dataclass, replace

import numpy as np

from stxmdist.arrays import C64, F32, F64, Array, Index, Mask
from stxmdist.errors import InputError
from stxmdist.ptychography.noise import PHOTONS, CountModel


@dataclass(frozen=True)
class Problem:
    """Diffraction frames of one tile at one photon energy, where they were taken, and where to start.

    The model: frame j counts ``sum over MODE of |FT(P_m(r - x_j) O(r))|^2``, FT unitary with exp(-2 pi i), so that
    ``sum |P|^2`` is the number of counts of a frame through vacuum.
    """

    frames: Array
    """(POSITION, QY, QX) photons, integer or float, zero frequency at the centre (index n // 2)"""
    good: Mask
    """(QY, QX) detector pixels that may be used; at others the model is kept"""
    positions_px: F64
    """(POSITION, 2) [row, column] of the window's first pixel in the object, with fractions of a pixel"""
    probe: C64
    """(MODE, QY, QX) complex64 start of the probe; its power need not be right"""
    object_shape: tuple[int, int]
    """(Y, X) pixels of the object; ``floor(position) + window + 1`` must fit where positions have fractions"""
    object0: C64 | None = None
    """(Y, X) complex64 start of the object; vacuum (ones) if absent"""
    at_least: Mask | None = None
    """(POSITION, QY, QX) photons that are known as the least that there can be: all that a saturated pixel tells, or 0
    where a pixel tells nothing. None: all are known
    """
    light: F64 | None = None
    """(POSITION,) of each frame against that of its neighbours, exactly 1 where the sample explains its sum: where the
    search begins. None: the same for all
    """
    readings: CountModel = PHOTONS
    """What the detector's readings meant before they were photons, and how noisy they are"""

    def subset(self, index: Index) -> "Problem":
        """The same problem with some of its positions, e.g. one half for a Fourier ring correlation."""
        at_least = None if self.at_least is None else self.at_least[index]
        light = None if self.light is None else self.light[index]
        return replace(
            self, frames=self.frames[index], positions_px=self.positions_px[index], at_least=at_least, light=light
        )


@dataclass(frozen=True)
class Reconstruction:
    """The best state of a reconstruction."""

    object_: C64
    """(Y, X) complex64 transmission function; vacuum has amplitude 1, as well as the counts of the frames tell"""
    probe: C64
    """(MODE, QY, QX) complex64, orthogonal modes, strongest first; sum of squares = counts per vacuum frame"""
    positions_px: F64
    """(POSITION, 2) [row, column] as used at the end"""
    error: F32
    """(ITERATION,) amplitude residual sqrt(sum (|F| - sqrt I)^2 / sum I), each frame taken just before its update"""
    residual: float
    """The same of the returned state, with one and the same object and probe for all frames"""
    illumination: F32
    """(Y, X) counts that fell on each object pixel: sum over POSITION and MODE of |P|^2; 0 outside all windows"""
    mode_power: F64
    """(MODE,) share of each mode in the probe's power, descending, sum 1"""
    intensity: F32
    """(POSITION,) of the light relative to its mean"""
    background: F32
    """(QY, QX) counts that every frame has in addition to the object's, zero frequency at the centre"""
    variations: C64
    """(VARIATION, QY, QX) patterns by which the strongest mode varies from position to position"""
    shares: F32
    """(POSITION, VARIATION) how much of each pattern"""
    affine: F64
    """(2, 2) linear map by which refined positions differ from those given, also where it was removed from them"""
    held_share: float
    """Share of the scanned area whose amplitude is held at the model's limit; 0 without one"""
    stopped: str
    """``finished``, ``diverged`` (the best state is returned) or ``not finite`` (the last finite state is returned)"""
    gaining: bool = False
    """Whether errors above the noise still fell when the schedule, which follows them, had to end"""
    schedule: str = ""
    """Engines with their iterations, and why there were more or fewer than planned, in words"""


def check(problem: Problem, where: str = "ptychography problem") -> None:
    """Refuse a problem that no engine can work on.

    Raises
    ------
    InputError
        for shapes that disagree, windows outside the object, positions all equal, frames without counts or with NaN.
    """
    frames, probe, positions = problem.frames, problem.probe, problem.positions_px

    def refuse(problem_: str, got: object, wanted: object, mend: str) -> None:
        raise InputError(where=where, problem=problem_, got=got, wanted=wanted, mend=mend)

    if frames.ndim != 3 or frames.shape[0] == 0:
        refuse("frames are not a series of images", frames.shape, "(POSITION, QY, QX)", "Give at least one frame")
    if positions.shape != (frames.shape[0], 2):
        refuse(
            "frames and positions disagree in number",
            f"{frames.shape[0]} frames, positions {positions.shape}",
            f"({frames.shape[0]}, 2)",
            "Leave out the frames without a position, or the positions without a frame",
        )
    if probe.ndim != 3 or probe.shape[1:] != frames.shape[1:]:
        refuse(
            "probe and frames disagree in shape",
            probe.shape,
            f"(MODE, {frames.shape[1]}, {frames.shape[2]})",
            "Crop or pad the probe",
        )
    if problem.good.shape != frames.shape[1:]:
        refuse(
            "detector mask and frames disagree in shape",
            problem.good.shape,
            frames.shape[1:],
            "Crop the mask as the frames",
        )
    if not problem.good.any():
        refuse(
            "no detector pixel is good",
            0,
            "at least one",
            "In CXI masks 0 means good: check whether the polarity is reversed",
        )
    if problem.at_least is not None and problem.at_least.shape != frames.shape:
        refuse("limits and frames disagree in shape", problem.at_least.shape, frames.shape, "Crop both alike")
    if not np.isfinite(positions).all():
        refuse(
            "positions are not finite", int((~np.isfinite(positions)).sum()), "finite numbers", "Leave those frames out"
        )
    if frames.shape[0] > 1 and np.ptp(positions, axis=0).max() == 0.0:
        refuse("all positions are equal", positions[0].tolist(), "a scan", "Look at the unit of the positions")
    low = np.floor(positions).min(axis=0)
    high = np.ceil(positions).max(axis=0) + np.array(frames.shape[1:])
    if (low < 0).any() or (high > np.array(problem.object_shape)).any():
        refuse(
            "windows lie outside the object",
            f"{low.tolist()} to {high.tolist()}",
            problem.object_shape,
            "Make the object larger",
        )
    if problem.object0 is not None and problem.object0.shape != problem.object_shape:
        refuse("the start of the object has another shape", problem.object0.shape, problem.object_shape, "Resample it")
    if not np.isfinite(probe).all() or not np.abs(probe).max() > 0.0:
        refuse(
            "the start of the probe is empty or not finite",
            "zeros or NaN",
            "finite numbers, not all zero",
            "Give another start",
        )
    _check_counts(problem, where)


def _check_counts(problem: Problem, where: str) -> None:
    # Frame by frame: a scan may be most of what memory holds.
    brightest = 0.0
    for number, frame in enumerate(problem.frames):
        values = frame[problem.good]
        if not np.isfinite(values).all():
            raise InputError(
                where=f"{where}, frame {number}",
                problem="the frame is not finite on good pixels",
                got="NaN or infinity",
                wanted="counts",
                mend="Leave the frame out or mask the pixels",
            )
        brightest = max(brightest, float(values.max()))
    if brightest <= 0.0:
        raise InputError(
            where=where,
            problem="frames hold no counts on good pixels",
            got=brightest,
            wanted="more than 0",
            mend="Check whether the shutter was open",
        )
