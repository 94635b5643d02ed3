"""Figures: the front, places within the frame, texts as texts."""

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from foldformer.report.axis import Axis
from foldformer.report.charts import Line, Point, curves, front, heat, key, scatter
from foldformer.report.labels import Box, Place

POINTS = [
    Point(4.0, 10.0, 9.0, 11.0, "dense", 0),
    Point(2.0, 12.0, 11.0, 13.0, "K = 3", 1),
    Point(3.0, 13.0, 12.0, 14.0, "beaten", 2),
    Point(1.0, 30.0, 28.0, 32.0, "<K & 9>", 3),
]


def test_the_front_holds_what_nothing_beats() -> None:
    assert [each.label for each in front(POINTS, True)] == ["<K & 9>", "K = 3", "dense"]
    assert [each.label for each in front(POINTS, False)] == ["<K & 9>"]
    twice = [Point(1.0, 5.0, 5, 5, "a", 0), Point(1.0, 5.0, 5, 5, "b", 1)]
    assert len(front(twice, True)) == 1


def drawn(points: list[Point]) -> ET.Element:
    return ET.fromstring(scatter(points, "MB", "WER %", True)[0])


def boxes(svg: ET.Element) -> dict[str, Box]:
    """The names in a figure, and the room that they take on a phone."""
    named = [each for each in svg.iter("text") if each.get("class", "").startswith("label")]
    return {
        each.text or "": Place(
            float(each.get("x", "")), float(each.get("y", "")), each.get("text-anchor", "")
        ).box(each.text or "")
        for each in named
    }


def taken(svg: ET.Element) -> list[Box]:
    """The intervals and the points in a figure."""
    found = []
    for line, marker in (tuple(group) for group in svg.iter("g")):
        x, top, bottom = (float(line.get(key, "")) for key in ("x1", "y2", "y1"))
        found.append(Box(x, top, x, bottom))
        corners = marker.get("points", "").split() or [f"{x},{marker.get('cy')}"]
        y = sum(float(each.split(",")[1]) for each in corners) / len(corners)
        found.append(Box(x - 4, y - 4, x + 4, y + 4))
    return found


def texts(svg: ET.Element) -> list[str]:
    return [each.text or "" for each in svg.iter("text")]


def test_a_scatter_has_a_marker_an_interval_and_a_name_for_each_point() -> None:
    svg = drawn(POINTS)
    assert {each.label for each in POINTS} <= set(texts(svg))
    groups = [each for each in svg.iter("g") if each.get("class", "").startswith("s")]
    assert len(groups) == len(POINTS)
    width, height = (float(each) for each in svg.get("viewBox", "").split()[2:])
    numbers = [float(each.get(k, "0")) for each in svg.iter() for k in ("x", "x1", "x2", "cx")]
    assert all(0 <= number <= width for number in numbers)
    for each in svg.iter("circle"):
        assert 0 < float(each.get("cy", "-1")) < height
    line = groups[0].find("line")
    assert line is not None
    assert float(line.get("y1", "")) > float(line.get("y2", ""))  # low values are below
    assert "on the front: <K & 9>, K = 3, dense" in svg.get("aria-label", "")


CROWD = [Point(2.0 + n / 100, 10.0 + n / 100, 9.0, 12.0, f"K = 3, R = {n}", n) for n in range(14)]
COMMITTED = [
    Point(19.12, 4.85, 3.84, 5.93, "dense", 0),
    Point(7.61, 5.28, 4.24, 6.39, "K = 3, R = 2", 1),
    Point(10.23, 6.26, 5.09, 7.51, "K = 3, R = 16", 2),
    Point(7.24, 5.72, 4.66, 6.84, "K = 6, R = 16", 3),
    Point(6.25, 6.50, 5.32, 7.71, "K = 9, R = 16", 4),
]
"""As they fell in the paper's table."""


@pytest.mark.parametrize("points", [POINTS, COMMITTED, CROWD])
def test_names_stand_over_nothing_else(points: list[Point]) -> None:
    """What has no room for its name is left to a legend."""
    svg, left = scatter(points, "MB", "WER %", True)
    named = boxes(ET.fromstring(svg))
    assert sorted([*named, *(each.label for each in left)]) == sorted(p.label for p in points)
    others = taken(ET.fromstring(svg))
    for number, box in enumerate(named.values()):
        assert not [each for each in others if box.meets(each)]
        assert not [each for each in list(named.values())[:number] if box.meets(each)]
    if points is not CROWD:  # there is no place of 13 letters between K = 9 and K = 3
        assert {each.label for each in left} <= {"K = 6, R = 16"}


def test_a_series_looks_the_same_in_all_figures() -> None:
    """In colour and shape, its name in its colour, whatever else is drawn."""
    (point,) = drawn(POINTS[2:3]).iter("g")
    line = ET.fromstring(curves([Line("beaten", ((0.0, 1.0), (1.0, 2.0)), 2)], "hours", "WER %"))
    (curve,) = line.iter("g")
    (sign,) = ET.fromstring(key(2)).iter("g")
    assert point.get("class") == "s2"
    assert curve.get("class") == sign.get("class") == "s2 d0"
    shapes = [each[1].get("points", "").count(",") for each in (point, curve, sign)]
    assert shapes == [3, 3, 3]
    (name,) = (each for each in drawn(POINTS[2:3]).iter("text") if each.text == "beaten")
    assert name.get("class") == "label s2"


def test_series_differ_without_their_colours() -> None:
    lines = [Line(f"line {n}", ((0.0, 1.0), (1.0, n)), n) for n in range(10)]
    svg = ET.fromstring(curves(lines, "hours", "WER %"))
    classes = [each.get("class") for each in svg.iter("g")]
    assert len(set(classes)) == 10
    signs = {re.sub(r'class="[^"]*"', "", str(key(number))) for number in (0, 1, 2, 3)}
    assert len(signs) == 4


def test_no_axis_of_what_cannot_be_less_than_0_goes_below() -> None:
    scores = [Point(1.0, 0.1, 0.0, 0.2, "a", 0), Point(2.0, 3.0, 2.5, 3.5, "b", 1)]
    line = Line("p", ((0.0, 0.0), (3.0, 40.0)), 0)
    for svg in (drawn(scores), ET.fromstring(curves([line], "hours", "WER %"))):
        assert not [each for each in texts(svg) if each.startswith("-")]
    assert Axis([0.0, 100.0], (0.0, 10.0))(0.0) == 0.0
    assert Axis([-1.0, 1.0], (0.0, 10.0))(-1.0) > 0.0


@pytest.mark.parametrize("log", [False, True])
@example(low=201.0, ratio=235.0)
@given(
    low=st.floats(1e-2, 1e3),
    ratio=st.one_of(st.floats(1.001, 1.2), st.floats(1.2, 1e3)),
)
def test_ticks_lie_on_the_axis(low: float, ratio: float, log: bool) -> None:
    axis = Axis([low, low * ratio], (0.0, 640.0), log=log)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 7
    places = [axis(tick) for tick in ticks]
    assert places == sorted(places)
    assert min(places) >= 0
    assert max(places) <= 640


@pytest.mark.parametrize("values", [(5.0,), (0.0, 0.0), (1e-3, 1e3)])
def test_any_values_have_places(values: tuple[float, ...]) -> None:
    points = [Point(max(v, 1e-3), v, v, v, f"p{n}", n) for n, v in enumerate(values)]
    drawn(points)
    ET.fromstring(curves([Line("p", tuple((v, v) for v in values), 0)], "hours", "WER %"))


def test_a_logarithmic_line_stands_where_its_values_are() -> None:
    line = Line("p", ((1.0, 100.0), (2.0, 1.0), (3.0, 0.0), (4.0, float("inf"))), 0)
    svg = ET.fromstring(curves([line], "MB", "%", from_zero=False, log=True, here=(2.0, 1.0)))
    (path,) = svg.iter("polyline")
    places = [tuple(map(float, each.split(","))) for each in path.get("points", "").split()]
    assert len(places) == 3, "what is not finite has no place"
    (left, top), (middle, centre), (right, bottom) = places
    assert middle == pytest.approx((left + right) / 2)
    assert centre == pytest.approx((top + bottom) / 2, abs=0.1), "0 stands four decades down"
    here = next(each for each in svg.iter("circle") if each.get("class") == "here")
    assert (float(here.get("cx", "")), float(here.get("cy", ""))) == (middle, centre)
    texts = [each.text for each in svg.iter("text")]
    assert {"100", "10", "1", "0.1", "0.01"} <= set(texts)


@pytest.mark.parametrize("place", [(9.0, 1.0), (1.5, 900.0), (0.1, 5.0), (1.5, 0.01)])
def test_a_place_to_mark_is_inside_wherever_the_lines_are(place: tuple[float, float]) -> None:
    line = Line("p", ((1.0, 10.0), (2.0, 1.0)), 0)
    svg = ET.fromstring(curves([line], "MB", "%", from_zero=False, log=True, here=place))
    here = next(each for each in svg.iter("circle") if each.get("class") == "here")
    assert 68 <= float(here.get("cx", "")) <= 612
    assert 16 <= float(here.get("cy", "")) <= 308


def test_a_heat_map_has_a_shade_for_each_pair() -> None:
    svg = ET.fromstring(heat([[1.0, 0.25], [0.25, 1.0]], "alike"))
    shades = [float(each.get("fill-opacity", "1")) for each in svg.iter("rect")]
    assert shades[:4] == [1.0, 0.25, 0.25, 1.0]
    assert [t.text for t in svg.iter("text") if "value" in (t.get("class") or "")] == [
        "1.00",
        "0.25",
        "0.25",
        "1.00",
    ]


def test_large_values_are_written_out() -> None:
    svg = ET.fromstring(curves([Line("a", ((0.0, 1.0), (2500.0, 2.0)), 0)], "hours", "WER"))
    assert {"0", "1000", "2000"} <= set(texts(svg))
