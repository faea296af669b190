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
from stxmdist.stages.segment.nominal import nominal_nm
from tests.stages.aligned import no_particles


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
        **no_particles(len(energy_ev)),
    }
    align = cast(Output, SimpleNamespace(read=arrays.__getitem__, arrays=lambda: list(arrays)))
    with pytest.raises(InputError, match=message):
        spectral_model("one", align, source, ModelOptions())


def test_a_film_is_looked_for_in_a_strip_across_the_middle_of_a_large_field() -> None:
    energy_ev = np.array([700.0, 708.2, 710.2])
    mean_od = np.array([50.0, 50.0]) @ CHEMISTRIES["LFP"].load().end_members().at(energy_ev)
    arrays = {
        "energy_ev": energy_ev,
        "energy_used": np.ones(3, np.uint8),
        "effective_counts": np.full(3, 1e3),
        "mean_od": mean_od,
        "mean_od_variance": np.full(3, 1e-6),
        **no_particles(3),
        "aligned_class": np.zeros((400, 1000), np.uint8),
    }
    asked: list[slice] = []

    def read(name: str, at: tuple[slice, slice, slice] | None = None) -> object:
        if at is None:
            return arrays[name]
        asked.append(at[1])
        # Waves of film, 40 pixels long.
        film = 0.1 * (1.0 + np.sin(np.arange(1000) * 2.0 * np.pi / 40.0))
        return np.exp(-film) * np.ones((3, at[1].stop - at[1].start, 1), np.float32)

    align = cast(Output, SimpleNamespace(read=read, arrays=lambda: list(arrays)))
    found = spectral_model("one", align, EndMemberSource("LFP"), ModelOptions())
    assert asked == [slice(167, 232)]
    assert found.fitted_background == "constant"
    assert "a film varies by 0.07 from place to place" in found.background.said
    # What is asked for needs no look at the field.
    assert spectral_model("one", align, EndMemberSource("LFP"), ModelOptions("none")).fitted_background == "none"
    assert len(asked) == 1
