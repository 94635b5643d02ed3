"""Figures as inline SVG: scores against bytes, training curves, a matrix of similarities.

Colours come from the page's style, by the classes `s0` to `s7`; shapes and dashes tell the series
apart without them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

SERIES = 8
"""Series that the style has colours for; further ones take them again, with another dash."""

_WIDTH, _HEIGHT = 640.0, 360.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 68.0, 16.0, 16.0, 52.0


@dataclass(frozen=True)
class Point:
    """A labelled point; `low` and `high` are the ends of the interval of `y`."""

    x: float
    y: float
    low: float
    high: float
    label: str


@dataclass(frozen=True)
class Line:
    """A named series of points (x, y)."""

    label: str
    points: tuple[tuple[float, float], ...]


class _Axis:
    """From values to places between two ends, linear or logarithmic."""

    def __init__(
        self, values: Sequence[float], ends: tuple[float, float], log: bool = False
    ) -> None:
        self._log = log
        low, high = min(map(self._on, values)), max(map(self._on, values))
        room = 0.06 * (high - low) or 0.5
        self._low, self._high = low - room, high + room
        self._ends = ends

    def _on(self, value: float) -> float:
        return math.log2(max(value, 1e-9)) if self._log else value

    def __call__(self, value: float) -> float:
        first, last = self._ends
        share = (self._on(value) - self._low) / (self._high - self._low)
        return round(first + share * (last - first), 1)

    def ticks(self) -> list[float]:
        """Round values inside, about five."""
        if self._log:
            powers = range(math.floor(self._low), math.ceil(self._high))
            low, high = 2**self._low, 2**self._high
            for steps in ((1.0,), (1.0, 1.5), (1.0, 1.25, 1.5, 1.75)):
                found = [2.0**power * step for power in powers for step in steps]
                found = [each for each in found if low <= each <= high]
                if len(found) >= 3:
                    return found
            return [low * 1.05, high / 1.05]
        span = self._high - self._low
        step = 10 ** math.floor(math.log10(span / 4))
        step = next(step * factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 5.5)
        first = math.ceil(self._low / step)
        return [number * step for number in range(first, math.floor(self._high / step) + 1)]


class _Labels:
    """Names beside points, none over another one or over a point.

    Args:
        places: of the points.
    """

    _LETTER, _LINE = 9.5, 19.0  # about the size of a letter, as large as on a phone
    _POINT = 6.0

    def __init__(self, places: Sequence[tuple[float, float]]) -> None:
        around = self._POINT
        # A letter stands on its line, a point in the middle of its place.
        self._taken = [(x - around, x + around, y + around) for x, y in places]

    def beside(self, x: float, y: float, label: str) -> Markup:
        """The label of the point (x, y): above it, or as near as there is room."""
        length = self._LETTER * len(label)
        right = x + 9 + length < _WIDTH
        left = x + 9 if right else x - 9 - length
        tries = (-6 + side * step * self._LINE / 2 for step in range(60) for side in (1, -1))
        places = (y + each for each in tries)
        height = next((each for each in places if self._is_free(left, length, each)), y - 6)
        self._taken.append((left, left + length, height))
        return Markup('<text class="label" x="{}" y="{}"{}>{}</text>').format(
            round(x + 9 if right else x - 9, 1),
            round(height, 1),
            Markup("") if right else Markup(' text-anchor="end"'),
            label,
        )

    def _is_free(self, left: float, length: float, height: float) -> bool:
        inside = self._LINE <= height <= _HEIGHT - _BOTTOM
        return inside and not any(
            left < end and begin < left + length and abs(height - other) < self._LINE - 0.1
            for begin, end, other in self._taken
        )


def front(points: Sequence[Point], lower_is_better: bool) -> list[Point]:
    """The points that no other one beats in both bytes and score, by rising bytes."""
    sign = 1 if lower_is_better else -1
    kept: list[Point] = []
    for point in sorted(points, key=lambda each: (each.x, sign * each.y)):
        if not kept or sign * point.y < sign * kept[-1].y:
            kept.append(point)
    return kept


def scatter(points: Sequence[Point], x: str, y: str, lower_is_better: bool) -> Markup:
    """Scores against sizes, with their intervals, and the front of those that nothing beats.

    Args:
        points: one for each cell.
        x: title of the axis of sizes.
        y: title of the axis of scores.
        lower_is_better: as of errors.
    """
    across = _Axis([each.x for each in points], (_LEFT, _WIDTH - _RIGHT), log=True)
    ends = [end for each in points for end in (each.low, each.high, each.y)]
    up = _Axis(ends, (_HEIGHT - _BOTTOM, _TOP))
    best = front(points, lower_is_better)
    parts = [_frame(across, up, x, y)]
    path = " ".join(f"{across(each.x)},{up(each.y)}" for each in best)
    parts.append(Markup('<polyline class="front" points="{}"/>').format(path))
    labels = _Labels([(across(each.x), up(each.y)) for each in points])
    for number, each in enumerate(points):
        place, height = across(each.x), up(each.y)
        parts.append(
            Markup('<g class="s{}"><line x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
                number % SERIES, place, up(each.low), place, up(each.high)
            )
        )
        parts.append(_marker(number, place, height, each in best))
        parts.append(labels.beside(place, height, each.label))
        parts.append(Markup("</g>"))
    said = f"{y} against {x}; on the front: {', '.join(each.label for each in best)}"
    return _svg(parts, said)


def curves(lines: Sequence[Line], x: str, y: str) -> Markup:
    """Scores in the course of training, a line for each series."""
    across = _Axis([0.0, *(a for each in lines for a, _ in each.points)], (_LEFT, _WIDTH - _RIGHT))
    up = _Axis([b for each in lines for _, b in each.points], (_HEIGHT - _BOTTOM, _TOP))
    parts = [_frame(across, up, x, y)]
    for number, each in enumerate(lines):
        path = " ".join(f"{across(a)},{up(b)}" for a, b in each.points)
        parts.append(
            Markup('<g class="s{} d{}"><polyline points="{}"/>').format(
                number % SERIES, number // SERIES % 3, path
            )
        )
        parts += [_marker(number, across(a), up(b), False) for a, b in each.points[-1:]]
        parts.append(Markup("</g>"))
    said = f"{y} in the course of training, of {', '.join(each.label for each in lines)}"
    return _svg(parts, said)


def key(number: int) -> Markup:
    """The sign of a series for a legend."""
    return Markup(
        '<svg class="key" viewBox="0 0 28 14" aria-hidden="true"><g class="s{} d{}">'
        '<polyline points="1,7 27,7"/>{}</g></svg>'
    ).format(number % SERIES, number // SERIES % 3, _marker(number, 14, 7, False))


def heat(rows: Sequence[Sequence[float]], said: str) -> Markup:
    """A square matrix of numbers from 0 to 1 as shades; first row on top."""
    size = len(rows)
    cell = 320.0 / max(size, 1)
    parts = [
        Markup(
            '<rect class="shade" x="{}" y="{}" width="{}" height="{}" fill-opacity="{}">'
            "<title>layers {} and {}: {}</title></rect>"
        ).format(
            *(round(each, 2) for each in (24 + j * cell, 4 + i * cell, cell, cell)),
            round(min(max(value, 0.0), 1.0), 3),
            i + 1,
            j + 1,
            f"{value:.2f}",
        )
        for i, row in enumerate(rows)
        for j, value in enumerate(row)
    ]
    for number in {1, size}:
        middle = (number - 0.5) * cell
        parts.append(
            Markup('<text x="20" y="{}" text-anchor="end">{}</text>').format(middle + 8, number)
        )
        parts.append(
            Markup('<text x="{}" y="340" text-anchor="middle">{}</text>').format(
                middle + 24, number
            )
        )
    return _svg(parts, said, 348, 348)


def _marker(number: int, x: float, y: float, filled: bool) -> Markup:
    """Circle, square, triangle, diamond: the shape of a series."""
    kind = Markup(' class="best"') if filled else Markup("")
    shape = number % 4
    if shape == 0:
        return Markup('<circle{} cx="{}" cy="{}" r="4.5"/>').format(kind, x, y)
    corners = {
        1: ((-4, -4), (4, -4), (4, 4), (-4, 4)),
        2: ((0, -5), (5, 4), (-5, 4)),
        3: ((0, -6), (6, 0), (0, 6), (-6, 0)),
    }[shape]
    points = " ".join(f"{round(x + a, 1)},{round(y + b, 1)}" for a, b in corners)
    return Markup('<polygon{} points="{}"/>').format(kind, points)


def _frame(across: _Axis, up: _Axis, x: str, y: str) -> Markup:
    """Axes, their ticks and titles."""
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for value in up.ticks():
        height = up(value)
        parts.append(
            Markup(
                '<line class="grid" x1="{}" y1="{}" x2="{}" y2="{}"/>'
                '<text x="{}" y="{}" text-anchor="end">{}</text>'
            ).format(_LEFT, height, right, height, _LEFT - 6, height + 4, f"{value:g}")
        )
    for value in across.ticks():
        parts.append(
            Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
                across(value), bottom + 18, f"{value:.3g}"
            )
        )
    parts.append(
        Markup(
            '<line class="axis" x1="{}" y1="{}" x2="{}" y2="{}"/>'
            '<text x="{}" y="{}" text-anchor="middle">{}</text>'
            '<text x="{}" y="{}" transform="rotate(-90 18 {})" text-anchor="middle">{}</text>'
        ).format(
            *(_LEFT, bottom, right, bottom),
            *((_LEFT + right) / 2, _HEIGHT - 8, x),
            *(18, (bottom + _TOP) / 2, (bottom + _TOP) / 2, y),
        )
    )
    return Markup("").join(parts)


def _svg(
    parts: Sequence[Markup], said: str, width: float = _WIDTH, height: float = _HEIGHT
) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        f"{width:g}", f"{height:g}", escape(said), Markup("\n").join(parts)
    )
