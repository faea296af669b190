"""Fields of plates whose truth is known: drawn on a fine grid, blurred, counted and fitted.

Blurred is the transmission, which pixels gather, or the complex amplitude of a reconstruction, which they sample.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import fft

from stxmdist.arrays import F64, I32, Mask
from stxmdist.crossmodal.psf import gaussian_kernel, zone_plate_kernel
from stxmdist.simulation.phantom import Outline
from stxmdist.simulation.powder import Powder, lay_plates

DESIGN = np.array([[0.236, 0.251], [0.447, 0.258], [1.086, 0.587], [0.490, 1.296], [0.400, 0.651], [0.6, 0.6]]) / 100
"""Optical density per nm of LiFePO4 and FePO4 at 700, 706.6, 708.2, 710.2, 712 and 720.6 eV."""
PHASE = (
    np.array(
        [[-0.309, -0.286], [-0.104, -0.159], [-0.263, -0.038], [-0.456, -0.261], [-0.418, -0.499], [-0.313, -0.264]]
    )
    / 100
)
"""Radians per nm, likewise"""
FINE = 5
"""Points on a side of each pixel on which plates are drawn."""


@dataclass(frozen=True, eq=False)
class Field:
    """What was planted and what a fit sees of it."""

    measured_nm: F64
    """(2, Y, X) thickness of the discharged and the charged end-member"""
    variance_nm2: F64
    """(3, Y, X) covariance of both by counting: 00, 01, 11"""
    labels: I32
    """(Y, X) the plate that covers most of a pixel, 0 where it covers less than half"""
    fine: I32
    """(Y * FINE, X * FINE) the same without pixels"""
    outlines: tuple[Outline, ...]
    """Of label 1, 2, ..."""
    soc: F64
    """(PARTICLE,) mean state of charge"""
    pixel_nm: float
    psf: F64
    """(K, K) on the fine grid"""

    @property
    def known(self) -> Mask:
        """(Y, X) everywhere."""
        return np.ones(self.labels.shape, bool)

    @property
    def whole(self) -> list[int]:
        """Labels of the plates that no border cuts."""
        cut = {
            int(n) for side in (self.labels[0], self.labels[-1], self.labels[:, 0], self.labels[:, -1]) for n in side
        }
        return [n for n in range(1, len(self.outlines) + 1) if n not in cut and (self.labels == n).any()]

    def area_um2(self, label: int) -> float:
        """By counting on the fine grid."""
        return float((self.fine == label).sum()) * (self.pixel_nm * 1e-3 / FINE) ** 2

    def mass_um2_nm(self, label: int) -> float:
        """Thickness of a plate times its area: the bevel keeps the mass."""
        return self.area_um2(label) * self.outlines[label - 1].thickness_nm


def powder_outlines(rng: np.random.Generator, side_um: float, powder: Powder) -> list[Outline]:
    """Plates in a square field (0, 0) to (side, side)."""
    return lay_plates((0.0, 0.0), (side_um, side_um), powder, rng)


def planted(
    outlines: list[Outline],
    n_px: int,
    rng: np.random.Generator,
    *,
    counts: float = 3000.0,
    pixel_nm: float = 50.0,
    modality: str = "stxm",
    patterns: bool = True,
    carve: F64 | None = None,
    phase_per_nm: F64 | None = None,
    stray: float = 0.0,
) -> Field:
    """Image plates: a third hold two phases, the others one state of charge (all of them without ``patterns``).

    Amplitudes are blurred where there is a ``phase_per_nm`` (ENERGY, 2), such as ``PHASE``.
    ``carve`` (Y * FINE, X * FINE) is a share of the thickness that is left everywhere, 1 where nothing is carved.
    ``stray`` light falls everywhere, as a share of the beam, and nobody takes it off.
    """
    fine_um = pixel_nm * 1e-3 / FINE
    axis = (np.arange(n_px * FINE) + 0.5) * fine_um
    thickness = np.zeros((2, n_px * FINE, n_px * FINE))
    fine = np.zeros(thickness.shape[1:], np.int32)
    means = np.zeros(len(outlines))
    for index, outline in enumerate(outlines):
        box = tuple(
            slice(*np.searchsorted(axis, [middle - outline.reach_um, middle + outline.reach_um]))
            for middle in (outline.y_um, outline.x_um)
        )
        u, v = outline.axes(axis[box[0], None], axis[None, box[1]])
        mass = outline.thickness_nm * outline.cover(u, v, outline.radius(u, v))
        soc = np.full(mass.shape, rng.uniform(0.02, 0.98))
        if patterns and rng.random() < 1 / 3:
            soc = np.where(u > rng.uniform(-0.5, 0.5) * outline.semi_axes_um[0], 0.98, 0.07)
        means[index] = (mass * soc).sum() / max(mass.sum(), 1e-9)
        thickness[0][box] += mass * (1 - soc)
        thickness[1][box] += mass * soc
        inside = mass >= 0.5 * outline.thickness_nm
        fine[box] = np.where(inside, index + 1, fine[box])
    if carve is not None:
        thickness *= carve
    psf = fine_psf(modality, pixel_nm)
    transmission = np.stack([_imaged(thickness, energy, psf, phase_per_nm) for energy in range(len(DESIGN))])
    counted = rng.poisson(counts * (transmission + stray) / (1.0 + stray))
    od = -np.log(np.maximum(counted, 0.5) / counts)
    measured, covariance = _fitted(od, np.maximum(counted, 1.0))
    return Field(measured, covariance, _majority(fine), fine, tuple(outlines), means, pixel_nm, psf)


def fine_psf(modality: str, pixel_nm: float) -> F64:
    """The point spread function on the fine grid."""
    step = pixel_nm / FINE
    if modality == "stxm":
        return zone_plate_kernel(step, 60.0, 0.3, round(500.0 / step))
    return gaussian_kernel(step, 6.0)


def _imaged(thickness: F64, energy: int, psf: F64, phase_per_nm: F64 | None) -> F64:
    """(Y, X) transmission of thicknesses (2, Y * FINE, X * FINE) as a scanned beam or a reconstruction shows it."""
    od = np.tensordot(DESIGN[energy], thickness, 1)
    if phase_per_nm is None:
        return _gathered(_blurred(np.exp(-od), psf))
    turn = np.tensordot(phase_per_nm[energy], thickness, 1)
    amplitude = np.exp(-0.5 * od)
    parts = _blurred(amplitude * np.cos(turn), psf), _blurred(amplitude * np.sin(turn), psf, beyond=0.0)
    middle = slice(FINE // 2, None, FINE)
    return np.asarray(sum(part[middle, middle] ** 2 for part in parts))


def _blurred(image: F64, psf: F64, beyond: float = 1.0) -> F64:
    half = psf.shape[0] // 2
    padded = np.pad(image, half, constant_values=beyond)
    shape = [fft.next_fast_len(n + 2 * half, real=True) for n in padded.shape]
    out = fft.irfft2(fft.rfft2(padded, shape) * fft.rfft2(psf, shape), shape)
    return np.asarray(out[2 * half : 2 * half + image.shape[0], 2 * half : 2 * half + image.shape[1]])


def _gathered(values: F64) -> F64:
    rows, columns = values.shape
    return np.asarray(values.reshape(rows // FINE, FINE, columns // FINE, FINE).mean(axis=(1, 3)))


def _majority(fine: I32) -> I32:
    rows, columns = fine.shape
    blocks = fine.reshape(rows // FINE, FINE, columns // FINE, FINE).swapaxes(1, 2)
    return np.sort(blocks.reshape(rows // FINE, columns // FINE, -1), axis=2)[:, :, FINE * FINE // 2].astype(np.int32)


def _fitted(od: F64, counts: F64) -> tuple[F64, F64]:
    """Least squares weighted by counts, pixel by pixel: thicknesses (2, Y, X) and covariance (3, Y, X)."""
    normal = np.einsum("ei,ej,eyx->ijyx", DESIGN, DESIGN, counts)
    right = np.einsum("ei,eyx->iyx", DESIGN, od * counts)
    det = normal[0, 0] * normal[1, 1] - normal[0, 1] ** 2
    covariance = np.stack([normal[1, 1], -normal[0, 1], normal[0, 0]]) / det
    measured = np.stack(
        [covariance[0] * right[0] + covariance[1] * right[1], covariance[1] * right[0] + covariance[2] * right[1]]
    )
    return measured, covariance


def panoptic_quality(found: I32, field: Field) -> tuple[float, float, int, int, int]:
    """PQ = sum IoU / (TP + FP / 2 + FN / 2) at IoU > 0.5 of what no border cuts; mean IoU, and TP, FP, FN.

    Source: Kirillov et al., Panoptic Segmentation, CVPR (2019).
    """
    truth = field.labels
    shared = np.zeros((int(truth.max()) + 1, int(found.max()) + 1))
    np.add.at(shared, (truth.ravel(), found.ravel()), 1)
    iou = shared / np.maximum(shared.sum(1)[:, None] + shared.sum(0)[None] - shared, 1)
    whole = field.whole
    cut = [n for n in range(1, truth.max() + 1) if n not in whole]
    matched = iou > 0.5
    tp = [(n, int(iou[n, 1:].argmax()) + 1) for n in whole if n < len(iou) and matched[n, 1:].any()]
    used = {m for _, m in tp}
    # What lies mostly on plates that the border cuts, or touches it, counts for nothing.
    border = {int(n) for side in (found[0], found[-1], found[:, 0], found[:, -1]) for n in side}
    size = np.maximum(shared.sum(0), 1)
    extra = [
        m
        for m in range(1, found.max() + 1)
        if m not in used and m not in border and shared[cut, m].sum() < 0.5 * size[m]
    ]
    total = sum(iou[n, m] for n, m in tp)
    fn = len(whole) - len(tp)
    return total / max(len(tp) + (len(extra) + fn) / 2, 1e-9), total / max(len(tp), 1), len(tp), len(extra), fn


def powder(touching: float, cover: float = 0.15) -> Powder:
    """The powder of the simulator with another share of touching plates."""
    return replace(Powder(), touching=touching, cover=cover)
