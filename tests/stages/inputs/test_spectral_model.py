"""Which end-members a scan has, what comes off before the edge, and limits in nm where nobody knows the nm."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from stxmdist.arrays import Array
from stxmdist.campaign.schema import References
from stxmdist.errors import InputError
from stxmdist.planning.survey import Survey
from stxmdist.spectra.checks.classes import ClassOptions
from stxmdist.spectra.end_members.references import CHEMISTRIES, EndMembers
from stxmdist.stages.inputs.spectral_model import (
    SpectralModel,
    end_members_of,
    pre_edge,
    references_of,
    spectral_model,
    strongest_mass_absorption,
    without_pre_edge,
)
from stxmdist.stages.segment.describe import nominal_nm

FILES = References(discharged=Path("a.txt"), charged=Path("b.txt"))


def survey(
    campaign_chemistry: str,
    scan_chemistry: str,
    references: References | None,
    energy_ev: Array | None = None,
) -> Survey:
    return cast(
        Survey,
        SimpleNamespace(
            campaign=SimpleNamespace(references=references, chemistry=campaign_chemistry),
            scans={"one": SimpleNamespace(chemistry=scan_chemistry)},
            recordings={} if energy_ev is None else {"one": SimpleNamespace(energy_ev=energy_ev)},
        ),
    )


@pytest.mark.parametrize(
    ("campaign", "scan", "from_file"),
    [
        ("custom", "custom", True),
        ("LFP", "LFP", True),
        ("LFP", "custom", True),
        ("LFP", "NCA", False),
        ("custom", "NCA", False),
    ],
)
def test_references_stand_for_scans_of_the_campaigns_chemistry_and_custom(
    campaign: str, scan: str, from_file: bool
) -> None:
    found = references_of(survey(campaign, scan, FILES), "one")
    assert ("discharged" in found) == from_file
    assert found["chemistry"] == scan
    assert references_of(survey(campaign, scan, None), "one") == {"chemistry": scan}


@pytest.mark.parametrize(
    ("chemistry", "energy_ev", "edge"),
    [
        ("NMC", [853.0, 857.75], None),
        ("NMC", [525.0, 529.0, 545.0], "O K"),
        ("NMC", [775.0, 780.5, 785.0, 790.0], "Co L"),
        ("NCA", [635.0, 641.0, 643.0], None),
        ("LFP", [520.0, 530.0], None),
        ("LCO", [770.0, 780.5], None),
        # Wide scans: the edge that tells most, not the first in energy.
        ("NMC", [530.0, 531.0, 641.0, 643.0, 853.0, 855.0], None),
    ],
)
def test_the_energies_of_a_scan_say_which_edge_it_is(chemistry: str, energy_ev: list[float], edge: str | None) -> None:
    found = references_of(survey(chemistry, chemistry, None, np.array(energy_ev)), "one")
    assert found == {"chemistry": chemistry} | ({"edge": edge} if edge else {})
    expected = CHEMISTRIES[chemistry].load()(edge)
    assert end_members_of(found) is expected


def test_the_state_that_absorbs_more_is_taken_for_the_dose() -> None:
    energy_ev = np.array([500.0, 708.2, 710.2])
    found = strongest_mass_absorption(survey("LFP", "LFP", None), "one", energy_ev)
    both = CHEMISTRIES["LFP"].load()().mass_absorption(energy_ev[1:])
    assert both is not None
    # Discharged at its own peak, charged at the other; outside the end-members nothing is known.
    np.testing.assert_allclose(found, [np.nan, both[0, 0], both[1, 1]])
    assert np.isnan(strongest_mass_absorption(survey("LFP", "LFP", FILES), "one", energy_ev)).all()


@pytest.fixture
def written(tmp_path: Path) -> dict[str, Any]:
    """The built-in pair as files, per nm."""
    members = CHEMISTRIES["LFP"].load()()
    for name, mu in zip(("discharged", "charged"), members.mu_per_nm, strict=True):
        np.savetxt(tmp_path / name, np.column_stack([members.energy_ev, mu]))
    return {"discharged": str(tmp_path / "discharged"), "charged": str(tmp_path / "charged")}


def test_files_per_nm_are_the_same_as_built_in_ones(written: dict[str, Any]) -> None:
    found = end_members_of(written | {"thickness_unit": "nm"})
    built_in = CHEMISTRIES["LFP"].load()()
    energy_ev = np.linspace(700.0, 730.0, 41)
    assert found.thickness_unit == "nm"
    np.testing.assert_allclose(found.at(energy_ev), built_in.at(energy_ev), rtol=1e-9)


def test_optical_densities_are_not_taken_for_absorption_per_nm(written: dict[str, Any]) -> None:
    for name in ("discharged", "charged"):
        energy_ev, mu = np.loadtxt(written[name]).T
        np.savetxt(written[name], np.column_stack([energy_ev, 20.0 * mu]))
    assert end_members_of(written | {"thickness_unit": "reference"}).thickness_unit == "reference"
    with pytest.raises(InputError, match="not absorption per nm"):
        end_members_of(written | {"thickness_unit": "nm"})


def model(scale: float, unit: Any) -> SpectralModel:
    members = CHEMISTRIES["LFP"].load()()
    energy_ev = np.linspace(700.0, 725.0, 51)
    mu = scale * members.at(energy_ev)
    return SpectralModel(
        end_members=EndMembers(energy_ev, mu, ("discharged", "charged"), "planted", unit),
        used=np.ones(51, bool),
        energy_ev=energy_ev,
        effective_counts=np.full(51, 1e4),
        design=mu.T,
        shift_ev=0.0,
        shift=cast(Any, None),
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


def test_a_film_that_absorbs_alike_everywhere_is_gone_with_the_pre_edge() -> None:
    rng = np.random.default_rng(3)
    energy_ev = np.linspace(700.0, 725.0, 51)
    cathode = np.exp(-rng.uniform(0.0, 1.0, (51, 7))).astype(np.float32)
    film = np.exp(-rng.uniform(0.0, 2.0, 7)).astype(np.float32)
    before = pre_edge("one", energy_ev, 703.0)
    assert before is not None
    assert before.sum() == 6
    with_film, level = without_pre_edge(cathode * film, before)
    without, own = without_pre_edge(cathode, before)
    np.testing.assert_allclose(with_film, without, rtol=1e-6)
    np.testing.assert_allclose(level, own * film, rtol=1e-6)
    np.testing.assert_allclose(with_film[before].mean(axis=0), 1.0, rtol=1e-6)


def test_nothing_comes_off_unless_asked_and_an_edge_without_energies_before_it_is_refused() -> None:
    transmission = np.full((3, 2), 0.5, np.float32)
    assert pre_edge("one", np.array([700.0, 710.0]), None) is None
    same, level = without_pre_edge(transmission, None)
    assert same is transmission
    assert (level == 1.0).all()
    with pytest.raises(InputError, match="no energy lies before the edge"):
        pre_edge("one", np.array([853.0, 857.8]), 702.7)
    # A pixel that is dark before the edge has no level to be divided by.
    dark, level = without_pre_edge(np.zeros((3, 2), np.float32), np.array([True, False, False]))
    assert np.isnan(dark).all()
    assert np.isnan(level).all()


def test_files_with_formulas_are_scaled_and_then_their_dose_is_known(written: dict[str, Any]) -> None:
    for name, thick in (("discharged", 80.0), ("charged", 130.0)):
        energy_ev, mu = np.loadtxt(written[name]).T
        np.savetxt(written[name], np.column_stack([energy_ev, thick * mu]))
    files = References(
        discharged=Path(written["discharged"]),
        charged=Path(written["charged"]),
        formulas=("LiFePO4", "FePO4"),
        density_g_cm3=3.6,
    )
    scan = survey("custom", "custom", files)
    found, built_in = end_members_of(references_of(scan, "one")), CHEMISTRIES["LFP"].load()()
    energy_ev = np.linspace(700.0, 730.0, 41)
    # The model's arctangents have not quite reached what the tables say.
    np.testing.assert_allclose(found.at(energy_ev), built_in.at(energy_ev), rtol=0.05)
    assert np.isfinite(strongest_mass_absorption(scan, "one", energy_ev)).all()


@pytest.mark.parametrize(
    ("references", "energy_ev", "message"),
    [
        (
            {"chemistry": "NMC", "edge": "Co L"},
            [775.0, 780.5, 781.5, 785.0],
            "does not tell the state of charge.*stays 3",
        ),
        ({"chemistry": "NMC"}, [280.0, 285.0, 290.0], r"got 0 of 3 .*library holds Ni L \(849 to 881 eV\), O K"),
    ],
)
def test_a_scan_of_an_edge_that_says_nothing_is_refused(
    references: dict[str, Any], energy_ev: list[float], message: str
) -> None:
    arrays = {
        "energy_ev": np.array(energy_ev),
        "energy_used": np.ones(len(energy_ev), np.uint8),
        "effective_counts": np.full(len(energy_ev), 1e3),
        "mean_od": np.full(len(energy_ev), 0.5),
        "mean_od_variance": np.full(len(energy_ev), 1e-6),
    }
    unit = SimpleNamespace(scan_id="one", source=lambda stage: SimpleNamespace(read=arrays.__getitem__))
    with pytest.raises(InputError, match=message):
        spectral_model(
            cast(Any, unit), references, background="none", fit_shift=True, largest_shift_ev=0.6, prior_sd_ev=0.2
        )
