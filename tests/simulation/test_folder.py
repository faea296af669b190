"""A whole campaign in small: the same bytes whoever computes it, files as beamlines write them, tables by contract."""

import csv
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from storage.schema import TABLES
from stxmdist import readers
from stxmdist.campaign import manifest
from stxmdist.errors import InputError
from stxmdist.simulation.diffraction import Detector
from stxmdist.simulation.experiment import region_phantom
from stxmdist.simulation.folder import SHEET_COLUMNS, scan_tasks, simulate, simulate_size
from stxmdist.simulation.scans import make_scan, receipt_of
from stxmdist.simulation.sizes import SMALL, PtychographySetup, StxmSetup
from stxmdist.units import ev_from_joule

pytestmark = pytest.mark.long

TINY = replace(
    SMALL,
    name="tiny",
    n_electrodes=2,
    cycles=(1,),
    stxm=StxmSetup(energy_ev=(700.0, 708.2, 710.2), n_px=61),
    ptychography=PtychographySetup(
        energy_ev=(708.2, 710.2), field_um=1.1, step_um=0.22, detector=Detector(32, 120.0, 0.0528)
    ),
)


def quiet(line: str) -> None:
    """Progress goes nowhere."""


def content(folder: Path) -> dict[str, str]:
    """Digests of what a campaign holds, apart from times: data of HDF5 files, bytes of the rest."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.suffix in {".cxi", ".hdf5"}:
            digest = hashlib.sha256()
            with h5py.File(path) as file:
                file.visititems(lambda key, item, d=digest: d.update(key.encode() + _bytes(item)))
            found[name] = digest.hexdigest()
        elif name.startswith("truth/scans/") and path.suffix == ".json":
            found[name] = json.dumps(json.loads(path.read_text()) | {"seconds": 0, "files": 0})
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _bytes(item: h5py.Group | h5py.Dataset) -> bytes:
    return np.asarray(item[()]).tobytes() if isinstance(item, h5py.Dataset) and item.dtype.kind != "O" else b""


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("campaign")
    lines: list[str] = []
    made = simulate_size(folder, TINY, 3, workers=1, report=lines.append)
    assert made.n_scans == len(lines) == 4
    assert all(path.is_file() for path in made.paths)
    assert made.bytes == sum(p.stat().st_size for p in (folder / "beamline").rglob("*") if p.is_file())
    return folder


@pytest.mark.slow
def test_the_same_whatever_the_workers_and_the_order(campaign: Path, tmp_path: Path) -> None:
    simulate_size(tmp_path / "two", TINY, 3, workers=2, report=quiet)
    assert content(tmp_path / "two") == content(campaign)


def test_another_seed_is_another_campaign(campaign: Path, tmp_path: Path) -> None:
    task = scan_tasks(tmp_path, TINY, 4)[0]
    make_scan(task)
    ours, theirs = content(tmp_path), content(campaign)
    assert all(ours[name] != theirs[name] for name in ours if name.endswith(".xim"))


def test_what_is_there_is_kept_and_what_is_hurt_is_made_again(campaign: Path) -> None:
    before = content(campaign)
    tasks = scan_tasks(campaign, TINY, 3)
    times = {task.scan_id: (campaign / task.file).stat().st_mtime_ns for task in tasks}
    hurt = tasks[1]
    os.truncate(campaign / hurt.file, 1000)
    assert receipt_of(hurt) is None
    lines: list[str] = []
    simulate_size(campaign, TINY, 3, workers=1, report=lines.append)
    assert sum("was there" in line for line in lines) == 3
    assert content(campaign) == before
    kept = [task for task in tasks if task is not hurt]
    assert all((campaign / task.file).stat().st_mtime_ns == times[task.scan_id] for task in kept)


def test_sheet_and_campaign_file_are_what_the_house_reads(campaign: Path) -> None:
    with (campaign / "samples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == SHEET_COLUMNS
    found = manifest.load(campaign / "campaign.yaml")
    assert [scan.scan_id for scan in found.scans] == [row["scan_id"] for row in rows]
    assert found.chemistry == "LFP"
    assert found.seed == 3
    assert found.cluster.workers == 2
    assert found.cluster.memory_limit == 10**9
    # Measured, hence near the planted one and not equal to it.
    leak = found.stages["absorbance"]["leak_fraction"]
    assert 0.0 < abs(leak - TINY.stxm.leak_fraction) < 0.1 * TINY.stxm.leak_fraction


def test_readers_find_axes_and_counts_in_both_stxm_formats(campaign: Path) -> None:
    formats = set()
    for task in scan_tasks(campaign, TINY, 3):
        (recording,) = readers.read(campaign / task.file)
        with xr.open_zarr(task.maps_path, consolidated=False) as maps:
            y, x = maps["y"].values, maps["x"].values
        if task.modality == "stxm":
            formats.add(recording.format)
            np.testing.assert_allclose(recording.energy_ev, TINY.stxm.energy_ev, atol=1e-3)
            np.testing.assert_allclose(recording.y_um, y, atol=1e-3)
            np.testing.assert_allclose(recording.x_um, x, atol=1e-3)
            counts = recording.read(0)
            assert counts.shape == (61, 61)
            assert 0.5 * TINY.stxm.counts < counts.mean() < 1.2 * TINY.stxm.counts
        else:
            assert recording.frame_shape == (32, 32)
            assert recording.positions_um.shape == (2, 36, 2)
            middle = recording.positions_um.mean(axis=(0, 1))
            np.testing.assert_allclose(middle, [y.mean(), x.mean()], atol=0.05)
            frames = recording.read(0, slice(0, 36))
            # Absorbed, and scattered past the detector: less than through vacuum, not by much.
            assert 0.3 * 5e5 < frames.sum(axis=(1, 2)).mean() < 1.05 * 5e5
    assert formats == {"sdf", "nxstxm"}


def test_energies_in_cxi_are_one_entry_each(campaign: Path) -> None:
    with h5py.File(campaign / "beamline" / "ptycho-E01-c001-r1.cxi") as file:
        energies = [ev_from_joule(file[f"entry_{n}/instrument_1/source_1/energy"][()]) for n in (1, 2)]
    np.testing.assert_allclose(energies, TINY.ptychography.energy_ev, atol=1e-3)


def test_truth_tables_have_the_columns_of_the_contract(campaign: Path) -> None:
    contract = {
        "particles": "scan_id region_id pair_id particle_id modality y_um x_um n_pixels area_um2 d_eq_um aspect "
        "solidity thickness_nm soc_mean soc_se soc_sd f_charged f_mixed f_discharged phase_class active "
        "core_shell_index flags",
        "electrodes": "electrode_id cycle c_rate direction n_regions n_particles soc_mean soc_ci_low soc_ci_high "
        "soc_coulometric sd_inter sd_intra icc active_fraction active_ci_low active_ci_high d10_um d50_um d90_um",
        "effects": "endpoint term estimate se ci_low ci_high p method p_min_attainable q_fdr n_electrodes n_particles",
        "variance": "endpoint component variance share ci_low ci_high",
    }
    for name, columns in contract.items():
        table = pd.read_parquet(campaign / "truth" / f"{name}.parquet")
        assert set(columns.split()) <= set(table.columns), name
        assert set(columns.split()) - {"pair_id"} <= {spec.name for spec in TABLES[name].columns}, name
        assert len(table) > 0


def test_both_modalities_see_the_same_particles(campaign: Path) -> None:
    """Pairs share the particles; the coordinates of the ptychography are off by the planted offset of the stage."""
    particles = pd.read_parquet(campaign / "truth" / "particles.parquet")
    nuisance = json.loads((campaign / "truth" / "nuisance.json").read_text())
    stxm = particles[(particles["modality"] == "stxm") & ~particles["touches_border"]].set_index("region_particle")
    both = particles[(particles["modality"] == "ptychography") & ~particles["touches_border"]]
    both = both[both["region_particle"].isin(stxm.index)]
    assert len(both) >= 1
    for row in both.itertuples():
        other = stxm.loc[row.region_particle]
        offset = nuisance["scans"][row.scan_id]["offset_um"]
        assert row.y_um - other["y_um"] == pytest.approx(offset[0], abs=1e-6)
        assert row.x_um - other["x_um"] == pytest.approx(offset[1], abs=1e-6)
        assert row.soc_mean == pytest.approx(other["soc_mean"], abs=1e-9)
        assert row.pair_id == other["pair_id"]
        assert np.hypot(*offset) == pytest.approx(0.18, abs=0.15)


def test_variance_shares_sum_to_one(campaign: Path) -> None:
    table = pd.read_parquet(campaign / "truth" / "variance.parquet")
    assert table["share"].sum() == pytest.approx(1.0)
    assert table["component"].tolist() == ["electrode", "region", "particle", "intra", "noise"]


def test_phantoms_do_not_depend_on_what_was_made_before() -> None:
    task = scan_tasks(Path("unused"), TINY, 3)[2]
    one = region_phantom(TINY, 3, task.region_key)
    region_phantom(TINY, 9, task.region_key)
    two = region_phantom(TINY, 3, task.region_key)
    assert [p.soc_mean for p in one.particles] == [p.soc_mean for p in two.particles]


def test_a_size_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Did you mean 'small'"):
        simulate(tmp_path, "smal", 0, workers=1, report=quiet)
    assert not list(tmp_path.iterdir())
