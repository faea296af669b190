"""What may explain an endpoint: cycling, rate and size, and how each stands in the particle table."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stxmdist.arrays import F64
from stxmdist.heterogeneity.columns import numbers


@dataclass(frozen=True)
class Term:
    """An explanatory variable: where it stands, and at which level it varies."""

    name: str
    column: str
    logarithm: bool
    within_region: bool
    """Particles of a region differ in it (size), or share it (cycle)"""
    unit: str
    meaning: str
    """As it stands above figures and in tables"""

    def of(self, frame: pd.DataFrame) -> F64:
        """(ROW,) values; NaN where missing or without logarithm."""
        values = numbers(frame, self.column)
        if not self.logarithm:
            return values
        return np.where(values > 0, np.log(np.where(values > 0, values, 1.0)), np.nan)


TERMS = {
    term.name: term
    for term in (
        Term("cycle", "cycle", False, False, "per cycle", "cycle"),
        Term("log_c_rate", "c_rate", True, False, "per e-fold of rate", "logarithm of rate"),
        Term("log_d_eq", "d_eq_um", True, True, "per e-fold of diameter", "logarithm of diameter"),
    )
}
