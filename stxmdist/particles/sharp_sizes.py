"""Size, thickness and mass of particles as plates with sharp rims, fitted through the point spread function.

The file is longer than 400 lines because the plate, what is seen of it and what that leaves uncertain belong together.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.polynomial import chebyshev
from scipy import fft, linalg, ndimage
from skimage.measure import find_contours
from skimage.segmentation import expand_labels

from stxmdist.arrays import C128, F64, I32, I64, Mask, Real
from stxmdist.particles.crevices import closed_outline
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
DEEP_SIGMAS = 2.0
"""Sigmas of the point spread function below a slanted rim from where on pixels show how thick a plate is."""
LEAST_DEEP_PIXELS = 40
"""From so many of them their median is the plate's thickness: cracks and grooves are none of it, and a rim that is
slanted otherwise than was assumed does not change it."""
CRACK_SIGMAS = 2.0
"""Sigmas of the point spread function beside a crack that are left out where a plate is compared with its image."""
CLOSED_DOUBT = 0.35
"""Standard error of the area of cracks that open into an outline, as a share of it (closure on plates of simulated
campaigns, 0.1 to 0.6)"""
PART_OF_PLATE = 0.1
"""Pieces of an outline that are smaller than this share of the largest are left out."""
THIN = 0.1
"""Share of the thickness that is missing in grooves, which are left out of the median."""
MEDIAN_VARIANCE = np.pi / 2.0
"""Of a median over that of a mean, of normal numbers"""
MAD_TO_SD = 1.4826
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
    phase_per_nm: F64 | None = None
    """(ENERGY, 2) phase in radians that one nm of each end-member adds, where images average complex amplitudes, as in
    ptychography; pixels then sample the image, and ``sub`` is odd. None: transmission is averaged, and pixels gather
    what falls on them
    """
    rim_px: float = 0.0
    """Width over which a plate's thickness falls to nothing at its rim, pixels of the maps; side faces are slanted"""
    rim_doubt_px: float = 0.0
    """Standard error of that width"""
    crack_px: float = 0.0
    """Gaps in an outline up to this width are cracks, and of the plate; 0: none would be seen"""
    wider_psf: F64 | None = None
    """The point spread function (K', K') if it is wider by one standard error; None: it is known"""
    stray_doubt: float = 0.0
    """Standard error of the share of light that falls everywhere, of other orders and from beyond the rings"""
    outline_doubt_px: float = 0.0
    """Standard error of all outlines that how the images were made adds"""

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
    averaged by the point spread function, and the fit makes thickness of it again. A reconstruction averages the
    amplitude 1 - fill (1 - exp(-mu t / 2 + i phi t)) instead: halfway across a rim light through plate and vacuum is
    out of step, and a rim looks further out than it is. Offset and t are found by least
    squares over the particle and its skirt, all particles against their neighbours. Where many pixels lie away from
    the rim, their median is the thickness, grooves left out, and cracks that open into the outline are of the plate:
    what both leave out is missing in the mass alone. Small plates look larger and
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
    own: Mask
    """(Y, X) what is nearest to it"""
    fitted: Mask
    """(Y, X) where it is compared: of what is its own all but cracks"""
    absorption: F64 | C128
    """(NODE,) 1/nm; of amplitudes mu / 2 - i phi"""
    weights: F64
    """(NODE,) nm"""
    thickness_nm: float
    least_nm: float
    offset_px: float
    closed_px2: float
    """Area of cracks that open into the outline, which are counted as the plate's"""
    depth_px: F64
    """(Y, X) of the middles of pixels below the half-height line"""
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
        root = np.sqrt(imaging.weights)
        solve = np.linalg.pinv(imaging.design_per_nm * root[:, None]) * root[None, :]
        self._solve = solve[0] + solve[1]
        self._members = _members(imaging)
        self._energies = None if imaging.phase_per_nm is None else telling_energies(self._members.sum(axis=1))
        n_nodes = NODES if self._energies is None else len(self._energies)
        self._absorbed = np.zeros((n_nodes, *labels.shape), dtype=self._members.dtype)
        self._transfers: dict[tuple[int, ...], C128] = {}
        border = np.ones(labels.shape, dtype=bool)
        border[1:-1, 1:-1] = ~ndimage.binary_erosion(usable)[1:-1, 1:-1]
        self._cut = set(np.unique(labels[border]).tolist())
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
        body = _body(np.where(mine, smooth, 0.0), here, 0.5 * plateau, sub)
        own, cracks, closed_px2 = mine & self._usable[box], np.zeros(here.shape, dtype=np.bool_), 0.0
        if self._imaging.crack_px > 0.0:
            whole = closed_outline(body, max(1, round(0.5 * self._imaging.crack_px * sub))) & _parts(mine, sub)
            beside = CRACK_SIGMAS * self._imaging.sigma_px
            open_ = _gathered((whole & ~body).astype(np.float64), sub) > 0.5
            if open_.any():
                cracks = np.asarray(ndimage.distance_transform_edt(~open_) <= beside, dtype=np.bool_)
            closed_px2 = float((whole & ~np.asarray(ndimage.binary_fill_holes(body))).sum()) / sub**2
            body = whole
        body = np.asarray(ndimage.binary_fill_holes(body), dtype=np.bool_)
        distance = _signed_distance(body)
        absorption, weights = self._nodes(soc)
        plate = _Plate(
            box=box,
            distance=distance,
            own=own,
            fitted=own & ~cracks,
            absorption=absorption,
            weights=weights,
            thickness_nm=plateau,
            least_nm=0.4 * plateau,
            offset_px=0.0,
            closed_px2=closed_px2,
            depth_px=_gathered(distance, sub) / sub,
            image=total,
            moved=total,
        )
        plate.image, plate.moved = self.imaged(plate, 0.0)
        return plate

    def _nodes(self, soc: float) -> tuple[F64 | C128, F64]:
        """Absorptions (NODE,) and what each weighs in the fitted thickness, for plates of one state of charge."""
        absorption = self._members @ np.array([1.0 - soc, soc])
        if self._energies is not None:
            return absorption[self._energies], weights_of_energies(absorption, self._energies, self._solve)
        low, high = float(absorption.min()), float(absorption.max())
        if not high > low:
            return np.full(NODES, low), self._solve.sum() * np.full(NODES, 1.0 / NODES)
        at = chebyshev.chebpts1(NODES)
        lagrange = chebyshev.chebvander(2.0 * (absorption - low) / (high - low) - 1.0, NODES - 1) @ np.linalg.inv(
            chebyshev.chebvander(at, NODES - 1)
        )
        return low + 0.5 * (at + 1.0) * (high - low), self._solve @ lagrange

    def fill(self, plate: _Plate, offset_px: float, rim_px: float) -> F64:
        """(Y * sub, X * sub) share of its thickness that the plate has, its rim moved out by an offset."""
        sub = self._imaging.sub
        return np.clip((plate.distance + offset_px * sub) / max(1.0, rim_px * sub) + 0.5, 0.0, 1.0)

    def imaged(self, plate: _Plate, offset_px: float, through: Imaging | None = None) -> tuple[F64, F64]:
        """(Y, X) share of each pixel that the plate fills, through the point spread function; the same moved on."""
        imaging = through or self._imaging
        sub, psf = imaging.sub, imaging.psf
        fill = np.stack([self.fill(plate, offset_px + step, imaging.rim_px) for step in (0.0, OFFSET_STEP_PX)])
        rows, columns = fill.shape[1:]
        half = psf.shape[0] // 2
        size = tuple(fft.next_fast_len(max(n + half, psf.shape[0]), real=True) for n in (rows, columns))
        out = fft.irfft2(fft.rfft2(fill, size) * self._transfer(size, psf), size)[:, :rows, :columns]
        if self._imaging.phase_per_nm is not None:
            image, moved = out[:, sub // 2 :: sub, sub // 2 :: sub]
        else:
            image, moved = (_gathered(one, sub) for one in out)
        return image, moved

    def _transfer(self, size: tuple[int, ...], psf: F64) -> C128:
        """Of a point spread function on cut-outs of a size; many particles share one."""
        key = (*size, id(psf))
        if key not in self._transfers:
            half = psf.shape[0] // 2
            kernel = np.zeros(size)
            kernel[: psf.shape[0], : psf.shape[1]] = psf
            self._transfers[key] = np.asarray(fft.rfft2(np.roll(kernel, (-half, -half), axis=(0, 1))))
        return self._transfers[key]

    def absorbed(
        self, plate: _Plate, image: F64, moved: F64, thickness_nm: float, rim_px: float | None = None
    ) -> F64 | C128:
        """(NODE, Y, X) share of the light, or of its amplitude.

        A slanted rim takes more of it than a sharp one of the same mass.
        """
        density = plate.absorption * thickness_nm
        share = 1.0 - np.exp(-density)
        out_px = (self._imaging.rim_px if rim_px is None else rim_px) * slant_excess(density)
        outside = (moved - image) / OFFSET_STEP_PX
        absorbed: F64 | C128 = share[:, None, None] * (image + out_px[:, None, None] * outside)
        return absorbed

    def add(self, plate: _Plate, sign: float) -> None:
        """Add to what all plates absorb, or take off, one of them."""
        self._absorbed[:, *plate.box] += sign * self.absorbed(plate, plate.image, plate.moved, plate.thickness_nm)

    def seen(
        self,
        plate: _Plate,
        image: F64,
        moved: F64,
        thickness_nm: float,
        others: F64 | C128,
        rim_px: float | None = None,
        stray: float = 0.0,
    ) -> F64:
        """(Y, X) thickness that the fit finds, where it does not know of a share of ``stray`` light."""
        through = 1.0 - others - self.absorbed(plate, image, moved, thickness_nm, rim_px)
        if np.iscomplexobj(through):
            through = through.real**2 + through.imag**2
        through = np.maximum((through + stray) / (1.0 + stray), 1e-4)
        return np.asarray(-np.tensordot(plate.weights, np.log(through), axes=1))

    def improve(self, plate: _Plate) -> None:
        """The thickness that deep pixels show, and one damped step of Gauss and Newton for what is left to find."""
        self.add(plate, -1.0)
        others = self._absorbed[:, *plate.box]
        now = self.seen(plate, plate.image, plate.moved, plate.thickness_nm, others)
        deep = self._deep(plate, now)
        if deep is not None:
            share = float(np.median(self._total[plate.box][deep] / now[deep]))
            plate.thickness_nm = self._limited(plate, share * plate.thickness_nm)
        residual, jacobian, weight = self._linearised(plate, others)
        normal = np.einsum("iyx,jyx,yx->ij", jacobian, jacobian, weight)
        gradient = np.einsum("iyx,yx,yx->i", jacobian, residual, weight)
        before = float(np.sum(weight * residual**2))
        for _ in range(3):
            if deep is not None:
                step = np.array([gradient[0] / normal[0, 0] / (1.0 + plate.damping), 0.0])
            else:
                step = np.linalg.solve(normal + plate.damping * np.diag(np.diag(normal)), gradient)
            offset = plate.offset_px + float(np.clip(step[0], -0.75, 0.75))
            offset = max(offset, 0.3 - float(plate.distance.max()) / self._imaging.sub)
            thickness = self._limited(plate, plate.thickness_nm + float(step[1]))
            image, moved = self.imaged(plate, offset)
            left = self._total[plate.box] - self.seen(plate, image, moved, thickness, others)
            if float(np.sum(weight * left**2)) <= before:
                plate.offset_px, plate.thickness_nm = offset, thickness
                plate.image, plate.moved = image, moved
                plate.damping = max(plate.damping / 10.0, 1e-6)
                break
            plate.damping = max(10.0 * plate.damping, 1e-2)
        self.add(plate, 1.0)

    def _limited(self, plate: _Plate, thickness_nm: float) -> float:
        return float(np.clip(thickness_nm, plate.least_nm, 2.0 * plate.thickness_nm))

    def _deep(self, plate: _Plate, now_nm: F64) -> Mask | None:
        """(Y, X) pixels that show how thick a plate is, of which one would see ``now_nm``; None where there are few."""
        sigma_px = self._imaging.sigma_px
        deep = plate.fitted & (plate.depth_px + plate.offset_px > DEEP_SIGMAS * sigma_px + 0.5 * self._imaging.rim_px)
        if deep.sum() < LEAST_DEEP_PIXELS:
            return None
        if self._imaging.crack_px > 0.0:
            ratio = np.where(deep, self._total[plate.box] / np.maximum(now_nm, 1e-6), 1.0)
            ratio = ndimage.gaussian_filter(ratio / float(np.median(ratio[deep])), 0.5 * sigma_px + 0.5)
            noise = MAD_TO_SD * float(np.median(np.abs(ratio[deep] - np.median(ratio[deep]))))
            thin = deep & (ratio < 1.0 - max(THIN, 3.0 * noise))
            if thin.any():
                whole = deep & (ndimage.distance_transform_edt(~thin) > CRACK_SIGMAS * sigma_px)
                deep = whole if whole.sum() >= LEAST_DEEP_PIXELS else deep
        return np.asarray(deep, dtype=np.bool_)

    def _linearised(self, plate: _Plate, others: F64 | C128) -> tuple[F64, F64, F64]:
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
        others = self._absorbed[:, *plate.box]
        residual, jacobian, weight = self._linearised(plate, others)
        changes = self._doubted(plate, others)
        deep = self._deep(plate, self._total[plate.box] - residual)
        self.add(plate, 1.0)
        variance = np.where(np.isfinite(self._variance[plate.box]), self._variance[plate.box], 0.0)
        # What noise does not explain hangs together over the point spread function.
        grain = 4.0 * np.pi * self._imaging.sigma_px**2 + 1.0
        # The half-height line is found in the same noise, which matters most where the plate is small.
        across = 2.0 * np.sqrt(float((plate.distance > 0.0).sum()) / np.pi) / self._imaging.sub
        line = 1.0 + (SMALL_SIGMAS * self._imaging.sigma_px / max(across, 1.0)) ** 2
        found = _Found(plate, residual, jacobian, weight, variance, correlation_px2, grain, line)
        own = found.of_both(changes) if deep is None else found.of_deep(deep, changes)
        sub, rim_width_px = self._imaging.sub, self._imaging.rim_px
        area, grown, shrunk = (
            float(self.fill(plate, plate.offset_px + move, rim_width_px).sum()) / sub**2
            for move in (0.0, OFFSET_STEP_PX, -OFFSET_STEP_PX)
        )
        rim_px = (grown - shrunk) / (2.0 * OFFSET_STEP_PX)
        edge = float(np.hypot(EDGE_DOUBT_SIGMAS * self._imaging.sigma_px, self._imaging.outline_doubt_px))
        offset_se = float(np.hypot(np.sqrt(own.covariance[0, 0]), edge))
        area_se = float(np.hypot(rim_px * offset_se, CLOSED_DOUBT * plate.closed_px2))
        mass = area * plate.thickness_nm
        by_both = np.array([rim_px * plate.thickness_nm, area])
        variance_of_mass = float(by_both @ own.covariance @ by_both)
        if deep is not None:
            # What cracks and grooves leave out is missing in the mass.
            missing, variance_of_mass = found.beside_plate(by_both, own)
            mass += missing
        mass_se = float(np.hypot(np.sqrt(max(variance_of_mass, 0.0)), MASS_DOUBT * mass))
        doubted = plate.thickness_nm * (np.hypot(edge * rim_px / area, MASS_DOUBT) if deep is None else MASS_DOUBT)
        thickness_se = float(np.hypot(np.sqrt(own.covariance[1, 1]), doubted))
        misfit = float(np.sqrt(found.excess)) / plate.thickness_nm
        noise = local_noise(float(np.sqrt(own.by_noise)), rim_px, self._imaging.sigma_px)
        row = (area, area_se, plate.thickness_nm, thickness_se, mass, mass_se, misfit, offset_se, noise)
        return row, self._rim(plate)

    def _doubted(self, plate: _Plate, others: F64 | C128) -> list[F64]:
        """By how much (Y, X) another thickness is seen with more of what is doubted: rim, blur, stray light."""
        imaging, thickness = self._imaging, plate.thickness_nm
        others_of = [replace(imaging, rim_px=imaging.rim_px + imaging.rim_doubt_px)] if imaging.rim_doubt_px else []
        if imaging.wider_psf is not None:
            others_of.append(replace(imaging, psf=imaging.wider_psf))
        now = self.seen(plate, plate.image, plate.moved, thickness, others)
        changes = [
            self.seen(plate, *self.imaged(plate, plate.offset_px, one), thickness, others, one.rim_px) - now
            for one in others_of
        ]
        if imaging.stray_doubt:
            changes.append(
                self.seen(plate, plate.image, plate.moved, thickness, others, stray=imaging.stray_doubt) - now
            )
        return changes

    def _rim(self, plate: _Plate) -> F64 | None:
        found = find_contours(np.pad(plate.distance, 1, constant_values=-1e3), -plate.offset_px * self._imaging.sub)
        if not found:
            return None
        fine = max(found, key=len) - 1.0
        corner = np.array([side.start for side in plate.box], dtype=np.float64)
        rim = (fine[:-1] + 0.5) / self._imaging.sub - 0.5 + corner
        # Of the half-height line: the point spread function, what it was smoothed by, and the pixel.
        return unrounded(rim, float(np.sqrt(1.25 * self._imaging.sigma_px**2 + 1.0 / 12.0)))


@dataclass(frozen=True, eq=False)
class _Errors:
    """Of the offset of a rim in pixels and of a thickness in nm."""

    covariance: F64
    """(2, 2)"""
    by_noise: float
    """Variance of the offset without what is doubted of rim and point spread function"""
    moved: tuple[tuple[F64, F64], ...] = ()
    """Of each doubt what it changes of the image (Y, X), and both by it (2,)"""


@dataclass(eq=False)
class _Found:
    """A plate beside its image when it is found, and what that leaves uncertain; the arrays lie on its cut-out."""

    plate: _Plate
    residual: F64
    jacobian: F64
    """(2, Y, X) change of what is seen with offset and thickness"""
    weight: F64
    variance: F64
    """(Y, X) nm^2 by counting"""
    correlation_px2: float
    grain: float
    """Pixels over which what noise does not explain hangs together"""
    line: float
    """By which variances grow because the half-height line is found in the same noise"""

    @property
    def excess(self) -> float:
        """Variance of what is left over beside noise, nm^2."""
        return self._beyond(self.plate.fitted.astype(np.float64))

    def _beyond(self, weight: F64) -> float:
        total = max(float(weight.sum()), 1e-300)
        return max(0.0, float((weight * np.where(weight > 0.0, self.residual**2 - self.variance, 0.0)).sum()) / total)

    def of_both(self, changes: list[F64]) -> _Errors:
        """Where offset and thickness are found together; ``changes`` (Y, X) are what is doubted of the image."""
        jacobian, weight = self.jacobian, self.weight
        inverse = np.linalg.pinv(np.einsum("iyx,jyx,yx->ij", jacobian, jacobian, weight))
        spread = self.correlation_px2 * self.variance + self.grain * self.excess
        counted = np.einsum("iyx,jyx,yx->ij", jacobian, jacobian, weight**2 * spread)
        covariance = self.line * inverse @ counted @ inverse
        by_noise = float(covariance[0, 0])
        for change in changes:
            moved = inverse @ np.einsum("iyx,yx,yx->i", jacobian, change, weight)
            covariance = covariance + np.outer(moved, moved)
        return _Errors(covariance, by_noise)

    def of_deep(self, deep: Mask, changes: list[F64]) -> _Errors:
        """Where the thickness is the median of ``deep`` (Y, X) pixels, and the offset found beside it."""
        along, weight = self.jacobian[0], self.weight
        normal = float((along**2 * weight).sum())
        hangs = float((along * self.jacobian[1] * weight).sum()) / normal
        thickness, n = self.plate.thickness_nm, float(deep.sum())
        ratio = self.residual[deep] / (self.jacobian[1][deep] * thickness)
        noise = float((self.variance[deep] / (self.jacobian[1][deep] * thickness) ** 2).mean())
        beyond = max(0.0, (MAD_TO_SD * float(np.median(np.abs(ratio - np.median(ratio))))) ** 2 - noise)
        of_thickness = thickness**2 * MEDIAN_VARIANCE * (self.correlation_px2 * noise + self.grain * beyond) / n
        spread = self.correlation_px2 * self.variance + self.grain * self._beyond(along**2 * weight)
        by_noise = self.line * float((along**2 * weight**2 * spread).sum()) / normal**2
        effect = np.array([-hangs, 1.0])
        covariance = of_thickness * np.outer(effect, effect)
        covariance[0, 0] += by_noise
        moved = []
        for change in changes:
            thicker = float(np.median(change[deep] / self.jacobian[1][deep]))
            further = float((along * (change - thicker * self.jacobian[1]) * weight).sum()) / normal
            moved.append((change, np.array([further, thicker])))
            covariance += np.outer(moved[-1][1], moved[-1][1])
        return _Errors(covariance, by_noise, tuple(moved))

    def beside_plate(self, by_both: F64, errors: _Errors) -> tuple[float, float]:
        """What the measured mass, px^2 nm, is more than that of the plate's image, and the variance of their sum.

        ``by_both`` (2,) is how the plate's mass changes with its offset and thickness: what it has more then is less
        beside it.
        """
        own = self.plate.own
        variance = self.correlation_px2 * float(self.variance[own].sum())
        for change, move in errors.moved:
            beside = change - np.tensordot(move, self.jacobian, axes=1)
            variance += (float(by_both @ move) + float(beside[own].sum())) ** 2
        return float(self.residual[own].sum()), variance


def _gathered(fine: F64, sub: int) -> F64:
    """(Y, X) means over pixels of what lies on parts (Y * sub, X * sub) of them."""
    rows, columns = fine.shape
    return np.asarray(fine.reshape(rows // sub, sub, columns // sub, sub).mean(axis=(1, 3)))


def slant_excess(density: F64 | C128) -> F64 | C128:
    """How much further out a sharp rim would absorb as much as a slanted one of the same mass, in widths of the slant.

    Over the slant 1 - exp(-density u) is averaged over u from 0 to 1, where a sharp rim has half of 1 - exp(-density).
    Densities of amplitudes are complex.
    """
    safe = np.where(np.abs(density) > 1e-3, density, 1e-3)
    share = -np.expm1(-safe)
    return np.asarray(np.where(np.abs(density) > 1e-3, (1.0 - share / safe) / share - 0.5, density / 12.0))


def _members(imaging: Imaging) -> F64 | C128:
    """(ENERGY, 2) what one nm of each end-member takes from the light, or from its amplitude, as an exponent."""
    if imaging.phase_per_nm is None:
        return np.asarray(imaging.design_per_nm[:, :2])
    return np.asarray(0.5 * imaging.design_per_nm[:, :2] - 1j * imaging.phase_per_nm)


def _harmonic(exponent: C128) -> F64:
    """(ENERGY, TERM) real and imaginary parts of the powers of exponents (ENERGY,) up to the one below ``NODES``.

    The logarithm of what comes through is the real part of a function of the exponent that is analytic.
    """
    middle = exponent.mean()
    scaled = (exponent - middle) / max(float(np.abs(exponent - middle).max()), 1e-12)
    powers = [scaled**n for n in range(NODES)]
    return np.stack([powers[0].real, *(part for p in powers[1:] for part in (p.real, p.imag))], axis=1)


def telling_energies(exponent: C128) -> I64:
    """Of energies with exponents (ENERGY,) those from which the others follow, at most ``2 NODES - 1`` of them."""
    terms = _harmonic(exponent)
    if len(terms) <= terms.shape[1]:
        return np.arange(len(terms))
    _, _, order = linalg.qr(terms.T, pivoting=True, mode="economic")
    return np.sort(order[: terms.shape[1]])


def weights_of_energies(exponent: C128, chosen: I64, solve: F64) -> F64:
    """What the ``chosen`` energies weigh in place of all, whose weights are ``solve`` (ENERGY,)."""
    if len(chosen) == len(exponent):
        return solve
    terms = _harmonic(exponent)
    return np.asarray(np.linalg.lstsq(terms[chosen].T, terms.T @ solve, rcond=1e-6)[0])


def _body(values: F64, here: Mask, level: float, sub: int) -> Mask:
    """(Y * sub, X * sub) where values (Y, X) of a particle are above a level: its largest piece and what a crack parts.

    Other pieces are specks.
    """
    rows, columns = values.shape
    at = [(np.arange(n * sub) + 0.5) / sub - 0.5 for n in (rows, columns)]
    grid = np.meshgrid(*at, indexing="ij")
    fine = ndimage.map_coordinates(values, grid, order=1, mode="nearest") - level
    inside, _ = ndimage.label(fine > 0.0)
    parts = _parts(here, sub)
    counts = np.bincount(inside[parts & (inside > 0)], minlength=2)
    counts[0] = 0
    if not counts.any():
        return parts
    return np.asarray((counts >= PART_OF_PLATE * counts.max())[np.minimum(inside, len(counts) - 1)] & (inside > 0))


def _parts(mask: Mask, sub: int) -> Mask:
    """(Y * sub, X * sub) of a mask (Y, X)."""
    return np.kron(mask, np.ones((sub, sub), dtype=np.bool_))


def _signed_distance(body: Mask) -> F64:
    """(Y * sub, X * sub) distance in fine pixels from the outline of a body; positive inside."""
    out = ndimage.distance_transform_edt(body) - ndimage.distance_transform_edt(~body)
    # From the centre of a pixel to the line between two: half a pixel less.
    return np.asarray(out - 0.5 * np.sign(out))
