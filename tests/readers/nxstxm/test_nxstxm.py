"""NXstxm: every dialect gives the same recording, aborted scans are missing, other scans are refused by name."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np
import pytest

from stxmdist import readers
from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.readers.recording import StxmRecording
from stxmdist.writers.nxstxm import writer
from stxmdist.writers.nxstxm.table import DIALECTS
from tests.readers.examples.planted import X_UM, Y_UM

Write = Callable[..., Path]


def read(path: Path) -> StxmRecording:
    (recording,) = readers.read(path)
    assert isinstance(recording, StxmRecording)
    return recording


def pystxmcontrol_2(
    path: Path, counts: np.ndarray, energy_ev: np.ndarray, y: np.ndarray, x: np.ndarray, version: str
) -> Path:
    """Layouts of pystxmcontrol before version 3: 1 direct, 2.0 raw points, 2.1 binned beside raw ones."""
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry0")
        entry["definition"] = np.array([b"NXstxm"])
        counter = entry.create_group("counter0")
        counter["energy"], counter["count_time"] = energy_ev, np.full(len(energy_ev), 3.0)
        counter["stxm_scan_type"] = np.array([b"Image"])
        flat = counts.reshape(len(counts), -1)
        if version == "2.1":
            counter["data"] = np.repeat(flat, 2, axis=1)
            counter["sample_x"], counter["sample_y"] = np.zeros(2 * flat.shape[1]), np.zeros(2 * flat.shape[1])
            binned = entry.create_group("binned_values")
            binned["data"], binned["sample_x"], binned["sample_y"] = counts, x, y
        elif version == "2.0":
            counter["data"] = flat
            requested = entry.create_group("requested_values")
            requested["sample_x"], requested["sample_y"] = x, y
        else:
            counter["data"], counter["sample_x"], counter["sample_y"] = counts, x, y
            entry.create_group("motors")
    return path


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_gives_the_same(dialect: str, planted: np.ndarray, tmp_path: Path) -> None:
    energy_ev = np.array([700.0, 701.5, 702, 707.25, 708])
    y, x = -3 + 0.1 * np.arange(7), 20 + 0.2 * np.arange(11)
    path = tmp_path / "scan.hdf5"
    writer.write_stack(
        path, lambda i: planted[i], energy_ev, y, x, 2.5, 399.0, start_time=datetime(2026, 1, 2), dialect=dialect
    )
    recording = read(path)
    assert readers.describe(path).kind == "image stack"
    np.testing.assert_allclose(recording.energy_ev, energy_ev)
    np.testing.assert_allclose(recording.y_um, y)
    np.testing.assert_allclose(recording.x_um, x)
    np.testing.assert_allclose(recording.dwell_ms, 2.5)
    if np.isfinite(recording.ring_current_ma).any():
        np.testing.assert_allclose(recording.ring_current_ma, 399.0)
    else:
        assert "ring current" in recording.lacks
    assert recording.start_time
    for index in range(5):
        np.testing.assert_array_equal(recording.read(index), planted[index])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_aborted_scans_are_missing_in_every_dialect(dialect: str, planted: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "scan.hdf5"
    axes = (np.arange(700.0, 705.0), np.arange(7.0), np.arange(11.0))
    writer.write_stack(
        path,
        lambda i: planted[i],
        *axes,
        2.5,
        399.0,
        start_time=datetime(2026, 1, 2),
        dialect=dialect,
        frames=(0, 1, 3),
    )
    recording = read(path)
    missing = MaskClass.missing
    assert recording.frame_class.tolist() == [0, 0, missing, 0, missing]
    assert np.isnan(recording.read(2)).all()
    assert np.isnan(recording.read(4)).all()
    np.testing.assert_array_equal(recording.read(3), planted[3])


@pytest.mark.parametrize("version", ["2.1", "2.0", "1"])
def test_older_pystxmcontrol(version: str, planted: np.ndarray, tmp_path: Path) -> None:
    y, x = np.arange(7.0), 5 + np.arange(11.0)
    path = pystxmcontrol_2(tmp_path / "scan.stxm", planted, np.arange(700.0, 705.0), y, x, version)
    recording = read(path)
    np.testing.assert_allclose(recording.x_um, x)
    np.testing.assert_allclose(recording.dwell_ms, 3.0)
    np.testing.assert_array_equal(recording.read(3), planted[3])


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0), (1, 2, 0)])
def test_axes_in_any_order(order: tuple[int, ...], write_nxstxm: Write, planted: np.ndarray, tmp_path: Path) -> None:
    path = write_nxstxm(tmp_path / "scan.hdf5")
    with h5py.File(path, "a") as file:
        group = file["entry1/counter0"]
        del group["data"]
        group["data"] = planted.transpose(order)
        group.attrs["axes"] = [np.bytes_(("energy", "sample_y", "sample_x")[axis]) for axis in order]
    for index in range(5):
        np.testing.assert_array_equal(read(path).read(index), planted[index])


def test_descending_axes_and_energies_are_put_in_order(
    write_nxstxm: Write, planted: np.ndarray, tmp_path: Path
) -> None:
    straight = read(write_nxstxm(tmp_path / "a.hdf5"))
    path = write_nxstxm(
        tmp_path / "b.hdf5",
        counts=planted[::-1, ::-1, ::-1],
        energy_ev=straight.energy_ev[::-1],
        y=straight.y_um[::-1],
        x=straight.x_um[::-1],
    )
    recording = read(path)
    np.testing.assert_allclose(recording.y_um, straight.y_um)
    np.testing.assert_allclose(recording.ring_current_ma, straight.ring_current_ma[::-1])
    for index in range(5):
        np.testing.assert_array_equal(recording.read(index), planted[index])


def test_chunks_never_written_are_missing_not_zero(write_nxstxm: Write, planted: np.ndarray, tmp_path: Path) -> None:
    path = write_nxstxm(tmp_path / "scan.hdf5")
    with h5py.File(path, "a") as file:
        group = file["entry1/counter0"]
        del group["data"]
        data = group.create_dataset("data", planted.shape, "u4", chunks=(1, 3, 11))
        data[:2] = planted[:2]
        data[2, :3] = planted[2, :3]
    recording = read(path)
    assert recording.frame_class.tolist() == [0, 0, 0, 5, 5]
    partial = recording.read(2)
    np.testing.assert_array_equal(partial[:3], planted[2, :3])
    assert np.isnan(partial[3:]).all()


@pytest.mark.parametrize(
    ("unit", "factor"), [(b"nm", 1e-3), (b"m", 1e6), (b"mm", 1e3), (b"\xb5m", 1.0), (b" ", 1.0), ("μm".encode(), 1.0)]
)
def test_units(unit: bytes, factor: float, write_nxstxm: Write, tmp_path: Path) -> None:
    recording = read(write_nxstxm(tmp_path / "scan.hdf5", unit=unit, x=X_UM / factor, y=Y_UM / factor))
    np.testing.assert_allclose(recording.x_um[0], 20.0)
    assert any("sample_x" in lack for lack in recording.lacks) == (unit == b" ")


@pytest.mark.parametrize(
    "definition", ["NXstxm", b"NXstxm", np.array(["NXstxm"], h5py.string_dtype()), np.array([b"nxstxm"])]
)
def test_definition_in_every_spelling(definition: object, write_nxstxm: Write, tmp_path: Path) -> None:
    path = write_nxstxm(tmp_path / "scan.hdf5")
    with h5py.File(path, "a") as file:
        del file["entry1/definition"]
        file["entry1/definition"] = definition
    assert readers.detect(path) == "nxstxm"


def test_several_entries_are_several_regions(write_nxstxm: Write, planted: np.ndarray, tmp_path: Path) -> None:
    path = write_nxstxm(tmp_path / "scan.hdf5")
    with h5py.File(path, "a") as file:
        for number in (2, 10):
            file.copy("entry1", f"entry{number}")
            file[f"entry{number}/counter0/data"][...] = planted + number
        file["entry2/counter0/stxm_scan_type"][...] = [b"sample focus"]
    one, ten = readers.read(path)
    assert (one.region, ten.region) == ("entry1", "entry10")
    np.testing.assert_array_equal(ten.read(0), planted[0] + 10)
    assert any("entry2 is a focus scan" in note for note in one.notes)


def test_other_channels_are_said(write_nxstxm: Write, tmp_path: Path) -> None:
    path = write_nxstxm(tmp_path / "scan.hdf5")
    with h5py.File(path, "a") as file:
        file.copy("entry1/counter0", "entry1/analog0")
    assert "channel counter0 is read, not analog0" in read(path).notes


def test_links_inside_the_folder_are_followed_and_others_refused(
    write_nxstxm: Write, planted: np.ndarray, tmp_path: Path
) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    path = write_nxstxm(folder / "scan.hdf5")
    for place, allowed in ((folder, True), (tmp_path, False)):
        with h5py.File(place / "data.h5", "w") as other:
            other["deep/data"] = planted + 1
        with h5py.File(path, "a") as file:
            del file["entry1/counter0/data"]
            file["entry1/counter0/data"] = h5py.ExternalLink("data.h5" if allowed else "../data.h5", "/deep/data")
        if allowed:
            recording = read(path)
            assert folder / "data.h5" in recording.files
            np.testing.assert_array_equal(recording.read(1), planted[1] + 1)
        else:
            with pytest.raises(InputError, match="leads out of the file's folder"):
                readers.read(path)


@pytest.mark.parametrize(
    ("scan_type", "named"),
    [
        ("sample line spectrum", "line scan"),
        ("sample focus", "focus scan"),
        ("sample point spectrum", "point spectrum"),
        ("osa image", "order-selecting aperture scan"),
        ("Ptychography Image", "ptychography scan of pystxmcontrol"),
    ],
)
def test_other_scans_are_described_and_refused_by_name(
    scan_type: str, named: str, write_nxstxm: Write, tmp_path: Path
) -> None:
    path = write_nxstxm(tmp_path / "scan.hdf5", scan_type=scan_type)
    description = readers.describe(path)
    assert named in description.kind
    assert not description.usable
    with pytest.raises(UnsupportedError, match=named):
        readers.read(path)


def line_of(path: Path, roles: tuple[str, ...], counts: np.ndarray, scan_type: str) -> Path:
    """The file with other data: a line or a point, its axes by the names in ``roles``."""
    with h5py.File(path, "a") as file:
        group = file["entry1/counter0"]
        del file["entry1/control"], group["data"], group["sample_x"], group["sample_y"], group["stxm_scan_type"]
        group["data"] = counts
        group["stxm_scan_type"] = np.array([scan_type.encode()])
        group.attrs["axes"] = [np.bytes_(role) for role in roles]
        # From (y, x) = (2, 10) um in steps of 0.5 um, three parts down and four to the right.
        group["sample_y"], group["sample_x"] = 2 + 0.3 * np.arange(7.0), 10 + 0.4 * np.arange(7.0)
        for name in ("sample_y", "sample_x"):
            group[name].attrs["units"] = np.bytes_("um")
    return path


@pytest.mark.parametrize("roles", [("energy", "line_position"), ("line_position", "energy")])
def test_line_scan_is_one_row(roles: tuple[str, ...], write_nxstxm: Write, planted: np.ndarray, tmp_path: Path) -> None:
    counts = planted[:, :, 4]
    in_file = counts if roles[0] == "energy" else counts.T
    path = line_of(write_nxstxm(tmp_path / "scan.hdf5"), roles, in_file, "sample line spectrum")
    assert readers.describe(path).kind == "line scan"
    recording = read(path)
    assert recording.y_um.tolist() == [2.0]
    np.testing.assert_allclose(recording.x_um, 0.5 * np.arange(7))
    for index in range(5):
        np.testing.assert_array_equal(recording.read(index), counts[index][None])


def test_point_spectrum_is_one_pixel(write_nxstxm: Write, planted: np.ndarray, tmp_path: Path) -> None:
    counts = planted[:, 3, 4]
    path = line_of(write_nxstxm(tmp_path / "scan.hdf5"), ("energy",), counts, "sample point spectrum")
    description = readers.describe(path)
    assert (description.kind, description.usable) == ("point spectrum", True)
    recording = read(path)
    assert [recording.read(index).tolist() for index in range(5)] == [[[value]] for value in counts]


def test_axes_that_do_not_fit(write_nxstxm: Write, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="7 x 11"):
        readers.read(write_nxstxm(tmp_path / "scan.hdf5", x=np.arange(12.0)))


def test_energies_that_do_not_fit(write_nxstxm: Write, planted: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="5 images, 3 energies"):
        readers.read(write_nxstxm(tmp_path / "a.hdf5", energy_ev=np.arange(700.0, 703.0)))
    with pytest.raises(InputError, match="photon energies cannot be used"):
        readers.read(write_nxstxm(tmp_path / "b.hdf5", energy_ev=np.array([700.0, np.nan, 702, 703, 704])))
    shorter = read(write_nxstxm(tmp_path / "c.hdf5", counts=planted[:3]))
    assert shorter.frame_class.tolist() == [0, 0, 0, 5, 5]


def test_repeated_energies_are_kept_and_said(write_nxstxm: Write, planted: np.ndarray, tmp_path: Path) -> None:
    recording = read(write_nxstxm(tmp_path / "scan.hdf5", energy_ev=np.array([700.0, 708, 702, 708, 704])))
    assert "repeated energies, every frame of them is kept and fitted: 708 eV" in recording.notes
    np.testing.assert_array_equal(recording.read(4), planted[3])


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (np.nan, "not one frame was measured; got 5 of 5 frames without a number"),
        (-2.0, "all numbers are negative, and counts are not; got -154 to -2 in the first frame"),
    ],
)
def test_a_file_without_one_count_is_refused(number: float, said: str, write_nxstxm: Write, tmp_path: Path) -> None:
    path = write_nxstxm(tmp_path / "scan.hdf5", counts=np.tile(number * np.arange(1.0, 78).reshape(7, 11), (5, 1, 1)))
    with pytest.raises(InputError, match=said):
        readers.read(path)
    description = readers.describe(path)
    assert not description.usable
    assert said.split(";")[0] in description.refusal


def test_one_region_of_two_may_lack_every_frame(write_nxstxm: Write, tmp_path: Path) -> None:
    path = write_nxstxm(tmp_path / "scan.hdf5")
    with h5py.File(path, "a") as file:
        file.copy("entry1", "entry2")
        file["entry2/counter0/data"][...] = np.nan
    one, other = readers.read(path)
    assert (one.frame_class == MaskClass.valid).all()
    assert (other.frame_class == MaskClass.missing).all()


def test_several_regions_and_one_row(write_nxstxm: Write, tmp_path: Path) -> None:
    path = write_nxstxm(tmp_path / "scan.hdf5")
    with h5py.File(path, "a") as file:
        file.copy("entry1", "entry2")
    with pytest.raises(InputError, match=r"several regions; got entry1, entry2, .* as in scan\.hdf5#entry1"):
        readers.read_scan((path,))
    assert readers.read_scan((path,), "entry2").region == "entry2"
    assert readers.read_scan((path,), "entry2:counter0").region == "entry2"
    with pytest.raises(InputError, match=r"no region of this name; got 'entry3', wanted one of entry1, entry2"):
        readers.read_scan((path,), "entry3")


@pytest.mark.parametrize(
    ("unit", "factor"), [("keV", 1e-3), ("kiloelectronvolt", 1e-3), ("J", 1.602176634e-19), ("", 1e-3)]
)
def test_energies_in_other_units(unit: str, factor: float, write_nxstxm: Write, tmp_path: Path) -> None:
    path = write_nxstxm(tmp_path / "scan.hdf5", energy_ev=factor * np.array([700.0, 701, 702, 703, 704]))
    with h5py.File(path, "a") as file:
        file["entry1/counter0/energy"].attrs["units"] = unit
    recording = read(path)
    np.testing.assert_allclose(recording.energy_ev, [700.0, 701, 702, 703, 704])
    assert any("energy" in note for note in recording.notes)


@pytest.mark.parametrize(("unit", "factor"), [("A", 1e3), ("milliampere", 1.0), (" ", 1.0)])
def test_units_of_the_ring_current(unit: str, factor: float, write_nxstxm: Write, tmp_path: Path) -> None:
    path = write_nxstxm(tmp_path / "scan.hdf5")
    with h5py.File(path, "a") as file:
        file["entry1/control/data"].attrs["units"] = unit
    np.testing.assert_allclose(read(path).ring_current_ma, factor * (400.0 + np.arange(5)))
    with h5py.File(path, "a") as file:
        file["entry1/control/data"].attrs["units"] = "counts"
    assert np.isnan(read(path).ring_current_ma).all()
    assert "ring current (its unit 'counts' is not known)" in read(path).lacks
