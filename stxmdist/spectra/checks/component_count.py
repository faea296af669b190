"""Whether the pixels of each particle hold more than the end-members: the sums of a stack, read block by block."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F32, F64, I64, Mask, Real
from stxmdist.spectra.checks.components import (
    ResidualSums,
    extra_term_test,
    mean_residual_od,
    missing_spectrum,
    noise_excess,
    residual_sums,
)
from stxmdist.spectra.checks.pulls import morans_test
from stxmdist.spectra.end_members.design_matrix import background_columns

PIXELS_AT_ONCE = 16384
"""Pixels of a block: with 100 energies and the bases of their residuals, so many take 80 MB."""
COUNTING_BYTES = PIXELS_AT_ONCE * 80
"""Bytes of memory for each energy while components are counted."""
PARTICLES_AT_ONCE = 256
"""Particles whose covariances of residuals are held together: those of 100 energies take 20 MB."""
BACKGROUNDS = ("constant", "power_law")


@dataclass(frozen=True)
class CountOptions:
    """When a particle is said to lack a component."""

    most_p: float = 0.001
    """A particle is flagged where chance gives as much less often than this in a whole scan: the p of a particle is
    multiplied by their number"""
    least_share: float = 0.025
    """A smaller share of the optical density is noted in the table, and not flagged: references and incident beam are
    wrong by as much"""
    moran_draws: int = 99
    """Draws of noise with which the clustering of misfit is compared"""


@dataclass(frozen=True, eq=False)
class PixelBlock:
    """Some pixels of a stack, as they were fitted."""

    transmission: F32
    """(ENERGY used, PIXEL), less its pre-edge where that is taken off"""
    thickness: F32
    """(2, PIXEL) of (discharged, charged) material"""
    background: F32
    """(PIXEL,) amount of the constant background"""
    level: F32
    """(PIXEL,) mean transmission before the edge by which the spectrum was divided; 1 where it was not"""


ReadPixels: TypeAlias = Callable[[slice, Mask], PixelBlock]
"""Gives the pixels of some rows: from a slice of rows and which of their pixels (PIXEL,) are wanted."""


@dataclass(frozen=True, eq=False)
class WholeSpectra:
    """Sums over all pixels in which a particle is seen, each (PARTICLE, ENERGY used) float64."""

    od: F64
    """Optical density that the end-members explain"""
    residual_od: F64
    """Measured less fitted optical density"""
    variance: F64
    """Variance that noise gives the latter"""

    def at(self, known: Mask) -> "WholeSpectra":
        """The same at all energies (ENERGY,), of which these spectra have only those ``known``; NaN at the others."""
        filled = [np.full((len(self.od), known.size), np.nan) for _ in range(3)]
        for new, old in zip(filled, (self.od, self.residual_od, self.variance), strict=True):
            new[:, known] = old
        return WholeSpectra(*filled)


@dataclass(frozen=True, eq=False)
class ComponentCount:
    """What the residuals of each particle say of further components; (PARTICLE,) float64, NaN where nothing can be."""

    chi2_pooled: F64
    """Chi-square of all its pixels over their degrees of freedom"""
    p_missing_component: F64
    """How often noise alone leaves as much"""
    missing_share: F64
    """What is missing, as a share of the optical density"""
    components: F64
    """2, or 3 where one is missing"""
    residual_moran_p: F64
    """How often noise alone clusters chi-square as much"""
    said: str
    """Whether two end-members are enough, in a sentence"""
    missing: int | None = None
    """Number of particles that lack a component; None where components could not be counted"""
    missing_od: F64 | None = None
    """(ENERGY used,) optical density that is missing, mean over the pixels of those particles; a single NaN where none
    lacks a component, None where components could not be counted"""
    residual_od: F64 | None = None
    """(PARTICLE, ENERGY used) measured less fitted optical density, mean over each particle's pixels"""
    residual_variance: F64 | None = None
    """(PARTICLE, ENERGY used) variance that noise gives it"""
    noise_excess: F64 | None = None
    """(PARTICLE,) by how much the noise of its pixels is stronger than it is taken for, at least 1; None: not known"""
    whole: "WholeSpectra | None" = None
    """What is left over of each particle as a whole, rims among it"""
    wanting: Mapping[str, int] = field(default_factory=dict)
    """Shape of a background that was not fitted, to the number of particles that a fit with it would explain better"""

    def columns(self) -> dict[str, F64]:
        """The columns of the particle table."""
        return {
            "chi2_pooled": self.chi2_pooled,
            "p_missing_component": self.p_missing_component,
            "missing_share": self.missing_share,
            "components": self.components,
            "residual_moran_p": self.residual_moran_p,
        }


def count_components(
    read: ReadPixels,
    particle: I64,
    n_particles: int,
    *,
    design: F64,
    energy_ev: F64,
    effective_counts: F64,
    shared_variance: F64,
    chi2_reduced: Real,
    noise_correlation_px2: float,
    reach: I64 | None = None,
    options: CountOptions | None = None,
) -> ComponentCount:
    """Test every particle for a component beside the end-members; the stack is read by blocks of rows.

    Parameters
    ----------
    read
        gives the fitted pixels of some rows
    particle
        (Y, X) int64, number of the particle from 0; -1 for pixels that take no part, edges among them: there
        transmissions are averaged, and the spectra are no sums
    design
        (ENERGY used, TERM) optical density per unit of each term that was fitted
    energy_ev, effective_counts
        (ENERGY used,) eV, and photons per pixel at full transmission
    shared_variance
        (ENERGY used,) variance of optical density that all pixels share
    chi2_reduced
        (Y, X) of the fit
    noise_correlation_px2
        area over which noise is correlated; 1 for single pixels
    reach
        (Y, X) int64, number of the particle that is seen in a pixel, edges and what blur throws over them among it; -1
        where none is. ``particle`` if left out
    """
    options = options or CountOptions()
    n_terms = design.shape[1]
    if not n_particles or len(design) < n_terms + 2:
        unknown = np.full(n_particles, np.nan)
        why = "no particles" if not n_particles else f"{len(design)} energies are too few to count components"
        return ComponentCount(unknown, unknown, unknown, unknown, unknown, why)
    seen = np.where(particle >= 0, particle, -1 if reach is None else reach)
    batches = []
    for first in range(0, n_particles, PARTICLES_AT_ONCE):
        n = min(PARTICLES_AT_ONCE, n_particles - first)
        mine = np.where((particle >= first) & (particle < first + n), particle - first, -1)
        about = np.where((seen >= first) & (seen < first + n), seen - first, -1)
        sums, whole = _sums(read, mine, about, n, design, energy_ev, effective_counts)
        batches.append(_Batch.of(sums, whole, design, noise_correlation_px2, shared_variance))
    every = _Batch.joined(batches)
    with np.errstate(invalid="ignore"):
        missing = (every.p * n_particles < options.most_p) & (every.share > options.least_share)
    return ComponentCount(
        chi2_pooled=every.chi2_pooled,
        p_missing_component=every.p,
        missing_share=every.share,
        components=np.where(np.isnan(every.p), np.nan, 2.0 + missing),
        residual_moran_p=_moran(chi2_reduced, particle, n_particles, noise_correlation_px2, options.moran_draws),
        said=_sentence(missing, every.share),
        missing=int(missing.sum()),
        missing_od=_mean_od(every, missing),
        residual_od=every.residual_od,
        residual_variance=every.residual_variance,
        noise_excess=every.noise_excess,
        whole=every.whole,
        wanting={name: int((every.gains[at] > 0.0).sum()) for at, name in enumerate(BACKGROUNDS) if at >= n_terms - 2},
    )


@dataclass(frozen=True, eq=False)
class _Batch:
    """What is kept of the sums of some particles."""

    chi2_pooled: F64
    """(PARTICLE,)"""
    p: F64
    share: F64
    od: F64
    """(PARTICLE, ENERGY)"""
    pixels: I64
    gains: F64
    """(BACKGROUND, PARTICLE) by how much Schwarz' criterion falls with a background"""
    residual_od: F64
    """(PARTICLE, ENERGY)"""
    residual_variance: F64
    noise_excess: F64
    """(PARTICLE,)"""
    whole: WholeSpectra

    @classmethod
    def of(
        cls, sums: ResidualSums, whole: "_WholeSums", design: F64, correlation_px2: float, shared_variance: F64
    ) -> "_Batch":
        n_terms = design.shape[1]
        found = missing_spectrum(sums, n_terms, correlation_px2, shared_variance, design=design)
        freedom = sums.pixels * (sums.od.shape[1] - n_terms)
        with np.errstate(divide="ignore", invalid="ignore"):
            pooled = np.where(freedom > 0, sums.chi2 / freedom, np.nan)
        gains = [extra_term_test(sums, n_terms, at, correlation_px2).bic_gain for at in range(len(BACKGROUNDS))]
        left, variance = mean_residual_od(sums, correlation_px2)
        return cls(pooled, found.p, found.share, found.od, sums.pixels, np.stack(gains), left, variance,
                   noise_excess(sums, n_terms), whole.spectra(design, correlation_px2, shared_variance))  # fmt: skip

    @classmethod
    def joined(cls, batches: list["_Batch"]) -> "_Batch":
        return cls(
            np.concatenate([batch.chi2_pooled for batch in batches]),
            np.concatenate([batch.p for batch in batches]),
            np.concatenate([batch.share for batch in batches]),
            np.concatenate([batch.od for batch in batches]),
            np.concatenate([batch.pixels for batch in batches]),
            np.concatenate([batch.gains for batch in batches], axis=1),
            np.concatenate([batch.residual_od for batch in batches]),
            np.concatenate([batch.residual_variance for batch in batches]),
            np.concatenate([batch.noise_excess for batch in batches]),
            WholeSpectra(
                np.concatenate([batch.whole.od for batch in batches]),
                np.concatenate([batch.whole.residual_od for batch in batches]),
                np.concatenate([batch.whole.variance for batch in batches]),
            ),
        )


class _WholeSums:
    """Sums over the pixels in which particles are seen, block by block."""

    def __init__(self, n_particles: int, n_energy: int) -> None:
        self._od, self._left, self._noise = (np.zeros((n_particles, n_energy)) for _ in range(3))
        self._pixels = np.zeros(n_particles)

    def add(self, block: PixelBlock, coefficients: Real, light: F64, design: F64, particle: I64) -> None:
        """Add some pixels; ``light`` (ENERGY, PIXEL) are photons at full transmission, the others as in ``_sums``."""
        known = np.isfinite(block.transmission).all(axis=0) & np.isfinite(coefficients).all(axis=0)
        number, coefficients = particle[known], np.asarray(coefficients, dtype=np.float64)[:, known]
        n = len(self._pixels)
        self._pixels += np.bincount(number, minlength=n)
        for energy, row in enumerate(design):
            cathode = row[:2] @ coefficients[:2]
            fitted = np.exp(-(cathode + row[2:] @ coefficients[2:]))
            left = 1.0 - block.transmission[energy, known] / fitted
            self._od[:, energy] += np.bincount(number, cathode, n)
            self._left[:, energy] += np.bincount(number, left, n)
            self._noise[:, energy] += np.bincount(number, 1.0 / (light[energy, known] * fitted), n)

    def spectra(self, design: F64, correlation_px2: float, shared_variance: F64) -> WholeSpectra:
        """What was added; ``shared_variance`` (ENERGY,) of optical density is the same in all pixels.

        The fit of a pixel follows the share h (leverage) of its noise v, and without bias of its coefficients leaves
        h v / 2 over in the mean, to second order.
        """
        shared = self._pixels[:, None] ** 2 * shared_variance
        weight = np.divide(1.0, self._noise, out=np.zeros_like(self._noise), where=self._noise > 0.0)
        squares = np.einsum("et,pe,eu->ptu", design, weight, design) + 1e-12 * np.eye(design.shape[1])
        leverage = weight * np.einsum("et,ptu,eu->pe", design, np.linalg.inv(squares), design)
        left = self._left - 0.5 * leverage * self._noise
        return WholeSpectra(self._od, left, correlation_px2 * self._noise + shared)


def _mean_od(every: _Batch, missing: Mask) -> F64:
    if not missing.any():
        return np.array(np.nan)
    return np.asarray(np.average(every.od[missing], axis=0, weights=every.pixels[missing]))


def _sums(
    read: ReadPixels, particle: I64, seen: I64, n: int, design: F64, energy_ev: F64, effective_counts: F64
) -> tuple[ResidualSums, _WholeSums]:
    """Sums over the pixels (Y, X) of each of ``n`` particles, numbered from 0 in ``particle`` and in ``seen``."""
    ny, nx = particle.shape
    n_terms = design.shape[1]
    candidates = background_columns(energy_ev, "power_law")
    rows = max(1, PIXELS_AT_ONCE // nx)
    # Sums over no pixel: the blocks are added to them.
    nothing = np.zeros((len(design), 0)), np.zeros((n_terms, 0))
    total = residual_sums(*nothing, effective_counts, design, np.zeros(0, int), n, candidates)
    whole = _WholeSums(n, len(design))
    for start in range(0, ny, rows):
        part = slice(start, min(start + rows, ny))
        mine, about = particle[part].ravel(), seen[part].ravel()
        chosen = about >= 0
        if not chosen.any():
            continue
        block = read(part, chosen)
        # The fourth term is not kept; a scoring step finds it.
        none = np.zeros((1, block.background.size))
        coefficients = np.concatenate([block.thickness, block.background[None], none])[:n_terms]
        light = effective_counts[:, None] * block.level
        whole.add(block, coefficients, light, design, about[chosen])
        inside = mine[chosen] >= 0
        total = total + residual_sums(
            block.transmission[:, inside], coefficients[:, inside], light[:, inside], design, mine[chosen][inside], n,
            candidates,
        )  # fmt: skip
    return total, whole


def _moran(chi2_reduced: Real, particle: I64, n: int, correlation_px2: float, draws: int) -> F64:
    """(PARTICLE,) how often noise alone clusters chi-square as much."""
    rng = np.random.default_rng(0)
    # White noise smoothed by sigma has an area of 4 pi sigma^2, and its square half the variance of correlation.
    sigma_px = np.sqrt(max(0.0, correlation_px2 - 1.0) / (8.0 * np.pi))
    found = np.full(n, np.nan)
    for at, box in enumerate(ndimage.find_objects(particle + 1, max_label=n)):
        if box is not None:
            found[at] = morans_test(chi2_reduced[box], particle[box] == at, rng, sigma_px, draws)[1]
    return found


def _sentence(missing: Mask, share: F64) -> str:
    tested = np.isfinite(share)
    if not tested.any():
        return "no particle has enough pixels away from edges to count components"
    if not missing.any():
        return (
            f"two end-members explain all of {int(tested.sum())} particles but for at most "
            f"{float(share[tested].max()):.1%} of their optical density"
        )
    return (
        f"two end-members do not explain {int(missing.sum())} of {int(tested.sum())} particles: what is missing is "
        f"{float(np.median(share[missing])):.0%} of their optical density"
    )
