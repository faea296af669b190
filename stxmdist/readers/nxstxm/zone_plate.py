"""What a file says of the zone plate of its microscope."""

import numpy as np

from stxmdist.readers.hdf5 import Tree
from stxmdist.readers.hdf5_types import Group

PLAUSIBLE_NM = (5.0, 500.0)
"""Outermost zones that were ever made; other numbers are in another unit or stand for nothing"""


def outer_zone_nm(tree: Tree, entry: Group) -> float:
    """Width of the outermost zone in nm; NaN where the file does not say it, or says what cannot be.

    NXstxm has it in ``instrument/zone_plate/outermost_zone_width``; a blank unit is nm.
    """
    width = tree.number("instrument/zone_plate/outermost_zone_width", entry)
    return width if width is not None and PLAUSIBLE_NM[0] <= width <= PLAUSIBLE_NM[1] else float(np.nan)
