"""The spread of the state of charge inside each particle."""

import numpy as np
import pandas as pd

from stxmdist.heterogeneity.columns import numbers
from stxmdist.heterogeneity.metrics.table import MetricValues


def soc_sd(particles: pd.DataFrame) -> MetricValues:
    """Standard deviation of the state of charge over the pixels of each particle, noise taken out."""
    return MetricValues(numbers(particles, "soc_sd"), np.zeros(len(particles)))
