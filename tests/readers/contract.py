"""What holds of every reader, and the small files that it is tested with.

The file of the reader NAME is written by ``write_example(folder)`` of ``tests/readers/examples/NAME.py``; a second
function there, ``write_small_example``, may write one with fewer numbers to be damaged.
"""

import json
import pickle
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from stxmdist import readers
from stxmdist.arrays import MaskClass
from stxmdist.errors import InputError
from stxmdist.readers import PtychographyRecording, ReadChoices, StxmRecording
from stxmdist.readers.frames.beamstop import beamstop_masked
from stxmdist.readers.frames.windowing import binned, cropped, middle_of, summed
from stxmdist.readers.settled import step_nm

EXAMPLES = "tests.readers.examples"


def write_example(name: str, folder: Path, *, small: bool = False) -> Path:
    """Write the file with which a reader of the table is tested into a folder, made if absent."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        example = import_module(f"{EXAMPLES}.{name}")
    except ModuleNotFoundError:
        pytest.fail(f"the reader {name} has no file to be tested with: write {EXAMPLES}.{name} with write_example")
    write = getattr(example, "write_small_example", example.write_example) if small else example.write_example
    path: Path = write(folder)
    return path


class ReaderContract:
    """Tests of one reader by its name; a test module inherits them and says which readers they are for."""

    def test_knows_its_own_file_under_any_name_and_no_other(self, name: str, tmp_path: Path) -> None:
        for other in readers.READERS:
            path = write_example(other, tmp_path / other)
            renamed = path.rename(path.with_suffix(".dat"))
            head = renamed.read_bytes()[: readers.HEAD_BYTES]
            assert readers.READERS[name].load().detects(renamed, head) == (name == other)

    def test_description_is_json(self, name: str, tmp_path: Path) -> None:
        path = write_example(name, tmp_path)
        description = readers.describe(path)
        assert description.format == name
        assert description.usable, description.refusal
        said = asdict(replace(description, recordings=()))
        json.dumps(said | {"source": str(description.source)}, allow_nan=False)

    def test_recording_is_in_the_one_convention(self, name: str, tmp_path: Path) -> None:
        path = write_example(name, tmp_path)
        for recording in readers.read(path):
            assert recording.format == name
            assert recording.source == path
            assert path in recording.files
            assert (np.diff(recording.energy_ev) >= 0).all()
            if isinstance(recording, StxmRecording):
                n_energies = len(recording.energy_ev)
                assert (np.diff(recording.y_um) > 0).all()
                assert (np.diff(recording.x_um) > 0).all()
                for values in (recording.dwell_ms, recording.ring_current_ma, recording.frame_class):
                    assert values.shape == (n_energies,)
                for index in range(n_energies):
                    counts = recording.read(index)
                    assert counts.dtype == np.float32
                    assert counts.shape == (len(recording.y_um), len(recording.x_um))
                    assert np.isnan(counts).all() == (recording.frame_class[index] == MaskClass.missing)
            else:
                assert recording.positions_um.shape[0::2] == (len(recording.energy_ev), 2)
                assert recording.good.shape == recording.frame_shape

    def test_pixels_have_the_size_that_was_chosen(self, name: str, tmp_path: Path) -> None:
        path = write_example(name, tmp_path)
        for recording in readers.read(path, ReadChoices(pixel_size_nm=42.0)):
            if isinstance(recording, StxmRecording):
                for axis_um in (recording.y_um, recording.x_um):
                    np.testing.assert_allclose(step_nm(axis_um), 42.0)

    def test_reading_in_pieces_gives_the_whole(self, name: str, tmp_path: Path) -> None:
        (recording,) = readers.read(write_example(name, tmp_path))
        if isinstance(recording, PtychographyRecording):
            n_positions = recording.positions_um.shape[1]
            for energy in range(len(recording.energy_ev)):
                whole = recording.read(energy, slice(None))
                assert whole.shape == (n_positions, *recording.frame_shape)
                assert whole.dtype == recording.frame_dtype
                pieces = [recording.read(energy, slice(start, start + 5)) for start in range(0, n_positions, 5)]
                np.testing.assert_array_equal(np.concatenate(pieces), whole)
        else:
            again = [recording.read(index) for index in reversed(range(len(recording.energy_ev)))][::-1]
            for index, counts in enumerate(again):
                np.testing.assert_array_equal(recording.read(index), counts)

    def test_fewer_pixels_are_read_as_more_are(self, name: str, tmp_path: Path) -> None:
        (whole,) = readers.read(write_example(name, tmp_path))
        if isinstance(whole, StxmRecording):
            return
        for small, expected in (
            (cropped(whole, 11), lambda frames: middle_of(frames, (11, 11))),
            (binned(whole, 2), lambda frames: summed(frames, 2)),
            (beamstop_masked(whole, 2.0), lambda frames: frames),
        ):
            for energy in range(len(whole.energy_ev)):
                frames = small.read(energy, slice(3, 9))
                assert frames.shape == (6, *small.frame_shape)
                assert frames.dtype == small.frame_dtype
                np.testing.assert_array_equal(frames, expected(whole.read(energy, slice(3, 9))))
            assert small.good.shape == small.frame_shape
            assert small.notes[:-1] == whole.notes
            assert (small.files, small.format, small.lacks) == (whole.files, whole.format, whole.lacks)
            # The detector stays where it is: as many pixels are wider as fewer are left.
            ratio = 2 if small.frame_shape == (8, 8) else 1
            assert small.detector_pixel_um == pytest.approx([ratio * pixel for pixel in whole.detector_pixel_um])

    def test_recording_travels_to_another_process(self, name: str, tmp_path: Path) -> None:
        (recording,) = readers.read(write_example(name, tmp_path))
        copy = pickle.loads(pickle.dumps(recording))
        np.testing.assert_array_equal(copy.energy_ev, recording.energy_ev)

    @pytest.mark.parametrize("length", [1, 40, 300, 0.3, 0.9])
    def test_truncated_file_is_named(self, name: str, length: float, tmp_path: Path) -> None:
        path = write_example(name, tmp_path)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(length * len(whole)) if length < 1 else int(length)])
        with pytest.raises(InputError, match=path.name) as caught:
            readers.read(path)
        assert caught.value.mend
