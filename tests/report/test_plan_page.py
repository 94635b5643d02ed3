"""The page of a plan: whole, self-contained, safe; its drawings are where they should be."""

from html.parser import HTMLParser

import numpy as np
import pytest

from foldformer.compress.planning.made import Made, Point
from foldformer.compress.planning.options import Choice
from foldformer.compress.planning.pictures import Pictures
from foldformer.compress.planning.planner import Chosen
from foldformer.report._chart import BOTTOM, LEFT, RIGHT, TOP, chart
from foldformer.report.plan_page import plan_page
from foldformer.report.plan_table import layers_of, plan_table

EVIL = "<script>alert(1)</script>"
VOID = {"meta", "rect", "line", "circle", "polyline"}

MADE = Made(
    chosen=Chosen(
        "cycle",
        (
            ((0, 2), {EVIL: Choice("residual", (3, 5), 4000, 0.01)}),
            ((1,), {EVIL: Choice("keep", (), 6000, 0.0)}),
        ),
    ),
    budget=12000,
    bytes=11000,
    other=1000,
    dense=19000,
    smallest=2000,
    error=0.01,
    alone={"sharing": float("inf"), "low rank": 0.02},
    curve=(
        Point(2000, {"plan": 1.0, "sharing": float("inf"), "low rank": float("inf")}),
        Point(11000, {"plan": 0.01, "sharing": float("inf"), "low rank": 0.02}),
        Point(19000, {"plan": 0.0, "sharing": 0.0, "low rank": 0.0}),
    ),
)
LEFT_OVER = {EVIL: {"alone": np.array([1, 0.5, 0.0]), "shared": np.array([0.5, 0.01, 0.0])}}


class Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.counts: dict[str, int] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "img", "link", "a")
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)
        self.counts[tag] = self.counts.get(tag, 0) + 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("layers", [3, 12])
def test_a_page_shows_all_there_is(aligned: bool, layers: int) -> None:
    alike = np.eye(layers) - 0.1
    drawn = Pictures(alike, alike if aligned else None, LEFT_OVER)
    page = plan_page(MADE, drawn, model=EVIL, precision="int8", calibrated=aligned)
    reader = Reader(page)
    assert reader.open == []
    text = " ".join(reader.text.split())
    for part in (
        f"Plan for {EVIL}",
        "0.011 MB of weights in int8",
        "shared, residual",
        "3-5",
        "0,2",
    ):
        assert part in text
    assert ("--calibration" in text) != aligned
    assert ("aligned, each to the one before" in text) == aligned
    assert reader.counts["polyline"] == 3 + 2
    cells = layers**2 * (1 + aligned)
    assert reader.counts["rect"] == cells + 1 + aligned
    assert ("0.90" in text) == (layers == 3)


def test_a_line_ends_where_its_values_do() -> None:
    found = chart({"a": [(1.0, 1.0), (2.0, 0.01), (3.0, 0.0)]}, mark=(2.0, 0.1))
    middle = (LEFT + RIGHT) / 2
    assert found.lines["a"] == f"{LEFT},{TOP} {middle},{BOTTOM} {RIGHT},{BOTTOM}"
    assert found.mark == (middle, (TOP + BOTTOM) / 2)
    assert [label for _, label in found.rows] == ["1 %", "10 %", "100 %"]
    assert [label for _, label in found.columns] == ["1", "1.5", "2", "2.5", "3"]


def test_values_that_are_equal_or_nothing_can_be_drawn() -> None:
    for values in ([(1.0, 0.0), (2.0, 0.0)], [(1.0, 0.3)], [(1.0, 1e-9), (1.5, float("inf"))]):
        found = chart({"a": values})
        assert all(TOP <= y <= BOTTOM for y, _ in found.rows)
        assert all(LEFT <= x <= RIGHT for x, _ in found.columns)


def test_a_table_is_as_wide_as_a_terminal() -> None:
    table = plan_table(MADE, "int8", calibrated=True).replace(EVIL, "expand".ljust(len(EVIL)))
    assert all(len(line) <= 80 for line in table.splitlines())
    assert "error              1 %, sharing alone - %, low rank alone 2 %" in table
    assert "3 in 2 groups, cycle order; 1 share" in table


@pytest.mark.parametrize(
    ("layers", "shown"), [((3,), "3"), ((3, 4, 5), "3-5"), ((0, 3, 6), "0,3,6")]
)
def test_layers_are_named(layers: tuple[int, ...], shown: str) -> None:
    assert layers_of(layers) == shown
