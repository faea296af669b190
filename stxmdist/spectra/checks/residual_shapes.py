"""Decomposition of a residual spectrum into offset, slope, energy error, broadening and saturation."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64

SHAPES = {
    "constant": "an offset of optical density",
    "slope": "a slope of the background",
    "energy": "an error of the energy scale",
    "broadening": "lines of another width than the references'",
    "saturation": "saturation: strong absorption comes out too weak or too strong",
}
"""Name of each shape and its meaning; with few energies the shapes cannot be distinguished"""

LEAST_SHARE = 0.05
"""A shape that explains a smaller share of the squared residual is not named"""
WHITE_LINE = 0.5
"""The white line is where optical density exceeds this share of its range"""
ONSET = 0.15
"""The pre-edge ends where optical density first exceeds this share of its range"""


@dataclass(frozen=True)
class ResidualShape:
    """A residual decomposed into shapes; shares are those of its sum of squares, largest first."""

    shares: dict[str, float]
    """Name of a shape and the share that it explains in addition to those before it"""
    sizes: dict[str, float]
    """Sizes of the same shapes: optical density, its slope per eV, eV, eV^2 of added variance, and per unit of OD^2"""
    unnamed: float
    """Share that none of the shapes explains"""
    where: dict[str, float]
    """Share of the unexplained squares in each part of the spectrum: pre-edge, white line, elsewhere"""


def residual_shape(residual_od: F64, model_od: F64, energy_ev: F64, terms: F64) -> ResidualShape:
    """Decompose a mean residual (ENERGY,) by projecting it on the shapes that known causes leave.

    The shapes are a constant, a slope and three that follow from the fitted optical density: its derivative by energy
    (an energy error), its second derivative (a broadening; its size is half the added variance of the resolution) and
    its square (saturation by thickness, leak or blur). Residuals are orthogonal to the fitted terms, so the shapes are
    made orthogonal to them too. Each step takes the shape that explains most of the remaining residual.

    Parameters
    ----------
    residual_od
        (ENERGY,) measured minus fitted; energies with NaN are left out
    model_od
        (ENERGY,) fitted optical density
    energy_ev
        (ENERGY,) in any order; energies may be repeated
    terms
        (ENERGY, TERM) the terms that were fitted
    """
    known = np.isfinite(residual_od) & np.isfinite(model_od)
    energy, model, basis = energy_ev[known], model_od[known], np.linalg.qr(terms[known])[0]
    left = residual_od[known] - basis @ (basis.T @ residual_od[known])
    slope = slope_by_energy(model, energy)
    candidates = {
        "constant": np.ones_like(energy),
        "slope": energy - energy.mean(),
        "energy": slope,
        "broadening": 0.5 * slope_by_energy(slope, energy),
        "saturation": model**2,
    }
    whole = float(left @ left)
    shares: dict[str, float] = {}
    chosen: list[str] = []
    while whole > 0.0 and len(chosen) < len(candidates):
        gains = {}
        for name, shape in candidates.items():
            direction = shape - basis @ (basis.T @ shape)
            length = np.linalg.norm(direction)
            gains[name] = float((direction @ left / length) ** 2) if length > 1e-6 * np.linalg.norm(shape) else 0.0
        best = max((name for name in candidates if name not in chosen), key=lambda name: gains[name])
        if gains[best] < LEAST_SHARE * whole:
            break
        chosen.append(best)
        shares[best] = gains[best] / whole
        direction = candidates[best] - basis @ (basis.T @ candidates[best])
        basis = np.column_stack([basis, direction / np.linalg.norm(direction)])
        left = left - basis[:, -1] * (basis[:, -1] @ left)
    sizes = {}
    if chosen:
        together = np.column_stack([terms[known], *(candidates[name] for name in chosen)])
        scale = np.linalg.norm(together, axis=0)
        found = np.linalg.lstsq(together / scale, residual_od[known], rcond=None)[0] / scale
        sizes = dict(zip(chosen, found[terms.shape[1] :].tolist(), strict=True))
    return ResidualShape(shares, sizes, float(left @ left) / whole if whole else 0.0, _where(left, model, energy))


def slope_by_energy(values: F64, energy_ev: F64) -> F64:
    """Derivative by energy (ENERGY,), taken over energies once each: a repeated energy has the mean of its values.

    Zero where there is a single energy, for which there is no derivative.
    """
    once, place = np.unique(energy_ev, return_inverse=True)
    if once.size < 2:
        return np.zeros_like(values)
    means = np.bincount(place, weights=values) / np.bincount(place)
    return np.asarray(np.gradient(means, once)[place], dtype=np.float64)


def _where(left: F64, model: F64, energy: F64) -> dict[str, float]:
    level = (model - model.min()) / max(float(np.ptp(model)), 1e-12)
    rise = energy[level > ONSET].min() if (level > ONSET).any() else energy[-1]
    parts = {"pre-edge": energy < rise, "white line": level > WHITE_LINE}
    parts["elsewhere"] = ~(parts["pre-edge"] | parts["white line"])
    total = max(float(left @ left), 1e-300)
    return {name: float((left[part] ** 2).sum()) / total for name, part in parts.items()}


def in_words(shape: ResidualShape) -> str:
    """One sentence that describes the residual."""
    named = []
    for name, share in shape.shares.items():
        size = f" of {1e3 * shape.sizes[name]:+.0f} meV" if name == "energy" else ""
        named.append(f"{share:.0%} looks like {SHAPES[name]}{size}")
    at = max(shape.where, key=lambda part: shape.where[part])
    place = {"pre-edge": "before the edge", "white line": "at the white lines", "elsewhere": "after the edge"}[at]
    rest = f"{shape.unnamed:.0%} has {'none of the usual shapes' if not named else 'no such shape'}"
    rest += f" and lies mostly {place} ({shape.where[at]:.0%} of it), where a missing or wrong reference shows"
    return "Of the squared residual " + ", ".join([*named, rest]) + "."
