"""Lines over a logarithmic axis, as places in a drawing 360 wide and 220 high."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LEFT, RIGHT, TOP, BOTTOM = 44.0, 350.0, 10.0, 190.0
"""Where the axes are."""

_DECADES = 4  # below the largest value; what is smaller is drawn at the bottom


@dataclass(frozen=True)
class Chart:
    """What a template draws.

    Attributes:
        lines: {name: points of a polyline}.
        rows: (y, label) of the marks of the upright axis.
        columns: (x, label) of those of the other.
        mark: (x, y) of a place of its own, or None.
    """

    lines: Mapping[str, str]
    rows: Sequence[tuple[float, str]]
    columns: Sequence[tuple[float, str]]
    mark: tuple[float, float] | None


def chart(
    series: Mapping[str, Sequence[tuple[float, float]]],
    mark: tuple[float, float] | None = None,
) -> Chart:
    """Lines of values in parts of 1, shown in percent.

    Args:
        series: {name: (x, value)}; what is not finite is left out.
        mark: another (x, value).
    """
    kept = {name: [(x, y) for x, y in line if math.isfinite(y)] for name, line in series.items()}
    points = [point for line in kept.values() for point in line]
    low, high = min(x for x, _ in points), max(x for x, _ in points)
    values = [y for _, y in points if y > 0] or [1.0]
    top = math.ceil(math.log10(max(values)) - 1e-9)
    bottom = max(math.floor(math.log10(min(values)) + 1e-9), top - _DECADES)
    bottom = min(bottom, top - 1)

    def across(x: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * (x - low) / ((high - low) or 1), 1)

    def down(y: float) -> float:
        exponent = math.log10(y) if y > 0 else bottom
        part = (max(exponent, bottom) - bottom) / (top - bottom)
        return round(BOTTOM - (BOTTOM - TOP) * part, 1)

    return Chart(
        lines={
            name: " ".join(f"{across(x)},{down(y)}" for x, y in line)
            for name, line in kept.items()
            if line
        },
        rows=[(down(10.0**e), f"{100 * 10.0**e:g} %") for e in range(bottom, top + 1)],
        columns=[(across(x), f"{x:g}") for x in _round_numbers(low, high)],
        mark=None if mark is None else (across(mark[0]), down(mark[1])),
    )


def _round_numbers(low: float, high: float) -> list[float]:
    """Three to six round numbers of a span."""
    step = 10.0 ** math.floor(math.log10((high - low) / 3 or 1))
    step *= next((f for f in (5, 2) if (high - low) / (f * step) >= 3), 1)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]
