"""Figures as inline SVG: scores against bytes, training curves, a matrix of similarities.

Colours come from the page's style, by the classes `s0` to `s7`; shapes and dashes tell the series
apart without them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

from markupsafe import Markup, escape

from foldformer.report.axis import Axis
from foldformer.report.labels import Box, Labels

SERIES = 8
"""Series that the style has colours for; further ones take them again, with another dash."""

_MOST_WRITTEN = 9  # rows of a matrix whose numbers have room

_WIDTH, _HEIGHT = 640.0, 360.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 68.0, 28.0, 16.0, 52.0


@dataclass(frozen=True)
class Point:
    """A labelled point of a series; `low` and `high` are the ends of the interval of `y`."""

    x: float
    y: float
    low: float
    high: float
    label: str
    series: int


@dataclass(frozen=True)
class Line:
    """A named series of points (x, y)."""

    label: str
    points: tuple[tuple[float, float], ...]
    series: int


def front(points: Sequence[Point], lower_is_better: bool) -> list[Point]:
    """The points that no other one beats in both bytes and score, by rising bytes."""
    sign = 1 if lower_is_better else -1
    kept: list[Point] = []
    for point in sorted(points, key=lambda each: (each.x, sign * each.y)):
        if not kept or sign * point.y < sign * kept[-1].y:
            kept.append(point)
    return kept


def scatter(
    points: Sequence[Point], x: str, y: str, lower_is_better: bool
) -> tuple[Markup, list[Point]]:
    """Scores against sizes, with their intervals, and the front of those that nothing beats.

    With the figure come the points for whose names it has no room, for a legend.

    Args:
        points: one for each cell.
        x: title of the axis of sizes.
        y: title of the axis of scores.
        lower_is_better: as of errors.
    """
    across = Axis([each.x for each in points], (_LEFT, _WIDTH - _RIGHT), log=True)
    values = [value for each in points for value in (each.low, each.high, each.y)]
    up = Axis(values, (_HEIGHT - _BOTTOM, _TOP))
    best = front(points, lower_is_better)
    parts = [_frame(across, up, x, y)]
    corners = [(across(each.x), up(each.y)) for each in best]
    path = " ".join(f"{a},{b}" for a, b in corners)
    parts.append(Markup('<polyline class="front" points="{}"/>').format(path))
    drawn = [(each, across(each.x), up(each.y), (up(each.high), up(each.low))) for each in points]
    for each, place, height, (top, bottom) in drawn:
        parts.append(
            Markup('<g class="s{}"><line x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
                each.series % SERIES, place, bottom, place, top
            )
        )
        parts.append(_marker(each.series, place, height, each in best))
        parts.append(Markup("</g>"))
    taken = [Box(place - 6, height - 6, place + 6, height + 6) for _, place, height, _ in drawn]
    taken += [Box(place - 1, top, place + 1, bottom) for _, place, _, (top, bottom) in drawn]
    labels = Labels(Box(_LEFT, 0.0, _WIDTH, _HEIGHT - _BOTTOM), taken, corners)
    unnamed = []
    for each, place, height, ends in drawn:
        found = labels.beside(place, height, ends, each.label)
        if found is None:
            unnamed.append(each)
            continue
        # On top of all intervals, so that the ground around its letters is seen.
        parts.append(
            Markup('<text class="label s{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
                each.series % SERIES, round(found.x, 1), round(found.y, 1), found.anchor, each.label
            )
        )
    said = f"{y} against {x}; on the front: {', '.join(each.label for each in best)}"
    return _svg(parts, said), unnamed


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
    for each in drawn:
        path = " ".join(f"{across(a)},{up(b)}" for a, b in each.points)
        parts.append(
            Markup('<g class="s{} d{}"><polyline points="{}"/>').format(
                each.series % SERIES, each.series // SERIES % 3, path
            )
        )
        parts += [_marker(each.series, across(a), up(b), False) for a, b in each.points[-1:]]
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
    shape = (number + number // SERIES) % 4  # another one where colours come again
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
