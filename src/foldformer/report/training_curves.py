"""How the models of an experiment have learnt: a figure for each table and task."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from foldformer.decode.measures import MEASURES
from foldformer.experiment.plan import name_of
from foldformer.experiment.result import Result
from foldformer.report.charts import Line, curves, key
from foldformer.report.evidence import Evidence
from foldformer.report.tables import Row, Table


def training_curves(evidence: Evidence) -> Iterator[dict[str, Any]]:
    """The validation scores of the cells that train, as what the template shows.

    Their runs are those of the tables' figures, and a cell that is apart in one of them is left
    out. A model that was made of another cell's begins where that one has ended.
    """
    for name, task in dict.fromkeys((each.table, each.task) for each in evidence.tables):
        tables = [each for each in evidence.tables if (each.table, each.task) == (name, task)]
        measure, found = tables[0].measure, list(_lines(evidence, tables))
        if found:
            title = MEASURES[measure].title
            yield {
                "heading": f"{name}: {task}",
                "svg": curves(
                    [line for line, _ in found], "hours of audio heard", f"{title}, validation"
                ),
                "legend": [(key(line.series), said) for line, said in found],
                "valid": _validation(tables[0]),
            }


def _lines(evidence: Evidence, tables: Sequence[Table]) -> Iterator[tuple[Line, str]]:
    """The curve of each cell, and what the legend says of it."""
    cells = zip(*(table.rows for table in tables), strict=True)  # each on every set
    for number, rows in enumerate(cells):
        cell, results = evidence.spec.cells[rows[0].cell], _in_all(rows)
        if cell.model_of is not None:
            continue
        said = f"{len(results)} seed{'' if len(results) == 1 else 's'}"
        earlier = {each.seed: 0.0 for each in results}
        if cell.compress is not None:
            of = cell.compress.of
            title = evidence.spec.cells[of].title
            found = {
                seed: evidence.results[name].hours
                for seed in earlier
                if (name := name_of(tables[0].task, of, seed)) in evidence.results
            }
            if found.keys() == earlier.keys():
                earlier, said = found, f"{said}, after the hours of {title}"
            else:
                said = f"{said}, without the hours of {title}"
        points = _mean_curve(results, tables[0].measure, earlier)
        if points:
            yield Line(cell.title, points, number), f"{cell.title} ({said})"


def _in_all(rows: Sequence[Row]) -> list[Result]:
    """The runs of a cell that are in its figures on every set; none where one of them is apart."""
    if any(row.apart for row in rows):
        return []
    return [each for each in rows[0].results if all(each in row.results for row in rows)]


def _mean_curve(
    results: Sequence[Result], measure: str, earlier: Mapping[int, float]
) -> tuple[tuple[float, float], ...]:
    """Hours and score of each validation, by the mean of the seeds that had it.

    `earlier` has the hours of each seed that were heard before its training began.
    """
    rows: dict[float, list[tuple[float, float]]] = {}
    for result in results:
        for row in result.curve:
            if measure in row:
                hours = earlier[result.seed] + row["hours"]
                rows.setdefault(row["step"], []).append((hours, row[measure]))
    return tuple(
        (statistics.fmean(a for a, _ in rows[step]), statistics.fmean(b for _, b in rows[step]))
        for step in sorted(rows)
    )


def _validation(table: Table) -> str:
    """The manifests of the validation data, those of the first result that says them."""
    for row in table.rows:
        for result in row.results:
            data = result.config.get("data")
            if isinstance(data, dict) and (valid := data.get("valid")):
                return valid if isinstance(valid, str) else ", ".join(map(str, valid))
    return ""
