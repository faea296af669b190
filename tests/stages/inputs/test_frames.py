"""Stacks that are read frame by frame behave as sequences, and leave nothing behind."""

from pathlib import Path

import numpy as np
import pytest

from stxmdist.stages.inputs.frames import MappedFrames, ScratchStack

STACK = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)


def test_a_scratch_stack_is_read_by_frames_and_by_rows(tmp_path: Path) -> None:
    path = tmp_path / "scratch" / "stack"
    with ScratchStack(path, STACK.shape) as stack:
        for energy in (2, 0, 3, 1):
            stack[energy] = STACK[energy]
        assert len(stack) == 4
        np.testing.assert_array_equal(stack[np.int64(2)], STACK[2])
        np.testing.assert_array_equal(stack[-1], STACK[3])
        np.testing.assert_array_equal(np.stack(stack[1:3]), STACK[1:3])
        np.testing.assert_array_equal(np.stack(list(stack)), STACK)
        np.testing.assert_array_equal(stack.rows(slice(1, 4)), STACK[:, 1:4])
        with pytest.raises(IndexError):
            stack[4]
    assert not path.parent.exists()


def test_mapped_frames_are_changed_as_they_are_read() -> None:
    mapped = MappedFrames(list(STACK), lambda frame, energy: frame + np.float32(100 * energy))
    np.testing.assert_array_equal(mapped[2], STACK[2] + 200)
    assert len(mapped) == 4
