"""Several files as one stack: ordered by energy, each with its own conditions, of one field only."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import InputError
from stxmdist.readers import StxmRecording
from tests.readers.examples.planted import X_UM, Y_UM

Write = Callable[..., Path]
ENERGIES_EV = (708.0, 704.0, 710.0)


def images(write_sdf: Write, folder: Path, planted: np.ndarray, **changes: np.ndarray) -> list[Path]:
    """Three files of an image each; ``changes`` are those of the last."""
    last = len(ENERGIES_EV) - 1
    return [
        write_sdf(
            folder,
            name=f"im{number}",
            counts=planted[number : number + 1],
            energy_ev=np.array([energy]),
            flags="Image",
            scan_type="Image Scan",
            **(changes if number == last else {}),
        )
        for number, energy in enumerate(ENERGIES_EV)
    ]


def test_images_are_ordered_by_energy(write_sdf: Write, tmp_path: Path, planted: np.ndarray) -> None:
    paths = images(write_sdf, tmp_path, planted)
    found = readers.read_scan(paths)
    assert isinstance(found, StxmRecording)
    assert found.energy_ev.tolist() == [704.0, 708.0, 710.0]
    for index, number in enumerate((1, 0, 2)):
        np.testing.assert_array_equal(found.read(index), planted[number])
    assert set(paths) <= set(found.files)
    assert len(found.files) == 2 * len(paths)
    assert found.notes[0] == "one stack of 3 files"


def test_a_stage_that_came_back_elsewhere_is_noted(write_sdf: Write, tmp_path: Path, planted: np.ndarray) -> None:
    found = readers.read_scan(images(write_sdf, tmp_path, planted, x=X_UM + 0.15))
    assert "positions of the files differ by up to 150 nm: those of im0.hdr are taken" in found.notes


@pytest.mark.parametrize("changes", [{"x": X_UM + 5.0}, {"x": X_UM[0] + 1.1 * (X_UM - X_UM[0]), "y": 1.1 * Y_UM}])
def test_another_field_is_refused(
    changes: dict[str, np.ndarray], write_sdf: Write, tmp_path: Path, planted: np.ndarray
) -> None:
    with pytest.raises(InputError, match="not images of one field; got im2"):
        readers.read_scan(images(write_sdf, tmp_path, planted, **changes))


def test_a_file_named_twice_is_refused(write_sdf: Write, tmp_path: Path, planted: np.ndarray) -> None:
    paths = images(write_sdf, tmp_path, planted)
    with pytest.raises(InputError, match="named twice"):
        readers.read_scan([*paths, paths[0]])
