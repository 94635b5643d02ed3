"""The page of a plan: whole, self-contained, safe; its drawings are where they should be."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from foldformer.compress.planning.made import Made
from foldformer.compress.planning.pictures import Pictures
from foldformer.report.plan_page import plan_page
from foldformer.report.plan_table import layers_of, plan_table

VOID = {"meta", "rect", "line", "circle", "polyline"}


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
def test_a_page_shows_all_there_is(
    aligned: bool, layers: int, evil: str, made: Made, drawn: Pictures
) -> None:
    alike = drawn.alike[:layers, :layers]
    drawn = replace(drawn, alike=alike, aligned=alike if aligned else None)
    page = plan_page(made, drawn, model=evil, precision="int8", calibrated=aligned)
    reader = Reader(page)
    assert reader.open == []
    text = " ".join(reader.text.split())
    for part in (
        f"Plan for {evil}",
        "0.011 MB of weights in int8",
        "shared, residual",
        "3-5",
        "0,2",
    ):
        assert part in text
    assert ("--calibration" in text) != aligned
    assert ("aligned, each to the one before" in text) == aligned
    assert reader.counts["polyline"] == 3 + 2 + 3 + 2  # lines, and their signs in the legends
    cells = layers**2 * (1 + aligned)
    assert reader.counts["rect"] == cells + 1 + aligned
    written = page.count(">0.90</text>")
    assert written == (layers * (1 + aligned) if layers == 3 else 0)


def test_a_table_is_as_wide_as_a_terminal(evil: str, made: Made) -> None:
    table = plan_table(made, "int8", calibrated=True).replace(evil, "expand".ljust(len(evil)))
    assert all(len(line) <= 80 for line in table.splitlines())
    assert "error              1 %, sharing alone - %, low rank alone 2 %" in table
    assert "3 in 2 groups, cycle order; 1 share" in table


@pytest.mark.parametrize(
    ("layers", "shown"), [((3,), "3"), ((3, 4, 5), "3-5"), ((0, 3, 6), "0,3,6")]
)
def test_layers_are_named(layers: tuple[int, ...], shown: str) -> None:
    assert layers_of(layers) == shown
