"""What a finished campaign says of the spread to expect, and what it cannot say."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from stxmdist.errors import InputError
from stxmdist.heterogeneity.columns import numbers, text
from stxmdist.heterogeneity.design import Spread

UNKNOWN_SD = 0.05
"""What electrodes of one kind may differ by where the pilot does not say: an assumption, said as one"""


@dataclass(frozen=True)
class PilotSpread:
    """The variances of a pilot: at its estimates, and at both ends of what it leaves open."""

    estimate: Spread
    low: Spread
    """Narrowest intervals"""
    high: Spread
    """Widest"""
    unknown: tuple[str, ...]
    """What it cannot know, in sentences; empty if it knows all levels"""


def pilot_spread(variance: pd.DataFrame, endpoint: str = "soc_mean", electrode_sd: float | None = None) -> PilotSpread:
    """Read the components of an endpoint off the table ``variance``.

    Where regions and electrodes cannot be told apart (one region of each electrode), both ends are given: all of it
    between electrodes, and all of it between regions. Of electrodes that there is one of, 0 and ``UNKNOWN_SD``.

    Parameters
    ----------
    electrode_sd
        what electrodes are expected to differ by, instead of what the pilot says

    Raises
    ------
    InputError
        where the table has no such endpoint, or no variance between its particles.
    """
    here = variance[variance["endpoint"] == endpoint] if "endpoint" in variance.columns else variance.iloc[:0]
    values = dict(zip(text(here, "component"), numbers(here, "variance"), strict=True))
    notes = dict(zip(text(here, "component"), text(here, "note"), strict=True))
    if not np.isfinite(values.get("particle", np.nan)):
        endpoints = ", ".join(sorted(set(text(variance, "endpoint")))) or "nothing"
        raise InputError(
            where="table variance",
            problem=f"the campaign says nothing of how particles differ in {endpoint}",
            got=notes.get("particle", "") or f"rows of {endpoints}",
            wanted="a variance between particles",
            mend="Run the campaign until `infer` has at least a few particles with a state of charge",
        )
    electrode, region = values.get("electrode", np.nan), values.get("region", np.nan)
    if electrode_sd is not None:
        one_region = "one region per electrode" in notes.get("region", "")
        # Then all that the pilot has between its electrodes may be regions'.
        region = max(electrode - electrode_sd**2, 0.0) if one_region and np.isfinite(electrode) else region
        electrode, notes = electrode_sd**2, notes | {"region": "" if one_region else notes.get("region", "")}
    noise = values.get("noise", np.nan)
    noise = float(noise) if np.isfinite(noise) else 0.0
    unknown = []
    estimate = Spread(
        float(electrode) if np.isfinite(electrode) else 0.0,
        float(region) if np.isfinite(region) else 0.0,
        float(values["particle"]),
        noise,
    )
    low = high = estimate
    if "one region per electrode" in notes.get("region", "") and np.isfinite(electrode):
        unknown.append(
            f"One region of each electrode: the SD of {np.sqrt(electrode):.3f} between them may be that of electrodes "
            "or of regions. Measure two regions of some electrodes."
        )
        # More regions help against the latter alone.
        low = replace(estimate, electrode=0.0, region=float(electrode))
    elif not np.isfinite(region):
        unknown.append(
            "Regions cannot be told from particles (one particle in each region): what differs between them is counted "
            "as particles', which more particles would average."
        )
        high = replace(estimate, region=estimate.particle, particle=0.0)
    if not np.isfinite(electrode):
        why = notes.get("electrode", "") or "not known"
        unknown.append(
            f"How much electrodes differ is not known ({why}): taken as an SD of 0 to {UNKNOWN_SD:g}. Say what you "
            "expect with --electrode-sd, or measure two electrodes in one condition."
        )
        high = replace(high, electrode=UNKNOWN_SD**2)
    return PilotSpread(estimate, low, high, tuple(unknown))
