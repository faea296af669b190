"""A campaign of which everything is known is scored: perfect, wrong by a planted amount, or not there at all."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from storage.columns import table_spec
from storage.layout import ArrayPlan
from storage.publication import Publication, PublishedScan
from storage.store import Store
from storage.tables import write_table
from stxmdist.errors import InputError
from stxmdist.heterogeneity.variance import partition
from stxmdist.measures import RegisterMeasures
from stxmdist.records import figures_of
from stxmdist.scoring.particles import overlaps
from stxmdist.scoring.ptychography import object_error
from stxmdist.scoring.score import score
from stxmdist.simulation.chemistry import transmission
from stxmdist.simulation.truth import TruthMaps, write_maps

SHAPE = (67, 73)
PITCH_UM = {"stxm": 0.05, "ptychography": 0.012}
SIGMA_UM = {"stxm": 0.025, "ptychography": 0.006}
OFFSET_UM = (0.15, -0.10)
STACK_DRIFT_UM = np.array([[0.02, -0.03], [0.05, 0.01]])
DISCS = ((14.0, 15.0, 6.0), (14.0, 50.0, 7.0), (45.0, 20.0, 9.0), (48.0, 55.0, 8.0), (64.0, 36.0, 5.0))
"""Row, column, radius in pixels; the last reaches over the border."""
SOC_SE = 0.02


def axes(modality, offset=(0.0, 0.0)):
    return tuple(10.0 + np.arange(n) * PITCH_UM[modality] + o for n, o in zip(SHAPE, offset, strict=True))


def draw_labels():
    rows, columns = np.indices(SHAPE)
    labels = np.zeros(SHAPE, np.int32)
    for number, (y, x, radius) in enumerate(DISCS, start=1):
        labels[np.hypot(rows - y, columns - x) <= radius] = number
    return labels


def particle_table(rng):
    """Truth of two electrodes at two cycles, one STXM and one ptychography scan each."""
    rows = []
    for electrode in ("E01", "E02"):
        for cycle in (1, 100):
            for modality in ("stxm", "ptychography"):
                for number, (y, x, radius) in enumerate(DISCS, start=1):
                    cut = number == len(DISCS)
                    d_um = 2.0 * radius * PITCH_UM[modality]
                    rows.append(
                        {"scan_id": f"{modality}-{electrode}-{cycle}", "modality": modality, "electrode_id": electrode,
                         "region_id": f"{electrode}-{cycle}", "cycle": cycle, "c_rate": 1.0, "direction": "charge",
                         "particle_id": number, "y_um": y, "x_um": x, "n_pixels": int(np.pi * radius**2),
                         "area_um2": np.pi * d_um**2 / 4.0, "d_eq_um": d_um, "aspect": 1.0, "solidity": 1.0,
                         "thickness_nm": 100.0, "soc_mean": rng.uniform(0.2, 0.8), "soc_se": 0.0, "soc_sd": 0.1,
                         "phase_class": "solid-solution", "active": True, "flags": "", "touches_border": cut,
                         "mass_um2_nm": 1.0, "psf_sigma_um": SIGMA_UM[modality]}
                    )  # fmt: skip
    return pd.DataFrame(rows)


def write_truth(folder, true):
    (folder / "maps").mkdir(parents=True)
    labels = draw_labels()
    thickness = np.where(labels > 0, 100.0, 0.0).astype(np.float32)
    nuisance = {}
    for scan_id, here in true.groupby("scan_id"):
        modality = here["modality"].iloc[0]
        maps = TruthMaps(labels, np.stack([0.4 * thickness, 0.6 * thickness]), soc=thickness)
        write_maps(folder / "maps" / f"{scan_id}.zarr", maps, *axes(modality), {})
        nuisance[scan_id] = {"modality": modality, "energy_offset_ev": 0.05, "second_mode": 0.04,
                             "offset_um": OFFSET_UM if modality == "ptychography" else (0.0, 0.0),
                             "shift_um": STACK_DRIFT_UM.tolist()}  # fmt: skip
    true.to_parquet(folder / "particles.parquet")
    mean = true[true["modality"] == "stxm"].groupby(["electrode_id", "cycle"], as_index=False)["soc_mean"].mean()
    mean.to_parquet(folder / "electrodes.parquet")
    effects = {"endpoint": "soc_mean", "term": ["cycle", "log_d_eq"], "estimate": [-0.0008, -0.12]}
    pd.DataFrame(effects).to_parquet(folder / "effects.parquet")
    (folder / "nuisance.json").write_text(json.dumps({"scans": nuisance}))


def contract_table(name, values):
    """A table with every column of the contract, null where it has nothing to say."""
    return pd.DataFrame(
        {
            column.name: values[column.name] if column.name in values else pd.Series([None] * len(values))
            for column in table_spec(name).columns
            if column.required or column.name in values
        }
    )


def publish(store, stage, qualities, options=None):
    scans = {scan_id: PublishedScan("d", "done", figures_of(figures)) for scan_id, figures in qualities.items()}
    store.publish(Publication(stage, 1, options or {}, 0, "2026-10-12T08:00:00+00:00", {}, scans))


def write_store(root, true, labels_of, *, soc_error=0.0, absent=(), ptychography=False):
    """What a run would have published: labels, particles, objects, statistics."""
    store = Store(root).create()
    recovered = true.assign(soc_mean=true["soc_mean"] + soc_error, soc_se=SOC_SE, soc_se_stat=1e-3)
    there = [scan_id for scan_id in true["scan_id"].unique() if scan_id not in absent]
    stacks = [scan_id for scan_id in there if scan_id.startswith("stxm")]
    for scan_id in there:
        here = recovered[recovered["scan_id"] == scan_id].reset_index(drop=True)
        y, x = axes(here["modality"].iloc[0])
        coords = {"y": (y, "um"), "x": (x, "um")}
        output = store.output("segment", scan_id, "d")
        output.declare([ArrayPlan("labels", SHAPE, SHAPE, None, coords)])
        output.write("u", {"labels": [(0, 0)]}, "labels", (0, 0), labels_of(scan_id))
        write_table(contract_table("particles", here), output.path / "particles.parquet", "particles")
        if scan_id in stacks and ptychography:
            write_alignment(store.output("align", scan_id, "d"), coords)
    publish(store, "segment", dict.fromkeys(there))
    if ptychography:
        write_pairs(store, stacks)
    store.tables_path.mkdir()
    kept = recovered[~recovered["touches_border"] & recovered["scan_id"].isin(there)]
    write_table(partition(kept, "soc_mean"), store.tables_path / "variance.parquet", "variance")
    return store


def write_alignment(output, coords):
    values = {"shift_px": (STACK_DRIFT_UM[0] - STACK_DRIFT_UM) / PITCH_UM["stxm"], "energy_used": np.ones(2, np.uint8)}
    energy = {"energy": (np.array([700.0, 710.0]), "eV")}
    plans = [ArrayPlan(name, array.shape, array.shape, None, energy | coords) for name, array in values.items()]
    output.declare([*plans, ArrayPlan("aligned_class", SHAPE, SHAPE, None, coords)])
    for name, array in values.items():
        output.write("u", {name: [(0,) * array.ndim]}, name, (0,) * array.ndim, array)


def write_pairs(store, stacks):
    """Objects, and where they were registered: each stack stands where its first frame stood."""
    shift = STACK_DRIFT_UM[0] - np.array(OFFSET_UM)
    pairs = {stack.replace("stxm", "ptychography"): stack for stack in stacks[:2]}
    for scan_id in pairs:
        store.output("register", scan_id, "d").path.mkdir(parents=True)
        write_object(store.output("stitch", scan_id, "d"))
    publish(store, "align", dict.fromkeys(stacks))
    publish(store, "stitch", dict.fromkeys(pairs))
    publish(store, "register", {scan_id: registered(stack, shift) for scan_id, stack in pairs.items()})


def registered(stack, shift_um):
    """A registration that was accepted."""
    return RegisterMeasures(
        stxm=stack, accepted=True, reason="registered", matrix_um=np.eye(2, 3), shift_um=shift_um, rotation_deg=0.0,
        scale=1.0, error_um=0.004, correlation=0.9, pairs=4,
    )  # fmt: skip


def write_object(output):
    y, x = axes("ptychography")
    energy_ev = np.array([700.0, 710.0])
    labels = draw_labels()
    thickness = np.where(labels > 0, 100.0, 0.0)
    shape = (2, *SHAPE)
    coords = {"energy": (energy_ev, "eV"), "y": (y, "um"), "x": (x, "um")}
    names = ("object", "illumination_weight")
    output.declare([ArrayPlan(name, shape, (1, *SHAPE), None, coords) for name in names])
    for index, energy in enumerate(energy_ev):
        # float32 thickness, as the map of the truth holds it
        image = transmission(np.stack([0.4 * thickness, 0.6 * thickness]).astype(np.float32), energy + 0.05)
        for name, values in (("object", (0.7j * image).astype(np.complex64)), ("illumination_weight",
                             np.ones(SHAPE, np.float32))):  # fmt: skip
            output.write("u", {name: [(0, 0, 0), (1, 0, 0)]}, name, (index, 0, 0), values[None])


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated") / "truth"
    true = particle_table(np.random.default_rng(5))
    write_truth(folder, true)
    return folder, true


@pytest.fixture(scope="module")
def perfect(truth, tmp_path_factory):
    folder, true = truth
    path = tmp_path_factory.mktemp("perfect") / "store"
    write_store(path, true, lambda scan_id: draw_labels(), ptychography=True)
    return score(path, folder)


def by(rows, key):
    return {row[key]: row for row in rows}


def test_a_perfect_recovery_gives_perfect_figures(perfect) -> None:
    found = perfect
    json.dumps(found, allow_nan=False)
    for name, n in (("stxm", 16), ("ptychography", 16), ("both", 32)):
        row = by(found["particles"], "modality")[name]
        # The cut particle of every scan is asked of nobody, and is not counted as too many.
        assert (row["n_true"], row["n_found"], row["extra"]) == (n, n, 0)
        assert row["soc_rms_error"] == pytest.approx(0.0, abs=1e-12)
        assert row["diameter_ratio"] == pytest.approx(1.0)
        assert row["soc_sd_ratio"] == pytest.approx(1.0)
        assert row["soc_inside"] == 1.0
    # Intervals that never miss are too long: the one target that perfection does not meet.
    assert [name for name, met in found["passed"].items() if not met] == ["soc inside"]
    assert found["missing"] == []


def test_shares_are_of_the_total_without_noise(perfect) -> None:
    rows = by(perfect["variance"], "component")
    assert rows["noise"]["share"] > 0.0
    levels = [row for name, row in rows.items() if name != "noise"]
    for column in ("share", "share_true"):
        assert sum(row[column] for row in levels) == pytest.approx(1.0)
    # Particles vary by 0.17 and their noise is 0.001: what noise takes from a level is 3e-5 of it.
    assert max(abs(row["difference"]) for row in levels) < 1e-4


def test_an_offset_in_state_of_charge_is_found_as_such(truth, tmp_path) -> None:
    folder, true = truth
    write_store(tmp_path / "store", true, lambda scan_id: draw_labels(), soc_error=0.05)
    found = score(tmp_path / "store", folder)
    row = by(found["particles"], "modality")["stxm"]
    assert row["soc_rms_error"] == pytest.approx(0.05)
    assert row["soc_bias"] == pytest.approx(0.05)
    assert row["soc_inside"] == 0.0  # 0.05 > 1.96 * SOC_SE
    assert not found["passed"]["soc rms error, stxm"]
    assert not found["passed"]["soc inside"]
    assert found["passed"]["found, stxm"]


def test_shuffled_labels_find_nobody(truth, tmp_path) -> None:
    folder, true = truth
    rng = np.random.default_rng(2)
    write_store(tmp_path / "store", true, lambda scan_id: rng.permutation(draw_labels().ravel()).reshape(SHAPE))
    found = score(tmp_path / "store", folder)
    row = by(found["particles"], "modality")["both"]
    assert (row["n_found"], row["found"]) == (0, 0.0)
    assert row["extra"] == row["n_true"] == 32
    assert row["soc_rms_error"] is None
    assert not found["passed"]["found, both"]
    assert not found["passed"]["soc rms error, stxm"]


def test_a_scan_that_is_not_there_is_named_and_counts_nowhere(truth, tmp_path) -> None:
    folder, true = truth
    absent = ("stxm-E01-1", "ptychography-E02-100")
    write_store(tmp_path / "store", true, lambda scan_id: draw_labels(), absent=absent)
    found = score(tmp_path / "store", folder)
    assert sorted(found["missing"]) == sorted(absent)
    assert by(found["particles"], "modality")["both"]["n_true"] == 24
    assert not found["passed"]["every scan"]
    assert found["ptychography"] == []


def test_an_empty_store_meets_no_target(truth, tmp_path) -> None:
    folder, _ = truth
    Store(tmp_path / "store").create()
    found = score(tmp_path / "store", folder)
    json.dumps(found, allow_nan=False)
    assert not any(found["passed"].values())
    assert len(found["missing"]) == 8
    assert all(row["inside"] is None for row in found["electrodes"] + found["effects"])


def test_a_campaign_without_truth_is_refused(truth, tmp_path) -> None:
    Store(tmp_path / "store").create()
    with pytest.raises(InputError, match="truth"):
        score(tmp_path / "store", tmp_path / "truth")
    shutil.copytree(truth[0], tmp_path / "truth")
    (tmp_path / "truth" / "nuisance.json").unlink()
    with pytest.raises(InputError, match=r"nuisance\.json"):
        score(tmp_path / "store", tmp_path / "truth")


def test_intervals_of_electrodes_and_effects_are_held_against_the_planted(truth, tmp_path) -> None:
    folder, true = truth
    store = write_store(tmp_path / "store", true, lambda scan_id: draw_labels())
    places = pd.read_parquet(folder / "electrodes.parquet")
    wrong = places["soc_mean"] + np.array([0.0, 0.05, 0.0, -0.05])
    table = places.assign(soc_mean=wrong, soc_ci_low=wrong - 0.03, soc_ci_high=wrong + 0.03)
    write_table(contract_table("electrodes", table), store.tables_path / "electrodes.parquet", "electrodes")
    effects = pd.DataFrame({"endpoint": "soc_mean", "term": ["cycle", "log_d_eq"], "estimate": [-0.001, -0.05],
                            "ci_low": [-0.002, -0.08], "ci_high": [0.0, -0.02], "method": "t"})  # fmt: skip
    write_table(contract_table("effects", effects), store.tables_path / "effects.parquet", "effects")
    found = score(tmp_path / "store", folder)
    assert [row["inside"] for row in found["electrodes"]] == [True, False, True, False]
    assert by(found["effects"], "term")["cycle"]["inside"] is True
    assert by(found["effects"], "term")["log_d_eq"]["inside"] is False
    whole = true[(true["scan_id"] == "stxm-E01-1") & ~true["touches_border"]]["soc_mean"].mean()
    assert found["electrodes"][0]["true_whole"] == pytest.approx(whole)


def test_ptychography_is_judged_without_its_free_gauge(perfect) -> None:
    found = perfect["ptychography"]
    assert len(found) == 2
    for row in found:
        assert row["object_error"] < 1e-5  # the object is stored as complex64, the energy is the file's plus 0.05 eV
        assert row["registration_error_nm"] == pytest.approx(0.0, abs=1e-6)
        assert row["registered"] is True
        assert row["half_bit_nm"] is None  # nothing is published of the reconstruction


def soft_object(axes_um, energy_ev=708.2):
    """A few smooth particles, the same on every grid."""
    y, x = np.meshgrid(*axes_um, indexing="ij")
    thickness = sum(
        150.0 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2.0 * 0.08**2))
        for cy, cx in ((10.3, 10.3), (10.4, 10.9), (10.9, 10.5), (10.8, 10.95))
    )
    return transmission(np.stack([0.3 * thickness, 0.7 * thickness]), energy_ev)


def grids():
    fine = np.arange(10.0, 11.3, 0.010)
    coarse = np.arange(9.96, 11.34, 0.0127)
    return (fine, fine), (coarse, coarse[:-4])


def test_error_of_an_object_on_another_grid_with_factor_ramp_and_shift() -> None:
    true_axes, object_axes = grids()
    shift = (0.0071, -0.0152)
    moved = soft_object(tuple(axis - s for axis, s in zip(object_axes, shift, strict=True)))
    rows, columns = np.indices(moved.shape)
    seen = (0.8 - 0.5j) * moved * np.exp(1j * (0.004 * rows - 0.007 * columns))
    seen[:5] = np.nan
    found = object_error(seen, np.ones(seen.shape), object_axes, soft_object(true_axes), true_axes)
    # A cubic spline through pixels of 10 nm, particles of 80 nm: what is left is of the order (10/80)^4.
    assert found.whole < 1e-3
    assert found.shift_um == pytest.approx(shift, abs=1e-4)
    assert found.ramp_rad_per_um == pytest.approx(np.hypot(0.004, 0.007) / 0.0127, rel=0.01)


def test_noise_of_five_percent_is_an_error_of_five_percent() -> None:
    true_axes, object_axes = grids()
    truth = soft_object(true_axes)
    seen = soft_object(object_axes)
    rng = np.random.default_rng(0)
    rms = np.sqrt((np.abs(seen) ** 2).mean())
    noise = 0.05 * rms * (rng.normal(size=seen.shape) + 1j * rng.normal(size=seen.shape)) / np.sqrt(2.0)
    found = object_error(seen + noise, np.ones(seen.shape), object_axes, truth, true_axes)
    assert found.whole == pytest.approx(0.05, rel=0.03)  # 10 000 pixels: 1 %, and a normalising factor
    assert found.amplitude == pytest.approx(0.05 / np.sqrt(2.0), rel=0.05)


def test_dark_pixels_do_not_count_and_too_few_say_nothing() -> None:
    true_axes, object_axes = grids()
    truth, seen = soft_object(true_axes), soft_object(object_axes)
    light = np.ones(seen.shape)
    seen[:, :30], light[:, :30] = 5.0, 0.1
    assert object_error(seen, light, object_axes, truth, true_axes).whole < 1e-3
    assert np.isnan(object_error(seen, np.zeros(seen.shape), object_axes, truth, true_axes).whole)
    far = (object_axes[0] + 50.0, object_axes[1])
    assert np.isnan(object_error(seen, light, far, truth, true_axes).whole)


def test_intersection_over_union_by_counting() -> None:
    rng = np.random.default_rng(3)
    one, other = rng.integers(0, 4, (13, 17)), rng.integers(0, 6, (13, 17))
    table = overlaps(one, other)
    assert table.shape == (4, 6)
    for i in range(4):
        for j in range(6):
            a, b = one == i, other == j
            assert table[i, j] == pytest.approx((a & b).sum() / (a | b).sum())
