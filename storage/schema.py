"""Arrays of a campaign, declared once: name, axes, type, unit, meaning, what unwritten means, how they are packed.

Maps of one fitter or explorer are declared with it, and come to the store with their plan (``layout.ArrayPlan.spec``).
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from storage.columns import TABLES, ColumnSpec, TableSpec
from storage.errors import StoreError

__all__ = ["ARRAYS", "COORDINATES", "TABLES", "ArraySpec", "ColumnSpec", "CoordinateSpec", "TableSpec", "array_spec"]

Codec = Literal["fast", "small"]
"""``fast``: bit-shuffle + lz4, for frames and floats. ``small``: bit-shuffle + zstd, for labels and masks."""

MISSING = 5
"""The mask class of what was never measured or written (the store repeats the number, it may not import the enum)."""

NAN = math.nan


@dataclass(frozen=True)
class ArraySpec:
    """One array of the schema."""

    name: str
    dims: tuple[str, ...]
    dtype: str
    """numpy name; several admitted ones are separated by ``|``."""
    unit: str
    """``1`` for pure numbers, empty for codes."""
    meaning: str
    fill: float = NAN
    """What a reader gets where nothing was written: NaN, or a code that no measurement gives."""
    codec: Codec = "fast"
    whole: tuple[str, ...] = ()
    """Axes that one chunk always spans, because readers want all of them at once."""
    also_dims: tuple[tuple[str, ...], ...] = ()
    """Other axes under which the same quantity occurs."""

    def dims_for(self, n_axes: int) -> tuple[str, ...]:
        """The axes of an array of this quantity with so many axes.

        Raises
        ------
        StoreError
            when the quantity does not occur with that number of axes.
        """
        for dims in (self.dims, *self.also_dims):
            if len(dims) == n_axes:
                return dims
        raise StoreError(
            where=self.name,
            problem="the array has another number of axes than the schema says",
            got=f"{n_axes} axes",
            wanted=" or ".join(f"({', '.join(dims)})" for dims in (self.dims, *self.also_dims)),
            mend="Give the shape along these axes",
        )

    def dtype_for(self, dtype: object = None) -> np.dtype[Any]:
        """The admitted type: the only one where ``dtype`` is None.

        Raises
        ------
        StoreError
            when the schema does not admit it, or None leaves the choice open.
        """
        admitted = [np.dtype(name) for name in self.dtype.split("|")]
        if dtype is None and len(admitted) == 1:
            return admitted[0]
        if dtype is not None and np.dtype(dtype) in admitted:  # type: ignore[call-overload]
            return np.dtype(dtype)  # type: ignore[call-overload, no-any-return]
        raise StoreError(
            where=self.name,
            problem="the array has another type than the schema says",
            got="no choice" if dtype is None else np.dtype(dtype),  # type: ignore[call-overload]
            wanted=" or ".join(map(str, admitted)),
            mend="Convert it, or give the plan's dtype",
        )

    def fill_for(self, dtype: np.dtype[Any]) -> Any:
        """The value of unwritten elements, of type ``dtype``; counts take the largest integer, no detector gives it."""
        if dtype.kind == "c":
            return dtype.type(complex(math.nan, math.nan))
        if dtype.kind in "ui" and math.isnan(self.fill):
            return dtype.type(np.iinfo(dtype).max)
        return dtype.type(self.fill)


@dataclass(frozen=True)
class CoordinateSpec:
    """What the numbers along an axis are."""

    dim: str
    name: str
    """The name under which the values cross a border, with the unit in it."""
    unit: str
    meaning: str


_E, _YX, _EYX = ("energy",), ("y", "x"), ("energy", "y", "x")
_TILE = ("energy", "tile", "ty", "tx")

_FINE = ("fine_y", "fine_x")

_COORDINATES = (
    CoordinateSpec("energy", "energy_ev", "eV", "photon energy"),
    CoordinateSpec("y", "y_um", "um", "pixel centre on the sample, vertical"),
    CoordinateSpec("x", "x_um", "um", "pixel centre on the sample, horizontal"),
    CoordinateSpec("fine_y", "fine_y_um", "um", "pixel centre of the ptychography scan, vertical"),
    CoordinateSpec("fine_x", "fine_x_um", "um", "pixel centre of the ptychography scan, horizontal"),
)
COORDINATES: dict[str, CoordinateSpec] = {spec.dim: spec for spec in _COORDINATES}
"""Axes that carry physical coordinates; the array in the file has the axis' name, so that xarray indexes by it."""

_ARRAYS = (
    # ingest
    ArraySpec("counts", _EYX, "float32", "count", "transmitted signal as the detector gave it, NaN where not measured"),
    ArraySpec(
        "frame_class",
        _E,
        "uint8",
        "",
        "mask class of each frame",
        MISSING,
        "small",
        also_dims=(("energy", "position"),),
    ),
    ArraySpec("dwell_ms", _E, "float64", "ms", "exposure of one pixel"),
    ArraySpec("ring_current_ma", _E, "float64", "mA", "electron current in the storage ring"),
    ArraySpec(
        "frames",
        ("energy", "position", "qy", "qx"),
        "uint16|uint32|float32",
        "count",
        "far-field diffraction frames, zero frequency in pixel n // 2; floats where the file's are not whole counts",
        whole=("qy", "qx"),
    ),
    ArraySpec(
        "positions_um", ("energy", "position", "axis"), "float64", "um", "where the beam meets the sample, (y, x)"
    ),
    ArraySpec("detector_mask", ("qy", "qx"), "uint8", "", "0 where the detector pixel is good", 1, "small"),
    ArraySpec("frame_counts", ("energy", "position"), "float64", "count", "sum of a frame's good pixels"),
    ArraySpec(
        "ceiling_counts", ("energy",), "float32", "count", "from here on numbers of frames are saturated, NaN: none is"
    ),
    ArraySpec(
        "illumination",
        ("mode", "qy", "qx"),
        "complex64",
        "1",
        "illumination that came with the file, on the sample",
        whole=("mode", "qy", "qx"),
    ),
    # reconstruct
    ArraySpec("object_tile", _TILE, "complex64", "1", "complex transmission of one tile", whole=("ty", "tx")),
    ArraySpec("object_half_a", _TILE, "complex64", "1", "the same from one half of the positions", whole=("ty", "tx")),
    ArraySpec("object_half_b", _TILE, "complex64", "1", "the same from the other half", whole=("ty", "tx")),
    ArraySpec(
        "tile_illumination", _TILE, "float32", "1", "summed probe intensity over each object pixel", whole=("ty", "tx")
    ),
    ArraySpec(
        "probe",
        ("energy", "tile", "mode", "qy", "qx"),
        "complex64",
        "sqrt(count)",
        "illumination on the sample, by mode",
        whole=("mode", "qy", "qx"),
    ),
    ArraySpec(
        "tile_start_positions_px",
        ("energy", "tile", "position", "axis"),
        "float64",
        "px",
        "positions in the tile as the file has them, (row, column) of the window's corner",
    ),
    ArraySpec(
        "tile_positions_px",
        ("energy", "tile", "position", "axis"),
        "float64",
        "px",
        "refined positions in the tile, (row, column) of the window's corner",
    ),
    ArraySpec("tile_verdict", ("energy", "tile"), "uint8", "1", "0 good, 1 poor, 2 failed: nothing is known"),
    ArraySpec("error", ("energy", "tile", "iteration"), "float32", "1", "amplitude residual after each iteration"),
    ArraySpec("frc", ("energy", "tile", "frequency"), "float32", "1", "Fourier ring correlation of the two halves"),
    # stitch
    ArraySpec("object", _EYX, "complex64", "1", "complex transmission of the whole field"),
    ArraySpec("object_a", _EYX, "complex64", "1", "the same from one half of the positions"),
    ArraySpec("object_b", _EYX, "complex64", "1", "the same from the other half"),
    ArraySpec("illumination_weight", _EYX, "float32", "1", "summed probe intensity, the weight in blending"),
    # absorbance
    ArraySpec("optical_density", _EYX, "float32", "1", "-ln of transmission"),
    ArraySpec("od_variance", _EYX, "float32", "1", "variance of the optical density"),
    ArraySpec("phase", _EYX, "float32", "rad", "phase of the complex transmission"),
    ArraySpec("i0_counts", _E, "float64", "count", "incident signal per pixel"),
    ArraySpec("i0_variance", _E, "float64", "count2", "variance of the incident signal"),
    ArraySpec("particle_free", _YX, "uint8", "", "1 where no particle stands", 0, "small"),
    # align
    ArraySpec("transmission", _EYX, "float32", "1", "transmission on the common grid, NaN outside the frame", whole=_E),
    ArraySpec(
        "effective_counts",
        _E,
        "float64",
        "count",
        "photons per pixel at full transmission, after resampling: Var(T) = T / effective_counts",
    ),
    ArraySpec("shift_px", ("energy", "axis"), "float64", "px", "how far each image was moved, (y, x)"),
    ArraySpec("shift_quality", _E, "float64", "1", "height of the correlation peak"),
    ArraySpec("mean_od", _E, "float64", "1", "mean optical density over the particles"),
    ArraySpec("mean_od_variance", _E, "float64", "1", "its variance"),
    ArraySpec(
        "particle_od", ("particle", "energy"), "float64", "1", "mean optical density inside each of some particles"
    ),
    ArraySpec("particle_od_variance", ("particle", "energy"), "float64", "1", "its variance by counting noise"),
    ArraySpec("i0_relative_variance", _E, "float64", "1", "variance of the incident signal over its square"),
    ArraySpec("energy_used", _E, "uint8", "", "1 where the energy takes part in the fit", 0, "small"),
    ArraySpec("aligned_class", _YX, "uint8", "", "mask class of each pixel after alignment", MISSING, "small"),
    # explore
    ArraySpec("pca_eigenvalues", ("rank",), "float64", "1", "mean squares of components, in those of counting noise"),
    # fit
    ArraySpec("thickness_nm", ("component", "y", "x"), "float32", "nm", "thickness of (discharged, charged) material"),
    ArraySpec(
        "thickness_covariance", ("pair", "y", "x"), "float32", "nm2", "covariance of the two thicknesses: 00, 01, 11"
    ),
    ArraySpec("background", _YX, "float32", "1", "optical density that no component explains"),
    ArraySpec("soc", _YX, "float32", "1", "state of charge, 0 discharged to 1 charged, not clipped"),
    ArraySpec("soc_se", _YX, "float32", "1", "standard error of the state of charge"),
    ArraySpec("chi2_reduced", _YX, "float32", "1", "chi-square per degree of freedom"),
    ArraySpec("mask_class", _YX, "uint8", "", "why a pixel carries no number", MISSING, "small"),
    # segment, register
    ArraySpec("labels", _YX, "int32", "", "particle number, 0 between particles, -1 not known", -1, "small"),
    ArraySpec(
        "soc_ptychography_on_stxm",
        _YX,
        "float32",
        "1",
        "state of charge from ptychography, blurred and sampled as the wide-field map",
    ),
    ArraySpec("fused_soc", _FINE, "float32", "1", "state of charge from both modalities, as sharp as ptychography"),
    ArraySpec("fused_soc_se", _FINE, "float32", "1", "standard error of fused_soc"),
    # react
    ArraySpec("reaction_rate_per_h", _YX, "float32", "1/h", "change of state of charge between two times"),
    ArraySpec("reaction_rate_se_per_h", _YX, "float32", "1/h", "its standard error by counting and placement"),
)
ARRAYS: dict[str, ArraySpec] = {spec.name: spec for spec in _ARRAYS}
"""All arrays of a campaign but those that one fitter or explorer leaves, by name."""


def array_spec(name: str) -> ArraySpec:
    """The declaration of an array.

    Raises
    ------
    StoreError
        for a name that the schema does not hold.
    """
    if name not in ARRAYS:
        raise StoreError(
            where="storage.schema",
            problem="the schema declares no array of this name",
            got=repr(name),
            wanted="one of " + ", ".join(ARRAYS),
            mend="Declare it in storage/schema.py with its axes, type, unit and meaning",
        )
    return ARRAYS[name]
