"""SDF: the grammar's quirks, missing frames, orders of axes and energies."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stxmdist import readers
from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError, UnsupportedError
from stxmdist.readers.recording import StxmRecording
from stxmdist.readers.sdf.grammar import MOST_STRUCTURES, parse
from tests.readers.examples.planted import X_UM, Y_UM

Write = Callable[..., Path]
MOST_BYTES = 50e6
"""A header of 200 kB wants some megabytes while it is read."""


def read(path: Path) -> StxmRecording:
    (recording,) = readers.read(path)
    assert isinstance(recording, StxmRecording)
    return recording


class TestGrammar:
    def test_nested_values(self) -> None:
        text = 'A = { B = 1; C = -2.5e-3; D = "x ; y"; E = (2, {F = true;}, {F = false;}); }; G = word; H = ;'
        assert parse(text, "f") == {
            "A": {"B": 1, "C": -2.5e-3, "D": "x ; y", "E": [{"F": True}, {"F": False}]},
            "G": "word",
            "H": "",
        }

    def test_stray_brace_at_the_end_of_a_list(self) -> None:
        assert parse("P = (3, 1.0, 2.0, 3.0});", "f") == {"P": [1.0, 2.0, 3.0]}

    def test_not_bound_to_lines_nor_to_blanks(self) -> None:
        assert parse("A={B=(2,1,\n2);C\n=3;\r\n}\n;", "f") == {"A": {"B": [1, 2], "C": 3}}

    @pytest.mark.parametrize(
        "text",
        ["A = { B = 1;", "A = (3, 1, 2);", 'A = "open', "A = ;}", "A 1;", "A = (", "A = (1.5, 2);", "A = {" * 400],
    )
    def test_what_breaks_it_is_refused_with_its_line(self, text: str) -> None:
        with pytest.raises(InputError, match=r"scan.hdr, line 3"):
            parse("\n\n" + text, "scan.hdr")


def test_counts_axes_and_conditions(write_sdf: Write, tmp_path: Path, planted: np.ndarray) -> None:
    recording = read(write_sdf(tmp_path))
    np.testing.assert_allclose(recording.energy_ev, [700, 701.5, 702, 707.25, 708])
    np.testing.assert_allclose(recording.x_um[[0, -1]], [20.0, 22.0])
    np.testing.assert_allclose(recording.dwell_ms, 4.0)
    assert recording.ring_current_ma[0] == 500.5
    assert np.isnan(recording.ring_current_ma[1:]).all()
    for index, counts in enumerate(planted):
        np.testing.assert_array_equal(recording.read(index), counts)
    assert len(recording.files) == 6


def test_real_numbers_are_not_rounded_nor_zeroed(write_sdf: Write, tmp_path: Path, planted: np.ndarray) -> None:
    recording = read(write_sdf(tmp_path, counts=planted + 0.25, number="%.6f"))
    np.testing.assert_array_equal(recording.read(2), (planted[2] + 0.25).astype(np.float32))


def test_missing_frames_are_nan_with_a_class(write_sdf: Write, tmp_path: Path, planted: np.ndarray) -> None:
    recording = read(write_sdf(tmp_path, frames=(0, 3)))
    assert recording.frame_class.tolist() == [
        MaskClass.valid,
        MaskClass.missing,
        MaskClass.missing,
        MaskClass.valid,
        MaskClass.missing,
    ]
    assert np.isnan(recording.read(1)).all()
    np.testing.assert_array_equal(recording.read(3), planted[3])
    assert any("3 of 5 frames are missing" in note for note in recording.notes)


def test_header_cut_down_to_the_frames_kept(write_sdf: Write, tmp_path: Path, planted: np.ndarray) -> None:
    regions = (
        "ImageScan = { EnergyRegions = (2,\n{ StartEnergy = 700; EndEnergy = 702; Points = 3; DwellTime = 2;},\n"
        "{ StartEnergy = 707; EndEnergy = 708; Points = 2; DwellTime = 7;});};\n"
        "Image001_0 = {StorageRingCurrent = 0.00; Energy = 701.01;};\n"
    )
    path = write_sdf(tmp_path, energy_ev=np.array([701.0, 708.0]), frames=(1, 4), trailer=regions)
    recording = read(path)
    np.testing.assert_allclose(recording.energy_ev, [700, 701, 702, 707, 708])
    assert recording.frame_class.tolist() == [5, 0, 5, 5, 0]
    np.testing.assert_allclose(recording.dwell_ms, [2, 2, 2, 7, 7])
    np.testing.assert_array_equal(recording.read(4), planted[4])
    assert np.isnan(recording.ring_current_ma[1])  # 0.00 is not a measurement


def test_frame_entries_count_from_one_or_from_zero(write_sdf: Write, tmp_path: Path) -> None:
    from_one = "".join(f"Image{i} = {{StorageRingCurrent = {400 + i};}};\n" for i in range(2, 6))
    np.testing.assert_allclose(
        read(write_sdf(tmp_path / "a", trailer=from_one)).ring_current_ma, [500.5, 402, 403, 404, 405]
    )
    from_zero = "".join(f"Image{i:03d}_0 = {{StorageRingCurrent = {400 + i};}};\n" for i in range(5))
    np.testing.assert_allclose(read(write_sdf(tmp_path / "b", trailer=from_zero)).ring_current_ma, 400 + np.arange(5))


def test_descending_axes_and_energies_are_put_in_order(write_sdf: Write, tmp_path: Path, planted: np.ndarray) -> None:
    straight = read(write_sdf(tmp_path / "a"))
    turned = write_sdf(
        tmp_path / "b",
        counts=planted[::-1, ::-1, ::-1],
        energy_ev=straight.energy_ev[::-1],
        y=straight.y_um[::-1],
        x=straight.x_um[::-1],
        direction=-1,
    )
    recording = read(turned)
    for one, other in zip(
        (straight.energy_ev, straight.y_um, straight.x_um),
        (recording.energy_ev, recording.y_um, recording.x_um),
        strict=True,
    ):
        np.testing.assert_allclose(one, other)
    for index in range(5):
        np.testing.assert_array_equal(recording.read(index), planted[index])
    assert sum("reversed" in note for note in recording.notes) == 2
    assert any("sorted" in note for note in recording.notes)


def test_repeated_energies_are_kept_and_said(write_sdf: Write, tmp_path: Path, planted: np.ndarray) -> None:
    recording = read(write_sdf(tmp_path, energy_ev=np.array([700.0, 708, 702, 708, 704])))
    np.testing.assert_allclose(recording.energy_ev, [700, 702, 704, 708, 708])
    assert "repeated energies, every frame of them is kept and fitted: 708 eV" in recording.notes
    np.testing.assert_array_equal(recording.read(3), planted[1])
    np.testing.assert_array_equal(recording.read(4), planted[3])


@pytest.mark.parametrize(("unit", "factor"), [("nm", 1e-3), ("mm", 1e3), ("micron", 1.0)])
def test_units(unit: str, factor: float, write_sdf: Write, tmp_path: Path) -> None:
    recording = read(write_sdf(tmp_path, unit=unit, x=X_UM / factor, y=Y_UM / factor))
    np.testing.assert_allclose(recording.x_um[0], 20.0)


def test_unknown_unit_is_refused_and_none_is_said(write_sdf: Write, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="furlong"):
        readers.read(write_sdf(tmp_path / "a", unit="furlong"))
    assert any("unit" in lack for lack in read(write_sdf(tmp_path / "b", unit="")).lacks)


def test_single_image(write_sdf: Write, tmp_path: Path, planted: np.ndarray) -> None:
    path = write_sdf(tmp_path, counts=planted[:1], energy_ev=np.array([700.0]), flags="Image", scan_type="Image Scan")
    assert readers.describe(path).kind == "image"
    np.testing.assert_array_equal(read(path).read(0), planted[0])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"scan_type": "NEXAFS Line Scan", "flags": "Image"}, "line scan"),
        ({"scan_type": "Focus Scan", "flags": "Image"}, "focus scan"),
        ({"scan_type": "OSA Scan", "flags": "Image"}, "order-selecting aperture scan"),
        ({"scan_type": "Focus Scan", "flags": "Multi-Region Image", "regions": 2}, "multi-region focus scan"),
    ],
)
def test_other_scans_are_described_and_refused_by_name(
    changes: dict, named: str, write_sdf: Write, tmp_path: Path
) -> None:
    path = write_sdf(tmp_path, **changes)
    description = readers.describe(path)
    assert description.kind == named
    assert not description.usable
    assert description.facts["shape"] == [7, 11]
    with pytest.raises(UnsupportedError, match=named):
        readers.read(path)


@pytest.mark.parametrize("content", ["", "1\t2\t3\n", "not numbers at all\n" * 7, "1 " * 10 + "inf\n"])
def test_bad_frame_is_named(content: str, write_sdf: Write, tmp_path: Path) -> None:
    recording = read(write_sdf(tmp_path))
    bad = tmp_path / "scan_a002.xim"
    bad.write_text(content if "inf" not in content else content * 7)
    with pytest.raises(InputError, match=r"scan_a002\.xim"):
        recording.read(2)
    recording.read(1)


def test_renamed_header_finds_no_frames(write_sdf: Write, tmp_path: Path) -> None:
    path = write_sdf(tmp_path)
    renamed = path.rename(tmp_path / "other.hdr")
    with pytest.raises(InputError, match="no frames beside the header"):
        readers.read(renamed)
    description = readers.describe(renamed)
    assert not description.usable
    assert description.facts["n_energies"] == 5


def test_points_that_are_no_axis(write_sdf: Write, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not an axis"):
        readers.read(write_sdf(tmp_path, x=np.array([0.0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9])))


class TestHeadersThatCostWithoutBound:
    """A few kilobytes that ask for gigabytes are refused, or what they ask for is not taken."""

    def test_more_structures_than_any_scan(self, tmp_path: Path) -> None:
        path = tmp_path / "scan.hdr"
        regions = ", ".join("{P=1;}" for _ in range(MOST_STRUCTURES))
        path.write_text(f"ScanDefinition = {{ Regions = ({MOST_STRUCTURES}, {regions}); }};")
        with pytest.raises(InputError, match="no plausible size"):
            readers.read(path)

    def test_regions_that_ask_for_more_energies_than_any_scan(self, write_sdf: Write, tmp_path: Path) -> None:
        path = write_sdf(tmp_path)
        regions = ", ".join("{StartEnergy = 700; EndEnergy = 730; Points = 99999; DwellTime = 1;}" for _ in range(2000))
        with path.open("a") as file:
            file.write(f"\nImageScan = {{ EnergyRegions = (2000, {regions}); }};\n")
        tracemalloc.start()
        recording = read(path)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
        tracemalloc.stop()
        assert np.array_equal(recording.energy_ev, read(write_sdf(tmp_path / "as it was")).energy_ev)
