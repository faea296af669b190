"""What a writer has written its reader gives back: counts to the bit, axes, energies and conditions."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stxmdist import readers
from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError
from stxmdist.readers import StxmRecording
from stxmdist.writers.table import WRITERS

# To s and back, and the mean of equal numbers: a few of the last bits.
ROUNDED = 1e-14
# linspace between the ends instead of the coordinates themselves.
SPACED = 1e-12
SHAPES = ((1, 1, 1), (1, 7, 11), (5, 1, 13), (5, 13, 1), (3, 2, 2), (11, 17, 5), (2, 31, 37))
"""(ENERGY, Y, X): primes, and one of each."""


@dataclass(frozen=True)
class Case:
    """A scan as it is given to a writer."""

    counts: np.ndarray
    energy_ev: np.ndarray
    y_um: np.ndarray
    x_um: np.ndarray
    dwell_ms: np.ndarray
    ring_ma: np.ndarray

    def write(self, write: Callable[..., tuple[Path, ...]], path: Path, **how: Any) -> tuple[Path, ...]:
        axes = (self.energy_ev, self.y_um, self.x_um, self.dwell_ms, self.ring_ma)
        return write(path, self.counts.__getitem__, *axes, **({"start_time": datetime(2026, 1, 2, 3, 4, 5)} | how))


def case(shape: tuple[int, int, int], seed: int, kind: str = "float32") -> Case:
    """A scan on even axes in no round place, energies and axes in either direction."""
    rng = np.random.default_rng(seed)
    n, ny, nx = shape
    energy_ev = np.sort(rng.uniform(690, 730, n))[:: rng.choice([-1, 1])]
    # Any spread of magnitudes that detectors and normalisation make.
    counts = rng.lognormal(3, 4, shape).astype(np.float32)
    if kind != "float32":
        counts = rng.poisson(300, shape).astype(kind)
    y_um, x_um = (
        (rng.uniform(-5000, 5000) + rng.uniform(0.01, 0.3) * np.arange(size))[:: rng.choice([-1, 1])]
        for size in (ny, nx)
    )
    return Case(counts, energy_ev, y_um, x_um, rng.uniform(0.1, 20, n), rng.uniform(100, 500, n))


WAYS: dict[str, Callable[..., tuple[Path, ...]]] = {name: entry.load().write_stack for name, entry in WRITERS.items()}
KEEPS = {name: entry.keeps for name, entry in WRITERS.items()}
for _name, _entry in WRITERS.items():
    WAYS |= {f"{_name} {dialect}": partial(WAYS[_name], dialect=dialect) for dialect in _entry.dialects}
    KEEPS |= {f"{_name} {dialect}": keeps for dialect, keeps in _entry.dialects.items()}
"""Every writer as it is called without options, and each of its dialects; and what of a scan each of them keeps."""


def ending(way: str) -> str:
    return WRITERS[way.split()[0]].ending


def read(path: Path) -> StxmRecording:
    (recording,) = readers.read(path)
    assert isinstance(recording, StxmRecording)
    return recording


def assert_same(way: str, scan: Case, recording: StxmRecording, missing: tuple[int, ...] = ()) -> None:
    """The recording holds the scan, all of it ascending; ``missing`` frames by their index in the scan."""
    keeps = KEEPS[way]
    rounded = 0 if keeps.conditions_exactly else ROUNDED
    order = np.argsort(scan.energy_ev, kind="stable")
    turn = [-1 if axis.size > 1 and axis[0] > axis[-1] else 1 for axis in (scan.y_um, scan.x_um)]
    np.testing.assert_array_equal(recording.energy_ev, scan.energy_ev[order])
    for axis, given, step in ((recording.y_um, scan.y_um, turn[0]), (recording.x_um, scan.x_um, turn[1])):
        np.testing.assert_allclose(axis, given[::step], rtol=0 if keeps.uneven_axes else SPACED, atol=0)
    np.testing.assert_allclose(recording.dwell_ms, scan.dwell_ms[order], rtol=rounded)
    there = ~np.isin(order, missing)
    if keeps.ring_current:
        np.testing.assert_allclose(recording.ring_current_ma[there], scan.ring_ma[order][there], rtol=rounded)
    else:
        assert "ring current" in recording.lacks
    assert (recording.frame_class == np.where(there, MaskClass.valid, MaskClass.missing)).all()
    for index, of_scan in enumerate(order):
        counts = recording.read(index)
        if there[index]:
            np.testing.assert_array_equal(counts, scan.counts[of_scan, :: turn[0], :: turn[1]].astype(np.float32))
        else:
            assert np.isnan(counts).all()


@pytest.mark.parametrize("way", WAYS)
def test_everything_comes_back(way: str, tmp_path: Path) -> None:
    for seed, shape in enumerate(SHAPES):
        there_and_back(way, case(shape, seed, ("float32", "int64")[seed % 2]), tmp_path / f"{seed}{ending(way)}")


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_hundred_scans_come_back(way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        shape = (int(rng.integers(1, 20)), int(rng.integers(1, 60)), int(rng.integers(1, 60)))
        scan = case(shape, 1000 + seed, ("float32", "int64", "uint16")[seed % 3])
        there_and_back(way, scan, tmp_path / f"{seed}{ending(way)}")
        numbers += scan.counts.size
    with capsys.disabled():
        print(f"\n{way}: 100 scans, {numbers} counts written and read back, every one compared")


def there_and_back(way: str, scan: Case, path: Path) -> None:
    first, *others = scan.write(WAYS[way], path)
    recording = read(first)
    assert set(recording.files) == {first, *others}
    assert_same(way, scan, recording)


@pytest.mark.parametrize("way", WAYS)
def test_frames_that_were_never_measured_are_missing(way: str, tmp_path: Path) -> None:
    for kind in ("float32", "int64"):
        scan = case((7, 5, 3), 11, kind)
        path = scan.write(WAYS[way], tmp_path / f"{kind}{ending(way)}", frames=(0, 1, 4, 6))[0]
        assert_same(way, scan, read(path), missing=(2, 3, 5))


@pytest.mark.parametrize("way", WAYS)
def test_nan_is_kept_pixel_by_pixel(way: str, tmp_path: Path) -> None:
    scan = case((3, 5, 7), 12)
    scan.counts[1, 2:4, 1:] = np.nan
    scan.counts[2] = np.nan
    path = scan.write(WAYS[way], tmp_path / f"scan{ending(way)}")[0]
    assert_same(way, scan, read(path), missing=(2,))


@pytest.mark.parametrize("way", WAYS)
def test_what_is_not_known_stays_unknown(way: str, tmp_path: Path) -> None:
    scan = case((5, 3, 2), 13)
    scan.dwell_ms[1:3] = np.nan
    scan.ring_ma[[0, 3]] = np.nan
    path = scan.write(WAYS[way], tmp_path / f"scan{ending(way)}", start_time=None)[0]
    assert_same(way, scan, read(path))
    assert read(path).start_time == ""


@pytest.mark.parametrize("name", WRITERS)
def test_what_was_read_can_be_written_again(name: str, tmp_path: Path) -> None:
    first = read(case((5, 7, 3), 14).write(WAYS[name], tmp_path / f"a{ending(name)}")[0])
    again = Case(
        np.stack([first.read(index) for index in range(5)]),
        first.energy_ev, first.y_um, first.x_um, first.dwell_ms, first.ring_current_ma,
    )  # fmt: skip
    for other in WRITERS:
        path = again.write(WAYS[other], tmp_path / f"b-{other}{ending(other)}")[0]
        if other == name or np.isfinite(first.ring_current_ma).all():
            assert_same(other, again, read(path))


@pytest.mark.parametrize("name", WRITERS)
def test_frames_of_another_shape_are_refused_and_leave_nothing(name: str, tmp_path: Path) -> None:
    scan = case((2, 3, 5), 15)
    with pytest.raises(InputError, match="does not fit the axes"):
        WAYS[name](tmp_path / f"scan{ending(name)}", lambda index: scan.counts[index].T, scan.energy_ev, scan.y_um,
                   scan.x_um, 1.0, 500.0)  # fmt: skip
    assert list(tmp_path.iterdir()) == []


class TestNcb:
    def test_small_whole_counts_take_two_bytes_and_others_four(self, tmp_path: Path) -> None:
        for kind, n_bytes in (("int64", 2), ("float32", 4)):
            path, header = case((2, 3, 5), 16, kind).write(WAYS["ncb"], tmp_path / f"{kind}.ncb")
            assert path.stat().st_size == 30 * n_bytes
            assert header.read_text().split()[2] == ("1" if n_bytes == 2 else "-1")


@pytest.mark.parametrize("way", WAYS)
def test_axes_that_the_format_cannot_hold_are_refused(way: str, tmp_path: Path) -> None:
    scan = case((2, 3, 5), 17, "int64")
    scan.x_um[2] += 1e-3
    path = tmp_path / f"scan{ending(way)}"
    if KEEPS[way].uneven_axes:
        assert_same(way, scan, read(scan.write(WAYS[way], path)[0]))
    else:
        with pytest.raises(InputError, match="not evenly spaced"):
            scan.write(WAYS[way], path)


@pytest.mark.parametrize("way", WAYS)
def test_counts_that_no_type_of_the_format_holds_are_refused(way: str, tmp_path: Path) -> None:
    scan = case((2, 3, 5), 18, "int64")
    scan.counts[1, 0, 0] = 2**24 + 1
    held = any(int(np.int64(2**24 + 1).astype(kind)) == 2**24 + 1 for kind in KEEPS[way].counts)
    path = tmp_path / f"scan{ending(way)}"
    if held:
        assert_same(way, scan, read(scan.write(WAYS[way], path)[0]))
    else:
        with pytest.raises(InputError, match=r"do not fit the type|larger than what the format holds"):
            scan.write(WAYS[way], path)
