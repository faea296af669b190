"""What a perfect instrument would report: maps on the scan's own grid, and each particle from its formula."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from scipy import ndimage

from stxmdist.arrays import F64, I32, Array, Mask
from stxmdist.simulation.phantom import Particle, Region
from stxmdist.simulation.stxm import fine_axis, gather

PITCH_UM = 0.004
"""Of the grid on which particles are integrated: a sixth of their bevel."""
CHARGED_ABOVE, DISCHARGED_BELOW = 0.7, 0.3
TWO_PHASE_FRACTION = 0.1
ACTIVE = (0.1, 0.9)
_THINNEST_NM = 1.0


def truth_maps(region: Region, y_um: F64, x_um: F64, oversample: int) -> dict[str, Array]:
    """Labels, thickness and state of charge of a region as pixel means, neither blurred nor moved.

    Parameters
    ----------
    y_um, x_um
        (Y,), (X,) pixel centres in the sample's coordinates
    oversample
        points a side of each pixel

    Returns
    -------
    labels (Y, X) int32: the particle that covers at least half of a pixel, 0 none; thickness_nm (COMPONENT, Y, X)
    float32; soc (Y, X) float32, by mass, NaN where there is none
    """
    axes = [fine_axis(axis, oversample) for axis in (y_um, x_um)]
    thickness = gather(region.thickness_nm(axes[0], axes[1]), oversample)
    fine = region.labels(axes[0], axes[1])
    blocks = fine.reshape(y_um.size, oversample, x_um.size, oversample).swapaxes(1, 2).reshape(y_um.size, x_um.size, -1)
    half = (oversample * oversample) // 2
    # Sorted, particles come after nothing: the value in the middle is a particle where that covers half or more.
    labels = np.partition(blocks, half, axis=2)[:, :, half]
    total = thickness.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        soc = np.where(total > _THINNEST_NM, thickness[1] / total, np.nan)
    return {
        "labels": labels.astype(np.int32),
        "thickness_nm": thickness.astype(np.float32),
        "soc": soc.astype(np.float32),
    }


def write_maps(path: Path, maps: dict[str, Array], y_um: F64, x_um: F64, attributes: dict[str, Any]) -> None:
    """Write the maps of a scan as a Zarr v3 group that xarray opens; it appears whole or not at all."""
    dims = {"labels": ("y", "x"), "soc": ("y", "x"), "thickness_nm": ("component", "y", "x")}
    units = {"labels": "", "soc": "1", "thickness_nm": "nm"}
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    group = zarr.open_group(partial, mode="w", zarr_format=3, attributes=attributes)
    for name, values in maps.items():
        array = group.create_array(
            name,
            shape=values.shape,
            chunks=values.shape,
            dtype=values.dtype,
            dimension_names=dims[name],
            attributes={"units": units[name]},
        )
        array[...] = values
    for name, axis in (("y", y_um), ("x", x_um)):
        array = group.create_array(
            name,
            shape=axis.shape,
            chunks=axis.shape,
            dtype="float64",
            dimension_names=(name,),
            attributes={"units": "um"},
        )
        array[...] = axis
    shutil.rmtree(path, ignore_errors=True)
    partial.rename(path)


PARTICLE_COLUMNS = (
    "particle_id", "y_um", "x_um", "area_um2", "d_eq_um", "aspect", "solidity", "thickness_nm", "soc_mean", "soc_se",
    "soc_sd", "f_charged", "f_mixed", "f_discharged", "phase_class", "active", "core_shell_index", "flags",
    "touches_border", "pattern", "soc_planted", "particle_effect", "mass_um2_nm", "n_pixels",
)  # fmt: skip
"""What is known of a particle, in the order of ``particle_rows``."""


def particle_rows(region: Region, labels: I32, y_um: F64, x_um: F64) -> list[dict[str, Any]]:
    """One row for each particle that has a pixel in a field of view, integrated over the part of it that lies inside.

    Parameters
    ----------
    labels
        (Y, X) int32, of ``truth_maps``
    y_um, x_um
        (Y,), (X,) pixel centres in the sample's coordinates
    """
    counts = np.bincount(labels.ravel())
    limits = []
    for axis in (y_um, x_um):
        pitch = (axis[-1] - axis[0]) / (axis.size - 1)
        limits.append((float(axis[0] - pitch / 2.0), float(axis[-1] + pitch / 2.0)))
    rows = []
    for particle in region.particles:
        if particle.particle_id < counts.size and counts[particle.particle_id] > 0:
            row = integrate(particle, limits[0], limits[1])
            rows.append(row | {"n_pixels": int(counts[particle.particle_id])})
    return rows


def integrate(particle: Particle, y_limits_um: tuple[float, float], x_limits_um: tuple[float, float]) -> dict[str, Any]:
    """Size, shape and chemistry of the part of a particle between limits, by sampling its formula every 4 nm.

    Chemistry is weighted by mass. ``core_shell_index`` is the state of charge of the outer quarter of depths less that
    of the inner quarter. Phases: charged above 0.7, discharged below 0.3.
    """
    outline = particle.outline
    axes: list[F64] = []
    for middle, (low, high) in ((outline.y_um, y_limits_um), (outline.x_um, x_limits_um)):
        first, last = middle - outline.reach_um, middle + outline.reach_um
        steps = int(np.ceil((last - first) / PITCH_UM))
        axis: F64 = np.asarray(first + (np.arange(steps) + 0.5) * PITCH_UM)
        axes.append(axis[(axis > low) & (axis < high)])
    y, x = axes[0][:, None], axes[1][None, :]
    thickness, soc = particle.sample(y, x)
    inside = thickness >= 0.5 * outline.thickness_nm
    cut = _reaches(inside, axes, y_limits_um, x_limits_um)
    mass = thickness.sum()
    mean = float((thickness * soc).sum() / mass)
    variance = float((thickness * (soc - mean) ** 2).sum() / mass)
    charged = float(thickness[soc > CHARGED_ABOVE].sum() / mass)
    discharged = float(thickness[soc < DISCHARGED_BELOW].sum() / mass)
    area = float(inside.sum()) * PITCH_UM**2
    rows, columns = np.nonzero(inside)
    # A point of the grid stands for a square, which has a moment of its own.
    eigenvalues = np.linalg.eigvalsh(np.cov(np.stack([rows, columns]), bias=True) + np.eye(2) / 12.0)
    phase = phase_class(mean, charged, discharged, particle.pattern)
    return {
        "particle_id": particle.particle_id,
        "y_um": float(axes[0][rows].mean()),
        "x_um": float(axes[1][columns].mean()),
        "area_um2": area,
        "d_eq_um": 2.0 * float(np.sqrt(area / np.pi)),
        "aspect": float(np.sqrt(eigenvalues[1] / eigenvalues[0])),
        "solidity": 1.0,
        "thickness_nm": float(np.median(thickness[inside])),
        "soc_mean": mean,
        "soc_se": 0.0,
        "soc_sd": float(np.sqrt(variance)),
        "f_charged": charged,
        "f_mixed": 1.0 - charged - discharged,
        "f_discharged": discharged,
        "phase_class": phase,
        "active": bool(ACTIVE[0] < mean < ACTIVE[1] or phase == "two-phase"),
        "core_shell_index": _core_shell_index(inside, thickness, soc),
        "flags": "touches border" if cut else "",
        "touches_border": cut,
        "pattern": particle.pattern,
        "soc_planted": particle.soc_mean,
        "particle_effect": particle.random_effect,
        "mass_um2_nm": float(mass) * PITCH_UM**2,
    }


def phase_class(mean: float, charged: float, discharged: float, pattern: str) -> str:
    """charged, discharged, two-phase or solid-solution; two phases only where they were planted."""
    if pattern == "two_phase" and min(charged, discharged) > TWO_PHASE_FRACTION:
        return "two-phase"
    if mean > CHARGED_ABOVE and discharged <= TWO_PHASE_FRACTION:
        return "charged"
    if mean < DISCHARGED_BELOW and charged <= TWO_PHASE_FRACTION:
        return "discharged"
    return "solid-solution"


def _reaches(inside: Mask, axes: list[F64], y_limits_um: tuple[float, float], x_limits_um: tuple[float, float]) -> bool:
    """Whether the particle reaches the border of the field."""
    for side, (axis, (low, high)) in enumerate(zip(axes, (y_limits_um, x_limits_um), strict=True)):
        occupied = axis[inside.any(axis=1 - side)]
        if occupied.size and (occupied[0] - low < PITCH_UM or high - occupied[-1] < PITCH_UM):
            return True
    return False


def _core_shell_index(inside: Mask, thickness: F64, soc: F64) -> float:
    depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    relative = depth / depth.max()
    shell, core = inside & (relative < 0.25), inside & (relative > 0.75)
    if not shell.any() or not core.any():
        return float("nan")
    outer, inner = ((thickness * soc)[part].sum() / thickness[part].sum() for part in (shell, core))
    return float(outer - inner)
