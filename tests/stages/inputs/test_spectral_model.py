"""The spectral model of a scan: edges that say nothing are refused, and limits in nm where nobody knows the nm."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from storage.output import Output
from stxmdist.errors import InputError
from stxmdist.planning.end_members import EndMemberSource
from stxmdist.spectra.checks.classes import ClassOptions
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.spectra.end_members.references import EndMembers
from stxmdist.spectra.fitting.model import ModelOptions, SpectralModel
from stxmdist.stages.inputs.spectral_model import spectral_model
from stxmdist.stages.segment.describe import nominal_nm


def model(scale: float, unit: Any) -> SpectralModel:
    members = CHEMISTRIES["LFP"].load().end_members()
    energy_ev = np.linspace(700.0, 725.0, 51)
    mu = scale * members.at(energy_ev)
    return SpectralModel(
        end_members=EndMembers(energy_ev, mu, ("discharged", "charged"), "planted", unit),
        used=np.ones(51, bool),
        energy_ev=energy_ev,
        effective_counts=np.full(51, 1e4),
        mean_od=mu.sum(axis=0),
        design=mu.T,
        slope=np.zeros((51, 2)),
        shift_ev=0.0,
        shift=cast(Any, None),
        background=cast(Any, None),
        misfit_od=np.zeros(51),
        beside_od=np.zeros(51),
    )


def test_limits_do_not_depend_on_how_thick_the_reference_sample_was() -> None:
    """A map in reference samples, times the factor, is the same whatever the sample: the limits see optical density."""
    assert nominal_nm(model(1.0, "nm"), ClassOptions()) == 1.0
    thickness_nm = 80.0
    found = {nominal_nm(model(thick, "reference"), ClassOptions()) * thickness_nm / thick for thick in (13.0, 170.0)}
    assert max(found) == pytest.approx(min(found), rel=1e-12)
    # The least step of optical density is 20 nominal nm.
    one = model(50.0, "reference")
    least = 0.05 / np.ptp(one.design, axis=0).mean()
    assert nominal_nm(one, ClassOptions()) * least == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("source", "energy_ev", "message"),
    [
        (
            EndMemberSource("NMC", "Co L"),
            [775.0, 780.5, 781.5, 785.0],
            "does not tell the state of charge.*stays 3",
        ),
        (EndMemberSource("NMC"), [280.0, 285.0, 290.0], r"got 0 of 3 .*library holds Ni L \(849 to 881 eV\), O K"),
    ],
)
def test_a_scan_of_an_edge_that_says_nothing_is_refused(
    source: EndMemberSource, energy_ev: list[float], message: str
) -> None:
    arrays = {
        "energy_ev": np.array(energy_ev),
        "energy_used": np.ones(len(energy_ev), np.uint8),
        "effective_counts": np.full(len(energy_ev), 1e3),
        "mean_od": np.full(len(energy_ev), 0.5),
        "mean_od_variance": np.full(len(energy_ev), 1e-6),
    }
    align = cast(Output, SimpleNamespace(read=arrays.__getitem__))
    with pytest.raises(InputError, match=message):
        spectral_model("one", align, source, ModelOptions())
