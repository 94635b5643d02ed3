"""Figures that documents quote from results: found by marks, and held to what the results say.

A table stands between two comments, a figure before one; paths are relative to the document:

    <!-- results: results/experiment.jsonl paper recognition composed -->
    ... the table ...
    <!-- /results -->

    WER is 4.3<!-- result: results/experiment.jsonl recognition/dense composed wer -->

Within code that a document shows, marks are none. In place of the file of results, the folder of
the recipe can be named: then there may be no result yet, and the table says so. What a single
figure can be: `wer` or `bleu`, `change`, `share`, `mb`, `hours`, `minutes`.

Figures of other results are numbers in a JSON file, by their keys, with so many decimals:

    It took 17.3<!-- result: recipes/demo/results.json minutes 1 --> minutes.
"""

import json
import re
import shlex
from functools import cache
from pathlib import Path

from foldformer.errors import InputError
from foldformer.report.evidence import Evidence, read_evidence
from foldformer.report.markdown import markdown_table
from foldformer.report.row_text import change_text, heading, row_text, status
from foldformer.report.tables import Row, Table
from foldformer.report.written import figure, megabytes

_TABLE = re.compile(r"(<!-- results: (.+?) -->\n)(.*?)(<!-- /results -->)", re.DOTALL)
_OPENED = "<!-- results: "
_CODE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_INTERVAL = re.compile(r"[^\[]+\[.+?\]")  # a figure as far as its interval
_FIGURE = re.compile(r"([^\s|(*_]*)(<!-- result: (.+?) -->)")


def updated(document: Path) -> str:
    """The text of a document with all that it quotes of results as they are now.

    Raises:
        InputError: it cannot be read, quotes nothing, or what is not there.
    """
    try:
        text = document.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{document}: cannot be read: {error}") from None
    if not _quotes(text):
        raise InputError(
            f"{document}: quotes no results; expected a mark <!-- results: ... --> or "
            "<!-- result: ... -->"
        )
    _check_marks(document, text)
    evidence = cache(read_evidence)

    def table(found: re.Match[str]) -> str:
        if _OPENED in found[3]:  # the end that was found is that of the next table
            raise InputError(
                f"{document}: <!-- results: {found[2]} -->: is not closed; expected "
                "<!-- /results --> behind the table"
            )
        place, table, task, name = _words(document, found[2], 4)
        read = evidence(document.parent / place)
        shown = _table(document, read, table, task, name)
        title = f"**{heading(shown)}.** {status(read)}"
        return f"{found[1]}{title}\n\n{markdown_table(shown)}\n{found[4]}"

    def single(found: re.Match[str]) -> str:
        if found[3].partition(" ")[0].endswith(".json"):
            place, key, decimals = _words(document, found[3], 3)
            return f"{_number(document, place, key, decimals)}{found[2]}"
        place, cell, name, what = _words(document, found[3], 4)
        value = _figure(document, evidence(document.parent / place), cell, name, what)
        return f"{value}{found[2]}"

    parts = _CODE.split(text)  # the odd ones are code
    parts[::2] = [_FIGURE.sub(single, _TABLE.sub(table, part)) for part in parts[::2]]
    return "".join(parts)


def quotes(document: Path) -> int:
    """How many tables and figures a document quotes."""
    return _quotes(document.read_text(encoding="utf-8"))


def _quotes(text: str) -> int:
    parts = _CODE.split(text)[::2]
    return sum(len(_TABLE.findall(part)) + len(_FIGURE.findall(part)) for part in parts)


def _check_marks(document: Path, text: str) -> None:
    """Refuse a mark that is none by its form, and would let what it marks grow old in silence."""
    left = "".join(_FIGURE.sub("", _TABLE.sub("", part)) for part in _CODE.split(text)[::2])
    for found in re.finditer(r"<!--\s*/?results?\b.{0,60}", left, re.DOTALL):
        shown = " ".join(found[0].split())
        raise InputError(
            f"{document}: {shown}: is no whole mark; expected <!-- result: ... --> on one line "
            "behind a figure, or <!-- results: ... -->, a table, and <!-- /results -->, each on a "
            "line of its own"
        )


def copied(document: Path, evidence: Evidence) -> list[str]:
    """Scores and changes of results, told by their intervals, that stand in a document unmarked.

    What was copied by hand stays as it is when the results change. Intervals of nothing, as of a
    BLEU of 0, tell no result from another and are passed over.
    """
    text = document.read_text(encoding="utf-8")
    plain = "".join(_FIGURE.sub("", _TABLE.sub("", part)) for part in _CODE.split(text)[::2])
    shown = [row_text(row, table.measure) for table in evidence.tables for row in table.rows]
    said = (_INTERVAL.match(figure) for row in shown for figure in (row.score, row.change))
    figures = {found[0] for found in said if found is not None}
    return sorted(
        figure
        for figure in figures
        if any(digit in figure for digit in "123456789") and figure in plain
    )


def _words(document: Path, text: str, number: int) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError:  # of a quotation mark, or a backslash at the end
        raise InputError(
            f"{document}: <!-- result(s): {text} -->: a quote is not closed; put a name with an "
            "apostrophe into double quotes"
        ) from None
    if len(words) != number:
        raise InputError(
            f"{document}: <!-- result(s): {text} -->: expected {number} words, got {len(words)}; "
            "quote a name with spaces"
        )
    return words


def _table(document: Path, evidence: Evidence, table: str, task: str, name: str) -> Table:
    for each in evidence.tables:
        if (each.table, each.task, each.set) == (table, task, name):
            return each
    known = "; ".join(f"{each.table} {each.task} {each.set}" for each in evidence.tables)
    raise InputError(f"{document}: quotes the table {table} {task} {name}; there are: {known}")


def _figure(document: Path, evidence: Evidence, run: str, name: str, what: str) -> str:
    task, _, cell = run.partition("/")
    for table in evidence.tables:
        for row in table.rows:
            if (table.task, row.cell, table.set) == (task, cell, name):
                value = _value(table, row, what)
                if value:
                    return value
    raise InputError(f"{document}: quotes {what} of {run} on {name}, of which there is no result")


def _number(document: Path, place: str, key: str, decimals: str) -> str:
    """A number in a JSON file, by a key of names with points between them."""
    path = document.parent / place
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{document}: quotes {path}, which cannot be read: {error}") from None
    for name in key.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, (int, float)) or isinstance(found, bool):
        raise InputError(f"{document}: quotes {key} of {path}, which is no number there")
    if not decimals.isdecimal():
        raise InputError(
            f"{document}: <!-- result: {place} {key} {decimals} -->: expected how many decimals, "
            "like 1"
        )
    return f"{round(found, int(decimals)) + 0.0:.{decimals}f}"  # + 0.0: no sign of a zero


def _value(table: Table, row: Row, what: str) -> str:
    """A figure as tables write it; empty where there is none."""
    if row.score is None:
        return ""
    share, stored = row.share, row.stored
    shown = {
        table.measure: figure(row.score.value),
        "change": change_text(row).partition(" ")[0] if row.change is not None else "",
        "share": "" if share is None else f"{share:.1f}",
        "mb": "" if stored is None else megabytes(stored),
        "hours": figure(row.hours),
        "minutes": figure(row.minutes),
    }
    return shown.get(what, "")
