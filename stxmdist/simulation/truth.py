"""What a perfect instrument would report: maps on the scan's own grid, and each particle from its formula."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import zarr
from scipy import ndimage

from storage.atomic import replacing
from stxmdist.arrays import F32, F64, I32, Mask
from stxmdist.pixel_pitch import axis_pitch_um
from stxmdist.records import Json
from stxmdist.simulation.phantom import Particle, Region
from stxmdist.simulation.raster import Raster
from stxmdist.simulation.stxm import fine_axis, gather

PITCH_UM = 0.004
"""Pitch of the grid on which particles are integrated: a sixth of their bevel."""
CHARGED_ABOVE, DISCHARGED_BELOW = 0.7, 0.3
TWO_PHASE_FRACTION = 0.1
ACTIVE = (0.1, 0.9)
_THINNEST_NM = 1.0


@dataclass(frozen=True, eq=False)
class TruthMaps:
    """Images of a region as means over pixels, neither blurred nor moved."""

    labels: I32
    """(Y, X) the particle that covers at least half of a pixel, 0 if there is none"""
    thickness_nm: F32
    """(COMPONENT, Y, X) of ``Region.components``: (discharged, charged), and what a hard design adds"""
    soc: F32
    """(Y, X) by mass of these two, NaN where there is no particle"""


def truth_maps(region: Region, y_um: F64, x_um: F64, oversample: int, raster: Raster | None = None) -> TruthMaps:
    """Labels, thickness and state of charge of a region on the grid of a scan.

    Parameters
    ----------
    y_um, x_um
        (Y,), (X,) pixel centres in the sample's coordinates
    oversample
        points on a side of each pixel
    raster
        how the lines of the scan lie on the sample, where it differs from its file
    """
    axes = [fine_axis(axis, oversample) for axis in (y_um, x_um)]
    places = axes if raster is None else raster.places(axes[0], axes[1], y_um, oversample)
    thickness = gather(region.thickness_nm(places[0], places[1]), oversample)
    fine = region.labels(places[0], places[1])
    blocks = fine.reshape(y_um.size, oversample, x_um.size, oversample).swapaxes(1, 2).reshape(y_um.size, x_um.size, -1)
    half = (oversample * oversample) // 2
    # Sorted, the points without a particle come first: the point in the middle belongs to a particle that covers half
    # of the pixel or more.
    labels = np.partition(blocks, half, axis=2)[:, :, half]
    total = thickness[0] + thickness[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        soc = np.where(total > _THINNEST_NM, thickness[1] / total, np.nan)
    return TruthMaps(labels.astype(np.int32), thickness.astype(np.float32), soc.astype(np.float32))


def write_maps(path: Path, maps: TruthMaps, y_um: F64, x_um: F64, attributes: Mapping[str, Json]) -> None:
    """Write the maps of a scan as a Zarr v3 group that xarray opens; it appears whole or not at all."""
    dims = {"labels": ("y", "x"), "thickness_nm": ("component", "y", "x"), "soc": ("y", "x")}
    units = {"labels": "", "soc": "1", "thickness_nm": "nm"}
    with replacing(path) as partial:
        group = zarr.open_group(partial, mode="w", zarr_format=3, attributes=dict(attributes))
        for name in dims:
            values = getattr(maps, name)
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
        # A folder cannot take the place of one that holds something.
        shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True)
class TrueParticle:
    """What is known of a particle in a field of view, under the column names of a campaign's own table."""

    particle_id: int
    y_um: float
    x_um: float
    area_um2: float
    d_eq_um: float
    aspect: float
    solidity: float
    thickness_nm: float
    soc_mean: float
    """Weighted by mass, as are all figures of its chemistry"""
    soc_se: float
    soc_sd: float
    f_charged: float
    f_mixed: float
    f_discharged: float
    phase_class: str
    active: bool
    core_shell_index: float
    """State of charge of the outer quarter of depths less that of the inner quarter"""
    flags: str
    touches_border: bool
    pattern: str
    soc_planted: float
    """Mean of the whole particle"""
    particle_effect: float
    """What the planted mean has of this particle alone"""
    mass_um2_nm: float
    n_pixels: int
    """Pixels of the scan that it covers at least half of"""


PARTICLE_COLUMNS = tuple(field.name for field in fields(TrueParticle))


def particle_rows(
    region: Region, labels: I32, y_um: F64, x_um: F64, raster: Raster | None = None
) -> list[TrueParticle]:
    """One row for each particle that has a pixel in a field of view, integrated over the part of it that lies inside.

    Parameters
    ----------
    labels
        (Y, X) int32, of ``truth_maps``
    y_um, x_um
        (Y,), (X,) pixel centres in the sample's coordinates
    raster
        how the lines of the scan lie on the sample, where it differs from its file
    """
    counts = np.bincount(labels.ravel())
    limits = []
    for axis in (y_um, x_um):
        half_pixel = axis_pitch_um(axis) / 2.0
        limits.append((float(axis[0] - half_pixel), float(axis[-1] + half_pixel)))
    field = None if raster is None else BentField(raster, y_um)
    return [
        integrate(particle, limits[0], limits[1], int(counts[particle.particle_id]), field)
        for particle in region.particles
        if particle.particle_id < counts.size and counts[particle.particle_id] > 0
    ]


@dataclass(frozen=True, eq=False)
class BentField:
    """A field whose lines lie on the sample otherwise than the file says."""

    raster: Raster
    rows_um: F64
    """(Y,) centres of its rows"""

    def seen(self, y_um: F64, x_um: F64, y_limits_um: tuple[float, float], x_limits_um: tuple[float, float]) -> Mask:
        """Which points (Y, X) of two axes of the sample lie inside the limits of the file's coordinates."""
        shift = self.raster.shift_at(y_um, self.rows_um)
        y, x = y_um - shift[:, 0], x_um[None, :] - shift[:, 1:2]
        inside = (x > x_limits_um[0]) & (x < x_limits_um[1])
        return np.asarray(inside & ((y > y_limits_um[0]) & (y < y_limits_um[1]))[:, None])


def integrate(
    particle: Particle,
    y_limits_um: tuple[float, float],
    x_limits_um: tuple[float, float],
    n_pixels: int,
    field: BentField | None = None,
) -> TrueParticle:
    """Size, shape and chemistry of the part of a particle between limits, by sampling its formula every 4 nm.

    Phases are charged above a state of charge of 0.7 and discharged below 0.3.
    """
    outline = particle.outline
    axes: list[F64] = []
    for middle, (low, high) in ((outline.y_um, y_limits_um), (outline.x_um, x_limits_um)):
        first, last = middle - outline.reach_um, middle + outline.reach_um
        steps = int(np.ceil((last - first) / PITCH_UM))
        axis: F64 = np.asarray(first + (np.arange(steps) + 0.5) * PITCH_UM)
        axes.append(axis[(axis > low) & (axis < high)] if field is None else axis)
    y, x = axes[0][:, None], axes[1][None, :]
    thickness, soc = particle.sample(y, x)
    inside = particle.envelope(y, x) >= 0.5 * outline.thickness_nm
    cut = _reaches(inside, axes, y_limits_um, x_limits_um)
    if field is not None:
        seen = field.seen(axes[0], axes[1], y_limits_um, x_limits_um)
        cut = bool((inside & ~seen).any())
        thickness, inside = thickness * seen, inside & seen
    full = thickness
    if particle.flaws is not None:
        # The chemistry is that of the two end-members; the third phase counts as mass.
        thickness = thickness * (1.0 - particle.third_share(y, x))
    mass = thickness.sum()
    mean = float((thickness * soc).sum() / mass)
    variance = float((thickness * (soc - mean) ** 2).sum() / mass)
    charged = float(thickness[soc > CHARGED_ABOVE].sum() / mass)
    discharged = float(thickness[soc < DISCHARGED_BELOW].sum() / mass)
    area = float(inside.sum()) * PITCH_UM**2
    rows, columns = np.nonzero(inside)
    # A point of the grid stands for a square, which has a second moment of its own.
    eigenvalues = np.linalg.eigvalsh(np.cov(np.stack([rows, columns]), bias=True) + np.eye(2) / 12.0)
    phase = phase_class(mean, charged, discharged, particle.pattern)
    return TrueParticle(
        particle_id=particle.particle_id,
        y_um=float(axes[0][rows].mean()),
        x_um=float(axes[1][columns].mean()),
        area_um2=area,
        d_eq_um=2.0 * float(np.sqrt(area / np.pi)),
        aspect=float(np.sqrt(eigenvalues[1] / eigenvalues[0])),
        solidity=1.0,
        thickness_nm=float(np.median(full[inside])),
        soc_mean=mean,
        soc_se=0.0,
        soc_sd=float(np.sqrt(variance)),
        f_charged=charged,
        f_mixed=1.0 - charged - discharged,
        f_discharged=discharged,
        phase_class=phase,
        active=bool(ACTIVE[0] < mean < ACTIVE[1] or phase == "two-phase"),
        core_shell_index=_core_shell_index(inside, thickness, soc),
        flags="touches border" if cut else "",
        touches_border=cut,
        pattern=particle.pattern,
        soc_planted=particle.soc_mean,
        particle_effect=particle.random_effect,
        mass_um2_nm=float(full.sum()) * PITCH_UM**2,
        n_pixels=n_pixels,
    )


def phase_class(mean: float, charged: float, discharged: float, pattern: str) -> str:
    """``charged``, ``discharged``, ``two-phase`` or ``solid-solution``; two phases only where they were planted."""
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
