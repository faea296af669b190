"""How long the last engine of a schedule goes on: its errors beside what noise alone leaves over tell.

The first half of a step moves fast, in the second half steps shrink, which averages over frames. Where the first half
ends is what is decided here, from the errors so far alone: a reconstruction that was interrupted decides alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from stxmdist.ptychography.state import refuse_unless

Reason: TypeAlias = Literal["as planned", "sooner, at the noise", "longer, while it gained", "still gaining"]

NEAR = 1.25
"""Errors below this many times what noise leaves are at the noise: full steps scatter by a tenth about where small ones
end
"""
EARLY_SPAN, EARLY_GAIN = 3, 0.03
"""At the noise no more is gained if the error of so many passes is not lower by this share than that of those before"""
LATE_SPAN, LATE_GAIN = 4, 0.03
"""The same above the noise. From a bad start the error often stands nearly still for ten passes, then falls"""
LEAST = 8
"""Passes before the first half may end. Steps of fewer than twice as many are as they are given"""


@dataclass(frozen=True)
class Adaptation:
    """Whether and how far the schedule follows what its errors say."""

    adapt: bool = True
    """Let the last engine go on while it gains above the noise, and try another engine and another start where frames
    are not explained; false: the schedule as it is given
    """
    sooner: bool = False
    """Let the last engine end before its time where errors are at the noise and hardly fall: time for detail, because
    what is finest in an object is found last and changes errors least
    """
    longest: float = 3.0
    """Passes of the last engine, at most, over those planned"""
    switches: int = 2
    """How often another engine or start is tried, at most"""

    def __post_init__(self) -> None:
        refuse_unless(
            self,
            longest=(1.0 <= self.longest <= 20.0, "1 to 20"),
            switches=(self.switches >= 0, "0 or more"),
        )


AS_GIVEN = Adaptation(adapt=False, longest=1.0, switches=0)


@dataclass(frozen=True)
class Length:
    """Of a step that adapts, in passes."""

    first: int
    """Half, at full steps"""
    second: int
    """Half, in which steps shrink"""
    reason: Reason

    @property
    def passes(self) -> int:
        """All of them."""
        return self.first + self.second

    def share(self, done: int) -> float:
        """Share of the step after so many passes, of which the last belongs to the second half."""
        return 0.5 + 0.5 * (done - self.first) / self.second


def length_of(
    errors: Sequence[float], planned: int, noise: float, longest: float, *, sooner: bool = False
) -> Length | None:
    """How long a step takes, by the errors of its passes so far; None as long as its first half goes on.

    Parameters
    ----------
    planned
        passes
    noise
        amplitude residual that noise alone leaves over
    longest
        of all passes, at most, over those planned
    sooner
        whether it may end before its time
    """
    half = planned // 2
    second = planned - half
    most = max(half, int(longest * planned) - second)
    for done in range(min(LEAST, half), min(len(errors), most) + 1):
        near = errors[done - 1] <= NEAR * noise
        if done < half:
            if sooner and near and not gains(errors[:done], EARLY_SPAN, EARLY_GAIN):
                return Length(done, min(done, second), "sooner, at the noise")
        elif near or not gains(errors[:done], LATE_SPAN, LATE_GAIN):
            return Length(done, second, "as planned" if done == half else "longer, while it gained")
        elif done == most:
            return Length(done, second, "still gaining")
    return None


def gains(errors: Sequence[float], span: int, share: float) -> bool:
    """Whether the mean of the last ``span`` errors is below that of those before by more than a share of it."""
    if len(errors) < 2 * span:
        return True
    last, before = np.mean(errors[-span:]), np.mean(errors[-2 * span : -span])
    return bool(last < (1.0 - share) * before)
