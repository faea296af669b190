"""Which particles statistics rest on, and how many are left out for which reason."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stxmdist.arrays import Mask


@dataclass(frozen=True)
class LeftOut:
    """Particles of one scan that statistics leave out for one reason."""

    scan_id: str
    reason: str
    n: int


def has_flag(particles: pd.DataFrame, flag: str) -> Mask:
    """(PARTICLE,) whether a flag stands among each particle's."""
    if "flags" not in particles.columns:
        return np.zeros(len(particles), dtype=bool)
    found, values = pd.factorize(particles["flags"], use_na_sentinel=True)
    # Few combinations of flags stand for many particles.
    carries = [flag in {part.strip() for part in str(words).split(";")} for words in values]
    return np.asarray(np.array([*carries, False], dtype=bool)[found])


def kept_particles(
    particles: pd.DataFrame, *, drop_at_border: bool, drop_flags: Sequence[str]
) -> tuple[pd.DataFrame, list[LeftOut]]:
    """The particles that take part in statistics, and those that do not, counted by scan and reason.

    Parameters
    ----------
    drop_at_border
        leave out what the field of view cuts
    drop_flags
        leave out particles that carry any of these words; one that carries two is counted for the first
    """
    keep = np.ones(len(particles), dtype=bool)
    left: list[LeftOut] = []
    reasons = [(flag, has_flag(particles, flag)) for flag in drop_flags]
    if drop_at_border and len(particles):
        reasons.insert(0, (CUT, particles["touches_border"].fillna(False).to_numpy(dtype=bool)))
    for reason, carries in reasons:
        dropped = particles.loc[keep & carries, "scan_id"].value_counts().sort_index()
        left += [LeftOut(str(scan_id), reason, int(count)) for scan_id, count in dropped.items()]
        keep &= ~carries
    return particles[keep], left


CUT = "cut by the edge of the field of view"
