"""End-members: published ratios, units, ranges, and every way in which a file can be the wrong one."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from stxmdist.errors import InputError
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.spectra.end_members.references import EndMembers, from_files

ANGLE_TOLERANCE_DEG = 0.1  # half of the digits that the paper prints, doubled
TABLE_TOLERANCE = 0.07  # the table was made with Henke's continuum, 3 to 5 % above Chantler's

TABLE_EV = [700.0, 706.6, 708.2, 710.2, 712.0, 715.0, 722.0, 730.0]
OD_PER_100_NM_LFP = [0.236, 0.447, 1.086, 0.490, 0.400, 0.340, 0.582, 0.387]
OD_PER_100_NM_FP = [0.251, 0.258, 0.587, 1.296, 0.651, 0.377, 0.650, 0.413]
POWER_LAW = 0.02  # how well one follows the tables of a metal below its edge
FP_NM_PER_LFP_NM = (3.6 / 157.756) / (3.68 / 150.816)


@pytest.mark.parametrize(("li_content", "angle_deg"), [(0.93, 27.48), (0.02, 65.00)])
def test_polar_angles_of_yu_2018(
    lfp: EndMembers, li_content: float, angle_deg: float, capsys: pytest.CaptureFixture[str]
) -> None:
    od = li_content * lfp.at(np.array([708.2, 710.2]))[0] + (1 - li_content) * lfp.at(np.array([708.2, 710.2]))[1]
    found = np.degrees(np.arctan2(od[1], od[0]))
    with capsys.disabled():
        print(f"\n  Li{li_content}FePO4: polar angle {found:.2f} deg, published {angle_deg:.2f}")
    assert abs(found - angle_deg) < ANGLE_TOLERANCE_DEG


def test_absolute_scale_conserves_iron(lfp: EndMembers) -> None:
    mu = lfp.at(np.array(TABLE_EV))
    np.testing.assert_allclose(100 * mu[0], OD_PER_100_NM_LFP, rtol=TABLE_TOLERANCE)
    np.testing.assert_allclose(100 * mu[1], np.array(OD_PER_100_NM_FP) * FP_NM_PER_LFP_NM, rtol=TABLE_TOLERANCE + 0.04)


@pytest.mark.parametrize("chemistry", list(CHEMISTRIES))
def test_every_chemistry(chemistry: str) -> None:
    members = CHEMISTRIES[chemistry].load().end_members()
    assert members.mu_per_nm.shape == (2, members.energy_ev.size)
    assert np.all(np.diff(members.energy_ev) > 0)
    assert np.all(members.mu_per_nm > 0)
    assert "modelled" in members.source
    # Away from the edge only lithium distinguishes the states: the metal is the same.
    for place in (0, -1):
        assert members.mu_per_nm[1, place] / members.mu_per_nm[0, place] == pytest.approx(1.0, abs=0.02)
    # Charging moves the white line up.
    strongest = members.energy_ev[np.argmax(members.mu_per_nm, axis=1)]
    assert strongest[1] > strongest[0]
    assert CHEMISTRIES[chemistry].load().end_members() is members


@pytest.mark.parametrize("chemistry", list(CHEMISTRIES))
def test_mass_absorption_is_that_of_the_elements_by_weight(chemistry: str) -> None:
    import xraydb

    members = CHEMISTRIES[chemistry].load().end_members()
    # Far below the edge, where the tables are taken as they are but for the power law through the metal's.
    energy = members.energy_ev[:1]
    found = members.mass_absorption(energy)
    assert found is not None
    for name, value in zip(members.names, found[:, 0], strict=True):
        formula = xraydb.chemparse(name)
        grams = {element: number * xraydb.atomic_mass(element) for element, number in formula.items()}
        tables = sum(part * xraydb.mu_chantler(element, energy[0]) for element, part in grams.items())
        assert value == pytest.approx(tables / sum(grams.values()), rel=POWER_LAW)


EVERY_EDGE = [(name, each.edge.name) for name, chemistry in CHEMISTRIES.items() for each in chemistry.load().edges]


@pytest.mark.parametrize(("chemistry", "edge"), EVERY_EDGE)
def test_every_edge_of_the_library(chemistry: str, edge: str) -> None:
    import xraydb

    members = CHEMISTRIES[chemistry].load().end_members(edge)
    entry = CHEMISTRIES[chemistry].load().at_edge(edge)
    assert members.source.startswith("modelled")
    assert np.isfinite(members.mu_per_nm).all()
    assert (members.mu_per_nm > 0).all()
    # Well above the edge it is the tables' again, and no other edge of the compound lies in between.
    formula = xraydb.chemparse(entry.discharged.formula)
    grams = {element: number * xraydb.atomic_mass(element) for element, number in formula.items()}
    last = entry.edge.steps[-1].energy_ev
    energy = np.linspace(last + 25.0, members.energy_ev[-1], 11)
    tables = sum(part * xraydb.mu_chantler(element, energy) for element, part in grams.items()) / sum(grams.values())
    np.testing.assert_allclose(members.mass_absorption(energy)[0], tables, rtol=POWER_LAW + 0.01)
    # The two states differ where a scan would look.
    assert np.linalg.cond(members.at(np.linspace(*entry.lines_ev, 23)).T) < 60.0
    # Uncertainty: of the order of the stated share of a line, less where the continuum is most; and never none.
    sd, strongest = members.mu_sd_per_nm, members.mu_per_nm.argmax(axis=1)
    assert sd is not None
    assert (sd > 0.0).all()
    for component, peak in enumerate(strongest):
        assert 0.02 < sd[component, peak] / members.mu_per_nm[component, peak] < 0.2
    assert len(members.errors.causes) == len(members.errors.shapes)
    # A scan of this edge alone is known by its energies.
    assert CHEMISTRIES[chemistry].load().edge_covered_by(np.linspace(*entry.lines_ev, 7)) == edge
    assert ("should be" in members.control) == (edge in ("Co L", "Mn L") and chemistry in ("NMC", "NCA"))


def test_an_edge_that_the_library_lacks_is_refused_with_what_it_has() -> None:
    with pytest.raises(InputError, match=r"'Fe L', wanted Ni L \(849 to 881 eV\), O K .*, Co L .*, Mn L"):
        CHEMISTRIES["NMC"].load().end_members("Fe L")
    assert CHEMISTRIES["NMC"].load().edge_covered_by(np.array([280.0, 700.0])) is None


def test_shift_reads_the_spectrum_further_up(lfp: EndMembers) -> None:
    energy = np.array([705.3, 708.17, 713.9])
    np.testing.assert_allclose(lfp.at(energy, 0.35), lfp.at(energy + 0.35), rtol=1e-12)


def test_outside_the_range_names_both_ranges(lfp: EndMembers) -> None:
    with pytest.raises(InputError, match=r"640\.00 to 710\.00 eV.*680\.50 to 783"):
        lfp.at(np.array([640.0, 710.0]))
    assert lfp.spans(np.array([640.0, 700.0]), margin_ev=1.0).tolist() == [False, True]


def test_beyond_their_ends_references_are_held_where_a_shift_is_only_possible(lfp: EndMembers) -> None:
    last = lfp.energy_ev[-1]
    held = lfp.held_at(np.array([last - 1.0, last]), 0.5)
    np.testing.assert_array_equal(held[:, 1], lfp.at(np.array([last]))[:, 0])
    np.testing.assert_allclose(held[:, 0], lfp.at(np.array([last - 0.5]))[:, 0], rtol=1e-12)


def test_end_members_survive_pickling(lfp: EndMembers) -> None:
    lfp.at(np.array([710.0]))
    again = pickle.loads(pickle.dumps(lfp))
    np.testing.assert_array_equal(again.at(np.array([710.0])), lfp.at(np.array([710.0])))


def _write(path: Path, energy: np.ndarray, value: np.ndarray) -> Path:
    path.write_text("\n".join(f"{e:.4f} {v:.6g}" for e, v in zip(energy, value, strict=True)))
    return path


@pytest.fixture
def edge(lfp: EndMembers) -> tuple[np.ndarray, np.ndarray]:
    energy = np.linspace(700.0, 735.0, 71)
    return energy, 100.0 * lfp.at(energy)


def test_files_count_reference_samples(tmp_path: Path, edge: tuple[np.ndarray, np.ndarray], lfp: EndMembers) -> None:
    energy, od = edge
    members = from_files(
        _write(tmp_path / "a.t", energy, od[0]), _write(tmp_path / "b.t", energy[4:] + 0.013, od[1][4:])
    )
    assert members.thickness_unit == "reference"
    assert members.mass_absorption(energy[10:12]) is None
    assert members.energy_ev[0] == pytest.approx(energy[4] + 0.013)
    assert members.energy_ev[-1] == pytest.approx(energy[-1])
    np.testing.assert_allclose(members.at(energy[10:12])[0], od[0][10:12], rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e, v: (e / 1000, v), "keV or nm"),
        (lambda e, v: (np.sort(1239.842 / e), v), "keV or nm"),
        (lambda e, v: (e, 900 * np.exp(-v)), "counts or an absorption coefficient"),
        (lambda e, v: (e, 1e4 * v), "counts or an absorption coefficient"),
        (lambda e, v: (e, np.exp(-v)), "decreases through its edge"),
        (lambda e, v: (e + 200, v), "no energies in common"),
    ],
)
def test_references_in_other_units_are_refused(tmp_path, edge, change, message) -> None:
    energy, od = edge
    good = _write(tmp_path / "good.txt", energy, od[0])
    bad = _write(tmp_path / "bad.txt", *change(energy, od[1]))
    with pytest.raises(InputError, match=message) as refusal:
        from_files(good, bad)
    assert "bad.txt" in refusal.value.where
    assert refusal.value.mend


def test_the_same_file_twice_is_refused(tmp_path: Path, edge: tuple[np.ndarray, np.ndarray]) -> None:
    energy, od = edge
    path = _write(tmp_path / "a.txt", energy, od[0])
    with pytest.raises(InputError, match="condition number"):
        from_files(path, path)
