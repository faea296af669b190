"""Every switch of the hard design does what it says, and the default plants nothing."""

import hashlib
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from stxmdist.campaign import manifest
from stxmdist.simulation.chemistry import absorption_of
from stxmdist.simulation.conditions import conditions_of, stxm_setup
from stxmdist.simulation.design import Design, Interior, Visit
from stxmdist.simulation.experiment import region_phantom
from stxmdist.simulation.film import CARBON_PER_NM
from stxmdist.simulation.folder import sample_sheet, scan_tasks, simulate_size
from stxmdist.simulation.phantom import DICHROIC, Region
from stxmdist.simulation.regions import RegionKey, region_keys
from stxmdist.simulation.sizes import ENERGIES_35, HARD, SMALL
from tests.simulation.planted import KEY, TINY, image, particle, region, sized

BENIGN_FILES = "e2eef14635271ef6980ae42a9bf78e64fa5612f4fe7360da3d938b0025dcd0a2"
"""Digest of all files that a scientist sees of TINY at seed 3, from the simulator before it knew of designs."""


@pytest.mark.long
def test_without_a_design_the_files_are_those_of_before(tmp_path: Path) -> None:
    """Sample sheet, campaign file and beamline files, byte for byte (HDF5: names and data)."""
    simulate_size(tmp_path, TINY, 3, workers=1, report=lambda line: None)
    digest = hashlib.sha256()
    for path in sorted(path for path in tmp_path.rglob("*") if path.is_file() and "truth" not in path.parts):
        digest.update(path.relative_to(tmp_path).as_posix().encode())
        if path.suffix in {".cxi", ".hdf5"}:
            with h5py.File(path) as file:
                file.visititems(lambda key, item: digest.update(key.encode() + _bytes(item)))
        else:
            digest.update(path.read_bytes())
    assert digest.hexdigest() == BENIGN_FILES


def _bytes(item: h5py.Group | h5py.Dataset) -> bytes:
    return np.asarray(item[()]).tobytes() if isinstance(item, h5py.Dataset) and item.dtype.kind != "O" else b""


def test_a_default_design_is_benign_and_hard_is_not() -> None:
    assert SMALL.design.is_benign
    assert not HARD.design.is_benign
    assert region(Design()).components == ("discharged", "charged")


def test_a_campaign_counts_its_scans() -> None:
    assert HARD.n_scans == len(scan_tasks(Path("unused"), HARD, 0))
    assert SMALL.n_scans == 12


def test_film_absorbs_up_to_its_largest_density_and_has_no_edge() -> None:
    phantom = region(Design(film_od=0.4))
    assert phantom.components == ("discharged", "charged", "film")
    axis = np.linspace(-20.0, 20.0, 400)
    density = phantom.thickness_nm(axis, axis)[2] * CARBON_PER_NM
    assert density.min() == 0.0
    assert density.max() == pytest.approx(0.4)
    assert 0.1 < (density == 0.0).mean() < 0.35
    energy = np.array([700.0, 708.2, 710.2, 730.0])
    film = absorption_of(("film",), energy)[0]
    assert np.all(np.diff(film) < 0.0)
    assert np.ptp(film) < 0.15 * film.mean()


def test_film_is_in_the_counts() -> None:
    film = Region((), region(Design(film_od=0.4)).film)
    clear = image(Region(()))
    np.testing.assert_allclose(clear, 1.0, atol=1e-12)
    dark = image(film, index=0)
    assert -np.log(dark.min()) == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize("form", ["mixed", "domain"])
def test_third_phase_holds_the_planted_share_of_mass(form: str) -> None:
    phantom = region(Design(third_particles=0.5, third_mass=0.2, third_form=form))
    holders = [one for one in phantom.particles if one.flaws is not None and one.flaws.third is not None]
    assert len(holders) / len(phantom.particles) == pytest.approx(0.5, abs=0.2)
    assert phantom.components == ("discharged", "charged", "third")
    for one in holders[:5]:
        alone = Region((replace(one, outline=replace(one.outline)),))
        reach = np.arange(-one.outline.reach_um, one.outline.reach_um, 0.005)
        parts = alone.thickness_nm(one.outline.y_um + reach, one.outline.x_um + reach).sum(axis=(1, 2))
        assert parts[2] / parts.sum() == pytest.approx(0.2, abs=5e-3)


def test_no_mixture_of_the_end_members_is_the_third_phase() -> None:
    energy = np.asarray(ENERGIES_35)
    members, third = absorption_of(("discharged", "charged"), energy), absorption_of(("third",), energy)[0]
    _, residual, _, _ = np.linalg.lstsq(members.T, third, rcond=None)
    assert np.sqrt(residual[0] / energy.size) > 0.1 * third.max()


def test_third_phase_changes_the_spectrum_of_its_particles() -> None:
    with_third = region(Design(third_particles=1.0, third_mass=0.3, third_form="mixed"))
    without = region(Design(third_particles=1.0, third_mass=0.0, third_form="mixed"))
    thickness = [phantom.thickness_nm(*_axes(phantom)).sum(axis=(1, 2)) for phantom in (with_third, without)]
    # The same iron, shared otherwise.
    assert thickness[0].sum() == pytest.approx(thickness[1].sum(), rel=1e-9)
    energy = np.array([709.3])
    density = [float(t @ absorption_of(("discharged", "charged", "third"), energy)[:, 0]) for t in thickness]
    assert density[0] > 1.1 * density[1]


def _axes(phantom: Region) -> tuple[np.ndarray, np.ndarray]:
    y = np.array([one.outline.y_um for one in phantom.particles])
    x = np.array([one.outline.x_um for one in phantom.particles])
    return np.arange(y.min() - 1.0, y.max() + 1.0, 0.02), np.arange(x.min() - 1.0, x.max() + 1.0, 0.02)


def test_polarisation_follows_malus_and_sees_the_axis_only_when_it_is_known() -> None:
    names = ("discharged", *DICHROIC[:2])
    energy = np.array([708.2])
    thickness = np.array([100.0, 100.0 * np.cos(2 * 0.4), 100.0 * np.sin(2 * 0.4)])
    angles = np.arange(0.0, 180.0, 15.0)
    density = [float(thickness @ absorption_of(names, energy, angle, 0.3)[:, 0]) for angle in angles]
    design = np.column_stack([np.ones(angles.size), np.cos(2 * np.deg2rad(angles)), np.sin(2 * np.deg2rad(angles))])
    level, cos, sin = np.linalg.lstsq(design, density, rcond=None)[0]
    assert 0.5 * np.arctan2(sin, cos) == pytest.approx(0.4)
    assert level == pytest.approx(float(thickness @ absorption_of(names, energy)[:, 0]))
    assert 0.2 < np.hypot(cos, sin) / level < 0.3


def test_grains_have_axes_of_their_own() -> None:
    phantom = region(Design(dichroism=0.3, grain_um=0.3))
    assert phantom.components == ("discharged", "charged", *DICHROIC)
    grained = next(one for one in phantom.particles if one.flaws is not None and one.flaws.grains is not None)
    reach = np.arange(-grained.outline.reach_um, grained.outline.reach_um, 0.01)
    axis = grained.axis(grained.outline.y_um + reach[:, None], grained.outline.x_um + reach[None, :])
    assert np.unique(axis).size == len(grained.flaws.grains.sites_um) >= 2


def test_energies_and_photons_go_to_regions_in_turn() -> None:
    design = Design(energies_ev=((700.0, 710.0), ENERGIES_35), counts=(30.0, 100.0, 1000.0))
    size = replace(SMALL, design=design)
    setups = [stxm_setup(size, key) for key in region_keys(size)]
    assert [len(setup.energy_ev) for setup in setups] == [2, 35, 2, 35, 2, 35]
    assert [setup.counts for setup in setups] == [30.0, 100.0, 1000.0, 30.0, 100.0, 1000.0]


def test_cells_and_beamtimes_have_the_planted_spread() -> None:
    design = Design(beamtimes=500, beamtime_by="electrode", beamtime_sd=0.03, electrodes_per_cell=2, cell_sd=0.05)
    size = replace(SMALL, design=design, n_electrodes=1000)
    found = [conditions_of(size, 5, RegionKey(electrode, 1, 0)) for electrode in range(1000)]
    assert len({one.cell_id for one in found}) == 500
    assert len({one.beamtime_id for one in found}) == 500
    # Four standard errors from 500 draws.
    tolerance = 4.0 / np.sqrt(1000.0)
    assert np.std([one.cell_effect for one in found]) == pytest.approx(0.05, rel=tolerance)
    assert np.std([one.beamtime_effect for one in found]) == pytest.approx(0.03, rel=tolerance)


def test_beamtimes_can_be_confounded_with_cycles() -> None:
    size = replace(SMALL, design=Design(beamtimes=2, beamtime_by="cycle", directions=("charge", "discharge")))
    for key in region_keys(size):
        one = conditions_of(size, 0, key)
        assert one.beamtime_id == {1: "2026-10", 100: "2026-11"}[key.cycle]
        assert one.direction == ("charge", "discharge")[key.electrode % 2]


def test_the_sheet_says_times_polarisations_and_how_places_were_chosen(tmp_path: Path) -> None:
    visits = (Visit(polarisation_deg=0.0), Visit(polarisation_deg=90.0), Visit(time_h=0.5, modalities=("stxm",)))
    size = sized(Design(visits=visits, rate_per_h=0.3, convenience=1.0))
    sheet = sample_sheet(scan_tasks(tmp_path, size, 1))
    assert len(sheet) == 10
    assert sheet["scan_id"].is_unique
    assert set(sheet["roi_rule"]) == {"convenience"}
    assert sorted(set(sheet["time_h"])) == [0.0, 0.5]
    assert sheet["polarisation_deg"].isna().sum() == 2
    late, early = (sheet[sheet["time_h"] == t]["soc_coulometric"].to_numpy() for t in (0.5, 0.0))
    assert late.mean() > early.mean() + 0.05


def test_a_second_look_sees_the_same_plates_further_on() -> None:
    design = Design(visits=(Visit(), Visit(time_h=0.4)), rate_per_h=0.25, autocatalysis=0.6)
    size = replace(SMALL, design=design)
    first, second = (region_phantom(size, 1, KEY, visit=visit) for visit in design.visits)
    assert [one.outline.y_um for one in first.particles] == [one.outline.y_um for one in second.particles]
    total = [phantom.thickness_nm(*_axes(phantom)) for phantom in (first, second)]
    # The iron stays, the charge moves on.
    np.testing.assert_allclose(total[0].sum(axis=0), total[1].sum(axis=0), atol=1e-9)
    gained = (total[1][1].sum() - total[0][1].sum()) / total[0].sum()
    assert gained == pytest.approx(0.4 * 0.25, rel=0.25)


def test_rates_grow_with_charge_where_the_reaction_is_autocatalytic() -> None:
    size = replace(SMALL, design=Design(visits=(Visit(), Visit(time_h=0.2)), rate_per_h=0.2, autocatalysis=0.8))
    late = region_phantom(size, 1, KEY, visit=size.design.visits[1]).particles
    for one in [p for p in late if p.pattern == "two_phase"][:3]:
        u, v = np.meshgrid(np.linspace(-0.3, 0.3, 61), np.linspace(-0.2, 0.2, 41))
        soc = one.first_soc(u, v, one.outline.radius(u, v))
        rate = one.reaction.rate(soc, u, v)
        np.testing.assert_allclose(one.reaction.after(soc, u, v), soc + 0.2 * rate)
        inside = (soc > 0.2) & (soc < 0.8)
        assert rate[soc > 0.6].size == 0 or rate[soc > 0.6].mean() > rate[soc < 0.4].mean() or not inside.any()


def test_boundaries_lie_in_any_direction_only_if_asked() -> None:
    rng = np.random.default_rng(0)
    along = [particle(pattern="two_phase").direction_rad for _ in range(2)]
    assert along[0] == along[1]
    drawn = {}
    for random in (False, True):
        interior = Interior(random_boundary=random)
        phantom = region(Design(interior=interior), seed=int(rng.integers(9)))
        angles = np.array([p.direction_rad for p in phantom.particles])
        drawn[random] = np.abs(np.exp(2j * angles).mean())
    assert drawn[False] > 0.8
    assert drawn[True] < 0.3


@pytest.mark.long
def test_a_hard_campaign_is_one_that_the_house_reads(tmp_path: Path) -> None:
    design = replace(
        HARD.design,
        visits=(Visit(), Visit(time_h=0.5, modalities=("stxm",))),
        ptychography_every=1,
        energies_ev=((700.0, 708.2, 710.2), (708.2, 710.2)),
        counts=(300.0,),
    )
    size = replace(HARD, name="tiny-hard", n_electrodes=2, cycles=(1,), n_regions=1, design=design, stxm=TINY.stxm,
                   ptychography=TINY.ptychography)  # fmt: skip
    made = simulate_size(tmp_path, size, 3, workers=1, report=lambda line: None)
    assert made.n_scans == size.n_scans == 6
    found = manifest.load(tmp_path / "campaign.yaml")
    assert [scan.time_h for scan in found.scans] == [0.0, 0.0, 0.5] * 2
    tables = {name: pd.read_parquet(tmp_path / "truth" / f"{name}.parquet") for name in ("particles", "pairs", "scans")}
    particles = tables["particles"]
    both = particles[particles["scan_id"] == "stxm-E01-c001-r1"].merge(
        particles[particles["scan_id"] == "stxm-E01-c001-r1-v2"], on="region_particle", suffixes=("", "_late")
    )
    whole = both[~both["touches_border"] & ~both["touches_border_late"]]
    moved = whole["soc_mean_late"] - whole["soc_mean"]
    # The rate is a mean over the area with half of the thickness, soc_mean over all of the mass.
    np.testing.assert_allclose(moved, 0.5 * whole["rate_per_h_late"], atol=0.01)
    assert (moved[~whole["planted_active"]].abs() < 1e-6).all()
    assert set(tables["pairs"]["other_modality"]) == {"stxm", "ptychography"}
    assert np.hypot(tables["scans"]["offset_y_um"], tables["scans"]["offset_x_um"])[0] == pytest.approx(0.3)
