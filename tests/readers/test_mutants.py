"""Five hundred damaged copies of every real file and of every format: refused by name, right, or said to be unknown."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from stxmdist import readers
from stxmdist.spectra.end_members.spectrum_file import read_spectrum
from stxmdist.writers.table import WRITERS
from tests.readers.contract import write_example
from tests.readers.mutants import Reading, outcomes, read_scan, said

COPIES = 500
FRONT_BYTES = 20_000
"""Where HDF5 files begin with their superblock and first objects."""
ALS, COSMIC, POLLUX, PTYCHO = "als-11.0.2-fe-stack", "cosmic-ni", "pollux-nxstxm", "ptychography"
ALS_FILES = ("71214078.hdr", "71214078_a000.xim", "71214078_a061.xim", "71214078_a122.xim")
COSMIC_FILES = ("stxm-scan.hdr", "stxm-scan_a003.xim", "stxm-scan_a019.xim")
REAL = [
    (ALS, ALS_FILES, "71214078.hdr"),
    (ALS, ALS_FILES, "71214078_a061.xim"),
    (COSMIC, COSMIC_FILES, "stxm-scan.hdr"),
    (COSMIC, COSMIC_FILES, "stxm-scan_a003.xim"),
    (COSMIC, COSMIC_FILES, "stxm-scan_a019.xim"),
    *((folder, (name,), name) for folder, name in [
        (COSMIC, "NS_181111148.hdr"), (COSMIC, "ptycho-scan-856eV.cxi"),
        (POLLUX, "Focus_2021-03-16_051.hdf5"), (POLLUX, "Sample_Image_2021-03-16_095.hdf5"),
        (POLLUX, "Sample_Line_2021-03-16_096.hdf5"), (POLLUX, "Sample_Stack_2021-03-16_128.hdf5"),
        (PTYCHO, "PETRAIII_P25_Near_Field_Ptycho.cxi"), (PTYCHO, "aps-siemens-star.cxi"),
    ]),
]  # fmt: skip
SPECTRA = ("i0.xsp", "oxidized.r", "oxidized.t", "reduced.r", "reduced.t")
TEXT = (".hdr", ".xim", ".xsp", ".dat", ".r", ".t")


def written_files() -> Iterator[str]:
    """Every reader's file, those of all dialects that can be written, and the numbers or headers beside a file."""
    for name, entry in readers.READERS.items():
        yield name
        if name in WRITERS:
            yield from (f"{name} {dialect}" for dialect in WRITERS[name].dialects)
        if entry.parts:
            yield f"{name} beside"


WRITTEN = tuple(written_files())


def numbers_by_hand(path: Path, reading: Reading, damaged: Path) -> None:
    """One of the frames is what numpy reads in the damaged file, and NaN in the rows before which it breaks off."""
    by_hand = np.loadtxt(damaged, ndmin=2).astype(np.float32)
    rows = len(by_hand)
    if rows < len(reading.frames[0]) and not damaged.read_bytes().endswith((b"\n", b"\r")):
        rows -= 1
    assert any(
        (not rows or np.array_equal(frame[:rows], by_hand[:rows], equal_nan=True)) and np.isnan(frame[rows:]).all()
        for frame in reading.frames
    )


def spectrum_by_hand(path: Path, reading: Reading) -> None:
    """Every number is one that numpy reads in the damaged file."""
    energy, value = np.loadtxt(path).T
    assert set(reading.numbers["energy"]) == set(energy)
    assert np.isin(reading.frames[0], value).sum() >= len(reading.frames[0]) - 2  # a repeated energy is averaged


def read_as_spectrum(path: Path) -> Reading:
    energy, value = read_spectrum(path)
    return Reading({"energy": energy}, [value])


@pytest.mark.slow
@pytest.mark.parametrize(("folder", "files", "damaged"), REAL, ids=[damaged for _, _, damaged in REAL])
def test_damaged_copies_of_real_files(
    folder: str, files: tuple[str, ...], damaged: str, shared_data: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name in files:
        shutil.copyfile(shared_data / folder / name, tmp_path / name)
    target = tmp_path / damaged
    by_hand: Callable[[Path, Reading], None] | None = None
    if target.suffix == ".xim":
        by_hand = lambda path, reading: numbers_by_hand(path, reading, target)  # noqa: E731
    found = outcomes(
        tmp_path / files[0], target, COPIES, seed=1, text=target.suffix in TEXT, front=FRONT_BYTES, by_hand=by_hand
    )
    with capsys.disabled():
        print(f"\n{said(damaged, found)}")


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECTRA)
def test_damaged_copies_of_real_spectra(
    name: str, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    shutil.copyfile(shared_data / ALS / name, path)
    found = outcomes(
        path, path, COPIES, seed=2, text=True, front=FRONT_BYTES, read=read_as_spectrum, by_hand=spectrum_by_hand
    )
    with capsys.disabled():
        print(f"\n{said(name, found)}")


def write(what: str, folder: Path, planted: np.ndarray) -> tuple[Path, Path]:
    """The file to read and the one to damage."""
    name, _, more = what.partition(" ")
    if name in WRITERS:
        entry = WRITERS[name]
        how = {"dialect": more} if more in entry.dialects else {}
        axes = (np.arange(700.0, 705.0), 0.1 * np.arange(7), 0.2 * np.arange(11))
        counts = planted.astype(np.float32) + np.float32(0.1)
        path = entry.load().write_stack(folder / f"scan{entry.ending}", counts.__getitem__, *axes, 2.5, 399.0, **how)[0]
    else:
        path = write_example(name, folder, small=True)
    return path, min(set(folder.iterdir()) - {path}) if more == "beside" else path


def damage(what: str, copies: int, folder: Path, planted: np.ndarray) -> str:
    path, damaged = write(what, folder, planted)
    by_hand: Callable[[Path, Reading], None] | None = None
    if damaged.suffix == ".xim":
        by_hand = lambda path, reading: numbers_by_hand(path, reading, damaged)  # noqa: E731
    text = damaged.suffix in TEXT
    found = outcomes(path, damaged, copies, seed=3, text=text, front=4000, read=read_scan, by_hand=by_hand)
    assert not (found["another number"] and readers.READERS[what.split()[0]].has_checksums)
    return said(what, found)


@pytest.mark.slow
@pytest.mark.parametrize("what", WRITTEN)
def test_damaged_copies_of_every_format(
    what: str, planted: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = damage(what, COPIES, tmp_path, planted)
    with capsys.disabled():
        print(f"\n{line}")


@pytest.mark.parametrize("what", WRITTEN)
def test_a_few_damaged_copies(what: str, planted: np.ndarray, tmp_path: Path) -> None:
    damage(what, 20, tmp_path, planted)
