"""Non-negative matrix factorisation of a stack that need not fit into memory."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F32, F64
from stxmdist.errors import InputError
from stxmdist.spectra.explore.pixel_stack import Block, PixelStack, sample_of
from stxmdist.spectra.explore.principal import Principal
from stxmdist.spectra.kernels.shared_products import MOST_UNKNOWNS, nonnegative_solutions

SAMPLE_PIXELS = 32768
"""Factors are found from so many random pixels first, which is fast, and then from all"""
LEAST_SPECTRUM = 1e-12
"""Least value of a spectrum relative to the largest: a factor that is zero would make the equations singular"""


@dataclass(frozen=True)
class FactorOptions:
    """How non-negative factors are found."""

    components: int = 3
    """Number of factors, including a background that is not constant"""
    passes: int = 30
    """At most so many passes over the whole stack"""
    sample_passes: int = 1000
    """At most so many passes over the random pixels before"""
    tolerance: float = 1e-4
    """Iteration ends when a pass lowers the cost by less than this share of the cost of noise. Later passes are slow,
    and distort the spectra to fit the noise of empty pixels, for which negative amounts would be needed
    """

    def __post_init__(self) -> None:
        if not 1 <= self.components <= MOST_UNKNOWNS:
            raise InputError(
                where="nmf.components",
                problem="the stack cannot be divided into this number of factors",
                got=self.components,
                wanted=f"1 to {MOST_UNKNOWNS}",
                mend="Give the number of components that the principal components suggest",
            )

    @property
    def parts(self) -> int:
        """How many spectra are looked for."""
        return self.components


@dataclass(frozen=True, eq=False)
class Factors:
    """Factors of a stack: OD is close to spectra.T @ amounts, and neither has a negative value."""

    spectra: F64
    """(COMPONENT, ENERGY) float64 optical density for an amount of 1, which is typical of pixels with this component;
    the component with most of the optical density comes first
    """
    energy_weight: F64
    """(ENERGY,) weights of squared deviations"""
    costs: tuple[float, ...]
    """Weighted sum of squared deviations relative to that of shot noise, after each pass over the whole stack"""
    sample_costs: tuple[float, ...]
    """The same for the random pixels before"""
    converged: bool

    def amounts(self, block: Block) -> F32:
        """Maps (COMPONENT, PIXEL) float32 of a block: the exact non-negative least squares; NaN where not known."""
        amounts = amounts_of(self.spectra, self.energy_weight, block.od.astype(np.float64)).astype(np.float32)
        amounts[:, ~block.known] = np.nan
        return amounts


def amounts_of(spectra: F64, energy_weight: F64, od: F64) -> F64:
    """Non-negative amounts (COMPONENT, PIXEL) float64 of spectra (COMPONENT, ENERGY) in optical density."""
    weighted = spectra * energy_weight
    return nonnegative_solutions(weighted @ spectra.T, weighted @ od)


@dataclass(frozen=True, eq=False)
class _Sums:
    # Sums over pixels of one pass, weighted by pixel and not by energy.
    projections: F64  # (COMPONENT, ENERGY) amounts times optical density
    products: F64  # (COMPONENT, COMPONENT) of amounts
    amounts: F64  # (COMPONENT,)

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class _Scale:
    # Weights and normalisation of squared deviations, for the pixels in question.
    energy_weight: F64
    squares: float  # of the scaled optical density
    noise_squares: float  # of its counting noise

    def cost(self, sums: _Sums, spectra: F64) -> float:
        """Weighted squared deviations of the spectra with the summed amounts, relative to those of noise."""
        fitted = (sums.products @ spectra - 2.0 * sums.projections) * spectra
        return (self.squares + float(fitted.sum(axis=0) @ self.energy_weight)) / self.noise_squares


def factorise(
    stack: PixelStack, principal: Principal, rng: np.random.Generator, options: FactorOptions | None = None
) -> Factors:
    """Non-negative factors by alternating exact non-negative least squares, one pass over the stack for each round.

    The weights are those of the principal components, a rank-one approximation of the counts, so the cost is close to
    chi-square. For given spectra the amounts follow pixel by pixel; from the sums of their products over all pixels the
    spectra follow energy by energy (two-block coordinate descent: Kim and Park, SIAM J. Sci. Comput. 33, 3261 (2011)).
    The start is the purest spectra of a random sample of pixels (``purest_spectra``), which are first refined on the
    sample until they converge. The cost never rises. A lower minimum elsewhere is possible, and if no pixel is pure the
    data alone do not determine the spectra.

    Raises
    ------
    InputError
        for more factors than energies or pixels
    """
    options = options or FactorOptions()
    weight = principal.energy_weight
    sample = sample_of(stack, SAMPLE_PIXELS, rng)
    if options.components > min(sample.od.shape):
        raise InputError(
            where="factors",
            problem="there are more factors than energies or pixels",
            got=f"{options.components} factors of {sample.od.shape[0]} energies and {sample.od.shape[1]} pixels",
            wanted="fewer factors than either",
            mend="Lower nmf: components",
        )
    pixel = principal.pixel_weight(sample.transmission)
    spectra = purest_spectra(sample.od, weight, pixel, options.components)
    noise = weight / stack.effective_counts @ ((1.0 / sample.transmission) @ pixel)
    of_sample = _Scale(weight, float(weight @ ((sample.od**2) @ pixel)), float(noise))
    of_stack = _Scale(weight, principal.squares, principal.noise_squares)

    def over_sample(spectra: F64) -> _Sums:
        return _summed(sample.od, pixel, spectra, weight)

    def over_stack(spectra: F64) -> _Sums:
        def part(block: Block) -> _Sums:
            # Pixels that are not known have zero optical density, and so zero amounts.
            pixel = principal.pixel_weight(block.transmission)
            return _summed(block.od.astype(np.float64), pixel, spectra, weight)

        parts = stack.each(part)
        return sum(parts, start=next(parts))

    spectra, sample_costs, _, _ = _descend(over_sample, spectra, of_sample, options.sample_passes, options.tolerance)
    spectra, costs, sums, converged = _descend(over_stack, spectra, of_stack, options.passes, options.tolerance)
    return Factors(_in_order(spectra, sums), weight, tuple(costs), tuple(sample_costs), converged)


def _descend(
    sums_of: Callable[[F64], _Sums], spectra: F64, scale: _Scale, passes: int, tolerance: float
) -> tuple[F64, list[float], _Sums, bool]:
    """Alternate until convergence; return spectra, the cost of each round, the last sums, and whether it converged."""
    costs: list[float] = []
    while True:
        sums = sums_of(spectra)
        spectra = _positive(nonnegative_solutions(sums.products, sums.projections))
        costs.append(scale.cost(sums, spectra))
        converged = len(costs) > 1 and costs[-2] - costs[-1] < tolerance
        if converged or len(costs) >= passes:
            return spectra, costs, sums, converged


def _summed(od: F64, pixel_weight: F64, spectra: F64, energy_weight: F64) -> _Sums:
    """Sums over pixels, with the amounts for the given spectra."""
    amounts = amounts_of(spectra, energy_weight, od)
    weighted = amounts * pixel_weight
    return _Sums(weighted @ od.T, weighted @ amounts.T, weighted.sum(axis=1))


def purest_spectra(od: F64, energy_weight: F64, pixel_weight: F64, n: int) -> F64:
    """Spectra (COMPONENT, ENERGY) float64 of the ``n`` pixels of (ENERGY, PIXEL) that differ most from one another.

    Successive projection chooses the pixel with the longest spectrum, then the pixel with the longest remainder after
    projecting out the first one, and so on. Noise is reduced before by keeping the ``n`` leading components. Source:
    Gillis and Vavasis, IEEE Trans. Pattern Anal. Mach. Intell. 36, 698 (2014), algorithm 1.
    """
    root = np.sqrt(energy_weight)[:, None]
    scaled = od * root
    weighted = scaled * np.sqrt(pixel_weight)
    _, vectors = np.linalg.eigh(weighted @ weighted.T)
    basis = vectors[:, -n:]
    scores = basis.T @ scaled
    left = scores.copy()
    chosen = []
    for _ in range(n):
        purest = int(np.argmax((left**2).sum(axis=0)))
        chosen.append(purest)
        direction = left[:, purest] / max(float(np.linalg.norm(left[:, purest])), 1e-300)
        left -= np.outer(direction, direction @ left)
    return _positive((basis @ scores[:, chosen] / root).T)


def _positive(spectra: F64) -> F64:
    """Spectra without negative values, none of which is zero throughout."""
    floor = LEAST_SPECTRUM * np.abs(spectra).max()
    return np.asarray(np.maximum(spectra, floor), dtype=np.float64)


def _in_order(spectra: F64, sums: _Sums) -> F64:
    """Spectra per typical amount, the strongest first."""
    strength = sums.amounts * spectra.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        typical = np.diag(sums.products) / sums.amounts
    typical = np.where(np.isfinite(typical) & (typical > 0.0), typical, 1.0)
    return (spectra * typical[:, None])[np.argsort(-strength, kind="stable")]
