"""Whether each particle takes part in the reaction."""

import numpy as np
import pandas as pd

from stxmdist.arrays import F64
from stxmdist.heterogeneity.active_fraction import is_active, recognition
from stxmdist.heterogeneity.columns import codes_of, numbers, text
from stxmdist.heterogeneity.metrics.table import MetricValues

PLACE = ("electrode_id", "cycle", "c_rate", "direction")
"""Within these, active and inactive particles are recognised equally well."""


def active(particles: pd.DataFrame) -> MetricValues:
    """1 for particles that are active, 0 for the others, corrected so that their mean is the active fraction.

    Where the table has errors of state of charge, the thresholds are fixed and each 0 or 1 becomes
    ``(value + specificity - 1) / (sensitivity + specificity - 1)`` with how often either kind is recognised in its
    electrode and condition: means and slopes are then those of the truth, not of the noise. Where it has none, the
    column ``active`` is taken as it is.

    Source: Rogan, Gladen, Am. J. Epidemiol. 107, 71 (1978).
    """
    error = numbers(particles, "soc_se")
    if not np.isfinite(error).any():
        return MetricValues(numbers(particles, "active"), np.zeros(len(particles)))
    soc, two_phase = numbers(particles, "soc_mean"), text(particles, "phase_class") == "two-phase"
    value: F64 = is_active(soc, two_phase)
    place = codes_of(particles, PLACE)
    order = np.argsort(place, kind="stable")
    for here in np.split(order, np.cumsum(np.bincount(place))[:-1]):
        known = here[np.isfinite(value[here]) & np.isfinite(soc[here])]
        if len(known):
            found = recognition(soc[known], error[known], two_phase[known])
            gain = found.sensitivity + found.specificity - 1.0
            value[here] = (value[here] + found.specificity - 1.0) / gain
    return MetricValues(value, np.zeros(len(particles)))
