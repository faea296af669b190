"""How other programs read OME-Zarr that stxmdist exported: their numbers as one npz. Run by the peers' own Python.

    peer/bin/python read_ome.py ome_zarr PLATE.ome.zarr found.npz
    peer/bin/python read_ome.py napari_ome_zarr IMAGE.ome.zarr found.npz
    peer/bin/python read_ome.py ngio PLATE.ome.zarr found.npz E1/1/0

Stands alone: it imports only numpy and the peer.
"""

import argparse
from typing import Any

import numpy as np


def by_ome_zarr(path: str) -> dict[str, Any]:
    """What the reader of the reference implementation makes of a plate: all wells side by side."""
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    first, *_ = Reader(parse_url(path))()
    return {
        "kind": [type(spec).__name__ for spec in first.specs],
        "image": np.asarray(first.data[0]),
        "levels": len(first.data),
        "channels": first.metadata["channel_names"],
        "visible": first.metadata["visible"],
        "limits": first.metadata["contrast_limits"],
    }


def by_napari(path: str) -> dict[str, Any]:
    """The layers that napari's plugin opens: the image, and the first labels."""
    from napari_ome_zarr._reader import napari_get_reader

    layers = napari_get_reader(path)()
    (image, about, _), (labels, of_labels, _) = (
        next(layer for layer in layers if layer[2] == kind) for kind in ("image", "labels")
    )
    return {
        "image": np.asarray(image[0]),
        "labels": np.asarray(labels[0]),
        "levels": len(image),
        "levels_of_labels": len(labels),
        "channels": about["name"],
        "visible": about["visible"],
        "limits": about["contrast_limits"],
        "scale": about["scale"],
        "scale_of_labels": of_labels["scale"],
        "units": about["units"],
        "particles": of_labels["properties"]["index"],
        "soc_mean": of_labels["properties"]["soc_mean"],
    }


def by_ngio(path: str, field: str) -> dict[str, Any]:
    """A field of a plate with its particles, and the table of conditions."""
    import ngio

    plate = ngio.open_ome_zarr_plate(path)
    row, column, number = field.split("/")
    container = plate.get_image(row, column, number)
    image, labels = container.get_image(), container.get_label("particles")
    conditions = plate.get_table("condition").dataframe
    particles = container.get_table("particles").dataframe
    return {
        "rows": plate.rows,
        "columns": plate.columns,
        "wells": sorted(plate.wells_paths()),
        "images": sorted(plate.images_paths(max_workers=1)),
        "image": image.get_as_numpy(),
        "labels": labels.get_as_numpy(),
        "pixel_um": [image.pixel_size.y, image.pixel_size.x],
        "unit": str(image.pixel_size.space_unit),
        "channels": image.channel_labels,
        "condition_keys": conditions[["row", "column", "field"]].astype(str).agg("/".join, axis=1).to_list(),
        "condition_scans": conditions["scan_id"].to_list(),
        "condition_cycles": conditions["cycle"].to_numpy(float),
        "particles": particles.index.to_numpy(),
        "soc_mean": particles["soc_mean"].to_numpy(),
    }


READERS = {"ome_zarr": by_ome_zarr, "napari_ome_zarr": by_napari, "ngio": by_ngio}


def main() -> None:
    """Read, and write what was read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=READERS)
    parser.add_argument("path")
    parser.add_argument("out")
    parser.add_argument("field", nargs="*")
    given = parser.parse_args()
    np.savez(
        given.out, **{name: np.asarray(value) for name, value in READERS[given.peer](given.path, *given.field).items()}
    )


if __name__ == "__main__":
    main()
