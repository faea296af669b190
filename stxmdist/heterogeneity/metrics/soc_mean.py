"""The mean state of charge of each particle."""

import numpy as np
import pandas as pd

from stxmdist.heterogeneity.columns import numbers
from stxmdist.heterogeneity.metrics.table import MetricValues

NOISE_COLUMNS = ("soc_se_stat", "soc_se")
"""Where the standard error of the measurement stands, best first: what particles of a scan share is no noise."""


def soc_mean(particles: pd.DataFrame) -> MetricValues:
    """State of charge by mass, with its measurement variance and its variance inside each particle.

    Of the standard deviation inside, the table has the square before it was clipped at 0: only that averages to the
    truth. Where it is not there, the clipped one is squared. What all particles of a scan have in common
    (``soc_se_scan``) is an error of its own.
    """
    noise_variance = np.zeros(len(particles))
    for column in NOISE_COLUMNS:
        if column in particles.columns:
            noise_variance = np.nan_to_num(numbers(particles, column)) ** 2
            break
    signed = numbers(particles, "soc_var_intra")
    inside = np.where(np.isfinite(signed), signed, numbers(particles, "soc_sd") ** 2)
    shared = numbers(particles, "soc_se_scan") ** 2
    return MetricValues(
        numbers(particles, "soc_mean"), noise_variance, inside, shared if np.isfinite(shared).any() else None
    )
