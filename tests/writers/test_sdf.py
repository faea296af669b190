"""SDF stacks, read back with a few regular expressions and compared in form with real headers."""

import re
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from stxmdist.errors import InputError
from stxmdist.writers import sdf

START = datetime(2026, 3, 4, 23, 59, 39)
ENERGY_EV = np.array([700.0, 701.0, 702.0, 706.5, 706.75, 707.0, 707.25, 712.0, 714.0])
Y_UM = -638.153 + 0.08 * np.arange(7)
X_UM = -4736.602 + 0.08 * np.arange(5)
DWELL_MS = np.array([1.0] * 3 + [2.5] * 4 + [1.0] * 2)
CURRENT_MA = 500 - 0.25 * np.arange(9)


def counts(index: int) -> np.ndarray:
    return np.random.default_rng(index).poisson(1000, (7, 5))


def write(folder: Path, frame_of=counts, **options) -> tuple[Path, ...]:
    return sdf.write_stack(
        folder / "NS_260304001.hdr", frame_of, ENERGY_EV, Y_UM, X_UM, DWELL_MS, CURRENT_MA, start_time=START, **options
    )


def points(text: str, axis: str) -> np.ndarray:
    inside = re.search(rf"{axis} = {{.*?Points = \((.*?)\);", text, re.DOTALL)[1]
    count, *values = inside.split(",")
    assert int(count) == len(values)
    return np.array(values, dtype=float)


def skeleton(text: str) -> str:
    """Names and punctuation without the values, one of each repeated struct."""
    text = re.sub(r'"[^"]*"', "S", text)
    text = re.sub(r"(?<![A-Za-z_\d])-?\d[\d.e+-]*", "0", text)
    text = re.sub(r"\((0, )+0\)", "(0)", text)
    text = re.sub(r"Image\d+_0", "Image_0", text)
    return re.sub(r"\s+", "", text)


def test_frames_come_back_as_they_were(tmp_path: Path) -> None:
    header, *frames = write(tmp_path)
    assert [path.name for path in frames] == [f"NS_260304001_a{i:03d}.xim" for i in range(9)]
    for index, path in enumerate(frames):
        first_line = path.read_bytes().split(b"\n")[0]
        assert first_line.endswith(b"\t\r")
        assert re.fullmatch(rb"(\d+\t)+\r", first_line)
        np.testing.assert_array_equal(np.loadtxt(path), counts(index))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in (header, *frames))


def test_header_says_axes_dwell_and_currents(tmp_path: Path) -> None:
    text = write(tmp_path)[0].read_text()
    np.testing.assert_allclose(points(text, "StackAxis"), ENERGY_EV, atol=5e-5)
    np.testing.assert_allclose(points(text, "PAxis"), X_UM, atol=5e-5)
    np.testing.assert_allclose(points(text, "QAxis"), Y_UM, atol=5e-5)
    assert 'Name = "Sample X"; Unit = "um"; Min = -4736.602; Max = -4736.202; Dir = 1' in text
    images = re.findall(r"Image(\d+)_0 = {StorageRingCurrent = ([\d.]+); Energy = ([\d.]+); Time = \"(.*?)\"", text)
    np.testing.assert_array_equal([int(i[0]) for i in images], np.arange(9))
    np.testing.assert_allclose([float(i[1]) for i in images], CURRENT_MA, atol=0.005)
    np.testing.assert_allclose([float(i[2]) for i in images], ENERGY_EV, atol=0.005)
    times = [datetime.strptime(i[3], "%Y %b %d %H:%M:%S") for i in images]
    assert times == sorted(times)
    assert times[0] > START
    assert times[-1].day == START.day + 1
    assert 'Time = "2026 March 04 23:59:39"' in text


def test_energy_regions_make_up_the_energies() -> None:
    made, dwells = [], []
    regions = sdf.energy_regions(ENERGY_EV, DWELL_MS)
    for start, _, step, count, dwell in regions:
        made.extend(start + step * np.arange(count))
        dwells.extend([dwell] * count)
    assert len(regions) == 3
    np.testing.assert_allclose(made, ENERGY_EV)
    np.testing.assert_array_equal(dwells, DWELL_MS)


def test_floats_are_written_as_aligned_stacks_have_them(tmp_path: Path) -> None:
    frames = write(tmp_path, lambda index: counts(index) * 0.25)
    assert re.match(rb"\d+\.\d{6}\t", frames[1].read_bytes())
    np.testing.assert_allclose(np.loadtxt(frames[1]), counts(0) * 0.25)


def test_aborted_scan_announces_more_frames_than_there_are(tmp_path: Path) -> None:
    header, *frames = write(tmp_path, frames=[0, 1, 2, 3])
    assert len(frames) == 4
    text = header.read_text()
    assert points(text, "StackAxis").size == 9
    assert len(re.findall(r"Image\d+_0", text)) == 4


def test_header_has_the_form_of_a_real_one(tmp_path: Path, shared_data: Path) -> None:
    real = skeleton((shared_data / "cosmic-ni" / "stxm-scan.hdr").read_text())
    ours = skeleton(write(tmp_path)[0].read_text())
    # The real header's second region of the same file has other names of motors in between: compare the parts around.
    for part in (
        r"ScanDefinition.*?};Time=",
        r"StorageRingCurrent=0;EPUPhase.*?DwellTime=0;}",
        r"PointDelay.*?Image_0.*?};",
    ):
        mine, theirs = (re.search(part, text)[0] for text in (ours, real))
        assert mine.replace("true", "false").replace("Dwell2=0;", "") == theirs.replace("true", "false").replace(
            "Dwell2=0;", ""
        )


def test_a_frame_of_another_shape_is_refused_and_leaves_no_header(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not fit"):
        write(tmp_path, lambda index: counts(index).T)
    assert list(tmp_path.iterdir()) == []
