"""A viewer that draws the first row at the top shows an exported image as the report draws it."""

from io import BytesIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from matplotlib.figure import Figure
from PIL import Image

from storage.store import Store
from stxmdist.report.canvas import as_png
from stxmdist.report.maps import draw_map, map_of

DARK = 110


def drawn_by_the_report(store: Store, stage: str, scan_id: str, name: str, field: np.ndarray) -> np.ndarray:
    """The field of view (Y, X) as the report's picture of it: grey values from the top row downward."""
    output = store.published_output(stage, scan_id)
    assert output is not None
    figure = Figure(figsize=(4.0, 4.0))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    image = map_of(field.astype(np.float32), output, 1000)
    draw_map(axes, image, cmap="gray", low=0.0, high=1.0, bar_um=1e-6)
    axes.set_aspect("auto")
    picture = np.asarray(Image.open(BytesIO(as_png(figure))).convert("L"))
    ny, nx = field.shape
    rows, columns = (np.arange(ny) + 0.5) / ny, (np.arange(nx) + 0.5) / nx
    return picture[np.ix_((rows * picture.shape[0]).astype(int), (columns * picture.shape[1]).astype(int))]


@pytest.mark.parametrize("scan", ["WIDE", "DOWNWARD", "FINE"])
def test_labels_and_maps_lie_as_in_the_report(
    scan: str, whole: Any, bench: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two particles, one of them low on the left and the other up and to the right of it: no turn leaves them alike."""
    scan_id = getattr(bench, scan)
    planted = bench.arrays_of("segment", scan_id)["labels"]
    seen = drawn_by_the_report(whole.store, "segment", scan_id, "labels", (planted == 1).astype(float)) > DARK
    assert seen.sum() == (planted == 1).sum()
    folder = tmp_path_factory.mktemp("orientation")
    whole.export("ome-zarr", folder, scans=(scan_id,))
    image = zarr.open_group(folder / f"{scan_id}.ome.zarr", mode="r")
    np.testing.assert_array_equal(image["labels/particles/0"][...] == 1, seen)

    soc = bench.arrays_of("fit", scan_id)["soc"]
    high = np.nan_to_num(soc) > np.nanmedian(soc)
    drawn = drawn_by_the_report(whole.store, "fit", scan_id, "soc", high.astype(float)) > DARK
    assert (drawn != drawn[::-1]).any()
    whole.export("tiff", folder, scans=(scan_id,))
    found = tifffile.imread(folder / f"{scan_id}_soc.tif")
    np.testing.assert_array_equal(np.nan_to_num(found) > np.nanmedian(soc), drawn)

    density = tifffile.imread(folder / f"{scan_id}_od.tif")
    np.testing.assert_array_equal(image["0"][...], density)
    scale, translation = image.attrs["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    y_um, _ = bench.axes(scan_id)["y"]
    row = 3
    assert -(translation["translation"][-2] + row * scale["scale"][-2]) == pytest.approx(np.sort(y_um)[::-1][row])
