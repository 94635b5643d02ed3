"""No table of a document has a figure that nothing checks."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("recipes/*/README.md")]

CHECKED = (
    "| preset |",  # tests/docs/test_sizes.py
    "| K | R | numbers |",
    "|  | MB | processor s |",  # tests/recipes/test_demo.py
)
"""How tables begin that are compared with their source as a whole; others give defaults."""

_BLOCK = re.compile(r"<!-- results: .*?<!-- /results -->", re.DOTALL)
_MARKED = re.compile(r"\S+<!-- result: .*?-->")
_FIGURE = re.compile(r"[-+x ]*[0-9][0-9,]*\.[0-9]+\b.*")


def by_hand(text: str) -> list[str]:
    """Rows of tables with a decimal number in other than their first cell, and without a mark."""
    found, begins = [], ""
    for line in _BLOCK.sub("", text).splitlines():
        if not line.startswith("|"):
            begins = ""
            continue
        begins = begins or line
        cells = [_MARKED.sub("", cell).strip(" *") for cell in line.strip("|").split("|")]
        is_checked = begins.startswith(CHECKED) or "| unless given |" in begins
        if any(map(_FIGURE.fullmatch, cells[1:])) and not is_checked:
            found.append(line)
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_figures_in_tables_come_from_results(document: Path) -> None:
    """By a mark or a block, see docs/how-to/experiments.md; what was tried belongs in a log."""
    assert by_hand(document.read_text(encoding="utf-8")) == []


def test_a_figure_by_hand_is_found() -> None:
    table = "| K | WER % |\n|---|---|\n| 3 | 4.5 |\n| 6 | 4.6<!-- result: a.json b 1 --> |\n"
    assert by_hand(table) == ["| 3 | 4.5 |"]
