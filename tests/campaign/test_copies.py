"""Scans that are one measurement twice: by their bytes, or by when and where they were taken."""

from pathlib import Path

import numpy as np

from stxmdist.campaign.copies import SAMPLE_BYTES, identical, near
from stxmdist.readers.recording import StxmRecording


def write(folder: Path, name: str, content: bytes) -> tuple[Path, ...]:
    (folder / name).write_bytes(content)
    return (folder / name,)


def test_files_are_copies_by_every_byte_and_not_by_their_names(tmp_path: Path) -> None:
    large = np.random.default_rng(0).bytes(5 * SAMPLE_BYTES)
    # Alike at the beginning, in the middle and at the end, and yet another file.
    other = bytearray(large)
    other[SAMPLE_BYTES + 5] ^= 1
    files = {
        name: write(tmp_path, name, content)
        for name, content in {"a": large, "b": bytes(other), "c": large, "d": large[:-1], "e": large}.items()
    }
    assert identical(files) == {"c": "a", "e": "a"}
    # Two regions of one file are no copies of one another.
    assert identical({"one": files["a"], "two": files["a"]}) == {}


def recording(source: str, start_time: str, x_um: float = 0.0) -> StxmRecording:
    axis_um, energy_ev, path = np.arange(4.0), np.array([700.0, 708.0]), Path(source)
    return StxmRecording(
        path, "sdf", "", energy_ev, axis_um, x_um + axis_um, np.ones(2), np.ones(2), np.zeros(2, np.uint8),
        lambda energy: np.zeros((4, 4), np.float32), (path,), start_time,
    )  # fmt: skip


def test_scans_that_began_together_over_the_same_points_are_alike() -> None:
    found = near(
        {
            "first": recording("a.hdr", "2026-05-01T09:00"),
            "converted": recording("a.hdf5", "2026-05-01T09:00"),
            "region": recording("a.hdr", "2026-05-01T09:00"),
            "later": recording("b.hdr", "2026-05-01T09:10"),
            "silent": recording("c.hdr", ""),
            "silent too": recording("d.hdr", ""),
        }
    )
    assert found == {"converted": "first"}
