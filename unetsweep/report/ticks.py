"""Round numbers for the axes of charts."""

import math


def ticks(low: float, high: float) -> list[float]:
    """Return four to eleven round numbers from one at or below `low` to one at or above `high`.

    >>> ticks(0.12, 0.57), ticks(0, 40), ticks(0.5, 0.5)
    ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.0, 10.0, 20.0, 30.0, 40.0], [0.4, 0.45, 0.5, 0.55, 0.6])
    """
    if high - low <= 1e-9 * max(1, abs(low), abs(high)):  # no number on the axis would tell them apart
        around = 0.1 * max(1, abs(low))
        low, high = low - around, high + around
    exponent = math.floor(math.log10((high - low) / 4))
    step = next(10.0**exponent * each for each in (1, 2, 5, 10) if (high - low) / (10.0**exponent * each) <= 6)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(at * step, 12) for at in range(first, last + 1)]
