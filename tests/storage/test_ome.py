"""An image viewer finds axes, pixel size and position of an image."""

from types import SimpleNamespace

import numpy as np
import pytest
import zarr

from storage.ome import is_image, ome_zarr_metadata
from storage.output import ArrayPlan
from storage.store import Store


def test_scale_and_translation_give_back_every_pixel_centre() -> None:
    y, x = 2.0 + 0.05 * np.arange(13), -1.0 + 0.04 * np.arange(7)
    image = ome_zarr_metadata("counts", ("energy", "y", "x"), {"y": (y, "um"), "x": (x, "um")})["multiscales"][0]
    (dataset,) = image["datasets"]
    scale = dataset["coordinateTransformations"][0]["scale"]
    start = dataset["coordinateTransformations"][1]["translation"]
    # 1e-12 um: rounding of the mean spacing.
    np.testing.assert_allclose(start[1] + scale[1] * np.arange(13), y, atol=1e-12)
    np.testing.assert_allclose(start[2] + scale[2] * np.arange(7), x, atol=1e-12)
    assert [axis["type"] for axis in image["axes"]] == ["channel", "space", "space"]
    assert [axis.get("unit") for axis in image["axes"]] == [None, "micrometer", "micrometer"]
    assert (scale[0], start[0]) == (1.0, 0.0)


def test_a_declared_group_carries_its_image_as_the_specification_wants(store: Store, sample: SimpleNamespace) -> None:
    output = store.output("fit", "s1", "d1")
    output.declare(sample.plans(), image="soc")
    group = zarr.open_group(output.group_path, mode="r", use_consolidated=False)
    ome = group.attrs["ome"]
    assert ome["version"] == "0.5"
    (image,) = ome["multiscales"]
    array = group[image["datasets"][0]["path"]]
    # OME-Zarr 0.5: axes are named as the array's dimensions, one entry of scale per axis, scale before translation.
    assert [axis["name"] for axis in image["axes"]] == list(array.metadata.dimension_names)
    kinds = [entry["type"] for entry in image["datasets"][0]["coordinateTransformations"]]
    assert kinds == ["scale", "translation"]
    assert all(len(entry[entry["type"]]) == array.ndim for entry in image["datasets"][0]["coordinateTransformations"])


@pytest.mark.parametrize(
    ("plan", "shown"),
    [
        (ArrayPlan("soc", (13, 7)), True),
        (ArrayPlan("thickness_nm", (2, 13, 7)), True),
        (ArrayPlan("object", (2, 13, 7)), False),
        (ArrayPlan("i0_counts", (5,)), False),
        (ArrayPlan("frames", (2, 3, 5, 5), dtype="uint16"), False),
    ],
)
def test_only_real_images_are_shown(store: Store, plan: ArrayPlan, shown: bool) -> None:
    output = store.output("x", "s1", "d1")
    output.declare([plan])
    assert ("ome" in output.attrs()) is shown
    assert is_image(plan.layout().dims, plan.layout().dtype) is shown
