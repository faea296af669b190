"""Size, thickness and mass of particles as plates with sharp rims, fitted through the point spread function."""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev
from scipy import fft, ndimage
from skimage.measure import find_contours
from skimage.segmentation import expand_labels

from stxmdist.arrays import C128, F64, I32, I64, Mask, Real
from stxmdist.particles.rims import local_noise, unrounded

SWEEPS = 4
"""Corrections of every plate, each against the neighbours as the sweep before left them."""
NODES = 5
"""Absorptions at which plates are imaged; the fit's energies lie between them."""
RELATIVE_DOUBT = 0.03
"""Of a plate's thickness: real ones are not even. It keeps few bright pixels from deciding."""
OFFSET_STEP_PX = 0.25
"""Move of the outline by which its effect is found."""
FIT_SIGMAS = 3.0
"""Sigmas of the point spread function around an outline over which a plate is compared with its image."""
EDGE_DOUBT_SIGMAS = 0.02
"""Standard error of an outline that the model adds, in sigmas of the point spread function: corners, and how well the
function is known (closure on planted plates)."""
SMALL_SIGMAS = 8.0
"""A plate so many sigmas of the point spread function wide has twice the variance that the fit says (closure on planted
plates)."""
MASS_DOUBT = 0.005
"""Relative standard error of the mass that the model adds (closure on planted plates)."""


@dataclass(frozen=True)
class RimOptions:
    """What is assumed of the rims of plates, which the microscope does not resolve."""

    width_nm: float = 20.0
    """Width over which the thickness of a plate falls to nothing at its rim: side faces are slanted"""
    doubt_nm: float = 12.0
    """Standard error of that width: it moves outlines by about a tenth of it"""


@dataclass(frozen=True, eq=False)
class Imaging:
    """What a microscope and a fit make of a plate."""

    psf: F64
    """(K, K) point spread function, K odd, on pixels ``sub`` times smaller than those of the maps; sum 1"""
    sub: int
    design_per_nm: F64
    """(ENERGY, TERM) optical density per nm of both end-members in the first two columns"""
    weights: F64
    """(ENERGY,) of the fit"""
    rim_px: float = 0.0
    """Width over which a plate's thickness falls to nothing at its rim, pixels of the maps; side faces are slanted"""
    rim_doubt_px: float = 0.0
    """Standard error of that width"""

    @property
    def sigma_px(self) -> float:
        """Of the Gaussian with the same height at the centre, in pixels of the maps."""
        return float(np.sqrt(1.0 / (2.0 * np.pi * self.psf.max()))) / self.sub


@dataclass(frozen=True, eq=False)
class SharpSizes:
    """Particles as plates with sharp rims, in the order of the labels; NaN where that cannot be said."""

    particle_id: I64
    area_px2: F64
    area_se: F64
    thickness_nm: F64
    thickness_se: F64
    mass_px2_nm: F64
    mass_se: F64
    misfit: F64
    """(PARTICLE,) rms difference of the measured thickness from the plate's image, over the plate's thickness, noise
    taken off"""
    outline_se_px: F64
    """(PARTICLE,) standard error of where the rim as a whole lies"""
    outline_noise_px: F64
    """(PARTICLE,) by how much noise moves single places of the rim"""
    outlines_px: tuple[F64 | None, ...]
    """(VERTEX, 2) rims (y, x) in pixels of the map"""


def sharp_sizes(
    labels: I32,
    thickness_nm: Real,
    variance_nm2: Real,
    imaging: Imaging,
    known: Mask,
    noise_correlation_px2: float = 1.0,
) -> SharpSizes:
    """Fit the plate behind each outline: how far its rim lies from the half-height line, and how thick it is.

    A plate of one thickness t fills its outline, moved by an offset; its transmission 1 - fill (1 - exp(-mu t)) is
    averaged by the point spread function, and the fit makes thickness of it again. Offset and t are found by least
    squares over the particle and its skirt, all particles against their neighbours. Small plates look larger and
    thinner than they are; offset and t then hang together, and their standard errors say so, while the mass is known.

    Parameters
    ----------
    labels
        (Y, X) int32, 0 where there is no particle
    thickness_nm
        (2, Y, X) floating, of (discharged, charged)
    variance_nm2
        (Y, X) variance of both together by counting
    known
        (Y, X) bool

    Notes
    -----
    Particles at the border of the field or of what was measured have no size: all of theirs is NaN.

    Source: own; Gauss and Newton's method with Levenberg's damping, Quart. Appl. Math. 2, 164 (1944).
    """
    ids = np.unique(labels[labels > 0]).astype(np.int64)
    usable = known & np.isfinite(thickness_nm).all(axis=0) & np.isfinite(variance_nm2)
    field = _PlateField(labels, thickness_nm, variance_nm2, usable, imaging)
    plates = [field.plate(int(label)) for label in ids]
    for plate in plates:
        if plate is not None:
            field.add(plate, 1.0)
    for _ in range(SWEEPS):
        for plate in plates:
            if plate is not None:
                field.improve(plate)
    rows = [_unknown() if plate is None else field.result(plate, noise_correlation_px2) for plate in plates]
    numbers = np.array([row[0] for row in rows], dtype=np.float64).reshape(len(rows), 9).T
    area, area_se, thick, thick_se, mass, mass_se, misfit, rim_se, noise = numbers
    rims = tuple(row[1] for row in rows)
    return SharpSizes(ids, area, area_se, thick, thick_se, mass, mass_se, misfit, rim_se, noise, rims)


def _unknown() -> tuple[tuple[float, ...], None]:
    return (float("nan"),) * 9, None


@dataclass(eq=False)
class _Plate:
    """One particle while its plate is sought; the arrays lie on its cut-out."""

    box: tuple[slice, slice]
    distance: F64
    """(Y * sub, X * sub) from the half-height line in fine pixels, positive inside"""
    fitted: Mask
    """(Y, X) where it is compared"""
    absorption: F64
    """(NODE,) 1/nm"""
    weights: F64
    """(NODE,) nm"""
    thickness_nm: float
    least_nm: float
    offset_px: float
    image: F64
    """(Y, X) fill through the point spread function"""
    moved: F64
    """(Y, X) the same with the rim ``OFFSET_STEP_PX`` further out"""
    damping: float = 1e-3


class _PlateField:
    """All plates of a scan and what they absorb together."""

    def __init__(self, labels: I32, thickness_nm: Real, variance_nm2: Real, usable: Mask, imaging: Imaging) -> None:
        self._labels = np.where(usable, labels, 0)
        self._reach = expand_labels(self._labels, distance=FIT_SIGMAS * imaging.sigma_px + 0.5)
        self._charged = np.where(usable, thickness_nm[1], 0.0)
        self._total = np.where(usable, np.sum(thickness_nm, axis=0), 0.0).astype(np.float64)
        self._variance = np.where(usable, variance_nm2, np.inf).astype(np.float64)
        self._usable, self._imaging = usable, imaging
        self._boxes = ndimage.find_objects(labels)
        self._absorbed = np.zeros((NODES, *labels.shape))
        self._transfers: dict[tuple[int, ...], C128] = {}
        border = np.ones(labels.shape, dtype=bool)
        border[1:-1, 1:-1] = ~ndimage.binary_erosion(usable)[1:-1, 1:-1]
        self._cut = set(np.unique(labels[border]).tolist())
        root = np.sqrt(imaging.weights)
        solve = np.linalg.pinv(imaging.design_per_nm * root[:, None]) * root[None, :]
        self._solve = solve[0] + solve[1]
        self._margin = int(np.ceil(FIT_SIGMAS * imaging.sigma_px)) + 2

    def plate(self, label: int) -> _Plate | None:
        """The plate at its half-height line; None where the particle is cut by the border."""
        if label in self._cut:
            return None
        found, shape, sub = self._boxes[label - 1], self._labels.shape, self._imaging.sub
        box = (
            slice(max(0, found[0].start - self._margin), min(shape[0], found[0].stop + self._margin)),
            slice(max(0, found[1].start - self._margin), min(shape[1], found[1].stop + self._margin)),
        )
        here = self._labels[box] == label
        total = self._total[box]
        depth = ndimage.distance_transform_edt(here)
        deep = here & (depth > min(2.0 * self._imaging.sigma_px + 0.5, float(depth.max()) - 0.5))
        plateau = float(np.median(total[deep]))
        mass = float(total[here].sum())
        if not plateau > 0.0 or not mass > 0.0:
            return None
        soc = float(np.clip(self._charged[box][here].sum() / mass, 0.0, 1.0))
        mine = self._reach[box] == label
        smooth = ndimage.gaussian_filter(np.where(mine, total, 0.0), 0.5 * self._imaging.sigma_px)
        distance = _signed_distance(np.where(mine, smooth, 0.0), here, 0.5 * plateau, sub)
        absorption, weights = self._nodes(soc)
        plate = _Plate(
            box, distance, mine & self._usable[box], absorption, weights, plateau, 0.4 * plateau, 0.0, total, total
        )
        plate.image, plate.moved = self.imaged(plate, 0.0)
        return plate

    def _nodes(self, soc: float) -> tuple[F64, F64]:
        """Absorptions (NODE,) and what each weighs in the fitted thickness, for plates of one state of charge."""
        absorption = self._imaging.design_per_nm[:, :2] @ np.array([1.0 - soc, soc])
        low, high = float(absorption.min()), float(absorption.max())
        if not high > low:
            return np.full(NODES, low), self._solve.sum() * np.full(NODES, 1.0 / NODES)
        at = chebyshev.chebpts1(NODES)
        lagrange = chebyshev.chebvander(2.0 * (absorption - low) / (high - low) - 1.0, NODES - 1) @ np.linalg.inv(
            chebyshev.chebvander(at, NODES - 1)
        )
        return low + 0.5 * (at + 1.0) * (high - low), self._solve @ lagrange

    def fill(self, plate: _Plate, offset_px: float) -> F64:
        """(Y * sub, X * sub) share of its thickness that the plate has, its rim moved out by an offset."""
        sub = self._imaging.sub
        return np.clip((plate.distance + offset_px * sub) / max(1.0, self._imaging.rim_px * sub) + 0.5, 0.0, 1.0)

    def imaged(self, plate: _Plate, offset_px: float) -> tuple[F64, F64]:
        """(Y, X) share of each pixel that the plate fills, through the point spread function; the same moved on."""
        sub, psf = self._imaging.sub, self._imaging.psf
        fill = np.stack([self.fill(plate, offset_px + step) for step in (0.0, OFFSET_STEP_PX)])
        rows, columns = fill.shape[1:]
        half = psf.shape[0] // 2
        size = tuple(fft.next_fast_len(max(n + half, psf.shape[0]), real=True) for n in (rows, columns))
        out = fft.irfft2(fft.rfft2(fill, size) * self._transfer(size), size)[:, :rows, :columns]
        image, moved = out.reshape(2, rows // sub, sub, columns // sub, sub).mean(axis=(2, 4))
        return image, moved

    def _transfer(self, size: tuple[int, ...]) -> C128:
        """Of the point spread function on cut-outs of a size; many particles share one."""
        if size not in self._transfers:
            psf = self._imaging.psf
            half = psf.shape[0] // 2
            kernel = np.zeros(size)
            kernel[: psf.shape[0], : psf.shape[1]] = psf
            self._transfers[size] = np.asarray(fft.rfft2(np.roll(kernel, (-half, -half), axis=(0, 1))))
        return self._transfers[size]

    def absorbed(self, plate: _Plate, image: F64, moved: F64, thickness_nm: float) -> F64:
        """(NODE, Y, X) share of the light; a slanted rim takes more of it than a sharp one of the same mass."""
        density = plate.absorption * thickness_nm
        share, out_px = 1.0 - np.exp(-density), self._imaging.rim_px * slant_excess(density)
        outside = (moved - image) / OFFSET_STEP_PX
        return np.asarray(share[:, None, None] * (image + out_px[:, None, None] * outside))

    def add(self, plate: _Plate, sign: float) -> None:
        """Add to what all plates absorb, or take off, one of them."""
        self._absorbed[:, *plate.box] += sign * self.absorbed(plate, plate.image, plate.moved, plate.thickness_nm)

    def seen(self, plate: _Plate, image: F64, moved: F64, thickness_nm: float, others: F64) -> F64:
        """(Y, X) thickness that the fit finds."""
        through = np.maximum(1.0 - others - self.absorbed(plate, image, moved, thickness_nm), 1e-4)
        return np.asarray(-np.tensordot(plate.weights, np.log(through), axes=1))

    def improve(self, plate: _Plate) -> None:
        """One damped step of Gauss and Newton for offset and thickness."""
        self.add(plate, -1.0)
        others = self._absorbed[:, *plate.box]
        residual, jacobian, weight = self._linearised(plate, others)
        normal = np.einsum("iyx,jyx,yx->ij", jacobian, jacobian, weight)
        gradient = np.einsum("iyx,yx,yx->i", jacobian, residual, weight)
        before = float(np.sum(weight * residual**2))
        for _ in range(3):
            step = np.linalg.solve(normal + plate.damping * np.diag(np.diag(normal)), gradient)
            offset = plate.offset_px + float(np.clip(step[0], -0.75, 0.75))
            offset = max(offset, 0.3 - float(plate.distance.max()) / self._imaging.sub)
            thickness = float(np.clip(plate.thickness_nm + step[1], plate.least_nm, 2.0 * plate.thickness_nm))
            image, moved = self.imaged(plate, offset)
            left = self._total[plate.box] - self.seen(plate, image, moved, thickness, others)
            if float(np.sum(weight * left**2)) <= before:
                plate.offset_px, plate.thickness_nm = offset, thickness
                plate.image, plate.moved = image, moved
                plate.damping = max(plate.damping / 10.0, 1e-6)
                break
            plate.damping = max(10.0 * plate.damping, 1e-2)
        self.add(plate, 1.0)

    def _linearised(self, plate: _Plate, others: F64) -> tuple[F64, F64, F64]:
        """Residual (Y, X), its change (2, Y, X) with offset and thickness, weights (Y, X)."""
        image, moved, thickness = plate.image, plate.moved, plate.thickness_nm
        now = self.seen(plate, image, moved, thickness, others)
        by_offset = (self.seen(plate, moved, 2.0 * moved - image, thickness, others) - now) / OFFSET_STEP_PX
        step_nm = 0.01 * thickness
        by_thickness = (self.seen(plate, image, moved, thickness + step_nm, others) - now) / step_nm
        doubt = (RELATIVE_DOUBT * thickness) ** 2
        weight = np.where(plate.fitted, 1.0 / (self._variance[plate.box] + doubt), 0.0)
        return self._total[plate.box] - now, np.stack([by_offset, by_thickness]), weight

    def result(self, plate: _Plate, correlation_px2: float) -> tuple[tuple[float, ...], F64 | None]:
        """The row of one plate, and its rim."""
        self.add(plate, -1.0)
        residual, jacobian, weight = self._linearised(plate, self._absorbed[:, *plate.box])
        self.add(plate, 1.0)
        normal = np.einsum("iyx,jyx,yx->ij", jacobian, jacobian, weight)
        variance = np.where(np.isfinite(self._variance[plate.box]), self._variance[plate.box], 0.0)
        counted = np.einsum("iyx,jyx,yx->ij", jacobian, jacobian, weight**2 * variance)
        inverse = np.linalg.pinv(normal)
        covariance = correlation_px2 * inverse @ counted @ inverse
        # What noise does not explain hangs together over the point spread function.
        n = float(plate.fitted.sum())
        excess = max(0.0, float((residual[plate.fitted] ** 2 - variance[plate.fitted]).sum()) / n)
        grain = 4.0 * np.pi * self._imaging.sigma_px**2 + 1.0
        covariance += grain * excess * inverse @ np.einsum("iyx,jyx,yx->ij", jacobian, jacobian, weight**2) @ inverse
        # The half-height line is found in the same noise, which matters most where the plate is small.
        across = 2.0 * np.sqrt(float((plate.distance > 0.0).sum()) / np.pi) / self._imaging.sub
        covariance *= 1.0 + (SMALL_SIGMAS * self._imaging.sigma_px / max(across, 1.0)) ** 2
        sub = self._imaging.sub
        area, grown, shrunk = (
            float(self.fill(plate, plate.offset_px + move).sum()) / sub**2
            for move in (0.0, OFFSET_STEP_PX, -OFFSET_STEP_PX)
        )
        rim_px = (grown - shrunk) / (2.0 * OFFSET_STEP_PX)
        middle = np.atleast_1d(plate.absorption.mean() * plate.thickness_nm)
        slant = self._imaging.rim_doubt_px * float(slant_excess(middle)[0])
        edge = float(np.hypot(EDGE_DOUBT_SIGMAS * self._imaging.sigma_px, slant))
        offset_se = float(np.hypot(np.sqrt(covariance[0, 0]), edge))
        area_se = rim_px * offset_se
        mass = area * plate.thickness_nm
        by_both = np.array([rim_px * plate.thickness_nm, area])
        statistical = max(float(by_both @ covariance @ by_both), 0.0)
        mass_se = float(np.sqrt(statistical + (rim_px * plate.thickness_nm * slant) ** 2 + (MASS_DOUBT * mass) ** 2))
        doubted = plate.thickness_nm * np.hypot(edge * rim_px / area, MASS_DOUBT)
        thickness_se = float(np.hypot(np.sqrt(covariance[1, 1]), doubted))
        misfit = float(np.sqrt(excess)) / plate.thickness_nm
        noise = local_noise(float(np.sqrt(covariance[0, 0])), rim_px, self._imaging.sigma_px)
        row = (area, area_se, plate.thickness_nm, thickness_se, mass, mass_se, misfit, offset_se, noise)
        return row, self._rim(plate)

    def _rim(self, plate: _Plate) -> F64 | None:
        found = find_contours(np.pad(plate.distance, 1, constant_values=-1e3), -plate.offset_px * self._imaging.sub)
        if not found:
            return None
        fine = max(found, key=len) - 1.0
        corner = np.array([side.start for side in plate.box], dtype=np.float64)
        rim = (fine[:-1] + 0.5) / self._imaging.sub - 0.5 + corner
        # Of the half-height line: the point spread function, what it was smoothed by, and the pixel.
        return unrounded(rim, float(np.sqrt(1.25 * self._imaging.sigma_px**2 + 1.0 / 12.0)))


def slant_excess(density: F64) -> F64:
    """How much further out a sharp rim would absorb as much as a slanted one of the same mass, in widths of the slant.

    Over the slant 1 - exp(-density u) is averaged over u from 0 to 1, where a sharp rim has half of 1 - exp(-density).
    """
    safe = np.maximum(density, 1e-6)
    share = -np.expm1(-safe)
    return np.asarray(np.where(density > 1e-3, (1.0 - share / safe) / share - 0.5, density / 12.0))


def _signed_distance(values: F64, here: Mask, level: float, sub: int) -> F64:
    """(Y * sub, X * sub) distance in fine pixels from where values (Y, X) fall to a level; positive inside."""
    rows, columns = values.shape
    at = [(np.arange(n * sub) + 0.5) / sub - 0.5 for n in (rows, columns)]
    grid = np.meshgrid(*at, indexing="ij")
    fine = ndimage.map_coordinates(values, grid, order=1, mode="nearest") - level
    inside, _ = ndimage.label(fine > 0.0)
    owned = np.kron(here, np.ones((sub, sub), dtype=bool)) & (inside > 0)
    counts = np.bincount(inside[owned], minlength=2)
    body = inside == int(np.argmax(counts[1:]) + 1) if counts[1:].any() else np.kron(here, np.ones((sub, sub), bool))
    body = ndimage.binary_fill_holes(body)
    out = ndimage.distance_transform_edt(body) - ndimage.distance_transform_edt(~body)
    # From the centre of a pixel to the line between two: half a pixel less.
    return np.asarray(out - 0.5 * np.sign(out))
