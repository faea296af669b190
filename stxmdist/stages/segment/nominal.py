"""Thickness in nm where nobody knows it: limits in nm still stand for steps of optical density."""

import numpy as np

from stxmdist.spectra.checks.classes import ClassOptions
from stxmdist.spectra.fitting.model import SpectralModel


def nominal_nm(model: SpectralModel, classes: ClassOptions) -> float:
    """By what thickness is multiplied so that limits in nm can be applied to it: 1 where it is in nm.

    Where it counts reference samples, nobody knows their thickness. Limits in nm stand for steps of optical density at
    the edge then: the least thickness of the fit's classes for the least step of the same.
    """
    if model.end_members.thickness_unit == "nm":
        return 1.0
    step = float(np.ptp(model.design[:, :2], axis=0).mean())
    return step * classes.least_thickness_nm / classes.least_od_jump
