"""What is added to by noise, estimated with blur undone and without: one number from both."""

from stxmdist.arrays import F64

GAIN_DOUBT = 0.25
"""Of what a map that is not sharpened shows, times what blur takes from a wave as long as the particle: shells lose
more, halves less."""


def of_both(sharpened: F64, seen: F64) -> tuple[F64, float]:
    """Values (VIEW,) weighted from those of sharpened maps and of maps as they are seen, and what is doubted of them.

    Sharpening finds every pattern but raises noise; the map as it is has little noise but knows no pattern. Both are
    weighted by their variances, that of the second being ``GAIN_DOUBT`` of it: with many photons the first counts, with
    few the second. The weight is one number for all views, so that what twins show stays what noise adds.
    """
    doubt = GAIN_DOUBT * float(seen[0] - seen[1:].mean())
    share = doubt**2 / (doubt**2 + float(sharpened[1:].var(ddof=1)) + 1e-300)
    return share * sharpened + (1.0 - share) * seen, (1.0 - share) * doubt
