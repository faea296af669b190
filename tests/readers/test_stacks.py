"""Stacks without conditions: .stk, .ncb with its .dat, TIFF with energies beside it or in its labels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from stxmdist import readers
from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError
from stxmdist.readers import StxmRecording

Write = Callable[..., Path]
ENERGY_EV = 700.0 + np.array([0.0, 1.5, 2.0, 7.25, 8.0])
Y_UM, X_UM = -3.0 + 0.1 * np.arange(7), 20.0 + 0.2 * np.arange(11)
SINGLE = 1e-6
"""Relative: .stk keeps its axes in float32."""


def read(path: Path) -> StxmRecording:
    (recording,) = readers.read(path)
    assert isinstance(recording, StxmRecording)
    return recording


def frames(recording: StxmRecording) -> np.ndarray:
    return np.stack([recording.read(index) for index in range(len(recording.energy_ev))])


class TestStk:
    def test_counts_axes_and_dwell(self, write_stk: Write, planted: np.ndarray, tmp_path: Path) -> None:
        recording = read(write_stk(tmp_path / "scan.stk"))
        np.testing.assert_array_equal(frames(recording), planted)
        np.testing.assert_allclose(recording.energy_ev, ENERGY_EV, rtol=SINGLE)
        np.testing.assert_allclose(recording.y_um, Y_UM, rtol=SINGLE)
        np.testing.assert_allclose(recording.x_um, X_UM, rtol=SINGLE)
        assert recording.dwell_ms.tolist() == [2.5] * 5
        assert recording.lacks == ("ring current",)

    def test_descending_axes_are_reversed(self, write_stk: Write, planted: np.ndarray, tmp_path: Path) -> None:
        path = write_stk(tmp_path / "scan.stk", counts=planted[:, ::-1, ::-1], y=Y_UM[::-1], x=X_UM[::-1])
        np.testing.assert_array_equal(frames(read(path)), planted)

    def test_images_of_nan_are_missing(self, write_stk: Write, planted: np.ndarray, tmp_path: Path) -> None:
        planted[3] = np.nan
        planted[1, 0] = np.nan
        recording = read(write_stk(tmp_path / "scan.stk", counts=planted))
        assert recording.frame_class.tolist() == [0, 0, 0, MaskClass.missing, 0]
        np.testing.assert_array_equal(frames(recording), planted.astype(np.float32))

    def test_images_of_zeros_were_never_taken(self, write_stk: Write, planted: np.ndarray, tmp_path: Path) -> None:
        planted[3] = 0.0
        planted[1, 0] = 0.0
        recording = read(write_stk(tmp_path / "scan.stk", counts=planted))
        assert recording.frame_class.tolist() == [0, 0, 0, MaskClass.missing, 0]
        assert np.isnan(recording.read(3)).all()
        np.testing.assert_array_equal(recording.read(1), planted[1])

    @pytest.mark.parametrize("change", [-1, 1, -1000])
    def test_another_size_is_refused(self, change: int, write_stk: Write, tmp_path: Path) -> None:
        path = write_stk(tmp_path / "scan.stk")
        content = path.read_bytes()
        path.write_bytes(content[:change] if change < 0 else content + b"\0")
        with pytest.raises(InputError, match=r"scan\.stk.*size"):
            readers.read(path)

    def test_numbers_that_are_no_counts_are_refused(
        self, write_stk: Write, planted: np.ndarray, tmp_path: Path
    ) -> None:
        for value in (np.inf, 1e35, -1e32):
            planted[2, 3, 4] = value
            with pytest.raises(InputError, match="something other than counts"):
                read(write_stk(tmp_path / "scan.stk", counts=planted)).read(2)
        planted[2] = 1e-35
        with pytest.raises(InputError, match="something other than counts"):
            read(write_stk(tmp_path / "scan.stk", counts=planted)).read(2)


class TestNcb:
    @pytest.mark.parametrize(("scale", "turned"), [(2.0, False), (0.5, True), (-1.0, False), (-1.0, True)])
    def test_counts_axes_and_dwell(
        self, scale: float, turned: bool, write_ncb: Write, planted: np.ndarray, tmp_path: Path
    ) -> None:
        even = 2 * planted
        header = write_ncb(tmp_path / "scan", scale=scale, turned=turned, counts=even)
        for path in (header, header.with_suffix(".ncb")):
            recording = read(path)
            np.testing.assert_array_equal(frames(recording), even[:, ::-1, ::-1] if turned else even)
            np.testing.assert_array_equal(recording.energy_ev, ENERGY_EV)
            np.testing.assert_allclose(recording.y_um, Y_UM)
            np.testing.assert_allclose(recording.x_um, X_UM)
            assert recording.dwell_ms.tolist() == [1.5] * 5
            assert recording.files[0] == path
            assert len(recording.files) == 2

    def test_header_without_its_last_lines_lacks_the_dwell_time(self, write_ncb: Write, tmp_path: Path) -> None:
        path = write_ncb(tmp_path / "scan")
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-5]))
        assert read(path).lacks == ("ring current", "dwell time")

    @pytest.mark.parametrize(
        ("line", "text"),
        [(0, "11 7 0"), (0, "11 -7 2"), (0, "11 7.5 2"), (1, "20 x"), (3, "4"), (3, "6"), (4, "7_00"), (4, "nan"),
         (5, ""), (9, "frame 000 650 1.5"), (9, "frame"), (13, "frame 004 708.00 oops")],
    )  # fmt: skip
    def test_broken_headers_are_refused(self, line: int, text: str, write_ncb: Write, tmp_path: Path) -> None:
        path = write_ncb(tmp_path / "scan")
        lines = path.read_text().splitlines()
        lines[line] = text
        path.write_text("\n".join(lines) + "\n")
        with pytest.raises(InputError, match=r"scan\."):
            readers.read(path)

    def test_numbers_of_another_size_are_refused(self, write_ncb: Write, tmp_path: Path) -> None:
        path = write_ncb(tmp_path / "scan")
        numbers = path.with_suffix(".ncb")
        numbers.write_bytes(numbers.read_bytes()[:-2])
        with pytest.raises(InputError, match=r"scan\.ncb.*size"):
            readers.read(path)
        numbers.unlink()
        with pytest.raises(InputError, match=r"scan\.dat"):
            readers.read(path)


class TestTiff:
    @pytest.mark.parametrize("how", [{}, {"bigtiff": False, "byteorder": ">"}, {"rowsperstrip": 2}])
    def test_labels_of_imagej(self, how: dict, write_tiff: Write, planted: np.ndarray, tmp_path: Path) -> None:
        recording = read(write_tiff(tmp_path / "scan.tif", **how))
        np.testing.assert_array_equal(frames(recording), planted)
        np.testing.assert_array_equal(recording.energy_ev, ENERGY_EV)
        np.testing.assert_allclose(recording.y_um, 0.1 * np.arange(7))
        np.testing.assert_allclose(recording.x_um, 0.2 * np.arange(11))
        assert "dwell time" in recording.lacks

    @pytest.mark.parametrize("ending", [".txt", ".csv", ".dat"])
    def test_a_list_beside_it_wins_over_labels(
        self, ending: str, write_tiff: Write, planted: np.ndarray, tmp_path: Path
    ) -> None:
        path = write_tiff(tmp_path / "scan.tif")
        path.with_suffix(ending).write_text("# of the beamline\nenergy (eV)\n" + "710,\n709\n\n708\n707.5\n640.0\n")
        recording = read(path)
        np.testing.assert_array_equal(recording.energy_ev, [640, 707.5, 708, 709, 710])
        np.testing.assert_array_equal(frames(recording), planted[::-1])
        assert recording.files == (path, path.with_suffix(ending))

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
    def test_plain_files_of_every_type(
        self, dtype: type, write_tiff: Write, planted: np.ndarray, tmp_path: Path
    ) -> None:
        counts = (planted - 1000).clip(0, 200).astype(dtype)
        path = write_tiff(tmp_path / "scan.tif", counts=counts, imagej=False, metadata=None, compression="zlib")
        path.with_suffix(".txt").write_text("700\n701\n702\n703\n704\n")
        recording = read(path)
        np.testing.assert_array_equal(frames(recording), counts)
        assert "pixel size (taken as 1 um)" in recording.lacks

    def test_ome(self, planted: np.ndarray, tmp_path: Path) -> None:
        path = tmp_path / "scan.ome.tif"
        about = {
            "axes": "CYX", "PhysicalSizeX": 200.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.1,
            "PhysicalSizeYUnit": "µm", "Channel": {"Name": [f"{energy:.2f} eV" for energy in ENERGY_EV]},
        }  # fmt: skip
        tifffile.imwrite(path, planted.astype(np.uint16), ome=True, metadata=about, photometric="minisblack")
        recording = read(path)
        np.testing.assert_array_equal(frames(recording), planted)
        np.testing.assert_array_equal(recording.energy_ev, ENERGY_EV)
        np.testing.assert_allclose(recording.x_um, 0.2 * np.arange(11))
        np.testing.assert_allclose(recording.y_um, 0.1 * np.arange(7))

    def test_what_is_wanted_for_energies_is_said(self, write_tiff: Write, tmp_path: Path) -> None:
        path = write_tiff(tmp_path / "scan.tif", labelled=False)
        with pytest.raises(InputError, match=r"scan\.txt with 5 lines"):
            readers.read(path)
        description = readers.describe(path)
        assert (description.usable, description.facts["images"]) == (False, 5)
        path.with_suffix(".txt").write_text("700\n701\n702\n703\n")
        with pytest.raises(InputError, match=r"5 images, scan\.txt with 4 energies"):
            readers.read(path)
        path.with_suffix(".txt").write_text("700\n701\n702\n703\n7_04\n")
        with pytest.raises(InputError, match=r"scan\.txt"):
            readers.read(path)

    def test_colour_and_more_axes_are_refused(self, tmp_path: Path) -> None:
        for name, values, axes in (
            ("rgb", np.zeros((7, 11, 3), np.uint8), "YXS"),
            ("two", np.zeros((2, 5, 7, 11)), "TZYX"),
        ):
            path = tmp_path / f"{name}.tif"
            tifffile.imwrite(
                path, values, metadata={"axes": axes}, photometric="rgb" if name == "rgb" else "minisblack"
            )
            with pytest.raises(InputError, match=name):
                readers.read(path)

    def test_strips_that_are_not_there_are_never_zeros(self, write_tiff: Write, tmp_path: Path) -> None:
        path = write_tiff(tmp_path / "scan.tif", imagej=False, metadata=None, rowsperstrip=3)
        path.with_suffix(".txt").write_text("700\n701\n702\n703\n704\n")
        with tifffile.TiffFile(path, mode="r+") as tiff:
            tag = tiff.pages[2].tags["StripOffsets"]
            tag.overwrite([0, *tag.value[1:]])
        with pytest.raises(InputError, match=r"scan\.tif"):
            read(path).read(2)
