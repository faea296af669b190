"""Whether each particle takes part in the reaction."""

import numpy as np
import pandas as pd

from stxmdist.heterogeneity.columns import numbers
from stxmdist.heterogeneity.metrics.table import MetricValues


def active(particles: pd.DataFrame) -> MetricValues:
    """1 for particles that are active, 0 for the others: the mean is the active fraction."""
    return MetricValues(numbers(particles, "active"), np.zeros(len(particles)))
