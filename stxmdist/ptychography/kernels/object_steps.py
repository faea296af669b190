"""The hot loops over object and probe as a whole: where they are to go and by how much, limits, and illumination."""

import numpy as np

from stxmdist.arrays import F32, F64, I32, I64, compiled

_ZERO = np.float32(0.0)


@compiled
def add_lanes(numerators: F32, weights: F32, starts: I64, borders: I64, low: int, high: int) -> float:
    """Add to the sums of lane 0 those that others kept for themselves, rows low to high; returns the largest weight.

    Parameters
    ----------
    numerators, weights : (LANE, Y, 2 X) and (LANE, Y, X)
    starts, borders : (LANE,) rows from and to which each lane kept its own, see ``layout.LaneSums``
    """
    largest = _ZERO
    for row in range(low, high):
        into, onto = numerators[0, row], weights[0, row]
        for lane in range(1, numerators.shape[0]):
            if row < starts[lane] or row >= borders[lane]:
                continue
            more, heavier = numerators[lane, row], weights[lane, row]
            for k in range(into.shape[0]):
                into[k] += more[k]
            for k in range(onto.shape[0]):
                onto[k] += heavier[k]
        for k in range(onto.shape[0]):
            largest = max(largest, onto[k])
    return float(largest)


@compiled
def object_direction(numerator: F32, weight: F32, floor: float, low: int, high: int, direction: F32, sums: F64) -> None:
    """Direction n / (w + floor) on rows low to high; adds <direction, n> and <direction, w direction> to ``sums``."""
    for row in range(low, high):
        top, bottom, out = numerator[row], weight[row], direction[row]
        right, own = _ZERO, _ZERO
        for k in range(bottom.shape[0]):
            a, b = top[2 * k], top[2 * k + 1]
            inverse = np.float32(1.0) / (bottom[k] + np.float32(floor))
            square = (a * a + b * b) * inverse
            right += square
            own += square * bottom[k] * inverse
            out[2 * k] = a * inverse
            out[2 * k + 1] = b * inverse
        sums[0] += float(right)
        sums[1] += float(own)


@compiled
def probe_direction(asked: F32, brightness: F32, floor: float, direction: F32) -> None:
    """Direction n / (sum |O|^2 + floor) of the probe, written inside the margins.

    Parameters
    ----------
    asked, direction : (MODE, QY + 2 PAD_ROWS, 2 (QX + 2 PAD)) ; brightness : (QY, QX)
    """
    rows, columns = brightness.shape
    top, left = (asked.shape[1] - rows) // 2, asked.shape[2] // 2 - columns
    for mode in range(asked.shape[0]):
        for row in range(rows):
            bright = brightness[row]
            here = asked[mode, top + row, left : left + 2 * columns]
            ahead = direction[mode, top + row, left : left + 2 * columns]
            for k in range(columns):
                inverse = np.float32(1.0) / (bright[k] + np.float32(floor))
                ahead[2 * k] = here[2 * k] * inverse
                ahead[2 * k + 1] = here[2 * k + 1] * inverse


@compiled
def brightest(probe: F32) -> float:
    """Largest sum over modes of |P|^2, of a probe (MODE, ...) as pairs of floats."""
    largest = _ZERO
    for row in range(probe.shape[1]):
        for k in range(probe.shape[2] // 2):
            power = _ZERO
            for mode in range(probe.shape[0]):
                a, b = probe[mode, row, 2 * k], probe[mode, row, 2 * k + 1]
                power += a * a + b * b
            largest = max(largest, power)
    return float(largest)


@compiled
def weighted_power(probe: F32, brightness: F32) -> float:
    """Sum over modes and pixels of |P|^2 sum |O|^2, arrays as in :func:`probe_direction`."""
    rows, columns = brightness.shape
    top, left = (probe.shape[1] - rows) // 2, probe.shape[2] // 2 - columns
    total = 0.0
    for mode in range(probe.shape[0]):
        for row in range(rows):
            bright, here = brightness[row], probe[mode, top + row, left : left + 2 * columns]
            sum_ = _ZERO
            for k in range(columns):
                sum_ += bright[k] * (here[2 * k] * here[2 * k] + here[2 * k + 1] * here[2 * k + 1])
            total += float(sum_)
    return total


@compiled
def move_object(values: F32, run: F32, direction: F32, momentum: float, step: float, low: int, high: int) -> None:
    """Momentum: run <- momentum run + step direction, values <- values + run, rows low to high of (Y, 2 X)."""
    share, length = np.float32(momentum), np.float32(step)
    for row in range(low, high):
        here, going, ahead = values[row], run[row], direction[row]
        for k in range(here.shape[0]):
            going[k] = share * going[k] + length * ahead[k]
            here[k] += going[k]


@compiled
def clip_amplitude(object_: F32, limit: float) -> int:
    """Bring amplitudes of (Y, 2 X) above the limit down to it, phases kept, in place; returns how many there were."""
    count = 0
    square = np.float32(limit * limit)
    for row in range(object_.shape[0]):
        for k in range(object_.shape[1] // 2):
            a, b = object_[row, 2 * k], object_[row, 2 * k + 1]
            intensity = a * a + b * b
            if intensity > square:
                factor = np.float32(limit) / np.sqrt(intensity)
                object_[row, 2 * k] = a * factor
                object_[row, 2 * k + 1] = b * factor
                count += 1
    return count


@compiled
def add_illumination(power: F32, corners: I32, illumination: F32) -> None:
    """Add the probe's power (QY, QX), once per position and on whole pixels, to the object's grid (Y, X)."""
    rows, columns = power.shape
    for position in range(corners.shape[0]):
        row0, column0 = corners[position]
        for row in range(rows):
            target = illumination[row0 + row, column0 : column0 + columns]
            for k in range(columns):
                target[k] += power[row, k]
