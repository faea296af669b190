"""How far the point spread function moves a particle's state of charge: what it does to maps is undone and redone.

A scanned beam averages what is transmitted, ptychography averages complex amplitudes.

The file is longer than 400 lines because the model, its optics and what is asked of both belong to one iteration;
`psf_bias` is longer than 80 lines because more than half of them tell its arguments.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import fft, ndimage
from skimage.segmentation import expand_labels

from stxmdist.arrays import F32, F64, I32, I64, Mask, Real, compiled

ITERATIONS = 10
"""Corrections of the model: the first few find what was thrown over outlines, later ones noise."""

STEP = 1.0
"""Of each correction; below 2, where the iteration would swing (the transfer function is at most 1)."""

DEEP_SIGMAS = 2.0
"""Sigmas of the PSF below the rim from where on a plate's thickness is believed."""

NARROW_SIGMAS = 5.0
"""Plates whose rims are everywhere nearer than so many sigmas of the PSF show nowhere how thick they are: what comes
past them is added to what comes through (closure on planted plates on edge)"""

TWIN_DEEP_SIGMAS, TWIN_ITERATIONS = 8.0, 3
"""The same for plates that stand for homogeneous particles, and corrections of what they fill then. Nearer to the rim
the rings of a zone plate still take from the thickness, and such plates look like shells of a percent (bands of
core-shell indices at 3000 photons, closure on planted plates); means of particles, whose rims are slanted, are best
with ``DEEP_SIGMAS``."""

RESPONSE_STEP, LEAST_RESPONSE = 0.25, 0.3
"""Change of the state of charge by which ``Plates.response`` is found, and the least that it is taken for."""

GAIN_STEP = 0.05
"""Change of the state of charge by which ``PsfBias.gain`` is found."""

_LEVELS, _LEVEL_OD, _CHEMISTRIES = 25, 0.25, 6
"""Thicknesses, in steps of optical density, and states of charge for which the weights of a fit are computed"""

SOC_RANGE = (-0.1, 1.1)
"""States of charge that the model may take: a little beyond what is possible, so that noise is not clipped."""


@dataclass(frozen=True, eq=False)
class Plates:
    """The particles of a scan as plates with sharp rims, and the microscope that images them."""

    owner: I32
    """(Y, X) label of the plate at a pixel, 0 where there is none: outlines, a pixel wider"""
    fill: F64
    """(Y, X) share of the pixel that its plate fills"""
    total_nm: F64
    """(Y, X) thickness of the plate where it fills the pixel"""
    soc: F64
    """(Y, X) state of charge of the plate"""
    optics: "Optics"

    @property
    def mass_nm(self) -> F64:
        """(Y, X) thickness of both end-members, rims in proportion to what they fill."""
        return np.asarray(self.fill * self.total_nm)

    def homogeneous(self, particle_id: I64, soc: F64) -> F64:
        """(2, Y, X) what a fit would see, without noise, if each plate (PARTICLE,) had one state of charge, in nm."""
        return self.optics.imaged(self.fill, self.total_nm, self._level(particle_id, soc))

    def response(self, particle_id: I64, soc: F64) -> F64:
        """(Y, X) change of a fit's charged part with each plate's state of charge, over that by blur alone.

        1 inside; less at rims, where the mean of transmissions hides part of the difference. Half filled pixels at
        which nothing is left to see are not more than ``LEAST_RESPONSE``.
        """
        level = self._level(particle_id, soc)
        low, high = (self.optics.imaged(self.fill, self.total_nm, level + k * RESPONSE_STEP) for k in (-1.0, 1.0))
        changed = (1.0 - level) * (high - low)[1] - level * (high - low)[0]
        alone = 2.0 * RESPONSE_STEP * self.optics.blurred(self.mass_nm)
        return np.clip(np.where(alone > 1e-3, changed / np.where(alone > 1e-3, alone, 1.0), 1.0), LEAST_RESPONSE, 1.5)

    def _level(self, particle_id: I64, soc: F64) -> F64:
        level = np.zeros(int(max(self.owner.max(), particle_id.max(initial=0))) + 1)
        level[particle_id] = np.nan_to_num(soc)
        return np.asarray(level[self.owner])


@dataclass(frozen=True)
class PsfBias:
    """What imaging through the PSF adds, per particle in the order of the labels, and the maps that show it."""

    particle_id: I64
    soc: F64
    """(PARTICLE,) to be subtracted from soc_mean; NaN where the particle has no mass"""
    variance: F64
    """(PARTICLE,) to be subtracted from the variance of soc inside: negative, blur levels differences out"""
    left_over_od: F64
    """(PARTICLE, ENERGY) optical density that a fit of the imaged plates leaves over, summed over where each is seen"""
    chi2: F64
    """(Y, X) what a fit of the imaged plates adds to reduced chi-square, where weights are numbers of photons"""
    gain: F64
    """(PARTICLE,) true over imaged difference of soc: errors of the imaged soc grow by it when the bias is taken off"""
    sharp_nm: F32
    """(2, Y, X) maps with sharp rims that, imaged and fitted, nearly give the measured ones back"""
    imaged_nm: F32
    """(2, Y, X) the sharp maps as a fit would see them"""
    plates: Plates
    """Fractions, thicknesses and states of charge of plates that stand for the particles, to be imaged again"""


def psf_bias(
    labels: I32,
    thickness_nm: Real,
    *,
    psf: F64,
    design_per_nm: Real,
    phase_per_nm: Real | None = None,
    weights: Real | None = None,
    known: Mask | None = None,
    reach: I32 | None = None,
    interior: Mask | None = None,
    sharp_thickness_nm: F64 | None = None,
    iterations: int = ITERATIONS,
) -> PsfBias:
    """Bias of each particle's mass-weighted soc because light, not optical density, is averaged by the PSF.

    The model: within and just around its outline a particle is a plate as thick as its trusted inside nearby, which
    fills a fraction of each pixel and has a state of charge there. Its image through the PSF, fitted again, should give
    the measured maps back; fractions and states of charge are corrected by the blurred difference until it nearly does.
    The bias is the imaged soc less the model's: rims lose to the surroundings what outlines cut off, and half filled
    pixels fit as another chemistry.

    Parameters
    ----------
    labels
        (Y, X) int32
    thickness_nm
        (2, Y, X) floating, nm of (discharged, charged)
    psf
        (K, K) float64, K odd, point spread function on the pixels of the maps, sum 1
    design_per_nm
        (ENERGY, TERM) or (ENERGY, 2): optical density per nm of the two components in the first two columns; further
        columns (background) are fitted too
    phase_per_nm
        (ENERGY, 2) phase in radians that one nm of each component adds: the PSF averages complex amplitudes, as in
        ptychography, where a rim is darker than its amount because light through plate and vacuum is out of step; None:
        it averages what is transmitted, as a detector behind a scanned beam does
    weights
        (ENERGY,) weights of the fit, e.g. effective counts; equal if left out
    known
        (Y, X) bool
    reach
        (Y, X) int32, pixels over which masses are summed, as in ``chemistry_table``; the outlines if left out
    interior
        (Y, X) bool, pixels over which the spread inside particles is taken; all within the outlines if left out
    sharp_thickness_nm
        (PARTICLE,) of plates with sharp rims, believed of those too narrow to show it; NaN: what deepest pixels show

    Source: Marcus, Shapiro, Yu, Microsc. Microanal. 27 (2021) describe the effect; Landweber, Am. J. Math. 73, 615
    (1951), the iteration.
    """
    usable = np.asarray(np.isfinite(thickness_nm).all(axis=0) & (True if known is None else known))
    inside = np.where(usable, np.maximum(labels, 0), 0)
    seen = np.where(usable, np.maximum(labels if reach is None else reach, 0), 0)
    ids = np.unique(labels[labels > 0]).astype(np.int64)
    measured = np.where(usable, np.nan_to_num(thickness_nm), 0.0).astype(np.float64)
    optics = Optics(psf, labels.shape, np.asarray(design_per_nm, dtype=np.float64), weights, phase_per_nm)
    owner = np.where(usable, expand_labels(inside, distance=1.5), 0).astype(np.int32)
    total, soc = _plates(inside, owner, measured, optics.sigma_px)
    support = owner > 0
    fill = (inside > 0).astype(np.float64)
    imaged = optics.imaged(fill, total, soc)
    total = total * _raised(inside, measured, imaged, DEEP_SIGMAS * optics.sigma_px)[owner]
    hidden_nm = _hidden(inside, ids, sharp_thickness_nm, NARROW_SIGMAS * optics.sigma_px)[owner]
    total = np.where(hidden_nm > 0.0, hidden_nm, total)
    imaged = optics.imaged(fill, total, soc)
    thick = np.maximum(total, 1.0)
    for _ in range(iterations):
        left = np.where(usable, measured - imaged, 0.0)
        of_total, of_charged = optics.blurred(left.sum(axis=0)), optics.blurred(left[1])
        filled = np.maximum(fill, 0.25)
        soc = np.where(support, np.clip(soc + STEP * (of_charged - soc * of_total) / (filled * thick), *SOC_RANGE), 0.0)
        fill = np.where(support, np.clip(fill + STEP * of_total / thick, 0.0, 1.0), 0.0)
        imaged = optics.imaged(fill, total, soc)
    model = fill * total * np.stack([1.0 - soc, soc])
    bias = _soc(seen, imaged, ids) - _soc(owner, model, ids)
    looked = inside if interior is None else np.where(interior, inside, 0)
    levelled = _spread(looked, imaged, ids) - _spread(owner, model, ids)
    moved = _soc(seen, optics.imaged(fill, total, soc + GAIN_STEP), ids) - _soc(seen, imaged, ids)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = GAIN_STEP / moved
    plates = _for_twins(Plates(owner, fill, total, soc, optics), inside, measured, usable, hidden_nm)
    left_over, chi2 = optics.left_over(fill, total, soc, seen, ids)
    maps = model.astype(np.float32), imaged.astype(np.float32)
    return PsfBias(ids, bias, levelled, left_over, chi2, gain, *maps, plates)


def _for_twins(plates: Plates, inside: I32, measured: F64, usable: Mask, hidden_nm: F64) -> Plates:
    """The plates with thicknesses that are continued from deeper inside, and fractions that fit them."""
    optics, fill = plates.optics, plates.fill
    total, _ = _plates(inside, plates.owner, measured, optics.sigma_px, TWIN_DEEP_SIGMAS)
    imaged = optics.imaged(fill, total, plates.soc)
    total = total * _raised(inside, measured, imaged, TWIN_DEEP_SIGMAS * optics.sigma_px)[plates.owner]
    total = np.where(hidden_nm > 0.0, hidden_nm, total)
    for _ in range(TWIN_ITERATIONS):
        left = np.where(usable, measured - optics.imaged(fill, total, plates.soc), 0.0).sum(axis=0)
        fill = np.where(
            plates.owner > 0, np.clip(fill + STEP * optics.blurred(left) / np.maximum(total, 1.0), 0.0, 1.0), 0.0
        )
    return replace(plates, fill=fill, total_nm=total)


def _raised(inside: I32, measured: F64, imaged: F64, deep_px: float) -> F64:
    """By what each label's plate is thicker than its inside, so deep, shows, (label,) from 0 on; 1 for the field."""
    trusted = np.zeros_like(inside)
    for label, box in enumerate(ndimage.find_objects(inside), start=1):
        if box is not None:
            here = inside[box] == label
            trusted[box][_deep(here, deep_px)] = label
    length = int(inside.max()) + 1
    seen, expected = (np.bincount(trusted.ravel(), maps.sum(axis=0).ravel(), length) for maps in (measured, imaged))
    ratio = np.where((expected > 0) & (seen > 0), seen / np.where(expected > 0, expected, 1.0), 1.0)
    ratio[0] = 1.0
    return np.asarray(np.clip(ratio, 0.8, 1.25))


def _hidden(inside: I32, ids: I64, sharp_thickness_nm: F64 | None, narrow_px: float) -> F64:
    """Thickness in nm of each label's plate (label,) that is nowhere deeper than so many pixels; 0 of the others."""
    hidden_nm = np.zeros(int(max(inside.max(), ids.max(initial=0))) + 1)
    if sharp_thickness_nm is None or not ids.size:
        return hidden_nm
    boxes = ndimage.find_objects(inside)
    for label, thickness in zip(ids.tolist(), sharp_thickness_nm.tolist(), strict=True):
        box = boxes[label - 1] if label <= len(boxes) else None
        if box is not None and thickness > 0.0:
            depth = ndimage.distance_transform_edt(np.pad(inside[box] == label, 1)).max()
            hidden_nm[label] = thickness if depth <= narrow_px else 0.0
    return hidden_nm


def _deep(here: Mask, least_px: float) -> Mask:
    """Pixels (Y, X) of an outline so far below its rim; a narrower particle keeps its deepest pixels."""
    depth = ndimage.distance_transform_edt(np.pad(here, 1))[1:-1, 1:-1]
    return np.asarray(here & (depth > min(least_px, float(depth.max()) - 0.5)))


def _plates(
    inside: I32, owner: I32, measured: F64, sigma_px: float, deep_sigmas: float = DEEP_SIGMAS
) -> tuple[F64, F64]:
    """(Y, X) total thickness and soc that continue each particle's trusted inside to its rim; 0 outside ``owner``."""
    total, soc = np.zeros(inside.shape), np.zeros(inside.shape)
    for label, box in enumerate(ndimage.find_objects(owner), start=1):
        if box is None:
            continue
        here = inside[box] == label
        if not here.any():
            continue
        trusted = _deep(here, deep_sigmas * sigma_px)
        nearest = tuple(ndimage.distance_transform_edt(~trusted, return_distances=False, return_indices=True))
        mass = measured[:, *box].sum(axis=0)
        ratio = np.where(mass > 1.0, measured[1][box] / np.maximum(mass, 1.0), 0.5)
        mine = owner[box] == label
        total[box][mine] = np.maximum(mass[nearest], 1.0)[mine]
        soc[box][mine] = np.clip(ratio[nearest], *SOC_RANGE)[mine]
    return total, soc


class Optics:
    """Imaging of plates: transmission, or complex amplitude, of each energy blurred, and fitted in optical density."""

    def __init__(
        self, psf: F64, shape: tuple[int, ...], design: F64, weights: Real | None, phase: Real | None = None
    ) -> None:
        self.psf = psf
        half = psf.shape[0] // 2
        # Of the Gaussian with the same height at the centre.
        self.sigma_px = float(np.sqrt(1.0 / (2.0 * np.pi * psf.max())))
        self._half = half
        self._padded = tuple(fft.next_fast_len(n + 2 * half, real=True) for n in shape)
        self._shape = shape
        kernel = np.zeros(self._padded)
        kernel[: psf.shape[0], : psf.shape[1]] = psf
        self._transfer = fft.rfft2(np.roll(kernel, (-half, -half), axis=(0, 1)))
        self._design, self._phase = design, phase
        self._counts = np.ones(len(design)) if weights is None else np.asarray(weights, dtype=np.float64)
        self._level_nm, self._solve = _solutions(design, self._counts)

    def blurred(self, image: F64) -> F64:
        """(Y, X) through the PSF; what lies beyond the border is as at the border."""
        return self._through(np.asarray(image, dtype=np.float64))

    def imaged(self, fill: F64, total_nm: F64, soc: F64) -> F64:
        """(2, Y, X) thicknesses that a fit would find of plates (Y, X) that fill a fraction of each pixel."""
        out = np.zeros((2, *fill.shape))
        lit = self._lit(fill)
        kind, above = self._kinds(fill, total_nm, soc, lit)
        seen = np.zeros((2, int(lit.sum())))
        for energy, measured in enumerate(self._measured(fill, total_nm, soc, lit)):
            _add_solved(self._solve[energy], kind, above, measured, seen)
        out[:, lit] = seen
        return out

    def left_over(self, fill: F64, total_nm: F64, soc: F64, reach: I32, ids: I64) -> tuple[F64, F64]:
        """What the fit of ``imaged`` leaves over: (PARTICLE, ENERGY), summed over the pixels (Y, X) of each particle.

        Beside it its chi-square (Y, X) per degree of freedom, 0 without one.
        """
        n_energy, n_terms = self._design.shape
        chi2 = np.zeros(fill.shape)
        if not ids.size:
            return np.zeros((0, n_energy)), chi2
        lit = self._lit(fill)
        (kind, above), number = self._kinds(fill, total_nm, soc, lit), reach[lit]
        measured = np.stack(list(self._measured(fill, total_nm, soc, lit)))
        found = np.zeros((n_terms, len(number)))
        for solve, one in zip(self._solve, measured, strict=True):
            _add_solved(solve, kind, above, one, found)
        left, length = measured - self._design @ found, int(ids.max()) + 1
        if n_energy > n_terms:
            chi2[lit] = (self._counts @ (left**2 * np.exp(-measured))) / (n_energy - n_terms)
        return np.stack([np.bincount(number, one, length)[ids] for one in left], axis=1), chi2

    def _lit(self, fill: F64) -> Mask:
        """Where plates (Y, X) are seen: most of a field is empty, and nothing is seen further than the PSF reaches."""
        return np.asarray(ndimage.maximum_filter(fill != 0.0, size=2 * self._half + 1, mode="constant"))

    def _kinds(self, fill: F64, total_nm: F64, soc: F64, lit: Mask) -> tuple[I64, F64]:
        """Which of the solutions holds for each pixel (PIXEL,) that is ``lit`` (Y, X), and how far the next one does.

        What counts is the light that comes through a pixel, and that is the mean of what blur brings together there.
        """
        strongest = int(np.argmax(self._design[:, :2].sum(axis=1)))
        row = self._design[strongest]
        seen = next(self._measured(fill, total_nm, soc, lit, first=strongest))
        share = np.clip(soc[lit], 0.0, 1.0)
        level = np.clip(seen / ((1.0 - share) * row[0] + share * row[1]) / self._level_nm, 0.0, _LEVELS - 1.001)
        whole = np.floor(level).astype(np.int64)
        return whole * _CHEMISTRIES + np.rint(share * (_CHEMISTRIES - 1)).astype(np.int64), level - whole

    def _measured(self, fill: F64, total_nm: F64, soc: F64, lit: Mask, first: int = 0) -> Iterator[F64]:
        """Optical density (PIXEL,) of the pixels that are ``lit`` (Y, X), energy by energy from the ``first``."""
        plate = fill != 0.0
        filled, amounts = fill[plate], np.stack([(total_nm * (1.0 - soc))[plate], (total_nm * soc)[plate]])
        lost = np.zeros(fill.shape)

        def seen(taken: F64) -> F64:
            lost[plate] = filled * taken
            return self._through(lost)[lit]

        for energy, row in enumerate(self._design[first:, :2], start=first):
            if self._phase is None:
                transmitted = 1.0 - seen(1.0 - np.exp(-(row @ amounts)))
            else:
                amplitude, turn = np.exp(-0.5 * (row @ amounts)), self._phase[energy] @ amounts
                transmitted = (1.0 - seen(1.0 - amplitude * np.cos(turn))) ** 2 + seen(amplitude * np.sin(turn)) ** 2
            yield -np.log(np.maximum(transmitted, 1e-6))

    def _through(self, image: F64) -> F64:
        rows, columns = self._shape
        half = self._half
        bottom, right = half + rows, half + columns
        padded = np.empty(self._padded)
        padded[half:bottom, half:right] = image
        padded[:half, half:right], padded[bottom:, half:right] = image[:1], image[-1:]
        padded[:, :half], padded[:, right:] = padded[:, half : half + 1], padded[:, right - 1 : right]
        out = fft.irfft2(fft.rfft2(padded) * self._transfer, self._padded, overwrite_x=True)
        return np.asarray(out[half:bottom, half:right])


def _solutions(design: F64, counts: F64) -> tuple[float, F64]:
    """What multiplies optical densities to give each term, (ENERGY, TERM, KIND), and the step of thickness in nm.

    Counted photons weigh an energy by what comes through: saturated white lines say little. A kind is a thickness and a
    state of charge, the latter varying fastest.
    """
    level_nm = _LEVEL_OD / float(design[:, :2].max())
    total = level_nm * np.arange(_LEVELS)[:, None]
    soc = np.linspace(0.0, 1.0, _CHEMISTRIES)[None, :]
    od = np.multiply.outer(total * (1.0 - soc), design[:, 0]) + np.multiply.outer(total * soc, design[:, 1])
    root = np.sqrt(counts * np.exp(-od)).reshape(-1, len(design))
    solve = np.linalg.pinv(design * root[:, :, None]) * root[:, None, :]
    return level_nm, np.ascontiguousarray(solve.transpose(2, 1, 0))


@compiled
def _add_solved(solve: F64, kind: I64, above: F64, measured: F64, seen: F64) -> None:
    """Add to the terms ``seen`` (TERM, PIXEL) what optical densities (PIXEL,) of one energy make of each.

    ``solve`` (TERM, KIND) is taken between a pixel's ``kind`` (PIXEL,) and the next thickness, so far ``above`` it.
    """
    for term in range(seen.shape[0]):
        for pixel in range(seen.shape[1]):
            first, second = solve[term, kind[pixel]], solve[term, kind[pixel] + _CHEMISTRIES]
            seen[term, pixel] += (first + above[pixel] * (second - first)) * measured[pixel]


def _spread(labels: I32, thickness_nm: F64, ids: I64) -> F64:
    """(PARTICLE,) mass-weighted variance of soc; NaN without mass."""
    if ids.size == 0:
        return np.zeros(0)
    mean = np.zeros(int(max(ids.max(), labels.max())) + 1)
    mean[ids] = np.nan_to_num(_soc(labels, thickness_nm, ids))
    total = np.maximum(thickness_nm.sum(axis=0), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        soc = np.where(total > 1.0, np.clip(thickness_nm[1] / total, *SOC_RANGE), mean[labels])
    mass = np.bincount(labels.ravel(), total.ravel(), minlength=mean.size)[ids]
    square = np.bincount(labels.ravel(), (total * (soc - mean[labels]) ** 2).ravel(), minlength=mean.size)[ids]
    return np.asarray(np.where(mass > 0, square / np.where(mass > 0, mass, 1.0), np.nan), dtype=np.float64)


def _soc(labels: I32, thickness_nm: F64, ids: I64) -> F64:
    """(PARTICLE,) mass-weighted soc; NaN without mass."""
    if ids.size == 0:
        return np.zeros(0)
    length = int(ids.max()) + 1
    discharged, charged = (np.bincount(labels.ravel(), part.ravel(), minlength=length)[ids] for part in thickness_nm)
    total = discharged + charged
    return np.asarray(np.where(total > 0, charged / np.where(total > 0, total, 1.0), np.nan), dtype=np.float64)
