"""OME-Zarr read by zarr alone, against the rules of version 0.5 and of those who read it."""

from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from ome_zarr_models.v05.image import Image
from ome_zarr_models.v05.image_label import ImageLabel

from storage.tables import read_table, write_table
from stxmdist.arrays import MaskClass
from stxmdist.export.pyramid import halved_image, halved_labels, levels_for


@pytest.fixture(scope="module")
def images(whole: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, zarr.Group]:
    folder = tmp_path_factory.mktemp("ome")
    whole.export("ome-zarr", folder)
    return {path.name.removesuffix(".ome.zarr"): zarr.open_group(path, mode="r") for path in folder.iterdir()}


def pyramids(image: zarr.Group) -> dict[str, zarr.Group]:
    names = image["labels"].attrs["ome"]["labels"]
    return {"": image} | {name: image[f"labels/{name}"] for name in names}


@pytest.mark.parametrize("scan_id", ["wide-1", "wide-2", "fine-1"])
def test_metadata_follow_the_rules(scan_id: str, images: dict[str, zarr.Group]) -> None:
    image = images[scan_id]
    assert image.metadata.zarr_format == 3
    for name, group in pyramids(image).items():
        ome = group.attrs["ome"]
        assert ome["version"] == "0.5"
        (scales,) = ome["multiscales"]
        axes = [axis["name"] for axis in scales["axes"]]
        assert axes == (["y", "x"] if name else ["c", "y", "x"])
        for axis in scales["axes"]:
            space = {"name": axis["name"], "type": "space", "unit": "micrometer"}
            assert axis == ({"name": "c", "type": "channel"} if axis["name"] == "c" else space)
        for dataset in scales["datasets"]:
            array = group[dataset["path"]]
            assert list(array.metadata.dimension_names) == axes
            scale, translation = dataset["coordinateTransformations"]
            assert (scale["type"], translation["type"]) == ("scale", "translation")
            assert len(scale["scale"]) == len(translation["translation"]) == len(axes)
        if name:
            assert np.issubdtype(group["0"].dtype, np.integer)


@pytest.mark.parametrize("scan_id", ["wide-1", "wide-2", "fine-1"])
def test_a_validator_finds_it_valid(scan_id: str, images: dict[str, zarr.Group]) -> None:
    image = Image.from_zarr(images[scan_id])
    assert image.labels is not None
    assert sorted(image.labels.ome_attributes.labels) == ["mask_class", "particles"]


@pytest.mark.parametrize("n_particles", [0, 1])
def test_a_scan_without_particles_is_valid(n_particles: int, torn: Any, bench: SimpleNamespace, tmp_path: Path) -> None:
    output = torn.store.output("segment", bench.WIDE, bench.digest_of("segment", bench.WIDE))
    table = read_table(output.path / "particles.parquet")
    write_table(table.iloc[[0] * n_particles], output.path / "particles.parquet", "particles")
    torn.export("ome-zarr", tmp_path, scans=(bench.WIDE,))
    labels = ImageLabel.from_zarr(zarr.open_group(tmp_path / "wide-1.ome.zarr/labels/particles", mode="r"))
    colours = labels.ome_attributes.image_label.colors
    assert colours is not None
    assert len(colours) == n_particles


@pytest.mark.parametrize("scan_id", ["wide-1", "wide-2", "fine-1"])
def test_image_and_labels_have_the_same_levels(scan_id: str, images: dict[str, zarr.Group]) -> None:
    def levels(group: zarr.Group) -> list[Any]:
        return [
            (dataset["path"], group[dataset["path"]].shape[-2:],
             [t[t["type"]][-2:] for t in dataset["coordinateTransformations"]])
            for dataset in group.attrs["ome"]["multiscales"][0]["datasets"]
        ]  # fmt: skip

    found = [levels(group) for group in pyramids(images[scan_id]).values()]
    assert len(found[0]) == 2
    assert found == [found[0]] * 3


def test_pixels_lie_where_they_were_measured(images: dict[str, zarr.Group], bench: SimpleNamespace) -> None:
    """The first coarse pixel covers the first two fine ones in each direction: its centre lies between them."""
    fine, coarse = images["wide-1"].attrs["ome"]["multiscales"][0]["datasets"]
    pitch = np.array(bench.PIXEL_UM[bench.WIDE])
    # y runs downward from the highest row of the field.
    first = np.array([-bench.FIRST_UM[0] - (bench.NY - 1) * pitch[0], bench.FIRST_UM[1]])
    for dataset, factor in ((fine, 1), (coarse, 2)):
        scale, translation = dataset["coordinateTransformations"]
        assert scale["scale"] == pytest.approx([1.0, *(factor * pitch)])
        assert translation["translation"] == pytest.approx([0.0, *(first + 0.5 * (factor - 1) * pitch)])


@pytest.mark.parametrize("scan", ["WIDE", "DOWNWARD", "FINE"])
def test_numbers_come_back(scan: str, images: dict[str, zarr.Group], bench: SimpleNamespace) -> None:
    scan_id = getattr(bench, scan)
    image = images[scan_id]
    transmission = bench.upright(scan_id, bench.arrays_of("align", scan_id)["transmission"])
    density = image["0"][...][:, ::-1]
    # float32 logarithms
    np.testing.assert_allclose(np.exp(-density), np.where(transmission > 0, transmission, np.nan), rtol=1e-6)
    labels = bench.upright(scan_id, bench.arrays_of("segment", scan_id)["labels"])
    np.testing.assert_array_equal(image["labels/particles/0"][...][::-1], np.maximum(labels, 0))
    classes = image["labels/mask_class/0"][...][::-1]
    np.testing.assert_array_equal(classes, bench.upright(scan_id, bench.arrays_of("segment", scan_id)["mask_class"]))
    assert (classes[labels < 0] != MaskClass.valid).all(), "what is not known is said elsewhere"


def test_channels_are_energies(images: dict[str, zarr.Group], bench: SimpleNamespace) -> None:
    image = images["fine-1"]
    assert image.attrs["stxmdist"]["energy_ev"] == bench.ENERGY_EV.tolist()
    channels = image.attrs["ome"]["omero"]["channels"]
    assert [channel["label"] for channel in channels] == ["703.00 eV", "708.20 eV", "710.20 eV"]
    for channel in channels:
        window = channel["window"]
        assert window["min"] <= window["start"] < window["end"] <= window["max"]
        assert len(channel["color"]) == 6
    # Grey images that are added to one another show none of them: only the darkest is shown at first.
    (darkest,) = [channel for channel in channels if channel["active"]]
    assert darkest["window"]["end"] == max(channel["window"]["end"] for channel in channels)


def test_labels_name_their_image_and_their_values(images: dict[str, zarr.Group]) -> None:
    for name in ("particles", "mask_class"):
        group = images["wide-1"][f"labels/{name}"]
        about = group.attrs["ome"]["image-label"]
        assert about["source"] == {"image": "../../"}
        named = {entry["label-value"] for entry in about["properties"]}
        assert set(np.unique(group["0"][...])) - {0} <= named
        # Validators refuse colours and properties of different values.
        assert named == {entry["label-value"] for entry in about["colors"]}
        assert all(len(entry["rgba"]) == 4 for entry in about["colors"])
    first = images["wide-1"]["labels/particles"].attrs["ome"]["image-label"]["properties"][0]
    assert first["soc_mean"] == pytest.approx(0.1)
    assert first["thickness_nm"] is None


def test_large_images_have_levels_down_to_a_screen() -> None:
    assert [levels_for(*shape) for shape in ((13, 17), (1024, 1000), (1025, 3), (10_000, 9_000))] == [2, 2, 3, 6]


def test_provenance(images: dict[str, zarr.Group], bench: SimpleNamespace) -> None:
    found = images["wide-2"].attrs["stxmdist"]["provenance"]
    assert found["simulated"] is False
    assert found["stages"]["align"]["outputs"][bench.DOWNWARD]["digest"] == bench.digest_of("align", bench.DOWNWARD)


shapes = st.tuples(st.integers(1, 7), st.integers(1, 7))


@given(shapes, st.integers(0, 2**32 - 1))
def test_halving_against_its_definition(shape: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = np.where(rng.random(shape) < 0.3, np.nan, rng.normal(size=shape))
    labels = rng.integers(0, 3, shape)
    small, voted = halved_image(image), halved_labels(labels)
    assert small.shape == voted.shape == tuple(-(-n // 2) for n in shape)
    for row, column in product(*map(range, small.shape)):
        block = np.s_[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        known = image[block][np.isfinite(image[block])]
        assert (
            small[row, column] == pytest.approx(known.mean(), nan_ok=True)
            if known.size
            else np.isnan(small[row, column])
        )
        votes = np.bincount(labels[block].ravel(), minlength=3)
        assert votes[voted[row, column]] == votes.max()
