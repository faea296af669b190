"""One small picture of a scan: its map of state of charge on the scale of all scans, or what there is before the fit."""

from dataclasses import dataclass

from stxmdist.dashboard.images import LAYERS, n_levels, seen
from stxmdist.dashboard.visit import Visit

LARGEST_STACK = 30e6
"""Elements of a stack of images of which a picture is made before the fit: all of it has to be read"""


@dataclass(frozen=True)
class Thumbnail:
    """Where a page finds the picture, and what it shows."""

    address: str
    words: str


def thumbnail(visit: Visit, scan_id: str, layers: tuple[str, ...] = ("soc", "od")) -> Thumbnail | None:
    """The coarsest tile of the first layer that is published; None where there is none yet."""
    for name in layers:
        image = seen(visit.now, scan_id, name)
        if image is None:
            continue
        if name != "soc" and image.shape[0] * image.shape[1] * max(1, image.energies_ev().size) > LARGEST_STACK:
            continue
        place = {"level": n_levels(image.shape), "row": 0, "column": 0, "energy": image.energies_ev().size // 2}
        address = visit.link("tile", scan=scan_id, layer=name, v=visit.now.version, **place)
        return Thumbnail(address, f"{LAYERS[name].title} of scan {scan_id}")
    return None
