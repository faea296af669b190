"""The arrays of a scan by the names that people ask for: which stage leaves them, what follows from them, and how they
are shown. All are Dask-backed: nothing is read before it is used, and then by the chunks of the store.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
import xarray as xr

from stxmdist.arrays import MaskClass
from stxmdist.campaign.scan import Scan
from stxmdist.errors import InputError
from stxmdist.ptychography.verdict import VERDICTS
from stxmdist.report.maps import SOC_MAP

WHERE = {
    "counts": "ingest",
    "frames": "ingest",
    "positions_um": "ingest",
    "object_tile": "reconstruct",
    "probe": "reconstruct",
    "error": "reconstruct",
    "object": "stitch",
    "optical_density_unaligned": "absorbance",
    "od_variance_unaligned": "absorbance",
    "phase_unaligned": "absorbance",
    "i0_counts": "absorbance",
    "transmission": "align",
    "optical_density": "align",
    "od_variance": "align",
    "phase": "align",
    "pca_spectra": "explore",
    "pca_maps": "explore",
    "nmf_spectra": "explore",
    "nmf_maps": "explore",
    "cluster_spectra": "explore",
    "cluster_labels": "explore",
    "target_maps": "explore",
    "thickness_nm": "fit",
    "soc": "fit",
    "soc_se": "fit",
    "chi2_reduced": "fit",
    "mask_class": "fit",
    "labels": "segment",
}
"""Which stage leaves the arrays that people ask for by name. Stacks aligned as maps and labels are have plain names;
frames of the others lie where they were measured, so that their spectra mix neighbouring pixels.
"""

UNALIGNED = "_unaligned"
"""Ending of the names of arrays that alignment has not moved yet"""


def _density(align: xr.Dataset) -> xr.DataArray:
    transmission = align["transmission"]
    named = {"units": "1", "long_name": "optical density of the aligned stack, -ln of the transmission"}
    density = transmission.copy(data=-np.log(transmission.where(transmission > 0.0).data))
    return density.rename("optical_density").assign_attrs(named)


def _variance(align: xr.Dataset) -> xr.DataArray:
    transmission = align["transmission"]
    named = {"units": "1", "long_name": "variance of the optical density of the aligned stack"}
    variance = 1.0 / (transmission.where(transmission > 0.0) * align["effective_counts"])
    return variance.rename("od_variance").assign_attrs(named)


COMPUTED: Mapping[str, Callable[[xr.Dataset], xr.DataArray]] = {"optical_density": _density, "od_variance": _variance}
"""What is not kept, and follows from what its stage leaves"""

CLASSES = tuple(kind.name for kind in MaskClass)
CODES: Mapping[str, tuple[str, ...]] = {
    "mask_class": CLASSES,
    "aligned_class": CLASSES,
    "frame_class": CLASSES,
    "tile_verdict": tuple(VERDICTS),
    "detector_mask": ("good", "masked"),
    "particle_free": ("particle", "particle_free"),
    "energy_used": ("left_out", "used"),
}
"""Arrays of codes to what 0, 1, 2 ... mean"""


@dataclass(frozen=True)
class Colours:
    """How a map is coloured where nobody says otherwise."""

    colormap: str = "viridis"
    low: float | None = None
    """Value of the first colour; None: what 1 % of the pixels stay below"""
    high: float | None = None
    """Value of the last colour; None: what 1 % of the pixels exceed"""


COLOURS: Mapping[str, Colours] = {
    # As in the report: one map and one scale for states of charge, wherever they stand.
    "soc": Colours(SOC_MAP, 0.0, 1.0),
    "soc_se": Colours("magma", 0.0, 0.2),
    "chi2_reduced": Colours("magma", 0.0, 4.0),
    "thickness_nm": Colours("cividis", 0.0),
    "optical_density": Colours("Greys", 0.0),
    "transmission": Colours("gray", 0.0, 1.0),
    "phase": Colours("twilight", -np.pi, np.pi),
}
"""Name of an array, without ``_unaligned``, to its colours"""


SAID = ("flag_values", "flag_meanings", "display_range", "colormap")
"""Attributes that ``presented`` gives"""


def presented(array: xr.DataArray) -> xr.DataArray:
    """An array with all that programs and people need to read it, values untouched.

    Codes have CF's ``flag_values`` and ``flag_meanings``. ``display_range`` and ``colormap`` say how
    ``ScanResults.plot`` colours it. They are no ``valid_range``: states of charge beyond 0 to 1 are no faults.

    Source: CF conventions 1.11, section 3.5, for flags.
    """
    name = str(array.name).removesuffix(UNALIGNED)
    said: dict[str, object] = {}
    if name in CODES:
        values = np.arange(len(CODES[name]), dtype=array.dtype)
        said = {"flag_values": values, "flag_meanings": " ".join(CODES[name])}
    colours = COLOURS.get(name)
    if colours is not None:
        said["colormap"] = colours.colormap
        if colours.low is not None and colours.high is not None:
            said["display_range"] = np.array([colours.low, colours.high])
    found = array.copy(deep=False)
    # What an array is computed from may be presented already.
    found.attrs = {key: value for key, value in array.attrs.items() if key not in SAID} | said
    return found


class ScanArrays(Protocol):
    """A scan, as pictures and particles ask it for its results; ``ScanResults`` is one."""

    scan_id: str

    @property
    def about(self) -> Scan:
        """What the sample sheet says of it."""

    @property
    def particles(self) -> pd.DataFrame:
        """The rows of its particles."""

    def stages(self) -> list[str]:
        """The stages that have published it."""

    def stage(self, name: str) -> xr.Dataset:
        """What a stage left."""

    def array(self, name: str) -> xr.DataArray:
        """An array of ``WHERE``."""


def require_image(scan_id: str, array: xr.DataArray) -> None:
    """Refuse an array that has no axes y and x.

    Raises
    ------
    InputError
        for such an array.
    """
    if not {"y", "x"} <= set(array.dims):
        raise InputError(
            where=scan_id,
            problem=f"{array.name} is no image",
            got=f"axes {', '.join(map(str, array.dims))}",
            wanted="an array with axes y and x, such as soc or optical_density",
            mend=f"Plot it with xarray: `scan.{array.name}.plot()`",
        )
