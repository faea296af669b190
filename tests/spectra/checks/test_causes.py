"""Each planted trouble is named as the likely cause, with its number and what mends it."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.spectra.checks.causes import Cause, FitEvidence, likely_cause, misfit_share
from stxmdist.spectra.checks.residual_shapes import ResidualShape

GOOD = FitEvidence(
    pixels={"valid": 95, "background": 400, "poor_fit": 5},
    most_od=2.5,
    largest_od=1.8,
    least_counts=400.0,
    least_counts_ev=708.2,
    least_od_jump=0.05,
    largest_od_jump=0.9,
    background="constant",
    before_edge_od=0.30,
    explained_od=0.22,
    shift_ev=0.05,
    shift_at_bound=False,
    misfit_share=0.01,
    end_members="files reduced.t, oxidized.t",
)


def masked(name: str, n: int = 80) -> dict[str, int]:
    return {"valid": 20, name: n, "background": 400}


def test_nothing_is_said_where_nothing_is_wrong() -> None:
    assert likely_cause(GOOD) == Cause()
    assert likely_cause(replace(GOOD, misfit_share=float("nan"))) == Cause()


@pytest.mark.parametrize(
    ("evidence", "said", "mend"),
    [
        (
            replace(GOOD, pixels=masked("poor_fit"), background="none", before_edge_od=2.03, explained_od=0.04),
            "2.03 of optical density before the edge where the end-members have 0.04",
            "stages: fit: background: constant",
        ),
        (
            replace(GOOD, pixels=masked("poor_fit"), background="none", before_edge_od=-0.40, explained_od=0.22),
            "more light comes through than falls on the sample",
            "stages: absorbance: i0",
        ),
        (
            replace(GOOD, pixels=masked("thick"), largest_od=3.41),
            "optical density reaches 3.4 where 2.5 is the limit",
            "thinner particles, or stages: fit: classes: most_od",
        ),
        (
            replace(GOOD, pixels=masked("low_count"), least_counts=3.2),
            "3.2 counts per pixel are left at the white line (708.2 eV)",
            "stages: fit: classes: most_soc_se",
        ),
        (
            replace(GOOD, pixels=masked("poor_fit"), shift_at_bound=True, shift_ev=0.6, misfit_share=0.12),
            "the energy scale is off by +0.60 eV or more",
            "stages: fit: largest_energy_shift_ev",
        ),
        (
            replace(GOOD, pixels=masked("poor_fit"), misfit_share=0.55),
            "leave over 55% of the optical density: they are of another compound or edge",
            "references: discharged, charged",
        ),
        (
            replace(GOOD, misfit_share=0.08, shape=ResidualShape({"broadening": 0.7}, {"broadening": 0.1}, 0.3, {})),
            "70% of its squares like lines of another width",
            "same slits",
        ),
        (
            # A shape that explains half of a large misfit leaves too much to be the only cause.
            replace(GOOD, misfit_share=0.24, shape=ResidualShape({"slope": 0.55}, {"slope": 0.1}, 0.45, {})),
            "55% of its squares like a slope of the background, and 16% besides",
            "power_law; for the rest references: discharged, charged of this sample",
        ),
        (
            replace(GOOD, pixels=masked("poor_fit"), misfit_share=0.02),
            "leave over 2% of the mean spectrum and more of single particles",
            "stages: explore",
        ),
        (
            replace(GOOD, misfit_share=0.08, shape=ResidualShape({"slope": 0.2}, {"slope": 0.1}, 0.8, {})),
            "a third phase or another reference",
            "references",
        ),
        (replace(GOOD, misfit_share=0.08), "a third phase or another reference", "stages: explore"),
        (replace(GOOD, pixels=masked("missing")), "not measured at every energy", "a scan that was finished"),
        (
            replace(GOOD, pixels={"background": 500}, largest_od_jump=0.03),
            "the step of optical density at the edge is 0.03 at most, where particles have 0.05 or more",
            "least_od_jump",
        ),
    ],
)
def test_a_planted_trouble_is_the_cause(evidence: FitEvidence, said: str, mend: str) -> None:
    cause = likely_cause(evidence)
    assert said in cause.said
    assert mend in cause.mend


def test_share_of_a_misfit_is_its_length() -> None:
    assert misfit_share(np.array([0.03, 0.04, np.nan]), np.array([0.3, 0.4, 1.0])) == pytest.approx(0.1)
    assert np.isnan(misfit_share(np.array([np.nan]), np.array([1.0])))
    assert np.isnan(misfit_share(np.array([0.1]), np.array([0.0])))
