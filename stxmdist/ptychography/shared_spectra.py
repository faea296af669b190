"""Complex images of all energies as a few real maps times complex spectra: fitted, found from the data, and left over.

ln O(E, r) = sum over COMPONENT of t(r) s(E) with real thicknesses t: s = -mu/2 - i k delta for a material. The
logarithm of the amplitude and the phase have the same noise, 1 / (4 N) at N photons, so a spectrum is one real column
of 2 ENERGY numbers, real parts first, and all of them are fitted together.

Source: Chang, Rowley, Xiang, Marchesini et al., J. Appl. Cryst. 53, 937 (2020), whose dictionary has real thicknesses
too; without one, columns are the strongest of a singular value decomposition of the weighted logarithms.
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.ndimage import gaussian_filter

from stxmdist.arrays import C64, C128, F32, F64, Array, Mask, Real

LIT = 0.3
"""Pixels with more than this share of the usual light say what spectra there are"""
LEAST = 1e-4
"""Of the usual light: what holds maps at zero where there is next to none"""
PASSES = 2
"""What is left over is fitted again, so that light that is merely weak does not draw maps to zero: rounds would add up
that
"""
APART = 2.0
"""What spectra leave over has this many times the power of noise where they do not explain the sample"""


def stacked(logs: Array) -> Real:
    """Real parts, then imaginary parts (2 ENERGY, ...) of complex logarithms (ENERGY, ...)."""
    return np.concatenate([logs.real, logs.imag])


def fitted_maps(logs: C64, weight: F32, columns: F64) -> F32:
    """Maps (COMPONENT, Y, X) float32 by weighted least squares in every pixel; 0 where no light fell.

    Parameters
    ----------
    logs, weight
        (ENERGY, Y, X) logarithms of complex images; what each counts, in proportion to its photons
    columns
        (2 ENERGY, COMPONENT) spectra, see ``stacked``
    """
    energies, count = len(logs), columns.shape[1]
    real, imaginary = columns[:energies], columns[energies:]
    products = real[:, :, None] * real[:, None] + imaginary[:, :, None] * imaginary[:, None]
    normal = np.tensordot(weight, products, axes=(0, 0))
    usual = np.quantile(np.diagonal(normal, axis1=2, axis2=3).reshape(-1, count), 0.95, axis=0)
    normal += LEAST * np.diag(np.maximum(usual, 1e-30))
    maps = np.zeros((count, *logs.shape[1:]), np.float32)
    for _ in range(PASSES):
        left = weight * (logs - logs_of(maps, columns))
        side = np.tensordot(left.real, real, axes=(0, 0)) + np.tensordot(left.imag, imaginary, axes=(0, 0))
        maps += np.moveaxis(np.linalg.solve(normal, side[..., None])[..., 0], -1, 0).astype(np.float32)
    return maps


def logs_of(maps: F32, columns: F64) -> C64:
    """Logarithms (ENERGY, Y, X) of the images that maps and spectra make."""
    energies = len(columns) // 2
    spectra = columns[:energies] + 1j * columns[energies:]
    return np.tensordot(spectra, maps, axes=(1, 0)).astype(np.complex64)


def found_columns(logs: C64, weight: F32, known: F64 | None, count: int) -> F64:
    """The strongest spectra (2 ENERGY, COMPONENT) of images (ENERGY, Y, X), beside known ones.

    Parameters
    ----------
    known
        (2 ENERGY, COMPONENT) whose share is taken off first; None: nothing
    count
        how many are found
    """
    if count == 0:
        return np.zeros((2 * len(logs), 0))
    rows, root = _rows(logs, weight)
    outside = _complement(known, root)
    inner = outside.T @ rows
    directions = outside @ np.linalg.eigh(inner @ inner.T)[1][:, ::-1][:, :count]
    return np.asarray(directions / root[:, None])


def components_in_both(one: C64, other: C64, weight: F32, known: F64 | None, signal: float) -> int:
    """How many spectra beside known ones two halves of the frames show alike.

    The sum of two images (ENERGY, Y, X) of the same sample holds what is there and noise, their difference noise alone:
    a spectrum is one if its power in the sum is ``signal`` times that in the difference or more. At 2 it is as strong
    as the noise of the whole.
    """
    (a, root), (b, _) = _rows(one, weight), _rows(other, weight)
    outside = _complement(known, root)
    both, noise = outside.T @ (a + b), outside.T @ (a - b)
    spread = noise @ noise.T
    # Without any noise, rounding stands in its place.
    floor = max(1e-10 * float(np.trace(both @ both.T)), 1e-30)
    ratio = linalg.eigh(both @ both.T, spread + floor * np.eye(len(spread)), eigvals_only=True)
    return int(np.count_nonzero(ratio > signal))


def _complement(known: F64 | None, root: F64) -> F64:
    """Directions (2 ENERGY, FREE) orthogonal to the weighted known spectra."""
    if known is None:
        return np.eye(len(root))
    return np.asarray(np.linalg.qr(known * root[:, None], mode="complete")[0][:, known.shape[1] :])


def _rows(logs: C64, weight: F32) -> tuple[F64, F64]:
    """Weighted logarithms (2 ENERGY, PIXEL) of lit pixels, and the root of the weight (2 ENERGY,) of each row."""
    lit = lit_pixels(weight)
    root = np.sqrt(_usual(weight, lit))
    return stacked(logs[:, lit]).astype(np.float64) * root[:, None], root


def best_candidate(logs: C64, weight: F32, candidates: F64) -> tuple[int, F64]:
    """Which of several sets of spectra (CANDIDATE, 2 ENERGY, COMPONENT) leaves least of images (ENERGY, Y, X) over.

    Returns its number, and what each leaves over, as share of all.
    """
    rows, root = _rows(logs, weight)
    square = rows @ rows.T
    left = np.empty(len(candidates))
    for number, columns in enumerate(candidates):
        basis = np.linalg.qr(columns * root[:, None])[0]
        left[number] = np.trace(square) - np.trace(basis.T @ square @ basis)
    return int(left.argmin()), left / max(float(np.trace(square)), 1e-30)


def lit_pixels(weight: F32) -> Mask:
    """Pixels (Y, X) with enough light at all energies (ENERGY, Y, X) together."""
    mean = weight.mean(axis=0)
    return np.asarray(mean > LIT * np.median(mean[mean > 0.0])) if (mean > 0.0).any() else mean > 0.0


def _usual(weight: F32, lit: Mask) -> F64:
    """(2 ENERGY,) mean weight of each row of ``stacked``."""
    usual = weight[:, lit].mean(axis=1, dtype=np.float64)
    return np.tile(np.maximum(usual / max(float(usual.max()), 1e-30), 1e-6), 2)


@dataclass(frozen=True, eq=False)
class ImageGauge:
    """What stays free in the image of one energy beside its maps."""

    log_scale: float = 0.0
    phase_rad: float = 0.0
    """In the middle of the image"""
    ramp_rad: tuple[float, float] = (0.0, 0.0)
    """(y, x) from the middle to the rim"""
    shift_px: tuple[float, float] = (0.0, 0.0)
    """(y, x) of the image against the maps"""

    def log(self, shape: tuple[int, int]) -> C128:
        """Logarithm (Y, X) of the factor: scale, phase and ramp."""
        y, x = _across(shape)
        return np.asarray(self.log_scale + 1j * (self.phase_rad + self.ramp_rad[0] * y + self.ramp_rad[1] * x))

    def after(self, step: "ImageGauge") -> "ImageGauge":
        """This gauge with a correction."""
        return ImageGauge(
            self.log_scale + step.log_scale,
            self.phase_rad + step.phase_rad,
            (self.ramp_rad[0] + step.ramp_rad[0], self.ramp_rad[1] + step.ramp_rad[1]),
            (self.shift_px[0] + step.shift_px[0], self.shift_px[1] + step.shift_px[1]),
        )


def gauge_step(left: Array, weight: F32, model: Array, most_shift_px: float = 0.0) -> ImageGauge:
    """The gauge that explains most of what a model leaves over of an image's logarithm, by weighted least squares.

    Parameters
    ----------
    left, weight, model
        (Y, X) logarithm of the image less that of the model; weights; logarithm of the model, whose slopes tell a shift
    most_shift_px
        a shift is found up to this; 0: none is looked for
    """
    y, x = _across((left.shape[0], left.shape[1]))
    terms = [np.ones(left.shape), 1j * np.ones(left.shape), 1j * y, 1j * x]
    if most_shift_px > 0.0:
        # An image moved by d is the model less d times its slope.
        terms += [-slope for slope in np.gradient(model)]
    flat = np.stack(terms).reshape(len(terms), -1).astype(np.complex128)
    weighted = flat.conj() * weight.ravel()
    found = np.linalg.lstsq((weighted @ flat.T).real, (weighted @ left.ravel()).real, rcond=1e-9)[0]
    shift = np.clip(found[4:], -most_shift_px, most_shift_px) if most_shift_px > 0.0 else np.zeros(2)
    return ImageGauge(
        float(found[0]), float(found[1]), (float(found[2]), float(found[3])), (float(shift[0]), float(shift[1]))
    )


def _across(shape: tuple[int, int]) -> tuple[F64, F64]:
    rows, columns = np.linspace(-1.0, 1.0, shape[0]), np.linspace(-1.0, 1.0, shape[1])
    return np.broadcast_to(rows[:, None], shape), np.broadcast_to(columns, shape)


def beyond_spectra(logs: C64, weight: F32, columns: F64) -> C64:
    """What spectra cannot explain of logarithms (ENERGY, Y, X), pixel by pixel."""
    return np.asarray(logs - logs_of(fitted_maps(logs, weight, columns), columns), np.complex64)


def noise_gain(shared: C64, single: C64, weight: F32, columns: F64) -> float:
    """Factor on the amplitude noise of single energies with which a fit of them errs as much as the shared maps do.

    Energies that were reconstructed together err together. Who fits their optical densities takes their errors for
    independent: he has the right error of his maps if each energy has noise of its own of this size.

    Parameters
    ----------
    shared, single
        (ENERGY, Y, X) half the difference of the logarithms of two halves of the frames: that of what the spectra make
        of the maps, and that of images which share nothing
    weight, columns
        as in ``fitted_maps``
    """
    energies = len(single)
    absorbing = np.concatenate([columns[:energies], np.zeros((energies, columns.shape[1]))])
    # Phases alone may tell spectra apart: only what absorption tells is compared.
    left, size, _ = np.linalg.svd(absorbing, full_matrices=False)
    absorbing = left[:, size > 1e-3 * size[0]]
    lit = lit_pixels(weight)
    alone = logs_of(fitted_maps(single.real.astype(np.complex64), weight, absorbing), absorbing)
    one, other = (float((weight * values.real**2)[:, lit].sum()) for values in (shared, alone))
    return float(np.sqrt(one / other)) if other > 0.0 else 1.0


def unexplained(left: C64, noise: C64, weight: F32, width_px: float = 4.0) -> F32:
    """Share (Y, X), 0 to 1, by which pixels hold what no spectrum explains: 0 up to twice the power of noise, 1 from
    three times on.

    Parameters
    ----------
    left, noise
        (ENERGY, Y, X) what the spectra leave over of images, and of half the difference of two halves
    width_px
        both are averaged over about this distance: one pixel tells nothing
    """
    powers = [gaussian_filter((weight * np.abs(values) ** 2).sum(axis=0), width_px) for values in (left, noise)]
    lit = lit_pixels(weight)
    usual = float(np.median(powers[1][lit])) if lit.any() else 0.0
    if usual <= 0.0:
        return np.zeros(lit.shape, np.float32)
    ratio = powers[0] / np.maximum(powers[1], 0.5 * usual)
    return np.where(lit, np.clip(ratio - APART, 0.0, 1.0), 0.0).astype(np.float32)
