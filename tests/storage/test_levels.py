"""Levels of large images: what they hold, where they lie on the sample, and that a reader finds them or none."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from storage import levels
from storage.layout import ArrayPlan
from storage.levels import COARSEST_PX, FOLDER, halved, level_of, n_levels, write_levels
from storage.output import Output

NY, NX = 1100, 1301
"""Odd, so that rows and columns are left over"""


def output_of(folder: Path, shape: tuple[int, int] = (NY, NX)) -> tuple[Output, dict[str, np.ndarray]]:
    rng = np.random.default_rng(5)
    coords = {"y": (10.0 - 0.1 * np.arange(shape[0]), "um"), "x": (-3.0 + 0.2 * np.arange(shape[1]), "um")}
    energies = {"energy": (np.array([700.0, 708.0]), "eV")}
    values = {
        "optical_density": rng.normal(size=(2, *shape)).astype(np.float32),
        "mask_class": rng.integers(0, 9, shape).astype(np.uint8),
        "labels": rng.integers(-1, 50, shape).astype(np.int32),
    }
    values["optical_density"][:, 100:300, 200:500] = np.nan
    output = Output(folder / "output")
    plans = [
        ArrayPlan(name, array.shape, coords=coords | (energies if array.ndim == 3 else {}), shards=array.shape)
        for name, array in values.items()
    ]
    output.declare(plans)
    owns = {name: ((0,) * array.ndim,) for name, array in values.items()}
    for name, array in values.items():
        output.write("unit", owns, name, (0,) * array.ndim, array)
    return output, values


def test_each_level_is_the_one_before_halved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Blocks of a few chunks, so that borders of blocks lie inside the image.
    monkeypatch.setattr(levels, "BLOCK_BYTES", 3e6)
    output, values = output_of(tmp_path)
    assert set(write_levels(output)) == set(values)
    for name, finer in values.items():
        for level in range(1, n_levels(finer.shape) + 1):
            finer = halved(finer)
            found = level_of(output, name, level)
            assert found is not None
            np.testing.assert_array_equal(found[...], finer)
        assert max(finer.shape[-2:]) <= COARSEST_PX


def test_levels_lie_where_the_image_lies(tmp_path: Path) -> None:
    """The centre of the first pixel of level k, in um, is the mean of the centres of the pixels that it stands for."""
    import zarr

    output, _ = output_of(tmp_path)
    write_levels(output)
    group = zarr.open_group(output.path / FOLDER, path="optical_density", mode="r")
    (scales,) = dict(group.attrs)["ome"]["multiscales"]
    y, x = output.read("y_um"), output.read("x_um")
    for number, dataset in enumerate(scales["datasets"], 1):
        scale, start = (each[each["type"]] for each in dataset["coordinateTransformations"])
        block = 2**number
        np.testing.assert_allclose(start[1:], [y[:block].mean(), x[:block].mean()], rtol=1e-9)
        np.testing.assert_allclose(scale[1:], [block * (y[1] - y[0]), block * (x[1] - x[0])], rtol=1e-9)


def test_small_images_have_no_levels(tmp_path: Path) -> None:
    output, _ = output_of(tmp_path, (300, 1024))
    assert write_levels(output) == ()
    assert not (output.path / FOLDER).exists()
    assert level_of(output, "optical_density", 1) is None


def test_levels_are_files_of_the_output_and_leave_its_arrays_alone(tmp_path: Path) -> None:
    output, values = output_of(tmp_path)
    before = output.inventory()
    write_levels(output)
    after = output.inventory()
    assert before.items() < after.items()
    assert {name.split("/")[0] for name in after.keys() - before.keys()} == {FOLDER}
    assert set(output.dataset().data_vars) == set(values)
    # A second call leaves them as they are.
    write_levels(output)
    assert Output(output.path).inventory() == after


def test_levels_that_were_not_finished_are_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output, _ = output_of(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(levels, "_multiscales", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_levels(output)
    assert level_of(output, "optical_density", 1) is None
    assert write_levels(output)
    assert level_of(output, "optical_density", 1) is not None


@given(arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(-1e3, 1e3)))
def test_halving_keeps_the_range_and_of_even_images_the_mean(values: np.ndarray) -> None:
    found = halved(values)
    assert found.shape == tuple(-(-n // 2) for n in values.shape)
    assert values.min() <= found.min() + 1e-9
    assert found.max() <= values.max() + 1e-9
    if not values.shape[0] % 2 and not values.shape[1] % 2:
        np.testing.assert_allclose(found.mean(), values.mean(), atol=1e-9)


def test_halving_leaves_out_what_is_not_known() -> None:
    np.testing.assert_array_equal(halved(np.array([[1.0, np.nan, np.nan]])), [[1.0, np.nan]])
    np.testing.assert_array_equal(halved(np.array([[5, 0, 9]], np.uint8)), [[0, 9]])
    np.testing.assert_array_equal(halved(np.array([[-1, 7, -1]], np.int32)), [[7, -1]])
    assert halved(np.full((2, 2), 1 + 1j, np.complex64)).dtype == np.complex64
