"""The distortion between two images from the displacements of landmarks, averaged over all models that may hold."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import linalg

from stxmdist.arrays import F64

SMOOTHNESS = (0.0, 0.25)
"""Correlation length of the drift as a share of the rows spanned; 0: a random walk from row to row"""

DRIFTS_UM = (0.0, 0.012, 0.03, 0.075, 0.15, 0.3, 0.6)
"""Standard deviations of the drift over the rows spanned that are thought possible, each as likely as any other"""

DOUBTS_PX = (0.02, 0.06, 0.2, 0.6)
"""Standard deviations of what moves a landmark beside noise and all modelled distortion, in pixels"""

SHIFT_SD_UM = 5.0
"""Of the shift, as a prior so wide that it decides nothing"""

KNOTS = 33
"""Rows at which the drift is given"""


@dataclass(frozen=True)
class LinearPrior:
    """Standard deviations of the parts of the linear map about no change."""

    rotation: float
    """rad"""
    scale: float
    shear: float
    """Of either kind: one axis longer than the other, or askew"""

    def covariance(self) -> F64:
        """(4, 4) of d yy, d yx, d xy, d xx."""
        parts = np.array([[0, -1, 1, 0], [1, 0, 0, 1], [1, 0, 0, -1], [0, 1, 1, 0]], dtype=np.float64)
        spread = np.array([self.rotation, self.scale, 0.5 * self.shear, 0.5 * self.shear])
        return np.asarray(parts.T @ np.diag(spread**2) @ parts)


@dataclass(frozen=True, eq=False)
class Distortion:
    """Posterior of a distortion: displacement = shift + linear (place - centre) + drift(row)."""

    shift_um: F64
    """(2,) at the centre"""
    linear: F64
    """(2, 2)"""
    rows_um: F64
    """(ROW,) rows of the fixed image at which the drift is given"""
    drift_um: F64
    """(ROW, 2)"""
    error_um: float
    """Root mean square error over the places asked for, one standard deviation, doubt about the model included"""
    wander_um: float
    """Standard deviation of a random walk of the rows over one micrometre; 0 where the drift is smooth"""
    predicted_um: F64
    """(LANDMARK, 2) displacement of each landmark as all others have it"""
    predicted_covariance_um2: F64
    """(LANDMARK, 2, 2) of the measured displacement about it"""


def fit_distortion(
    places_um: F64,
    rows_um: F64,
    displacement_um: F64,
    covariance_um2: F64,
    asked_um: F64,
    asked_rows_um: F64,
    pitch_um: float,
    prior: LinearPrior,
    drift: bool = True,
) -> Distortion:
    """Linear map and drift of rows from the displacements of landmarks, by the evidence of each model for itself.

    Each model has a drift of its own strength and smoothness, which is a Gaussian process of the row, and a doubt of
    its own: what moves landmarks beside noise and drift. Weights are marginal likelihoods, which is how well each
    landmark was foretold by those before it; the error holds the spread within and between models.

    Parameters
    ----------
    places_um
        (LANDMARK, 2) in the moving image, about the centre
    rows_um
        (LANDMARK,) y in the fixed image
    displacement_um, covariance_um2
        (LANDMARK, 2) fixed less moving coordinates; (LANDMARK, 2, 2)
    asked_um, asked_rows_um
        (PLACE, 2), (PLACE,): where the error is wanted
    pitch_um
        of the fixed image
    drift
        whether rows may drift

    Source: MacKay, Neural Comput. 4, 415 (1992) for the evidence; Rasmussen, Williams, Gaussian Processes (2006),
    equations 2.25, 2.26, 2.30 and 5.12.
    """
    n = len(places_um)
    low, high = float(asked_rows_um.min()), float(asked_rows_um.max())
    span = max(high - low, pitch_um)
    knots = np.linspace(low - 0.05 * span, high + 0.05 * span, KNOTS)
    base = _linear_part(places_um, places_um, prior)
    base_asked, base_own = _linear_part(asked_um, places_um, prior), _own_linear(asked_um, prior)
    measured = displacement_um.reshape(-1)
    noise = linalg.block_diag(*covariance_um2)
    evidence, wander, answers = [], [], []
    for smooth in SMOOTHNESS if drift else SMOOTHNESS[:1]:
        shape = [
            np.kron(_kernel(a, rows_um, smooth * span, span, low), np.eye(2)) for a in (rows_um, asked_rows_um, knots)
        ]
        own_shape = np.repeat(_own(asked_rows_um, smooth * span, span, low), 2)
        for strength, doubt in product(DRIFTS_UM if drift else DRIFTS_UM[:1], DOUBTS_PX):
            total = base + strength**2 * shape[0] + noise + (doubt * pitch_um) ** 2 * np.eye(2 * n)
            inverse = np.linalg.inv(total)
            weight = inverse @ measured
            evidence.append(-0.5 * float(measured @ weight) - 0.5 * float(np.linalg.slogdet(total)[1]))
            cross = base_asked + strength**2 * shape[1]
            variance = base_own + strength**2 * own_shape - ((cross @ inverse) * cross).sum(axis=1)
            wander.append(strength / np.sqrt(span) if smooth == 0.0 else 0.0)
            answers.append((inverse, weight, strength**2 * shape[2], cross @ weight, variance))
    chance = np.exp(np.array(evidence) - max(evidence))
    chance /= chance.sum()
    mean = sum(p * answer[3] for p, answer in zip(chance, answers, strict=True))
    variance = sum(p * (a[4] + (a[3] - mean) ** 2) for p, a in zip(chance, answers, strict=True))
    weight = sum(p * answer[1] for p, answer in zip(chance, answers, strict=True))
    drifted = sum(p * answer[2] @ answer[1] for p, answer in zip(chance, answers, strict=True))
    flat = _design(places_um).T @ weight
    wandered = float(chance @ np.array(wander))
    inverse, likely = answers[int(np.argmax(chance))][:2]  # The inverse holds what all others say (equation 5.12).
    blocks = np.stack([np.linalg.inv(inverse[2 * i : 2 * i + 2, 2 * i : 2 * i + 2]) for i in range(n)])
    left_out = np.einsum("lij,lj->li", blocks, likely.reshape(n, 2))
    return Distortion(
        shift_um=np.asarray(SHIFT_SD_UM**2 * flat[:2]),
        linear=(prior.covariance() @ flat[2:]).reshape(2, 2),
        rows_um=knots,
        drift_um=np.asarray(drifted).reshape(KNOTS, 2),
        # Landmarks are rows high, and do not see the step from one row to the next.
        error_um=float(np.sqrt(max(2.0 * float(np.mean(variance)), 0.0) + 2.0 * wandered**2 * pitch_um)),
        wander_um=wandered,
        predicted_um=displacement_um - left_out,
        predicted_covariance_um2=blocks,
    )


def _design(places_um: F64) -> F64:
    """(2 PLACE, 6): displacement of places per shift y, x and per d yy, d yx, d xy, d xx."""
    out = np.zeros((len(places_um), 2, 6))
    out[:, 0, 0] = out[:, 1, 1] = 1.0
    out[:, 0, 2:4] = out[:, 1, 4:6] = places_um
    return out.reshape(-1, 6)


def _prior(prior: LinearPrior) -> F64:
    out = np.zeros((6, 6))
    out[:2, :2] = SHIFT_SD_UM**2 * np.eye(2)
    out[2:, 2:] = prior.covariance()
    return out


def _linear_part(one_um: F64, other_um: F64, prior: LinearPrior) -> F64:
    """(2 PLACE, 2 LANDMARK) covariance of the displacements of places by shift and linear map."""
    return np.asarray(_design(one_um) @ _prior(prior) @ _design(other_um).T)


def _own_linear(places_um: F64, prior: LinearPrior) -> F64:
    design = _design(places_um)
    return np.asarray(((design @ _prior(prior)) * design).sum(axis=1))


def _kernel(one: F64, other: F64, length: float, span: float, start: float) -> F64:
    """(ONE, OTHER) covariance of a drift of unit strength: squared exponential, or a random walk if ``length`` is 0."""
    if length > 0.0:
        return np.asarray(np.exp(-0.5 * ((one[:, None] - other[None, :]) / length) ** 2))
    a, b = (one[:, None] - start) / span + 0.5, (other[None, :] - start) / span + 0.5
    return np.asarray(np.minimum(np.maximum(a, 0.0), np.maximum(b, 0.0)))


def _own(rows: F64, length: float, span: float, start: float) -> F64:
    if length > 0.0:
        return np.ones(len(rows))
    return np.asarray(np.maximum((rows - start) / span + 0.5, 0.0))
