"""One small picture of a scan: its state of charge on the scale of all scans, or what there is before the fit."""

import math
from dataclasses import dataclass

from stxmdist.dashboard.images import LAYERS, seen
from stxmdist.dashboard.visit import Visit

LARGEST_STACK = 30e6
"""Elements of a stack of images of which a picture is made before the fit: all of it has to be read"""


@dataclass(frozen=True)
class Thumbnail:
    """Where a page finds the picture, and what it shows."""

    address: str
    words: str


def thumbnail(visit: Visit, scan_id: str, *, fitted: bool = False) -> Thumbnail | None:
    """The state of charge; before the fit the optical density, unless only what is ``fitted`` is wanted, or None.

    Nothing is opened for a scan that is fitted: a plate may have thousands.
    """
    if visit.now.published.has("fit", scan_id):
        return _of(visit, scan_id, "soc")
    image = None if fitted else seen(visit.now, scan_id, "od")
    if image is None or math.prod(image.shape) * max(1, image.energies_ev().size) > LARGEST_STACK:
        return None
    return _of(visit, scan_id, "od", image.energies_ev().size // 2)


def _of(visit: Visit, scan_id: str, layer: str, energy: int = 0) -> Thumbnail:
    address = visit.link("tile", scan=scan_id, layer=layer, energy=energy, v=visit.now.version)
    return Thumbnail(address, f"{LAYERS[layer].title} of scan {scan_id}")
