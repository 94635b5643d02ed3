"""Figures as inline SVG: scores against bytes, training curves, a matrix of similarities.

Colours come from the page's style, by the classes `s0` to `s7`; shapes and dashes tell the series
apart without them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

from markupsafe import Markup, escape

from foldformer.report.axis import Axis

SERIES = 8
"""Series that the style has colours for; further ones take them again, with another dash."""

_MOST_WRITTEN = 9  # rows of a matrix whose numbers have room

_WIDTH, _HEIGHT = 640.0, 360.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 68.0, 28.0, 16.0, 52.0


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


class _Labels:
    """Names beside points, none over another one, over a point or over an interval.

    Args:
        places: of the points.
        bars: (x, top, bottom) of their intervals.
    """

    _LETTER, _LINE = 11.5, 19.0  # about the size of a letter, as large as on a phone
    _POINT = 6.0
    _FAR = 50.0  # from its point, a name is taken for another one's

    def __init__(
        self,
        places: Sequence[tuple[float, float]],
        bars: Sequence[tuple[float, float, float]] = (),
    ) -> None:
        around = self._POINT
        # A letter stands on its line, a point in the middle of its place.
        self._taken = [(x - around, x + around, y + around) for x, y in places]
        self._bars = bars

    def beside(self, x: float, y: float, label: str) -> Markup:
        """The label of the point (x, y): above it, or as near as there is room."""
        length = self._LETTER * len(label)
        sides = [x + 9] if x + 9 + length < _WIDTH else []
        sides += [x - 9 - length] if x - 9 - length > _LEFT or not sides else []
        tries = [-6 + sign * step * self._LINE / 2 for step in range(60) for sign in (1, -1)]
        places = [(left, y + each) for each in tries for left in sides]
        free = [each for each in places if self._is_free(*each, length)]
        clear = (
            each
            for each in free
            if abs(each[1] - y) < self._FAR and not self._is_crossed(*each, length)
        )
        # Over an interval where nothing else is near, and beside its point at worst.
        left, height = next(clear, free[0] if free else (sides[0], y - 6))
        right = left > x
        self._taken.append((left, left + length, height))
        return Markup('<text class="label" x="{}" y="{}"{}>{}</text>').format(
            round(x + 9 if right else x - 9, 1),
            round(height, 1),
            Markup("") if right else Markup(' text-anchor="end"'),
            label,
        )

    def _is_crossed(self, left: float, height: float, length: float) -> bool:
        return any(
            left < x < left + length and top < height + 4 and height - self._LINE < bottom
            for x, top, bottom in self._bars
        )

    def _is_free(self, left: float, height: float, length: float) -> bool:
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
    across = Axis([each.x for each in points], (_LEFT, _WIDTH - _RIGHT), log=True)
    ends = [end for each in points for end in (each.low, each.high, each.y)]
    up = Axis(ends, (_HEIGHT - _BOTTOM, _TOP))
    best = front(points, lower_is_better)
    parts = [_frame(across, up, x, y)]
    path = " ".join(f"{across(each.x)},{up(each.y)}" for each in best)
    parts.append(Markup('<polyline class="front" points="{}"/>').format(path))
    labels = _Labels(
        [(across(each.x), up(each.y)) for each in points],
        [(across(each.x), up(each.high), up(each.low)) for each in points],
    )
    for number, each in enumerate(points):
        place, height = across(each.x), up(each.y)
        parts.append(
            Markup('<g class="s{}"><line x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
                number % SERIES, place, up(each.low), place, up(each.high)
            )
        )
        parts.append(_marker(number, place, height, each in best))
        parts.append(Markup("</g>"))
    # On top of all intervals, so that the ground around their letters is seen.
    parts += [labels.beside(across(each.x), up(each.y), each.label) for each in points]
    said = f"{y} against {x}; on the front: {', '.join(each.label for each in best)}"
    return _svg(parts, said)


def curves(
    lines: Sequence[Line],
    x: str,
    y: str,
    *,
    from_zero: bool = True,
    log: bool = False,
    here: tuple[float, float] | None = None,
) -> Markup:
    """A line for each series, with the sign of the series at its end.

    Args:
        lines: one or more; points that are not finite are left out.
        x: title of the axis across.
        y: title of the upright axis.
        from_zero: whether the axis across begins at 0.
        log: whether the upright axis is logarithmic.
        here: (x, y) of a place to mark.
    """
    drawn = [
        replace(each, points=tuple(p for p in each.points if isfinite(p[1]))) for each in lines
    ]
    points = [point for each in drawn for point in each.points]
    points += [] if here is None else [here]
    across = Axis([0.0] * from_zero + [a for a, _ in points], (_LEFT, _WIDTH - _RIGHT))
    up = Axis([b for _, b in points], (_HEIGHT - _BOTTOM, _TOP), log)
    parts = [_frame(across, up, x, y)]
    for number, each in enumerate(drawn):
        path = " ".join(f"{across(a)},{up(b)}" for a, b in each.points)
        parts.append(
            Markup('<g class="s{} d{}"><polyline points="{}"/>').format(
                number % SERIES, number // SERIES % 3, path
            )
        )
        parts += [_marker(number, across(a), up(b), False) for a, b in each.points[-1:]]
        parts.append(Markup("</g>"))
    if here is not None:
        place = across(here[0]), up(here[1])
        parts.append(Markup('<circle class="here" cx="{}" cy="{}" r="7"/>').format(*place))
    return _svg(parts, f"{y} against {x}, of {', '.join(each.label for each in lines)}")


def key(number: int) -> Markup:
    """The sign of a series for a legend."""
    return Markup(
        '<svg class="key" viewBox="0 0 28 14" aria-hidden="true"><g class="s{} d{}">'
        '<polyline points="1,7 27,7"/>{}</g></svg>'
    ).format(number % SERIES, number // SERIES % 3, _marker(number, 14, 7, False))


def heat(rows: Sequence[Sequence[float]], said: str) -> Markup:
    """A square matrix of numbers from 0 to 1 as shades; layer 0 on top and at the left.

    The numbers stand in the shades where there is room for them, and in their titles always.
    """
    size = len(rows)
    cell = 320.0 / max(size, 1)
    parts = []
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            shade = round(min(max(value, 0.0), 1.0), 3)
            x, y = 28 + j * cell, 4 + i * cell
            parts.append(
                Markup(
                    '<rect class="shade" x="{}" y="{}" width="{}" height="{}" fill-opacity="{}">'
                    "<title>layers {} and {}: {}</title></rect>"
                ).format(*(round(e, 2) for e in (x, y, cell, cell)), shade, i, j, f"{value:.2f}")
            )
            if size <= _MOST_WRITTEN:
                parts.append(
                    Markup(
                        '<text class="value{}" x="{}" y="{}" text-anchor="middle">{}</text>'
                    ).format(
                        " on" if shade > 0.55 else "",
                        round(x + cell / 2, 1),
                        round(y + cell / 2 + 4, 1),
                        f"{value:.2f}",
                    )
                )
    for number in range(size) if size <= _MOST_WRITTEN else {0, size - 1}:
        middle = round((number + 0.5) * cell, 1)
        parts.append(
            Markup('<text x="24" y="{}" text-anchor="end">{}</text>').format(middle + 8, number)
        )
        parts.append(
            Markup('<text x="{}" y="340" text-anchor="middle">{}</text>').format(
                middle + 28, number
            )
        )
    parts.append(Markup('<rect class="frame" x="28" y="4" width="320" height="320"/>'))
    return _svg(parts, said, 352, 348)


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


def _frame(across: Axis, up: Axis, x: str, y: str) -> Markup:
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
                across(value), bottom + 18, f"{float(f'{value:.3g}'):g}"
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
