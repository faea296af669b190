"""Whether a reconstruction can be trusted: the evidence, its limits, and a verdict with its reason.

Limits are calibrated on scans spoilt in many ways, see tests/ptychography/test_calibration.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from stxmdist.arrays import Array, Mask
from stxmdist.ptychography.noise import root_variance

Word: TypeAlias = Literal["good", "poor", "failed"]
VERDICTS: tuple[Word, ...] = get_args(Word)
"""In the order of the codes that the store keeps."""

UNEXPLAINED = 0.12
"""Share of the frames' own variation that a good object may leave: sound scans leave up to .05, measured ones too;
detectors mirrored, distances and orders that are wrong .15 and more
"""
UNPREDICTED = 0.15
"""The same of frames that were held out. Sound scans leave up to .1, wrong objects .2 to 1.5: what is right of an
object holds for frames that it never saw, what was bent to fit does not
"""
LITTLE = 0.02
"""A residual beyond noise of this is little: probes are known no better. Where an object is weak that is much of what
varies, and ``WEAK`` stands in the place of both limits
"""
EXPLAINED = 0.02
"""Where the frames leave less than this share, ``WEAK`` stands for frames held out too: of scans of few frames or wide
steps, halves know less than the whole does
"""
WEAK = 0.35
FOREIGN = 0.4
"""From this share on, frames do not belong to their positions: too much for a model that is only inexact"""
VARIATION = 1.05
"""Frames that differ from their mean by less than this many times the noise show no object"""
UNREAL = 0.7
"""Residuals below this share of what noise must leave say that counts are not photons: noise is not known then"""
POOR_HALF_PERIOD_PX = 8.0
"""Half-period of the half-bit limit, in pixels, from which there is no image worth the name."""
CUT_OFF = 0.06
"""Share of the probe's power at the rim of its window from which the beam is cut off by it, or is none: evenly spread
light has .19 there, a beam that fits .02
"""
STRETCH = 0.03
"""Scale or shear that corrections of positions have in common: refinement alone wanders by up to .02, and stages are
better than this, so one of distance, energy, detector pixel and positions is wrong
"""
MOTION_STEPS = 1.25
"""Of a beam that the model holds at rest: objects of scans that fly over one step are right (correlations of .98 and
more with the truth), over two they are not (.89 to .95), whatever their residual
"""


@dataclass(frozen=True)
class Verdict:
    """Whether a tile can be trusted, and why not."""

    word: Word
    reason: str = ""


def shot_noise_residual(frames: Array, good: Mask, readout: float = 0.0, at_least: Mask | None = None) -> float:
    """Amplitude residual sqrt(sum (sqrt I - sqrt M)^2 / sum I) that shot noise and read-out noise leave over.

    The mean of each pixel is taken over all frames (POSITION, QY, QX) in photons; its root varies by
    ``noise.root_variance``. ``readout`` is the standard deviation of a reading without light, in photons; readings that
    are known as limits ``at_least`` (POSITION, QY, QX) leave nothing over.
    """
    mean = frames.mean(axis=0, dtype=np.float64)[good]
    total, known = float(np.maximum(mean, 0.0).sum()), np.ones_like(mean)
    if at_least is not None:
        known = 1.0 - at_least.mean(axis=0)[good]
        mean = np.where(at_least, 0, frames).mean(axis=0, dtype=np.float64)[good] / np.maximum(known, 1e-9)
    return float(np.sqrt((known * root_variance(mean, readout)).sum() / total)) if total > 0.0 else float("nan")


@dataclass(frozen=True)
class Evidence:
    """What speaks for and against a reconstruction; NaN is not known and speaks for nothing."""

    stopped: str
    """As in ``problem.Reconstruction``"""
    residual: float
    """Amplitude residual sqrt(sum (sqrt M - sqrt I)^2 / sum I) of all frames"""
    noise_residual: float
    """What noise alone would leave over"""
    static_residual: float = float("nan")
    """What one and the same amplitude for all frames leaves over: noise, and all that the object makes vary"""
    held_out_residual: float = float("nan")
    """Of frames that the reconstruction did not see"""
    half_period_px: float = 1.0
    """At which the ring correlation of two halves falls below the half-bit threshold; NaN where it never exceeds it"""
    clipped_share: float = 0.0
    """Of the probe's power, at the rim of its window"""
    stretch: float = 0.0
    """Largest scale or shear of the linear map that corrections of positions have in common"""
    motion_steps: float = 0.0
    """By how many steps of the scan the beam moved while a frame was taken, and the model does not; 0: not known"""

    @property
    def noise(self) -> float:
        """The residual of noise. Not known where frames fit better than it allows, and may be all that is left."""
        return self.noise_residual if self.residual > UNREAL * self.noise_residual else self.residual

    @property
    def unexplained(self) -> float:
        """Share of the frames' own variation that is left over; NaN where they vary by chance alone."""
        return self._share(self.residual)

    @property
    def unpredicted(self) -> float:
        """The same of held-out frames: 1 is no better than the mean frame."""
        return self._share(self.held_out_residual)

    def _share(self, residual: float) -> float:
        varied = self.static_residual**2 - self.noise**2
        return (residual**2 - self.noise**2) / varied if varied > 0.0 else float("nan")

    def beyond_noise(self, residual: float) -> float:
        """What a residual leaves beyond noise."""
        return float(np.sqrt(max(0.0, residual**2 - self.noise**2)))


def verdict(evidence: Evidence) -> Verdict:
    """Judge a finished reconstruction: the first criterion that speaks against it is its reason, with what to do."""
    if evidence.stopped == "not finite" or not np.isfinite(evidence.residual):
        return Verdict("failed", "the reconstruction broke off with numbers that are not finite")
    for reason in _against(evidence):
        return Verdict("poor", reason)
    return Verdict("good")


def _against(found: Evidence) -> Iterator[str]:
    residual, noise = found.residual, found.noise_residual
    seen = f"residual {residual:.3f}, noise alone {noise:.3f}"
    if found.stopped == "diverged":
        yield "the error rose again; the best state was kept"
    if found.static_residual < VARIATION * found.noise:
        yield "frames differ from each other by noise alone: no object is seen; look at the shutter and at the field"
    if found.motion_steps > MOTION_STEPS:
        yield (
            f"the beam moved by {found.motion_steps:.1f} steps while a frame was taken (continuous motion), and the "
            "model holds it at rest: measure with shorter dwells, or with a stage that stops at each position; or "
            "allow modes of the probe (model: n_modes: 2 or more, freeze_probe: false), which follow it in enough light"
        )
    for share, left, limit, what in (
        (found.unpredicted, found.held_out_residual, UNPREDICTED, "of frames held out"),
        (found.unexplained, residual, UNEXPLAINED, "of the frames"),
    ):
        strict = found.beyond_noise(left) > LITTLE and not found.unexplained < EXPLAINED
        if share > (limit if strict else WEAK):
            first = "orientation, order and unit of positions, " if share > FOREIGN else ""
            yield (
                f"{share:.0%} of what varies from frame to frame {what} is not explained ({seen}): look at {first}"
                "distance, energy, dim frames, dark and bad pixels"
            )
    if found.stretch > STRETCH:
        yield (
            f"positions had to be scaled or sheared by {found.stretch:.1%} to fit the frames: distance, "
            "energy, detector pixel or the calibration of the stage is wrong, and with it the scale of the image"
        )
    if found.clipped_share > CUT_OFF:
        yield (
            f"{found.clipped_share:.0%} of the probe's power lie at the rim of its window: bin the detector less, "
            "bring the sample nearer to the focus, or mask hot pixels"
        )
    if not found.half_period_px < POOR_HALF_PERIOD_PX:
        yield f"its halves agree to a half-period of {found.half_period_px:.1f} px only: more light or overlap"
