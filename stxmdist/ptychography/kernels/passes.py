"""Whole passes over frames in one compiled loop each, transforms among them: Python takes no part in a frame.

On frames of 128 x 128 its calls would be a twentieth of the time, and lanes that run side by side would wait for one
another's.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from stxmdist.arrays import F32, I64, compiled_from
from stxmdist.ptychography.kernels import modulus, sums, waves
from stxmdist.ptychography.kernels.fourier import Calls
from stxmdist.ptychography.kernels.layout import Buffers, Detector, LaneSums, Light, Windows

BLOCK = 64
"""Positions in a call: an interrupt waits for the end of one"""


@intrinsic  # type: ignore[untyped-decorator]
def _call(_: Any, function: int, direction: int, buffer: int) -> Any:
    # The function at an address, called with three others.
    signature = types.void(types.intp, types.intp, types.intp)

    def build(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer] * 3).as_pointer()
        direction_, buffer_ = (builder.inttoptr(address, pointer) for address in arguments[1:])
        builder.call(builder.inttoptr(arguments[0], kind), [direction_, buffer_, buffer_])
        return context.get_dummy_value()

    return signature, build


@compiled_from(modulus, waves)
def one_by_one(
    calls: Calls, object_: F32, light: Light, windows: Windows, detector: Detector, buffers: Buffers, steps: F32,
    order: I64,
) -> float:  # fmt: skip
    """Object and probe corrected frame after frame, see ``waves.update``; returns the misfit, each taken just before.

    Parameters
    ----------
    order : (n,) positions
    """
    probe, vary, shares = light
    corners, weights, back, moved = windows
    frames, good, background, gain = detector
    psi, shifted, combined, between, lines = buffers
    misfit = 0.0
    for position in order:
        row, column = corners[position]
        wy, wx = weights[position]
        here = probe
        if vary.shape[0] > 0:
            waves.varied(probe, vary, shares[position], combined)
            here = combined
        waves.exit_waves(object_, here, shifted, row, column, wy, wx, moved, between, lines, psi)
        _call(calls.function, calls.forward, calls.buffer)
        misfit += modulus.modulus(psi, frames, good, background, gain, position, False, lines)
        _call(calls.function, calls.backward, calls.buffer)
        by, bx = back[position]
        waves.update(object_, probe, shifted, psi, row, column, by, bx, moved, between, lines, steps)
    return misfit


@compiled_from(modulus, sums, waves)
def gradients(
    calls: Calls, object_: F32, light: Light, windows: Windows, detector: Detector, buffers: Buffers, own: LaneSums,
    kept: F32, beta: float, poisson: bool, positions: I64,
) -> float:  # fmt: skip
    """Add what positions (n,) ask of object and probe to a lane's sums, see ``sums.gradients``; returns their misfit.

    Parameters
    ----------
    kept : (POSITION or 0, MODE, QY, 2 QX) waves that are reflected and kept, see ``sums.keep_projection``
    """
    probe, vary, shares = light
    corners, weights, _, moved = windows
    frames, good, background, gain = detector
    psi, shifted, combined, between, lines = buffers
    numerators, weight, lane, border, brightness, asked = own
    source = shifted if moved else probe
    misfit = 0.0
    for position in positions:
        waves.begin(
            object_, probe, vary, shares, combined, shifted, psi, corners, weights, moved, between, kept, position
        )
        _call(calls.function, calls.forward, calls.buffer)
        misfit += modulus.modulus(psi, frames, good, background, gain, position, poisson, lines)
        _call(calls.function, calls.backward, calls.buffer)
        if kept.shape[0] > 0:
            sums.keep_projection(object_, source, corners, psi, kept, beta, position)
        sums.gradients(
            object_, source, corners, moved, psi, numerators, weight, lane, border, brightness, asked, position
        )
        if moved:
            waves.interpolate_adjoint(psi, weights[position, 0], weights[position, 1], between, asked)
    return misfit
