"""Whose images average amplitudes: those of ptychography, as far as the phase of the end-members is known."""

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np

from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.spectra.fitting.model import SpectralModel
from stxmdist.stages.segment.amplitudes import phase_of_amplitudes

ENERGY_EV = np.array([700.0, 708.2, 710.2])


def test_reconstructions_of_known_matter_average_amplitudes() -> None:
    members = CHEMISTRIES["LFP"].load().end_members()
    known, unknown = (
        cast(SpectralModel, SimpleNamespace(end_members=one, energy_ev=ENERGY_EV, shift_ev=0.3))
        for one in (members, replace(members, density_g_cm3=None))
    )
    phase = phase_of_amplitudes("ptychography", known)
    assert phase is not None
    assert phase.shape == (3, 2)
    # Matter retards; below its white line, as FePO4 at 708.2 eV, hardly.
    assert (phase < 0.0).all()
    assert phase[1, 0] < phase[1, 1]
    assert phase_of_amplitudes("stxm", known) is None
    assert phase_of_amplitudes("ptychography", unknown) is None
