"""What headers say together: copies, edges, order and beamtimes, regions and pairs from the stage's coordinates."""

import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np

from stxmdist.arrays import Real
from stxmdist.campaign.found import FoundScan, find_scans
from stxmdist.campaign.inferred import chemistry_of, in_order, with_regions, without_copies, without_other_edges
from stxmdist.campaign.init import init
from stxmdist.readers import describe
from stxmdist.readers.recording import PtychographyRecording
from stxmdist.writers import sdf

FE_EV = (700.0, 704.0, 706.0, 708.0, 709.0, 710.0, 712.0, 715.0)


def write(path: Path, at: datetime, y_um: float = 0.0, energies_ev: tuple[float, ...] = FE_EV, seed: int = 0) -> None:
    axis_um, frame = np.arange(20) * 0.1, np.random.default_rng(seed).poisson(900.0, (20, 20))
    sdf.write_stack(path, lambda energy: frame, energies_ev, y_um + axis_um, axis_um, 1.0, 500.0, start_time=at)


def scans_in(folder: Path) -> list[FoundScan]:
    return find_scans(folder, describe)[0]


def ptychography(y_um: Real, x_um: Real) -> PtychographyRecording:
    positions = np.stack(np.meshgrid(y_um, x_um, indexing="ij"), axis=-1).reshape(1, -1, 2)
    nothing = np.zeros((1, 4, 4), np.uint16)
    return PtychographyRecording(
        Path("scan.cxi"), "cxi", np.array([708.0]), positions, (4, 4), np.dtype(np.uint16), np.ones((4, 4), bool), 0.07,
        (20.0, 20.0), None, lambda energy, where: nothing, (Path("scan.cxi"),),
    )  # fmt: skip


def test_order_and_beamtimes_follow_the_start_times(tmp_path: Path) -> None:
    days = {"d": 3, "a": 4, "c": 17, "b": 18}
    for seed, (name, day) in enumerate(days.items()):
        write(tmp_path / f"{name}.hdr", datetime(2026, 5, day, 12), seed=seed)
    found = in_order(scans_in(tmp_path))
    assert [(scan.scan_id, scan.beamtime_id) for scan in found] == [
        ("d", "2026-05-03"), ("a", "2026-05-03"), ("c", "2026-05-17"), ("b", "2026-05-17"),
    ]  # fmt: skip
    # Files that do not say when they were taken come last, and belong to no beamtime.
    silent = replace(found[0], recording=None, beamtime_id="")
    assert [scan.beamtime_id for scan in in_order([silent, *found])] == ["2026-05-03"] * 2 + ["2026-05-17"] * 2 + [""]


def test_regions_and_pairs_follow_from_fields_that_overlap(tmp_path: Path) -> None:
    for seed, (name, y_um) in enumerate({"one": 0.0, "same": 0.4, "next": 1.9, "far": 50.0}.items()):
        write(tmp_path / f"{name}.hdr", datetime(2026, 5, 1, 9, seed), y_um, seed=seed)
    fields = np.linspace(50.5, 51.5, 5), np.linspace(0.2, 1.2, 5)
    small = FoundScan("fine", (Path("scan.cxi"),), "ptychography", "", (708.0, 708.0), beamtime_id="2026-05-01")
    small = replace(small, recording=ptychography(*fields))
    found = {scan.scan_id: scan for scan in with_regions([*in_order(scans_in(tmp_path)), small])}
    assert found["one"].region_id == found["same"].region_id == "r1"
    assert len({found[name].region_id for name in ("one", "next", "far")}) == 3
    assert found["fine"].region_id == found["fine"].pair_id == found["far"].pair_id == found["far"].region_id
    assert found["one"].pair_id == found["same"].pair_id == ""
    assert found["fine"].why == (
        f"region {found['far'].region_id} and pair: its field on the stage overlaps that of far.hdr",
    )
    # The same coordinates in another beamtime are another sample.
    other = with_regions([replace(small, beamtime_id="2026-06-01"), *in_order(scans_in(tmp_path))])
    assert not any(scan.pair_id for scan in other)


def test_copies_and_other_edges_are_left_out_with_the_reason(tmp_path: Path) -> None:
    write(tmp_path / "iron.hdr", datetime(2026, 5, 1))
    write(tmp_path / "iron2.hdr", datetime(2026, 5, 2), seed=1)
    write(tmp_path / "nickel.hdr", datetime(2026, 5, 3), energies_ev=(848.0, 853.0, 855.0, 860.0))
    write(tmp_path / "carbon.hdr", datetime(2026, 5, 4), energies_ev=(280.0, 285.0, 290.0))
    (tmp_path / "backup").mkdir()
    for path in tmp_path.glob("iron[._]*"):
        shutil.copy2(path, tmp_path / "backup" / path.name)
    found = without_copies(scans_in(tmp_path))
    assert [scan.cell for scan in found if scan.reason] == ["iron.hdr"]
    assert found[[scan.cell for scan in found].index("iron.hdr")].reason == "a copy of backup/iron.hdr, byte by byte"
    chemistry = chemistry_of(found)
    assert (chemistry.name, chemistry.scans) == ("LFP", 2)
    reasons = {scan.scan_id: scan.reason for scan in without_other_edges(found, chemistry)}
    assert reasons["nickel"].startswith("another edge: 848.0 to 860.0 eV, Ni L, where LFP wants Fe L")
    assert reasons["nickel"].endswith("if the electrode is NMC say so in the column chemistry")
    assert reasons["carbon"].startswith("another edge: 280.0 to 290.0 eV, C K")
    assert "chemistry" not in reasons["carbon"]


def test_the_outermost_zone_is_taken_from_the_files(tmp_path: Path) -> None:
    from stxmdist.writers.nxstxm import writer

    axis_um, frame = np.arange(20) * 0.1, np.random.default_rng(0).poisson(900.0, (20, 20))
    path = tmp_path / "pollux.hdf5"
    writer.write_stack(path, lambda energy: frame, FE_EV, axis_um, axis_um, 1.0, 500.0, dialect="pollux")
    text = init(tmp_path).campaign.read_text()
    assert "\nstages:\n  segment:\n    outer_zone_nm: 35  # of the zone plate" in text


def test_rows_for_each_region_of_a_file(tmp_path: Path) -> None:
    from tests.readers.sdf.test_sdf_scans import axis, header, put, rasters

    stack = axis("StackAxis", "Energy", np.array([708.0]), "eV")
    (tmp_path / "two.hdr").write_text(header("Image Scan", "Multi-Region Image", rasters((3, 5), (2, 7)), stack))
    for region, shape in enumerate(((3, 5), (2, 7))):
        put(tmp_path / f"two_a{region}.xim", np.full(shape, 900.0))
    cells = [scan.cell for scan in scans_in(tmp_path)]
    assert cells == ["two.hdr#region0", "two.hdr#region1"]
