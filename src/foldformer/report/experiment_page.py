"""The results of experiments as one HTML page that needs nothing else."""

import math
import re
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from markupsafe import Markup

from foldformer.decode.edits import Pair, aligned
from foldformer.decode.measures import MEASURES
from foldformer.decode.texts import normalised
from foldformer.experiment.plan import name_of
from foldformer.experiment.result import Example, Result
from foldformer.measure.similarity import Cosines, Similarity
from foldformer.report.charts import Point, heat, key, scatter
from foldformer.report.evidence import Evidence
from foldformer.report.row_text import (
    HOURS,
    HOW_TO_READ,
    heading,
    notes,
    of_paper,
    row_text,
    status,
)
from foldformer.report.tables import Row, Table
from foldformer.report.templates import templates
from foldformer.report.training_curves import training_curves
from foldformer.report.written import figure

_TITLES = {
    "curves": "Training curves",
    "examples": "Examples",
    "origin": "Where the figures come from",
    "similarity": "Similarity of layers",
}


def experiment_page(evidence: Sequence[Evidence], similarity: Similarity | None = None) -> str:
    """The page: tables beside the paper's, scores against bytes, curves, errors, origins.

    It loads nothing, runs nothing, and shows what is in results as text, whatever that is.

    Args:
        evidence: some experiments.
        similarity: of the layers of a model, to be shown too.
    """
    environment = templates()
    environment.filters["pieces"] = _pieces
    environment.filters["scores"] = _scores
    return environment.get_template("experiment.html").render(
        title=" and ".join(each.spec.title for each in evidence),
        titles=_TITLES,
        experiments=[_experiment(each, f"e{number}") for number, each in enumerate(evidence)],
        reading=f"{HOW_TO_READ} {HOURS} {of_paper()}",
        similarity=similarity,
        layers=None if similarity is None else _heat(similarity.cosines, similarity.model),
    )


def _pieces(text: str) -> list[str]:
    """A figure cut where lines may break: not in its interval, its deviation, its seeds."""
    return re.findall(r"\[.*?\]|\(.*?\)|± \S+|\S+", text)


def _scores(result: Result) -> str:
    """The decisive score of each set, as of no table, which has means over seeds."""
    found = (
        f"{name} {figure(each.by(result.measure).value)}" for name, each in result.scores.items()
    )
    return f"{MEASURES[result.measure].title}: {', '.join(found)}"


def _experiment(evidence: Evidence, name: str) -> dict[str, Any]:
    """What the template shows of an experiment; `name` begins the names of its places."""
    empty = [table for table in evidence.tables if all(row.score is None for row in table.rows)]
    return {
        "name": name,
        "title": evidence.spec.title,
        "about": evidence.spec.about,
        "path": evidence.path.name,
        "status": status(evidence),
        "smoke": evidence.smoke,
        "tables": [_table(table) for table in evidence.tables if table not in empty],
        "empty": [(heading(table), [row.title for row in table.rows]) for table in empty],
        "curves": list(training_curves(evidence)),
        "alike": list(_alike(evidence)),
        "examples": _opened(list(_examples(evidence))),
        "origin": _origin(evidence),
    }


def _table(table: Table) -> dict[str, Any]:
    points = [  # a series is a row, so that a model looks the same in all figures of a table
        Point(row.stored / 1e6, row.score.value, row.score.low, row.score.high, row.title, number)
        for number, row in enumerate(table.rows)
        if row.score is not None and row.stored is not None and not row.apart
    ]
    title = MEASURES[table.measure].title
    chart, unnamed = None, list[Point]()
    if len(points) > 1 and table.learnt and any(round(each.y, 2) for each in points):
        chart, unnamed = scatter(points, "MB of weights", title, table.lower_is_better)
    return {
        "heading": heading(table),
        "title": title,
        "rows": [row_text(row, table.measure) for row in table.rows],
        "missing": [row.score is None for row in table.rows],
        "paper": table.with_paper,
        "compared": any(row.change is not None or row.refused for row in table.rows),
        "notes": notes(table),
        "chart": chart,
        "legend": [(key(each.series), each.label) for each in unnamed],
    }


def _examples(evidence: Evidence) -> Iterator[dict[str, Any]]:
    """For each task and set a few utterances, as the first seeds in the tables wrote them."""
    written: dict[tuple[str, str], dict[str, Row]] = {}
    for table in evidence.tables:  # a cell that others are compared with stands in several
        rows = written.setdefault((table.task, table.set), {})
        rows |= {row.cell: row for row in table.rows if row.cell not in rows and not row.apart}
    for (task, name), rows in written.items():
        utterances: dict[str, dict[str, Any]] = {}
        for cell in evidence.spec.cells:
            row = rows.get(cell)
            if row is None or not row.results:
                continue
            for each in row.results[0].examples.get(name, ()):
                shown = utterances.setdefault(each.id, {"said": each, "written": []})
                shown["written"].append((row.title, _pairs(each)))
        if utterances:
            yield {"heading": f"{task}, {name}", "utterances": list(utterances.values())}


def _opened(sets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One of them open: that with the fewest errors, of those with any; the first if none has."""

    def wrong(found: dict[str, Any]) -> float:
        pairs = [
            pair
            for utterance in found["utterances"]
            for _, alignment in utterance["written"]
            for pair in alignment
        ]
        return statistics.fmean(a != b for a, b in pairs) if pairs else 0.0

    shares = [wrong(found) or math.inf for found in sets]
    return [{**found, "open": n == shares.index(min(shares))} for n, found in enumerate(sets)]


def _pairs(each: Example) -> list[Pair]:
    return aligned(*(normalised(text).split() for text in (each.reference, each.hypothesis)))


def _origin(evidence: Evidence) -> dict[str, Any]:
    """Where the results come from: what differs between runs in a table, the rest once."""
    results = list(evidence.results.values())
    data: dict[str, set[str]] = {}
    for result in results:
        for name, digest in result.data.items():  # tasks have data of their own
            data.setdefault(f"{result.task}, {name}", set()).add(digest)
    return {
        "runs": results,
        "data": {name: sorted(digests) for name, digests in data.items()},
        "versions": sorted({", ".join(f"{k} {v}" for k, v in r.versions.items()) for r in results}),
        "machines": sorted({", ".join(f"{k}: {v}" for k, v in r.machine.items()) for r in results}),
    }


def _alike(evidence: Evidence) -> Iterator[tuple[str, Markup]]:
    """Titles and likenesses of layers: of the cells of the first table, in the first task.

    Of each cell one model, that of its first seed which has them.
    """
    spec = evidence.spec
    task, table = next(iter(spec.tasks)), next(iter(spec.cells.values())).table
    for cell, said in spec.cells.items():
        names = (name_of(task, cell, seed) for seed in spec.seeds_of(cell))
        found = [each for name in names if (each := evidence.results.get(name)) is not None]
        shown = next((each for each in found if each.similarity), None)
        if said.table == table and task in spec.tasks_of(cell) and shown is not None:
            title = f"{said.title}, seed {shown.seed}"
            yield title, _heat(shown.similarity, title)


def _heat(cosines: Cosines, of: str) -> Markup:
    return heat(cosines, f"Cosine between the weight matrices of each two layers of {of}")
