"""Figures: the front, places within the frame, texts as texts."""

import re
import xml.etree.ElementTree as ET

import pytest

from foldformer.report.axis import Axis
from foldformer.report.charts import Line, Point, curves, front, heat, key, scatter

POINTS = [
    Point(4.0, 10.0, 9.0, 11.0, "dense"),
    Point(2.0, 12.0, 11.0, 13.0, "K = 3"),
    Point(3.0, 13.0, 12.0, 14.0, "beaten"),
    Point(1.0, 30.0, 28.0, 32.0, "<K & 9>"),
]


def test_the_front_holds_what_nothing_beats() -> None:
    assert [each.label for each in front(POINTS, True)] == ["<K & 9>", "K = 3", "dense"]
    assert [each.label for each in front(POINTS, False)] == ["<K & 9>"]
    twice = [Point(1.0, 5.0, 5, 5, "a"), Point(1.0, 5.0, 5, 5, "b")]
    assert len(front(twice, True)) == 1


def texts(svg: ET.Element) -> list[str]:
    return [each.text or "" for each in svg.iter("text")]


def test_a_scatter_has_a_marker_an_interval_and_a_name_for_each_point() -> None:
    svg = ET.fromstring(scatter(POINTS, "MB", "WER %", True))
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


def test_names_do_not_stand_over_each_other() -> None:
    crowd = [Point(2.0 + n / 100, 10.0 + n / 100, 9.0, 12.0, f"K = 3, R = {n}") for n in range(14)]
    svg = ET.fromstring(scatter(crowd, "MB", "WER %", True))
    named = [each for each in svg.iter("text") if each.get("class") == "label"]
    assert len(named) == len(crowd)
    spans = []
    for each in named:
        left, length = float(each.get("x", "")), 6 * len(each.text or "")
        if each.get("text-anchor") == "end":
            left -= length
        spans.append((left, left + length, float(each.get("y", ""))))
    for number, (left, right, height) in enumerate(spans):
        assert 0 < height < 360
        for begin, end, other in spans[:number]:
            assert end < left or right < begin or abs(height - other) > 12


def test_names_stand_over_no_interval_but_near_their_points() -> None:
    """As they fall in the paper's table: there is no place for K = 6 that is both."""
    points = [
        Point(6.25, 6.50, 5.32, 7.71, "K = 9, R = 16"),
        Point(7.24, 5.72, 4.66, 6.84, "K = 6, R = 16"),
        Point(7.61, 5.28, 4.24, 6.39, "K = 3, R = 2"),
        Point(10.23, 6.26, 5.09, 7.51, "K = 3, R = 16"),
        Point(19.12, 4.85, 3.84, 5.93, "dense"),
    ]
    svg = ET.fromstring(scatter(points, "MB", "WER %", True))
    groups = [each for each in svg.iter("g") if each.find("line") is not None]
    bars = [
        tuple(float(line.get(key, "")) for key in ("x1", "y2", "y1"))
        for line in (group.find("line") for group in groups)
        if line is not None
    ]
    assert len(bars) == len(points)
    crossing = []
    names = [text for text in svg.iter("text") if text.get("class") == "label"]
    for each, group in zip(names, groups, strict=True):
        left, length = float(each.get("x", "")), 7 * len(each.text or "")
        left -= length if each.get("text-anchor") == "end" else 0
        height = float(each.get("y", ""))
        crossing += [
            each.text
            for x, top, bottom in bars
            if left < x < left + length and top < height and height - 12 < bottom
        ]
        marker = group[1]
        point = marker.get("cy") or marker.get("points", "").split(",")[1].split()[0]
        assert abs(height - float(point)) < 60
    assert crossing == ["K = 6, R = 16"]


def test_series_differ_without_their_colours() -> None:
    lines = [Line(f"line {n}", ((0.0, 1.0), (1.0, n))) for n in range(10)]
    svg = ET.fromstring(curves(lines, "hours", "WER %"))
    classes = [each.get("class") for each in svg.iter("g")]
    assert len(set(classes)) == 10
    signs = {re.sub(r'class="[^"]*"', "", str(key(number))) for number in range(4)}
    assert len(signs) == 4


def test_no_axis_of_what_cannot_be_less_than_0_goes_below() -> None:
    scores = [Point(1.0, 0.1, 0.0, 0.2, "a"), Point(2.0, 3.0, 2.5, 3.5, "b")]
    line = Line("p", ((0.0, 0.0), (3.0, 40.0)))
    for drawn in (scatter(scores, "MB", "WER %", True), curves([line], "hours", "WER %")):
        assert not [each for each in texts(ET.fromstring(drawn)) if each.startswith("-")]
    assert Axis([0.0, 100.0], (0.0, 10.0))(0.0) == 0.0
    assert Axis([-1.0, 1.0], (0.0, 10.0))(-1.0) > 0.0


@pytest.mark.parametrize("values", [(5.0,), (0.0, 0.0), (1e-3, 1e3)])
def test_any_values_have_places(values: tuple[float, ...]) -> None:
    points = [Point(max(v, 1e-3), v, v, v, "p") for v in values]
    ET.fromstring(scatter(points, "MB", "WER %", True))
    ET.fromstring(curves([Line("p", tuple((v, v) for v in values))], "hours", "WER %"))


def test_a_logarithmic_line_stands_where_its_values_are() -> None:
    line = Line("p", ((1.0, 100.0), (2.0, 1.0), (3.0, 0.0), (4.0, float("inf"))))
    svg = ET.fromstring(curves([line], "MB", "%", from_zero=False, log=True, here=(2.0, 1.0)))
    (drawn,) = svg.iter("polyline")
    places = [tuple(map(float, each.split(","))) for each in drawn.get("points", "").split()]
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
    line = Line("p", ((1.0, 10.0), (2.0, 1.0)))
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
    svg = ET.fromstring(curves([Line("a", ((0.0, 1.0), (2500.0, 2.0)))], "hours", "WER"))
    assert {"0", "1000", "2000"} <= set(texts(svg))
