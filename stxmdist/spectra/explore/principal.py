"""Principal components of a stack that need not fit into memory, and how many of them are significant."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from stxmdist.arrays import F32, F64, Array, Mask
from stxmdist.errors import InputError
from stxmdist.spectra.explore.pixel_stack import Block, PixelStack

MOST_LOOKED_AT = 20
"""Number of components whose maps are tested for structure; more have not been found in one stack"""
LEAST_AUTOCORRELATION = 0.1
"""Least excess over that of noise. Flicker of lines and drift of spectra cause less; a map of particles has over 0.3"""


@dataclass(frozen=True)
class PrincipalOptions:
    """How principal components are found."""

    components: int = 6
    """Number of components that are kept, with spectrum and map"""
    scaling: Literal["poisson", "counts", "none"] = "poisson"
    """How optical density is scaled first, so that every element has the same noise: by the square root of the counts,
    taken as mean spectrum times mean image (``poisson``, Keenan and Kotula), by that of their mean spectrum
    (``counts``), or not at all
    """
    centred: bool = False
    """Subtract the mean spectrum first. This is not usual in spectromicroscopy: zero optical density means no sample"""

    def __post_init__(self) -> None:
        if self.components < 1:
            raise InputError(
                where="principal.components",
                problem="no principal component would be kept",
                got=self.components,
                wanted="1 or more",
                mend="Give the number of components to keep",
            )

    @property
    def parts(self) -> int:
        """How many spectra are looked for."""
        return self.components


@dataclass(frozen=True)
class ComponentNumber:
    """Number of significant components by three criteria, which fail in different ways."""

    suggested: int
    """Number of leading components that fulfil both of the next two criteria"""
    above_noise: int
    """Number of eigenvalues above the largest that shot noise alone gives (the edge of Marchenko and Pastur). It
    includes components that instrumental errors add
    """
    images: int
    """Number of leading components whose maps are correlated between neighbours, along rows and along columns"""
    indicator: int
    """Number at which Malinowski's indicator function is least; it needs no noise level, but assumes uniform noise"""


@dataclass(frozen=True, eq=False)
class Principal:
    """Principal components of the scaled optical density."""

    spectra: F64
    """(COMPONENT, ENERGY) float64, length 1: OD is close to mean_od + spectra.T @ scores"""
    transform: F64
    """(COMPONENT, ENERGY) float64: scores (COMPONENT, PIXEL) = transform @ (OD - mean_od)"""
    mean_od: F64
    """(ENERGY,) mean spectrum that was subtracted; zero unless centred"""
    eigenvalues: F64
    """(ENERGY,) float64, descending, of the mean products of the scaled optical density"""
    energy_weight: F64
    """(ENERGY,) weight of squares of optical density, in addition to ``pixel_weight``"""
    scaling: Literal["poisson", "counts", "none"]
    effective_counts: F64
    """(ENERGY,) photons per pixel at full transmission"""
    squares: float
    """Sum of the squares of the scaled optical density, without centring"""
    noise_squares: float
    """The same sum for shot noise alone"""
    noise_edge: float
    """Largest eigenvalue that shot noise alone gives"""
    autocorrelation: F64
    """(COMPONENT tested,) of the maps, the lower of those along rows and along columns"""
    indicator: F64
    """(ENERGY - 1,) Malinowski's function for 1, 2, ... components"""
    number: ComponentNumber
    pixels: int
    """Number of pixels that are known at every energy"""
    floored_share: float
    """Share of elements that had less than half a count"""

    def scores(self, block: Block, n: int | None = None) -> F32:
        """Maps (COMPONENT, PIXEL) float32 of a block, NaN where not known; of the first ``n`` components."""
        scores = self.transform[:n].astype(np.float32) @ block.od
        scores -= (self.transform[:n] @ self.mean_od).astype(np.float32)[:, None]
        scores[:, ~block.known] = np.nan
        return scores

    def pixel_weight(self, transmission: F32 | F64) -> F64:
        """Weight (PIXEL,) float64 of squares of optical density in each pixel of transmission (ENERGY, PIXEL)."""
        return pixel_weight(transmission, self.effective_counts, self.scaling)

    def explained(self, n: int) -> float:
        """Share of the sum of squares that the first ``n`` components explain."""
        return float(self.eigenvalues[:n].sum() / self.eigenvalues.sum())


def pixel_weight(transmission: F32 | F64, effective_counts: F64, scaling: str) -> F64:
    """Mean transmission (PIXEL,) float64, weighted by the incident beam, if scaling is ``poisson``; otherwise 1."""
    if scaling != "poisson":
        return np.ones(transmission.shape[1])
    share = effective_counts / effective_counts.sum()
    return np.asarray(share.astype(np.float32) @ transmission, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class _Sums:
    products: F64  # (ENERGY, ENERGY) of optical density, weighted by pixels
    od: F64  # (ENERGY,) weighted by pixels
    counts: F64  # (ENERGY,)
    noise: F64  # (ENERGY,) variance of optical density, weighted by pixels
    weight: float
    pixels: int
    floored: int


def principal_components(
    stack: PixelStack, options: PrincipalOptions | None = None, noise_correlation_px2: float = 1.0
) -> Principal:
    """Principal components of a stack, in two passes over its blocks.

    Optical density has the variance 1/(N T). It is scaled by the square root of a rank-one approximation of N T, the
    mean spectrum times the mean image. Its noise then has a variance of about 1 everywhere, and a sum of K spectra
    remains a sum of K spectra. The components are the eigenvectors of the summed products (ENERGY, ENERGY) of the
    scaled spectra. Source: Keenan and Kotula, Surf. Interface Anal. 36, 203 (2004), eq. 12, applied to the logarithm of
    counts.

    ``noise_correlation_px2`` is the correlation area of the noise, 1 if pixels are independent.

    Raises
    ------
    InputError
        where no pixel is known at every energy
    """
    options = options or PrincipalOptions()
    sums = _summed(stack, options.scaling)
    n = stack.n_energies
    weight = np.ones(n)
    if options.scaling != "none":
        weight = sums.counts / sums.pixels
    if options.scaling == "poisson":
        weight = sums.counts / sums.weight
    mean = sums.od / sums.weight if options.centred else np.zeros(n)
    root = np.sqrt(weight)
    products = (sums.products - sums.weight * np.outer(mean, mean)) * np.outer(root, root) / sums.pixels
    eigenvalues, vectors = np.linalg.eigh(products)
    # Rounding makes the smallest eigenvalues negative.
    eigenvalues, vectors = np.maximum(eigenvalues[::-1], 0.0), vectors[:, ::-1]
    back = vectors / root[:, None]
    length = np.linalg.norm(back, axis=0)
    largest = np.take_along_axis(back, np.abs(back).argmax(axis=0)[None], axis=0)[0]
    signed = np.where(largest < 0.0, -1.0, 1.0) * length
    # The level of the noise is the same in all components; the number of pixels determines the spread of eigenvalues.
    independent = sums.pixels / max(1.0, noise_correlation_px2)
    edge = float((weight * sums.noise / sums.pixels).max()) * (1.0 + np.sqrt(n / independent)) ** 2
    found = Principal(
        spectra=(back / signed).T,
        transform=(vectors * root[:, None] * signed).T,
        mean_od=mean,
        eigenvalues=eigenvalues,
        energy_weight=weight,
        scaling=options.scaling,
        effective_counts=stack.effective_counts,
        squares=float(weight @ np.diag(sums.products)),
        noise_squares=float(weight @ sums.noise),
        noise_edge=edge,
        autocorrelation=np.zeros(0),
        indicator=indicator_function(eigenvalues),
        number=ComponentNumber(0, 0, 0, 0),
        pixels=sums.pixels,
        floored_share=sums.floored / (n * sums.pixels),
    )
    return _numbered(stack, found, noise_correlation_px2, min(options.components, n))


def _summed(stack: PixelStack, scaling: str) -> _Sums:
    """All sums over pixels that are needed before the scaling by energy is known."""

    def part(block: Block) -> _Sums:
        pixel = np.where(block.known, pixel_weight(block.transmission, stack.effective_counts, scaling), 0.0)
        root = np.sqrt(pixel)
        od: F64 = np.asarray(block.od * root, dtype=np.float64)
        seen = block.transmission[:, block.known]
        return _Sums(
            products=od @ od.T,
            od=od @ root,
            counts=stack.effective_counts * seen.sum(axis=1, dtype=np.float64),
            noise=((1.0 / seen) @ pixel[block.known].astype(np.float32)) / stack.effective_counts,
            weight=float(pixel.sum()),
            pixels=int(block.known.sum()),
            floored=block.floored,
        )

    n = stack.n_energies
    total = _Sums(np.zeros((n, n)), np.zeros(n), np.zeros(n), np.zeros(n), 0.0, 0, 0)
    for here in stack.each(part):
        total = _Sums(*(getattr(total, name) + getattr(here, name) for name in _Sums.__dataclass_fields__))
    if not total.pixels:
        raise InputError(
            where="principal components",
            problem="no pixel is known at every energy",
            got=f"{stack.n_pixels} pixels",
            wanted="at least one",
            mend="Check the alignment: the frames may have no common area; or leave energies out",
        )
    return total


def indicator_function(eigenvalues: F64) -> F64:
    """Malinowski's indicator function for 1 to ENERGY - 1 components, (ENERGY - 1,) float64.

    It is the real error, sqrt(sum of the remaining eigenvalues / (ENERGY - n)), over (ENERGY - n)^2. Source:
    Malinowski, Anal. Chem. 49, 612 (1977), eq. 20.
    """
    n = len(eigenvalues)
    left = np.cumsum(eigenvalues[::-1])[::-1][1:]
    freedom = n - np.arange(1, n)
    return np.asarray(np.sqrt(left / freedom) / freedom**2, dtype=np.float64)


def _numbered(stack: PixelStack, found: Principal, noise_correlation_px2: float, kept: int) -> Principal:
    """The components that are kept, with the number of significant ones."""
    looked = min(stack.n_energies, MOST_LOOKED_AT)
    autocorrelation = map_autocorrelation(stack, found, looked)
    # Noise with the correlation r of nearest neighbours along both axes has the correlation area (1 + 2 r)^2.
    of_noise = min(0.9, 0.5 * (np.sqrt(max(1.0, noise_correlation_px2)) - 1.0))
    above = _leading(found.eigenvalues > found.noise_edge)
    images = _leading(autocorrelation > of_noise + LEAST_AUTOCORRELATION)
    indicator = 1 + int(np.argmin(found.indicator)) if len(found.indicator) else 1
    number = ComponentNumber(max(1, min(above, images)), above, images, indicator)
    return Principal(
        **vars(found)
        | {
            "spectra": found.spectra[:kept],
            "transform": found.transform[:kept],
            "autocorrelation": autocorrelation,
            "number": number,
        }
    )


def _leading(yes: Mask) -> int:
    return int(np.argmin(yes)) if not yes.all() else len(yes)


def map_autocorrelation(stack: PixelStack, principal: Principal, n: int) -> F64:
    """Correlation of neighbouring pixels in the maps of the first ``n`` components, (COMPONENT,) float64; one pass.

    It is the lower of those along rows and along columns, because flicker of lines is correlated along one axis only.
    """

    def part(block: Block) -> F64:
        scores = principal.scores(block, n).reshape(n, block.n_rows, -1)
        known = np.isfinite(scores)
        s = np.where(known, scores, np.float32(0.0))

        def total(product: Array) -> F64:
            return np.asarray(product.sum(axis=(1, 2), dtype=np.float64))

        return np.stack(
            [
                total(known),
                total(s),
                total(s * s),
                total(known[:, :, 1:] & known[:, :, :-1]),
                total(s[:, :, 1:] * s[:, :, :-1]),
                total(known[:, 1:] & known[:, :-1]),
                total(s[:, 1:] * s[:, :-1]),
            ]
        )

    sums = np.zeros((7, n))
    for here in stack.each(part):
        sums += here
    with np.errstate(divide="ignore", invalid="ignore"):
        mean2 = (sums[1] / sums[0]) ** 2
        variance = sums[2] / sums[0] - mean2
        along = [(sums[i + 1] / sums[i] - mean2) / variance for i in (3, 5)]
    return np.asarray(np.nan_to_num(np.fmin(*along)), dtype=np.float64)
