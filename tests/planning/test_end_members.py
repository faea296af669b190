"""Where the end-members of a scan come from, and what they are then."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from storage.contents import content_of
from storage.digests import sha256_of_file
from stxmdist.arrays import Array
from stxmdist.campaign.schema import ExploredSpectrum, References
from stxmdist.errors import InputError
from stxmdist.planning.end_members import (
    EndMemberSource,
    end_member_source,
    end_members_of,
    identity_of_end_members,
    strongest_absorption_per_nm,
    strongest_mass_absorption,
)
from stxmdist.planning.survey import Survey
from stxmdist.records import figures_of, from_json
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES

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
            content_of=content_of,
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
    found = end_member_source(survey(campaign, scan, FILES), "one")
    assert (found.files is not None) == from_file
    assert found.chemistry == scan
    assert end_member_source(survey(campaign, scan, None), "one") == EndMemberSource(scan)


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
    found = end_member_source(survey(chemistry, chemistry, None, np.array(energy_ev)), "one")
    assert found == EndMemberSource(chemistry, edge)
    assert figures_of(found) == {"chemistry": chemistry} | ({"edge": edge} if edge else {})
    expected = CHEMISTRIES[chemistry].load().end_members(edge)
    assert end_members_of(found) is expected


def test_the_state_that_absorbs_more_is_taken_for_the_dose() -> None:
    energy_ev = np.array([500.0, 708.2, 710.2])
    found = strongest_mass_absorption(survey("LFP", "LFP", None), "one", energy_ev)
    both = CHEMISTRIES["LFP"].load().end_members().mass_absorption(energy_ev[1:])
    assert both is not None
    # Discharged at its own peak, charged at the other; outside the end-members nothing is known.
    np.testing.assert_allclose(found, [np.nan, both[0, 0], both[1, 1]])
    assert np.isnan(strongest_mass_absorption(survey("LFP", "LFP", FILES), "one", energy_ev)).all()
    assert np.isnan(strongest_absorption_per_nm(survey("LFP", "LFP", FILES), "one", energy_ev)).all()


@pytest.fixture
def written(tmp_path: Path) -> EndMemberSource:
    """The built-in pair as files, per nm."""
    members = CHEMISTRIES["LFP"].load().end_members()
    for name, mu in zip(("discharged", "charged"), members.mu_per_nm, strict=True):
        np.savetxt(tmp_path / name, np.column_stack([members.energy_ev, mu]))
    return EndMemberSource("LFP", None, str(tmp_path / "discharged"), str(tmp_path / "charged"), "nm")


def scale_files(source: EndMemberSource, *factors: float) -> None:
    assert source.files is not None
    for path, factor in zip(source.files, factors, strict=True):
        energy_ev, mu = np.loadtxt(path).T
        np.savetxt(path, np.column_stack([energy_ev, factor * mu]))


def test_files_per_nm_are_the_same_as_built_in_ones(written: EndMemberSource) -> None:
    found = end_members_of(written)
    built_in = CHEMISTRIES["LFP"].load().end_members()
    energy_ev = np.linspace(700.0, 730.0, 41)
    assert found.thickness_unit == "nm"
    np.testing.assert_allclose(found.at(energy_ev), built_in.at(energy_ev), rtol=1e-9)


def test_optical_densities_are_not_taken_for_absorption_per_nm(written: EndMemberSource) -> None:
    scale_files(written, 20.0, 20.0)
    assert end_members_of(replace(written, thickness_unit="reference")).thickness_unit == "reference"
    with pytest.raises(InputError, match="not absorption per nm"):
        end_members_of(written)


def test_files_with_formulas_are_scaled_and_then_their_dose_is_known(written: EndMemberSource) -> None:
    scale_files(written, 80.0, 130.0)
    assert written.files is not None
    discharged, charged = written.files
    files = References(discharged=discharged, charged=charged, formulas=("LiFePO4", "FePO4"), density_g_cm3=3.6)
    scan = survey("custom", "custom", files)
    found, built_in = end_members_of(end_member_source(scan, "one")), CHEMISTRIES["LFP"].load().end_members()
    energy_ev = np.linspace(700.0, 730.0, 41)
    # The model's arctangents have not quite reached what the tables say.
    np.testing.assert_allclose(found.at(energy_ev), built_in.at(energy_ev), rtol=0.05)
    assert np.isfinite(strongest_mass_absorption(scan, "one", energy_ev)).all()


def test_a_digest_tells_files_by_content_and_explored_spectra_by_name(written: EndMemberSource) -> None:
    assert written.files is not None
    path = written.files[0]
    files = References(
        discharged=path, charged=ExploredSpectrum("gone", "nmf-1"), formulas=("LiFePO4", "FePO4"), density_g_cm3=3.6
    )
    found = identity_of_end_members(survey("LFP", "LFP", files), "one")
    assert found == {
        "chemistry": "LFP",
        "discharged": sha256_of_file(path),
        "charged": "explore:gone:nmf-1",
        "thickness_unit": "nm",
        "explored": ["explore:gone:nmf-1"],
        "formulas": ["LiFePO4", "FePO4"],
        "density_g_cm3": 3.6,
    }
    assert identity_of_end_members(survey("LFP", "NCA", files), "one") == {"chemistry": "NCA"}


def test_a_source_comes_back_from_json() -> None:
    source = EndMemberSource("LFP", None, "a", "b", "nm", ("explore:one:nmf-1",), ("LiFePO4", "FePO4"), 3.6)
    written = figures_of(source)
    assert isinstance(written, dict)
    assert from_json(EndMemberSource, written) == source
