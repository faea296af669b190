"""What is added to by noise, estimated with blur undone and without: one number from both."""

import numpy as np

from stxmdist.arrays import F64, compiled

GAIN_DOUBT = 0.25
"""Of what a map that is not sharpened shows, times what blur takes from a wave as long as the particle: shells lose
more, halves less."""


def of_both(sharpened: F64, seen: F64) -> tuple[F64, float]:
    """Values (VIEW,) weighted from those of sharpened maps and of maps as they are seen, and what is doubted of them.

    Sharpening finds every pattern but raises noise; the map as it is has little noise but knows no pattern. Both are
    weighted by their variances, that of the second being ``GAIN_DOUBT`` of it: with many photons the first counts, with
    few the second. The weight is one number for all views, so that what twins show stays what noise adds.
    """
    doubt = GAIN_DOUBT * float(seen[0] - mean_and_sd(seen[1:])[0])
    share = doubt**2 / (doubt**2 + mean_and_sd(sharpened[1:])[1] ** 2 + 1e-300)
    return share * sharpened + (1.0 - share) * seen, (1.0 - share) * doubt


@compiled
def mean_and_sd(twins: F64) -> tuple[float, float]:
    """Mean and standard deviation of what at least two twins (TWIN,) show."""
    mean, squares = 0.0, 0.0
    for one in twins:
        mean += one / twins.size
    for one in twins:
        squares += (one - mean) ** 2
    return mean, np.sqrt(squares / (twins.size - 1))
