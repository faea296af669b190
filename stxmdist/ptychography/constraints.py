"""What an object may be held to beside its amplitude: little total variation.

It is off by default: it puts into the object what frames do not say. It helps where light is scarce and the sample has
flat parts, and costs details that are as weak as the noise.

Source: the dual of Chambolle, J. Math. Imaging Vis. 20, 89 (2004), in the accelerated form of Beck and Teboulle, IEEE
Trans. Image Process. 18, 2419 (2009).
"""

from typing import Any

import numpy as np

from stxmdist.arrays import C64, Array, namespace_of

_DUAL_STEPS = 12
"""The object of the last iteration is near: more steps change less than the next iteration does"""


def less_varied(object_: C64, weight: float) -> C64:
    """argmin over u (Y, X) of |u - O|^2 / 2 + weight TV(u), TV the sum of lengths of complex differences.

    Runs in any array library. Steps in amplitude or phase that are large beside ``weight`` stay, smaller ones go.
    """
    xp = namespace_of(object_)
    down, along = xp.zeros_like(object_), xp.zeros_like(object_)
    ahead = (down, along)
    momentum = 1.0
    for _ in range(_DUAL_STEPS):
        slope = _differences(object_ + weight * _divergence(*ahead), xp)
        new = [dual + one / (8.0 * weight) for dual, one in zip(ahead, slope, strict=True)]
        length = xp.maximum(1.0, xp.sqrt(xp.abs(new[0]) ** 2 + xp.abs(new[1]) ** 2))
        new = [dual / length for dual in new]
        following = 0.5 * (1.0 + float(np.sqrt(1.0 + 4.0 * momentum**2)))
        push = (momentum - 1.0) / following
        ahead = (new[0] + push * (new[0] - down), new[1] + push * (new[1] - along))
        (down, along), momentum = new, following
    found: C64 = (object_ + weight * _divergence(down, along)).astype(object_.dtype)
    return found


def _differences(values: Array, xp: Any) -> tuple[Array, Array]:
    down, along = xp.zeros_like(values), xp.zeros_like(values)
    down[:-1] = values[1:] - values[:-1]
    along[:, :-1] = values[:, 1:] - values[:, :-1]
    return down, along


def _divergence(down: Array, along: Array) -> Array:
    # Less the adjoint of the differences.
    found: Array = down + along
    found[1:] -= down[:-1]
    found[:, 1:] -= along[:, :-1]
    return found
