"""Spectra and lines can be read and show no particle: whoever asks whether they can be processed gets one answer."""

from pathlib import Path

import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import UnsupportedError
from stxmdist.writers import sdf


@pytest.mark.parametrize(("shape", "word"), [((1, 1), "point spectrum"), ((1, 9), "line scan"), ((9, 1), "line scan")])
def test_what_shows_no_particle_is_refused_by_name(shape: tuple[int, int], word: str, tmp_path: Path) -> None:
    frame, (y_um, x_um) = np.full(shape, 300), (0.1 * np.arange(1.0, n + 1.0) for n in shape)
    path, *_ = sdf.write_stack(tmp_path / "scan.hdr", lambda energy: frame, [707.0, 710.0], y_um, x_um, 1.0, 500.0)
    assert readers.read(path)[0].files[0] == path
    with pytest.raises(UnsupportedError, match=f"a {word} shows no whole particles"):
        readers.read_scan((path,))
    described = readers.describe(path)
    assert not described.usable
    assert f"a {word} shows no whole particles" in described.refusal
    # What it holds is said all the same.
    assert described.facts["shape"] == list(shape)
    assert described.energies_ev == (707.0, 710.0)


def test_an_image_can_be_processed(tmp_path: Path) -> None:
    frame, axis_um = np.full((4, 4), 300), 0.1 * np.arange(4.0)
    path, *_ = sdf.write_stack(
        tmp_path / "scan.hdr", lambda energy: frame, [707.0, 710.0], axis_um, axis_um, 1.0, 500.0
    )
    assert readers.describe(path).usable
    assert readers.read_scan((path,)).energy_ev.tolist() == [707.0, 710.0]
