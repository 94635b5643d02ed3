"""What tables of experiments say, in words: alike on pages and in Markdown."""

from dataclasses import dataclass

from foldformer.report.evidence import Evidence
from foldformer.report.paper import paper
from foldformer.report.tables import LEARNT, Row, Table
from foldformer.report.written import figure, megabytes, percent, spoken_seeds, with_interval


@dataclass(frozen=True, kw_only=True)
class RowText:
    """The cells of a row; empty where there is nothing to say, `missing` in place of a score."""

    title: str
    marks: tuple[str, ...]
    share: str
    megabytes: str
    hours: str
    minutes: str
    score: str
    change: str
    seeds: str
    paper_score: str
    paper_change: str


def row_text(row: Row, measure: str) -> RowText:
    """A row of a table that is scored by this measure."""
    share, stored, hours, minutes = row.share, row.stored, row.hours, row.minutes
    their, relative = (
        (None, None) if row.paper is None else (row.paper.score(measure), row.paper.change(measure))
    )
    return RowText(
        title=row.title,
        marks=row.marks,
        share="" if share is None else f"{share:.1f} %",
        megabytes="" if stored is None else megabytes(stored),
        hours="" if hours is None else f"{hours:.1f}",
        minutes="" if minutes is None else f"{minutes:.0f}",
        score=_score(row),
        change=change_text(row),
        seeds=f"{len(row.results)} of {row.wanted}",
        paper_score="" if their is None else f"{their:.2f}",
        paper_change="" if relative is None else percent(relative),
    )


def _score(row: Row) -> str:
    if row.score is None:
        return "missing"
    shown = with_interval(row.score.value, row.score.low, row.score.high)
    return shown if row.score.spread is None else f"{shown} ± {figure(row.score.spread)}"


def change_text(row: Row) -> str:
    """The relative change, or why there is none."""
    if row.change is None:
        return f"none: {row.refused}" if row.refused else ""
    found = row.change
    shown = f"{percent(found.value)} [{percent(found.low)}, {percent(found.high)}]"
    if found.spread is not None:
        shown += f" ± {found.spread:.1f}"
    return f"{shown} ({spoken_seeds(row.fewer)})" if row.fewer else shown


def status(evidence: Evidence) -> str:
    """How much there is, in a sentence or two."""
    if evidence.otherwise:
        found = _status(evidence)
        return (
            f"{found} Left out, since they were trained, heard or scored in another way than the "
            f"experiment says: {', '.join(evidence.otherwise)}."
        )
    return _status(evidence)


def _status(evidence: Evidence) -> str:
    if evidence.smoke:
        return (
            f"A smoke test, {evidence.done} of {evidence.planned} runs: it shows that cells run; "
            "its figures mean nothing."
        )
    if not evidence.done:
        return f"None of the {evidence.planned} planned runs has a result yet."
    return f"{evidence.done} of {evidence.planned} planned runs have a result."


def heading(table: Table) -> str:
    """Table, task and set."""
    return f"{table.table}: {table.task}, {table.set}"


HOW_TO_READ = (
    "In brackets: 95 % interval of the bootstrap over utterances, paired for changes; ±: standard "
    "deviation over seeds. MB: 10^6 bytes of all weights, as they were heard."
)
"""What the figures of every table are."""

HOURS = (
    "Hours heard: of audio, by the row's own training alone, as often as it heard it. They are not "
    "how much data there is; and what a model began from, the recogniser of a translation or the "
    "original of a compressed model, has heard its own."
)
"""What that column is, which the page alone has."""


def notes(table: Table) -> list[str]:
    """What has to be known of this table."""
    found = []
    if table.content is not None:
        utterances, words = table.content
        found.append(f"{utterances} utterances, {words} words.")
    if table.about:
        found.append(f"{table.set}: {table.about}.")
    if not table.learnt:
        bound = {"wer": "no WER is below {:g} %", "bleu": "no BLEU is {:g} or more"}[table.measure]
        said = bound.format(LEARNT[table.measure])
        found.append(f"Not learnt ({said}): differences mean nothing.")
    if any(row.marks for row in table.rows):
        found.append(
            "Marked: trained or scored on other data, or by other code, than most. Seeds that a "
            "mark names are in no figure of their row; a row that is marked as a whole is in no "
            "drawing, and changes across that are refused."
        )
    others = [each.run_of for row in table.rows for each in row.results if each.run_of]
    for other in dict.fromkeys(others):
        titles = [row.title for row in table.rows if any(e.run_of == other for e in row.results)]
        found.append(
            f"Runs of {other}, the same in all that decides a result, and not done again: "
            f"{'; '.join(titles)}."
        )
    if any(row.fewer for row in table.rows):
        found.append(
            "A change with seeds behind it is of those alone, which both models have; scores are "
            "of all seeds of a row, so that the two can disagree."
        )
    if any(row.score is None for row in table.rows):
        found.append("Missing: planned, and not run yet.")
    return found


def of_paper() -> str:
    """Where the paper's figures are from."""
    return f"Paper: {paper().source}; {paper().speech}."
