"""The tables of an experiment in Markdown, for README and documentation."""

from collections.abc import Sequence

from foldformer.decode.measures import MEASURES
from foldformer.report.evidence import Evidence
from foldformer.report.row_text import HOW_TO_READ, heading, notes, of_paper, row_text, status
from foldformer.report.tables import Table


def markdown(evidence: Sequence[Evidence]) -> str:
    """All tables of some experiments, one below the other."""
    parts: list[str] = []
    for each in evidence:
        parts += [f"## {each.spec.title}", status(each)]
        for table in each.tables:
            parts += [f"### {heading(table)}", markdown_table(table)]
    return "\n\n".join(parts)


def markdown_table(table: Table) -> str:
    """One table, with what has to be known of it below."""
    title = MEASURES[table.measure].title
    columns = ["", "share of dense", "MB", title, "change, %", "seeds"]
    columns += [f"paper: {title}", "paper: change, %"] if table.with_paper else []
    lines = [_line(columns), _line(["---", *["---:"] * (len(columns) - 1)])]
    for row in table.rows:
        shown = row_text(row, table.measure)
        title = shown.title + "".join(f" ({mark})" for mark in shown.marks)
        cells = [title, shown.share, shown.megabytes, shown.score, shown.change, shown.seeds]
        lines.append(_line([*cells, shown.paper_score, shown.paper_change][: len(columns)]))
    said = notes(table)
    if any(row.score is not None for row in table.rows):
        said.insert(1 + bool(table.about), HOW_TO_READ)
    if table.with_paper:
        said.append(of_paper())
    return "\n".join([*lines, "", *(f"- {note}" for note in said)])


def _line(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
