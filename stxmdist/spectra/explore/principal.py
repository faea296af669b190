"""Principal components of a stack that need not fit into memory, and how many of them are more than noise."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from stxmdist.arrays import F32, F64, Array, Mask
from stxmdist.errors import InputError
from stxmdist.spectra.explore.pixel_stack import Block, PixelStack

MOST_LOOKED_AT = 20
"""Components whose images are tried for structure: nobody has found more in one stack."""
LEAST_AUTOCORRELATION = 0.1
"""Above that of the noise. Less is seen where lines flicker or spectra drift; a map of particles has .3 and more."""


@dataclass(frozen=True)
class PrincipalOptions:
    """How components are found."""

    components: int = 6
    """So many are kept, with spectrum and map"""
    scaling: Literal["poisson", "counts", "none"] = "poisson"
    """Optical density is multiplied by the square root of its counts first, so that every element has the same noise:
    counts as mean spectrum times mean image (Keenan and Kotula), by their mean spectrum alone, or not at all
    """
    centred: bool = False
    """Subtract the mean spectrum first. Spectromicroscopy does not: zero optical density means no sample"""

    def __post_init__(self) -> None:
        if self.components < 1:
            raise InputError(
                where="principal.components",
                problem="there would be nothing to see",
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
    """How many components are more than noise, by three criteria that fail in different ways."""

    suggested: int
    """Leading components that stand above the noise and are images: both of the next two"""
    above_noise: int
    """Eigenvalues above the largest that counting noise alone gives (the edge of Marchenko and Pastur). Counts what
    imperfect instruments add, too
    """
    images: int
    """Leading components whose maps are alike in neighbouring pixels, along rows and along columns"""
    indicator: int
    """Where Malinowski's indicator function is least; needs no noise level, but the same noise everywhere"""


@dataclass(frozen=True, eq=False)
class Principal:
    """Principal components of the scaled optical density."""

    spectra: F64
    """(COMPONENT, ENERGY) float64, length 1: OD is close to mean_od + spectra.T @ scores"""
    transform: F64
    """(COMPONENT, ENERGY) float64: scores (COMPONENT, PIXEL) = transform @ (OD - mean_od)"""
    mean_od: F64
    """(ENERGY,) zero unless centred"""
    eigenvalues: F64
    """(ENERGY,) float64, descending, of the mean square of the scaled optical density"""
    energy_weight: F64
    """(ENERGY,) what squares of optical density are multiplied by, beside ``pixel_weight``"""
    scaling: Literal["poisson", "counts", "none"]
    effective_counts: F64
    squares: float
    """Sum of the squares of the scaled optical density, never centred"""
    noise_squares: float
    """What counting noise alone would give"""
    noise_edge: float
    """No eigenvalue of counting noise alone exceeds it"""
    autocorrelation: F64
    """(COMPONENT looked at,) of the maps, the lower of along rows and along columns"""
    indicator: F64
    """(ENERGY - 1,) Malinowski's function for 1, 2, ... components"""
    number: ComponentNumber
    pixels: int
    """Pixels that are known at every energy"""
    floored_share: float
    """Share of elements that had less than half a count"""

    def scores(self, block: Block, n: int | None = None) -> F32:
        """Maps (COMPONENT, PIXEL) float32 of a block, NaN where not known; of the first ``n`` components."""
        scores = self.transform[:n].astype(np.float32) @ block.od
        scores -= (self.transform[:n] @ self.mean_od).astype(np.float32)[:, None]
        scores[:, ~block.known] = np.nan
        return scores

    def pixel_weight(self, transmission: F32 | F64) -> F64:
        """What squares of optical density (ENERGY, PIXEL) are multiplied by, (PIXEL,) float64."""
        return pixel_weight(transmission, self.effective_counts, self.scaling)

    def explained(self, n: int) -> float:
        """Share of the sum of squares that the first ``n`` components hold."""
        return float(self.eigenvalues[:n].sum() / self.eigenvalues.sum())


def pixel_weight(transmission: F32 | F64, effective_counts: F64, scaling: str) -> F64:
    """Mean transmission (PIXEL,) float64 weighted by the incident beam for ``poisson``, else 1."""
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

    Optical density has the variance 1/(N T). Scaled by the square root of the rank-one matrix nearest to N T, the mean
    spectrum times the mean image, its noise is one everywhere while a sum of K spectra stays a sum of K spectra: Keenan
    and Kotula, Surf. Interface Anal. 36, 203 (2004), eq. 12, carried over from counts to their logarithm. The products
    (ENERGY, ENERGY) of the scaled spectra are summed, never those of a covariance, and their eigenvectors taken.

    ``noise_correlation_px2`` is the area over which noise is one and the same, 1 where pixels are independent.

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
    # Rounding leaves the smallest of them below zero.
    eigenvalues, vectors = np.maximum(eigenvalues[::-1], 0.0), vectors[:, ::-1]
    back = vectors / root[:, None]
    length = np.linalg.norm(back, axis=0)
    largest = np.take_along_axis(back, np.abs(back).argmax(axis=0)[None], axis=0)[0]
    signed = np.where(largest < 0.0, -1.0, 1.0) * length
    # What is common to all noise is its level; the spread of its eigenvalues follows from how few pixels there are.
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
    """Everything that is summed over pixels before the scaling by energy is known."""

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
            mend="Look at the alignment: the frames may share no area, or leave energies out",
        )
    return total


def indicator_function(eigenvalues: F64) -> F64:
    """Malinowski's indicator function for 1 to ENERGY - 1 components, (ENERGY - 1,) float64.

    The real error sqrt(sum of what is left over / (ENERGY - n)) over (ENERGY - n)^2: Malinowski, Anal. Chem. 49, 612
    (1977), eq. 20.
    """
    n = len(eigenvalues)
    left = np.cumsum(eigenvalues[::-1])[::-1][1:]
    freedom = n - np.arange(1, n)
    return np.asarray(np.sqrt(left / freedom) / freedom**2, dtype=np.float64)


def _numbered(stack: PixelStack, found: Principal, noise_correlation_px2: float, kept: int) -> Principal:
    """The components that are kept, and how many of all are more than noise."""
    looked = min(stack.n_energies, MOST_LOOKED_AT)
    autocorrelation = map_autocorrelation(stack, found, looked)
    # Noise of nearest neighbours r that falls off along both axes covers the area (1 + 2 r)^2.
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

    The lower of along rows and along columns: the flicker of a line is alike along one axis only.
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
