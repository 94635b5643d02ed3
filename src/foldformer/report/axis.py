"""The axis of a figure: from values to places, and the round values that are written at it."""

import math
from collections.abc import Sequence

_DECADES = 4  # of a logarithmic axis, below its largest value; what is less stands at its end


class Axis:
    """From values to places between two ends, linear or logarithmic.

    Args:
        values: that must have a place, one or more.
        ends: places of the least value and of the largest, but for some room beside them.
        log: whether equal steps are equal factors; 0 then stands at the end, as all does that is
            less than 1 / 10,000 of the largest value.
    """

    def __init__(
        self, values: Sequence[float], ends: tuple[float, float], log: bool = False
    ) -> None:
        self._log = log
        self._least = (max(values) or 1.0) / 10.0**_DECADES
        low, high = min(map(self._on, values)), max(map(self._on, values))
        room = 0.06 * (high - low) or 0.5
        self._low, self._high = low - room, high + room
        if not log and low >= 0:  # of figures that cannot be less
            self._low = max(self._low, 0.0)
        self._ends = ends

    def _on(self, value: float) -> float:
        return math.log2(max(value, self._least)) if self._log else value

    def __call__(self, value: float) -> float:
        """The place of a value, to a tenth."""
        first, last = self._ends
        share = (self._on(value) - self._low) / (self._high - self._low)
        return round(first + share * (last - first), 1)

    def ticks(self) -> list[float]:
        """Round values inside, about five."""
        if self._log:
            return _factors(2**self._low, 2**self._high)
        return _multiples(self._low, self._high)


def _multiples(low: float, high: float) -> list[float]:
    span = high - low
    step = 10 ** math.floor(math.log10(span / 4))
    step = next(step * factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 5.5)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _factors(low: float, high: float) -> list[float]:
    """Powers of 10, 4 or 2, or parts of them; where those are too few, multiples of a step."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    decades = [10.0**power for power in powers if low <= 10.0**power <= high]
    if len(decades) >= 3:
        return decades
    powers = range(math.floor(math.log2(low)), math.ceil(math.log2(high)))
    quarters = (1.0, 1.25, 1.5, 1.75)
    for apart, steps in ((2, (1.0,)), (1, (1.0,)), (1, (1.0, 1.5)), (1, quarters)):
        found = [2.0**power * step for power in powers if power % apart == 0 for step in steps]
        found = [each for each in found if low <= each <= high]
        if len(found) >= 3:
            return found
    return _multiples(low, high)
