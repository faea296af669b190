"""Which particles touch: the contact graph of a field, and the parts of it that hang together."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from stxmdist.arrays import F64, I32, I64, Mask
from stxmdist.pixel_pitch import pitch_yx_um

CONTACT_SIGMAS = 2.0
"""Two outlines closer than so many sigmas of the point spread function cannot be told from outlines that touch."""


@dataclass(frozen=True, eq=False)
class ContactGraph:
    """Contacts between the particles of one field."""

    particle_id: I64
    """(PARTICLE,) in increasing order"""
    one: I64
    """(CONTACT,) particle_id, the smaller"""
    other: I64
    """(CONTACT,) particle_id"""
    gap_nm: F64
    """(CONTACT,) least distance between both outlines, 0 where their pixels touch"""

    @property
    def degree(self) -> I64:
        """(PARTICLE,) how many others each touches."""
        ends = np.searchsorted(self.particle_id, np.concatenate([self.one, self.other]))
        return np.bincount(ends, minlength=self.particle_id.size)

    @property
    def component(self) -> I64:
        """(PARTICLE,) number of the part of the network that each belongs to, from 0."""
        n = self.particle_id.size
        ends = (np.searchsorted(self.particle_id, self.one), np.searchsorted(self.particle_id, self.other))
        graph = sparse.coo_matrix((np.ones(self.one.size), ends), shape=(n, n))
        return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)

    def edges(self) -> pd.DataFrame:
        """One row per contact: ``particle_id, neighbour_id, gap_nm``."""
        return pd.DataFrame({"particle_id": self.one, "neighbour_id": self.other, "gap_nm": self.gap_nm})


def contact_graph(labels: I32, y_um: F64, x_um: F64, gap_nm: float) -> ContactGraph:
    """Particles whose outlines come closer than a gap.

    Distances are between outermost pixels, less one pixel, so that outlines that share a border have the distance 0.
    Only contacts in the plane are seen: particles above one another are one region of the label image, or flagged.

    Parameters
    ----------
    labels
        (Y, X) int32, 0 or less between particles
    y_um, x_um
        (Y,), (X,) coordinates of pixel centres, um
    gap_nm
        ``CONTACT_SIGMAS`` sigmas of the point spread function

    Source: Ombrini et al., 2025 (abstract), for contact graphs of electrodes; definition of a contact own.
    """
    labels = np.maximum(labels, 0)
    present = np.unique(labels[labels > 0]).astype(np.int64)
    nothing = np.zeros(0, dtype=np.int64)
    if present.size < 2:
        return ContactGraph(present, nothing, nothing, np.zeros(0))
    step = 1e3 * pitch_yx_um(y_um, x_um)
    pixel_nm = float(step.max())
    rim = labels * _rim(labels)
    row, column = np.nonzero(rim)
    points, owner = np.stack([row * step[0], column * step[1]], axis=1), rim[row, column].astype(np.int64)
    # Diagonal neighbours are sqrt(2) pixels apart and touch.
    found = cKDTree(points).query_pairs(gap_nm + 1.5 * pixel_nm, output_type="ndarray")
    pair = np.sort(owner[found], axis=1)
    between = pair[:, 0] != pair[:, 1]
    distance = np.hypot(*(points[found[:, 0]] - points[found[:, 1]]).T)[between]
    pair = pair[between]
    if not pair.size:
        return ContactGraph(present, nothing, nothing, np.zeros(0))
    key, inverse = np.unique(pair, axis=0, return_inverse=True)
    nearest = np.full(len(key), np.inf)
    np.minimum.at(nearest, inverse.reshape(-1), distance)
    gap = np.maximum(nearest - pixel_nm, 0.0)
    near = (gap < gap_nm) | (nearest < 1.5 * pixel_nm)
    return ContactGraph(present, key[near, 0], key[near, 1], gap[near])


def _rim(labels: I32) -> Mask:
    """(Y, X) pixels of a particle with a neighbour that is not its own."""
    low = ndimage.minimum_filter(labels, size=3, mode="nearest")
    high = ndimage.maximum_filter(labels, size=3, mode="nearest")
    return np.asarray((labels > 0) & (low != high))
